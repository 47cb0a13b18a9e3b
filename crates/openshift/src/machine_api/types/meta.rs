//! Metadata that all objects have, and types that several objects share.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::is_nothing;

/// Labels and annotations.
pub type Labels = BTreeMap<String, String>;

/// Metadata of an object (k8s.io/apimachinery `pkg/apis/meta/v1`), limited to the fields that
/// groundplan needs. Reading ignores all other fields.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMeta {
    /// Time when the API server created the object. Always written, because Go writes `null` for an
    /// object that exists only in a file.
    pub creation_timestamp: Option<String>,
    /// Time when a client requested the deletion. `None` means that the object is not being
    /// deleted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deletion_timestamp: Option<String>,
    /// Finalizers. The API server keeps a deleted object until its finalizers are removed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub finalizers: Vec<String>,
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Prefix of the name, if the API server generates the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Namespace of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels, by which selectors find the object.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Annotations of the object.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// UID, unique among all objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    /// Generation: a number that grows when the desired state changes.
    #[serde(skip_serializing_if = "is_nothing")]
    pub generation: i64,
    /// Owners of the object.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub owner_references: Vec<OwnerReference>,
}

impl ObjectMeta {
    /// Returns the owner that controls the object. The API server allows at most one; `None` means
    /// that the object has no controller.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }
}

/// Owner of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// UID of the owner.
    pub uid: String,
    /// True if the owner controls the object.
    #[serde(skip_serializing_if = "is_nothing")]
    pub controller: bool,
    /// True if a foreground deletion of the owner waits until the object is deleted.
    #[serde(skip_serializing_if = "is_nothing")]
    pub block_owner_deletion: bool,
}

/// Metadata that a template gives to the objects made from it (openshift/api
/// `machine/v1beta1/types_machine.go`, `ObjectMeta`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct TemplateMeta {
    /// Name of the objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Prefix of the name, if the API server generates the name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub generate_name: String,
    /// Namespace of the objects.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Labels of the objects, by which selectors find them.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub labels: Labels,
    /// Annotations of the objects.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub annotations: Labels,
    /// Owners of the objects.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<serde_json::Map<String, serde_json::Value>>")]
    pub owner_references: Vec<serde_json::Value>,
}

/// Selector of objects by their labels (k8s.io/apimachinery `LabelSelector`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that all objects have.
    #[serde(skip_serializing_if = "Labels::is_empty")]
    pub match_labels: Labels,
    /// Requirements that all objects meet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub match_expressions: Vec<LabelRequirement>,
}

/// Requirement on one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelRequirement {
    /// Key of the label.
    pub key: String,
    /// `In`, `NotIn`, `Exists` or `DoesNotExist`.
    pub operator: String,
    /// Values for `In` and `NotIn`.
    #[serde(skip_serializing_if = "is_nothing")]
    pub values: Vec<String>,
}

/// Reference to an object in the same namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LocalReference {
    /// Name of the object.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
}

/// Condition (openshift/api `machine/v1beta1/types_provider.go`).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Condition {
    /// Type of the condition.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Severity of the condition if it is `False`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub severity: String,
    /// Time of the last change of the status.
    pub last_transition_time: Option<String>,
    /// Reason of the status, as one CamelCase word.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Explanation of the status for people.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}
