//! A set of DHCP options and its association with the VPC.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{DhcpOptionsId, VpcId};
use crate::graph::{Input, Resource, Schema};

/// The inputs of a set of DHCP options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptions {
    /// The VPC whose machines get them.
    pub vpc: Input<VpcId>,
    /// The domain that completes host names.
    pub domain_name: String,
    /// The name servers; `AmazonProvidedDNS` is the VPC's own.
    pub domain_name_servers: Vec<String>,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a set of DHCP options.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DhcpOptionsOutputs {
    /// Its id.
    pub id: DhcpOptionsId,
}

impl Resource for DhcpOptions {
    const SCHEMA: Schema = Schema {
        replaced_by: &["domain_name", "domain_name_servers"],
        create_first: true,
        configures: true,
        repeatable: false,
        ..Schema::of("dhcp_options")
    };
    type Outputs = DhcpOptionsOutputs;
}
