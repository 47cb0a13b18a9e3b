//! Migration from major 2 to 3. Two entries are new (`protected`, `unprotected`), and a state
//! records protected addresses, which an older program would delete. Older records keep their
//! meaning.

use super::Migration;

pub(super) const STEP: Migration = Migration { snapshot: |_| (), entry: |_| () };
