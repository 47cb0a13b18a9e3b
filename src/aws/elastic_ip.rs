//! An Elastic IP address of the VPC domain.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::AllocationId;
use crate::graph::{Resource, Schema};

/// The inputs of an Elastic IP address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticIp {
    /// Its tags.
    pub tags: Tags,
}

/// What is known of an Elastic IP address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ElasticIpOutputs {
    /// Its allocation.
    pub allocation: AllocationId,
    /// The address.
    pub public_ip: String,
}

impl Resource for ElasticIp {
    const SCHEMA: Schema = Schema { repeatable: false, ..Schema::of("elastic_ip") };
    type Outputs = ElasticIpOutputs;
}
