//! One machine registered in one target group, by address.

use serde::{Deserialize, Serialize};

use super::ids::{PrivateIp, TargetGroupArn};
use crate::graph::{Input, Resource, Schema};

/// The inputs of a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The group it is registered in.
    pub target_group: Input<TargetGroupArn>,
    /// The machine's address.
    pub ip: Input<PrivateIp>,
    /// The port it serves on.
    pub port: i32,
}

/// What is known of a registration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetOutputs {
    /// The group it is registered in.
    pub target_group: TargetGroupArn,
    /// The machine's address.
    pub ip: PrivateIp,
    /// The port it serves on.
    pub port: i32,
}

impl Resource for Target {
    const SCHEMA: Schema =
        Schema { replaced_by: &["target_group", "ip", "port"], ..Schema::of("target") };
    type Outputs = TargetOutputs;
}
