//! An S3 bucket in memory, with conditional writes, latency in Tokio time, and injected failures
//! between the bucket and the processes that use it.
//!
//! Each [`Process`] has its own connection, and can be stopped, killed and disconnected. A request
//! that has been sent takes effect even if the process no longer waits for the response.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use crate::provider::{ErrorClass, ProviderError, ProviderFuture};
use crate::secret::hex;
use crate::state::remote::ObjectStore;
use crate::state::remote::object_store::{Etag, Precondition, PutOutcome, StoredObject};

/// Behaviour of a bucket.
#[derive(Clone, Copy, Debug)]
pub struct StoreBehaviour {
    /// Time from a request to its response.
    pub latency: Duration,
    /// Seconds of the bucket's clock per second of Tokio time.
    pub rate: f64,
    /// Maximum difference between the clocks of the bucket's servers.
    pub wobble: Duration,
    /// Seed of all randomness.
    pub seed: u64,
    /// Versioning as the bucket reports it. `None` if unknown.
    pub versions: Option<bool>,
    /// Conditions of writes that the bucket honours.
    pub conditions: HonouredConditions,
}

/// Conditions of writes that a bucket honours. Ignored ones count as true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HonouredConditions {
    /// All, as in S3.
    All,
    /// None: every write succeeds.
    Nothing,
    /// `If-None-Match` alone.
    Absence,
    /// `If-Match` alone.
    Match,
}

impl Default for StoreBehaviour {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(20),
            rate: 1.0,
            wobble: Duration::ZERO,
            seed: 1,
            versions: Some(true),
            conditions: HonouredConditions::All,
        }
    }
}

/// A failure of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestFault {
    /// The bucket rejects the request permanently with this code.
    Denied(&'static str),
    /// The bucket rejects the request with a retryable error.
    Busy,
    /// The request is lost and has no effect.
    LostRequest,
    /// The request takes effect, and the response is lost.
    LostAnswer,
    /// The request takes effect with this delay. The process gets an error without waiting for it.
    Late(Duration),
    /// The request takes effect, and the process never gets a response.
    Silence,
}

/// A write or deletion that took effect.
#[derive(Clone, PartialEq, Eq)]
pub struct AppliedWrite {
    /// Number of the process that sent the request, in the order of creation.
    pub by: usize,
    /// Key of the object.
    pub key: String,
    /// New content; `None` after a deletion.
    pub bytes: Option<Vec<u8>>,
}

impl fmt::Debug for AppliedWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let size = self.bytes.as_ref().map(Vec::len);
        write!(f, "process {}: {} is now {size:?} bytes", self.by, self.key)
    }
}

type WriteObserver = Box<dyn Fn(&AppliedWrite) + Send + Sync>;

/// The bucket. Clones share their content.
#[derive(Clone)]
pub struct FakeObjectStore(Arc<StoreServer>);

struct StoreServer {
    behaviour: StoreBehaviour,
    began: Instant,
    store: Mutex<StoreContent>,
    watchers: Mutex<Vec<WriteObserver>>,
}

struct StoreContent {
    objects: BTreeMap<String, StoreEntry>,
    done: Vec<AppliedWrite>,
    processes: usize,
    dice: fastrand::Rng,
}

struct StoreEntry {
    bytes: Vec<u8>,
    modified: Duration,
}

impl fmt::Debug for FakeObjectStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.store().objects.keys()).finish()
    }
}

impl Default for FakeObjectStore {
    fn default() -> Self {
        Self::new(StoreBehaviour::default())
    }
}

impl FakeObjectStore {
    /// Creates an empty bucket with this behaviour.
    pub fn new(behaviour: StoreBehaviour) -> Self {
        let store = StoreContent {
            objects: BTreeMap::new(),
            done: Vec::new(),
            processes: 0,
            dice: fastrand::Rng::with_seed(behaviour.seed),
        };
        Self(Arc::new(StoreServer {
            behaviour,
            began: Instant::now(),
            store: Mutex::new(store),
            watchers: Mutex::default(),
        }))
    }

