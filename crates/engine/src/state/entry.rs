//! What can be recorded: the lines of a journal. Only says what happened; what that does to a state,
//! and whether it can have happened, is [`State::record`](super::State::record)'s.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Cluster, Run, Status};
use crate::graph::Address;

/// One line of the journal. What is announced is on disk before the call it announces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "entry", rename_all = "snake_case")]
pub enum Entry {
    /// The state belongs to this cluster.
    Identified {
        /// Who it is.
        cluster: Cluster,
    },
    /// A run begins to record; always the first entry of its run.
    RunStarted {
        /// Which run.
        run: Run,
    },
    /// The cloud answered a question of the topology.
    Learnt {
        /// The question.
        question: String,
        /// The answer; `null` forgets it.
        answer: Value,
    },
    /// The creating call is about to leave, perhaps for the second time.
    CreateStarted {
        /// Which resource.
        address: Address,
        /// Which of its lives; token and tag follow from it.
        generation: u64,
        /// What it is created with.
        inputs: Value,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
    },
    /// The cloud refused and certainly made nothing; what was to be replaced has its address back.
    CreateRefused {
        /// Which resource.
        address: Address,
    },
    /// The creating call was answered, or what it made was found.
    Created {
        /// Which resource.
        address: Address,
        /// Identity and outputs.
        outputs: Value,
        /// How far that is: [`Status::Created`], or further where nothing is left to do.
        status: Status,
    },
    /// A resource moved on.
    Advanced {
        /// Which resource.
        address: Address,
        /// How far it is now.
        status: Status,
        /// Its outputs where they have changed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outputs: Option<Value>,
    },
    /// A change in place is about to be made.
    UpdateStarted {
        /// Which resource.
        address: Address,
        /// What it shall be.
        inputs: Value,
        /// What it shall refer to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
    },
    /// References were rearranged without any call.
    Relinked {
        /// Which resource.
        address: Address,
        /// What it refers to now.
        after: Vec<Address>,
    },
    /// A replacement is about to take the address; the old one is deleted later.
    Deposed {
        /// Which resource.
        address: Address,
    },
    /// The deleting call is about to leave.
    DeleteStarted {
        /// Which resource.
        address: Address,
        /// Which of its lives.
        generation: u64,
    },
    /// It is gone.
    Deleted {
        /// Which resource.
        address: Address,
        /// Which of its lives.
        generation: u64,
    },
    /// It is not there: somebody else deleted it, or it was never made.
    Vanished {
        /// Which resource.
        address: Address,
    },
    /// Somebody asked to forget it: whatever it is in the cloud, it is nobody's to manage here.
    Forgotten {
        /// Which resource.
        address: Address,
        /// Which of its lives.
        generation: u64,
    },
    /// Somebody gave it another address.
    Moved {
        /// The one it had.
        address: Address,
        /// The one it has from now on.
        to: Address,
    },
    /// Somebody said that it is not to be deleted or replaced.
    Protected {
        /// Which resource.
        address: Address,
    },
    /// Somebody said that it may be deleted and replaced again.
    Unprotected {
        /// Which resource.
        address: Address,
    },
}

/// An entry that cannot follow what was recorded before it.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("entry {serial} ({entry}) cannot follow what was recorded before it: {why}")]
pub struct IllegalEntry {
    /// The serial it would have had.
    pub serial: u64,
    /// The name of the entry and the address it is about; never its contents.
    pub entry: String,
    /// What is wrong with it.
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
    /// The resource it is about, if it is about one.
    pub fn address(&self) -> Option<&Address> {
        match self {
            Entry::Identified { .. } | Entry::RunStarted { .. } | Entry::Learnt { .. } => None,
            Entry::CreateStarted { address, .. }
            | Entry::CreateRefused { address }
            | Entry::Created { address, .. }
            | Entry::Advanced { address, .. }
            | Entry::UpdateStarted { address, .. }
            | Entry::Relinked { address, .. }
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

    /// The name of the entry as the journal has it.
    pub fn name(&self) -> &'static str {
        match self {
            Entry::Identified { .. } => "identified",
            Entry::RunStarted { .. } => "run_started",
            Entry::Learnt { .. } => "learnt",
            Entry::CreateStarted { .. } => "create_started",
            Entry::CreateRefused { .. } => "create_refused",
            Entry::Created { .. } => "created",
            Entry::Advanced { .. } => "advanced",
            Entry::UpdateStarted { .. } => "update_started",
            Entry::Relinked { .. } => "relinked",
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
