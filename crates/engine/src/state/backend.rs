//! State backend: dispatches to the local or the remote backend.

use std::future::{Future, ready};
use std::pin::Pin;

use super::error::StateError;
use super::fence::Fence;
use super::local::LocalBackend;
use super::remote::RemoteBackend;
use super::{Entry, State};

/// Durable append in progress. Cancel-safe: a caller that drops its wait can wait again, and the
/// append continues.
pub type DurableWrite = Pin<Box<dyn Future<Output = Result<(), StateError>> + Send>>;

/// State backend that is open for writing.
#[derive(Debug)]
pub enum StateBackend {
    /// Local folder.
    Local(LocalBackend),
    /// Folder in a bucket.
    Remote(RemoteBackend),
}

impl StateBackend {
    /// Starts a durable append of all `entries`, in their order.
    ///
    /// [`State::record`] must have accepted the entries, and they must follow the earlier ones. The
    /// caller hands over the next group only after this one is durable.
    pub fn append(&mut self, entries: &[Entry]) -> DurableWrite {
        match self {
            StateBackend::Local(backend) => Box::pin(ready(backend.append(entries))),
            StateBackend::Remote(backend) => backend.append(entries),
        }
    }

    /// Returns the epoch of the next run, which the first entry of this holder must contain.
    pub fn epoch(&self, state: &State) -> u64 {
        match self {
            StateBackend::Local(_) => state.epoch() + 1,
            StateBackend::Remote(backend) => backend.epoch(),
        }
    }

    /// Returns the fence that rejects mutating calls once the lock is lost.
    pub fn fence(&self) -> Fence {
        match self {
            StateBackend::Local(backend) => backend.fence(),
            StateBackend::Remote(backend) => backend.fence(),
        }
    }

    /// Releases the lock, so that other runs need not wait for the end of its lease. Called at the
    /// end of every run; the backend writes no more afterwards.
    ///
    /// # Errors
    /// Returns an error if the release fails; other runs then wait for the end of the lease.
    pub async fn leave(&mut self) -> Result<(), StateError> {
        match self {
            StateBackend::Local(_) => Ok(()), // whose lock goes with it
            StateBackend::Remote(backend) => backend.leave().await,
        }
    }

    /// Allows the next [`install`](Self::install) to use another lineage. The recorded state must
    /// [have nothing](State::has_nothing).
    ///
    /// # Errors
    /// Returns an error if the write fails. The recorded state still has nothing then.
    pub fn accept_new_lineage(&mut self) -> Result<(), StateError> {
        match self {
            StateBackend::Local(backend) => backend.accept_new_lineage(),
            StateBackend::Remote(backend) => {
                backend.accept_new_lineage();
                Ok(())
            }
        }
    }

    /// Replaces the recorded state by `state`. The new serial must not be smaller than the recorded
    /// one. The lineage may differ only if the recorded state is empty or has given way.
    ///
    /// # Errors
    /// Returns an error if the write fails. The backend then contains one state or the other.
    pub async fn install(&mut self, state: &State) -> Result<(), StateError> {
        match self {
            StateBackend::Local(backend) => backend.install(state),
            StateBackend::Remote(backend) => backend.install(state).await,
        }
    }

    /// Marks the state permanently as moved to another location. Opening it reports the new
    /// location.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn mark_moved(&mut self, to: &str) -> Result<(), StateError> {
        match self {
            StateBackend::Local(backend) => backend.mark_moved(to),
            StateBackend::Remote(backend) => backend.mark_moved(to).await,
        }
    }

    /// Removes the mark of [`mark_moved`](Self::mark_moved), if there is one.
    ///
    /// # Errors
    /// Returns an error if the write fails.
    pub async fn unmark_moved(&mut self) -> Result<(), StateError> {
        match self {
            StateBackend::Local(backend) => backend.unmark_moved(),
            StateBackend::Remote(backend) => backend.unmark_moved().await,
        }
    }

    /// Compacts the state if that is worth its cost.
    ///
    /// # Errors
    /// Returns an error if the write fails. The recorded state is complete nevertheless.
    pub async fn close(&mut self, state: &State) -> Result<(), StateError> {
        match self {
            StateBackend::Local(backend) => backend.close(state),
            StateBackend::Remote(backend) => backend.close(state).await,
        }
    }
}
