//! Controller of MachineSets: carries out the decisions for each set.
//!
//! Each action can be repeated after a crash: a new process lists all objects and continues from
//! there. An existing machine is never changed, except that an orphan gets an owner.
//!
//! The local copies only show that something may have to be done, and they do so only while they
//! are current. The decision to create, adopt or delete is made on a quorum read of the set and of
//! its machines that begins after all earlier requests of this process have results (`live`).

mod live;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, iter, select};
use groundplan_engine::provider::BoxFuture;
use groundplan_openshift::machine_api::types::{
    MACHINE_API, Machine, MachineSet, MachineSetStatus, read,
};
use kube::api::{DynamicObject, Patch};
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::announcement::has_announced;
use super::pending::{ARRIVES_WITHIN, Expectations};
use super::{Nodes, SetChange, SetDecision, SetError, decide};
use crate::api_server::{ApiServerError, answer, by};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::conditions;
use crate::event_recorder::{EventRecorder, EventType};
use crate::health::ControllerHealth;
use crate::node::Node;
use crate::reflector::{
    FeedEvent, Reflector, View, WatchedObject, all_in, are_current, log_result, readable, reference,
};
use crate::report::{Log, LogLevel, ReconcileFailure, with_causes};

/// Maximum number of concurrent creations or deletions of machines.
const AT_A_TIME: usize = 10;

/// Maximum number of sets that are reconciled concurrently.
const SETS_AT_A_TIME: u16 = 4;

/// Time after the start in which requests of an earlier process may arrive. No machine is deleted
/// until then: with a late deletion, the set would lose a second machine.
const SETTLED: Duration = ARRIVES_WITHIN;

/// Delay before the next reconcile of an invalid set that does not change.
const REFUSED: Duration = Duration::from_secs(300);

/// Letters of a generated name, like those of the API server (k8s.io/apimachinery `pkg/util/rand`).
/// Without vowels, so that no words appear.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// Maximum length of the prefix of a generated name (k8s.io/apiserver `pkg/storage/names`). With
/// five letters the name has the maximum length of a label.
const LONGEST_BASE: usize = 58;

/// Error of one reconcile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object cannot be read.
    #[error("read the object: {0}")]
    Unreadable(String),
    /// The authority over the set is unknown.
    #[error("{0}")]
    Authority(String),
    /// The set is invalid.
    #[error(transparent)]
    Refused(#[from] SetError),
    /// The API server rejected a request, or did not respond.
    #[error(transparent)]
    Unanswered(#[from] ApiServerError),
}

impl ReconcileFailure for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Unanswered(error) if error.is_conflict())
    }
}

/// Controller of the MachineSets of a namespace.
pub struct MachineSetController {
    sets: Store<WatchedObject<MachineSet>>,
    machines: Store<WatchedObject<Machine>>,
    nodes: Store<WatchedObject<Node>>,
    set_api: Api<WatchedObject<MachineSet>>,
    machine_api: Api<WatchedObject<Machine>>,
    /// Untyped API access, which keeps fields that the types do not have.
    raw_sets: Api<DynamicObject>,
    raw_machines: Api<DynamicObject>,
    views: [View; 3],
    event_recorder: EventRecorder,
    pending: Mutex<HashMap<String, Expectations>>,
    began: Instant,
    clock: Clock,
    health: Arc<ControllerHealth>,
    log: Log,
}

/// Set, with the version of the object that it was read from.
#[derive(Clone, Debug)]
pub(super) struct SetCopy {
    set: MachineSet,
    version: Option<String>,
}

impl SetCopy {
    pub(super) fn new(set: &MachineSet, version: Option<&str>) -> Self {
        Self { set: set.clone(), version: version.map(str::to_owned) }
    }
}

/// Reflectors that the controller uses.
pub struct Reflectors<'a> {
    /// Sets.
    pub sets: &'a Reflector<MachineSet>,
    /// Machines of the same namespace.
    pub machines: &'a Reflector<Machine>,
    /// Nodes of the cluster.
    pub nodes: &'a Reflector<Node>,
}

