//! What AWS says of a machine (openshift/api `machine/v1beta1/types_awsprovider.go`,
//! `AWSMachineProviderStatus`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The state of the instance of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct AwsMachineProviderStatus {
    /// `machine.openshift.io/v1beta1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `AWSMachineProviderStatus`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// The instance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_id: Option<String>,
    /// What EC2 calls its state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instance_state: Option<String>,
    /// Whether it was made: `MachineCreation`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<ProviderCondition>,
    /// The host that was allocated for it alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedicated_host: Option<DedicatedHostStatus>,
}

/// One thing that is so or not (k8s.io/apimachinery `pkg/apis/meta/v1`, `Condition`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderCondition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Which version of what is wanted was looked at.
    #[serde(skip_serializing_if = "super::is_nothing")]
    pub observed_generation: i64,
    /// Since when.
    pub last_transition_time: Option<String>,
    /// Why, in one word.
    pub reason: String,
    /// Why, for people.
    pub message: String,
}

/// A host that was allocated for one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DedicatedHostStatus {
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}
