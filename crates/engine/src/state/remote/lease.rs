//! State lock in a bucket: taken for a lease, renewed while held, and lost once it is not renewed
//! in time.
//!
//! ```text
//!   renewal        every 1/4        3/4                 1          5/4 of the lease
//!   |------|-------|-------|---------|------------------|-----------|
//!                                    the holder's       lease       other runs may
//!                                    fence rejects      ends        take it over
//! ```
//!
//! The holder counts from the *start* of its last renewal, by the clock that has advanced further.
//! A suspended process or machine therefore detects the loss before any other action. A call sent
//! just before has half a lease to arrive before another run begins.
//!
//! A renewal that succeeds after 3/4 opens the fence again: its condition is the previous renewal,
//! so no other run had the lock in between. All of this requires that no clock runs 5/3 as fast as
//! another.
//!
//! The lock alone cannot stop a late write of a former holder. The keys of the journal objects do
//! (see [`remote`](super)).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::conditional_write::{
    ConditionalWrite, RetryBudget, WriteError, WriteOutcome, retry_idempotent,
};
use super::layout::Layout;
use super::lock::{LockObject, LockObservation, fence_after};
use super::object_store::{Etag, ObjectStore, Precondition, StoredObject};
use super::probe::conditions_are_honoured;
use crate::provider::ProviderError;
use crate::state::error::StateError;
use crate::state::fence::Fence;
use crate::state::lock::{BrokenLock, LockError, LockHolder, UnlockError};

/// Default lease.
pub const LEASE: Duration = Duration::from_secs(60);
/// Shortest lease. With a shorter one, a slow response would pass for the end of the holder.
pub const SHORTEST_LEASE: Duration = Duration::from_secs(4);
/// Interval between reads while waiting for the lock.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Returns the retry budget of reads and writes under this lease.
pub(super) fn patience(lease: Duration) -> RetryBudget {
    RetryBudget { attempt: lease / 6, overall: lease / 2 }
}

/// Takes the lock of a state, and waits for up to `wait` while another process has the lock. The
/// lock of an ended process on this host is taken over at once, other locks at the end of their
/// lease.
///
/// # Errors
/// Returns an error if another process still has the lock then, or if the lock cannot be taken.
pub(super) async fn take(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
    operation: &str,
    wait: Duration,
    lease: Duration,
) -> Result<RemoteLockGuard, LockError> {
    // Other processes read the lease in whole seconds.
    let lease = Duration::from_secs(lease.max(SHORTEST_LEASE).as_secs());
    let deadline = Instant::now() + wait;
    let (holder, mut watch) = (LockHolder::this_process(operation), LockObservation::default());
    let mut proved = None;
    loop {
        let found = LockRead::read(bucket, place, patience(lease)).await?;
        if let Some(held_by) = found.held_by(&mut watch) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LockError::Held(Box::new(held_by)));
            }
            sleep(left.min(LOOK_EVERY)).await;
            continue;
        }
        let store = bucket.store();
        if found.lock.proved.as_ref() != Some(&store) && proved.as_ref() != Some(&store) {
            conditions_are_honoured(&**bucket, place, patience(lease)).await?;
            proved = Some(store);
            continue; // the lock may have changed meanwhile
        }
        let taken = found.lock.taken(&holder, lease);
        let (lock, began) = (LockObject { proved: Some(store), ..taken }, Moment::now());
        let write = found.replacement_write(place, &lock);
        match write.make(&**bucket, &Fence::open(), patience(lease)).await {
            Ok(WriteOutcome::Done(etag)) => {
                let standing =
                    LeaseStatus { renewed: began, lost: None, trouble: None, over: false };
                let held = SharedLease {
                    bucket: Arc::clone(bucket),
                    place: place.clone(),
                    lease,
                    epoch: AtomicU64::new(lock.epoch),
                    recorded: AtomicU64::new(lock.recorded),
                    standing: Mutex::new(standing),
                    line: tokio::sync::Mutex::new(WrittenLock { lock, etag, open: None }),
                };
                return Ok(RemoteLockGuard::keep(held, holder, found.lock.holder));
            }
            Ok(WriteOutcome::Taken(_)) => (), // another process was faster, or renewed it
            Err(unwritten) => {
                return Err(not_written("lock", place, &place.lock(), unwritten).into());
            }
        }
    }
}

