//! A target group of a network load balancer.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{TargetGroupArn, VpcId};
use crate::graph::{Input, Resource, Schema, Usable};

/// The inputs of a target group: TCP, targets by address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroup {
    /// Its name, unique in account and region, at most 32 characters.
    pub name: String,
    /// The VPC its targets are in.
    pub vpc: Input<VpcId>,
    /// The port of the targets.
    pub port: i32,
    /// How it finds out whether a target serves.
    pub health_check: HealthCheck,
    /// Its tags.
    pub tags: Tags,
}

/// How a target group finds out whether a target serves: HTTPS, on the traffic's own port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// What it asks for.
    pub path: String,
    /// The port it asks at.
    pub port: i32,
    /// Seconds between two questions.
    pub interval_seconds: i32,
    /// Good answers in a row that make a target healthy.
    pub healthy_threshold: i32,
    /// Bad ones that make it unhealthy.
    pub unhealthy_threshold: i32,
}

/// What is known of a target group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TargetGroupOutputs {
    /// Its ARN.
    pub arn: TargetGroupArn,
}

impl Resource for TargetGroup {
    const SCHEMA: Schema = Schema {
        replaced_by: &["name", "vpc", "port"],
        usable: Usable::Created,
        ..Schema::of("target_group")
    };
    type Outputs = TargetGroupOutputs;
}
