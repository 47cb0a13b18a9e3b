//! State backend: dispatches to the local or the remote backend.

use std::future::{Future, ready};
use std::pin::Pin;

use super::error::HomeError;
use super::fence::Fence;
use super::local::LocalHome;
use super::remote::RemoteHome;
use super::{Entry, State};

/// Durable append in progress. Cancel-safe: a caller that drops its wait can wait again, and the
/// append continues.
pub type Written = Pin<Box<dyn Future<Output = Result<(), HomeError>> + Send>>;

/// State backend that is open for writing.
#[derive(Debug)]
pub enum Home {
    /// Local folder.
    Local(LocalHome),
    /// Folder in a bucket.
    Remote(RemoteHome),
}

impl Home {
    /// Starts a durable append of all `entries`, in their order.
    ///
    /// [`State::record`] must have accepted the entries, and they must follow the earlier ones. The
    /// caller hands over the next group only after this one is durable.
    pub fn append(&mut self, entries: &[Entry]) -> Written {
        match self {
            Home::Local(home) => Box::pin(ready(home.append(entries))),
            Home::Remote(home) => home.append(entries),
        }
    }

    /// Returns the epoch of the next run, which the first entry of this holder must contain.
    pub fn epoch(&self, state: &State) -> u64 {
        match self {
            Home::Local(_) => state.epoch() + 1,
            Home::Remote(home) => home.epoch(),
        }
    }

    /// Returns the fence that rejects mutating calls once the lock is lost.
    pub fn fence(&self) -> Fence {
        match self {
            Home::Local(home) => home.fence(),
            Home::Remote(home) => home.fence(),
        }
    }

    /// Releases the lock, so that other runs need not wait for the end of its lease. Called at the
    /// end of every run; the backend writes no more afterwards.
    ///
    /// # Errors
    /// Returns an error if the release fails; other runs then wait for the end of the lease.
    pub async fn leave(&mut self) -> Result<(), HomeError> {
        match self {
            Home::Local(_) => Ok(()), // whose lock goes with it
            Home::Remote(home) => home.leave().await,
        }
    }

    /// Allows the next [`install`](Self::install) to use another lineage. The recorded state must
    /// [have nothing](State::has_nothing).
    ///
    /// # Errors
    /// Returns an error if the write fails. The recorded state still has nothing then.
    pub fn give_way(&mut self) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.give_way(),
            Home::Remote(home) => {
                home.give_way();
                Ok(())
            }
        }
    }

    /// Replaces the recorded state by `state`. The new serial must not be smaller than the recorded
    /// one. The lineage may differ only if the recorded state is empty or has given way.
    ///
    /// # Errors
    /// Returns an error if the write fails. The backend then contains one state or the other.
    pub async fn install(&mut self, state: &State) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.install(state),
            Home::Remote(home) => home.install(state).await,
        }
    }

    /// Marks the state permanently as moved to another location. Opening it reports the new
    /// location.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn retire(&mut self, to: &str) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.retire(to),
            Home::Remote(home) => home.retire(to).await,
        }
    }

    /// Removes the mark of [`retire`](Self::retire), if there is one.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn welcome(&mut self) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.welcome(),
            Home::Remote(home) => home.welcome().await,
        }
    }

    /// Compacts the state if that is worth its cost.
    ///
    /// # Errors
    /// Returns an error if the write fails. The recorded state is complete nevertheless.
    pub async fn close(&mut self, state: &State) -> Result<(), HomeError> {
        match self {
            Home::Local(home) => home.close(state),
            Home::Remote(home) => home.close(state).await,
        }
    }
}
