//! From major 1 to 2: three entries are new (`run_started`, `forgotten`, `moved`), and a state
//! remembers its last runs. What was recorded before means what it meant; nobody knows who ran it.

use super::Step;

pub(super) const STEP: Step = Step {
    snapshot: |state| {
        state.entry("runs").or_insert_with(|| serde_json::json!([]));
    },
    entry: |_| (),
};
