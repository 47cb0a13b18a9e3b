//! Fields of a Node that the controllers read (k8s.io/api `core/v1`). All other fields are ignored.

use groundplan_openshift::machine_api::types::{NodeAddress, ObjectMeta, Taint};
use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

/// Node of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Name, labels and other metadata.
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: NodeSpec,
    /// Observed state.
    pub status: NodeStatus,
}

/// Desired state of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// Instance of the Node: `aws:///<zone>/<instance id>`.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// Taints, which keep pods off the Node.
    pub taints: Vec<Taint>,
}

/// Observed state of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Addresses of the Node.
    pub addresses: Vec<NodeAddress>,
    /// Conditions of the Node.
    pub conditions: Vec<NodeCondition>,
}

/// Condition of a Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Time of the last change of the status.
    pub last_transition_time: Option<String>,
}

impl Node {
    /// Returns the readiness of the Node.
    pub fn readiness(&self) -> Readiness {
        let Some(condition) = self.status.conditions.iter().find(|one| one.kind == "Ready") else {
            return Readiness { ready: false, since: None };
        };
        let since = condition.last_transition_time.as_ref().and_then(|time| time.parse().ok());
        Readiness { ready: condition.status == "True", since }
    }

    /// Returns the first internal address.
    pub fn internal_ip(&self) -> Option<&str> {
        internal_ips(&self.status.addresses).next()
    }
}

/// Returns the internal addresses.
pub(super) fn internal_ips(addresses: &[NodeAddress]) -> impl Iterator<Item = &str> {
    let inside = addresses.iter().filter(|address| address.kind == "InternalIP");
    inside.map(|address| address.address.as_str()).filter(|address| !address.is_empty())
}

/// Readiness of a Node: whether it accepts pods, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// True if the Node accepts pods.
    pub ready: bool,
    /// Time of the last change. `None` means that the Node does not report the time.
    pub since: Option<Timestamp>,
}

impl Readiness {
    /// Returns true if the Node has been ready for longer than `least`. If `least` is zero or
    /// negative, being ready is enough.
    pub fn has_been_ready_for(&self, least: SignedDuration, now: Timestamp) -> bool {
        let long_enough = |since: Timestamp| now.duration_since(since) > least;
        self.ready && (least <= SignedDuration::ZERO || self.since.is_some_and(long_enough))
    }
}
