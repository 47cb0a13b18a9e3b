//! A DNS record: an alias to a load balancer, or a CNAME where aliases do not exist.

use serde::{Deserialize, Serialize};

use super::ids::{DnsName, HostedZoneId};
use crate::graph::{Input, Resource, Schema, Wait};

/// A record's inputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// The zone it is in.
    pub zone: Input<HostedZoneId>,
    /// Its name, without the trailing dot.
    pub name: String,
    /// What it says.
    pub data: RecordData,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordData {
    /// An A record that follows a load balancer.
    Alias {
        /// The balancer's DNS name.
        dns_name: Input<DnsName>,
        /// The balancer's hosted zone.
        hosted_zone: Input<HostedZoneId>,
    },
    /// A CNAME.
    Cname {
        /// What it points to.
        dns_name: Input<DnsName>,
        /// How long it may be remembered.
        ttl_seconds: i64,
    },
}

/// What is known of a record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecordOutputs {
    /// The zone it is in.
    pub zone: HostedZoneId,
    /// The change that made it, while that may still be pending.
    pub change: Option<String>,
}

impl Resource for Record {
    const SCHEMA: Schema = Schema {
        replaced_by: &["zone", "name"],
        ready: Some(Wait { every_seconds: 5, within_seconds: 1800 }),
        typical_seconds: 35,
        ..Schema::of("record")
    };
    type Outputs = RecordOutputs;
}
