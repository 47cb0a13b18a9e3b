//! Migration from major 1 to 2. Three entries are new (`run_started`, `forgotten`, `moved`), and a
//! state records its last runs. Older records keep their meaning; their runs are unknown.

use super::Migration;

pub(super) const STEP: Migration = Migration {
    snapshot: |state| {
        state.entry("runs").or_insert_with(|| serde_json::json!([]));
    },
    entry: |_| (),
};
