//! Where a state lives, whatever kind of place that is. Hands everything on and decides nothing.

use std::future::{Future, ready};
use std::pin::Pin;

use super::error::HomeError;
use super::fence::Fence;
use super::local::LocalHome;
use super::remote::RemoteHome;
use super::{Entry, State};

/// Entries on their way to where they are durable. Does its work on its own: whoever waits for it may
/// stop waiting and begin again.
pub type Written = Pin<Box<dyn Future<Output = Result<(), HomeError>> + Send>>;

/// The home of a state that is written to.
#[derive(Debug)]
pub enum Home {
    /// A folder.
    Local(LocalHome),
    /// A folder of a bucket.
    Remote(RemoteHome),
}

impl Home {
    /// Begins to make the entries durable, all of them, in their order. They must be what
    /// [`State::record`] has accepted, and follow what was written before: the next group is handed
    /// over when this one is durable.
    pub fn append(&mut self, entries: &[Entry]) -> Written {
        match self {
            Home::Local(home) => Box::pin(ready(home.append(entries))),
            Home::Remote(home) => home.append(entries),
        }
    }

    /// The epoch of the next run: what the first entry of this holder must say.
    pub fn epoch(&self, state: &State) -> u64 {
        match self {
            Home::Local(_) => state.epoch() + 1,
            Home::Remote(home) => home.epoch(),
        }
    }

    /// What stands between whoever has lost the lock and the cloud.
    pub fn fence(&self) -> Fence {
        match self {
            Home::Local(home) => home.fence(),
            Home::Remote(home) => home.fence(),
        }
    }

    /// Gives the lock back where the home holds one, so that nobody need wait until it runs out. To be
    /// called however a run ends; the home writes nothing after it.
    ///
    /// # Errors
    /// When it cannot be given back: then others must wait.
    pub async fn leave(&mut self) -> Result<(), HomeError> {
        match self {
            Home::Local(_) => Ok(()), // whose lock goes with it
            Home::Remote(home) => home.leave().await,
        }
    }

    /// Lets whatever is installed next take the place of what is recorded, though it is of another
    /// lineage. For a state that [has nothing](State::has_nothing).
    ///
    /// # Errors
    /// When that cannot be written. What is there then has nothing, as before.
    pub fn give_way(&mut self) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.give_way(),
            Home::Remote(home) => {
                home.give_way();
                Ok(())
            }
        }
    }

    /// Puts another state in the place of this one, as it is. What it has recorded must not be less
    /// than what is recorded here, or the lineage another and nothing recorded here.
    ///
    /// # Errors
    /// When it cannot be written. What is there then is the one or the other.
    pub async fn install(&mut self, state: &State) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.install(state),
            Home::Remote(home) => home.install(state).await,
        }
    }

    /// Says of the state, for good, that it was moved to another home: whoever opens it is told so.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn retire(&mut self, to: &str) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.retire(to),
            Home::Remote(home) => home.retire(to).await,
        }
    }

    /// Takes back what [`retire`](Self::retire) has said, if it has: the state is at home again.
    ///
    /// # Errors
    /// When that cannot be written.
    pub async fn welcome(&mut self) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.welcome(),
            Home::Remote(home) => home.welcome().await,
        }
    }

    /// Leaves the state as compact as it is worth.
    ///
    /// # Errors
    /// When it cannot be written; what is recorded is complete nevertheless.
    pub async fn close(&mut self, state: &State) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.close(state),
            Home::Remote(home) => home.close(state).await,
        }
    }
}
