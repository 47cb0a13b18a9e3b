//! An inline policy of an IAM role.

use serde::{Deserialize, Serialize};

use serde_json::Value;

use super::ids::RoleName;
use crate::graph::{Input, Resource, Schema};

/// The inputs of an inline policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRolePolicy {
    /// The role it belongs to.
    pub role: Input<RoleName>,
    /// Its name, unique in the role.
    pub name: String,
    /// What the role may do.
    pub document: Value,
}

/// What is known of an inline policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IamRolePolicyOutputs {
    /// The role it belongs to.
    pub role: RoleName,
    /// Its name.
    pub name: String,
}

impl Resource for IamRolePolicy {
    const SCHEMA: Schema =
        Schema { replaced_by: &["role", "name"], ..Schema::of("iam_role_policy") };
    type Outputs = IamRolePolicyOutputs;
}
