//! Does what is decided about MachineSets.
//!
//! Everything it does may be done again after a crash: a new process lists what there is, and goes on
//! from there. It never changes a machine that is there, but for giving an orphan its owner.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, iter, select};
use jiff::Timestamp;
use kube::api::{DeleteParams, DynamicObject, Patch, PostParams, Preconditions};
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::pending::{Doubt, Pending};
use super::{Change, Nodes, Refusal, decide};
use crate::machine_api::controller::asking::{Unanswered, WRITER, answer, by};
use crate::machine_api::controller::health::Health;
use crate::machine_api::controller::is_machine_api_s;
use crate::machine_api::controller::node::Node;
use crate::machine_api::controller::watched::{
    Feed, Touched, Watched, all_in, readable, reference,
};
use crate::machine_api::types::{MACHINE_API, Machine, MachineSet, MachineSetStatus, read};
use crate::provider::BoxFuture;

/// Machines that are made or deleted at a time.
const AT_A_TIME: usize = 10;

/// Sets that are looked at at a time.
const SETS_AT_A_TIME: u16 = 4;

/// When a set that asks for what cannot be done is looked at again though nobody has changed it.
const REFUSED: Duration = Duration::from_secs(300);

/// As the API server makes names up (k8s.io/apimachinery `pkg/util/rand`): no vowels, so no words.
const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

/// What a name that the API server makes up begins with at most (k8s.io/apiserver
/// `pkg/storage/names`): with five letters it is as long as a label may be.
const LONGEST_BASE: usize = 58;

/// Why a set is not as it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its object cannot be read.
    #[error("read it: {0}")]
    Unreadable(String),
    /// It asks for what cannot be done.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The API server did not do it.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// What the sets of a namespace are looked after with.
pub struct Driver {
    sets: Store<Watched<MachineSet>>,
    machines: Store<Watched<Machine>>,
    nodes: Store<Watched<Node>>,
    set_api: Api<Watched<MachineSet>>,
    machine_api: Api<Watched<Machine>>,
    /// The same as the API server has them, so that no field is lost that is not known here.
    raw_sets: Api<DynamicObject>,
    raw_machines: Api<DynamicObject>,
    pending: Mutex<HashMap<String, Pending>>,
    health: Arc<Health>,
}

/// What is watched.
pub struct Feeds<'a> {
    /// The sets.
    pub sets: &'a Feed<MachineSet>,
    /// The machines of their namespace.
    pub machines: &'a Feed<Machine>,
    /// The Nodes of the cluster.
    pub nodes: &'a Feed<Node>,
}

impl Driver {
    /// Looks after the sets until a stop is asked for, and ends when nothing is under way any more.
    /// What goes wrong with a set is told, and tried again.
    pub fn run(
        client: &Client,
        namespace: &str,
        feeds: &Feeds<'_>,
        health: Arc<Health>,
        stop: CancellationToken,
        tell: impl Fn(&str, &Error) + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let driver = Arc::new(Self::new(client, namespace, feeds, health));
        let queue = driver.queue(feeds).map(Ok::<_, std::convert::Infallible>);
        let queue = Box::pin(queue.take_until(stop.cancelled_owned()));
        let sets = driver.sets.clone();
        let retry = move |set: Arc<Watched<MachineSet>>, error: &Error, driver: Arc<Self>| {
            driver.health.metrics.reconciled("machine_set", false);
            tell(set.meta_name(), error);
            Action::requeue(again_after(error))
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
        feeds: &Feeds<'_>,
        health: Arc<Health>,
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
            raw_sets: raw(&ApiResource::erase::<Watched<MachineSet>>(&())),
            raw_machines: raw(&ApiResource::erase::<Watched<Machine>>(&())),
            pending: Mutex::default(),
            health,
        }
    }

