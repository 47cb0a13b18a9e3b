//! The home of a state in a bucket.
//!
//! ```text
//! <folder>/<cluster>/state.json           the snapshot
//!                    journal/<20 digits>  one object for each group of records, by its first one
//!                    state.json.backup    the snapshot before
//!                    lock.json            who works on it, and until when (see `lease`)
//!                    moved-to             where the state is now, if it is not here any more
//! ```
//!
//! Nothing is ever written but under a condition. A group of records is written *only if nobody has
//! written to its place*, and whoever takes the lock over reads the journal to its end and begins
//! with a record of its own at just that place: so a holder that was taken over and comes back, or
//! whose last write arrives late, finds its place taken, however its clock runs. To keep it so, a
//! compaction deletes what the snapshot before knows, but never the first object of one of the last
//! [`RUNS`](super::RUNS) runs: those are the places where holders that are gone would write. Only a
//! holder that has not written yet may find another's place emptied; so each looks, after its first
//! record, whether anything comes after it.
//!
//! - [`object_store`]: what a bucket must be able to do; [`layout`]: which objects there are.
//! - [`lease`]: the lock, its guard and its fence.
//!
//! Take the lock, then open. [`read`] needs no lock.

mod compact;
mod conditional_write;
pub mod layout;
pub mod lease;
mod load;
mod lock;
pub mod object_store;
mod relocation;
#[cfg(test)]
mod tests;

use std::future::ready;
use std::panic::resume_unwind;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::conditional_write::{Unwritten, Write, Wrote, asked};
pub use self::layout::Layout;
use self::lease::{Held, not_written, patience};
pub use self::lease::{LEASE, RemoteGuard, SHORTEST_LEASE};
use self::load::{Loaded, Stored, load, restore_hint};
pub use self::object_store::Bucket;
use self::object_store::Condition;
use super::backend::Written;
use super::error::HomeError;
use super::fence::Fence;
use super::journal::{self, Header};
use super::lock::{BreakError, Broken, LockError};
use super::{Entry, Format, State};

/// A state and where it lives.
#[derive(Debug)]
pub struct Opened {
    /// Where it lives.
    pub home: RemoteHome,
    /// The state.
    pub state: State,
    /// What a person should know of how it was read.
    pub warnings: Vec<String>,
}

/// A state that was only read.
#[derive(Debug)]
pub struct Glance {
    /// The state.
    pub state: State,
    /// What a person should know of how it was read.
    pub warnings: Vec<String>,
}

/// Reads the state at this place, whoever holds it; `None` where nothing was ever recorded.
///
/// # Errors
/// When something cannot be read or is not what was written, or the state was moved.
pub async fn read(bucket: &Arc<dyn Bucket>, place: &Layout) -> Result<Option<Glance>, HomeError> {
    relocation::still_here(&**bucket, place, patience(LEASE)).await?;
    read_even_if_moved(bucket, place).await
}

/// The same of a state that was moved, as it was then.
///
/// # Errors
/// When something cannot be read or is not what was written.
pub async fn read_even_if_moved(
    bucket: &Arc<dyn Bucket>,
    place: &Layout,
) -> Result<Option<Glance>, HomeError> {
    let loaded = load(&**bucket, place, patience(LEASE)).await?;
    let is_new = loaded.is_new();
    let Loaded { state, warnings, .. } = loaded;
    Ok((!is_new).then_some(Glance { state, warnings }))
}

/// Whether anything was ever recorded at this place; says nothing of what.
///
/// # Errors
/// When the bucket does not say.
pub async fn is_there(bucket: &Arc<dyn Bucket>, place: &Layout) -> Result<bool, HomeError> {
    load::is_there(&**bucket, place, patience(LEASE)).await
}

/// The home that the state at this place says it was moved to, if it was.
///
/// # Errors
/// When the bucket does not say.
pub async fn moved_to(
    bucket: &Arc<dyn Bucket>,
    place: &Layout,
) -> Result<Option<String>, HomeError> {
    relocation::moved_to(&**bucket, place, patience(LEASE)).await
}

