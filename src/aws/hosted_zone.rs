//! A private hosted zone.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{HostedZoneId, VpcId};
use crate::graph::{Input, Resource, Schema, Usable};

/// The inputs of a private hosted zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostedZone {
    /// Its domain, without the trailing dot.
    pub name: String,
    /// The VPC that sees it.
    pub vpc: Input<VpcId>,
    /// The VPC's region.
    pub region: String,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a hosted zone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HostedZoneOutputs {
    /// Its id.
    pub id: HostedZoneId,
}

impl Resource for HostedZone {
    const SCHEMA: Schema = Schema {
        replaced_by: &["name", "vpc", "region"],
        usable: Usable::Created,
        configures: true,
        typical_seconds: 35,
        ..Schema::of("hosted_zone")
    };
    type Outputs = HostedZoneOutputs;
}