    /// The sets that something happened to.
    fn queue(
        self: &Arc<Self>,
        feeds: &Feeds<'_>,
    ) -> impl Stream<Item = ObjectRef<Watched<MachineSet>>> + Send + use<> {
        let [by_set, by_machine, by_node] = [(); 3].map(|()| Arc::clone(self));
        let sets = feeds.sets.events().map(move |touched| match touched {
            Touched::One(set) => vec![reference(&set)],
            Touched::All => all_in(&by_set.sets),
        });
        let machines = feeds.machines.events().map(move |touched| match touched {
            Touched::One(machine) => by_machine.sets_of(&machine),
            Touched::All => all_in(&by_machine.sets),
        });
        let nodes = feeds.nodes.events().map(move |touched| match touched {
            Touched::One(node) => by_node.sets_with(node.meta_name()),
            Touched::All => all_in(&by_node.sets),
        });
        let known = Arc::clone(self);
        let all = select(select(sets, machines), nodes).flat_map(iter);
        all.filter(move |set| std::future::ready(known.sets.get(set).is_some()))
    }

    /// The set that a machine has as its owner; of one without, any set could be.
    fn sets_of(&self, machine: &Watched<Machine>) -> Vec<ObjectRef<Watched<MachineSet>>> {
        let Ok(object) = &machine.object else { return Vec::new() };
        let all = self.sets.state().into_iter();
        let owner = object.metadata.controller().map(|owner| owner.uid.clone());
        let may_own = |set: &Watched<MachineSet>| owner.is_none() || owner == set.meta_uid();
        all.filter(|set| may_own(set)).map(|set| reference(&set)).collect()
    }

    /// The sets of the machines with this Node.
    fn sets_with(&self, node: &str) -> Vec<ObjectRef<Watched<MachineSet>>> {
        let machines = self.machines.state();
        let has = |machine: &&Arc<Watched<Machine>>| {
            let status = machine.object.as_ref().ok().map(|machine| &machine.status);
            status
                .and_then(|status| status.node_ref.as_ref())
                .is_some_and(|one| one["name"] == node)
        };
        machines.iter().filter(has).flat_map(|machine| self.sets_of(machine)).collect()
    }

    async fn reconcile(set: Arc<Watched<MachineSet>>, driver: Arc<Self>) -> Result<Action, Error> {
        let set = set.object.as_ref().map_err(|why| Error::Unreadable(why.clone()))?;
        if set.metadata.deletion_timestamp.is_some()
            || !is_machine_api_s(&set.status.authoritative_api)
        {
            driver.pending().remove(&set.metadata.uid);
            return Ok(Action::await_change());
        }
        driver.settle(set).await?;
        let look_again = driver.bring_about(set).await?;
        driver.health.metrics.reconciled("machine_set", true);
        Ok(look_again.map_or_else(Action::await_change, Action::requeue))
    }