    /// Creates a process that uses the bucket.
    pub fn process(&self) -> Arc<Process> {
        let mut store = self.0.store();
        let (number, seed) = (store.processes, store.dice.u64(..));
        store.processes += 1;
        Arc::new(Process {
            number,
            server: Arc::clone(&self.0),
            power: watch::Sender::new(ProcessState::Runs),
            way: Mutex::new(Connection {
                planned: VecDeque::new(),
                chance: 0.0,
                dice: fastrand::Rng::with_seed(seed),
                requests: BTreeMap::new(),
            }),
        })
    }

    /// Returns all objects.
    pub fn objects(&self) -> BTreeMap<String, Vec<u8>> {
        let store = self.0.store();
        store.objects.iter().map(|(key, kept)| (key.clone(), kept.bytes.clone())).collect()
    }

    /// Writes an object without a request and without a watcher call.
    pub fn plant(&self, key: &str, bytes: impl Into<Vec<u8>>) {
        let kept = StoreEntry { bytes: bytes.into(), modified: self.0.time() };
        self.0.store().objects.insert(key.to_owned(), kept);
    }

    /// Removes an object without a request and without a watcher call.
    pub fn remove(&self, key: &str) {
        self.0.store().objects.remove(key);
    }

    /// Returns all writes and deletions that took effect, in order.
    pub fn done(&self) -> Vec<AppliedWrite> {
        self.0.store().done.clone()
    }

    /// Calls `watcher` for every write and deletion at the moment of its effect.
    pub fn on_done(&self, watcher: impl Fn(&AppliedWrite) + Send + Sync + 'static) {
        let mut watchers = self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        watchers.push(Box::new(watcher));
    }
}

impl StoreServer {
    fn store(&self) -> MutexGuard<'_, StoreContent> {
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time of the bucket's clock.
    fn time(&self) -> Duration {
        self.began.elapsed().mul_f64(self.behaviour.rate)
    }

    fn tell(&self, done: &[AppliedWrite]) {
        let watchers = self.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        done.iter().for_each(|done| watchers.iter().for_each(|watcher| watcher(done)));
    }

    fn get(&self, key: &str) -> Option<StoredObject> {
        let now = self.time();
        let mut store = self.store();
        let wobble = self.behaviour.wobble.mul_f64(store.dice.f64());
        let kept = store.objects.get(key)?;
        // Both dates have whole seconds, and may come from two servers.
        let age = (now + wobble).as_secs().saturating_sub(kept.modified.as_secs());
        let (bytes, etag) = (kept.bytes.clone(), etag(&kept.bytes));
        Some(StoredObject { bytes, etag, age: Some(Duration::from_secs(age)) })
    }

    fn put(&self, by: usize, key: String, bytes: Vec<u8>, condition: &Precondition) -> PutOutcome {
        let modified = self.time();
        let mut store = self.store();
        let now = store.objects.get(&key).map(|kept| etag(&kept.bytes));
        use HonouredConditions::{Absence, All, Match};
        let honoured = self.behaviour.conditions;
        let holds = match condition {
            Precondition::Absent => now.is_none() || !matches!(honoured, All | Absence),
            Precondition::Matches(expected) => {
                now.as_ref() == Some(expected) || !matches!(honoured, All | Match)
            }
        };
        if !holds {
            return PutOutcome::Refused;
        }
        let new = etag(&bytes);
        let done = AppliedWrite { by, key: key.clone(), bytes: Some(bytes.clone()) };
        store.done.push(done.clone());
        store.objects.insert(key, StoreEntry { bytes, modified });
        drop(store);
        self.tell(&[done]);
        PutOutcome::Done(new)
    }

    fn list(&self, prefix: &str, after: &str) -> Vec<String> {
        let store = self.store();
        let keys = store.objects.keys();
        keys.filter(|key| key.starts_with(prefix) && key.as_str() > after).cloned().collect()
    }

