//! Parts of a route table that others added. Pure.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{self, RouteOrigin};
use groundplan_engine::plan::{DriftClass, UnmanagedDrift};
use serde_json::json;

use super::RouteTable;
use super::steps::subnets;

/// Returns the routes, associations and propagations that are not among the recorded inputs.
pub(super) fn foreign(recorded: &RouteTable, table: &types::RouteTable) -> Vec<UnmanagedDrift> {
    let mut foreign: Vec<_> = table
        .routes()
        .iter()
        .filter(|route| is_added(recorded, route))
        .filter_map(route_drift)
        .collect();
    let ours: BTreeSet<&str> =
        recorded.subnets.iter().filter_map(|one| Some(one.known()?.as_str())).collect();
    let theirs = subnets(table).into_iter().filter(|subnet| !ours.contains(subnet));
    foreign.extend(
        theirs
            .map(|subnet| addition("subnets", subnet, &format!("subnet {subnet}"), json!(subnet))),
    );
    let gateways = table.propagating_vgws().iter().filter_map(|one| one.gateway_id());
    foreign.extend(gateways.map(|gateway| {
        let item = format!("route propagation from {gateway}");
        addition("propagating_gateways", gateway, &item, json!(gateway))
    }));
    foreign.sort_by(|one, other| one.field.path.cmp(&other.field.path));
    foreign
}

fn addition(path: &str, name: &str, item: &str, value: serde_json::Value) -> UnmanagedDrift {
    UnmanagedDrift::addition(DriftClass::Functional, path, name, item, value)
}

/// Returns true for a route that others added by hand. AWS adds the local routes of the VPC, the
/// routes that a virtual private gateway propagates, and the routes of gateway endpoints. Those last
/// as long as the endpoint has the route table, and DeleteRoute does not apply to them (VPC user guide,
/// "Gateway endpoints").
fn is_added(recorded: &RouteTable, route: &types::Route) -> bool {
    let by_aws = matches!(
        route.origin(),
        Some(RouteOrigin::CreateRouteTable | RouteOrigin::EnableVgwRoutePropagation)
    );
    let is_local = route.gateway_id() == Some("local");
    let is_of_endpoint = route.destination_prefix_list_id().is_some()
        && route.gateway_id().is_some_and(|gateway| gateway.starts_with("vpce-"));
    let is_ours = recorded
        .routes
        .iter()
        .any(|ours| route.destination_cidr_block() == Some(ours.destination.to_string().as_str()));
    !(by_aws || is_local || is_of_endpoint || is_ours)
}

fn route_drift(route: &types::Route) -> Option<UnmanagedDrift> {
    let to = destination(route)?;
    let via = target(route).unwrap_or("unknown");
    let value = json!({"destination": to, "via": via});
    Some(addition("routes", to, &format!("route {to} via {via}"), value))
}

/// Returns the destination of a route: an IPv4 range, an IPv6 range or a prefix list.
pub(super) fn destination(route: &types::Route) -> Option<&str> {
    let ranges = route.destination_cidr_block().or(route.destination_ipv6_cidr_block());
    ranges.or(route.destination_prefix_list_id())
}

fn target(route: &types::Route) -> Option<&str> {
    let targets = [
        route.gateway_id(),
        route.nat_gateway_id(),
        route.transit_gateway_id(),
        route.vpc_peering_connection_id(),
        route.network_interface_id(),
        route.egress_only_internet_gateway_id(),
        route.local_gateway_id(),
        route.carrier_gateway_id(),
        route.core_network_arn(),
    ];
    targets.into_iter().flatten().next()
}

#[cfg(test)]
mod tests {
    use super::super::{Route, Via};
    use super::*;
    use crate::Tags;
    use crate::model::ids::{NatGatewayId, VpcId};

    fn recorded() -> RouteTable {
        let via = Via::NatGateway(NatGatewayId::from("nat-1").into());
        RouteTable {
            vpc: VpcId::from("vpc-1").into(),
            main: false,
            routes: vec![Route { destination: "0.0.0.0/0".parse().unwrap(), via }],
            subnets: vec![],
            tags: Tags::new(),
        }
    }

    #[test]
    fn routes_of_others_are_shown_with_their_targets() {
        let route = types::Route::builder;
        let table = types::RouteTable::builder()
            .routes(route().destination_cidr_block("10.0.0.0/16").gateway_id("local").build())
            .routes(route().destination_cidr_block("0.0.0.0/0").nat_gateway_id("nat-1").build())
            .routes(route().destination_prefix_list_id("pl-1").gateway_id("vpce-1").build())
            .routes(route().destination_ipv6_cidr_block("::/0").gateway_id("igw-1").build())
            .routes(
                route()
                    .destination_cidr_block("10.9.0.0/16")
                    .vpc_peering_connection_id("pcx-1")
                    .build(),
            )
            .routes(
                route()
                    .destination_cidr_block("172.16.0.0/12")
                    .gateway_id("vgw-1")
                    .origin(RouteOrigin::EnableVgwRoutePropagation)
                    .build(),
            )
            .propagating_vgws(types::PropagatingVgw::builder().gateway_id("vgw-1").build())
            .associations(
                types::RouteTableAssociation::builder()
                    .route_table_association_id("rtbassoc-1")
                    .subnet_id("subnet-theirs")
                    .build(),
            )
            .build();
        let foreign = foreign(&recorded(), &table);
        let items: Vec<_> = foreign.iter().filter_map(|one| one.field.item.as_deref()).collect();
        assert_eq!(
            items,
            [
                "route propagation from vgw-1",
                "route 10.9.0.0/16 via pcx-1",
                "route ::/0 via igw-1",
                "subnet subnet-theirs",
            ]
        );
    }
}
