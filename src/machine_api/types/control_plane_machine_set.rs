//! The set that looks after the masters (openshift/api `machine/v1/types_controlplanemachineset.go`),
//! as far as openshift-install renders it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    CONTROL_PLANE_API, Filter, LabelSelector, MachineSpec, ObjectMeta, TemplateMeta, any_object,
};

/// The machines of the control plane. A change of the template replaces them one after the other.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneMachineSet {
    /// `machine.openshift.io/v1`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// `ControlPlaneMachineSet`
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its labels and the like; the name is always `cluster`.
    #[schemars(schema_with = "any_object")]
    pub metadata: ObjectMeta,
    /// What is wanted.
    pub spec: ControlPlaneMachineSetSpec,
    /// What is; nothing here looks at it.
    #[schemars(schema_with = "any_object")]
    pub status: serde_json::Map<String, serde_json::Value>,
}

impl ControlPlaneMachineSet {
    /// One that says what it is and nothing else.
    pub fn new() -> Self {
        Self {
            api_version: CONTROL_PLANE_API.into(),
            kind: "ControlPlaneMachineSet".into(),
            ..Self::default()
        }
    }
}

/// What is wanted of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneMachineSetSpec {
    /// Whether anything is done: `Inactive` or `Active`; once active it stays so.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub state: String,
    /// How many machines. Cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replicas: Option<i32>,
    /// How machines are replaced.
    pub strategy: Strategy,
    /// Which machines are its own. Cannot be changed.
    pub selector: LabelSelector,
    /// What a new machine is made from.
    pub template: ControlPlaneTemplate,
}

/// How machines are replaced.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Strategy {
    /// `RollingUpdate` (also when absent) or `OnDelete`.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
}

/// What machines of the control plane are made from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneTemplate {
    /// Which of the templates is meant; there is one.
    pub machine_type: String,
    /// It.
    #[serde(
        rename = "machines_v1beta1_machine_openshift_io",
        skip_serializing_if = "Option::is_none"
    )]
    pub machine: Option<ControlPlaneMachineTemplate>,
}

/// The value of [`ControlPlaneTemplate::machine_type`].
pub const CONTROL_PLANE_MACHINE_TYPE: &str = "machines_v1beta1_machine_openshift_io";

/// Machines of the control plane, without where they are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ControlPlaneMachineTemplate {
    /// Where they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure_domains: Option<FailureDomains>,
    /// Their labels and annotations.
    pub metadata: TemplateMeta,
    /// What they are to be; a failure domain fills in zone and subnet.
    pub spec: MachineSpec,
}

/// Where machines are spread over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailureDomains {
    /// `AWS`
    pub platform: String,
    /// The zones.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aws: Vec<AwsFailureDomain>,
}

/// One zone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct AwsFailureDomain {
    /// Which zone.
    #[serde(skip_serializing_if = "super::is_nothing")]
    pub placement: FailureDomainPlacement,
    /// Which subnet there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subnet: Option<FailureDomainSubnet>,
}

/// Which zone a failure domain is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct FailureDomainPlacement {
    /// Its name.
    pub availability_zone: String,
}

/// Which subnet a failure domain has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FailureDomainSubnet {
    /// How it is named: `ID`, `ARN` or `Filters`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Its ARN.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub arn: Option<String>,
    /// What finds it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<Filter>,
}
