//! EC2 calls of a route table. Reads the tables of the VPC once, then performs only the missing
//! steps.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{self, ResourceType};
use groundplan_engine::graph::Input;
use groundplan_engine::plan::UnmanagedDrift;
use groundplan_engine::provider::ProviderFuture;

use super::foreign::foreign;
use super::steps::{RouteTableCall, Tables, route_to, subnets};
use super::{Route, RouteTable, RouteTableOutputs, Via};
use crate::Aws;
use crate::client::dry_run::{DryRunTarget, dry};
use crate::client::ec2::{self, Ec2Object};
use crate::client::resource_type::{Creation, KindOperations, Live, Recorded, Result};
use crate::client::route_tables::is_main;
use crate::model::ids::{SubnetId, VpcId};

impl KindOperations for RouteTable {
    async fn create(&self, aws: &Aws, creation: &Creation) -> Result<RouteTableOutputs> {
        let tags = ec2::tag_specification(ResourceType::RouteTable, &self.tags, &creation.token);
        let call = aws
            .ec2
            .create_route_table()
            .client_token(&creation.token)
            .vpc_id(self.vpc.get().as_str())
            .tag_specifications(tags);
        let made = aws.call("ec2", "CreateRouteTable", call.send()).await?;
        outputs("CreateRouteTable", made.route_table.as_ref())
    }

    async fn find(&self, aws: &Aws, creation: &Creation) -> Result<Option<RouteTableOutputs>> {
        let found = ec2::find::<types::RouteTable>(aws, &creation.token).await?;
        found.map(|table| outputs("DescribeRouteTables", Some(&table))).transpose()
    }

    async fn configure(&self, aws: &Aws, outputs: RouteTableOutputs) -> Result<RouteTableOutputs> {
        self.settle(aws, outputs.id.as_str(), self).await?;
        Ok(outputs)
    }

    async fn refresh(aws: &Aws, recorded: Vec<Recorded<Self>>) -> Result<Vec<Option<Live<Self>>>> {
        let found = ec2::all::<types::RouteTable, _>(aws, &recorded, |o| o.id.as_str()).await?;
        let pairs = recorded.into_iter().zip(found);
        pairs
            .map(|(recorded, table)| {
                table.map(|table| to_live(&recorded.inputs, &table)).transpose()
            })
            .collect()
    }

    async fn update(
        &self,
        aws: &Aws,
        _creation: &Creation,
        before: Recorded<Self>,
    ) -> Result<RouteTableOutputs> {
        let outputs = ec2::part("DescribeRouteTables", "id", before.outputs)?;
        self.settle(aws, outputs.id.as_str(), &before.inputs).await?;
        ec2::retag(aws, outputs.id.as_str(), &before.inputs.tags, &self.tags).await?;
        Ok(outputs)
    }

    /// Removes what others added: routes by destination, associations by subnet.
    async fn revert(
        &self,
        aws: &Aws,
        outputs: &RouteTableOutputs,
        drift: &[UnmanagedDrift],
    ) -> Result<()> {
        let id = outputs.id.as_str();
        for destination in drift.iter().filter_map(|one| one.added_to("routes")) {
            delete_route(aws, id, &destination).await?;
        }
        for gateway in drift.iter().filter_map(|one| one.added_to("propagating_gateways")) {
            let call = aws.ec2.disable_vgw_route_propagation().route_table_id(id);
            let call = call.gateway_id(gateway);
            let disabled = aws.call("ec2", "DisableVgwRoutePropagation", call.send()).await;
            ec2::fine_when(disabled, &["Gateway.NotAttached", "InvalidVpnGatewayID.NotFound"])?;
        }
        let theirs: Vec<String> = drift.iter().filter_map(|one| one.added_to("subnets")).collect();
        if theirs.is_empty() {
            return Ok(());
        }
        let tables = tables(aws, self.vpc.get()).await?;
        for association in Tables(&tables).associations(id, &theirs) {
            perform(aws, id, RouteTableCall::Disassociate { association }).await?;
        }
        Ok(())
    }

    async fn delete(aws: &Aws, inputs: Self, outputs: RouteTableOutputs) -> Result<()> {
        delete_table(aws, inputs.vpc.get(), outputs.id.as_str()).await
    }