    fn delete(&self, by: usize, keys: Vec<String>) {
        let mut store = self.store();
        let gone: Vec<_> =
            keys.into_iter().filter(|key| store.objects.remove(key).is_some()).collect();
        let done: Vec<_> =
            gone.into_iter().map(|key| AppliedWrite { by, key, bytes: None }).collect();
        store.done.extend(done.iter().cloned());
        drop(store);
        self.tell(&done);
    }
}

/// Returns an ETag as S3 does for small objects: a hash of the content, so equal content has equal
/// ETags.
fn etag(bytes: &[u8]) -> Etag {
    Etag(hex(&Sha256::digest(bytes)[..16]))
}

/// Run state of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ProcessState {
    Runs,
    Stopped,
    Killed,
}

/// A process that uses a bucket.
pub struct Process {
    number: usize,
    server: Arc<StoreServer>,
    power: watch::Sender<ProcessState>,
    way: Mutex<Connection>,
}

/// The connection between a process and the bucket.
struct Connection {
    planned: VecDeque<(&'static str, String, RequestFault)>,
    chance: f64,
    dice: fastrand::Rng,
    requests: BTreeMap<&'static str, u64>,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Process {} ({:?})", self.number, *self.power.borrow())
    }
}

impl Process {
    /// Returns the number of the process.
    pub fn number(&self) -> usize {
        self.number
    }

    /// Stops the process (SIGSTOP). A stopped process sends no requests and receives no responses.
    pub fn stop(&self) {
        self.power.send_if_modified(|power| {
            std::mem::replace(power, ProcessState::Stopped) == ProcessState::Runs
        });
    }

    /// Resumes the process (SIGCONT).
    pub fn resume(&self) {
        self.power.send_if_modified(|power| {
            let stopped = *power == ProcessState::Stopped;
            if stopped {
                *power = ProcessState::Runs;
            }
            stopped
        });
    }

    /// Kills the process (SIGKILL). Requests that have been sent take effect; no others follow.
    pub fn kill(&self) {
        self.power.send_replace(ProcessState::Killed);
    }

    /// Returns true if the process was killed.
    pub fn is_killed(&self) -> bool {
        *self.power.borrow() == ProcessState::Killed
    }

    /// Returns true if the process runs.
    pub fn runs(&self) -> bool {
        *self.power.borrow() == ProcessState::Runs
    }

    /// Waits until the process runs. Waits forever after a kill.
    pub async fn awake(&self) {
        let mut power = self.power.subscribe();
        if power.wait_for(|power| *power == ProcessState::Runs).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Injects a failure into the next request `call` (such as `PutObject`; empty for any) for a
    /// key that contains `key`.
    pub fn plan(&self, call: &'static str, key: &str, mishap: RequestFault) {
        self.way().planned.push_back((call, key.to_owned(), mishap));
    }

    /// Injects random failures with this probability per request, and varies the latency.
    pub fn inject_random_faults(&self, chance: f64) {
        self.way().chance = chance;
    }

    /// Returns the number of requests that the process has sent, by name.
    pub fn requests(&self) -> BTreeMap<&'static str, u64> {
        self.way().requests.clone()
    }

    fn way(&self) -> MutexGuard<'_, Connection> {
        self.way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the failure of this request, and the times to and from the bucket.
    fn next_fault(
        &self,
        call: &'static str,
        key: &str,
    ) -> (Option<RequestFault>, Duration, Duration) {
        let mut way = self.way();
        *way.requests.entry(call).or_default() += 1;
        let fits = |(name, part, _): &(&str, String, RequestFault)| {
            (name.is_empty() || *name == call) && key.contains(part.as_str())
        };
        let planned = way.planned.iter().position(fits);
        let planned = planned.and_then(|at| way.planned.remove(at)).map(|(_, _, mishap)| mishap);
        let half = self.server.behaviour.latency / 2;
        if way.chance == 0.0 {
            return (planned, half, half);
        }
        let unlucky = way.dice.f64() < way.chance;
        let mishap = planned.or_else(|| unlucky.then(|| any_mishap(&mut way.dice)));
        let (there, back) = (1.0 + 4.0 * way.dice.f64(), 1.0 + 4.0 * way.dice.f64());
        (mishap, half.mul_f64(there), half.mul_f64(back))
    }

