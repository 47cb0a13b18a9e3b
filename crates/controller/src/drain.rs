//! Drain of a Node before its machine is deleted, like `kubectl drain --force --ignore-daemonsets
//! --delete-emptydir-data` (openshift/machine-api-operator
//! `pkg/controller/machine/drain_controller.go`).
//!
//! Performs one step per call; the caller repeats the call until the drain is done. A step tries
//! each pod once, so a pod that a PodDisruptionBudget protects does not delay the others. A step
//! ends within [`STEP`]. A PodDisruptionBudget can delay the drain without a limit, as upstream.

use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use groundplan_engine::provider::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, EvictParams, ListParams, Patch, PatchParams};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

use crate::report::plain;

/// Result of one drain step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainResult {
    /// The Node is empty or does not exist.
    Done,
    /// The drain is not done.
    NotYet(DrainProgress),
}

/// Pods that a drain step left on a Node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DrainProgress {
    /// Reason in the words of the condition, with the names of the pods.
    pub message: String,
    /// Names of the pods that a PodDisruptionBudget protects.
    pub blocked: Vec<String>,
}

/// Maximum time of one drain step (openshift/machine-api-operator `drain_controller.go`, `Timeout`).
pub const STEP: Duration = Duration::from_secs(20);

/// Delay before the next drain step, as `kubectl drain` waits between attempts to evict a pod.
pub const AGAIN: Duration = Duration::from_secs(5);

/// Maximum number of concurrent evictions of one drain.
const AT_A_TIME: usize = 8;

/// Maximum number of pods in the message.
const SHOWN: usize = 10;

/// Reason why a pod is still on its Node.
enum Staying {
    /// The pod was evicted or is terminating.
    Ending(String),
    /// A PodDisruptionBudget protects the pod. The API server may not name it.
    Blocked { pod: String, budget: Option<String> },
    /// The eviction failed.
    Failed(String),
}

/// Labels of control plane Nodes, of which only one is drained at a time.
const CONTROL_PLANE: [&str; 2] =
    ["node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"];

/// Lock around the decision which control plane Node is drained. Without the lock two drains could
/// both find no other cordoned Node.
pub type Turn = Mutex<()>;

/// Cordons the Node, and evicts the pods that can be evicted now.
///
/// # Errors
/// Fails if the API server rejects a request or cannot be reached.
pub async fn drain(
    client: &Client,
    name: &str,
    turn: &Turn,
    now: Timestamp,
) -> kube::Result<DrainResult> {
    let nodes: Api<Node> = Api::all(client.clone());
    let Some(node) = nodes.get_opt(name).await? else { return Ok(DrainResult::Done) };
    if !is_cordoned(&node)
        && let Some(other) = cordon(&nodes, &node, turn).await?
    {
        let message = format!("waiting for the drain of {other}, also a control plane machine");
        return Ok(DrainResult::NotYet(DrainProgress { message, blocked: Vec::new() }));
    }
    let pods: Api<Pod> = Api::all(client.clone());
    let on_it = ListParams::default().fields(&format!("spec.nodeName={name}"));
    let pods = pods.list(&on_it).await?.items;
    let unreachable = is_unreachable(&node);
    let staying = pods.iter().filter(|pod| is_to_go(pod));
    let staying: Vec<&Pod> = staying.filter(|pod| !(unreachable && is_going(pod, now))).collect();
    let until = Instant::now() + STEP;
    let mut attempts = Vec::<BoxFuture<'_, Option<Staying>>>::new();
    for pod in staying {
        attempts.push(Box::pin(tried(client, pod, unreachable, until)));
    }
    let tried: Vec<_> = iter(attempts).buffered(AT_A_TIME).collect().await;
    let left: Vec<Staying> = tried.into_iter().flatten().collect();
    Ok(if left.is_empty() { DrainResult::Done } else { DrainResult::NotYet(progress(left)) })
}

