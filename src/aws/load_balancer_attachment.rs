//! One machine registered with one load balancer that is not ours: with every target group of a
//! network load balancer, by instance or by address as each group has it, or with a classic one.
//!
//! Deleting takes addresses out again; what is registered as an instance leaves with the instance.

use serde::{Deserialize, Serialize};

use super::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use super::ids::{InstanceId, PrivateIp};
use crate::graph::{Input, Resource, Schema};

/// The inputs of an attachment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerAttachment {
    /// What the load balancer is called.
    pub load_balancer: String,
    /// What it is.
    pub kind: LoadBalancerKind,
    /// The machine.
    pub instance: Input<InstanceId>,
    /// The machine's address.
    pub ip: Input<PrivateIp>,
}

/// What a load balancer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoadBalancerKind {
    /// A network load balancer, with target groups.
    Network,
    /// A classic one, with instances.
    Classic,
}

/// What is known of an attachment: what it was made of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerAttachmentOutputs {
    /// What the load balancer is called.
    pub load_balancer: String,
    /// The machine.
    pub instance: InstanceId,
    /// The machine's address.
    pub ip: PrivateIp,
}

impl Resource for LoadBalancerAttachment {
    const SCHEMA: Schema = Schema {
        replaced_by: &["load_balancer", "kind", "instance", "ip"],
        // The old machine serves until the new one is registered.
        create_first: true,
        ..Schema::of("load_balancer_attachment", Self::REPEAT.identity())
    };
    type Outputs = LoadBalancerAttachmentOutputs;
}

impl Kind for LoadBalancerAttachment {
    const ACTIONS: Actions = Actions {
        create: &[
            "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
        ],
        configure: &[],
        observe: &[
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups",
            "elasticloadbalancing:DescribeTargetHealth",
        ],
        update: &[],
        delete: &[
            "elasticloadbalancing:DeregisterTargets",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups",
            "ec2:DescribeInstances",
        ],
    };
    const REPEAT: Repeat = Repeat::Idempotent;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<Count> = None;
    const ARN: Arn = Arn::Any;
    const DRIFT: Drift =
        Drift { security: Security::Fields(&[]), cosmetic: &[], always_shown: &[] };
    const UNTRACKED: Untracked = Untracked::Part;
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod classic;
#[cfg(feature = "sdk")]
mod members;
