//! Execution of a plan, with as much concurrency as allowed. The executor decides only timing and
//! prints nothing.
//!
//! One loop owns the state, the journal, the frontier and the events, so that all four agree in
//! content and order. Tasks only call the provider. The intent of a call is durable before the call
//! is sent; the loop continues during the write.
//!
//! - `frontier`: steps that can start, as plain data.
//! - `commit_queue`: commit queue of entries that are not durable yet, with the calls and events that
//!   wait.
//! - `step_machine`: decisions of one step, as a pure state machine. `call`: calls that it chooses.
//! - `executor`: the loop, which performs the effects of the steps. `polling`: polls that several
//!   steps share.
//! - `gate`: check between the first creation and the other steps.
//! - `error`: errors of steps.

mod call;
mod commit_queue;
mod error;
mod executor;
mod frontier;
mod gate;
mod polling;
mod step_machine;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

pub use self::error::StepError;
pub use self::gate::{Gate, GateDecision};
use crate::event::{Event, StepName, Summary};
use crate::plan::Plan;
use crate::provider::Provider;
use crate::secret::Secrets;
use crate::state::backend::DurableWrite;
use crate::state::error::StateError;
use crate::state::fence::Fence;
use crate::state::{Entry, State};

/// Interface to the journal and the renderers. One caller uses it, in one order.
pub trait Observer {
    /// Starts a durable append of `entries`. The announced calls are sent after the future
    /// resolves, and at most one append is in flight. On an error no announced call is sent and the
    /// run ends.
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite;
    /// Sends an event to the renderers.
    fn event(&mut self, event: &Event);
}

/// Settings of an execution.
#[derive(Clone, Debug)]
pub struct ApplySettings {
    /// Maximum number of calls in flight. Polls do not count.
    pub parallelism: usize,
    /// Maximum wait for calls in flight after a shutdown request.
    pub grace: Duration,
    /// Retry budget of a call.
    pub patience: Duration,
    /// Retry budget of a deletion, which waits for the deletion of blocking resources.
    pub patience_to_delete: Duration,
    /// Maximum time until a resource is ready or deleted. `None` means the maximum of its kind.
    pub wait: Option<Duration>,
    /// Time to search for a resource that may exist and is not visible yet. The search precedes a
    /// repeated create call that could create a second resource, and the record that a resource is
    /// gone. Describe calls of clouds are eventually consistent.
    pub settle: Duration,
    /// Fence that rejects calls after the state lock is lost.
    pub fence: Fence,
    /// Check after the first creation. `None` means that nothing is checked.
    pub gate: Option<Arc<dyn Gate>>,
}

impl Default for ApplySettings {
    fn default() -> Self {
        Self {
            parallelism: 32,
            grace: Duration::from_secs(5),
            patience: Duration::from_secs(180),
            patience_to_delete: Duration::from_secs(900),
            wait: None,
            settle: Duration::from_secs(15),
            fence: Fence::open(),
            gate: None,
        }
    }
}

/// Shutdown request: the executor starts no new step. Clones belong to the same execution.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// Requests the shutdown.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// Returns the cancellation token behind the request.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }

    /// Waits until a shutdown is requested.
    pub async fn stopped(&self) {
        self.0.cancelled().await;
    }

    /// Returns true after a shutdown was requested.
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Returns a fence that also rejects calls after a shutdown was requested.
    pub fn or_shutdown(&self, fence: Fence) -> Fence {
        let stop = self.clone();
        fence.until(move || if stop.is_stopped() { Err(StateError::Stopping) } else { Ok(()) })
    }
}

/// Result of an execution. Contains the state even after failures.
#[derive(Debug)]
pub struct ApplyOutcome {
    /// State at the end.
    pub state: State,
    /// Numbers of the result.
    pub summary: Summary,
    /// Failed steps, in order of occurrence.
    pub failures: Vec<StepFailure>,
    /// True after a shutdown.
    pub stopped: bool,
    /// True if the gate closed, so that later steps did not start.
    pub closed: bool,
    /// Error of the journal write that ended the execution. Changes of the state after the last
    /// durable entry then exist only in this value.
    pub journal_error: Option<StateError>,
}

/// Failed step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepFailure {
    /// The step.
    pub step: StepName,
    /// Error that ended the step.
    pub error: StepError,
}

/// Executes the steps of a plan that was made from `state`.
pub async fn apply(
    plan: &Plan,
    state: State,
    provider: Arc<dyn Provider>,
    secrets: Arc<Secrets>,
    settings: &ApplySettings,
    stop: &Shutdown,
    observer: &mut dyn Observer,
) -> ApplyOutcome {
    let cloud = executor::TaskContext { provider, secrets };
    executor::Executor::new(plan, state, cloud, settings, observer).finish(stop).await
}