impl MachineSetController {
    /// Reconciles the sets until shutdown, and returns after the work in progress has ended. An
    /// error of a set is logged and retried.
    pub fn run(
        client: &Client,
        namespace: &str,
        feeds: &Reflectors<'_>,
        (health, log): (Arc<ControllerHealth>, Log),
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let mut driver = Self::new(client, namespace, feeds, health);
        driver.log = log;
        let driver = Arc::new(driver);
        let queue = driver.queue(feeds).map(Ok::<_, std::convert::Infallible>);
        let queue = Box::pin(queue.take_until(stop.cancelled_owned()));
        let sets = driver.sets.clone();
        let retry = |_: Arc<WatchedObject<MachineSet>>, error: &Error, _: Arc<Self>| {
            Action::requeue(retry_after(error))
        };
        let one = move |set: Arc<WatchedObject<MachineSet>>,
                        driver: Arc<Self>|
              -> BoxFuture<'static, Result<Action, Error>> {
            Box::pin(async move {
                let reconcile = Self::reconcile(Arc::clone(&set), Arc::clone(&driver));
                let done = driver.health.reconciles.during(reconcile).await;
                let failed = log_result(&driver.log, "machine_set", (&driver.sets, &set), &done);
                if let (true, Err(error)) = (failed, &done) {
                    driver.health.metrics.reconciled("machine_set", false);
                    driver.report_failure(&set, error).await;
                }
                done
            })
        };
        let config = Config::default().concurrency(SETS_AT_A_TIME);
        let all = applier(one, retry, driver, sets, queue, config);
        all.for_each(|_| std::future::ready(()))
    }

    pub(super) fn new(
        client: &Client,
        namespace: &str,
        feeds: &Reflectors<'_>,
        health: Arc<ControllerHealth>,
    ) -> Self {
        let raw = |resource: &ApiResource| {
            Api::<DynamicObject>::namespaced_with(client.clone(), namespace, resource)
        };
        Self {
            sets: feeds.sets.store(),
            machines: feeds.machines.store(),
            nodes: feeds.nodes.store(),
            set_api: Api::namespaced(client.clone(), namespace),
            machine_api: Api::namespaced(client.clone(), namespace),
            raw_sets: raw(&ApiResource::erase::<WatchedObject<MachineSet>>(&())),
            raw_machines: raw(&ApiResource::erase::<WatchedObject<Machine>>(&())),
            event_recorder: EventRecorder::new(client.clone(), namespace, Clock::default()),
            views: [feeds.sets.view(), feeds.machines.view(), feeds.nodes.view()],
            pending: Mutex::default(),
            began: Instant::now(),
            clock: Clock::default(),
            health,
            log: Log::default(),
        }
    }

    /// Returns the stream of sets to reconcile.
    fn queue(
        self: &Arc<Self>,
        feeds: &Reflectors<'_>,
    ) -> impl Stream<Item = ObjectRef<WatchedObject<MachineSet>>> + Send + use<> {
        let [by_set, by_machine, by_node] = [(); 3].map(|()| Arc::clone(self));
        let sets = feeds.sets.events().map(move |touched| match touched {
            FeedEvent::One(set) => {
                let reference = reference(&set);
                if by_set.sets.get(&reference).is_none() {
                    by_set.pending().remove(&set.meta_uid().unwrap_or_default());
                }
                vec![reference]
            }
            FeedEvent::All => all_in(&by_set.sets),
        });
        let machines = feeds.machines.events().map(move |touched| match touched {
            FeedEvent::One(machine) => by_machine.sets_of(&machine),
            FeedEvent::All => all_in(&by_machine.sets),
        });
        let nodes = feeds.nodes.events().map(move |touched| match touched {
            FeedEvent::One(node) => by_node.sets_with(node.meta_name()),
            FeedEvent::All => all_in(&by_node.sets),
        });
        let known = Arc::clone(self);
        let all = select(select(sets, machines), nodes).flat_map(iter);
        all.filter(move |set| std::future::ready(known.sets.get(set).is_some()))
    }

    /// Returns the set that owns a machine. For a machine without an owner, returns all sets.
    fn sets_of(
        &self,
        machine: &WatchedObject<Machine>,
    ) -> Vec<ObjectRef<WatchedObject<MachineSet>>> {
        let Ok(object) = &machine.object else { return Vec::new() };
        let all = self.sets.state().into_iter();
        let owner = object.metadata.controller().map(|owner| owner.uid.clone());
        let may_own = |set: &WatchedObject<MachineSet>| owner.is_none() || owner == set.meta_uid();
        all.filter(|set| may_own(set)).map(|set| reference(&set)).collect()
    }

    /// Returns the sets of the machines on this Node.
    fn sets_with(&self, node: &str) -> Vec<ObjectRef<WatchedObject<MachineSet>>> {
        let machines = self.machines.state();
        let has = |machine: &&Arc<WatchedObject<Machine>>| {
            let status = machine.object.as_ref().ok().map(|machine| &machine.status);
            status
                .and_then(|status| status.node_ref.as_ref())
                .is_some_and(|one| one["name"] == node)
        };
        machines.iter().filter(has).flat_map(|machine| self.sets_of(machine)).collect()
    }

    async fn reconcile(
        set: Arc<WatchedObject<MachineSet>>,
        driver: Arc<Self>,
    ) -> Result<Action, Error> {
        if !are_current(&driver.views) {
            return Ok(Action::await_change()); // an event follows once all copies are current
        }
        // The copy may have changed between the event and this moment.
        let Some(set) = driver.sets.get(&reference(&set)) else {
            return Ok(Action::await_change());
        };
        let version = set.meta().resource_version.as_deref();
        let set = set.object.as_ref().map_err(|why| Error::Unreadable(why.clone()))?;
        if set.metadata.deletion_timestamp.is_some() {
            driver.pending().remove(&set.metadata.uid);
            return Ok(Action::await_change());
        }
        let is_recorded = driver.record_authority(set, version).await?;
        if !authority_of(set).allows_changes() {
            driver.pending().remove(&set.metadata.uid);
            return Ok(Action::await_change());
        }
        if !is_recorded {
            return Ok(Action::await_change()); // the event of the changed set follows
        }
        let look_again = driver.reconcile_replicas(SetCopy::new(set, version)).await?;
        driver.health.metrics.reconciled("machine_set", true);
        Ok(look_again.map_or_else(Action::await_change, Action::requeue))
    }

    /// Records an Event about a failed reconcile.
    async fn report_failure(&self, set: &WatchedObject<MachineSet>, error: &Error) {
        let resource = ApiResource::erase::<WatchedObject<MachineSet>>(&());
        let mut object = DynamicObject::new(set.meta_name(), &resource);
        object.metadata = set.meta().clone();
        let message = with_causes(error);
        let (recorder, kind) = (&self.event_recorder, EventType::Warning);
        recorder.record_event(&object, kind, "ReconcileError", &message).await;
    }

    /// Sets the authority in the status, if it is not set yet, and the condition `Paused`. Returns
    /// true if the set already has both.
    async fn record_authority(
        &self,
        set: &MachineSet,
        version: Option<&str>,
    ) -> Result<bool, Error> {
        let authority = authority_of(set);
        if let Some(problem) = authority.problem() {
            return Err(Error::Authority(problem));
        }
        let mut status = json!({});
        if let Authority::Unset(api) = authority {
            status["authoritativeAPI"] = json!(api);
        } else if let Some(condition) = authority.paused_condition(self.clock.now()) {
            let mut all = set.status.conditions.clone();
            conditions::set(&mut all, condition);
            if all != set.status.conditions {
                status["conditions"] = json!(all);
            }
        }
        if status == json!({}) {
            return Ok(true);
        }
        let metadata = json!({"uid": set.metadata.uid, "resourceVersion": version});
        let patch = Patch::Merge(json!({"metadata": metadata, "status": status}));
        let (name, by) = (&set.metadata.name, by());
        let asked = self.raw_sets.patch_status(name, &by, &patch);
        let written = answer("write the authority of a set", asked).await?;
        if let Some(message) = authority.pause_message(&set.status.conditions) {
            self.log(set, &message);
        }
        // A CRD that does not have the field drops the value, and no event follows. Then the spec
        // alone decides.
        Ok(written.metadata.resource_version.as_deref() == version)
    }

    /// Decides and acts. The status is written even if the number of machines cannot be corrected.
    pub(super) async fn reconcile_replicas(
        &self,
        mut copy: SetCopy,
    ) -> Result<Option<Duration>, Error> {
        let machines = self.view(&copy.set);
        let decision = decide(&copy.set, &machines, &self.readiness(), self.clock.now())?;
        let changed = match self.may_need_change(&copy.set, &decision) {
            true => self.act_on_live_state(&mut copy).await,
            false => Ok(None),
        };
        let machines = self.view(&copy.set);
        let decision = decide(&copy.set, &machines, &self.readiness(), self.clock.now())?;
        let reported = match are_current(&self.views) {
            true => self.report_status(&copy, &decision.status).await,
            false => Ok(()),
        };
        let look_again = changed?;
        if let Err(refusal) = &decision.change {
            return Err(refusal.clone().into());
        }
        reported?;
        let overdue = self.with_pending(&copy.set, |pending| pending.overdue_in());
        Ok([decision.requeue_after, overdue, look_again].into_iter().flatten().min())
    }

    /// Returns true if the live state must be read: the local copies show a difference, or a
    /// request has no result yet.
    fn may_need_change(&self, set: &MachineSet, decision: &SetDecision<'_>) -> bool {
        !decision.adopt.is_empty()
            || has_announced(set)
            || matches!(&decision.change, Ok(change) if *change != SetChange::Nothing)
            || self.with_pending(set, |pending| !pending.doubts().is_empty())
    }

    fn view(&self, set: &MachineSet) -> Vec<Machine> {
        let mut seen = readable(&self.machines);
        seen.retain(|machine| machine.metadata.namespace == set.metadata.namespace);
        seen.sort_by(|one, other| one.metadata.name.cmp(&other.metadata.name));
        self.with_pending(set, |pending| pending.view(seen))
    }

    fn readiness(&self) -> Nodes {
        let nodes = self.nodes.state();
        let readable = nodes.iter().filter_map(|node| node.object.as_ref().ok());
        readable.map(|node| (node.metadata.name.clone(), node.readiness())).collect()
    }

    /// Writes the status, on the condition that the set has not changed since it was read. The API
    /// server ignores a UID in a patch of this status: without the version, another set of the same
    /// name would get the numbers of the deleted one.
    async fn report_status(&self, copy: &SetCopy, status: &MachineSetStatus) -> Result<(), Error> {
        if *status == copy.set.status {
            return Ok(());
        }
        let meta = &copy.set.metadata;
        // Zeros are written, because a merge patch keeps omitted fields.
        let patch = Patch::Merge(json!({
            "metadata": {"uid": meta.uid, "resourceVersion": copy.version},
            "status": {
                "replicas": status.replicas,
                "fullyLabeledReplicas": status.fully_labeled_replicas,
                "readyReplicas": status.ready_replicas,
                "availableReplicas": status.available_replicas,
                "observedGeneration": status.observed_generation,
                "labelSelector": status.label_selector,
            },
        }));
        answer("write the status", self.set_api.patch_status(&meta.name, &by(), &patch)).await?;
        Ok(())
    }

    /// Returns true if requests of an earlier process can no longer arrive.
    fn is_settled(&self) -> bool {
        self.began.elapsed() >= SETTLED
    }

    fn log(&self, set: &MachineSet, message: &str) {
        let object = format!("MachineSet {}", set.metadata.name);
        self.log.line(LogLevel::Info, "machine_set", &object, message);
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, Expectations>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_pending<T>(&self, set: &MachineSet, act: impl FnOnce(&mut Expectations) -> T) -> T {
        act(self.pending().entry(set.metadata.uid.clone()).or_default())
    }
}

