//! MachineSet object (openshift/api `machine/v1beta1/types_machineset.go`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, LabelSelector, MACHINE_API, MachineSpec, ObjectMeta, TemplateMeta, any_object,
    is_nothing,
};

/// Set of machines with the same template.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSet {
    /// `machine.openshift.io/v1beta1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `MachineSet`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Name, labels and other metadata of the object.
    #[schemars(schema_with = "any_object")]
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: MachineSetSpec,
    /// Observed state.
    pub status: MachineSetStatus,
}

impl MachineSet {
    /// Returns an object with API version and kind set, and all other fields empty.
    pub fn new() -> Self {
        Self { api_version: MACHINE_API.into(), kind: "MachineSet".into(), ..Self::default() }
    }
}

/// Desired state of a MachineSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSetSpec {
    /// Number of machines. Absent means 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Seconds that a machine must be ready to count as available.
    #[serde(skip_serializing_if = "is_nothing")]
    pub min_ready_seconds: i32,
    /// Machines that are deleted first: `Random` (also when absent), `Newest` or `Oldest`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub delete_policy: String,
    /// Selector of the machines of the set. Cannot be changed.
    pub selector: LabelSelector,
    /// Template of new machines. Existing machines do not change.
    pub template: MachineTemplate,
    /// API that has authority during a migration of machines: `MachineAPI` or `ClusterAPI`.
    #[serde(rename = "authoritativeAPI", skip_serializing_if = "String::is_empty")]
    pub authoritative_api: String,
}

/// Template of the machines of a MachineSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MachineTemplate {
    /// Labels and annotations of the machines.
    pub metadata: TemplateMeta,
    /// Specification of the machines.
    pub spec: MachineSpec,
}

/// Observed state of a MachineSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSetStatus {
    /// Number of machines. Always written.
    pub replicas: i32,
    /// Number of machines that have every label of the template.
    #[serde(skip_serializing_if = "is_nothing")]
    pub fully_labeled_replicas: i32,
    /// Number of machines with a ready node.
    #[serde(skip_serializing_if = "is_nothing")]
    pub ready_replicas: i32,
    /// Number of machines whose node has been ready for `minReadySeconds`.
    #[serde(skip_serializing_if = "is_nothing")]
    pub available_replicas: i32,
    /// Generation of the desired state that this status is about.
    #[serde(skip_serializing_if = "is_nothing")]
    pub observed_generation: i64,
    /// Selector as text, for the scale subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label_selector: String,
    /// Reason of a terminal error, as one CamelCase word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Explanation of a terminal error for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
    /// Conditions of the set.
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
