//! Events of a run, as a closed list.
//!
//! The engine emits events and renderers consume them; no other module prints. Every event about a
//! resource contains its address and generation, which distinguish the old and the new object of a
//! replacement. No event contains an input, and therefore none contains a secret.

use serde::{Deserialize, Serialize};

use crate::graph::Address;
use crate::provider::ProviderError;

/// Version of the event stream; the first line of a stream contains it.
pub const EVENTS_VERSION: &str = "1.1";

/// Progress message of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// The execution begins.
    Started {
        /// Operation of the run.
        operation: Operation,
        /// Number of steps.
        steps: usize,
        /// Seconds along the longest path, from the kinds' typical durations.
        critical_path_seconds: u64,
    },
    /// The first call of a step is about to be sent.
    StepStarted {
        /// The step.
        step: StepName,
    },
    /// A call failed with an error that does not fail the step. The step continues after a pause.
    StepRetrying {
        /// The step.
        step: StepName,
        /// Error of the call.
        error: ReportedError,
        /// Pause in milliseconds.
        after_ms: u64,
    },
    /// All calls of a step are done; the step waits for the cloud.
    StepWaiting {
        /// The step.
        step: StepName,
        /// Status that the cloud reports.
        word: String,
        /// Milliseconds since the start of the step.
        elapsed_ms: u64,
    },
    /// A step is done.
    StepFinished {
        /// The step.
        step: StepName,
        /// ID that the cloud gave to the resource.
        id: Option<String>,
        /// Milliseconds since the start of the step.
        elapsed_ms: u64,
    },
    /// A step failed. Steps that do not depend on the failed step continue.
    StepFailed {
        /// The step.
        step: StepName,
        /// Error of the step.
        error: ReportedError,
        /// Milliseconds since the start of the step.
        elapsed_ms: u64,
    },
    /// A step could not start because one of its dependencies failed.
    StepSkipped {
        /// The step.
        step: StepName,
        /// Address of the failed step.
        because: Address,
    },
    /// The run was stopped while this step waited or was in flight. The next run continues the
    /// step.
    StepAbandoned {
        /// The step.
        step: StepName,
    },
    /// A signal was received: no new step starts.
    Stopping {
        /// Number of calls in flight.
        in_flight: usize,
        /// Seconds that the run waits for the calls in flight.
        within_seconds: u64,
    },
    /// Warning for the user.
    Warning {
        /// Text of the warning.
        message: String,
    },
    /// The execution is over.
    Finished {
        /// Operation of the run.
        operation: Operation,
        /// Result in numbers.
        summary: Summary,
    },
}

/// Operation of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// Creates, changes and deletes resources according to the configuration.
    Apply,
    /// Deletes all resources.
    Destroy,
}

/// Name of a step: action, address and generation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepName {
    /// Address of the resource.
    pub address: Address,
    /// Generation of the resource.
    pub generation: u64,
    /// Action of the step.
    pub action: StepAction,
}

/// Action of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepAction {
    /// Creates the resource.
    Create,
    /// Finishes a creation that an earlier run began.
    Finish,
    /// Changes the resource in place.
    Update,
    /// Deletes the resource.
    Delete,
}

/// Error of a step in the form that is reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportedError {
    /// Kind of the error. Not part of the event stream: a fault that is read from one is
    /// [`FaultKind::Call`].
    #[serde(skip)]
    pub kind: FaultKind,
    /// Name of the call in the cloud's API.
    pub call: String,
    /// Error code in the cloud's API.
    pub code: Option<String>,
    /// Message of the cloud.
    pub message: String,
    /// Request ID for the support of the cloud.
    pub request_id: Option<String>,
    /// Advice for the user.
    pub hint: Option<String>,
}

/// Kind of a reported error: a failed call, or a refusal of the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FaultKind {
    /// A call failed.
    #[default]
    Call,
    /// A call was not sent: the state lock is lost, a shutdown was requested, or the command only
    /// reads.
    Withheld,
    /// The user has protected the resource.
    Protected,
    /// The plan was made from incomplete live state.
    PlanOutdated,
    /// A wait has lasted too long.
    TimedOut,
    /// The code of the provider panicked.
    Panicked,
}

impl From<&ProviderError> for ReportedError {
    fn from(error: &ProviderError) -> Self {
        Self {
            kind: if error.is_withheld() { FaultKind::Withheld } else { FaultKind::Call },
            call: error.call.clone(),
            code: error.code.clone(),
            message: error.message.clone(),
            request_id: error.request_id.clone(),
            hint: error.hint.clone(),
        }
    }
}

/// Result of a run in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// Number of created resources, including finished creations.
    pub added: usize,
    /// Number of resources changed in place.
    pub changed: usize,
    /// Number of deleted resources.
    pub destroyed: usize,
    /// Number of failed steps.
    pub failed: usize,
    /// Number of steps that did not start because a dependency failed.
    pub skipped: usize,
    /// Number of steps that a shutdown left for the next run.
    pub abandoned: usize,
}

impl Summary {
    /// Returns true if every step succeeded.
    pub fn complete(&self) -> bool {
        self.failed == 0 && self.skipped == 0 && self.abandoned == 0
    }
}
