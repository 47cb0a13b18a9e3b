//! A route table with its routes and its associations.
//!
//! groundplan changes only routes and associations that it has set. Routes to other destinations
//! (for example of a peering or a transit gateway), route propagation, and subnets that another
//! process associated, are reported as unmanaged drift. The local routes of the VPC, and the routes
//! of a gateway endpoint that is recorded, are no drift.

use groundplan_engine::graph::{Input, Resource, Schema, SetInput, SetMember, member_name};
use groundplan_engine::plan::values::as_inputs;
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Tags;
use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::{
    CarrierGatewayId, InternetGatewayId, NatGatewayId, RouteTableId, SubnetId, VpcId,
};
use crate::model::untracked::UntrackedKind;
use crate::summary::{labelled, name, names};

/// Inputs of a route table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTable {
    /// VPC of the route table.
    pub vpc: Input<VpcId>,
    /// True if the table is the main table of the VPC, which serves each subnet without a table of
    /// its own.
    pub main: bool,
    /// Routes, without the local route of the VPC.
    pub routes: Vec<Route>,
    /// Subnets that are associated with the table.
    pub subnets: Vec<Input<SubnetId>>,
    /// Tags of the table.
    pub tags: Tags,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Route {
    /// Destination.
    pub destination: Ipv4Net,
    /// Target.
    pub via: Via,
}

/// Target of a route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Via {
    /// Internet gateway.
    InternetGateway(Input<InternetGatewayId>),
    /// NAT gateway.
    NatGateway(Input<NatGatewayId>),
    /// Carrier gateway, for subnets in Wavelength Zones.
    CarrierGateway(Input<CarrierGatewayId>),
}

/// Returns a route as a member of a set: its destination identifies it.
fn route_members(route: &Value) -> Vec<SetMember> {
    let name = member_name(&route["destination"]);
    let target = route["via"].as_object().and_then(|via| via.values().next());
    let label = match target {
        Some(target) => format!("{name} via {}", member_name(target)),
        None => name.clone(),
    };
    vec![SetMember { name, label, value: route.clone() }]
}

/// Outputs of a route table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RouteTableOutputs {
    /// ID of the route table.
    pub id: RouteTableId,
}

impl Resource for RouteTable {
    const SCHEMA: Schema = Schema {
        proves: &["vpc", "subnets"],
        force_new: &["vpc"],
        configures: true,
        typical_seconds: 2,
        sets: &[
            SetInput { path: "routes", noun: "route", members: route_members },
            SetInput::of_values("subnets", "subnet"),
        ],
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
        refresh: &["ec2:DescribeRouteTables"],
        update: &[
            "ec2:CreateRoute",
            "ec2:ReplaceRoute",
            "ec2:DeleteRoute",
            "ec2:AssociateRouteTable",
            "ec2:DisassociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:DisableVgwRoutePropagation",
            "ec2:CreateTags",
            "ec2:DeleteTags",
        ],
        delete: &[
            "ec2:DeleteRouteTable",
            "ec2:DisassociateRouteTable",
            "ec2:ReplaceRouteTableAssociation",
        ],
    };
    const REPEAT: Repeat = Repeat::WithToken;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[
        (&["routes"], &["ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute"]),
        (
            &["subnets", "main"],
            &[
                "ec2:AssociateRouteTable",
                "ec2:DisassociateRouteTable",
                "ec2:ReplaceRouteTableAssociation",
            ],
        ),
        (&["propagating_gateways"], &["ec2:DisableVgwRoutePropagation"]),
    ];
    const UNMANAGED: &'static [&'static str] = &["routes", "subnets", "propagating_gateways"];
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[
        "ec2:DeleteRoute",
        "ec2:DisableVgwRoutePropagation",
        "ec2:DisassociateRouteTable",
        "ec2:ReplaceRoute",
        "ec2:ReplaceRouteTableAssociation",
    ];
    const ID_PREFIX: Option<&'static str> = Some("rtb");
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields =
        DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &["tags"] };
    const UNTRACKED: SweepMethod = SweepMethod::ByTag(UntrackedKind::RouteTable);
    const SUBJECT: PlanSubject = PlanSubject::Network;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let route = |route: &Route| {
            let via = match &route.via {
                Via::InternetGateway(gateway) => name(gateway),
                Via::NatGateway(gateway) => name(gateway),
                Via::CarrierGateway(gateway) => name(gateway),
            };
            format!("{} -> {via}", route.destination)
        };
        let mut facts: Vec<String> = self.routes.iter().map(route).collect();
        facts.extend(self.main.then(|| "main table of the VPC".to_owned()));
        facts.push(labelled("for", &names(&self.subnets)));
        facts.retain(|fact| !fact.is_empty());
        Summary { facts, sentences: Vec::new() }
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

/// Returns `public` for a subnet whose route table has a route to an internet or carrier gateway, and `private`
/// for a subnet of another route table of the plan. `None` if no route table names the subnet.
pub(crate) fn access(subnet: &Surroundings<'_>) -> Option<&'static str> {
    let tables = subnet.values.of_kind(RouteTable::SCHEMA.kind);
    let mut tables =
        tables.into_iter().filter_map(|(_, table)| serde_json::from_value(as_inputs(table)).ok());
    let names = |one: &Input<SubnetId>| match one {
        Input::Ref(reference) => reference.address == *subnet.address,
        _ => false,
    };
    let table: RouteTable = tables.find(|table: &RouteTable| table.subnets.iter().any(names))?;
    let is_public = table.routes.iter().any(|route| !matches!(route.via, Via::NatGateway(_)));
    Some(if is_public { "public" } else { "private" })
}

#[cfg(feature = "sdk")]
pub(crate) use calls::delete_table;

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod foreign;
#[cfg(feature = "sdk")]
mod steps;
