//! Membership of machines in a MachineSet.

use groundplan_openshift::machine_api::types::{Machine, MachineSet};

use super::selector::Selector;

/// Relation of a machine to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// The machine is a member.
    Yes,
    /// The machine should be a member, and has no owner.
    Orphan,
    /// The machine has another owner, is being deleted, or has other labels.
    No,
}

/// Returns the relation of a machine to a set. A machine whose labels no longer match is not a
/// member, even if its owner is still the set. Users remove a machine from its set in this way to
/// examine it.
pub(super) fn belongs(set: &MachineSet, selector: &Selector, machine: &Machine) -> Belongs {
    let meta = &machine.metadata;
    if meta.deletion_timestamp.is_some() || !selector.selects(&meta.labels) {
        return Belongs::No;
    }
    match meta.controller() {
        None => Belongs::Orphan,
        Some(owner) if owner.uid == set.metadata.uid => Belongs::Yes,
        Some(_) => Belongs::No,
    }
}
