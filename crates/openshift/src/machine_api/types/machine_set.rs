//! MachineSet object (openshift/api `machine/v1beta1/types_machineset.go`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Condition, LabelSelector, MACHINE_API, MachineSpec, ObjectMeta, TemplateMeta, any_object,
    is_nothing,
};

/// A number of machines that are alike.
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
    /// What is wanted.
    pub spec: MachineSetSpec,
    /// What is.
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
    /// How many machines; absent means one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How long a machine must have been ready to count as available.
    #[serde(skip_serializing_if = "is_nothing")]
    pub min_ready_seconds: i32,
    /// Which machines go first: `Random` (also when absent), `Newest` or `Oldest`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub delete_policy: String,
    /// Which machines are its own. Cannot be changed.
    pub selector: LabelSelector,
    /// What a new machine is made from. What exists stays as it is.
    pub template: MachineTemplate,
    /// Which API decides, while machines move to another: `MachineAPI` or `ClusterAPI`.
    #[serde(rename = "authoritativeAPI", skip_serializing_if = "String::is_empty")]
    pub authoritative_api: String,
}

/// Template of the machines of a MachineSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MachineTemplate {
    /// Their labels and annotations.
    pub metadata: TemplateMeta,
    /// What they are to be.
    pub spec: MachineSpec,
}

/// Observed state of a MachineSet.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct MachineSetStatus {
    /// How many machines there are. Always written.
    pub replicas: i32,
    /// How many have every label of the template.
    #[serde(skip_serializing_if = "is_nothing")]
    pub fully_labeled_replicas: i32,
    /// How many have a node that is ready.
    #[serde(skip_serializing_if = "is_nothing")]
    pub ready_replicas: i32,
    /// How many have had one for long enough.
    #[serde(skip_serializing_if = "is_nothing")]
    pub available_replicas: i32,
    /// Which version of what is wanted was looked at.
    #[serde(skip_serializing_if = "is_nothing")]
    pub observed_generation: i64,
    /// The selector as text, for the scale subresource.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label_selector: String,
    /// Why it failed for good, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_reason: Option<String>,
    /// Why it failed for good, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_message: Option<String>,
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
