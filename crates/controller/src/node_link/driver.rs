//! Controller that links Nodes with their machines. The status of a machine names its Node. A Node
//! gets the labels, annotations and taints of its machine.
//!
//! Values that are already correct are not written. A write to an outdated version is rejected.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, iter, select};
use groundplan_engine::provider::BoxFuture;
use groundplan_openshift::machine_api::types::Machine;
use kube::api::Patch;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Client, Resource};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::{Ambiguous, Index, node_patch, node_ref};
use crate::api_server::{ApiServerError, answer, by};
use crate::authority::Authority;
use crate::health::ControllerHealth;
use crate::node::{Node, internal_ips};
use crate::reflector::{
    FeedEvent, Reflector, View, WatchedObject, all_in, are_current, log_result, readable, reference,
};
use crate::report::{Log, LogLevel, ReconcileFailure};

/// Maximum number of Nodes that are reconciled concurrently.
const AT_A_TIME: u16 = 4;

/// Delay before the next reconcile of a Node that matches several machines and does not change.
const AMBIGUOUS: Duration = Duration::from_secs(60);

/// Error of one reconcile.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The object cannot be read.
    #[error("read the object: {0}")]
    Unreadable(String),
    /// The Node matches several machines.
    #[error(transparent)]
    Ambiguous(#[from] Ambiguous),
    /// The API server rejected a request, or did not respond.
    #[error(transparent)]
    Unanswered(#[from] ApiServerError),
}

impl ReconcileFailure for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Unanswered(error) if error.is_conflict())
    }
}

/// Controller of Node links.
pub struct NodeLinkController {
    machines: Store<WatchedObject<Machine>>,
    nodes: Store<WatchedObject<Node>>,
    node_api: Api<WatchedObject<Node>>,
    machine_api: Api<WatchedObject<Machine>>,
    views: [View; 2],
    health: Arc<ControllerHealth>,
    log: Log,
}

