//! Takes the journal into a new snapshot. A crash anywhere in between is harmless: what a journal
//! says that its snapshot knows already is skipped, and what is left over goes next time.

use std::collections::BTreeSet;

use super::RemoteHome;
use super::conditional_write::{Write, Wrote, asked};
use super::lease::{not_read, not_written, patience};
use super::load::Stored;
use super::object_store::{Condition, Object};
use crate::state::State;
use crate::state::error::HomeError;
use crate::state::snapshot;

impl RemoteHome {
    /// Replaces the snapshot by this state. The one that is replaced becomes the backup, and the
    /// journal since then is kept with it.
    ///
    /// # Errors
    /// When the bucket refuses or the lock is lost; the state there is complete nevertheless.
    pub async fn compact(&mut self, state: &State) -> Result<(), HomeError> {
        self.in_step(state)?;
        let known = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.serial);
        if known == state.serial {
            return Ok(()); // nothing was recorded since
        }
        self.replace_by(state).await
    }

    /// Makes this state the snapshot, and what was the snapshot the backup.
    pub(super) async fn replace_by(&mut self, state: &State) -> Result<(), HomeError> {
        let before = self.replace_snapshot(state).await?;
        if let Some(before) = before {
            self.replace_backup(&before).await?;
            self.tidy(state, before.serial).await?;
        }
        Ok(())
    }

    /// Writes the snapshot, and answers with the one before.
    async fn replace_snapshot(&mut self, state: &State) -> Result<Option<Stored>, HomeError> {
        let (key, bytes) = (self.held.place.snapshot(), snapshot::write(state));
        loop {
            let condition = Condition::unchanged(self.snapshot.as_ref().map(|stored| &stored.etag));
            match self.write(&key, bytes.clone(), condition).await? {
                Wrote::Done(etag) => {
                    let now = Stored { bytes, etag, serial: state.serial };
                    let mut progress = self.progress();
                    (progress.journal_bytes, progress.journal_objects) = (0, 0);
                    drop(progress);
                    return Ok(self.snapshot.replace(now));
                }
                // A holder that is gone may have compacted late what it knew.
                Wrote::Taken(found) => self.snapshot = Some(self.older(state, found)?),
            }
        }
    }

    /// The snapshot that was found in the place of ours, if it says no more than we know.
    fn older(&self, state: &State, found: Option<Object>) -> Result<Stored, HomeError> {
        let older = found.and_then(|Object { bytes, etag, .. }| {
            let known = snapshot::read(&mut bytes.clone()).ok()?.state;
            let fits = known.lineage == state.lineage && known.serial <= state.serial;
            fits.then_some(Stored { bytes, etag, serial: known.serial })
        });
        let path = self.held.place.address(&self.held.place.snapshot());
        older.ok_or(HomeError::Changed { path })
    }

    async fn replace_backup(&self, before: &Stored) -> Result<(), HomeError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let key = place.backup();
        let found = asked(patience(self.held.lease), "GetObject", || bucket.get(&key)).await;
        let found = found.map_err(|source| not_read(place, &key, source))?;
        let condition = Condition::unchanged(found.as_ref().map(|object| &object.etag));
        match self.write(&key, before.bytes.clone(), condition).await? {
            Wrote::Done(_) => Ok(()),
            Wrote::Taken(_) => Err(HomeError::Changed { path: place.address(&key) }),
        }
    }

    pub(super) async fn write(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Condition,
    ) -> Result<Wrote, HomeError> {
        let (held, size) = (&self.held, bytes.len() as u64);
        let write = Write { key: key.to_owned(), bytes, condition };
        let wrote = write.make(&*held.bucket, &held.fence(), patience(held.lease)).await;
        let wrote = wrote.map_err(|error| not_written("write", &held.place, key, error))?;
        let mut progress = self.progress();
        progress.puts += 1;
        if let Wrote::Done(_) = wrote {
            progress.bytes_written += size;
        }
        Ok(wrote)
    }

    /// Deletes what the backup knows of the journal, except the places where holders that are gone
    /// would write.
    async fn tidy(&self, state: &State, backed_up: u64) -> Result<(), HomeError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let (journal, patience) = (place.journal(), patience(self.held.lease));
        let keys = asked(patience, "ListObjectsV2", || bucket.list(&journal, "")).await;
        let keys = keys.map_err(|source| not_read(place, &journal, source))?;
        let firsts_of_runs: BTreeSet<_> = state.runs.iter().map(|run| run.after + 1).collect();
        let is_past = |first: u64| first <= backed_up && !firsts_of_runs.contains(&first);
        let past: Vec<_> =
            keys.into_iter().filter(|key| place.first_of(key).is_some_and(is_past)).collect();
        if past.is_empty() {
            return Ok(());
        }
        self.fence().pass()?;
        let deleted = asked(patience, "DeleteObjects", || bucket.delete(past.clone())).await;
        deleted.map_err(|source| HomeError::Bucket {
            action: "delete",
            path: place.address(&journal),
            source,
        })
    }
}
