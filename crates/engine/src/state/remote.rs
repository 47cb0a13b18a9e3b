//! State backend in a bucket.
//!
//! ```text
//! <folder>/<cluster>/state.json           the snapshot
//!                    journal/<20 digits>  one object per group of records, by its first serial
//!                    state.json.backup    the previous snapshot
//!                    lock.json            the state lock with its lease (see `lease`)
//!                    moved-to             the new location of a moved state
//! ```
//!
//! Every write has a condition. A group of records is written *only if its key has no object*. A
//! run that takes the lock over reads the journal to its end and begins with a record at exactly
//! the next key. A former holder that comes back, or whose last write arrives late, finds its key
//! taken, however its clock runs.
//!
//! For that reason a compaction keeps the first object of each of the last [`RUNS`](super::RUNS)
//! runs: former holders would write at these keys. The compaction deletes the other objects that
//! the previous snapshot covers. Only a holder that has not written yet may find a former key free
//! again. Each holder therefore checks, after its first record, that no later object exists.
//!
//! - [`object_store`]: required operations of a bucket. [`layout`]: keys of the objects. `probe`:
//!   the proof that a bucket honours conditions.
//! - [`lease`]: the lock, its guard and its fence.
//!
//! Take the lock first, then open. [`read`] needs no lock.

mod compact;
mod conditional_write;
pub mod layout;
pub mod lease;
mod load;
mod lock;
pub mod object_store;
mod probe;
mod relocation;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::ready;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::conditional_write::{ConditionalWrite, WriteError, WriteOutcome, retry_idempotent};
pub use self::layout::Layout;
pub use self::lease::{LEASE, RemoteLockGuard, SHORTEST_LEASE};
use self::lease::{SharedLease, not_written, patience};
use self::load::{LoadedRemote, StoredSnapshot, load, restore_hint};
pub use self::object_store::ObjectStore;
use self::object_store::Precondition;
use super::backend::DurableWrite;
use super::error::StateError;
use super::fence::Fence;
use super::journal::{self, JournalHeader};
use super::lock::{BrokenLock, LockError, LockHolder, UnlockError};
use super::{Entry, Format, State};

/// Opened state and its backend.
#[derive(Debug)]
pub struct OpenedRemote {
    /// State backend.
    pub backend: RemoteBackend,
    /// Recorded state.
    pub state: State,
    /// Warnings about the objects, for the user.
    pub warnings: Vec<String>,
}

/// State that was read without the lock.
#[derive(Debug)]
pub struct UnlockedRead {
    /// Recorded state.
    pub state: State,
    /// Warnings about the objects, for the user.
    pub warnings: Vec<String>,
}

/// Reads the state at this location without the lock. Returns `None` if no entry was ever recorded.
///
/// # Errors
/// Returns an error if an object cannot be read or is damaged, or if the state was moved.
pub async fn read(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
) -> Result<Option<UnlockedRead>, StateError> {
    relocation::still_here(&**bucket, place, patience(LEASE)).await?;
    read_even_if_moved(bucket, place).await
}

/// Like [`read`], but also reads a moved state as it was at its move.
///
/// # Errors
/// Returns an error if an object cannot be read or is damaged.
pub async fn read_even_if_moved(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
) -> Result<Option<UnlockedRead>, StateError> {
    let loaded = load(&**bucket, place, patience(LEASE)).await?;
    let is_new = loaded.is_new();
    let LoadedRemote { state, warnings, .. } = loaded;
    Ok((!is_new).then_some(UnlockedRead { state, warnings }))
}

/// Returns true if the location contains objects of a state, valid or not.
///
/// # Errors
/// Returns an error if the bucket cannot be read.
pub async fn is_there(bucket: &Arc<dyn ObjectStore>, place: &Layout) -> Result<bool, StateError> {
    load::is_there(&**bucket, place, patience(LEASE)).await
}

/// Returns the names of the clusters with a state in this location, sorted.
///
/// # Errors
/// Returns an error if the bucket cannot be read.
pub async fn cluster_names(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
) -> Result<Vec<String>, StateError> {
    let keys = load::keys(&**bucket, place, patience(LEASE)).await?;
    let names: BTreeSet<&str> = keys.iter().filter_map(|key| place.cluster_of(key)).collect();
    Ok(names.into_iter().map(str::to_owned).collect())
}

/// Returns the location that the state was moved to; `None` if it was not moved.
///
/// # Errors
/// Returns an error if the bucket cannot be read.
pub async fn moved_to(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
) -> Result<Option<String>, StateError> {
    relocation::moved_to(&**bucket, place, patience(LEASE)).await
}