/// Takes the lock away from the holder with this id, for somebody who knows that it is gone; `None`
/// where nobody has it. Should it live all the same, it writes nothing more to the state, but may go
/// on calling until its next renewal, for a quarter of its lease. One that runs on this host is spared
/// unless `even_alive`, since it can be ended.
///
/// # Errors
/// When somebody else holds it, or one that runs here does, or the bucket refuses. Nothing is changed
/// then.
pub async fn break_open(
    bucket: &Arc<dyn Bucket>,
    place: &Layout,
    id: &str,
    even_alive: bool,
) -> Result<Option<Broken>, BreakError> {
    lease::break_open(bucket, place, id, even_alive).await
}

/// Makes what is recorded durable in a bucket. One for each holding of the lock.
#[derive(Debug)]
pub struct RemoteHome {
    held: Arc<Held>,
    lineage: String,
    /// Whether what is installed may be of another lineage.
    gives_way: bool,
    format: Format,
    snapshot: Option<Stored>,
    progress: Arc<Mutex<Progress>>,
    /// Held as long as the home is, where it was given.
    guard: Option<RemoteGuard>,
}

/// How far the bucket is.
#[derive(Debug)]
struct Progress {
    /// The last record known to be durable.
    serial: u64,
    /// The last record on its way.
    handed_over: u64,
    /// Whether this holder has recorded its run.
    begun: bool,
    /// Whether a write failed so that nobody knows what the bucket has.
    unsure: bool,
    /// Of the journal after the snapshot.
    journal_bytes: u64,
    journal_objects: u64,
    bytes_written: u64,
    puts: u64,
}

impl RemoteHome {
    /// Takes the lock of the state at this place, waiting so long for whoever has it. It is renewed
    /// until the guard is gone; `lease` is how long after the last renewal others must leave it, at
    /// least [`SHORTEST_LEASE`].
    ///
    /// # Errors
    /// When somebody still has it then, or it cannot be taken.
    pub async fn lock(
        bucket: &Arc<dyn Bucket>,
        place: &Layout,
        operation: &str,
        wait: Duration,
        lease: Duration,
    ) -> Result<RemoteGuard, LockError> {
        lease::take(bucket, place, operation, wait, lease).await
    }

    /// Reads the state that this is the lock of. Where there is nothing, it is a new one, and nothing
    /// is written until the first [`append`](Self::append).
    ///
    /// # Errors
    /// When something cannot be read or is not what was written, the state was moved, or the lock is
    /// lost already.
    pub async fn open(guard: &RemoteGuard) -> Result<Opened, HomeError> {
        let held = guard.held();
        relocation::still_here(&*held.bucket, &held.place, patience(held.lease)).await?;
        Self::open_even_if_moved(guard).await
    }

    /// The same of a state that was moved, as it was then.
    ///
    /// # Errors
    /// When something cannot be read or is not what was written, or the lock is lost already.
    pub async fn open_even_if_moved(guard: &RemoteGuard) -> Result<Opened, HomeError> {
        let held = Arc::clone(guard.held());
        let mut loaded = load(&*held.bucket, &held.place, patience(held.lease)).await?;
        nothing_is_lost(&held, &loaded.state)?;
        loaded.warnings.extend(guard.taken_from().map(|holder| {
            format!("the lock was taken over from one that is taken to be gone: {holder}")
        }));
        if loaded.is_new() {
            loaded.warnings.extend(versions_warning(&held).await);
        }
        held.outrun(loaded.state.epoch()).await?;
        let Loaded { state, snapshot, journal_bytes, journal_objects, warnings } = loaded;
        let progress = Progress {
            serial: state.serial,
            handed_over: state.serial,
            begun: false,
            unsure: false,
            journal_bytes,
            journal_objects,
            bytes_written: 0,
            puts: 0,
        };
        let home = Self {
            held,
            lineage: state.lineage.clone(),
            gives_way: false,
            format: state.format,
            snapshot,
            progress: Arc::new(Mutex::new(progress)),
            guard: None,
        };
        Ok(Opened { home, state, warnings })
    }

