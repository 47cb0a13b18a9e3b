//! Walks a plan, as much at once as allowed. Never decides, never prints.
//!
//! One loop owns the state, the journal, the frontier and the events, so that all four tell the
//! same story in the same order; tasks only talk to the provider. What a call announces is durable
//! before the call leaves; while it is being written, the walk goes on.
//!
//! - [`frontier`]: which step may start, plain data.
//! - [`commit_queue`]: what is recorded and not durable yet, and what waits for it.
//! - [`step_run`]: where one step is: which call comes next and what an answer means.
//! - [`executor`]: the loop and what leaves it; [`responses`] and [`polling`]: what comes back.

mod commit_queue;
mod executor;
mod frontier;
mod polling;
mod responses;
mod step_run;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::event::{Event, Summary};
use crate::plan::Plan;
use crate::provider::Provider;
use crate::secret::Secrets;
use crate::state::backend::Written;
use crate::state::error::HomeError;
use crate::state::fence::Fence;
use crate::state::{Entry, State};

/// Where the journal and the renderers plug in; called in one order, from one place.
pub trait Observer {
    /// Begins to make the entries durable: the calls they announce leave when that is done, and
    /// the next entries are handed over only then. When it fails, nothing that was announced is
    /// done, and the walk is over.
    fn journal(&mut self, entries: Vec<Entry>) -> Written;
    /// Tells whoever listens.
    fn event(&mut self, event: &Event);
}

/// How a walk goes about it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many calls may be in flight; waiting for readiness does not count.
    pub parallelism: usize,
    /// How long a stop waits for the calls that are in flight.
    pub grace: Duration,
    /// How long a call that may yet go through is repeated.
    pub patience: Duration,
    /// The same for deletions, which wait for whatever still holds the object to go away.
    pub patience_to_delete: Duration,
    /// How long something whose creation was not answered is looked for before it is asked for
    /// again, where asking twice could make two: EC2's describes are eventually consistent.
    pub settle: Duration,
    /// What stands between us and the cloud once the lock of the state is not ours any more.
    pub fence: Fence,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            parallelism: 32,
            grace: Duration::from_secs(5),
            patience: Duration::from_secs(180),
            patience_to_delete: Duration::from_secs(900),
            settle: Duration::from_secs(15),
            fence: Fence::open(),
        }
    }
}

/// Asks a walk to start nothing new; clones ask the same walk.
#[derive(Clone, Debug, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Asks.
    pub fn stop(&self) {
        self.0.cancel();
    }

    /// What is cancelled then, for those who wait for such a thing.
    pub fn token(&self) -> &CancellationToken {
        &self.0
    }

    /// Waits until somebody asks.
    pub async fn stopped(&self) {
        self.0.cancelled().await;
    }

    /// Whether it was asked.
    pub fn is_stopped(&self) -> bool {
        self.0.is_cancelled()
    }

    /// A fence that also stands between what is under way and the cloud once a stop was asked for.
    pub fn shuts(&self, fence: Fence) -> Fence {
        let stop = self.clone();
        fence.until(move || if stop.is_stopped() { Err(HomeError::Stopping) } else { Ok(()) })
    }
}

/// How a walk ended; always with a state, even when things failed.
#[derive(Debug)]
pub struct Outcome {
    /// What exists now.
    pub state: State,
    /// How it went.
    pub summary: Summary,
    /// Whether it was stopped.
    pub stopped: bool,
    /// Why the journal could not be written, if that ended the walk. What the state has beyond the
    /// last entry that was written is then known to nobody else.
    pub journal_error: Option<HomeError>,
}

/// Walks the steps of a plan that was made from this state.
pub async fn apply(
    plan: &Plan,
    state: State,
    provider: Arc<dyn Provider>,
    secrets: Arc<Secrets>,
    settings: &Settings,
    stop: &Stop,
    observer: &mut dyn Observer,
) -> Outcome {
    let cloud = executor::Cloud { provider, secrets };
    executor::Walk::new(plan, state, cloud, settings, observer).finish(stop).await
}
