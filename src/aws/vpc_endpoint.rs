//! A gateway endpoint: S3 without leaving the VPC.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{RouteTableId, VpcEndpointId, VpcId};
use crate::graph::{Input, Resource, Schema, Wait};

/// The inputs of a gateway endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpoint {
    /// The VPC it serves.
    pub vpc: Input<VpcId>,
    /// The service behind it (`com.amazonaws.<region>.s3`).
    pub service: String,
    /// The tables that route to it.
    pub route_tables: Vec<Input<RouteTableId>>,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a gateway endpoint.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcEndpointOutputs {
    /// Its id.
    pub id: VpcEndpointId,
}

impl Resource for VpcEndpoint {
    const SCHEMA: Schema = Schema {
        replaced_by: &["vpc", "service"],
        ready: Some(Wait { every_seconds: 2, within_seconds: 600 }),
        gone: Some(Wait { every_seconds: 2, within_seconds: 600 }),
        typical_seconds: 5,
        ..Schema::of("vpc_endpoint")
    };
    type Outputs = VpcEndpointOutputs;
}