/// Returns the pods that are left, those that need attention first.
fn progress(left: Vec<Staying>) -> DrainProgress {
    let (count, mut blocked, mut failed, mut ending) = (left.len(), vec![], vec![], vec![]);
    let mut told = Vec::new();
    for one in left {
        match one {
            Staying::Blocked { pod, budget } => {
                let budget = budget.map_or("its PodDisruptionBudget".to_owned(), |budget| {
                    format!("the PodDisruptionBudget {budget}")
                });
                told.push(format!("{pod} is blocked by {budget}"));
                blocked.push(pod);
            }
            Staying::Failed(why) => failed.push(why),
            Staying::Ending(why) => ending.push(why),
        }
    }
    told.extend(failed.into_iter().chain(ending));
    let more = if told.len() > SHOWN { ", …" } else { "" };
    let shown = told[..told.len().min(SHOWN)].join(", ");
    let remain =
        if count == 1 { "1 pod remains".to_owned() } else { format!("{count} pods remain") };
    DrainProgress { message: format!("{remain}: {shown}{more}"), blocked }
}

/// Cordons the Node. Returns the name of another control plane Node if that one is drained first.
async fn cordon(nodes: &Api<Node>, node: &Node, turn: &Turn) -> kube::Result<Option<String>> {
    let _turn = if is_control_plane(node) { Some(turn.lock().await) } else { None };
    if is_control_plane(node)
        && let Some(other) = another_is_drained(nodes, node).await?
    {
        return Ok(Some(other));
    }
    let cordon = Patch::Merge(json!({"spec": {"unschedulable": true}}));
    nodes.patch(&node.name_any(), &PatchParams::default(), &cordon).await.map(|_| None)
}

/// Tries to evict a pod once. Returns why the pod is still there, or `None` if it is gone. An error
/// of one pod does not end the drain of the others.
async fn tried(client: &Client, pod: &Pod, unreachable: bool, until: Instant) -> Option<Staying> {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    let pod_name = format!("{namespace}/{name}");
    if pod.metadata.deletion_timestamp.is_some() {
        return Some(Staying::Ending(format!("{pod_name} is terminating")));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let mut how = EvictParams::default();
    if unreachable {
        // The kubelet of an unreachable Node cannot act on a longer grace period.
        let soon = kube::api::DeleteParams::default().grace_period(1);
        how.delete_options = Some(soon);
    }
    let Ok(response) = timeout_at(until, pods.evict(&name, &how)).await else {
        return Some(Staying::Failed(format!("{pod_name} is not evicted: no response")));
    };
    match response {
        Ok(_) => Some(Staying::Ending(format!("{pod_name} is evicted"))),
        Err(kube::Error::Api(status)) if status.code == 404 => None,
        Err(kube::Error::Api(status)) if is_budget(&status) => {
            Some(Staying::Blocked { pod: pod_name, budget: budget_name(&status) })
        }
        Err(error) => {
            Some(Staying::Failed(format!("{pod_name} is not evicted: {}", plain(&error))))
        }
    }
}

/// Returns true if a PodDisruptionBudget rejected an eviction. The API server rejects requests of a
/// client that sends too many with the same status, and names no budget.
fn is_budget(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| &details.causes);
    let by_cause =
        causes.is_some_and(|causes| causes.iter().any(|one| one.reason == "DisruptionBudget"));
    status.code == 429 && (by_cause || status.message.contains("disruption budget"))
}

/// Returns the name of the PodDisruptionBudget that rejected an eviction. Only the text of the cause
/// has the name (kubernetes 1.36 `pkg/registry/core/pod/storage/eviction.go`).
fn budget_name(status: &Status) -> Option<String> {
    let causes = &status.details.as_ref()?.causes;
    let cause = causes.iter().find(|one| one.reason == "DisruptionBudget")?;
    let name = cause.message.strip_prefix("The disruption budget ")?.split_whitespace().next()?;
    Some(name.to_owned())
}

/// Returns true if the drain evicts the pod. Pods of DaemonSets and mirror pods stay, because the
/// cluster would create them again at once.
fn is_to_go(pod: &Pod) -> bool {
    let of_daemon_set = pod
        .owner_references()
        .iter()
        .any(|owner| owner.kind == "DaemonSet" && owner.controller == Some(true));
    let mirror = pod.annotations().contains_key("kubernetes.io/config.mirror");
    !of_daemon_set && !mirror
}