    /// Keeps the lock, which must be the one that this was opened with, until [`leave`](Self::leave).
    pub fn hold(&mut self, guard: RemoteGuard) {
        self.guard = Some(guard);
    }

    /// Gives the lock back, if the home holds it. Nothing is written any more.
    ///
    /// # Errors
    /// As [`RemoteGuard::release`].
    pub async fn leave(&mut self) -> Result<(), HomeError> {
        match self.guard.take() {
            Some(guard) => guard.release().await,
            None => Ok(()),
        }
    }

    /// Where it is.
    pub fn place(&self) -> &Layout {
        &self.held.place
    }

    /// The epoch that the holder's [`Run`](super::Run) must have.
    pub fn epoch(&self) -> u64 {
        self.held.epoch()
    }

    /// Lets pass as long as nobody else can have the lock.
    pub fn fence(&self) -> Fence {
        self.held.fence()
    }

    /// The bytes of journal and snapshots written by this home so far.
    pub fn bytes_written(&self) -> u64 {
        self.progress().bytes_written
    }

    /// How many objects this home has written so far, those of the lock not counted.
    pub fn puts(&self) -> u64 {
        self.progress().puts
    }

    /// Begins to make the entries durable, in one object: all of them or none. The work goes on
    /// whether or not anybody waits for it. They must be what [`State::record`] has accepted, the
    /// holder's first being [`Entry::RunStarted`] with its [`epoch`](Self::epoch), and the group
    /// before must be durable.
    ///
    /// # Errors
    /// [`HomeError::Fenced`] when the lock is lost, which is certain once somebody else has
    /// written; [`HomeError::Changed`] when somebody else wrote before this holder's first; and
    /// what the bucket says.
    ///
    /// # Panics
    /// Outside of a Tokio runtime.
    pub fn append(&mut self, entries: &[Entry]) -> Written {
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
                Err(_) => Err(HomeError::Unsure { path }), // the runtime is ending
            }
        })
    }

    /// The object that these entries become.
    fn group(&self, entries: &[Entry]) -> Result<Option<Group>, HomeError> {
        let mut progress = self.progress();
        let path = || self.held.place.folder();
        let Some(first) = entries.first() else { return Ok(None) };
        if progress.unsure {
            return Err(HomeError::Unsure {
                path: self.held.place.address(&self.held.place.journal()),
            });
        }
        if progress.handed_over != progress.serial {
            let (given, recorded) = (progress.handed_over, progress.serial);
            return Err(HomeError::OutOfStep { path: path(), given, recorded });
        }
        let (after, epoch) = (progress.serial, self.epoch());
        let is_run =
            matches!(first, Entry::RunStarted { run } if run.epoch == epoch && run.after == after);
        if !progress.begun && !is_run {
            return Err(HomeError::NoRun { path: path(), epoch, after });
        }
        let (format, lineage) = (self.format, self.lineage.clone());
        let mut bytes = Vec::new();
        journal::push_header(&mut bytes, &Header { format, lineage, base: after });
        for (serial, entry) in (after + 1..).zip(entries) {
            journal::push_record(&mut bytes, &self.lineage, serial, entry);
        }
        progress.handed_over += entries.len() as u64;
        let key = self.held.place.group(after + 1);
        Ok(Some(Group {
            held: Arc::clone(&self.held),
            progress: Arc::clone(&self.progress),
            write: Write { key, bytes, condition: Condition::Absent },
            last: progress.handed_over,
            begins: !progress.begun,
        }))
    }

    /// Compacts where the journal has outgrown the snapshot, so that all the snapshots of a state's
    /// life cost no more than its journals did, or has so many objects that reading them takes long.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub async fn close(&mut self, state: &State) -> Result<(), HomeError> {
        const MANY: u64 = 64;
        self.in_step(state)?;
        let snapshot = self.snapshot.as_ref().map_or(0, |snapshot| snapshot.bytes.len() as u64);
        let outgrown = {
            let progress = self.progress();
            progress.journal_bytes > snapshot || progress.journal_objects > MANY
        };
        if outgrown { self.compact(state).await } else { Ok(()) }
    }

    fn in_step(&self, state: &State) -> Result<(), HomeError> {
        let progress = self.progress();
        let recorded = progress.serial;
        let settled = progress.handed_over == recorded && state.serial == recorded;
        if settled && state.lineage == self.lineage {
            return Ok(());
        }
        let path = self.held.place.folder();
        Err(HomeError::OutOfStep { path, given: state.serial, recorded })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        locked(&self.progress)
    }
}