/// Returns the process that has the lock; `None` if the lock is free or its lease has ended. Takes no
/// lock and writes no object.
///
/// # Errors
/// Returns an error if the lock cannot be read.
pub async fn holder(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
) -> Result<Option<LockHolder>, StateError> {
    lease::holder(bucket, place).await
}

/// Force-unlock: takes the lock from the holder with this ID, which the user knows to be gone.
/// Returns `None` if the lock is free.
///
/// A holder that is still alive can write no more to the state. Until its next renewal, for a
/// quarter of its lease, the holder may still send calls. A holder that runs on this host is
/// rejected unless `even_alive` is true, because the user can end it.
///
/// # Errors
/// Returns an error if another holder has the lock, if the holder runs on this host, or if the
/// bucket rejects the change. The lock is unchanged then.
pub async fn break_open(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
    id: &str,
    even_alive: bool,
) -> Result<Option<BrokenLock>, UnlockError> {
    lease::break_open(bucket, place, id, even_alive).await
}

/// Remote state backend. Makes entries durable in a bucket; one value per acquisition of the lock.
#[derive(Debug)]
pub struct RemoteBackend {
    held: Arc<SharedLease>,
    lineage: String,
    /// True if an installed state may have another lineage.
    accepts_new_lineage: bool,
    format: Format,
    snapshot: Option<StoredSnapshot>,
    progress: Arc<Mutex<WriteProgress>>,
    /// State lock, if the backend holds it.
    guard: Option<RemoteLockGuard>,
}

/// Progress of the writes.
#[derive(Debug)]
struct WriteProgress {
    /// Serial of the last record known to be durable.
    serial: u64,
    /// Serial of the last record handed over for writing.
    handed_over: u64,
    /// True after this holder has recorded its run.
    begun: bool,
    /// True after a write with unknown outcome; the state must be read again before the next write.
    unsure: bool,
    /// Size of the journal after the snapshot.
    journal_bytes: u64,
    journal_objects: u64,
    bytes_written: u64,
    puts: u64,
}

impl RemoteBackend {
    /// Takes the lock of the state at this location, and waits for up to `wait` while another
    /// process has the lock. The lock is renewed until the guard is dropped.
    ///
    /// `lease` is the time after the last renewal in which no other run takes the lock over; at
    /// least [`SHORTEST_LEASE`].
    ///
    /// # Errors
    /// Returns an error if another process still has the lock then, or if the lock cannot be taken.
    pub async fn lock(
        bucket: &Arc<dyn ObjectStore>,
        place: &Layout,
        operation: &str,
        wait: Duration,
        lease: Duration,
    ) -> Result<RemoteLockGuard, LockError> {
        lease::take(bucket, place, operation, wait, lease).await
    }

    /// Reads the state of this lock. An empty location is a new state, and the backend writes no
    /// object until the first [`append`](Self::append).
    ///
    /// # Errors
    /// Returns an error if an object cannot be read or is damaged, if the state was moved, or if
    /// the lock is already lost.
    pub async fn open(guard: &RemoteLockGuard) -> Result<OpenedRemote, StateError> {
        let held = guard.held();
        relocation::still_here(&*held.bucket, &held.place, patience(held.lease)).await?;
        Self::open_even_if_moved(guard).await
    }

    /// Like [`open`](Self::open), but also opens a moved state as it was at its move.
    ///
    /// # Errors
    /// Returns an error if an object cannot be read or is damaged, or if the lock is already lost.
    pub async fn open_even_if_moved(guard: &RemoteLockGuard) -> Result<OpenedRemote, StateError> {
        let held = Arc::clone(guard.held());
        let mut loaded = load(&*held.bucket, &held.place, patience(held.lease)).await?;
        nothing_is_lost(&held, &loaded.state)?;
        loaded.warnings.extend(guard.taken_from().map(|holder| {
            format!("the lock was taken over from a run that did not renew it: {holder}")
        }));
        if loaded.is_new() {
            loaded.warnings.extend(versions_warning(&held).await);
        }
        held.outrun(loaded.state.epoch()).await?;
        let LoadedRemote { state, snapshot, journal_bytes, journal_objects, warnings } = loaded;
        let progress = WriteProgress {
            serial: state.serial,
            handed_over: state.serial,
            begun: false,
            unsure: false,
            journal_bytes,
            journal_objects,
            bytes_written: 0,
            puts: 0,
        };
        let backend = Self {
            held,
            lineage: state.lineage.clone(),
            accepts_new_lineage: false,
            format: state.format,
            snapshot,
            progress: Arc::new(Mutex::new(progress)),
            guard: None,
        };
        Ok(OpenedRemote { backend, state, warnings })
    }

