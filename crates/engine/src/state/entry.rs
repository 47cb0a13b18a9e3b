//! Journal entries: the changes of a state. An entry only contains the change;
//! [`State::record`](super::State::record) checks and applies it.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cluster, RecordStatus, RunRecord};
use crate::drift::UnmanagedDrift;
use crate::graph::Address;

/// Change of a state, and line of the journal. An announcement is on disk before its call is sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The state belongs to this cluster.
    #[serde(rename = "identified")]
    ClusterIdentified {
        /// Identity of the cluster.
        cluster: Cluster,
    },
    /// A run begins to record; always the first entry of a run.
    RunStarted {
        /// The run.
        run: RunRecord,
    },
    /// The lookup cache gets a result.
    #[serde(rename = "learnt")]
    LookupRecorded {
        /// Key of the lookup.
        #[serde(rename = "question")]
        lookup: String,
        /// Result of the lookup; `null` removes the cached one.
        answer: Value,
    },
    /// The create call is about to be sent, possibly for the second time.
    CreateStarted {
        /// Address of the resource.
        address: Address,
        /// Generation, which determines token and tag.
        generation: u64,
        /// Inputs of the creation.
        inputs: Value,
        /// Direct dependencies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
    },
    /// The creation failed and certainly created no object. The address returns to the object that
    /// was to be replaced.
    CreateRefused {
        /// Address of the resource.
        address: Address,
    },
    /// The create call succeeded, or its resource was found.
    Created {
        /// Address of the resource.
        address: Address,
        /// Identity and outputs.
        outputs: Value,
        /// Progress: [`RecordStatus::Created`], or a later status if the kind has no calls after the
        /// create call.
        status: RecordStatus,
    },
    /// The progress of a resource changed.
    Advanced {
        /// Address of the resource.
        address: Address,
        /// New status.
        status: RecordStatus,
        /// New outputs; `None` if they are unchanged.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<Value>,
    },
    /// A change in place is about to be made.
    UpdateStarted {
        /// Address of the resource.
        address: Address,
        /// New inputs.
        inputs: Value,
        /// New direct dependencies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
        /// Unmanaged drift that the change reverts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        revert: Vec<UnmanagedDrift>,
    },
    /// Dependency update: the dependencies changed without a call.
    #[serde(rename = "relinked")]
    DependenciesUpdated {
        /// Address of the resource.
        address: Address,
        /// New direct dependencies.
        after: Vec<Address>,
    },
    /// A replacement is about to take the address. The old object is deleted later.
    Deposed {
        /// Address of the resource.
        address: Address,
    },
    /// The delete call is about to be sent.
    DeleteStarted {
        /// Address of the resource.
        address: Address,
        /// Generation of the object.
        generation: u64,
    },
    /// The object is deleted.
    Deleted {
        /// Address of the resource.
        address: Address,
        /// Generation of the object.
        generation: u64,
    },
    /// The object does not exist: it was deleted outside, or never created.
    Vanished {
        /// Address of the resource.
        address: Address,
    },
    /// The user removed the record. The object in the cloud, if any, is left alone.
    Forgotten {
        /// Address of the resource.
        address: Address,
        /// Generation of the object.
        generation: u64,
    },
    /// The user changed the address of a record.
    Moved {
        /// Old address.
        address: Address,
        /// New address.
        to: Address,
    },
    /// The user protected the address from deletion and replacement.
    Protected {
        /// Address of the resource.
        address: Address,
    },
    /// The user removed the protection of the address.
    Unprotected {
        /// Address of the resource.
        address: Address,
    },
}

/// Error of an entry that cannot follow the recorded history.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("entry {serial} ({entry}) cannot follow the entries before it: {why}")]
pub struct IllegalEntry {
    /// Serial that the entry would have had.
    pub serial: u64,
    /// Name and address of the entry; never its contents.
    pub entry: String,
    /// Reason of the rejection.
    pub why: &'static str,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Some(address) => write!(f, "{} {address}", self.name()),
            None => f.write_str(self.name()),
        }
    }
}

impl Entry {
    /// Returns the address that the entry is about; `None` if there is none.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Entry::ClusterIdentified { .. }
            | Entry::RunStarted { .. }
            | Entry::LookupRecorded { .. } => None,
            Entry::CreateStarted { address, .. }
            | Entry::CreateRefused { address }
            | Entry::Created { address, .. }
            | Entry::Advanced { address, .. }
            | Entry::UpdateStarted { address, .. }
            | Entry::DependenciesUpdated { address, .. }
            | Entry::Deposed { address }
            | Entry::DeleteStarted { address, .. }
            | Entry::Deleted { address, .. }
            | Entry::Vanished { address }
            | Entry::Forgotten { address, .. }
            | Entry::Moved { address, .. }
            | Entry::Protected { address }
            | Entry::Unprotected { address } => Some(address),
        }
    }

    /// Returns the name of the entry in the journal.
    pub fn name(&self) -> &'static str {
        match self {
            Entry::ClusterIdentified { .. } => "identified",
            Entry::RunStarted { .. } => "run_started",
            Entry::LookupRecorded { .. } => "learnt",
            Entry::CreateStarted { .. } => "create_started",
            Entry::CreateRefused { .. } => "create_refused",
            Entry::Created { .. } => "created",
            Entry::Advanced { .. } => "advanced",
            Entry::UpdateStarted { .. } => "update_started",
            Entry::DependenciesUpdated { .. } => "relinked",
            Entry::Deposed { .. } => "deposed",
            Entry::DeleteStarted { .. } => "delete_started",
            Entry::Deleted { .. } => "deleted",
            Entry::Vanished { .. } => "vanished",
            Entry::Forgotten { .. } => "forgotten",
            Entry::Moved { .. } => "moved",
            Entry::Protected { .. } => "protected",
            Entry::Unprotected { .. } => "unprotected",
        }
    }
}