/// An object of the journal on its way.
struct Group {
    held: Arc<Held>,
    progress: Arc<Mutex<Progress>>,
    write: Write,
    /// Its last record.
    last: u64,
    /// Whether it is the first of its holder.
    begins: bool,
}

impl Group {
    async fn append(self) -> Result<(), HomeError> {
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
                    return Err(HomeError::Changed { path: held.place.address(&self.write.key) });
                }
                let first = progress.serial + 1;
                Err(held.lose(&format!("somebody else has written record {first}")))
            }
            Err(unwritten) => {
                progress.unsure = unwritten.perhaps();
                if !progress.unsure {
                    progress.handed_over = progress.serial;
                }
                let error = not_written("write", &held.place, &self.write.key, unwritten);
                // Whoever has slept through its lease has also slept through the answer.
                Err(held.pass().err().unwrap_or(error))
            }
        }
    }

    /// Whether it is now the end of the journal.
    async fn put_in_place(&self) -> Result<bool, Unwritten> {
        let held = &self.held;
        match self.write.make(&*held.bucket, &held.fence(), patience(held.lease)).await? {
            Wrote::Done(_) if self.begins => self.nothing_is_after_it().await,
            Wrote::Done(_) => Ok(true),
            Wrote::Taken(_) => Ok(false),
        }
    }

    /// Somebody may have written at a holder's place before it began, and a compaction have taken that
    /// away again: not everything is the first object of a run. What came after it is still there.
    async fn nothing_is_after_it(&self) -> Result<bool, Unwritten> {
        let (bucket, journal) = (&self.held.bucket, self.held.place.journal());
        let list = || bucket.list(&journal, &self.write.key);
        let after = asked(patience(self.held.lease), "ListObjectsV2", list).await;
        let after = after.map_err(|error| Unwritten::Failed { error, perhaps: true })?;
        Ok(!after.iter().any(|key| self.held.place.first_of(key).is_some()))
    }
}

fn locked(progress: &Mutex<Progress>) -> MutexGuard<'_, Progress> {
    progress.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Checks that what the holders before have recorded is there.
fn nothing_is_lost(held: &Held, state: &State) -> Result<(), HomeError> {
    let recorded = held.recorded();
    if recorded <= state.serial {
        return Ok(());
    }
    let key = held.place.group(state.serial + 1);
    let hint = format!(
        "{}; to go on without it and what came after it, remove {}",
        restore_hint(&held.place, &key),
        held.place.address(&held.place.lock()).display()
    );
    let because = format!("lock.json says that everything up to record {recorded} was written");
    Err(HomeError::Missing { path: held.place.address(&key), because, hint })
}

/// What to say where a state is begun whose objects cannot be brought back.
async fn versions_warning(held: &Held) -> Option<String> {
    // Whoever may not know that gets no warning and no error.
    let kept = held.bucket.keeps_versions().await.ok().flatten()?;
    let bucket = held.place.bucket();
    (!kept).then(|| {
        format!(
            "the bucket {bucket} keeps no versions, so nothing brings back what is deleted or \
             overwritten by mistake; to turn them on: aws s3api put-bucket-versioning --bucket \
             {bucket} --versioning-configuration Status=Enabled"
        )
    })
}
