//! Conditions in the status of Machines and MachineSets.

use groundplan_openshift::machine_api::types::Condition;
use jiff::Timestamp;

/// Sets a condition. It keeps its transition time while its status stays the same (openshift/api
/// `types_machine.go`).
pub fn set(conditions: &mut Vec<Condition>, mut wanted: Condition) {
    match conditions.iter_mut().find(|one| one.kind == wanted.kind) {
        Some(known) => {
            if known.status == wanted.status {
                wanted.last_transition_time = known.last_transition_time.take();
            }
            *known = wanted;
        }
        None => conditions.push(wanted),
    }
}

/// Returns the time without fractions of seconds, as the API writes times.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
