//! Moves of a state from another location to this one, or from here to another.

use std::collections::BTreeMap;

use super::RemoteBackend;
use super::conditional_write::{ConditionalWrite, RetryBudget, WriteOutcome, retry_idempotent};
use super::layout::Layout;
use super::lease::{not_read, not_written, patience};
use super::object_store::{ObjectStore, Precondition};
use crate::state::error::StateError;
use crate::state::journal::{self, JournalHeader};
use crate::state::lock::LockHolder;
use crate::state::{Entry, RunRecord, State};

impl RemoteBackend {
    /// Installs a state; see [`StateBackend::install`](crate::state::backend::StateBackend::install). The serial of
    /// `state` must be greater than the recorded one.
    ///
    /// # Errors
    /// Returns an error if the bucket rejects a write, the lock is lost, or serial or lineage do
    /// not fit.
    pub async fn install(&mut self, state: &State) -> Result<(), StateError> {
        let recorded = self.progress().serial;
        let is_foreign = recorded > 0 && state.lineage != self.lineage && !self.accepts_new_lineage;
        if state.serial <= recorded || is_foreign {
            let path = self.held.place.folder();
            return Err(StateError::OutOfStep { path, given: state.serial, recorded });
        }
        if !self.progress().begun {
            self.block_former_holder(state, recorded).await?;
        }
        self.lineage.clone_from(&state.lineage);
        self.format = state.format;
        self.replace_by(state).await?;
        self.goes_on_from(state.serial);
        self.held.has_recorded(state.serial);
        self.held.outrun(state.epoch()).await
    }

    /// Allows another lineage; see [`StateBackend::accept_new_lineage`](crate::state::backend::StateBackend::accept_new_lineage).
    pub fn accept_new_lineage(&mut self) {
        self.accepts_new_lineage = true;
    }

    /// Sets the serial. The next entries must begin a new run.
    fn goes_on_from(&self, serial: u64) {
        let mut progress = self.progress();
        (progress.serial, progress.handed_over, progress.begun) = (serial, serial, false);
    }

    /// Takes the key at which a former holder would write next, as the first entry of a run does.
    /// The snapshot that follows covers this object, so no process ever reads it.
    async fn block_former_holder(&self, state: &State, recorded: u64) -> Result<(), StateError> {
        let run = RunRecord {
            epoch: self.epoch(),
            operation: "install".to_owned(),
            at: String::new(),
            by: LockHolder::this_process("install").who(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            after: recorded,
            infra_id: None,
            unknown: BTreeMap::new(),
        };
        let known = if recorded == 0 { &state.lineage } else { &self.lineage };
        let (format, lineage) = (self.format, known.clone());
        let mut bytes = Vec::new();
        journal::push_header(&mut bytes, &JournalHeader { format, lineage, base: recorded });
        let entry = Entry::RunStarted { run };
        journal::push_record(&mut bytes, known, recorded + 1, &entry);
        let key = self.held.place.group(recorded + 1);
        match self.write(&key, bytes, Precondition::Absent).await? {
            WriteOutcome::Done(_) => Ok(()),
            WriteOutcome::Taken(_) => {
                Err(StateError::Changed { path: self.held.place.address(&key) })
            }
        }
    }

    /// Marks the state as moved; see [`StateBackend::mark_moved`](crate::state::backend::StateBackend::mark_moved).
    ///
    /// # Errors
    /// Returns an error if the bucket rejects the write or the lock is lost.
    pub async fn mark_moved(&mut self, to: &str) -> Result<(), StateError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let key = place.moved();
        let patience = patience(self.held.lease);
        let found = retry_idempotent(patience, "GetObject", || bucket.get(&key)).await;
        let found = found.map_err(|source| not_read(place, &key, source))?;
        let condition = Precondition::unchanged(found.as_ref().map(|object| &object.etag));
        let write =
            ConditionalWrite { key: key.clone(), bytes: format!("{to}\n").into_bytes(), condition };
        match write.make(bucket, &self.fence(), patience).await {
            Ok(WriteOutcome::Done(_)) => Ok(()),
            Ok(WriteOutcome::Taken(_)) => Err(StateError::Changed { path: place.address(&key) }),
            Err(unwritten) => Err(not_written("write", place, &key, unwritten)),
        }
    }

    /// Removes the mark of a moved state; see [`StateBackend::unmark_moved`](crate::state::backend::StateBackend::unmark_moved).
    ///
    /// # Errors
    /// Returns an error if the bucket rejects the deletion or the lock is lost.
    pub async fn unmark_moved(&mut self) -> Result<(), StateError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let key = place.moved();
        self.fence().pass()?;
        let deleted = || bucket.delete(vec![key.clone()]);
        let deleted = retry_idempotent(patience(self.held.lease), "DeleteObjects", deleted).await;
        deleted.map_err(|source| StateError::Bucket {
            action: "delete",
            path: place.address(&key),
            source,
        })
    }
}

/// Returns the location that the state was moved to; `None` if it was not moved.
pub(super) async fn moved_to(
    bucket: &dyn ObjectStore,
    place: &Layout,
    patience: RetryBudget,
) -> Result<Option<String>, StateError> {
    let key = place.moved();
    let found = retry_idempotent(patience, "GetObject", || bucket.get(&key)).await;
    let found = found.map_err(|source| not_read(place, &key, source))?;
    Ok(found.map(|object| String::from_utf8_lossy(&object.bytes).trim().to_owned()))
}

/// Returns an error if the state was moved to another location.
pub(super) async fn still_here(
    bucket: &dyn ObjectStore,
    place: &Layout,
    patience: RetryBudget,
) -> Result<(), StateError> {
    match moved_to(bucket, place, patience).await? {
        None => Ok(()),
        Some(to) => Err(StateError::Moved { path: place.folder(), to }),
    }
}
