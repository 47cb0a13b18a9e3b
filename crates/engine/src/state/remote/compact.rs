//! Compaction: writes a new snapshot and deletes old journal objects. A crash in between is
//! harmless. Journal records that the snapshot contains are skipped, and the next compaction
//! deletes the rest.

use std::collections::BTreeSet;

use super::RemoteBackend;
use super::conditional_write::{ConditionalWrite, WriteOutcome, retry_idempotent};
use super::lease::{not_read, not_written, patience};
use super::load::StoredSnapshot;
use super::object_store::{Precondition, StoredObject};
use crate::state::State;
use crate::state::error::StateError;
use crate::state::snapshot;

impl RemoteBackend {
    /// Replaces the snapshot by this state. The replaced one becomes the backup and keeps the
    /// journal after it.
    ///
    /// # Errors
    /// Returns an error if the bucket rejects a write or the lock is lost. The state in the bucket
    /// is complete nevertheless.
    pub async fn compact(&mut self, state: &State) -> Result<(), StateError> {
        self.in_step(state)?;
        let known = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.serial);
        if known == state.serial {
            return Ok(()); // nothing was recorded since
        }
        self.replace_by(state).await
    }

    /// Writes this state as the snapshot, and the previous snapshot as the backup.
    pub(super) async fn replace_by(&mut self, state: &State) -> Result<(), StateError> {
        let before = self.replace_snapshot(state).await?;
        if let Some(before) = before {
            self.replace_backup(&before).await?;
            self.tidy(state, before.serial).await?;
        }
        Ok(())
    }

    /// Writes the snapshot and returns the previous one.
    async fn replace_snapshot(
        &mut self,
        state: &State,
    ) -> Result<Option<StoredSnapshot>, StateError> {
        let (key, bytes) = (self.held.place.snapshot(), snapshot::write(state));
        loop {
            let condition =
                Precondition::unchanged(self.snapshot.as_ref().map(|stored| &stored.etag));
            match self.write(&key, bytes.clone(), condition).await? {
                WriteOutcome::Done(etag) => {
                    let now = StoredSnapshot { bytes, etag, serial: state.serial };
                    let mut progress = self.progress();
                    (progress.journal_bytes, progress.journal_objects) = (0, 0);
                    drop(progress);
                    return Ok(self.snapshot.replace(now));
                }
                // A former holder may have compacted late, with the records that it had.
                WriteOutcome::Taken(found) => self.snapshot = Some(self.older(state, found)?),
            }
        }
    }

    /// Returns the snapshot that another holder wrote, if `state` contains all its records.
    fn older(
        &self,
        state: &State,
        found: Option<StoredObject>,
    ) -> Result<StoredSnapshot, StateError> {
        let older = found.and_then(|StoredObject { bytes, etag, .. }| {
            let known = snapshot::read(&mut bytes.clone()).ok()?.state;
            let fits = known.lineage == state.lineage && known.serial <= state.serial;
            fits.then_some(StoredSnapshot { bytes, etag, serial: known.serial })
        });
        let path = self.held.place.address(&self.held.place.snapshot());
        older.ok_or(StateError::Changed { path })
    }

    async fn replace_backup(&self, before: &StoredSnapshot) -> Result<(), StateError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let key = place.backup();
        let found =
            retry_idempotent(patience(self.held.lease), "GetObject", || bucket.get(&key)).await;
        let found = found.map_err(|source| not_read(place, &key, source))?;
        let condition = Precondition::unchanged(found.as_ref().map(|object| &object.etag));
        match self.write(&key, before.bytes.clone(), condition).await? {
            WriteOutcome::Done(_) => Ok(()),
            WriteOutcome::Taken(_) => Err(StateError::Changed { path: place.address(&key) }),
        }
    }

    pub(super) async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Precondition,
    ) -> Result<WriteOutcome, StateError> {
        let (held, size) = (&self.held, bytes.len() as u64);
        let write = ConditionalWrite { key: key.to_owned(), bytes, condition };
        let wrote = write.make(&*held.bucket, &held.fence(), patience(held.lease)).await;
        let wrote = wrote.map_err(|error| not_written("write", &held.place, key, error))?;
        let mut progress = self.progress();
        progress.puts += 1;
        if let WriteOutcome::Done(_) = wrote {
            progress.bytes_written += size;
        }
        Ok(wrote)
    }

    /// Deletes the journal objects that the backup covers, except the keys at which former holders
    /// would write.
    async fn tidy(&self, state: &State, backed_up: u64) -> Result<(), StateError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let (journal, patience) = (place.journal(), patience(self.held.lease));
        let keys = retry_idempotent(patience, "ListObjectsV2", || bucket.list(&journal, "")).await;
        let keys = keys.map_err(|source| not_read(place, &journal, source))?;
        let firsts_of_runs: BTreeSet<_> = state.runs.iter().map(|run| run.after + 1).collect();
        let is_past = |first: u64| first <= backed_up && !firsts_of_runs.contains(&first);
        let past: Vec<_> =
            keys.into_iter().filter(|key| place.first_of(key).is_some_and(is_past)).collect();
        if past.is_empty() {
            return Ok(());
        }
        self.fence().pass()?;
        let deleted =
            retry_idempotent(patience, "DeleteObjects", || bucket.delete(past.clone())).await;
        deleted.map_err(|source| StateError::Bucket {
            action: "delete",
            path: place.address(&journal),
            source,
        })
    }
}
