//! A security group, without its rules: those may refer to each other's groups.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{SecurityGroupId, VpcId};
use crate::graph::{Input, Resource, Schema};

/// The inputs of a security group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// The VPC it belongs to.
    pub vpc: Input<VpcId>,
    /// Its name, unique in the VPC.
    pub name: String,
    /// What it says it is for.
    pub description: String,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a security group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupOutputs {
    /// Its id.
    pub id: SecurityGroupId,
}

impl Resource for SecurityGroup {
    const SCHEMA: Schema =
        Schema { replaced_by: &["vpc", "name", "description"], ..Schema::of("security_group") };
    type Outputs = SecurityGroupOutputs;
}
