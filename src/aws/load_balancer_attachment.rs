//! One machine registered with one load balancer that is not ours: with every target group of a
//! network load balancer, by instance or by address as each group has it, or with a classic one.
//!
//! Deleting takes addresses out again; what is registered as an instance leaves with the instance.

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, PrivateIp};
use crate::graph::{Identity, Input, Resource, Schema};

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
        identity: Identity::Parent,
        // The old machine serves until the new one is registered.
        create_first: true,
        ..Schema::of("load_balancer_attachment")
    };
    type Outputs = LoadBalancerAttachmentOutputs;
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod classic;
#[cfg(feature = "sdk")]
mod members;