/// Returns the holder of the lock, if its lease has not ended.
pub(super) async fn holder(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
) -> Result<Option<LockHolder>, StateError> {
    let found = LockRead::read(bucket, place, patience(LEASE)).await?;
    Ok(found.held_by(&mut LockObservation::default()))
}

/// Takes the lock from the holder with this ID. Returns `None` if the lock is free.
pub(super) async fn break_open(
    bucket: &Arc<dyn ObjectStore>,
    place: &Layout,
    id: &str,
    even_alive: bool,
) -> Result<Option<BrokenLock>, UnlockError> {
    loop {
        let found = LockRead::read(bucket, place, patience(LEASE)).await?;
        let Some(holder) = found.lock.holder.clone().map(Box::new) else { return Ok(None) };
        if holder.id != id {
            return Err(UnlockError::Another { given: id.to_owned(), holder: Some(holder) });
        }
        if holder.is_alive() == Some(true) && !even_alive {
            return Err(UnlockError::Alive(holder));
        }
        let write = found.replacement_write(place, &found.lock.given_back());
        match write.make(&**bucket, &Fence::open(), patience(LEASE)).await {
            Ok(WriteOutcome::Done(_)) => return Ok(Some(BrokenLock { holder: Some(holder) })),
            Ok(WriteOutcome::Taken(_)) => (), // it was renewed, or given back
            Err(unwritten) => {
                return Err(not_written("unlock", place, &place.lock(), unwritten).into());
            }
        }
    }
}

/// Lock as it was read.
struct LockRead {
    object: Option<StoredObject>,
    lock: LockObject,
}

impl LockRead {
    async fn read(
        bucket: &Arc<dyn ObjectStore>,
        place: &Layout,
        patience: RetryBudget,
    ) -> Result<Self, StateError> {
        let key = place.lock();
        let object = retry_idempotent(patience, "GetObject", || bucket.get(&key)).await;
        let object = object.map_err(|source| not_read(place, &key, source))?;
        let lock = object.as_ref().map(|object| LockObject::read(place, object)).transpose()?;
        Ok(Self { object, lock: lock.unwrap_or_default() })
    }

    /// Returns the holder if the lock cannot be taken over yet.
    fn held_by(&self, watch: &mut LockObservation) -> Option<LockHolder> {
        let (object, holder) = (self.object.as_ref()?, self.lock.holder.as_ref()?);
        // The watch must see every read, even if the result does not depend on it.
        let over = watch.has_run_out(&self.lock, object, Instant::now()) || self.lock.is_orphaned();
        (!over).then(|| holder.clone())
    }

    fn replacement_write(&self, place: &Layout, lock: &LockObject) -> ConditionalWrite {
        let etag = self.object.as_ref().map(|object| &object.etag);
        ConditionalWrite {
            key: place.lock(),
            bytes: lock.text(),
            condition: Precondition::unchanged(etag),
        }
    }
}

pub(super) fn not_read(place: &Layout, key: &str, source: ProviderError) -> StateError {
    StateError::Bucket { action: "read", path: place.address(key), source }
}

pub(super) fn not_written(
    action: &'static str,
    place: &Layout,
    key: &str,
    unwritten: WriteError,
) -> StateError {
    match unwritten {
        WriteError::Fenced { error, .. } => error,
        WriteError::Failed { error: source, .. } => {
            StateError::Bucket { action, path: place.address(key), source }
        }
    }
}

/// State lock, held until it is released. A guard dropped without release (a panic, an exit) is no
/// longer renewed, and its fence rejects all calls. Other runs take the lock over after its lease.
#[derive(Debug)]
pub struct RemoteLockGuard {
    held: Arc<SharedLease>,
    holder: LockHolder,
    taken_from: Option<LockHolder>,
    renewals: JoinHandle<()>,
}

impl RemoteLockGuard {
    fn keep(held: SharedLease, holder: LockHolder, taken_from: Option<LockHolder>) -> Self {
        let held = Arc::new(held);
        let renewals = tokio::spawn(keep_renewing(Arc::clone(&held)));
        Self { held, holder, taken_from, renewals }
    }

