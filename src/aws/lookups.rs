//! Answers the topology's questions. Reads only.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{InstanceTypeOffering, LocationType, RouteTable, Subnet as LiveSubnet};
use serde::Serialize;
use serde_json::Value;

use super::Aws;
use super::ec2::{filter, pages, parsed, part};
use super::ids::{HostedZoneId, ImageId, SubnetId, VpcId};
use super::kind::Result;
use crate::provider::{Class, ProviderError};
use crate::topology::facts::{HostedZoneFact, ImageFact, Offerings, Question, Reach, SubnetFact};

/// The answer to a question, in the type that its variant names, as JSON.
///
/// # Errors
/// When AWS does not answer, or several things answer where one is meant.
pub async fn answer(aws: &Aws, question: &Question) -> Result<Value> {
    match question {
        Question::AvailabilityZones { region } => json(availability_zones(aws, region).await?),
        Question::InstanceTypeOfferings { types, .. } => json(offerings(aws, types).await?),
        Question::Image { id, .. } => json(image(aws, id).await?),
        Question::PublicZone { domain } => json(public_zone(aws, domain).await?),
        Question::Subnets { ids, .. } => json(subnets(aws, ids).await?),
        Question::HostedZone { id } => json(hosted_zone(aws, id).await?),
    }
}

fn json(answer: impl Serialize) -> Result<Value> {
    Ok(serde_json::to_value(answer).expect("BUG: answers are plain data"))
}

async fn availability_zones(aws: &Aws, region: &str) -> Result<Vec<String>> {
    let request = aws
        .ec2
        .describe_availability_zones()
        .filters(filter("region-name", &[region]))
        .filters(filter("state", &["available"]))
        .filters(filter("zone-type", &["availability-zone"]));
    let zones = aws.call("ec2", "DescribeAvailabilityZones", request.send()).await?;
    let names = zones.availability_zones().iter().filter_map(|zone| zone.zone_name());
    Ok(names.map(str::to_owned).collect())
}

async fn offerings(aws: &Aws, types: &[String]) -> Result<Offerings> {
    let request = aws
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", types))
        .max_results(1000);
    let offered: Vec<InstanceTypeOffering> =
        pages!(aws, "DescribeInstanceTypeOfferings", request, instance_type_offerings);
    let mut offerings: Offerings =
        types.iter().map(|name| (name.clone(), BTreeSet::new())).collect();
    for one in &offered {
        let (Some(name), Some(zone)) = (one.instance_type(), one.location()) else { continue };
        if let Some(zones) = offerings.get_mut(name.as_str()) {
            zones.insert(zone.to_owned());
        }
    }
    Ok(offerings)
}

async fn image(aws: &Aws, id: &ImageId) -> Result<Option<ImageFact>> {
    let request = aws.ec2.describe_images().image_ids(id.as_str());
    let images = match aws.call("ec2", "DescribeImages", request.send()).await {
        Ok(images) => images,
        Err(error) if error.is(&["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"]) => {
            return Ok(None);
        }
        Err(error) => return Err(error),
    };
    images
        .images()
        .iter()
        .find(|image| image.image_id() == Some(id.as_str()))
        .map(|image| {
            let device = image.root_device_name();
            let root_device = part("DescribeImages", "root device name", device)?.to_owned();
            Ok(ImageFact { root_device })
        })
        .transpose()
}

/// Zones come in the order of their names, so those of a domain follow its own name.
async fn public_zone(aws: &Aws, domain: &str) -> Result<Option<HostedZoneId>> {
    let request = aws.route53.list_hosted_zones_by_name().dns_name(domain).max_items(100);
    let zones = aws.call("route53", "ListHostedZonesByName", request.send()).await?;
    let named = format!("{}.", domain.trim_end_matches('.'));
    let public = |private: Option<bool>| !private.unwrap_or_default();
    let found: Vec<&str> = zones
        .hosted_zones()
        .iter()
        .filter(|zone| zone.name() == named)
        .filter(|zone| public(zone.config().map(|config| config.private_zone())))
        .map(|zone| bare(zone.id()))
        .collect();
    match found[..] {
        [] => Ok(None),
        [id] => Ok(Some(HostedZoneId::from(id))),
        _ => Err(ProviderError::new(
            Class::Refused,
            "ListHostedZonesByName",
            format!("there are several public hosted zones for {domain}: {}", found.join(", ")),
        )
        .with_hint("delete the zones that the domain's registrar does not name")),
    }
}

async fn hosted_zone(aws: &Aws, id: &HostedZoneId) -> Result<Option<HostedZoneFact>> {
    let request = aws.route53.get_hosted_zone().id(id.as_str());
    let found = match aws.call("route53", "GetHostedZone", request.send()).await {
        Ok(found) => found,
        Err(error) if error.is(&["NoSuchHostedZone"]) => return Ok(None),
        Err(error) => return Err(error),
    };
    let Some(zone) = found.hosted_zone() else { return Ok(None) };
    Ok(Some(HostedZoneFact {
        name: zone.name().to_owned(),
        private: zone.config().is_some_and(|config| config.private_zone()),
        vpcs: found.vpcs().iter().filter_map(|vpc| vpc.vpc_id()).map(VpcId::from).collect(),
    }))
}

