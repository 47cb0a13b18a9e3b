//! Status of a MachineSet.

use std::collections::BTreeMap;

use groundplan_openshift::machine_api::types::{Machine, MachineSet, MachineSetStatus};
use jiff::{SignedDuration, Timestamp};

use super::super::node::Readiness;
use super::selector::Selector;

/// Readiness of Nodes by name.
pub type Nodes = BTreeMap<String, Readiness>;

/// Returns the status with new counts. Fields of other controllers stay unchanged.
pub(super) fn status(
    set: &MachineSet,
    selector: &Selector,
    members: &[&Machine],
    nodes: &Nodes,
    now: Timestamp,
) -> MachineSetStatus {
    let ready: Vec<Readiness> =
        members.iter().filter_map(|machine| readiness(machine, nodes)).collect();
    let least = SignedDuration::from_secs(set.spec.min_ready_seconds.into());
    let available = ready.iter().filter(|one| one.has_been_ready_for(least, now)).count();
    MachineSetStatus {
        replicas: number(members.len()),
        fully_labeled_replicas: number(members.iter().filter(|one| is_like(set, one)).count()),
        ready_replicas: number(ready.iter().filter(|one| one.ready).count()),
        available_replicas: number(available),
        observed_generation: set.metadata.generation,
        label_selector: selector.to_string(),
        ..set.status.clone()
    }
}

fn readiness(machine: &Machine, nodes: &Nodes) -> Option<Readiness> {
    let name = machine.status.node_ref.as_ref()?["name"].as_str()?;
    nodes.get(name).copied()
}

/// Returns true if the machine has every label of the template.
fn is_like(set: &MachineSet, machine: &Machine) -> bool {
    let labels = &set.spec.template.metadata.labels;
    labels.iter().all(|(key, value)| machine.metadata.labels.get(key) == Some(value))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