    /// Returns the holder: this process.
    pub fn holder(&self) -> &LockHolder {
        &self.holder
    }

    /// Returns the former holder that the lock was taken over from; `None` if the lock was free.
    pub fn taken_from(&self) -> Option<&LockHolder> {
        self.taken_from.as_ref()
    }

    /// Returns the epoch of this acquisition.
    pub fn epoch(&self) -> u64 {
        self.held.epoch()
    }

    /// Returns the fence, which is open while no other process can have the lock.
    pub fn fence(&self) -> Fence {
        self.held.fence()
    }

    /// Releases the lock, so that other runs need not wait for the end of the lease. A lock that is
    /// already lost counts as released.
    ///
    /// # Errors
    /// Returns an error if the bucket rejects the write; other runs then wait for the end of the
    /// lease.
    pub async fn release(self) -> Result<(), StateError> {
        self.renewals.abort();
        self.held.standing().over = true;
        match self.held.renew(LockObject::given_back).await {
            Err(StateError::Fenced { .. }) => Ok(()),
            result => result,
        }
    }

    pub(super) fn held(&self) -> &Arc<SharedLease> {
        &self.held
    }
}

impl Drop for RemoteLockGuard {
    fn drop(&mut self) {
        self.renewals.abort();
        self.held.standing().over = true;
    }
}

async fn keep_renewing(held: Arc<SharedLease>) {
    loop {
        let since = Moment::now().since(held.standing().renewed);
        sleep((held.lease / 4).saturating_sub(since)).await;
        match held.renew(|lock| LockObject { beat: lock.beat + 1, ..lock.clone() }).await {
            Ok(()) => (),
            Err(StateError::Fenced { .. }) => return,
            Err(_) => sleep(held.lease / 20).await, // the fence says why when it shuts
        }
    }
}

/// Data shared by the guard, the backend and their fences.
#[derive(Debug)]
pub(super) struct SharedLease {
    pub(super) bucket: Arc<dyn ObjectStore>,
    pub(super) place: Layout,
    pub(super) lease: Duration,
    epoch: AtomicU64,
    /// Serial of the last record known to be durable. The next renewal contains it.
    recorded: AtomicU64,
    standing: Mutex<LeaseStatus>,
    line: tokio::sync::Mutex<WrittenLock>,
}

/// Status of the lock.
#[derive(Debug)]
struct LeaseStatus {
    /// Start of the last successful renewal.
    renewed: Moment,
    /// Reason of the permanent loss of the lock.
    lost: Option<String>,
    /// Error of the last failed renewal.
    trouble: Option<String>,
    /// True after the guard was released or dropped.
    over: bool,
}

/// Lock as this process wrote it last; one write at a time.
#[derive(Debug)]
struct WrittenLock {
    lock: LockObject,
    etag: Etag,
    /// Write with a result that is not known yet. No other write starts before its result.
    open: Option<OpenWrite>,
}

#[derive(Debug)]
struct OpenWrite {
    lock: LockObject,
    write: ConditionalWrite,
    began: Moment,
}

