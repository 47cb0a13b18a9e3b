//! A route table with its routes and its associations.
//!
//! What we never set is not ours: routes to other destinations (a peering's, a transit gateway's)
//! and subnets that somebody added are neither shown nor taken away.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::Tags;
use super::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use super::ids::{InternetGatewayId, NatGatewayId, RouteTableId, SubnetId, VpcId};
use super::swept::What;
use crate::graph::{Input, Resource, Schema};

/// The inputs of a route table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    /// The VPC it routes for.
    pub vpc: Input<VpcId>,
    /// Whether it is the VPC's main table, serving every subnet without a table of its own.
    pub main: bool,
    /// Its routes, the VPC's local one apart.
    pub routes: Vec<Route>,
    /// The subnets it serves.
    pub subnets: Vec<Input<SubnetId>>,
    /// Its tags.
    pub tags: Tags,
}

/// One route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Where to.
    pub destination: Ipv4Net,
    /// By which way.
    pub via: Via,
}

/// The way a route takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Straight to the internet.
    InternetGateway(Input<InternetGatewayId>),
    /// To the internet behind a shared address.
    NatGateway(Input<NatGatewayId>),
}

/// What is known of a route table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTableOutputs {
    /// Its id.
    pub id: RouteTableId,
}

impl Resource for RouteTable {
    const SCHEMA: Schema = Schema {
        replaced_by: &["vpc"],
        configures: true,
        typical_seconds: 2,
        ..Schema::of("route_table", Self::REPEAT.identity())
    };
    type Outputs = RouteTableOutputs;
}

impl Kind for RouteTable {
    const ACTIONS: Actions = Actions {
        create: &["ec2:CreateRouteTable"],
        configure: &[
            "ec2:CreateTags",
            "ec2:CreateRoute",
            "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
        ],
        observe: &["ec2:DescribeRouteTables"],
        update: &[
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:DeleteRoute",
            "ec2:AssociateRouteTable",
            "ec2:DisassociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &["ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[
        "ec2:DeleteRoute",
        "ec2:DisassociateRouteTable",
        "ec2:ReplaceRoute",
        "ec2:ReplaceRouteTableAssociation",
    ];
    const ID_PREFIX: Option<&'static str> = Some("rtb");
    const QUOTA: Option<Count> = None;
    const ARN: Arn = Arn::Any;
    const DRIFT: Drift =
        Drift { security: Security::Fields(&[]), cosmetic: &["tags"], always_shown: &[] };
    const UNTRACKED: Untracked = Untracked::ByTag(What::RouteTable);
}

#[cfg(feature = "sdk")]
pub(super) use calls::delete_table;

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod steps;
