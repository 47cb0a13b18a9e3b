//! What the controllers read of a Node (k8s.io/api `core/v1`); the rest is read over.

use jiff::{SignedDuration, Timestamp};
use serde::Deserialize;

use crate::machine_api::types::{NodeAddress, ObjectMeta, Taint};

/// A Node.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its name, labels and the like.
    pub metadata: ObjectMeta,
    /// What it is to be.
    pub spec: NodeSpec,
    /// How it is.
    pub status: NodeStatus,
}

/// What a Node is to be.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeSpec {
    /// The instance that it is: `aws:///<zone>/<instance id>`.
    #[serde(rename = "providerID")]
    pub provider_id: String,
    /// What keeps pods off it.
    pub taints: Vec<Taint>,
}

/// How a Node is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct NodeStatus {
    /// Where it can be reached.
    pub addresses: Vec<NodeAddress>,
    /// What is so and what is not.
    pub conditions: Vec<NodeCondition>,
}

/// One thing that is so of a Node or not.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Since when.
    pub last_transition_time: Option<String>,
}

impl Node {
    /// Whether it takes work, and since when.
    pub fn readiness(&self) -> Readiness {
        let Some(condition) = self.status.conditions.iter().find(|one| one.kind == "Ready") else {
            return Readiness { ready: false, since: None };
        };
        let since = condition.last_transition_time.as_ref().and_then(|time| time.parse().ok());
        Readiness { ready: condition.status == "True", since }
    }

    /// The first of its addresses inside the network.
    pub fn internal_ip(&self) -> Option<&str> {
        internal_ips(&self.status.addresses).next()
    }
}

/// The addresses inside the network.
pub(super) fn internal_ips(addresses: &[NodeAddress]) -> impl Iterator<Item = &str> {
    let inside = addresses.iter().filter(|address| address.kind == "InternalIP");
    inside.map(|address| address.address.as_str()).filter(|address| !address.is_empty())
}

/// Whether a Node takes work, and since when that is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// Whether it does.
    pub ready: bool,
    /// Since when, if anybody has said.
    pub since: Option<Timestamp>,
}

impl Readiness {
    /// Whether it has taken work for longer than this. For no time at all, it is enough to be ready.
    pub fn has_been_ready_for(&self, least: SignedDuration, now: Timestamp) -> bool {
        let long_enough = |since: Timestamp| now.duration_since(since) > least;
        self.ready && (least <= SignedDuration::ZERO || self.since.is_some_and(long_enough))
    }
}