impl SharedLease {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Relaxed)
    }

    /// Returns the serial of the last record known to be durable.
    pub(super) fn recorded(&self) -> u64 {
        self.recorded.load(Ordering::Relaxed)
    }

    /// Includes this serial as durable in the next renewal.
    pub(super) fn has_recorded(&self, serial: u64) {
        self.recorded.fetch_max(serial, Ordering::Relaxed);
    }

    pub(super) fn fence(self: &Arc<Self>) -> Fence {
        let held = Arc::clone(self);
        Fence::new(move || held.pass())
    }

    pub(super) fn pass(&self) -> Result<(), StateError> {
        let standing = self.standing();
        if let Some(why) = &standing.lost {
            return Err(self.fenced(why.clone()));
        }
        if standing.over {
            return Err(self.fenced("the lock was released".to_owned()));
        }
        let since = Moment::now().since(standing.renewed);
        if since < fence_after(self.lease) {
            return Ok(());
        }
        let trouble = standing.trouble.as_ref().map(|trouble| format!(" ({trouble})"));
        let trouble = trouble.unwrap_or_default();
        Err(self.fenced(format!(
            "the lock was not renewed for {} seconds{trouble}, so another process may take it",
            since.as_secs()
        )))
    }

    /// Raises the epoch of the lock to the one after `epoch`, unless it is already higher. A state
    /// that came from another location has had more holders than the lock here.
    pub(super) async fn outrun(&self, epoch: u64) -> Result<(), StateError> {
        if self.epoch() > epoch {
            return Ok(());
        }
        self.renew(|lock| LockObject { epoch: epoch + 1, beat: lock.beat + 1, ..lock.clone() })
            .await?;
        self.epoch.store(epoch + 1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes the lock again if it is still the one that this process wrote last.
    async fn renew(&self, next: impl FnOnce(&LockObject) -> LockObject) -> Result<(), StateError> {
        let mut line = self.line.lock().await;
        self.settle(&mut line).await?;
        let lock = LockObject { recorded: self.recorded(), ..next(&line.lock) };
        let condition = Precondition::Matches(line.etag.clone());
        let write = ConditionalWrite { key: self.place.lock(), bytes: lock.text(), condition };
        line.open = Some(OpenWrite { lock, write, began: Moment::now() });
        self.settle(&mut line).await
    }

    /// Completes the open write. The write stays open if its result remains unknown, or if this
    /// call is cancelled.
    async fn settle(&self, line: &mut WrittenLock) -> Result<(), StateError> {
        if let Some(why) = self.standing().lost.clone() {
            return Err(self.fenced(why));
        }
        let Some(open) = &line.open else { return Ok(()) };
        let patience = RetryBudget { overall: self.lease / 4, ..patience(self.lease) };
        match open.write.make(&*self.bucket, &Fence::open(), patience).await {
            Ok(WriteOutcome::Done(etag)) => {
                let open = line.open.take().expect("BUG: it was open just now");
                let mut standing = self.standing();
                standing.renewed = open.began;
                standing.trouble = None;
                (line.lock, line.etag) = (open.lock, etag);
                Ok(())
            }
            Ok(WriteOutcome::Taken(found)) => Err(self.lose(&self.how_it_was_lost(found.as_ref()))),
            Err(unwritten) => {
                let error = not_written("renew", &self.place, &open.write.key, unwritten);
                if let StateError::Bucket { source, .. } = &error {
                    self.standing().trouble = Some(source.to_string());
                }
                Err(error)
            }
        }
    }

    /// Closes the fence permanently: another process has proved to be the holder.
    pub(super) fn lose(&self, why: &str) -> StateError {
        self.standing().lost.get_or_insert_with(|| why.to_owned());
        self.fenced(why.to_owned())
    }

    fn how_it_was_lost(&self, found: Option<&StoredObject>) -> String {
        let lock = found.and_then(|object| LockObject::read(&self.place, object).ok());
        match lock.and_then(|lock| lock.holder) {
            Some(holder) => format!("another process took the lock: {holder}"),
            None => "the lock of this run was force-released".to_owned(),
        }
    }

    fn fenced(&self, why: String) -> StateError {
        StateError::Fenced { place: self.place.folder().display().to_string(), why }
    }

    fn standing(&self) -> MutexGuard<'_, LeaseStatus> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Point in time by two clocks: one stops while the machine sleeps, and the user may set the other.
#[derive(Clone, Copy, Debug)]
struct Moment {
    monotonic: Instant,
    wall: SystemTime,
}

impl Moment {
    fn now() -> Self {
        Self { monotonic: Instant::now(), wall: SystemTime::now() }
    }

    /// Returns the time since `earlier`, by the clock that has advanced further.
    fn since(self, earlier: Self) -> Duration {
        let wall = self.wall.duration_since(earlier.wall).unwrap_or_default();
        self.monotonic.duration_since(earlier.monotonic).max(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_that_has_gone_further_counts() {
        let (start, second) = (Moment::now(), Duration::from_secs(1));
        let after = |monotonic, wall| Moment { monotonic: start.monotonic + monotonic, wall };
        let asleep = after(second, start.wall + 900 * second);
        assert_eq!(asleep.since(start), 900 * second, "a machine was asleep");
        let set_back = after(50 * second, start.wall - 3600 * second);
        assert_eq!(set_back.since(start), 50 * second, "a clock was set back");
    }
}
