//! Everything that can be said about a run, as a closed list.
//!
//! The engine emits events and renderers consume them; nobody else prints. Every event about a
//! resource names its address and generation, so that the old and the new object of a replacement
//! are told apart. No event holds an input, so none can hold a secret.

use serde::{Deserialize, Serialize};

use crate::graph::Address;
use crate::provider::ProviderError;

/// The version of the event stream, first thing said in it.
pub const EVENTS_VERSION: &str = "1.0";

/// One thing that happened in a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The walk begins.
    Started {
        /// What is being done.
        operation: Operation,
        /// How many steps there are.
        steps: usize,
        /// Seconds along the longest path, by the kinds' typical durations.
        critical_path_seconds: u64,
    },
    /// A step's first call is about to leave.
    StepStarted {
        /// Which step.
        step: StepName,
    },
    /// A call failed in a way that passes; it is made again after a pause.
    StepRetrying {
        /// Which step.
        step: StepName,
        /// What failed.
        error: Fault,
        /// The pause.
        after_ms: u64,
    },
    /// The calls are made; the cloud takes its time.
    StepWaiting {
        /// Which step.
        step: StepName,
        /// How far the cloud says it is.
        word: String,
        /// Since the step started.
        elapsed_ms: u64,
    },
    /// A step is done.
    StepFinished {
        /// Which step.
        step: StepName,
        /// The id the cloud gave it.
        id: Option<String>,
        /// Since the step started.
        elapsed_ms: u64,
    },
    /// A step failed. Everything that did not need it goes on.
    StepFailed {
        /// Which step.
        step: StepName,
        /// What failed.
        error: Fault,
        /// Since the step started.
        elapsed_ms: u64,
    },
    /// A step could not start because one that it needed failed.
    StepSkipped {
        /// Which step.
        step: StepName,
        /// The address of the step that failed.
        because: Address,
    },
    /// The run was stopped while this step waited or was in flight; the next run continues it.
    StepAbandoned {
        /// Which step.
        step: StepName,
    },
    /// A signal was received: nothing new starts.
    Stopping {
        /// How many calls are in flight.
        in_flight: usize,
        /// How long they are waited for.
        within_seconds: u64,
    },
    /// Something the reader should know.
    Warning {
        /// What.
        message: String,
    },
    /// The walk is over.
    Finished {
        /// What was done.
        operation: Operation,
        /// How it went.
        summary: Summary,
    },
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Makes the cloud what the configuration says.
    Apply,
    /// Deletes everything.
    Destroy,
}

/// Which step of a run: what is done to which life of which resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepName {
    /// The resource.
    pub address: Address,
    /// Which of its lives.
    pub generation: u64,
    /// What is done to it.
    pub action: StepAction,
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// Makes it.
    Create,
    /// Finishes a creation that an earlier run began.
    Finish,
    /// Changes it in place.
    Update,
    /// Deletes it.
    Delete,
}

/// A provider's error as it is reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The call, as AWS names it.
    pub call: String,
    /// The error code, as AWS names it.
    pub code: Option<String>,
    /// What the cloud said.
    pub message: String,
    /// What to quote to AWS support.
    pub request_id: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
}

impl From<&ProviderError> for Fault {
    fn from(error: &ProviderError) -> Self {
        Self {
            call: error.call.clone(),
            code: error.code.clone(),
            message: error.message.clone(),
            request_id: error.request_id.clone(),
            hint: error.hint.clone(),
        }
    }
}

/// How a run went, in numbers of resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Made, or their making finished.
    pub added: usize,
    /// Changed in place.
    pub changed: usize,
    /// Deleted.
    pub destroyed: usize,
    /// Failed.
    pub failed: usize,
    /// Not started because what they needed failed.
    pub skipped: usize,
    /// Left for the next run by a stop.
    pub abandoned: usize,
}

impl Summary {
    /// Whether every step was done.
    pub fn complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && self.abandoned == 0
    }
}
