//! An IAM role that EC2 instances may take.

use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::Tags;
use super::ids::RoleName;
use crate::graph::{Resource, Schema, Usable};

/// A role's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRole {
    /// Its name, unique in the account.
    pub name: RoleName,
    /// Who may take it: the trust policy.
    pub trust: Value,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRoleOutputs {
    /// Its name.
    pub name: RoleName,
    /// Its ARN.
    pub arn: String,
}

impl Resource for IamRole {
    const SCHEMA: Schema =
        Schema { replaced_by: &["name"], usable: Usable::Created, ..Schema::of("iam_role") };
    type Outputs = IamRoleOutputs;
}