/// Action that starts when it is polled.
type Act<'a> = BoxFuture<'a, Result<(), Error>>;

/// Runs actions, a few at a time. After the first failure no further action starts, and the actions
/// in progress finish.
async fn all_or_until_one_fails<'a>(all: Vec<Act<'a>>) -> Result<(), Error> {
    let failed = Arc::new(AtomicBool::new(false));
    let mut careful = Vec::<Act<'a>>::new();
    for act in all {
        careful.push(Box::pin(unless(Arc::clone(&failed), act)));
    }
    let done: Vec<_> = iter(careful).buffer_unordered(AT_A_TIME).collect().await;
    done.into_iter().collect()
}

async fn unless(failed: Arc<AtomicBool>, act: Act<'_>) -> Result<(), Error> {
    if failed.load(Relaxed) {
        return Ok(());
    }
    act.await.inspect_err(|_| failed.store(true, Relaxed))
}

fn retry_after(error: &Error) -> Duration {
    match error {
        Error::Refused(_) | Error::Authority(_) | Error::Unreadable(_) => REFUSED,
        Error::Unanswered(error) => error.retry_after(),
    }
}

fn readable_again(object: &DynamicObject) -> Result<Machine, Error> {
    let value = serde_json::to_value(object).map_err(|why| Error::Unreadable(why.to_string()))?;
    read(&value).map_err(|why| Error::Unreadable(why.to_string()))
}

