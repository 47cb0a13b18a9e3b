//! Objects of the server, and the watches that receive their changes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hyper::body::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use super::body::{ResponseBody, TimedLine};
use super::disturbance::{Disturbances, WatchFate, millis};
use super::error::ErrorResponse;
use super::patch::{merge, strategic};
use super::permission::User;
use super::request::{ApiResource, ParsedRequest, RESOURCES, SuccessResponse};
use super::schema;
use super::select::ListSelectors;

/// Plural, namespace and name.
pub(super) type ObjectKey = (&'static str, String, String);

/// Injected failures.
#[derive(Debug, Default)]
pub(super) struct InjectedFaults {
    /// Statuses of the next responses, in reverse order.
    pub(super) statuses: Vec<u16>,
    pub(super) cut_before: u32,
    pub(super) cut_after: u32,
    /// Number of coming Node patches that another client precedes with a write.
    pub(super) quicker: u32,
    pub(super) silent: bool,
}

pub(super) struct ApiStore {
    pub(super) version: u64,
    objects: BTreeMap<ObjectKey, Value>,
    history: Vec<ObjectChange>,
    /// Oldest resource version that a watch can begin at.
    oldest: u64,
    watches: Vec<OpenWatch>,
    pub(super) requests: Vec<String>,
    pub(super) troubles: InjectedFaults,
    pub(super) protected: Option<String>,
    pub(super) writes: usize,
    pub(super) conflicts: usize,
    /// True if kubelets run, which end their pods at once.
    pub(super) kubelets: bool,
    /// True during a dry run, which stores nothing.
    pub(super) dry: bool,
    /// User of requests without a token. `None` has all permissions.
    pub(super) user: Option<User>,
    /// Valid tokens, with the namespace and name of their service accounts.
    pub(super) tokens: BTreeMap<String, (String, String)>,
    /// Number of tokens that were ever issued.
    issued: u64,
    /// Namespaces of objects that were put there without a request.
    pub(super) spaces: BTreeSet<String>,
    names: u64,
    uids: u128,
    began: (Timestamp, Option<Instant>),
    pub(super) disturbances: Disturbances,
    /// Maximum number of objects in one response to a LIST.
    pub(super) page: usize,
    /// Number of objects that clients created, by plural name of the resource.
    pub(super) creations: BTreeMap<&'static str, u64>,
    /// Number of deleted objects by plural name of the resource.
    pub(super) deletions: BTreeMap<&'static str, u64>,
    /// Changing requests and their results, with the time in milliseconds.
    pub(super) audit: Vec<String>,
}

impl Default for ApiStore {
    fn default() -> Self {
        Self {
            version: 0,
            objects: BTreeMap::new(),
            history: Vec::new(),
            oldest: 0,
            watches: Vec::new(),
            requests: Vec::new(),
            troubles: InjectedFaults::default(),
            protected: None,
            writes: 0,
            conflicts: 0,
            kubelets: true,
            dry: false,
            user: None,
            tokens: BTreeMap::new(),
            issued: 0,
            spaces: BTreeSet::new(),
            names: 0,
            uids: uuid::Uuid::new_v4().as_u128(),
            began: (Timestamp::now(), None),
            disturbances: Disturbances::default(),
            page: usize::MAX,
            creations: BTreeMap::new(),
            deletions: BTreeMap::new(),
            audit: Vec::new(),
        }
    }
}

/// A change of an object, with the states before and after.
#[derive(Clone)]
struct ObjectChange {
    version: u64,
    resource: &'static ApiResource,
    key: ObjectKey,
    old: Option<Value>,
    new: Option<Value>,
}

struct OpenWatch {
    resource: &'static ApiResource,
    namespace: String,
    selection: ListSelectors,
    lines: UnboundedSender<TimedLine>,
    /// Version after which events are sent.
    since: u64,
    lag: Option<fastrand::Rng>,
    /// Time when the last line arrives. The lines of one watch arrive in order.
    last_due: Instant,
}

/// Begin and duration of a watch.
#[derive(Clone, Copy, Debug)]
pub(super) struct WatchStart {
    /// Version after which the watch begins, or 0 to begin with the existing objects.
    pub(super) since: u64,
    /// Time until the server ends the watch.
    pub(super) seconds: u64,
    /// True if a bookmark follows the existing objects.
    pub(super) marks_the_begin: bool,
}

impl OpenWatch {
    /// Sends a line, which arrives late if the watch is. A late watch also repeats lines.
    fn send(&mut self, line: &Value) -> bool {
        let now = Instant::now();
        let late = self.lag.as_mut().map_or(Duration::ZERO, |lag| millis(lag, 5_000));
        self.last_due = self.last_due.max(now + late);
        let twice =
            line["type"] == "MODIFIED" && self.lag.as_mut().is_some_and(|lag| lag.u8(..10) == 0);
        let times = if twice { 2 } else { 1 };
        (0..times).all(|_| self.lines.send((self.last_due, Ok(lined(line)))).is_ok())
    }
}

impl ObjectChange {
    /// Returns the event for a watch. An object that begins to match is added, and an object that
    /// no longer matches is deleted.
    fn seen(&self, selection: &ListSelectors) -> Option<Value> {
        let fits = |object: &Option<Value>| object.as_ref().is_some_and(|one| selection.fits(one));
        let what = match (fits(&self.old), fits(&self.new)) {
            (false, false) => return None,
            (false, true) => "ADDED",
            (true, true) => "MODIFIED",
            (true, false) => "DELETED",
        };
        // An object that no longer matches is sent as it last matched.
        let shown = if what == "DELETED" { &self.old } else { &self.new };
        let mut object = shown.clone()?;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        Some(json!({"type": what, "object": object}))
    }

    fn is_in(&self, resource: &ApiResource, namespace: &str) -> bool {
        self.resource.plural == resource.plural && (namespace.is_empty() || self.key.1 == namespace)
    }
}

impl ApiStore {
    pub(super) fn len(&self) -> usize {
        self.objects.len()
    }

    /// Returns the time of Tokio's clock, which a test may have paused.
    pub(super) fn now(&mut self) -> String {
        self.time_after(Duration::ZERO)
    }

    /// Returns the time after some more time.
    pub(super) fn time_after(&mut self, more: Duration) -> String {
        let known = tokio::runtime::Handle::try_current().is_ok();
        let passed = if known { self.elapsed() } else { Duration::ZERO } + more;
        let passed = i64::try_from(passed.as_secs()).unwrap_or(i64::MAX);
        let seconds = self.began.0.as_second().saturating_add(passed);
        Timestamp::from_second(seconds).unwrap_or(self.began.0).to_string()
    }

    /// Returns the time since the first request.
    pub(super) fn elapsed(&mut self) -> Duration {
        self.began.1.get_or_insert_with(Instant::now).elapsed()
    }

    /// Makes all later behaviour depend on this seed alone: disturbances, UIDs and times.
    pub(super) fn seed(&mut self, seed: u64) {
        self.disturbances.draw_from(seed);
        self.uids = u128::from(seed) << 64;
        self.began = (Timestamp::UNIX_EPOCH, None);
    }

    /// Returns the objects of a resource at a past version, by undoing later changes.
    pub(super) fn objects_at(
        &self,
        resource: &ApiResource,
        namespace: &str,
        version: u64,
    ) -> BTreeMap<ObjectKey, Value> {
        let now = self.objects.iter().filter(|((plural, at, _), _)| {
            *plural == resource.plural && (namespace.is_empty() || at == namespace)
        });
        let mut then: BTreeMap<ObjectKey, Value> =
            now.map(|(key, object)| (key.clone(), object.clone())).collect();
        let later = self.history.iter().rev().take_while(|change| change.version > version);
        for change in later.filter(|change| change.is_in(resource, namespace)) {
            match &change.old {
                Some(old) => then.insert(change.key.clone(), old.clone()),
                None => then.remove(&change.key),
            };
        }
        then
    }

    /// Adds a changing request and its result to the audit log.
    pub(super) fn note(
        &mut self,
        asked: &ParsedRequest,
        done: &Result<SuccessResponse, ErrorResponse>,
    ) {
        let result = match done {
            Ok(SuccessResponse::Object(status, object)) => {
                format!("{status} {}", object["metadata"]["name"].as_str().unwrap_or("OK"))
            }
            Ok(SuccessResponse::Watch(_)) => "200 OK".to_owned(),
            Err(no) => format!("{} {}", no.code, no.reason),
        };
        let at = self.elapsed().as_millis();
        self.audit.push(format!("{at} {} {result}", asked.line()));
    }

    /// Returns true if the history reaches back to this version.
    pub(super) fn remembers(&self, version: u64) -> bool {
        version >= self.oldest && version <= self.version
    }

    pub(super) fn object(&self, key: &ObjectKey) -> Option<&Value> {
        self.objects.get(key)
    }

    pub(super) fn all(&self, plural: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((one, _, _), _)| *one == plural).map(|(_, value)| value)
    }

    pub(super) fn within(&self, plural: &str, namespace: &str) -> impl Iterator<Item = &Value> {
        let is_in = move |(one, at, _): &ObjectKey| {
            *one == plural && (namespace.is_empty() || at == namespace)
        };
        self.objects.iter().filter(move |(key, _)| is_in(key)).map(|(_, value)| value)
    }

    pub(super) fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        let resource = RESOURCES.iter().find(|one| one.plural == plural)?;
        self.objects.get(&(resource.plural, namespace.to_owned(), name.to_owned()))
    }

    /// Records a change and sends it to the watches. `None` for `new` is a deletion.
    pub(super) fn commit(
        &mut self,
        resource: &'static ApiResource,
        key: &ObjectKey,
        new: Option<Value>,
    ) -> Value {
        if self.dry {
            return new.or_else(|| self.objects.get(key).cloned()).unwrap_or_default();
        }
        self.version += 1;
        let new = new.map(|mut object| {
            object["metadata"]["resourceVersion"] = json!(self.version.to_string());
            object
        });
        let old = match &new {
            Some(object) => self.objects.insert(key.clone(), object.clone()),
            None => self.objects.remove(key),
        };
        let shown = new.clone().or_else(|| old.clone()).unwrap_or_default();
        let (version, key) = (self.version, key.clone());
        let change = ObjectChange { version, resource, key, old, new };
        self.watches.retain_mut(|watch| {
            if !change.is_in(watch.resource, &watch.namespace) || change.version <= watch.since {
                return !watch.lines.is_closed();
            }
            match change.seen(&watch.selection) {
                Some(line) => watch.send(&line),
                None => !watch.lines.is_closed(),
            }
        });
        self.history.push(change);
        shown
    }

    /// Starts a watch after the version `since`. For 0, the watch begins with all existing objects.
    pub(super) fn watch(
        &mut self,
        resource: &'static ApiResource,
        namespace: &str,
        selection: ListSelectors,
        start: WatchStart,
    ) -> ResponseBody {
        let WatchStart { since, seconds, marks_the_begin } = start;
        let (lines, received) = unbounded_channel();
        let WatchFate { lag, ends_after, expired } = self.disturbances.watch_fate();
        let namespace = namespace.to_owned();
        let last_due = Instant::now();
        let mut watch = OpenWatch { resource, namespace, selection, lines, since, lag, last_due };
        let mut open_for = Duration::from_secs(seconds);
        if since == 0 {
            let all = self.within(resource.plural, &watch.namespace);
            let all: Vec<Value> = all.filter(|one| watch.selection.fits(one)).cloned().collect();
            for object in all {
                watch.send(&json!({"type": "ADDED", "object": object}));
            }
            if marks_the_begin {
                watch.send(&json!({"type": "BOOKMARK", "object": {
                    "kind": resource.kind, "apiVersion": resource.api_version(),
                    "metadata": {"resourceVersion": self.version.to_string(),
                                 "annotations": {"k8s.io/initial-events-end": "true"}},
                }}));
            }
        } else if since < self.oldest || expired {
            let message = format!("too old resource version: {since} ({})", self.oldest);
            watch.send(&json!({"type": "ERROR", "object": {
                "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": "Expired", "code": 410,
            }}));
            return ResponseBody::watch(received, open_for);
        } else {
            let missed = self.history.iter().filter(|change| change.version > since);
            let missed = missed.filter(|change| change.is_in(resource, &watch.namespace));
            let missed: Vec<Value> =
                missed.filter_map(|change| change.seen(&watch.selection)).collect();
            for line in missed {
                watch.send(&line);
            }
        }
        self.watches.push(watch);
        if let Some(ends_after) = ends_after {
            open_for = open_for.min(ends_after);
        }
        ResponseBody::watch(received, open_for)
    }

    pub(super) fn cut_watches(&mut self) {
        for watch in self.watches.drain(..) {
            // The client may be gone.
            let _ = watch.lines.send((watch.last_due, Err(super::Closed)));
        }
    }

    pub(super) fn compact(&mut self) {
        self.oldest = self.version;
        self.history.clear();
    }

    /// Fills in the name, UID, creation time and generation of a new object.
    pub(super) fn made(&mut self, mut object: Value, resource: &ApiResource) -> Value {
        let now = self.now();
        self.uids = self.uids.wrapping_add(1);
        let uid = uuid::Uuid::from_u128(self.uids).to_string();
        let meta = &mut object["metadata"];
        if meta["name"].is_null() {
            self.names += 1;
            let prefix = meta["generateName"].as_str().unwrap_or_default();
            meta["name"] = json!(format!("{prefix}{}", suffix(self.names)));
        }
        for (field, value) in [("uid", json!(uid)), ("creationTimestamp", json!(now))] {
            if meta[field].is_null() {
                meta[field] = value;
            }
        }
        if resource.has_generation() {
            meta["generation"] = json!(1);
        }
        object
    }

    /// Drops unknown fields and fills in defaults, as for every write.
    ///
    /// # Panics
    /// Panics if the object violates the schema of its CRD, which a real server would not store.
    fn prune(object: &mut Value) {
        let kind = object["kind"].as_str().unwrap_or_default();
        let resource = RESOURCES.iter().find(|one| one.kind == kind).expect("a known kind");
        schema::prune(object, resource);
        let errors = schema::errors_in(object, resource, &["spec", "status"]);
        assert!(errors.is_empty(), "invalid {object}: {errors:?}");
    }

    pub(super) fn put(&mut self, mut object: Value) -> Value {
        Self::prune(&mut object);
        self.put_unchecked(object)
    }

    pub(super) fn put_unchecked(&mut self, object: Value) -> Value {
        let kind = object["kind"].as_str().unwrap_or_default();
        let resource = RESOURCES.iter().find(|one| one.kind == kind).expect("a known kind");
        let object = self.made(object, resource);
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
        let key = (resource.plural, text("namespace"), text("name"));
        self.spaces.insert(key.1.clone());
        self.commit(resource, &key, Some(object))
    }

    pub(super) fn change(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
    ) -> Value {
        let resource = RESOURCES.iter().find(|one| one.plural == plural).expect("a resource");
        let key = (resource.plural, namespace.to_owned(), name.to_owned());
        let old = self.objects[&key].clone();
        let mut new = old.clone();
        merge(&mut new, patch.clone());
        Self::prune(&mut new);
        if resource.is_custom() && new["spec"] != old["spec"] {
            new["metadata"]["generation"] =
                json!(old["metadata"]["generation"].as_i64().unwrap_or_default() + 1);
        }
        self.commit(resource, &key, Some(new))
    }

    pub(super) fn delete_by_name(&mut self, plural: &str, namespace: &str, name: &str) {
        let resource = RESOURCES.iter().find(|one| one.plural == plural).expect("a resource");
        let key = (resource.plural, namespace.to_owned(), name.to_owned());
        if self.objects.contains_key(&key) {
            self.delete(resource, &key);
        }
    }

    pub(super) fn drop_finalizers(&mut self, plural: &str, namespace: &str, name: &str) {
        let resource = RESOURCES.iter().find(|one| one.plural == plural).expect("a resource");
        let key = (resource.plural, namespace.to_owned(), name.to_owned());
        let mut object = self.objects[&key].clone();
        let is_going = !object["metadata"]["deletionTimestamp"].is_null();
        object["metadata"].as_object_mut().map(|meta| meta.remove("finalizers"));
        self.commit(resource, &key, (!is_going).then_some(object));
    }

    pub(super) fn write_condition(&mut self, name: &str, condition: &Value) {
        let resource = &RESOURCES[0];
        let key = (resource.plural, String::new(), name.to_owned());
        let mut node = self.objects[&key].clone();
        strategic(&mut node, json!({"status": {"conditions": [condition]}}), "");
        self.commit(resource, &key, Some(node));
    }

    pub(super) fn known(
        &self,
        resource: &ApiResource,
        key: &ObjectKey,
    ) -> Result<Value, ErrorResponse> {
        let missing = || ErrorResponse::not_found(resource, &key.2);
        self.objects.get(key).cloned().ok_or_else(missing)
    }

    /// Returns a new token of a service account.
    pub(super) fn new_token(&mut self, namespace: &str, name: &str) -> String {
        self.issued += 1;
        let token = format!("token-{}-of-{namespace}-{name}", self.issued);
        self.tokens.insert(token.clone(), (namespace.to_owned(), name.to_owned()));
        token
    }
}

/// Returns five letters and digits that differ for each `count`, in the form of the real server.
fn suffix(count: u64) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let mut rest = count.wrapping_mul(7_919);
    let letter = |_| {
        let letter = LETTERS[usize::try_from(rest % 27).unwrap_or_default()];
        rest /= 27;
        char::from(letter)
    };
    (0..5).map(letter).collect()
}

fn lined(line: &Value) -> Bytes {
    Bytes::from(format!("{line}\n"))
}
