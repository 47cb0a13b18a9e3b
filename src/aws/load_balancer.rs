//! A network load balancer.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{DnsName, HostedZoneId, LoadBalancerArn, SubnetId};
use crate::graph::{Input, Resource, Schema, Usable, Wait};

/// The inputs of a network load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancer {
    /// Its name, unique in account and region, at most 32 characters.
    pub name: String,
    /// Whether it is reached from inside the VPC only.
    pub internal: bool,
    /// The subnets it stands in.
    pub subnets: Vec<Input<SubnetId>>,
    /// Whether it spreads over the targets of all zones.
    pub cross_zone: bool,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a load balancer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoadBalancerOutputs {
    /// Its ARN.
    pub arn: LoadBalancerArn,
    /// Its DNS name.
    pub dns_name: DnsName,
    /// The hosted zone an alias to it names.
    pub hosted_zone: HostedZoneId,
}

impl Resource for LoadBalancer {
    const SCHEMA: Schema = Schema {
        replaced_by: &["name", "internal"],
        usable: Usable::Created,
        configures: true,
        ready: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 150,
        ..Schema::of("load_balancer")
    };
    type Outputs = LoadBalancerOutputs;
}
