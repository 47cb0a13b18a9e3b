//! Whose a machine is.

use super::selector::Selector;
use crate::machine_api::types::{Machine, MachineSet};

/// Whether a machine is one of a set's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Belongs {
    /// It is.
    Yes,
    /// It should be, and is nobody's.
    Orphan,
    /// It is somebody else's, goes, or is of another sort.
    No,
}

/// A machine whose labels were changed is let go of, though its owner is still noted: that is how
/// one is taken out of a set to be looked at.
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