    async fn call<T: Send + 'static>(
        &self,
        call: &'static str,
        key: &str,
        effect: impl FnOnce(&StoreServer) -> T + Send + 'static,
    ) -> Result<T, ProviderError> {
        self.awake().await;
        let (mishap, there, back) = self.next_fault(call, key);
        let error = |class, code: &str| {
            Err(ProviderError::new(class, call, "as the test has it").with_code(code))
        };
        let before = match mishap {
            Some(RequestFault::Late(later)) => there + later,
            _ => there,
        };
        let answer = match mishap {
            Some(RequestFault::Denied(_) | RequestFault::Busy | RequestFault::LostRequest) => None,
            _ => Some(self.send(before, effect)),
        };
        match mishap {
            None => {
                let answer = answer.expect("BUG: it was sent").await;
                let answer = answer.expect("BUG: the server answers every request");
                sleep(back).await;
                self.awake().await;
                Ok(answer)
            }
            Some(RequestFault::Silence) => std::future::pending().await,
            Some(mishap) => {
                sleep(there + back).await;
                self.awake().await;
                match mishap {
                    RequestFault::Denied(code) => error(ErrorClass::Permanent, code),
                    RequestFault::Busy => error(ErrorClass::Retryable, "SlowDown"),
                    _ => error(ErrorClass::Ambiguous, "InternalError"),
                }
            }
        }
    }

    /// Sends a request that takes effect after `after`, even if the process is stopped or killed
    /// meanwhile.
    fn send<T: Send + 'static>(
        &self,
        after: Duration,
        effect: impl FnOnce(&StoreServer) -> T + Send + 'static,
    ) -> oneshot::Receiver<T> {
        let (answer, answered) = oneshot::channel();
        let server = Arc::clone(&self.server);
        tokio::spawn(async move {
            sleep(after).await;
            let _ = answer.send(effect(&server)); // the caller may have stopped waiting
        });
        answered
    }
}

fn any_mishap(dice: &mut fastrand::Rng) -> RequestFault {
    match dice.u8(..6) {
        0 | 1 => RequestFault::LostAnswer,
        2 => RequestFault::LostRequest,
        3 => RequestFault::Late(Duration::from_millis(dice.u64(..60_000))),
        4 => RequestFault::Silence,
        _ => RequestFault::Busy,
    }
}

impl ObjectStore for Process {
    fn get(&self, key: &str) -> ProviderFuture<'_, Option<StoredObject>> {
        let key = key.to_owned();
        Box::pin(async move {
            let wanted = key.clone();
            self.call("GetObject", &key, move |server| server.get(&wanted)).await
        })
    }

    fn put(
        &self,
        key: &str,
        bytes: Vec<u8>,
        condition: Precondition,
    ) -> ProviderFuture<'_, PutOutcome> {
        let (key, by) = (key.to_owned(), self.number);
        Box::pin(async move {
            let named = key.clone();
            let effect = move |server: &StoreServer| server.put(by, named, bytes, &condition);
            self.call("PutObject", &key, effect).await
        })
    }

    fn list(&self, prefix: &str, after: &str) -> ProviderFuture<'_, Vec<String>> {
        let (prefix, after) = (prefix.to_owned(), after.to_owned());
        Box::pin(async move {
            let below = prefix.clone();
            self.call("ListObjectsV2", &prefix, move |server| server.list(&below, &after)).await
        })
    }

    fn delete(&self, keys: Vec<String>) -> ProviderFuture<'_, ()> {
        let by = self.number;
        Box::pin(async move {
            let first = keys.first().cloned().unwrap_or_default();
            self.call("DeleteObjects", &first, move |server| server.delete(by, keys)).await
        })
    }

    fn store(&self) -> String {
        "memory".to_owned()
    }

    fn keeps_versions(&self) -> ProviderFuture<'_, Option<bool>> {
        Box::pin(self.call("GetBucketVersioning", "", |server| server.behaviour.versions))
    }
}
