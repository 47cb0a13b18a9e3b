//! A public NAT gateway.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{AllocationId, NatGatewayId, SubnetId};
use crate::graph::{Input, Resource, Schema, Wait};

/// The inputs of a NAT gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGateway {
    /// The public subnet it stands in.
    pub subnet: Input<SubnetId>,
    /// Its public address.
    pub allocation: Input<AllocationId>,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a NAT gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NatGatewayOutputs {
    /// Its id.
    pub id: NatGatewayId,
}

impl Resource for NatGateway {
    const SCHEMA: Schema = Schema {
        replaced_by: &["subnet", "allocation"],
        ready: Some(Wait { every_seconds: 5, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 110,
        ..Schema::of("nat_gateway")
    };
    type Outputs = NatGatewayOutputs;
}
