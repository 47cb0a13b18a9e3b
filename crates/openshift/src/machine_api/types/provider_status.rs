//! Provider status of a machine on AWS (openshift/api `machine/v1beta1/types_awsprovider.go`,
//! `AWSMachineProviderStatus`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// State of the instance of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsMachineProviderStatus {
    /// `machine.openshift.io/v1beta1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `AWSMachineProviderStatus`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// ID of the instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// State of the instance, as EC2 names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_state: Option<String>,
    /// Conditions of the instance, such as `MachineCreation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ProviderCondition>,
    /// Dedicated host that was allocated for the machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated_host: Option<DedicatedHostStatus>,
}

/// Condition of a resource (k8s.io/apimachinery `pkg/apis/meta/v1`, `Condition`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderCondition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Generation of the object that the condition is based on.
    #[serde(skip_serializing_if = "super::is_nothing")]
    pub observed_generation: i64,
    /// Time of the last change of the status.
    pub last_transition_time: Option<String>,
    /// Reason of the status, as one CamelCase word.
    pub reason: String,
    /// Explanation of the status for people.
    pub message: String,
    /// Fields that this type does not have. They stay as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub others: Map<String, Value>,
}

/// Dedicated host that was allocated for one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DedicatedHostStatus {
    /// ID of the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}