impl NodeLinkController {
    /// Links Nodes until shutdown, and returns after the work in progress has ended. An error of a
    /// Node is logged and retried.
    pub fn run(
        client: &Client,
        namespace: &str,
        (machines, nodes): (&Reflector<Machine>, &Reflector<Node>),
        (health, log): (Arc<ControllerHealth>, Log),
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let driver = Arc::new(Self {
            machines: machines.store(),
            nodes: nodes.store(),
            node_api: Api::all(client.clone()),
            machine_api: Api::namespaced(client.clone(), namespace),
            views: [machines.view(), nodes.view()],
            health,
            log,
        });
        let queue = driver.queue(machines, nodes).map(Ok::<_, std::convert::Infallible>);
        let queue = Box::pin(queue.take_until(stop.cancelled_owned()));
        let store = driver.nodes.clone();
        let retry = |_: Arc<WatchedObject<Node>>, error: &Error, _: Arc<Self>| {
            Action::requeue(retry_after(error))
        };
        let one = move |node: Arc<WatchedObject<Node>>,
                        driver: Arc<Self>|
              -> BoxFuture<'static, Result<Action, Error>> {
            Box::pin(async move {
                let reconcile = Self::reconcile(Arc::clone(&node), Arc::clone(&driver));
                let done = driver.health.reconciles.during(reconcile).await;
                if log_result(&driver.log, "node_link", (&driver.nodes, &node), &done) {
                    driver.health.metrics.reconciled("node_link", false);
                }
                done
            })
        };
        let config = Config::default().concurrency(AT_A_TIME);
        let all = applier(one, retry, driver, store, queue, config);
        all.for_each(|_| std::future::ready(()))
    }

    /// Returns the stream of Nodes to reconcile. An event of a machine adds all Nodes that match
    /// the machine.
    fn queue(
        self: &Arc<Self>,
        machines: &Reflector<Machine>,
        nodes: &Reflector<Node>,
    ) -> impl Stream<Item = ObjectRef<WatchedObject<Node>>> + Send + use<> {
        let [by_node, by_machine, known] = [(); 3].map(|()| Arc::clone(self));
        let nodes = nodes.events().map(move |touched| match touched {
            FeedEvent::One(node) => vec![reference(&node)],
            FeedEvent::All => all_in(&by_node.nodes),
        });
        let machines = machines.events().map(move |touched| match touched {
            FeedEvent::One(machine) => by_machine.nodes_of(&machine),
            FeedEvent::All => all_in(&by_machine.nodes),
        });
        let all = select(nodes, machines).flat_map(iter);
        all.filter(move |node| std::future::ready(known.nodes.get(node).is_some()))
    }

    /// Returns the Nodes that match a machine by providerID or address.
    fn nodes_of(&self, machine: &WatchedObject<Machine>) -> Vec<ObjectRef<WatchedObject<Node>>> {
        let Ok(machine) = &machine.object else { return Vec::new() };
        let id = machine.spec.provider_id.as_deref().unwrap_or_default();
        let ips: Vec<&str> = internal_ips(&machine.status.addresses).collect();
        let may_be = |node: &Node| {
            let by_id = !id.is_empty() && node.spec.provider_id == id;
            by_id || node.internal_ip().is_some_and(|ip| ips.contains(&ip))
        };
        let nodes = self.nodes.state().into_iter();
        let found = nodes.filter(|node| node.object.as_ref().is_ok_and(may_be));
        found.map(|node| reference(&node)).collect()
    }

    async fn reconcile(node: Arc<WatchedObject<Node>>, driver: Arc<Self>) -> Result<Action, Error> {
        // A partial copy hides that several machines match. An event follows once both are current.
        if !are_current(&driver.views) {
            return Ok(Action::await_change());
        }
        let Some(node) = driver.nodes.get(&reference(&node)) else {
            return Ok(Action::await_change());
        };
        let read = node.object.as_ref().map_err(|why| Error::Unreadable(why.clone()))?;
        if read.metadata.deletion_timestamp.is_none() {
            driver.link(&node, read).await?;
        }
        driver.health.metrics.reconciled("node_link", true);
        Ok(Action::await_change())
    }

    async fn link(&self, watched: &WatchedObject<Node>, node: &Node) -> Result<(), Error> {
        let Some(machine) = self.machine_of(node)? else { return Ok(()) };
        let (spec, status) = (&machine.spec.authoritative_api, &machine.status.authoritative_api);
        if !Authority::of(spec, status).allows_changes() {
            return Ok(());
        }
        if let Some(reference) = node_ref(&machine, node)
            && self.write_node_reference(&machine, &reference).await?
        {
            let (object, name) =
                (format!("Machine {}", machine.metadata.name), watched.meta_name());
            self.log.line(LogLevel::Info, "node_link", &object, &format!("linked to Node {name}"));
        }
        if let Some(patch) = node_patch(&machine, node) {
            self.change_node(watched, patch).await?;
        }
        Ok(())
    }

    fn machine_of(&self, node: &Node) -> Result<Option<Machine>, Ambiguous> {
        let (machines, nodes) = (readable(&self.machines), readable(&self.nodes));
        Index::of(&machines, &nodes).machine_of(node).map(Option::<&Machine>::cloned)
    }

    /// Returns true if the reference was written.
    async fn write_node_reference(
        &self,
        machine: &Machine,
        node: &Value,
    ) -> Result<bool, ApiServerError> {
        let (name, uid) = (&machine.metadata.name, &machine.metadata.uid);
        // The API server ignores a UID in a patch of this status. Without the version, a new Machine
        // of the same name would get the Node of the old one.
        let copies = self.machines.state();
        let copy = copies.iter().find(|copy| copy.meta().uid.as_ref() == Some(uid));
        let Some(version) = copy.and_then(|copy| copy.meta().resource_version.as_ref()) else {
            return Ok(false);
        };
        let metadata = json!({"uid": uid, "resourceVersion": version});
        let patch = Patch::Merge(json!({"metadata": metadata, "status": {"nodeRef": node}}));
        let by = by();
        let asked = self.machine_api.patch_status(name, &by, &patch);
        answer("write the Node reference of a Machine", asked).await.map(|_| true)
    }

    /// Patches the Node, on the condition that its version is the one that was read: the patch
    /// replaces the whole list of taints.
    async fn change_node(
        &self,
        node: &WatchedObject<Node>,
        patch: Value,
    ) -> Result<(), ApiServerError> {
        let mut patch = patch;
        patch["metadata"]["uid"] = json!(node.meta().uid);
        patch["metadata"]["resourceVersion"] = json!(node.meta().resource_version);
        let (by, patch) = (by(), Patch::Merge(patch));
        let asked = self.node_api.patch(node.meta_name(), &by, &patch);
        answer("write the labels and taints of a Machine to its Node", asked).await.map(drop)
    }
}