    /// Decides and does. That the number is not right keeps nobody from telling what it is.
    pub(super) async fn bring_about(&self, set: &MachineSet) -> Result<Option<Duration>, Error> {
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
        Ok([decision.look_again, overdue].into_iter().flatten().min())
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

    async fn change(&self, set: &MachineSet, change: &Change<'_>) -> Result<(), Error> {
        match change {
            Change::Nothing => Ok(()),
            Change::Create(count) => self.create(set, *count).await,
            Change::Delete(machines) => self.delete(set, machines).await,
        }
    }

    /// From the template as it is now, which may be newer than what was decided upon. What is another
    /// set by now, or wants another number, is told soon, and decided upon then.
    async fn create(&self, set: &MachineSet, count: usize) -> Result<(), Error> {
        let live = answer("read its template", self.raw_sets.get(&set.metadata.name)).await?;
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
        // One whose creation has no answer yet has no UID to be deleted by; that is settled first.
        let known = machines.iter().filter(|machine| !machine.metadata.uid.is_empty());
        let mut all = Vec::<Act<'_>>::new();
        for machine in known {
            all.push(Box::pin(self.unmake(set, (*machine).clone())));
        }
        all_or_until_one_fails(all).await
    }

    /// Makes a machine of this name once, however often it is asked to.
    async fn make(&self, set: &MachineSet, object: Value) -> Result<(), Error> {
        let machine: Machine = read(&object).map_err(|why| Error::Unreadable(why.to_string()))?;
        self.with_pending(set, |pending| pending.making(&machine));
        let name = machine.metadata.name.as_str();
        let object = serde_json::from_value(object).expect("BUG: it has metadata");
        let by = PostParams { field_manager: Some(WRITER.to_owned()), ..PostParams::default() };
        match answer("make a machine", self.raw_machines.create(&by, &object)).await {
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

    /// One of this name is there already: ours, if its creation had no answer; or somebody else's.
    async fn take_or_leave(&self, set: &MachineSet, name: &str) -> Result<(), Error> {
        let there = answer("look for a machine", self.machine_api.get(name)).await?;
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
        match answer("delete a machine", self.machine_api.delete(name, &by)).await {
            // Gone, or another one of its name.
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

    /// Finds out what became of everything that had no answer, or is overdue.
    async fn settle(&self, set: &MachineSet) -> Result<(), Error> {
        self.view(set); // what is seen is settled
        for doubt in self.with_pending(set, |pending| pending.doubts()) {
            match doubt {
                Doubt::Make(machine) => self.make_again(set, &machine).await?,
                Doubt::Delete(machine) => self.unmake(set, machine).await?,
                Doubt::IsThere(machine) | Doubt::IsGoing(machine) => {
                    self.look(set, &machine).await?;
                }
            }
        }
        Ok(())
    }

    async fn make_again(&self, set: &MachineSet, machine: &Machine) -> Result<(), Error> {
        let live = answer("read its template", self.raw_sets.get(&set.metadata.name)).await?;
        let template = &live.data["spec"]["template"];
        self.make(set, from_template(set, template, &machine.metadata.name)).await
    }

    /// What is not as was asked for is not waited for any more.
    async fn look(&self, set: &MachineSet, machine: &Machine) -> Result<(), Error> {
        let (name, uid) = (&machine.metadata.name, &machine.metadata.uid);
        let there = answer("look for a machine", self.machine_api.get_opt(name)).await?;
        let there = there.and_then(|one| one.object.ok()).filter(|one| one.metadata.uid == *uid);
        self.with_pending(set, |pending| match there {
            None => pending.not_made(name),
            Some(one) if one.metadata.deletion_timestamp.is_none() => {
                pending.not_deleted(uid);
                pending.looked(machine);
            }
            Some(_) => pending.looked(machine),
        });
        Ok(())
    }

    /// Only if nobody has changed it since: somebody else may just have adopted it.
    async fn adopt(&self, set: &MachineSet, orphan: &Machine) -> Result<(), Error> {
        let name = &orphan.metadata.name;
        let live = answer("look for an orphan", self.raw_machines.get_opt(name)).await?;
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
        answer("adopt a machine", self.machine_api.patch(name, &by(), &patch)).await?;
        Ok(())
    }

    async fn tell_status(&self, set: &MachineSet, status: &MachineSetStatus) -> Result<(), Error> {
        if *status == set.status {
            return Ok(());
        }
        // Zeros are written: a merge takes what is left out for what stays.
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
        answer("tell its status", self.set_api.patch_status(name, &by(), &patch)).await?;
        Ok(())
    }

    fn pending(&self) -> MutexGuard<'_, HashMap<String, Pending>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with_pending<T>(&self, set: &MachineSet, act: impl FnOnce(&mut Pending) -> T) -> T {
        act(self.pending().entry(set.metadata.uid.clone()).or_default())
    }
}

/// Something that is done once it is polled.
type Act<'a> = BoxFuture<'a, Result<(), Error>>;

/// A few at a time. Once one has failed no other is begun; those under way come to their end.
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

fn again_after(error: &Error) -> Duration {
    match error {
        Error::Refused(_) | Error::Unreadable(_) => REFUSED,
        Error::Unanswered(error) => error.again_after(),
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

/// As the API server would make it up. It is made up here so that a creation without an answer can be
/// asked for again by its name, and is not made twice.
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
