//! Moves of a state from another location to this one, or from here to another.

use std::collections::BTreeMap;

use super::RemoteHome;
use super::conditional_write::{Patience, Write, Wrote, asked};
use super::layout::Layout;
use super::lease::{not_read, not_written, patience};
use super::object_store::{Bucket, Condition};
use crate::state::error::HomeError;
use crate::state::journal::{self, Header};
use crate::state::lock::Holder;
use crate::state::{Entry, Run, State};

impl RemoteHome {
    /// Installs a state; see [`Home::install`](crate::state::backend::Home::install). The serial of
    /// `state` must be greater than the recorded one.
    ///
    /// # Errors
    /// Returns an error if the bucket rejects a write, the lock is lost, or serial or lineage do
    /// not fit.
    pub async fn install(&mut self, state: &State) -> Result<(), HomeError> {
        let recorded = self.progress().serial;
        let is_foreign = recorded > 0 && state.lineage != self.lineage && !self.gives_way;
        if state.serial <= recorded || is_foreign {
            let path = self.held.place.folder();
            return Err(HomeError::OutOfStep { path, given: state.serial, recorded });
        }
        if !self.progress().begun {
            self.bar_the_way(state, recorded).await?;
        }
        self.lineage.clone_from(&state.lineage);
        self.format = state.format;
        self.replace_by(state).await?;
        self.goes_on_from(state.serial);
        self.held.has_recorded(state.serial);
        self.held.outrun(state.epoch()).await
    }

    /// Allows another lineage; see [`Home::give_way`](crate::state::backend::Home::give_way).
    pub fn give_way(&mut self) {
        self.gives_way = true;
    }

    /// Sets the serial. The next entries must begin a new run.
    fn goes_on_from(&self, serial: u64) {
        let mut progress = self.progress();
        (progress.serial, progress.handed_over, progress.begun) = (serial, serial, false);
    }

    /// Takes the key at which a former holder would write next, as the first entry of a run does.
    /// The snapshot that follows covers this object, so no process ever reads it.
    async fn bar_the_way(&self, state: &State, recorded: u64) -> Result<(), HomeError> {
        let run = Run {
            epoch: self.epoch(),
            operation: "install".to_owned(),
            at: String::new(),
            by: Holder::here("install").who(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            after: recorded,
            unknown: BTreeMap::new(),
        };
        let known = if recorded == 0 { &state.lineage } else { &self.lineage };
        let (format, lineage) = (self.format, known.clone());
        let mut bytes = Vec::new();
        journal::push_header(&mut bytes, &Header { format, lineage, base: recorded });
        let entry = Entry::RunStarted { run };
        journal::push_record(&mut bytes, known, recorded + 1, &entry);
        let key = self.held.place.group(recorded + 1);
        match self.write(&key, bytes, Condition::Absent).await? {
            Wrote::Done(_) => Ok(()),
            Wrote::Taken(_) => Err(HomeError::Changed { path: self.held.place.address(&key) }),
        }
    }

    /// Marks the state as moved; see [`Home::retire`](crate::state::backend::Home::retire).
    ///
    /// # Errors
    /// Returns an error if the bucket rejects the write or the lock is lost.
    pub async fn retire(&mut self, to: &str) -> Result<(), HomeError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let key = place.moved();
        let patience = patience(self.held.lease);
        let found = asked(patience, "GetObject", || bucket.get(&key)).await;
        let found = found.map_err(|source| not_read(place, &key, source))?;
        let condition = Condition::unchanged(found.as_ref().map(|object| &object.etag));
        let write = Write { key: key.clone(), bytes: format!("{to}\n").into_bytes(), condition };
        match write.make(bucket, &self.fence(), patience).await {
            Ok(Wrote::Done(_)) => Ok(()),
            Ok(Wrote::Taken(_)) => Err(HomeError::Changed { path: place.address(&key) }),
            Err(unwritten) => Err(not_written("write", place, &key, unwritten)),
        }
    }

    /// Removes the mark of a moved state; see [`Home::welcome`](crate::state::backend::Home::welcome).
    ///
    /// # Errors
    /// Returns an error if the bucket rejects the deletion or the lock is lost.
    pub async fn welcome(&mut self) -> Result<(), HomeError> {
        let (bucket, place) = (&*self.held.bucket, &self.held.place);
        let key = place.moved();
        self.fence().pass()?;
        let deleted = || bucket.delete(vec![key.clone()]);
        let deleted = asked(patience(self.held.lease), "DeleteObjects", deleted).await;
        deleted.map_err(|source| HomeError::Bucket {
            action: "delete",
            path: place.address(&key),
            source,
        })
    }
}

/// Returns the location that the state was moved to; `None` if it was not moved.
pub(super) async fn moved_to(
    bucket: &dyn Bucket,
    place: &Layout,
    patience: Patience,
) -> Result<Option<String>, HomeError> {
    let key = place.moved();
    let found = asked(patience, "GetObject", || bucket.get(&key)).await;
    let found = found.map_err(|source| not_read(place, &key, source))?;
    Ok(found.map(|object| String::from_utf8_lossy(&object.bytes).trim().to_owned()))
}

/// Returns an error if the state was moved to another location.
pub(super) async fn still_here(
    bucket: &dyn Bucket,
    place: &Layout,
    patience: Patience,
) -> Result<(), HomeError> {
    match moved_to(bucket, place, patience).await? {
        None => Ok(()),
        Some(to) => Err(HomeError::Moved { path: place.folder(), to }),
    }
}
