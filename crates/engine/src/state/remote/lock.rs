//! Content of `lock.json`, and the rules for taking the lock over. Performs no network I/O.
//!
//! The clocks of two machines are never compared. The server reports the age of the lock, and the
//! local clock measures how long the lock has been unchanged.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;

use super::layout::Layout;
use super::object_store::{Etag, StoredObject};
use crate::state::error::{Damage, StateError};
use crate::state::lock::LockHolder;

/// Lock as all processes read it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct LockObject {
    /// Holder of the lock; `null` if the lock is free.
    pub(super) holder: Option<LockHolder>,
    /// Epoch of the last acquisition. Kept when the lock is released.
    pub(super) epoch: u64,
    /// Time after a renewal in which the lock cannot be taken over, in seconds. A contender adds
    /// [`margin`].
    pub(super) lease_seconds: u64,
    /// Number that grows with every renewal, so that no two contents are equal.
    pub(super) beat: u64,
    /// Serial of the last record that the holders know to be durable.
    #[serde(default)]
    pub(super) recorded: u64,
    /// PID namespace of the holder's process ID.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) processes: Option<String>,
    /// Store whose conditions of writes were proved ([`ObjectStore::store`](super::ObjectStore::store)).
    /// `None` before the proof.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) proved: Option<String>,
    /// Fields of a newer version, kept.
    #[serde(flatten)]
    pub(super) unknown: BTreeMap<String, Value>,
}

impl Default for LockObject {
    /// Returns a lock without a holder so far.
    fn default() -> Self {
        Self {
            holder: None,
            epoch: 0,
            lease_seconds: 0,
            beat: 0,
            recorded: 0,
            processes: None,
            proved: None,
            unknown: BTreeMap::new(),
        }
    }
}

impl LockObject {
    pub(super) fn read(place: &Layout, object: &StoredObject) -> Result<Self, StateError> {
        serde_json::from_slice(&object.bytes).map_err(|error| {
            let path = place.address(&place.lock());
            let hint = format!(
                "make sure that no process uses this state, then remove the lock: aws s3 \
                     rm {}",
                path.display()
            );
            let (line, why) = (error.line().max(1), error.to_string());
            let damage = Damage { line, offset: 0, serial: None, why };
            StateError::Damaged { path, damage, hint }
        })
    }

    pub(super) fn text(&self) -> Vec<u8> {
        let mut text = serde_json::to_vec_pretty(self).expect("BUG: plain data into memory");
        text.push(b'\n');
        text
    }

    /// Returns the lock of the next acquisition.
    pub(super) fn taken(&self, holder: &LockHolder, lease: Duration) -> Self {
        Self {
            holder: Some(holder.clone()),
            epoch: self.epoch + 1,
            lease_seconds: lease.as_secs(),
            beat: self.beat + 1,
            processes: processes(),
            ..self.clone()
        }
    }

    /// Returns the released lock.
    pub(super) fn given_back(&self) -> Self {
        Self { holder: None, beat: self.beat + 1, processes: None, ..self.clone() }
    }

    /// Returns true if the holder is known to have ended. An unused process ID may belong to a live
    /// process in another container, so the PID namespaces must be equal.
    pub(super) fn is_orphaned(&self) -> bool {
        let same = self.processes.is_some() && self.processes == processes();
        same && self.holder.as_ref().is_some_and(|holder| holder.is_alive() == Some(false))
    }

    /// Returns the time without a renewal after which the holder has certainly detected its loss.
    pub(super) fn runs_out_after(&self) -> Duration {
        let lease = Duration::from_secs(self.lease_seconds);
        lease.saturating_add(margin(lease))
    }
}

/// Returns the time since the start of the last renewal after which the fence rejects calls. The
/// rest of the lease and the margin cover calls in flight and different clock rates.
pub(super) fn fence_after(lease: Duration) -> Duration {
    lease / 4 * 3
}

/// Returns the time that a contender waits beyond the lease.
pub(super) fn margin(lease: Duration) -> Duration {
    lease / 4
}

/// Observation of a lock over several reads.
#[derive(Debug, Default)]
pub(super) struct LockObservation {
    seen: Option<(Etag, Instant)>,
}

