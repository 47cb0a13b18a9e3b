//! A network interface that outlives the instance on it.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{NetworkInterfaceId, PrivateIp, SecurityGroupId, SubnetId};
use crate::graph::{Input, Resource, Schema, Wait};

/// The inputs of a network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterface {
    /// The subnet it is in.
    pub subnet: Input<SubnetId>,
    /// The security groups it is in.
    pub groups: Vec<Input<SecurityGroupId>>,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of a network interface.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetworkInterfaceOutputs {
    /// Its id.
    pub id: NetworkInterfaceId,
    /// Its address.
    pub private_ip: PrivateIp,
}

impl Resource for NetworkInterface {
    const SCHEMA: Schema = Schema {
        replaced_by: &["subnet"],
        ready: Some(Wait { every_seconds: 1, within_seconds: 300 }),
        typical_seconds: 2,
        ..Schema::of("network_interface")
    };
    type Outputs = NetworkInterfaceOutputs;
}