    fn dry_run<'a>(
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        let id = &about.id;
        let ec2 = &aws.ec2;
        Some(match action {
            "ec2:AssociateRouteTable" => {
                let call = ec2.associate_route_table().route_table_id(id);
                dry!(aws, action, call.subnet_id(about.first("subnets")))
            }
            "ec2:CreateRoute" => {
                let call =
                    ec2.create_route().route_table_id(id).gateway_id("igw-00000000000000000");
                dry!(aws, action, call.destination_cidr_block("0.0.0.0/0"))
            }
            "ec2:CreateRouteTable" => {
                let tags = about.tags(ResourceType::RouteTable);
                let call = ec2.create_route_table().vpc_id(about.text("vpc"));
                dry!(aws, action, call.tag_specifications(tags))
            }
            "ec2:DeleteRouteTable" => {
                dry!(aws, action, ec2.delete_route_table().route_table_id(id))
            }
            _ => return None,
        })
    }
}

/// Deletes a route table, after ending its associations and its role as the main table. EC2 rejects
/// the deletion of a table in use.
///
/// The role goes only to the table that AWS created with the VPC. Without that table, the main table
/// is left to the deletion of the VPC, which takes it along.
pub(crate) async fn delete_table(aws: &Aws, vpc: &VpcId, id: &str) -> Result<()> {
    let tables = tables(aws, vpc).await?;
    for step in Tables(&tables).steps_to_delete(id) {
        let ended = perform(aws, id, step).await;
        ec2::fine_when(ended, &["InvalidAssociationID.NotFound"])?;
    }
    if Tables(&tables).stays_main(id) {
        return Ok(());
    }
    let call = aws.ec2.delete_route_table().route_table_id(id);
    let deleted = aws.call("ec2", "DeleteRouteTable", call.send()).await;
    ec2::fine_when(deleted, &["InvalidRouteTableID.NotFound"])
}

impl RouteTable {
    /// Changes the table with this ID to match the inputs. Routes and subnets that only `before`
    /// has are removed.
    async fn settle(&self, aws: &Aws, id: &str, before: &Self) -> Result<()> {
        let tables = tables(aws, self.vpc.get()).await?;
        let tables = Tables(&tables);
        ec2::visible("DescribeRouteTables", id, tables.get(id))?;
        for step in tables.steps(id, self, before) {
            perform(aws, id, step).await?;
        }
        Ok(())
    }
}

/// Returns all route tables of the VPC. To associate a subnet, or to become main, a table must
/// replace the present association of another table.
///
/// Steps of the same moment share one call.
async fn tables(aws: &Aws, vpc: &VpcId) -> Result<Vec<types::RouteTable>> {
    let read = |vpcs: Vec<String>| async move {
        let distinct: BTreeSet<&String> = vpcs.iter().collect();
        let filters = vec![ec2::filter("vpc-id", &distinct.into_iter().collect::<Vec<_>>())];
        let found = types::RouteTable::describe(aws, filters).await;
        let of = |vpc: &String| {
            let all = found.as_ref().map_err(Clone::clone)?;
            Ok(all.iter().filter(|table| table.vpc_id() == Some(vpc)).cloned().collect())
        };
        vpcs.iter().map(of).collect()
    };
    aws.watch.batches.route_tables.send(vpc.to_string(), read).await
}

async fn perform(aws: &Aws, id: &str, step: RouteTableCall) -> Result<()> {
    match step {
        RouteTableCall::CreateRoute(route) => create_route(aws, id, &route).await,
        RouteTableCall::ReplaceRoute(route) => replace_route(aws, id, &route).await,
        RouteTableCall::DeleteRoute(to) => delete_route(aws, id, &to.to_string()).await,
        RouteTableCall::Associate(subnet) => {
            let call = aws.ec2.associate_route_table().route_table_id(id);
            let call = call.subnet_id(subnet.as_str());
            let associated = aws.call("ec2", "AssociateRouteTable", call.send()).await;
            ec2::retry_when(associated, &["Resource.AlreadyAssociated"]).map(drop)
        }
        RouteTableCall::TakeOver { association } => {
            replace_association(aws, &association, id).await
        }
        RouteTableCall::HandOver { association, to } => {
            replace_association(aws, &association, &to).await
        }
        RouteTableCall::Disassociate { association } => {
            let call = aws.ec2.disassociate_route_table().association_id(association);
            let ended = aws.call("ec2", "DisassociateRouteTable", call.send()).await;
            ec2::fine_when(ended, &["InvalidAssociationID.NotFound"])
        }
    }
}

