//! Differences between a live route table and its inputs, as steps. Pure: makes no call.

use std::collections::BTreeSet;

use aws_sdk_ec2::types;
use groundplan_engine::graph::Input;
use ipnet::Ipv4Net;

use super::{Route, RouteTable, Via};
use crate::client::route_tables::{bare_table, is_main, live_associations};
use crate::model::ids::{CarrierGatewayId, InternetGatewayId, NatGatewayId, SubnetId};

/// Single call that changes a route table.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum RouteTableCall {
    /// Adds a route.
    CreateRoute(Route),
    /// Changes the target of a route.
    ReplaceRoute(Route),
    /// Deletes the route to this destination.
    DeleteRoute(Ipv4Net),
    /// Associates a subnet that no other table has an explicit association with.
    Associate(SubnetId),
    /// Replaces an association of another table: that of a subnet, or the main association.
    TakeOver {
        /// ID of the association. EC2 replaces it by a new one.
        association: String,
    },
    /// Moves the main association to another table.
    HandOver {
        /// ID of the association.
        association: String,
        /// ID of the table that becomes main.
        to: String,
    },
    /// Ends the association with a subnet.
    Disassociate {
        /// ID of the association.
        association: String,
    },
}

/// Live route tables of a VPC.
#[derive(Clone, Copy)]
pub(super) struct Tables<'a>(pub(super) &'a [types::RouteTable]);

impl<'a> Tables<'a> {
    /// Returns the table with this ID.
    pub(super) fn get(self, id: &str) -> Option<&'a types::RouteTable> {
        self.0.iter().find(|table| table.route_table_id() == Some(id))
    }

    /// Returns the calls that change the table with this ID to match the inputs. Empty if the table
    /// matches, or does not exist.
    ///
    /// `before` has the inputs of earlier calls. Parts that only `before` has are removed.
    pub(super) fn steps(
        self,
        id: &str,
        wanted: &RouteTable,
        before: &RouteTable,
    ) -> Vec<RouteTableCall> {
        let mut steps = Vec::new();
        if let Some(table) = self.get(id) {
            steps.extend(route_steps(table, &wanted.routes, &before.routes));
            steps.extend(self.subnet_steps(table, wanted, before));
            steps.extend(self.main_steps(id, wanted.main, before.main));
        }
        steps
    }

    /// Returns the calls that end every use of the table with this ID, so that it can be deleted. A
    /// main table without a successor stays the main one.
    pub(super) fn steps_to_delete(self, id: &str) -> Vec<RouteTableCall> {
        let Some(table) = self.get(id) else { return Vec::new() };
        let mut steps = self.main_steps(id, false, true);
        steps.extend(subnet_associations(table).map(|(_, association)| {
            RouteTableCall::Disassociate { association: association.to_owned() }
        }));
        steps
    }

    /// Returns true if the table is the main table, and no other table can take over that role.
    pub(super) fn stays_main(self, id: &str) -> bool {
        self.get(id).is_some_and(is_main) && bare_table(self.0, id).is_none()
    }

    /// Returns the IDs of the associations of the table with these subnets.
    pub(super) fn associations(self, id: &str, subnets: &[String]) -> Vec<String> {
        let Some(table) = self.get(id) else { return Vec::new() };
        let named = subnet_associations(table)
            .filter(|(subnet, _)| subnets.iter().any(|one| one == subnet));
        named.map(|(_, association)| association.to_owned()).collect()
    }

    fn subnet_steps(
        self,
        table: &types::RouteTable,
        wanted: &RouteTable,
        before: &RouteTable,
    ) -> Vec<RouteTableCall> {
        let served = |table, subnet: &str| {
            subnet_associations(table).find(|(id, _)| *id == subnet).map(|(_, held)| held)
        };
        let mut steps = Vec::new();
        for subnet in wanted.subnets.iter().map(Input::get) {
            let held = self.0.iter().find_map(|table| served(table, subnet.as_str()));
            match (served(table, subnet.as_str()), held) {
                (Some(_), _) => (),
                (None, Some(held)) => {
                    steps.push(RouteTableCall::TakeOver { association: held.to_owned() });
                }
                (None, None) => steps.push(RouteTableCall::Associate(subnet.clone())),
            }
        }
        for subnet in before.subnets.iter().filter(|subnet| !wanted.subnets.contains(subnet)) {
            if let Some(held) = served(table, subnet.get().as_str()) {
                steps.push(RouteTableCall::Disassociate { association: held.to_owned() });
            }
        }
        steps
    }

    fn main_steps(self, id: &str, wanted: bool, before: bool) -> Vec<RouteTableCall> {
        let holder = self.0.iter().find_map(|table| Some((table, main_association(table)?)));
        let Some((holder, association)) = holder else { return Vec::new() };
        let association = association.to_owned();
        let ours = holder.route_table_id() == Some(id);
        match (wanted, ours) {
            (true, false) => vec![RouteTableCall::TakeOver { association }],
            (false, true) if before => match bare_table(self.0, id) {
                Some(to) => vec![RouteTableCall::HandOver { association, to: to.to_owned() }],
                None => Vec::new(),
            },
            _ => Vec::new(),
        }
    }
}

