//! An internet gateway, attached to its VPC.

use serde::{Deserialize, Serialize};

use super::Tags;
use super::ids::{InternetGatewayId, VpcId};
use crate::graph::{Input, Resource, Schema};

/// The inputs of an internet gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InternetGateway {
    /// The VPC it is attached to.
    pub vpc: Input<VpcId>,
    /// Its tags.
    pub tags: Tags,
}

/// What is known of an internet gateway.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InternetGatewayOutputs {
    /// Its id.
    pub id: InternetGatewayId,
}

impl Resource for InternetGateway {
    const SCHEMA: Schema = Schema {
        replaced_by: &["vpc"],
        configures: true,
        repeatable: false,
        ..Schema::of("internet_gateway")
    };
    type Outputs = InternetGatewayOutputs;
}
