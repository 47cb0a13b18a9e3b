//! Yesterday's formats become today's: a step per major, each in a file of its own, one after the
//! other. Pure, on JSON, because the types of yesterday are gone; never touches a file.
//!
//! What a step says never changes once it was released. `fixtures` holds, for every major that was
//! ever written, states as they were and what this program makes of them.

mod v1;
mod v2;

use serde_json::{Map, Value};

use super::{FORMAT, Format};

/// A JSON object.
type Object = Map<String, Value>;

/// What leads from one major to the next.
struct Step {
    /// A whole state.
    snapshot: fn(&mut Object),
    /// One record of a journal.
    entry: fn(&mut Object),
}

/// The steps, the one from [`OLDEST`] first: each new major adds one.
const STEPS: [Step; (FORMAT.major - OLDEST) as usize] = [v1::STEP, v2::STEP];

/// The oldest major that is still read.
const OLDEST: u32 = 1;

/// Whether a text of this format can be read, perhaps after some steps.
pub(super) fn is_known(format: Format) -> bool {
    (OLDEST..=FORMAT.major).contains(&format.major)
}

/// Makes a state of this older format one of ours. Fields that nobody knows are kept.
pub(super) fn snapshot(state: &mut Object, from: Format) {
    for step in steps(from) {
        (step.snapshot)(state);
    }
    state.insert("format".to_owned(), serde_json::json!(FORMAT));
}

/// Makes a record of this older format one of ours.
pub(super) fn entry(entry: &mut Object, from: Format) {
    for step in steps(from) {
        (step.entry)(entry);
    }
}

fn steps(from: Format) -> &'static [Step] {
    &STEPS[(from.major - OLDEST) as usize..]
}