fn retry_after(error: &Error) -> Duration {
    match error {
        Error::Unreadable(_) | Error::Ambiguous(_) => AMBIGUOUS,
        Error::Unanswered(error) => error.retry_after(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use groundplan_node::test_support::fake_api_server::FakeApiServer;
    use groundplan_openshift::machine_api::types::NAMESPACE;
    use tokio::time::sleep;

    use super::*;

    /// Returns a cluster with the machine `a` and its Node `n`, by providerID, and a running
    /// controller.
    fn world() -> (FakeApiServer, CancellationToken, Arc<Mutex<Vec<String>>>) {
        let cluster = FakeApiServer::default();
        machine(&cluster, "a", "aws:///z/i-1", "10.0.0.1");
        node(&cluster, "n", "aws:///z/i-1", "10.0.0.9");
        let (client, stop) = (cluster.client(), CancellationToken::new());
        let machines = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
        let nodes = Reflector::new(Api::all(client.clone()));
        let told = Arc::<Mutex<Vec<String>>>::default();
        let log = {
            let told = Arc::clone(&told);
            Log::new(move |line| told.lock().unwrap().push(line.object + ": " + &line.message))
        };
        let feeds = (&machines, &nodes);
        tokio::spawn(NodeLinkController::run(
            &client,
            NAMESPACE,
            feeds,
            (Arc::default(), log),
            stop.clone(),
        ));
        tokio::spawn(machines.run(|_| ()));
        tokio::spawn(nodes.run(|_| ()));
        (cluster, stop, told)
    }

    fn machine(cluster: &FakeApiServer, name: &str, id: &str, ip: &str) {
        cluster.put(json!({
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
            "metadata": {"name": name, "namespace": NAMESPACE},
            "spec": {
                "providerID": id,
                "metadata": {"labels": {"node-role.kubernetes.io/infra": ""}},
                "taints": [{"key": "infra", "effect": "NoSchedule"}],
            },
            "status": {"phase": "Provisioned",
                       "addresses": [{"type": "InternalIP", "address": ip}]},
        }));
    }

    fn node(cluster: &FakeApiServer, name: &str, id: &str, ip: &str) {
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "labels": {"theirs": "1"}},
            "spec": {"providerID": id, "taints": [{"key": "theirs", "effect": "NoExecute"}]},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
        }));
    }

    fn node_of(cluster: &FakeApiServer, machine: &str) -> Value {
        cluster.get("machines", NAMESPACE, machine).unwrap()["status"]["nodeRef"].clone()
    }

    async fn settle() {
        sleep(Duration::from_secs(20)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_and_its_machine_are_linked_and_then_nothing_is_written() {
        let (cluster, _stop, told) = world();
        settle().await;
        assert_eq!(*told.lock().unwrap(), ["Machine a: linked to Node n"]);
        let node = cluster.node("n");
        let expected = json!({"kind": "Node", "name": "n", "uid": node["metadata"]["uid"]});
        assert_eq!(node_of(&cluster, "a"), expected);
        let machine = cluster.get("machines", NAMESPACE, "a").unwrap();
        assert_eq!(machine["status"]["phase"], "Provisioned", "the rest of its status stays");
        let meta = &node["metadata"];
        assert_eq!(
            meta["annotations"][super::super::MACHINE_ANNOTATION],
            "openshift-machine-api/a"
        );
        assert_eq!(meta["labels"], json!({"node-role.kubernetes.io/infra": "", "theirs": "1"}));
        assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 2);
        cluster.forget_requests();
        cluster.cut_watches();
        settle().await;
        let requests = cluster.requests();
        let batcher = |line: &String| line.starts_with("GET") || line.starts_with("WATCH");
        assert!(requests.iter().all(batcher), "{requests:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_that_comes_later_or_gets_its_id_later_is_linked_then() {
        let (cluster, _stop, _) = world();
        settle().await;
        node(&cluster, "late", "", "");
        machine(&cluster, "b", "aws:///z/i-2", "");
        settle().await;
        assert_eq!(node_of(&cluster, "b"), Value::Null);
        cluster.change("nodes", "", "late", &json!({"spec": {"providerID": "aws:///z/i-2"}}));
        settle().await;
        assert_eq!(node_of(&cluster, "b")["name"], "late");
        node(&cluster, "early", "aws:///z/i-3", "");
        machine(&cluster, "c", "", "");
        settle().await;
        cluster.change(
            "machines",
            NAMESPACE,
            "c",
            &json!({"spec": {"providerID": "aws:///z/i-3"}}),
        );
        settle().await;
        assert_eq!(node_of(&cluster, "c")["name"], "early");
    }

    /// A Machine that is drained by the Node of another one would stop the wrong machine.
    #[tokio::test(start_paused = true)]
    async fn a_new_machine_of_the_same_name_does_not_get_the_node_of_the_old_one() {
        let (cluster, _stop, told) = world();
        cluster.delay("PATCH", "machines", Duration::from_secs(10));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(node_of(&cluster, "a"), Value::Null, "the patch is on its way");
        cluster.delete("machines", NAMESPACE, "a");
        machine(&cluster, "a", "aws:///z/i-9", "10.0.0.99");
        settle().await;
        assert_eq!(node_of(&cluster, "a"), Value::Null, "{:?}", told.lock().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn c51_two_nodes_with_one_address_are_told_of_until_one_of_them_is_gone() {
        let (cluster, _stop, told) = world();
        machine(&cluster, "b", "", "10.0.0.2");
        node(&cluster, "m", "", "10.0.0.2");
        node(&cluster, "o", "", "10.0.0.2");
        settle().await;
        assert_eq!(node_of(&cluster, "b"), Value::Null);
        let told = told.lock().unwrap().join("\n");
        assert!(told.contains("expected one Node with InternalIP 10.0.0.2, found m, o"), "{told}");
        cluster.delete("nodes", "", "o");
        sleep(AMBIGUOUS * 2).await;
        assert_eq!(node_of(&cluster, "b")["name"], "m");
    }

    #[tokio::test(start_paused = true)]
    async fn what_somebody_else_writes_at_the_same_time_is_not_lost() {
        let (cluster, _stop, _) = world();
        cluster.somebody_writes_before_the_next(2);
        settle().await;
        assert!(cluster.conflicts() >= 2, "{}", cluster.conflicts());
        let node = cluster.node("n");
        assert_eq!(node["spec"]["taints"].as_array().unwrap().len(), 2);
        let beats = node["status"]["conditions"].as_array().unwrap();
        assert!(beats.iter().any(|one| one["type"] == "Heartbeats"), "{beats:?}");
    }
}
