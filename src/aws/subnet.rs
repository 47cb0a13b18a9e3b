//! A subnet: one slice of a VPC, in one availability zone.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{SubnetId, VpcId};
use crate::graph::{Input, Resource, Schema, Wait};

/// A subnet's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subnet {
    /// The VPC it is a slice of.
    pub vpc: Input<VpcId>,
    /// Its address range.
    pub cidr: Ipv4Net,
    /// Its availability zone.
    pub zone: String,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a subnet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubnetOutputs {
    /// Its id.
    pub id: SubnetId,
}

impl Resource for Subnet {
    const SCHEMA: Schema = Schema {
        replaced_by: &["vpc", "cidr", "zone"],
        ready: Some(Wait { every_seconds: 1, within_seconds: 300 }),
        typical_seconds: 2,
        ..Schema::of("subnet")
    };
    type Outputs = SubnetOutputs;
}