impl LockObservation {
    /// Returns true if the lock has not been renewed for so long that it may be taken over.
    pub(super) fn has_run_out(
        &mut self,
        lock: &LockObject,
        object: &StoredObject,
        now: Instant,
    ) -> bool {
        let since = match &self.seen {
            Some((etag, since)) if *etag == object.etag => *since,
            _ => self.seen.insert((object.etag.clone(), now)).1,
        };
        let limit = lock.runs_out_after();
        now.duration_since(since) > limit || object.age.is_some_and(|age| age > limit)
    }
}

/// Returns the PID namespace of this process (pid_namespaces(7)).
fn processes() -> Option<String> {
    let name = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(etag: &str, age: Option<u64>) -> StoredObject {
        let (bytes, etag) = (Vec::new(), Etag(etag.to_owned()));
        StoredObject { bytes, etag, age: age.map(Duration::from_secs) }
    }

    fn lock() -> LockObject {
        LockObject::default().taken(&LockHolder::this_process("apply"), Duration::from_secs(60))
    }

    fn gone() -> LockHolder {
        // No process that started before the kernel has this process ID.
        LockHolder { started: Some(0), ..LockHolder::this_process("apply") }
    }

    #[test]
    fn a_lock_has_run_out_when_the_server_says_that_it_is_old() {
        let now = Instant::now();
        for (age, out) in [(None, false), (Some(75), false), (Some(76), true)] {
            assert_eq!(
                LockObservation::default().has_run_out(&lock(), &seen("a", age), now),
                out,
                "{age:?}"
            );
        }
    }

    #[test]
    fn a_lock_has_run_out_when_it_stands_unchanged_before_our_eyes() {
        let (began, mut watch) = (Instant::now(), LockObservation::default());
        let mut look = |etag, after| {
            let now = began + Duration::from_secs(after);
            watch.has_run_out(&lock(), &seen(etag, None), now)
        };
        assert!(!look("a", 0));
        assert!(!look("a", 75));
        assert!(!look("b", 76), "it was renewed");
        assert!(!look("b", 151));
        assert!(look("b", 152));
    }

    #[test]
    fn a_lease_without_an_end_never_runs_out() {
        let lock = LockObject { lease_seconds: u64::MAX, ..lock() };
        assert!(!LockObservation::default().has_run_out(
            &lock,
            &seen("a", Some(u64::MAX / 2)),
            Instant::now()
        ));
    }

    #[test]
    fn only_a_process_of_our_own_numbering_is_known_to_have_ended() {
        let lease = Duration::from_secs(60);
        assert!(!lock().is_orphaned(), "this process runs");
        let orphan = LockObject::default().taken(&gone(), lease);
        assert!(orphan.is_orphaned());
        for processes in [None, Some("pid:[1]".to_owned())] {
            assert!(!LockObject { processes, ..orphan.clone() }.is_orphaned());
        }
        let elsewhere = LockHolder { host: "elsewhere".to_owned(), ..gone() };
        assert!(!LockObject::default().taken(&elsewhere, lease).is_orphaned());
        assert!(!LockObject::default().is_orphaned(), "it is not locked");
    }

    #[test]
    fn what_a_newer_version_says_is_kept() {
        let place = Layout::new("acme", "prod");
        let mut newer: Value = serde_json::from_slice(&lock().text()).unwrap();
        newer["reason"] = "upgrade".into();
        let bytes = serde_json::to_vec(&newer).unwrap();
        let lock = LockObject::read(&place, &StoredObject { bytes, ..seen("a", None) }).unwrap();
        let next =
            lock.given_back().taken(&LockHolder::this_process("destroy"), Duration::from_secs(9));
        assert_eq!(next.unknown["reason"], "upgrade");
        assert_eq!((next.epoch, next.beat, next.lease_seconds), (2, 3, 9));
    }

    #[test]
    fn a_damaged_lock_is_named_with_what_removes_it() {
        let place = Layout::new("acme", "prod");
        for text in ["", "{", "null", "{\"holder\":null}"] {
            let bytes = text.as_bytes().to_vec();
            let error =
                LockObject::read(&place, &StoredObject { bytes, ..seen("a", None) }).unwrap_err();
            assert!(error.to_string().contains("s3://acme/prod/lock.json"), "{error}");
            assert!(error.hint().unwrap().contains("aws s3 rm s3://acme/prod/lock.json"));
        }
    }
}
