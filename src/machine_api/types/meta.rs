//! What every object has.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_nothing;

/// Labels and annotations.
pub type Labels = BTreeMap<String, String>;

/// The metadata of an object (k8s.io/apimachinery `pkg/apis/meta/v1`), as far as anything here needs
/// it; the rest is read over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// When the server made it. Always written: Go writes `null` for an object that is only a file.
    pub creation_timestamp: Option<String>,
    /// When somebody asked for its deletion.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
    /// Who must let go of it before it is gone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What its name begins with, if the server makes it up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Where it lives.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// What it is found by.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What is noted about it.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// What no other object ever has.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Which version of what is wanted this is.
    #[serde(skip_serializing_if = "is_nothing")]
    pub generation: i64,
    /// Whose it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
}

impl ObjectMeta {
    /// Who looks after it, if anybody does; the server lets there be one.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// Whose an object is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// The group and version of the owner.
    pub api_version: String,
    /// What kind it is of.
    pub kind: String,
    /// What it is called.
    pub name: String,
    /// What no other object ever has.
    pub uid: String,
    /// Whether the owner looks after it.
    #[serde(skip_serializing_if = "is_nothing")]
    pub controller: bool,
    /// Whether the owner, deleted in the foreground, waits for it to go.
    #[serde(skip_serializing_if = "is_nothing")]
    pub block_owner_deletion: bool,
}

/// What a template says of the metadata of what is made from it (openshift/api
/// `machine/v1beta1/types_machine.go`, `ObjectMeta`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateMeta {
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// What its name begins with, if the server makes it up.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Where it lives.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// What it is found by.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// What is noted about it.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// Whose it is.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub owner_references: Vec<serde_json::Value>,
}

/// Which objects are meant (k8s.io/apimachinery `LabelSelector`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// The labels that they all have.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    /// What else must be so; all of it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// What must be so of one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelRequirement {
    /// Which label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// The values, for the first two.
    #[serde(skip_serializing_if = "is_nothing")]
    pub values: Vec<String>,
}

/// An object of the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LocalReference {
    /// What it is called.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// One thing that is so or not (openshift/api `machine/v1beta1/types_provider.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// What it is about.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// How bad it is that it is not so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// Since when.
    pub last_transition_time: Option<String>,
    /// Why, in one word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Why, for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
