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

/// Machine of a cluster, managed by its Machine API.
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
    /// Desired state.
    pub spec: MachineSpec,
    /// Observed state.
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
    /// Labels and annotations for the node of the machine.
    pub metadata: TemplateMeta,
    /// Lifecycle hooks, which delay the deletion.
    pub lifecycle_hooks: LifecycleHooks,
    /// Taints for the node of the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub taints: Vec<Taint>,
    /// Specification for the cloud provider.
    pub provider_spec: ProviderSpec,
    /// Instance of the machine: `aws:///<zone>/<instance id>`.
    #[serde(rename = "providerID", skip_serializing_if = "Option::is_none")]
    pub provider_id: Option<String>,
    /// API that has authority during a migration of machines: `MachineAPI` or `ClusterAPI`.
    #[serde(rename = "authoritativeAPI", skip_serializing_if = "String::is_empty")]
    pub authoritative_api: String,
}

/// Machine specification in the cloud provider's own type. The type on AWS is
/// [`AwsMachineProviderConfig`](super::AwsMachineProviderConfig).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProviderSpec {
    /// Provider config, unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub value: Option<Value>,
}

/// Lifecycle hooks of a machine. Each hook delays the deletion.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LifecycleHooks {
    /// Hooks before the drain of the node.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_drain: Vec<LifecycleHook>,
    /// Hooks before the termination of the instance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pre_terminate: Vec<LifecycleHook>,
}

/// Lifecycle hook of one owner.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LifecycleHook {
    /// Name of the hook, 3 to 256 characters.
    pub name: String,
    /// Owner that removes the hook, 3 to 512 characters.
    pub owner: String,
}

/// Taint of a node (k8s.io/api `core/v1`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Taint {
    /// Key of the taint.
    pub key: String,
    /// Value of the taint, which tolerations of pods can match.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: String,
    /// Time when the taint was added.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_added: Option<String>,
}

/// Observed state of a machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineStatus {
    /// Node of the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub node_ref: Option<Value>,
    /// Time of the last change of the status.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// Reason of a terminal error, as one CamelCase word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Explanation of a terminal error for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Status from the cloud provider. The type on AWS is
    /// [`AwsMachineProviderStatus`](super::AwsMachineProviderStatus).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "serde_json::Map<String, Value>")]
    pub provider_status: Option<Value>,
    /// Addresses of the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<NodeAddress>,
    /// Last operation on the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_operation: Option<LastOperation>,
    /// `Provisioning`, `Provisioned`, `Running`, `Deleting` or `Failed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phase: Option<String>,
    /// Conditions of the machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// API that has authority at present.
    #[serde(rename = "authoritativeAPI", skip_serializing_if = "String::is_empty")]
    pub authoritative_api: String,
    /// API whose object was copied to the other API.
    #[serde(rename = "synchronizedAPI", skip_serializing_if = "String::is_empty")]
    pub synchronized_api: String,
    /// Generation of the object that was copied.
    #[serde(skip_serializing_if = "is_nothing")]
    pub synchronized_generation: i64,
}

/// Address of a machine (k8s.io/api `core/v1`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `InternalDNS`, `ExternalIP`, `ExternalDNS` or `Hostname`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Address.
    pub address: String,
}

/// Last operation on a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LastOperation {
    /// Result of the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Time of the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_updated: Option<String>,
    /// State of the operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Type of the operation.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
}