/// Returns the subnets with an explicit association to the table.
pub(super) fn subnets(table: &types::RouteTable) -> BTreeSet<&str> {
    subnet_associations(table).map(|(subnet, _)| subnet).collect()
}

/// Returns the route to this destination. `None` if no route exists, or if its target is of another
/// type than [`Via`].
pub(super) fn route_to(table: &types::RouteTable, destination: Ipv4Net) -> Option<Route> {
    let via = via(live_route(table, destination)?)?;
    Some(Route { destination, via })
}

fn route_steps(
    table: &types::RouteTable,
    wanted: &[Route],
    before: &[Route],
) -> Vec<RouteTableCall> {
    let mut steps = Vec::new();
    for route in wanted {
        match live_route(table, route.destination) {
            None => steps.push(RouteTableCall::CreateRoute(route.clone())),
            Some(live) if via(live).as_ref() == Some(&route.via) => (),
            Some(_) => steps.push(RouteTableCall::ReplaceRoute(route.clone())),
        }
    }
    let dropped = before.iter().map(|route| route.destination);
    let dropped = dropped.filter(|to| !wanted.iter().any(|route| route.destination == *to));
    steps.extend(
        dropped.filter(|to| live_route(table, *to).is_some()).map(RouteTableCall::DeleteRoute),
    );
    steps
}

fn live_route(table: &types::RouteTable, destination: Ipv4Net) -> Option<&types::Route> {
    let text = destination.to_string();
    table.routes().iter().find(|route| route.destination_cidr_block() == Some(&text))
}

fn via(route: &types::Route) -> Option<Via> {
    match (route.gateway_id(), route.nat_gateway_id(), route.carrier_gateway_id()) {
        (Some(id), ..) if id.starts_with("igw-") => {
            Some(Via::InternetGateway(InternetGatewayId::from(id).into()))
        }
        (_, Some(id), _) => Some(Via::NatGateway(NatGatewayId::from(id).into())),
        (_, _, Some(id)) => Some(Via::CarrierGateway(CarrierGatewayId::from(id).into())),
        _ => None,
    }
}

/// Returns the explicit associations as pairs of subnet and association ID.
fn subnet_associations(table: &types::RouteTable) -> impl Iterator<Item = (&str, &str)> {
    live_associations(table).filter_map(|one| Some((one.subnet_id()?, id_of(one)?)))
}

fn main_association(table: &types::RouteTable) -> Option<&str> {
    live_associations(table).find(|one| one.main() == Some(true)).and_then(id_of)
}

