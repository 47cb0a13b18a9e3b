//! A TCP listener of a load balancer.

use serde::{Deserialize, Serialize};

use super::ids::{ListenerArn, LoadBalancerArn, TargetGroupArn};
use crate::graph::{Input, Resource, Schema};

/// A listener's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Listener {
    /// The balancer it belongs to.
    pub load_balancer: Input<LoadBalancerArn>,
    /// The port it listens on.
    pub port: i32,
    /// Where it forwards to.
    pub target_group: Input<TargetGroupArn>,
}

/// What is known of a listener.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListenerOutputs {
    /// Its ARN.
    pub arn: ListenerArn,
}

impl Resource for Listener {
    const SCHEMA: Schema =
        Schema { replaced_by: &["load_balancer", "port"], ..Schema::of("listener") };
    type Outputs = ListenerOutputs;
}