fn authority_of(set: &MachineSet) -> Authority<'_> {
    Authority::of(&set.spec.authoritative_api, &set.status.authoritative_api)
}

fn is_of(set: &MachineSet, machine: &Machine) -> bool {
    machine.metadata.controller().is_some_and(|owner| owner.uid == set.metadata.uid)
}

fn owner_reference(set: &MachineSet) -> Value {
    json!({"apiVersion": MACHINE_API, "kind": "MachineSet", "name": set.metadata.name,
           "uid": set.metadata.uid, "controller": true, "blockOwnerDeletion": true})
}

/// Returns the beginning of the names of the machines of a set.
pub(super) fn base(set: &str) -> String {
    let mut base = format!("{set}-");
    base.truncate(LONGEST_BASE);
    base
}

/// Returns a generated name, like one of the API server. The controller generates the name, so that
/// a creation in doubt can be repeated by its name without a second machine.
fn made_up_name(set: &MachineSet) -> String {
    let letter = |_| char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
    base(&set.metadata.name) + &(0..5).map(letter).collect::<String>()
}

fn from_template(set: &MachineSet, template: &Value, name: &str) -> Value {
    let meta = &template["metadata"];
    json!({
        "apiVersion": MACHINE_API,
        "kind": "Machine",
        "metadata": {
            "name": name,
            "generateName": base(&set.metadata.name),
            "namespace": set.metadata.namespace,
            "labels": meta["labels"],
            "annotations": meta["annotations"],
            "ownerReferences": [owner_reference(set)],
        },
        "spec": template["spec"],
    })
}
