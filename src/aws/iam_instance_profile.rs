//! An instance profile: what an instance carries to take its role.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{InstanceProfileName, RoleName};
use crate::graph::{Input, Resource, Schema};

/// The inputs of an instance profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamInstanceProfile {
    /// Its name, unique in the account.
    pub name: InstanceProfileName,
    /// The role in it.
    pub role: Input<RoleName>,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of an instance profile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamInstanceProfileOutputs {
    /// Its name.
    pub name: InstanceProfileName,
    /// Its ARN.
    pub arn: String,
}

impl Resource for IamInstanceProfile {
    const SCHEMA: Schema = Schema {
        replaced_by: &["name"],
        configures: true,
        typical_seconds: 10,
        ..Schema::of("iam_instance_profile")
    };
    type Outputs = IamInstanceProfileOutputs;
}
