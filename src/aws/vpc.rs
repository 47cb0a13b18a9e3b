//! A VPC: the address space everything else lives in.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::VpcId;
use crate::graph::{Resource, Schema, Wait};

/// A VPC's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Vpc {
    /// Its address range.
    pub cidr: Ipv4Net,
    /// Whether instances get DNS names.
    pub dns_hostnames: bool,
    /// Whether the resolver at the base of the range plus two answers.
    pub dns_support: bool,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a VPC.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VpcOutputs {
    /// Its id.
    pub id: VpcId,
}

impl Resource for Vpc {
    const SCHEMA: Schema = Schema {
        replaced_by: &["cidr"],
        configures: true,
        ready: Some(Wait { every_seconds: 1, within_seconds: 300 }),
        typical_seconds: 3,
        repeatable: false,
        ..Schema::of("vpc")
    };
    type Outputs = VpcOutputs;
}