    /// Keeps the lock until [`leave`](Self::leave). The lock must be the one that the backend was
    /// opened with.
    pub fn hold(&mut self, guard: RemoteLockGuard) {
        self.guard = Some(guard);
    }

    /// Releases the lock, if the backend holds it. The backend writes no more afterwards.
    ///
    /// # Errors
    /// Same as [`RemoteLockGuard::release`].
    pub async fn leave(&mut self) -> Result<(), StateError> {
        match self.guard.take() {
            Some(guard) => guard.release().await,
            None => Ok(()),
        }
    }

    /// Returns the location.
    pub fn place(&self) -> &Layout {
        &self.held.place
    }

    /// Returns the epoch that the holder's [`RunRecord`](super::RunRecord) must have.
    pub fn epoch(&self) -> u64 {
        self.held.epoch()
    }

    /// Returns the fence, which is open while no other process can have the lock.
    pub fn fence(&self) -> Fence {
        self.held.fence()
    }

    /// Returns the number of journal and snapshot bytes that this backend has written.
    pub fn bytes_written(&self) -> u64 {
        self.progress().bytes_written
    }

    /// Returns the number of objects that this backend has written, without those of the lock.
    pub fn puts(&self) -> u64 {
        self.progress().puts
    }

    /// Starts a durable append in one object: all entries or none. The write continues if the
    /// caller drops its wait.
    ///
    /// [`State::record`] must have accepted the entries. The holder's first entry must be
    /// [`Entry::RunStarted`] with its [`epoch`](Self::epoch). The previous group must be durable.
    ///
    /// # Errors
    /// - [`StateError::Fenced`] if the lock is lost, which is certain after another process has
    ///   written.
    /// - [`StateError::Changed`] if another process wrote before this holder's first entry.
    /// - Errors of the bucket.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn append(&mut self, entries: &[Entry]) -> DurableWrite {
        let group = match self.group(entries) {
            Ok(Some(group)) => group,
            Ok(None) => return Box::pin(ready(Ok(()))),
            Err(error) => return Box::pin(ready(Err(error))),
        };
        let path = self.held.place.address(&group.write.key);
        let writing = tokio::spawn(group.append());
        Box::pin(async move {
            match writing.await {
                Ok(result) => result,
                Err(stopped) if stopped.is_panic() => resume_unwind(stopped.into_panic()),
                Err(_) => Err(StateError::Unsure { path }), // the runtime is ending
            }
        })
    }

    /// Returns the journal object of these entries; `None` without entries.
    fn group(&self, entries: &[Entry]) -> Result<Option<GroupWrite>, StateError> {
        let mut progress = self.progress();
        let path = || self.held.place.folder();
        let Some(first) = entries.first() else { return Ok(None) };
        if progress.unsure {
            return Err(StateError::Unsure {
                path: self.held.place.address(&self.held.place.journal()),
            });
        }
        if progress.handed_over != progress.serial {
            let (given, recorded) = (progress.handed_over, progress.serial);
            return Err(StateError::OutOfStep { path: path(), given, recorded });
        }
        let (after, epoch) = (progress.serial, self.epoch());
        let is_run =
            matches!(first, Entry::RunStarted { run } if run.epoch == epoch && run.after == after);
        if !progress.begun && !is_run {
            return Err(StateError::NoRun { path: path(), epoch, after });
        }
        let (format, lineage) = (self.format, self.lineage.clone());
        let mut bytes = Vec::new();
        journal::push_header(&mut bytes, &JournalHeader { format, lineage, base: after });
        for (serial, entry) in (after + 1..).zip(entries) {
            journal::push_record(&mut bytes, &self.lineage, serial, entry);
        }
        progress.handed_over += entries.len() as u64;
        let key = self.held.place.group(after + 1);
        Ok(Some(GroupWrite {
            held: Arc::clone(&self.held),
            progress: Arc::clone(&self.progress),
            write: ConditionalWrite { key, bytes, condition: Precondition::Absent },
            last: progress.handed_over,
            begins: !progress.begun,
        }))
    }

    /// Compacts if the journal is larger than the snapshot, or has so many objects that reading
    /// takes long. All snapshots of a state together then cost no more than its journals.
    ///
    /// # Errors
    /// Same as [`compact`](Self::compact).
    pub async fn close(&mut self, state: &State) -> Result<(), StateError> {
        const MANY: u64 = 64;
        self.in_step(state)?;
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes.len() as u64);
        let outgrown = {
            let progress = self.progress();
            progress.journal_bytes > snapshot || progress.journal_objects > MANY
        };
        if outgrown { self.compact(state).await } else { Ok(()) }
    }

    fn in_step(&self, state: &State) -> Result<(), StateError> {
        let progress = self.progress();
        let recorded = progress.serial;
        let settled = progress.handed_over == recorded && state.serial == recorded;
        if settled && state.lineage == self.lineage {
            return Ok(());
        }
        let path = self.held.place.folder();
        Err(StateError::OutOfStep { path, given: state.serial, recorded })
    }

    fn progress(&self) -> MutexGuard<'_, WriteProgress> {
        locked(&self.progress)
    }
}

