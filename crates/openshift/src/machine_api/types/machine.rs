//! Machine object (openshift/api `machine/v1beta1/types_machine.go`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Condition, MACHINE_API, ObjectMeta, TemplateMeta, any_object, is_nothing};

/// Label with the cluster of an object. The value is the infra ID.
pub const CLUSTER_LABEL: &str = "machine.openshift.io/cluster-api-cluster";
/// Label with the role of a machine: `master`, `worker`, …
pub const ROLE_LABEL: &str = "machine.openshift.io/cluster-api-machine-role";
/// Label with the role of a machine, under its older name.
pub const TYPE_LABEL: &str = "machine.openshift.io/cluster-api-machine-type";
/// Label with the MachineSet of a machine.
pub const MACHINE_SET_LABEL: &str = "machine.openshift.io/cluster-api-machineset";

/// One machine that the cluster's Machine API looks after.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Machine {
    /// `machine.openshift.io/v1beta1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `Machine`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Name, labels and other metadata of the object.
    #[schemars(schema_with = "any_object")]
    pub metadata: ObjectMeta,
    /// What it is to be.
    pub spec: MachineSpec,
    /// What it is.
    pub status: MachineStatus,
}

impl Machine {
    /// Returns an object with API version and kind set, and all other fields empty.
    pub fn new() -> Self {
        Self { api_version: MACHINE_API.into(), kind: "Machine".into(), ..Self::default() }
    }
}

/// Desired state of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSpec {
    /// Labels and annotations for its node.
    pub metadata: TemplateMeta,
    /// Who has a say before it goes.
    pub lifecycle_hooks: LifecycleHooks,
    /// What keeps pods off its node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// What the cloud is told of it.
    pub provider_spec: ProviderSpec,
    /// The instance that it is: `aws:///<zone>/<instance id>`.
    #[serde(rename = "providerID", skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// Which API decides, while machines move to another: `MachineAPI` or `ClusterAPI`.
    #[serde(rename = "authoritativeAPI", skip_serializing_if = "String::is_empty")]
    pub authoritative_api: String,
}

/// Machine specification in the cloud provider's own type. The type on AWS is
/// [`AwsMachineProviderConfig`](super::AwsMachineProviderConfig).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProviderSpec {
    /// The config, as it was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub value: Option<Value>,
}

/// Lifecycle hooks of a machine. Each hook delays the deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LifecycleHooks {
    /// Before its node is drained.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_drain: Vec<LifecycleHook>,
    /// Before its instance is terminated.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_terminate: Vec<LifecycleHook>,
}

/// One who has a say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LifecycleHook {
    /// What the hook is called; 3 to 256 characters.
    pub name: String,
    /// Who takes it away when the time has come; 3 to 512 characters.
    pub owner: String,
}

/// What keeps pods off a node (k8s.io/api `core/v1`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Its name.
    pub key: String,
    /// What pods compare.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

/// Observed state of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineStatus {
    /// Its node.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub node_ref: Option<Value>,
    /// When this was written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// Why it failed for good, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Why it failed for good, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// What the cloud says of it; for AWS a
    /// [`AwsMachineProviderStatus`](super::AwsMachineProviderStatus).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub provider_status: Option<Value>,
    /// Where it can be reached.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
    /// What was done to it last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_operation: Option<LastOperation>,
    /// `Provisioning`, `Provisioned`, `Running`, `Deleting` or `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// What is so and what is not.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Which API decides now.
    #[serde(rename = "authoritativeAPI", skip_serializing_if = "String::is_empty")]
    pub authoritative_api: String,
    /// Which API has caught up with the other.
    #[serde(rename = "synchronizedAPI", skip_serializing_if = "String::is_empty")]
    pub synchronized_api: String,
    /// How far it has.
    #[serde(skip_serializing_if = "is_nothing")]
    pub synchronized_generation: i64,
}

/// Where a machine can be reached (k8s.io/api `core/v1`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `InternalDNS`, `ExternalIP`, `ExternalDNS` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The address.
    pub address: String,
}

/// Last operation on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastOperation {
    /// What came of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// When.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// How far it got.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// What it was.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