/// Deletes the route to an IPv4 range, an IPv6 range or a prefix list.
async fn delete_route(aws: &Aws, id: &str, destination: &str) -> Result<()> {
    let call = aws.ec2.delete_route().route_table_id(id);
    let call = match destination {
        list if list.starts_with("pl-") => call.destination_prefix_list_id(list),
        range if range.contains(':') => call.destination_ipv6_cidr_block(range),
        range => call.destination_cidr_block(range),
    };
    let deleted = aws.call("ec2", "DeleteRoute", call.send()).await;
    ec2::fine_when(deleted, &["InvalidRoute.NotFound"])
}

/// Creates the route. If a route to the destination exists, for example after a lost response, its
/// target is replaced.
async fn create_route(aws: &Aws, id: &str, route: &Route) -> Result<()> {
    let call = aws.ec2.create_route().route_table_id(id);
    let call = call.destination_cidr_block(route.destination.to_string());
    let call = match &route.via {
        Via::InternetGateway(gateway) => call.gateway_id(gateway.get().as_str()),
        Via::NatGateway(gateway) => call.nat_gateway_id(gateway.get().as_str()),
        Via::CarrierGateway(gateway) => call.carrier_gateway_id(gateway.get().as_str()),
    };
    match aws.call("ec2", "CreateRoute", call.send()).await {
        Err(error) if error.is(&["RouteAlreadyExists"]) => replace_route(aws, id, route).await,
        created => created.map(drop),
    }
}

async fn replace_route(aws: &Aws, id: &str, route: &Route) -> Result<()> {
    let call = aws.ec2.replace_route().route_table_id(id);
    let call = call.destination_cidr_block(route.destination.to_string());
    let call = match &route.via {
        Via::InternetGateway(gateway) => call.gateway_id(gateway.get().as_str()),
        Via::NatGateway(gateway) => call.nat_gateway_id(gateway.get().as_str()),
        Via::CarrierGateway(gateway) => call.carrier_gateway_id(gateway.get().as_str()),
    };
    let replaced = aws.call("ec2", "ReplaceRoute", call.send()).await;
    ec2::retry_when(replaced, &["InvalidRoute.NotFound"]).map(drop)
}

async fn replace_association(aws: &Aws, association: &str, table: &str) -> Result<()> {
    let call = aws.ec2.replace_route_table_association().association_id(association);
    let call = call.route_table_id(table);
    let replaced = aws.call("ec2", "ReplaceRouteTableAssociation", call.send()).await;
    ec2::retry_when(replaced, &["InvalidAssociationID.NotFound"]).map(drop)
}

fn outputs(call: &str, table: Option<&types::RouteTable>) -> Result<RouteTableOutputs> {
    Ok(RouteTableOutputs { id: ec2::id(call, table.and_then(types::RouteTable::route_table_id))? })
}

fn to_live(recorded: &RouteTable, table: &types::RouteTable) -> Result<Live<RouteTable>> {
    let vpc: VpcId = ec2::id("DescribeRouteTables", table.vpc_id())?;
    let served = subnets(table);
    let routes = recorded.routes.iter().filter_map(|route| route_to(table, route.destination));
    let is_served = |subnet: &Input<SubnetId>| served.contains(subnet.get().as_str());
    let inputs = RouteTable {
        vpc: vpc.into(),
        main: is_main(table),
        routes: routes.collect(),
        subnets: ec2::in_recorded_order(&recorded.subnets, is_served),
        tags: ec2::owned(&recorded.tags, table.tags()),
    };
    let outputs = outputs("DescribeRouteTables", Some(table))?;
    Ok(Live { unmanaged: foreign(recorded, table), ..Live::new(inputs, outputs) })
}
