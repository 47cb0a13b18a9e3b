//! The `shared` tag on what the user brought: existing subnets and an existing hosted zone.

use serde::{Deserialize, Serialize};

use super::ids::{HostedZoneId, SubnetId};
use crate::graph::{Resource, Schema};

/// What is marked as used by the cluster and not owned by it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedTags {
    /// The tag's key; its value is `shared`.
    pub key: String,
    /// The subnets that carry it.
    pub subnets: Vec<SubnetId>,
    /// The hosted zone that carries it.
    pub hosted_zone: Option<HostedZoneId>,
}

/// What is known of the marks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SharedTagsOutputs {
    /// The tag's key.
    pub key: String,
    /// The subnets that carry it.
    pub subnets: Vec<SubnetId>,
    /// The hosted zone that carries it.
    pub hosted_zone: Option<HostedZoneId>,
}

impl Resource for SharedTags {
    const SCHEMA: Schema = Schema { replaced_by: &["key"], ..Schema::of("shared_tags") };
    type Outputs = SharedTagsOutputs;
}
