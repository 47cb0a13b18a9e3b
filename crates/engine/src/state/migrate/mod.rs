//! Migrations of older formats: one step per major, each in a file of its own, applied in sequence.
//! Pure functions on JSON, because the types of older formats no longer exist.
//!
//! A released step never changes. The folder `fixtures` contains states of every major ever
//! written, with their migrated form.

mod v1;
mod v2;
mod v3;

use serde_json::{Map, Value};

use super::{FORMAT, Format};

/// JSON object.
type JsonObject = Map<String, Value>;

/// Migration from one major to the next.
struct Migration {
    /// Migrates a whole state.
    snapshot: fn(&mut JsonObject),
    /// Migrates one record of a journal.
    entry: fn(&mut JsonObject),
}

/// Steps in order, beginning with the one from [`OLDEST`]. Each new major adds one.
const STEPS: [Migration; (FORMAT.major - OLDEST) as usize] = [v1::STEP, v2::STEP, v3::STEP];

/// Oldest major that this program reads.
const OLDEST: u32 = 1;

/// Returns true if this program can read the format, possibly after migrations.
pub(super) fn is_known(format: Format) -> bool {
    (OLDEST..=FORMAT.major).contains(&format.major)
}

/// Migrates a state of an older format to the current one. Unknown fields are kept.
pub(super) fn snapshot(state: &mut JsonObject, from: Format) {
    for step in steps(from) {
        (step.snapshot)(state);
    }
    state.insert("format".to_owned(), serde_json::json!(FORMAT));
}

/// Migrates a record of an older format to the current one.
pub(super) fn entry(entry: &mut JsonObject, from: Format) {
    for step in steps(from) {
        (step.entry)(entry);
    }
}

fn steps(from: Format) -> &'static [Migration] {
    &STEPS[(from.major - OLDEST) as usize..]
}
