//! Drain of a Node before its machine is deleted, like `kubectl drain --force --ignore-daemonsets
//! --delete-emptydir-data` (openshift/machine-api-operator
//! `pkg/controller/machine/drain_controller.go`).
//!
//! Performs one step per call and never waits; the caller repeats the call until the drain is done.
//! A PodDisruptionBudget can delay the drain without a limit.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::{Api, EvictParams, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::sync::Mutex;

/// Result of one drain step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrainResult {
    /// The Node is empty or does not exist.
    Done,
    /// The drain is not done, for this reason.
    NotYet(String),
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
        let why = format!("waiting for the drain of {other}, also a control plane machine");
        return Ok(DrainResult::NotYet(why));
    }
    let pods: Api<Pod> = Api::all(client.clone());
    let on_it = ListParams::default().fields(&format!("spec.nodeName={name}"));
    let pods = pods.list(&on_it).await?.items;
    let unreachable = is_unreachable(&node);
    let staying = pods.iter().filter(|pod| is_to_go(pod));
    let staying: Vec<&Pod> = staying.filter(|pod| !(unreachable && is_going(pod, now))).collect();
    let mut waiting = Vec::new();
    for pod in staying {
        if let Some(why) = evict(client, pod, unreachable).await? {
            waiting.push(why);
        }
    }
    if waiting.is_empty() {
        return Ok(DrainResult::Done);
    }
    Ok(DrainResult::NotYet(format!("{} pods remain: {}", waiting.len(), first(&waiting))))
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

fn first(waiting: &[String]) -> String {
    const SHOWN: usize = 3;
    let more = if waiting.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", waiting[..waiting.len().min(SHOWN)].join(", "))
}

/// Evicts a pod. Returns why the pod still exists, or `None` if the pod is gone.
async fn evict(client: &Client, pod: &Pod, unreachable: bool) -> kube::Result<Option<String>> {
    let (name, namespace) = (pod.name_any(), pod.namespace().unwrap_or_default());
    if pod.metadata.deletion_timestamp.is_some() {
        return Ok(Some(format!("{namespace}/{name} is terminating")));
    }
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let mut how = EvictParams::default();
    if unreachable {
        // The kubelet of an unreachable Node cannot act on a longer grace period.
        let soon = kube::api::DeleteParams::default().grace_period(1);
        how.delete_options = Some(soon);
    }
    match pods.evict(&name, &how).await {
        Ok(_) => Ok(Some(format!("{namespace}/{name} is evicted"))),
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(None),
        Err(kube::Error::Api(status)) if status.code == 429 => {
            Ok(Some(format!("{namespace}/{name} is blocked by its PodDisruptionBudget")))
        }
        Err(error) => Err(error),
    }
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