/// Journal object that is being written.
struct GroupWrite {
    held: Arc<SharedLease>,
    progress: Arc<Mutex<WriteProgress>>,
    write: ConditionalWrite,
    /// Serial of its last record.
    last: u64,
    /// True for the first object of its holder.
    begins: bool,
}

impl GroupWrite {
    async fn append(self) -> Result<(), StateError> {
        let (held, size) = (&self.held, self.write.bytes.len() as u64);
        let in_place = self.put_in_place().await;
        let mut progress = locked(&self.progress);
        match in_place {
            Ok(true) => {
                held.has_recorded(self.last);
                progress.serial = self.last;
                progress.begun = true;
                progress.journal_bytes += size;
                progress.journal_objects += 1;
                progress.bytes_written += size;
                progress.puts += 1;
                Ok(())
            }
            Ok(false) => {
                progress.unsure = true;
                if self.begins {
                    return Err(StateError::Changed { path: held.place.address(&self.write.key) });
                }
                let first = progress.serial + 1;
                Err(held.lose(&format!("another process has written entry {first}")))
            }
            Err(unwritten) => {
                progress.unsure = unwritten.may_have_taken_effect();
                if !progress.unsure {
                    progress.handed_over = progress.serial;
                }
                let error = not_written("write", &held.place, &self.write.key, unwritten);
                // A process that was suspended beyond its lease did not receive the response in
                // time either.
                Err(held.pass().err().unwrap_or(error))
            }
        }
    }

    /// Writes the object. Returns true if it is now the end of the journal.
    async fn put_in_place(&self) -> Result<bool, WriteError> {
        let held = &self.held;
        match self.write.make(&*held.bucket, &held.fence(), patience(held.lease)).await? {
            WriteOutcome::Done(_) if self.begins => self.nothing_is_after_it().await,
            WriteOutcome::Done(_) => Ok(true),
            WriteOutcome::Taken(_) => Ok(false),
        }
    }

    /// Returns true if no later journal object exists.
    ///
    /// Another holder may have written at this key before this one began. A compaction may have
    /// deleted that object if it was not the first of a run. Later objects still exist then.
    async fn nothing_is_after_it(&self) -> Result<bool, WriteError> {
        let (bucket, journal) = (&self.held.bucket, self.held.place.journal());
        let list = || bucket.list(&journal, &self.write.key);
        let after = retry_idempotent(patience(self.held.lease), "ListObjectsV2", list).await;
        let after = after.map_err(|error| WriteError::Failed { error, perhaps: true })?;
        Ok(!after.iter().any(|key| self.held.place.first_of(key).is_some()))
    }
}

fn locked(progress: &Mutex<WriteProgress>) -> MutexGuard<'_, WriteProgress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that all records of earlier holders exist.
fn nothing_is_lost(held: &SharedLease, state: &State) -> Result<(), StateError> {
    let recorded = held.recorded();
    if recorded <= state.serial {
        return Ok(());
    }
    let key = held.place.group(state.serial + 1);
    let hint = format!(
        "{}; to continue without this object and all later ones: aws s3 rm {}",
        restore_hint(&held.place, &key),
        held.place.address(&held.place.lock()).display()
    );
    let because = format!("lock.json shows that entries up to {recorded} were written");
    Err(StateError::Missing { path: held.place.address(&key), because, hint })
}

/// Returns a warning if the bucket of a new state keeps no versions, so that lost objects cannot be
/// restored.
async fn versions_warning(held: &SharedLease) -> Option<String> {
    // Without the permission to read the setting, there is no warning and no error.
    let kept = held.bucket.keeps_versions().await.ok().flatten()?;
    let bucket = held.place.bucket();
    (!kept).then(|| {
        format!(
            "the bucket {bucket} has no versioning, so a deleted or overwritten state cannot be \
             restored; enable it: aws s3api put-bucket-versioning --bucket {bucket} \
             --versioning-configuration Status=Enabled"
        )
    })
}