/// The id without the path that some answers put before it.
fn bare(id: &str) -> &str {
    id.rsplit('/').next().unwrap_or(id)
}

/// Those of the subnets that exist, with where each leads.
async fn subnets(aws: &Aws, ids: &[SubnetId]) -> Result<Vec<SubnetFact>> {
    let names: Vec<&str> = ids.iter().map(SubnetId::as_str).collect();
    let request = aws.ec2.describe_subnets().filters(filter("subnet-id", &names)).max_results(1000);
    let found: Vec<LiveSubnet> = pages!(aws, "DescribeSubnets", request, subnets);
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let vpcs: BTreeSet<&str> = found.iter().filter_map(LiveSubnet::vpc_id).collect();
    let vpcs: Vec<&str> = vpcs.into_iter().collect();
    let request = aws.ec2.describe_route_tables().filters(filter("vpc-id", &vpcs)).max_results(100);
    let tables: Vec<RouteTable> = pages!(aws, "DescribeRouteTables", request, route_tables);
    let zone_types = zone_types(aws).await?;
    let fact = |subnet: &LiveSubnet| -> Result<SubnetFact> {
        let text =
            |name, value: Option<&str>| part("DescribeSubnets", name, value).map(str::to_owned);
        let zone = text("zone", subnet.availability_zone())?;
        let reach = if zone_types.get(&zone).is_some_and(|kind| kind != "availability-zone") {
            Reach::Edge
        } else if leads_outside(subnet, &tables) {
            Reach::Public
        } else {
            Reach::Private
        };
        Ok(SubnetFact {
            id: SubnetId(text("id", subnet.subnet_id())?),
            vpc: VpcId(text("VPC", subnet.vpc_id())?),
            zone,
            cidr: parsed("DescribeSubnets", "address range", subnet.cidr_block())?,
            reach,
        })
    };
    found.iter().map(fact).collect()
}

async fn zone_types(aws: &Aws) -> Result<BTreeMap<String, String>> {
    let request = aws.ec2.describe_availability_zones().all_availability_zones(true);
    let zones = aws.call("ec2", "DescribeAvailabilityZones", request.send()).await?;
    let kind = |zone: &aws_sdk_ec2::types::AvailabilityZone| {
        Some((zone.zone_name()?.to_owned(), zone.zone_type()?.to_owned()))
    };
    Ok(zones.availability_zones().iter().filter_map(kind).collect())
}

/// Whether the table that serves a subnet (its own, else the VPC's main one) has a route to an
/// internet or carrier gateway.
fn leads_outside(subnet: &LiveSubnet, tables: &[RouteTable]) -> bool {
    let of_vpc = || tables.iter().filter(|table| table.vpc_id() == subnet.vpc_id());
    let own = of_vpc()
        .find(|table| table.associations().iter().any(|one| one.subnet_id() == subnet.subnet_id()));
    let main =
        || of_vpc().find(|table| table.associations().iter().any(|one| one.main() == Some(true)));
    let Some(table) = own.or_else(main) else { return false };
    table.routes().iter().any(|route| {
        route.gateway_id().is_some_and(|id| id.starts_with("igw-"))
            || route.carrier_gateway_id().is_some()
    })
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};

    use super::*;

    fn table(vpc: &str, gateway: &str, association: RouteTableAssociation) -> RouteTable {
        let route = Route::builder().gateway_id(gateway).build();
        RouteTable::builder().vpc_id(vpc).routes(route).associations(association).build()
    }

    #[test]
    fn a_subnet_is_public_by_the_table_that_serves_it() {
        let main = RouteTableAssociation::builder().main(true).build();
        let own = RouteTableAssociation::builder().subnet_id("subnet-1").build();
        let tables = [table("vpc-1", "igw-1", main), table("vpc-1", "local", own)];
        let subnet = |id: &str, vpc: &str| LiveSubnet::builder().subnet_id(id).vpc_id(vpc).build();
        assert!(
            !leads_outside(&subnet("subnet-1", "vpc-1"), &tables),
            "its own table stays inside"
        );
        assert!(
            leads_outside(&subnet("subnet-2", "vpc-1"), &tables),
            "the main table leads outside"
        );
        assert!(
            !leads_outside(&subnet("subnet-3", "vpc-2"), &tables),
            "another VPC's does not count"
        );
    }

    #[test]
    fn ids_lose_their_path() {
        assert_eq!(bare("/hostedzone/Z1"), "Z1");
        assert_eq!(bare("Z1"), "Z1");
    }
}