/// Returns true if the pod was due to end more than a second ago. On an unreachable Node the
/// kubelet never reports the end.
fn is_going(pod: &Pod, now: Timestamp) -> bool {
    let told = pod.metadata.deletion_timestamp.as_ref().map(|time| time.0);
    told.is_some_and(|told| now.duration_since(told) > SignedDuration::from_secs(1))
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

fn is_control_plane(node: &Node) -> bool {
    CONTROL_PLANE.iter().any(|role| node.labels().contains_key(*role))
}

fn is_unreachable(node: &Node) -> bool {
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_ref());
    let ready = conditions.into_iter().flatten().find(|one| one.type_ == "Ready");
    ready.is_some_and(|ready| ready.status == "Unknown")
}

async fn another_is_drained(nodes: &Api<Node>, node: &Node) -> kube::Result<Option<String>> {
    let all = nodes.list(&ListParams::default()).await?.items;
    let mut others = all.iter().filter(|other| other.name_any() != node.name_any());
    let drained = others.find(|other| is_control_plane(other) && is_cordoned(other));
    Ok(drained.map(ResourceExt::name_any))
}

#[cfg(test)]
mod tests {
    use groundplan_node::kube_client;
    use groundplan_node::test_support::fake_api_server::FakeApiServer;
    use kube::Config;
    use serde_json::Value;
    use tokio::net::TcpListener;

    use super::*;
    use crate::client_timeout::patient;

    /// Returns a cluster with the Node `n`, a pod with a PodDisruptionBudget and two without.
    fn world() -> FakeApiServer {
        let cluster = FakeApiServer::default();
        cluster.add_node("n");
        for (name, app) in [("web-1", "web"), ("zz-free-1", "free"), ("zz-free-2", "free")] {
            cluster.put(json!({
                "apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": name, "namespace": "apps", "labels": {"app": app}},
                "spec": {"nodeName": "n", "containers": []},
            }));
        }
        cluster.protect_pods(Some("web"));
        cluster
    }

    async fn step(client: &Client) -> DrainProgress {
        match drain(client, "n", &Turn::default(), Timestamp::now()).await.unwrap() {
            DrainResult::NotYet(progress) => progress,
            DrainResult::Done => panic!("the protected pod is still there"),
        }
    }

    fn pods(cluster: &FakeApiServer) -> Vec<String> {
        let name = |pod: &Value| pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        cluster.all("pods").iter().map(name).collect()
    }

    fn evictions(cluster: &FakeApiServer, pod: &str) -> usize {
        let end = format!("/pods/{pod}/eviction");
        cluster.requests().iter().filter(|line| line.ends_with(&end)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_protected_pod_does_not_delay_the_others_and_is_named() {
        let cluster = world();
        let progress = step(&cluster.client()).await;
        assert_eq!(pods(&cluster), ["web-1"]);
        assert_eq!(progress.blocked, ["apps/web-1"]);
        assert!(
            progress.message.starts_with(
                "3 pods remain: apps/web-1 is blocked by the PodDisruptionBudget protected, "
            ),
            "{progress:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_eviction_that_fails_or_hangs_does_not_delay_the_others() {
        let cluster = world();
        cluster.protect_pods(None);
        cluster.delay("POST", "pods", Duration::from_secs(3600));
        let began = Instant::now();
        let progress = step(&cluster.client()).await;
        assert_eq!((began.elapsed(), progress.blocked.len()), (STEP, 0));
        assert!(
            progress.message.contains("apps/zz-free-2 is not evicted: no response"),
            "{progress:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_that_is_overloaded_is_no_budget() {
        let cluster = world();
        cluster.protect_pods(None);
        let client = cluster.client();
        let pod: Pod =
            serde_json::from_value(cluster.get("pods", "apps", "web-1").unwrap()).unwrap();
        cluster.inject_faults(&[429]);
        let tried = tried(&client, &pod, false, Instant::now() + STEP).await;
        assert!(matches!(tried, Some(Staying::Failed(_))));
    }

    /// The client is made as in production, over a socket, because the default client of kube
    /// repeats rejected evictions itself.
    #[tokio::test]
    async fn the_client_of_the_program_sends_each_eviction_once() {
        let cluster = world();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(cluster.clone().serve(listener));
        let config = Config::new(format!("http://{address}").parse().unwrap());
        let client = patient(&kube_client::client(config).unwrap());
        let began = std::time::Instant::now();
        let progress = step(&client).await;
        assert_eq!(
            (progress.blocked, evictions(&cluster, "web-1")),
            (vec!["apps/web-1".to_owned()], 1)
        );
        assert_eq!(pods(&cluster), ["web-1"]);
        assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    }
}
