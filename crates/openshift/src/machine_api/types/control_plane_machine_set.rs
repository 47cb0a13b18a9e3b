//! ControlPlaneMachineSet: the set that manages the masters. Covers the fields that
//! openshift-install renders (openshift/api `machine/v1/types_controlplanemachineset.go`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CONTROL_PLANE_API, Filter, LabelSelector, MachineSpec, ObjectMeta, TemplateMeta, any_object,
};

/// Machines of the control plane. A change of the template replaces the machines one after the
/// other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneMachineSet {
    /// `machine.openshift.io/v1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `ControlPlaneMachineSet`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Name, labels and other metadata of the object. The name is always `cluster`.
    #[schemars(schema_with = "any_object")]
    pub metadata: ObjectMeta,
    /// Desired state.
    pub spec: ControlPlaneMachineSetSpec,
    /// Observed state. groundplan does not read this field.
    #[schemars(schema_with = "any_object")]
    pub status: serde_json::Map<String, serde_json::Value>,
}

impl ControlPlaneMachineSet {
    /// Returns an object with API version and kind set, and all other fields empty.
    pub fn new() -> Self {
        Self {
            api_version: CONTROL_PLANE_API.into(),
            kind: "ControlPlaneMachineSet".into(),
            ..Self::default()
        }
    }
}

/// Desired state of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneMachineSetSpec {
    /// Activity of the set: `Inactive` or `Active`. An active set stays active.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// Number of machines. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// Strategy of replacements.
    pub strategy: Strategy,
    /// Selector of the machines of the set. Cannot be changed.
    pub selector: LabelSelector,
    /// Template of new machines.
    pub template: ControlPlaneTemplate,
}

/// Strategy for the replacement of machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Strategy {
    /// Strategy: `RollingUpdate` (also when absent) or `OnDelete`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// Template of the machines of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneTemplate {
    /// Type of the template. The only type is `machines_v1beta1_machine_openshift_io`.
    pub machine_type: String,
    /// Template of that type.
    #[serde(
        rename = "machines_v1beta1_machine_openshift_io",
        skip_serializing_if = "Option::is_none"
    )]
    pub machine: Option<ControlPlaneMachineTemplate>,
}

/// Value of [`ControlPlaneTemplate::machine_type`].
pub const CONTROL_PLANE_MACHINE_TYPE: &str = "machines_v1beta1_machine_openshift_io";

/// Template of control plane machines. The failure domains are a separate field.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneMachineTemplate {
    /// Failure domains of the machines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_domains: Option<FailureDomains>,
    /// Labels and annotations of the machines.
    pub metadata: TemplateMeta,
    /// Specification of the machines. A failure domain fills in zone and subnet.
    pub spec: MachineSpec,
}

/// Failure domains over which the machines are spread.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailureDomains {
    /// `AWS`
    pub platform: String,
    /// Failure domains on AWS.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aws: Vec<AwsFailureDomain>,
}

/// Failure domain: one zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AwsFailureDomain {
    /// Zone of the failure domain.
    #[serde(skip_serializing_if = "super::is_nothing")]
    pub placement: FailureDomainPlacement,
    /// Subnet in that zone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<FailureDomainSubnet>,
}

/// Zone of a failure domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureDomainPlacement {
    /// Name of the zone.
    pub availability_zone: String,
}

/// Subnet of a failure domain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailureDomainSubnet {
    /// Form of the reference: `ID`, `ARN` or `Filters`.
    #[serde(rename = "type")]
    pub kind: String,
    /// ID of the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// ARN of the subnet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// Filters that find the subnet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}
