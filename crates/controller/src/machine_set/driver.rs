//! Controller of MachineSets: carries out the decisions for each set.
//!
//! Each action can be repeated after a crash: a new process lists all objects and continues from
//! there. An existing machine is never changed, except that an orphan gets an owner.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, iter, select};
use groundplan_engine::provider::BoxFuture;
use groundplan_openshift::machine_api::types::{
    MACHINE_API, Machine, MachineSet, MachineSetStatus, read,
};
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, Patch, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::pending::{ExpectationCheck, Expectations};
use super::{Nodes, SetChange, SetError, decide};
use crate::api_server::{ApiServerError, WRITER, answer, by};
use crate::health::ControllerHealth;
use crate::is_machine_api_s;
use crate::node::Node;
use crate::reflector::{FeedEvent, Reflector, WatchedObject, all_in, readable, reference};

/// Maximum number of concurrent creations or deletions of machines.
const AT_A_TIME: usize = 10;

/// Maximum number of sets that are reconciled concurrently.
const SETS_AT_A_TIME: u16 = 4;

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
    /// The set is invalid.
    #[error(transparent)]
    Refused(#[from] SetError),
    /// The API server rejected a request, or did not respond.
    #[error(transparent)]
    Unanswered(#[from] ApiServerError),
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
    pending: Mutex<HashMap<String, Expectations>>,
    health: Arc<ControllerHealth>,
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
    /// error of a set is reported to `tell` and retried.
    pub fn run(
        client: &Client,
        namespace: &str,
        feeds: &Reflectors<'_>,
        health: Arc<ControllerHealth>,
        stop: CancellationToken,
        tell: impl Fn(&str, &Error) + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let driver = Arc::new(Self::new(client, namespace, feeds, health));
        let queue = driver.queue(feeds).map(Ok::<_, std::convert::Infallible>);
        let queue = Box::pin(queue.take_until(stop.cancelled_owned()));
        let sets = driver.sets.clone();
        let retry = move |set: Arc<WatchedObject<MachineSet>>, error: &Error, driver: Arc<Self>| {
            driver.health.metrics.reconciled("machine_set", false);
            tell(set.meta_name(), error);
            Action::requeue(retry_after(error))
        };
        let one = |set, driver| -> BoxFuture<'static, Result<Action, Error>> {
            Box::pin(Self::reconcile(set, driver))
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
            pending: Mutex::default(),
            health,
        }
    }

    /// Returns the stream of sets to reconcile.
    fn queue(
        self: &Arc<Self>,
        feeds: &Reflectors<'_>,
    ) -> impl Stream<Item = ObjectRef<WatchedObject<MachineSet>>> + Send + use<> {
        let [by_set, by_machine, by_node] = [(); 3].map(|()| Arc::clone(self));
        let sets = feeds.sets.events().map(move |touched| match touched {
            FeedEvent::One(set) => vec![reference(&set)],
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
        let set = set.object.as_ref().map_err(|why| Error::Unreadable(why.clone()))?;
        if set.metadata.deletion_timestamp.is_some()
            || !is_machine_api_s(&set.status.authoritative_api)
        {
            driver.pending().remove(&set.metadata.uid);
            return Ok(Action::await_change());
        }
        driver.settle(set).await?;
        let look_again = driver.reconcile_replicas(set).await?;
        driver.health.metrics.reconciled("machine_set", true);
        Ok(look_again.map_or_else(Action::await_change, Action::requeue))
    }

    /// Decides and acts. The status is written even if the number of machines cannot be corrected.
    pub(super) async fn reconcile_replicas(
        &self,
        set: &MachineSet,
    ) -> Result<Option<Duration>, Error> {
        let machines = self.view(set);
        let decision = decide(set, &machines, &self.readiness(), Timestamp::now())?;
        for orphan in &decision.adopt {
            self.adopt(set, orphan).await?;
        }
        let changed = match &decision.change {
            Ok(change) => self.change(set, change).await,
            Err(refusal) => Err(refusal.clone().into()),
        };
        self.tell_status(set, &decision.status).await?;
        changed?;
        let overdue = self.with_pending(set, |pending| pending.overdue_in());
        Ok([decision.requeue_after, overdue].into_iter().flatten().min())
    }

    fn view(&self, set: &MachineSet) -> Vec<Machine> {
        let mut seen = readable(&self.machines);
        seen.retain(|machine| machine.metadata.namespace == set.metadata.namespace);
        self.with_pending(set, |pending| pending.view(seen))
    }

    fn readiness(&self) -> Nodes {
        let nodes = self.nodes.state();
        let readable = nodes.iter().filter_map(|node| node.object.as_ref().ok());
        readable.map(|node| (node.metadata.name.clone(), node.readiness())).collect()
    }

    async fn change(&self, set: &MachineSet, change: &SetChange<'_>) -> Result<(), Error> {
        match change {
            SetChange::Nothing => Ok(()),
            SetChange::Create(count) => self.create(set, *count).await,
            SetChange::Delete(machines) => self.delete(set, machines).await,
        }
    }

    /// Creates machines from the current template, which may be newer than the decision. If the set
    /// was replaced or has another number of replicas, an event follows soon and leads to a new
    /// decision.
    async fn create(&self, set: &MachineSet, count: usize) -> Result<(), Error> {
        let live = answer("read the template", self.raw_sets.get(&set.metadata.name)).await?;
        let same = live.metadata.uid.as_deref() == Some(&set.metadata.uid)
            && live.metadata.deletion_timestamp.is_none()
            && live.data["spec"]["replicas"].as_i64().unwrap_or(1)
                == i64::from(set.spec.replicas.unwrap_or(1));
        if !same {
            return Ok(());
        }
        let template = &live.data["spec"]["template"];
        let machines = (0..count).map(|_| from_template(set, template, &made_up_name(set)));
        let mut all = Vec::<Act<'_>>::new();
        for machine in machines {
            all.push(Box::pin(self.make(set, machine)));
        }
        all_or_until_one_fails(all).await
    }

    async fn delete(&self, set: &MachineSet, machines: &[&Machine]) -> Result<(), Error> {
        // A machine without a UID is a creation in doubt. A deletion needs the UID, so the creation
        // is settled first.
        let known = machines.iter().filter(|machine| !machine.metadata.uid.is_empty());
        let mut all = Vec::<Act<'_>>::new();
        for machine in known {
            all.push(Box::pin(self.unmake(set, (*machine).clone())));
        }
        all_or_until_one_fails(all).await
    }

    /// Creates a machine of this name once, even if the call is repeated.
    async fn make(&self, set: &MachineSet, object: Value) -> Result<(), Error> {
        let machine: Machine = read(&object).map_err(|why| Error::Unreadable(why.to_string()))?;
        self.with_pending(set, |pending| pending.making(&machine));
        let name = machine.metadata.name.as_str();
        let object = serde_json::from_value(object).expect("BUG: it has metadata");
        let by = PostParams { field_manager: Some(WRITER.to_owned()), ..PostParams::default() };
        match answer("create a Machine", self.raw_machines.create(&by, &object)).await {
            Ok(made) => {
                let made = readable_again(&made)?;
                self.with_pending(set, |pending| pending.made(made));
                Ok(())
            }
            Err(error) if error.is(409) => self.take_or_leave(set, name).await,
            Err(error) => {
                if error.is_final() {
                    self.with_pending(set, |pending| pending.not_made(name));
                }
                Err(error.into())
            }
        }
    }

    /// Handles a machine that already has this name. The machine is ours if its owner is the set,
    /// which happens after a creation in doubt.
    async fn take_or_leave(&self, set: &MachineSet, name: &str) -> Result<(), Error> {
        let there = answer("read a Machine", self.machine_api.get(name)).await?;
        let ours = there.object.ok().filter(|one| is_of(set, one));
        self.with_pending(set, |pending| match ours {
            Some(ours) => pending.made(ours),
            None => pending.not_made(name),
        });
        Ok(())
    }

    async fn unmake(&self, set: &MachineSet, machine: Machine) -> Result<(), Error> {
        self.with_pending(set, |pending| pending.deleting(&machine));
        let (name, uid) = (&machine.metadata.name, &machine.metadata.uid);
        let preconditions = Preconditions { uid: Some(uid.clone()), resource_version: None };
        let by = DeleteParams { preconditions: Some(preconditions), ..DeleteParams::default() };
        match answer("delete a Machine", self.machine_api.delete(name, &by)).await {
            // The machine is gone, or another machine has its name.
            Err(error) if error.is(404) || error.is(409) => (),
            Err(error) => {
                if error.is_final() {
                    self.with_pending(set, |pending| pending.not_deleted(uid));
                }
                return Err(error.into());
            }
            Ok(_) => (),
        }
        self.with_pending(set, |pending| pending.deleted(uid));
        Ok(())
    }

    /// Settles all requests that are in doubt or overdue.
    async fn settle(&self, set: &MachineSet) -> Result<(), Error> {
        self.view(set); // what is seen is settled
        for doubt in self.with_pending(set, |pending| pending.doubts()) {
            match doubt {
                ExpectationCheck::Make(machine) => self.recreate(set, &machine).await?,
                ExpectationCheck::Delete(machine) => self.unmake(set, machine).await?,
                ExpectationCheck::IsThere(machine) | ExpectationCheck::IsGoing(machine) => {
                    self.check_overdue(set, &machine).await?;
                }
            }
        }
        Ok(())
    }

    async fn recreate(&self, set: &MachineSet, machine: &Machine) -> Result<(), Error> {
        let live = answer("read the template", self.raw_sets.get(&set.metadata.name)).await?;
        let template = &live.data["spec"]["template"];
        self.make(set, from_template(set, template, &machine.metadata.name)).await
    }

    /// Checks an overdue request. A request whose result does not hold is no longer expected.
    async fn check_overdue(&self, set: &MachineSet, machine: &Machine) -> Result<(), Error> {
        let (name, uid) = (&machine.metadata.name, &machine.metadata.uid);
        let there = answer("read a Machine", self.machine_api.get_opt(name)).await?;
        let there = there.and_then(|one| one.object.ok()).filter(|one| one.metadata.uid == *uid);
        self.with_pending(set, |pending| match there {
            None => pending.not_made(name),
            Some(one) if one.metadata.deletion_timestamp.is_none() => {
                pending.not_deleted(uid);
                pending.restart_timeout(machine);
            }
            Some(_) => pending.restart_timeout(machine),
        });
        Ok(())
    }

    /// Adopts an orphan. The patch is conditional on its version, because another process may have
    /// adopted the orphan meanwhile.
    async fn adopt(&self, set: &MachineSet, orphan: &Machine) -> Result<(), Error> {
        let name = &orphan.metadata.name;
        let live = answer("read a Machine without owner", self.raw_machines.get_opt(name)).await?;
        let Some(live) =
            live.filter(|live| live.metadata.uid.as_ref() == Some(&orphan.metadata.uid))
        else {
            return Ok(());
        };
        let owners = live.metadata.owner_references.unwrap_or_default();
        if owners.iter().any(|owner| owner.controller == Some(true)) {
            return Ok(());
        }
        let mut owners = json!(owners);
        owners.as_array_mut().expect("BUG: it is a list").push(owner_reference(set));
        let patch = json!({"metadata": {"ownerReferences": owners, "uid": orphan.metadata.uid,
                                        "resourceVersion": live.metadata.resource_version}});
        let patch = Patch::Merge(patch);
        answer("adopt a Machine", self.machine_api.patch(name, &by(), &patch)).await?;
        Ok(())
    }

    async fn tell_status(&self, set: &MachineSet, status: &MachineSetStatus) -> Result<(), Error> {
        if *status == set.status {
            return Ok(());
        }
        // Zeros are written, because a merge patch keeps omitted fields.
        let patch = Patch::Merge(json!({
            "metadata": {"uid": set.metadata.uid},
            "status": {
                "replicas": status.replicas,
                "fullyLabeledReplicas": status.fully_labeled_replicas,
                "readyReplicas": status.ready_replicas,
                "availableReplicas": status.available_replicas,
                "observedGeneration": status.observed_generation,
                "labelSelector": status.label_selector,
            },
        }));
        let name = &set.metadata.name;
        answer("write the status", self.set_api.patch_status(name, &by(), &patch)).await?;
        Ok(())
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
        Error::Refused(_) | Error::Unreadable(_) => REFUSED,
        Error::Unanswered(error) => error.retry_after(),
    }
}

fn readable_again(object: &DynamicObject) -> Result<Machine, Error> {
    let value = serde_json::to_value(object).map_err(|why| Error::Unreadable(why.to_string()))?;
    read(&value).map_err(|why| Error::Unreadable(why.to_string()))
}

fn is_of(set: &MachineSet, machine: &Machine) -> bool {
    machine.metadata.controller().is_some_and(|owner| owner.uid == set.metadata.uid)
}

fn owner_reference(set: &MachineSet) -> Value {
    json!({"apiVersion": MACHINE_API, "kind": "MachineSet", "name": set.metadata.name,
           "uid": set.metadata.uid, "controller": true, "blockOwnerDeletion": true})
}

fn base(set: &MachineSet) -> String {
    let mut base = format!("{}-", set.metadata.name);
    base.truncate(LONGEST_BASE);
    base
}

/// Returns a generated name, like one of the API server. The controller generates the name, so that
/// a creation in doubt can be repeated by its name without a second machine.
fn made_up_name(set: &MachineSet) -> String {
    let letter = |_| char::from(LETTERS[fastrand::usize(..LETTERS.len())]);
    base(set) + &(0..5).map(letter).collect::<String>()
}

fn from_template(set: &MachineSet, template: &Value, name: &str) -> Value {
    let meta = &template["metadata"];
    json!({
        "apiVersion": MACHINE_API,
        "kind": "Machine",
        "metadata": {
            "name": name,
            "generateName": base(set),
            "namespace": set.metadata.namespace,
            "labels": meta["labels"],
            "annotations": meta["annotations"],
            "ownerReferences": [owner_reference(set)],
        },
        "spec": template["spec"],
    })
}