fn id_of(association: &types::RouteTableAssociation) -> Option<&str> {
    association.route_table_association_id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Tags;

    const DEFAULT: &str = "0.0.0.0/0";

    fn table(id: &str, routes: &[(&str, &str)], serves: &[&str], main: bool) -> types::RouteTable {
        let routes = routes.iter().map(|(to, via)| {
            let route = types::Route::builder().destination_cidr_block(*to);
            match via.starts_with("nat-") {
                true => route.nat_gateway_id(*via).build(),
                false => route.gateway_id(*via).build(),
            }
        });
        let association = |subnet: &str| {
            types::RouteTableAssociation::builder()
                .route_table_association_id(format!("assoc-{id}-{subnet}"))
                .set_subnet_id((subnet != "main").then(|| subnet.to_owned()))
                .main(subnet == "main")
                .build()
        };
        let serves = serves.iter().copied().chain(main.then_some("main"));
        types::RouteTable::builder()
            .route_table_id(id)
            .set_routes(Some(routes.collect()))
            .set_associations(Some(serves.map(association).collect()))
            .build()
    }

    fn nat(to: &str, id: &str) -> Route {
        let via = Via::NatGateway(NatGatewayId::from(id).into());
        Route { destination: to.parse().unwrap(), via }
    }

    fn inputs(routes: &[Route], subnets: &[&str], main: bool) -> RouteTable {
        RouteTable {
            vpc: crate::model::ids::VpcId::from("vpc-1").into(),
            main,
            routes: routes.to_vec(),
            subnets: subnets.iter().map(|id| Input::from(SubnetId::from(*id))).collect(),
            tags: Tags::new(),
        }
    }

    fn associations(steps: &[RouteTableCall]) -> Vec<&str> {
        steps
            .iter()
            .map(|step| match step {
                RouteTableCall::TakeOver { association }
                | RouteTableCall::HandOver { association, .. }
                | RouteTableCall::Disassociate { association } => association.as_str(),
                other => panic!("not about an association: {other:?}"),
            })
            .collect()
    }

    #[test]
    fn a_fresh_table_gets_everything_once() {
        let wanted = inputs(&[nat(DEFAULT, "nat-1")], &["subnet-a"], true);
        let fresh = [
            table("rtb-born", &[("10.0.0.0/16", "local")], &[], true),
            table("rtb-1", &[("10.0.0.0/16", "local")], &[], false),
        ];
        let steps = Tables(&fresh).steps("rtb-1", &wanted, &wanted);
        assert_eq!(
            steps,
            [
                RouteTableCall::CreateRoute(nat(DEFAULT, "nat-1")),
                RouteTableCall::Associate("subnet-a".into()),
                RouteTableCall::TakeOver { association: "assoc-rtb-born-main".into() },
            ]
        );
        let done = [
            table("rtb-born", &[("10.0.0.0/16", "local")], &[], false),
            table("rtb-1", &[(DEFAULT, "nat-1")], &["subnet-a"], true),
        ];
        assert_eq!(Tables(&done).steps("rtb-1", &wanted, &wanted), []);
    }

    #[test]
    fn a_route_that_goes_another_way_is_replaced_and_one_no_longer_wanted_is_deleted() {
        let live = [table("rtb-1", &[(DEFAULT, "nat-1"), ("10.9.0.0/16", "nat-1")], &[], false)];
        let before = inputs(&[nat(DEFAULT, "nat-1"), nat("10.9.0.0/16", "nat-1")], &[], false);
        let wanted = inputs(&[nat(DEFAULT, "nat-2")], &[], false);
        assert_eq!(
            Tables(&live).steps("rtb-1", &wanted, &before),
            [
                RouteTableCall::ReplaceRoute(nat(DEFAULT, "nat-2")),
                RouteTableCall::DeleteRoute("10.9.0.0/16".parse().unwrap()),
            ]
        );
    }

    #[test]
    fn what_we_never_set_stays() {
        let live =
            [table("rtb-1", &[("172.16.0.0/12", "pcx-1")], &["subnet-a", "subnet-theirs"], true)];
        let wanted = inputs(&[], &["subnet-a"], false);
        assert_eq!(Tables(&live).steps("rtb-1", &wanted, &wanted), []);
    }

    #[test]
    fn a_subnet_that_another_table_serves_is_taken_over_and_one_not_wanted_is_let_go() {
        let live =
            [table("rtb-1", &[], &["subnet-b"], false), table("rtb-2", &[], &["subnet-a"], false)];
        let before = inputs(&[], &["subnet-b"], false);
        let wanted = inputs(&[], &["subnet-a"], false);
        let steps = Tables(&live).steps("rtb-1", &wanted, &before);
        assert_eq!(associations(&steps), ["assoc-rtb-2-subnet-a", "assoc-rtb-1-subnet-b"]);
    }

    #[test]
    fn before_it_is_deleted_the_main_table_hands_over_to_the_one_the_vpc_was_born_with() {
        let mut tagged = table("rtb-0", &[], &[], false);
        tagged.tags = Some(vec![types::Tag::builder().key("Name").value("private").build()]);
        let live =
            [tagged, table("rtb-1", &[], &["subnet-a"], true), table("rtb-9", &[], &[], false)];
        let steps = Tables(&live).steps_to_delete("rtb-1");
        assert_eq!(
            steps,
            [
                RouteTableCall::HandOver {
                    association: "assoc-rtb-1-main".into(),
                    to: "rtb-9".into()
                },
                RouteTableCall::Disassociate { association: "assoc-rtb-1-subnet-a".into() },
            ]
        );
        assert_eq!(Tables(&live).steps_to_delete("rtb-gone"), []);
    }

    #[test]
    fn a_table_that_others_use_never_becomes_the_main_one() {
        let mut tagged = table("rtb-tagged", &[], &[], false);
        tagged.tags = Some(vec![types::Tag::builder().key("Name").value("theirs").build()]);
        let others = [
            tagged,
            table("rtb-routes", &[(DEFAULT, "igw-1")], &[], false),
            table("rtb-serves", &[], &["subnet-theirs"], false),
        ];
        for other in others {
            let live = [table("rtb-1", &[], &["subnet-a"], true), other];
            let steps = Tables(&live).steps_to_delete("rtb-1");
            assert_eq!(associations(&steps), ["assoc-rtb-1-subnet-a"], "{:?}", live[1]);
            assert!(Tables(&live).stays_main("rtb-1"));
        }
    }
}
