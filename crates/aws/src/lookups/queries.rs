//! Runs lookups with the AWS SDK. Changes nothing, caches nothing.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{
    self, AvailabilityZoneOptInStatus, LocationType, RouteTable, Subnet, Vpc,
};
use aws_sdk_route53::types::HostedZone;
use groundplan_engine::provider::{ErrorClass, ProviderError};
use serde::Serialize;
use serde_json::Value;

use crate::Aws;
use crate::client::assumed_role::SESSION;
use crate::client::ec2::{self, Ec2Object, filter, pages};
use crate::client::elb::{self, BalancerKey};
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::client::route53;
use crate::lookups::lookup::{
    DedicatedHostFact, EdgeFact, FilterBy, HostedZoneFact, ImageCandidate, ImageFact,
    InstanceTypeFact, InstanceTypes, InstancesNamed, Lookup, Offerings, PlacementGroupFact,
    PlacementGroups, PolicyFact, SecurityGroupVpcs, SubnetCandidate, SubnetFact, SubnetReach,
    ZoneFact, ZoneFacts, ZoneTypes,
};
use crate::model::ids::{
    DedicatedHostId, HostedZoneId, ImageId, InstanceId, PolicyArn, PublicIpv4PoolId,
    SecurityGroupId, SubnetId, VpcId,
};
use crate::model::owner_of_tag;

/// Runs a lookup and returns the result as JSON, in the type that the [`Lookup`] names.
///
/// # Errors
/// If AWS does not respond, or the response cannot be used, such as two public zones for one
/// domain.
pub async fn answer(aws: &Aws, lookup: &Lookup) -> Result<Value> {
    // Boxed, so that the frame of this function stays small: a debug build has every arm in it.
    match lookup {
        Lookup::AvailabilityZones { region } => {
            here(aws, region)?;
            json(&Box::pin(availability_zones(aws)).await?)
        }
        Lookup::InstanceTypeOfferings { region, types } => {
            here(aws, region)?;
            json(&Box::pin(offerings(aws, types)).await?)
        }
        Lookup::Image { region, id } => {
            here(aws, region)?;
            json(&Box::pin(image(aws, id)).await?)
        }
        Lookup::PublicZone { domain } => json(&Box::pin(public_zone(aws, domain)).await?),
        Lookup::Subnets { region, ids } => {
            here(aws, region)?;
            json(&Box::pin(subnets(aws, ids)).await?)
        }
        Lookup::HostedZone { id } => json(&Box::pin(hosted_zone(aws, id)).await?),
        Lookup::InstanceTypes { region, types } => {
            here(aws, region)?;
            json(&Box::pin(instance_types(aws, types)).await?)
        }
        Lookup::SecurityGroups { region, ids } => {
            here(aws, region)?;
            json(&Box::pin(security_groups(aws, ids)).await?)
        }
        Lookup::ImagesBy { region, filters } => {
            here(aws, region)?;
            json(&Box::pin(images_by(aws, filters)).await?)
        }
        Lookup::SubnetsBy { region, filters } => {
            here(aws, region)?;
            json(&Box::pin(subnets_by(aws, filters)).await?)
        }
        Lookup::SecurityGroupsBy { region, filters } => {
            here(aws, region)?;
            let found = Box::pin(types::SecurityGroup::describe(aws, sdk_filters(filters))).await?;
            json(&found.into_iter().filter_map(|group| group.group_id).collect::<Vec<_>>())
        }
        Lookup::InstancesNamed { region, cluster_tag, names } => {
            here(aws, region)?;
            json(&Box::pin(instances_named(aws, cluster_tag, names)).await?)
        }
        Lookup::ZoneTypes { region } => {
            here(aws, region)?;
            json(&Box::pin(zone_types(aws)).await?)
        }
        Lookup::Zones { region, names } => {
            here(aws, region)?;
            json(&Box::pin(zones(aws, names)).await?)
        }
        Lookup::Role { name } => {
            let call = aws.iam.get_role().role_name(name.as_str());
            let answer = Box::pin(aws.call("iam", "GetRole", call.send())).await;
            json(&none_if(answer, &["NoSuchEntity"])?.is_some())
        }
        Lookup::InstanceProfile { name } => {
            let call = aws.iam.get_instance_profile().instance_profile_name(name.as_str());
            let answer = Box::pin(aws.call("iam", "GetInstanceProfile", call.send())).await;
            json(&none_if(answer, &["NoSuchEntity"])?.is_some())
        }
        Lookup::Policy { arn } => json(&Box::pin(policy(aws, arn)).await?),
        Lookup::DedicatedHosts { region, ids } => {
            here(aws, region)?;
            json(&Box::pin(dedicated_hosts(aws, ids)).await?)
        }
        Lookup::PublicIpv4Pool { region, id } => {
            here(aws, region)?;
            json(&Box::pin(public_ipv4_pool(aws, id)).await?)
        }
        Lookup::KeyPairs { region } => {
            here(aws, region)?;
            let call = aws.ec2.describe_key_pairs();
            let pairs = Box::pin(aws.call("ec2", "DescribeKeyPairs", call.send())).await?.key_pairs;
            let names = pairs.unwrap_or_default().into_iter().filter_map(|pair| pair.key_name);
            json(&names.collect::<Vec<_>>())
        }
        Lookup::CapacityReservations { region } => {
            here(aws, region)?;
            json(&Box::pin(capacity_reservations(aws)).await?)
        }
        Lookup::PlacementGroups { region } => {
            here(aws, region)?;
            json(&Box::pin(placement_groups(aws)).await?)
        }
        Lookup::LoadBalancers { region, names } => {
            here(aws, region)?;
            let found =
                Box::pin(elb::load_balancers(aws, BalancerKey::Name, names)).await?.into_iter();
            json(&found.filter_map(|one| one.load_balancer_name).collect::<Vec<_>>())
        }
        Lookup::ClassicLoadBalancers { region, names } => {
            here(aws, region)?;
            json(&Box::pin(elb::classic_load_balancers(aws, names)).await?)
        }
        Lookup::AssumedRole { arn } => {
            let call = aws.sts.assume_role().role_arn(arn).role_session_name(SESSION);
            match Box::pin(aws.call("sts", "AssumeRole", call.send())).await {
                Ok(_) => json(&true),
                Err(error) if error.is(&["AccessDenied"]) => json(&false),
                Err(error) => Err(error),
            }
        }
        Lookup::RecordsBelow { zone, domain } => {
            json(&Box::pin(records_below(aws, zone, domain)).await?)
        }
    }
}

/// Rejects a lookup about another region: the clients would return results of the wrong region.
pub(crate) fn here(aws: &Aws, region: &str) -> Result<()> {
    let ours = &aws.settings.region;
    if ours == region {
        return Ok(());
    }
    let message = format!("lookup for {region}, but connected to {ours}");
    Err(ProviderError::new(ErrorClass::Permanent, "lookup", message))
}

fn json(answer: &impl Serialize) -> Result<Value> {
    serde_json::to_value(answer)
        .map_err(|error| ProviderError::new(ErrorClass::Permanent, "lookup", error.to_string()))
}

/// Returns the usable zones, without local and wavelength zones.
async fn availability_zones(aws: &Aws) -> Result<BTreeSet<String>> {
    let call = aws
        .ec2
        .describe_availability_zones()
        .filters(filter("region-name", &[&aws.settings.region]))
        .filters(filter("zone-type", &["availability-zone"]))
        .filters(filter("state", &["available"]));
    let answer = aws.call("ec2", "DescribeAvailabilityZones", call.send()).await?;
    Ok(answer.availability_zones.unwrap_or_default().into_iter().filter_map(ordinary).collect())
}

fn ordinary(zone: types::AvailabilityZone) -> Option<String> {
    let ordinary = zone.zone_type().is_none_or(|kind| kind == "availability-zone");
    zone.zone_name.filter(|_| ordinary)
}

/// Returns instances by name and cluster tag, the way the Machine API finds a Machine's instance.
pub(crate) async fn instances_named(
    aws: &Aws,
    tag: &str,
    names: &[String],
) -> Result<InstancesNamed> {
    let mut found = InstancesNamed::new();
    for some in names.chunks(ec2::FILTER_VALUES) {
        let filters = vec![filter("tag:Name", some), filter("tag-key", &[tag])];
        let instances = types::Instance::describe(aws, filters).await?;
        for one in instances.into_iter().filter(Ec2Object::exists) {
            let value = |key: &str| one.tags().iter().find(|tag| tag.key() == Some(key))?.value();
            let name = value("Name").filter(|name| some.iter().any(|wanted| wanted == name));
            if let (Some(name), Some(_), Some(id)) = (name, value(tag), one.instance_id()) {
                found.entry(name.to_owned()).or_default().push(InstanceId::from(id));
            }
        }
    }
    Ok(found)
}

/// Returns the type of every zone of the region, including zones that the account has not enabled.
async fn zone_types(aws: &Aws) -> Result<ZoneTypes> {
    let call = aws.ec2.describe_availability_zones().all_availability_zones(true);
    let answer = aws.call("ec2", "DescribeAvailabilityZones", call.send()).await?;
    let zones = answer.availability_zones.unwrap_or_default().into_iter();
    Ok(zones.filter_map(|zone| Some((zone.zone_name?, zone.zone_type?))).collect())
}

fn sdk_filters(filters: &[FilterBy]) -> Vec<types::Filter> {
    filters.iter().map(|one| filter(&one.name, &one.values)).collect()
}

async fn images_by(aws: &Aws, filters: &[FilterBy]) -> Result<Vec<ImageCandidate>> {
    let request =
        aws.ec2.describe_images().set_filters(Some(sdk_filters(filters))).max_results(1000);
    let images = pages!(aws, "DescribeImages", request, images).into_iter();
    let candidate = |image: types::Image| {
        let id = ImageId(image.image_id?);
        Some(ImageCandidate {
            id,
            created: image.creation_date,
            root_device: image.root_device_name,
        })
    };
    Ok(images.filter_map(candidate).collect())
}

async fn subnets_by(aws: &Aws, filters: &[FilterBy]) -> Result<Vec<SubnetCandidate>> {
    let found = Subnet::describe(aws, sdk_filters(filters)).await?.into_iter();
    let candidate = |subnet: Subnet| {
        let id = SubnetId(subnet.subnet_id?);
        Some(SubnetCandidate { id, zone: subnet.availability_zone.unwrap_or_default() })
    };
    Ok(found.filter_map(candidate).collect())
}

/// Returns an entry for each requested type; the entry is empty if no zone offers the type.
async fn offerings(aws: &Aws, types: &[String]) -> Result<Offerings> {
    let mut offerings: Offerings =
        types.iter().map(|kind| (kind.clone(), BTreeSet::new())).collect();
    let request = aws
        .ec2
        .describe_instance_type_offerings()
        .location_type(LocationType::AvailabilityZone)
        .filters(filter("instance-type", types))
        .max_results(1000);
    for one in pages!(aws, "DescribeInstanceTypeOfferings", request, instance_type_offerings) {
        let kind = one.instance_type.as_ref().map(types::InstanceType::as_str);
        if let Some(zones) = kind.and_then(|kind| offerings.get_mut(kind)) {
            zones.extend(one.location);
        }
    }
    Ok(offerings)
}

/// Returns facts about instance types. A filter is used, because one unknown name would fail the
/// whole call.
pub(crate) async fn instance_types(aws: &Aws, types: &[String]) -> Result<InstanceTypes> {
    let mut found = InstanceTypes::new();
    for some in types.chunks(ec2::FILTER_VALUES) {
        let request = aws.ec2.describe_instance_types().filters(filter("instance-type", some));
        for one in pages!(aws, "DescribeInstanceTypes", request, instance_types) {
            found.extend(instance_type(&one).filter(|(name, _)| types.contains(name)));
        }
    }
    Ok(found)
}

fn instance_type(info: &types::InstanceTypeInfo) -> Option<(String, InstanceTypeFact)> {
    let architectures = info.processor_info()?.supported_architectures().iter();
    let gpus = info.gpu_info().map(types::GpuInfo::gpus).unwrap_or_default().iter();
    let fact = InstanceTypeFact {
        gpus: gpus.filter_map(|one| u32::try_from(one.count()?).ok()).sum(),
        vcpus: info.v_cpu_info()?.default_v_cpus()?.try_into().ok()?,
        memory_mib: info.memory_info()?.size_in_mib()?.try_into().ok()?,
        architectures: architectures.map(|one| one.as_str().to_owned()).collect(),
    };
    Some((info.instance_type()?.as_str().to_owned(), fact))
}

/// Returns the existing ones of these hosts, without released ones. A filter is used, because one
/// unknown ID would fail the whole call.
async fn dedicated_hosts(aws: &Aws, ids: &[DedicatedHostId]) -> Result<Vec<DedicatedHostFact>> {
    use types::AllocationState::{Released, ReleasedPermanentFailure};
    let mut found = Vec::new();
    for some in ids.chunks(ec2::FILTER_VALUES) {
        let names: Vec<&str> = some.iter().map(DedicatedHostId::as_str).collect();
        let request = aws.ec2.describe_hosts().filter(filter("host-id", &names));
        for host in pages!(aws, "DescribeHosts", request, hosts) {
            let gone = [Released, ReleasedPermanentFailure];
            let is_gone = host.state().is_some_and(|state| gone.contains(state));
            let (Some(id), Some(zone), false) = (host.host_id(), host.availability_zone(), is_gone)
            else {
                continue;
            };
            let owners =
                host.tags().iter().filter_map(|tag| owner_of_tag(tag.key()?, tag.value()?));
            found.push(DedicatedHostFact {
                id: id.into(),
                zone: zone.to_owned(),
                owners: owners.map(str::to_owned).collect(),
            });
        }
    }
    found.sort_by(|one, other| one.id.cmp(&other.id));
    Ok(found)
}

/// Returns the number of free addresses in a pool. `None` if the account has no such pool.
async fn public_ipv4_pool(aws: &Aws, id: &PublicIpv4PoolId) -> Result<Option<u32>> {
    let call = aws.ec2.describe_public_ipv4_pools().pool_ids(id.as_str());
    let answer = aws.call("ec2", "DescribePublicIpv4Pools", call.send()).await;
    let missing = &["InvalidPublicIpv4PoolID.NotFound", "InvalidPublicIpv4PoolID.Malformed"];
    let pools = none_if(answer, missing)?.and_then(|answer| answer.public_ipv4_pools);
    let mut pools = pools.unwrap_or_default().into_iter();
    let pool = pools.find(|pool| pool.pool_id() == Some(id.as_str()));
    let free = |pool: types::PublicIpv4Pool| pool.total_available_address_count.unwrap_or(0);
    Ok(pool.map(|pool| u32::try_from(free(pool)).unwrap_or(0)))
}

/// Returns the IDs of capacity reservations, including those shared with the account.
async fn capacity_reservations(aws: &Aws) -> Result<Vec<String>> {
    use types::CapacityReservationState::{Cancelled, Expired, Failed, PaymentFailed, Unsupported};
    let request = aws.ec2.describe_capacity_reservations().max_results(1000);
    let all = pages!(aws, "DescribeCapacityReservations", request, capacity_reservations);
    let is_over = |one: &types::CapacityReservation| {
        let over = [Cancelled, Expired, Failed, PaymentFailed, Unsupported];
        one.state().is_some_and(|state| over.contains(state))
    };
    let open = all.into_iter().filter(|one| !is_over(one));
    Ok(open.filter_map(|one| one.capacity_reservation_id).collect())
}

/// Returns the placement groups, without those that are being deleted.
async fn placement_groups(aws: &Aws) -> Result<PlacementGroups> {
    let call = aws.ec2.describe_placement_groups();
    let groups = aws.call("ec2", "DescribePlacementGroups", call.send()).await?.placement_groups;
    let dependents_start = |group: &types::PlacementGroup| {
        use types::PlacementGroupState::{Available, Pending};
        group.state().is_none_or(|state| matches!(state, Available | Pending))
    };
    let groups =
        groups.unwrap_or_default().into_iter().filter(dependents_start).filter_map(|group| {
            let strategy = group.strategy.as_ref().map_or("", |one| one.as_str()).to_owned();
            Some((
                group.group_name?,
                PlacementGroupFact { strategy, partitions: group.partition_count },
            ))
        });
    Ok(groups.collect())
}

/// Returns the existence of a policy. Another account's policy is denied like one without
/// permission, so the account of the credentials is part of the result.
async fn policy(aws: &Aws, arn: &PolicyArn) -> Result<PolicyFact> {
    let account = aws.check().await?.account;
    let call = aws.iam.get_policy().policy_arn(arn.as_str());
    let exists = match aws.call("iam", "GetPolicy", call.send()).await {
        Ok(_) => Some(true),
        Err(error) if error.is(&["NoSuchEntity"]) => Some(false),
        Err(error) if error.is(&["AccessDenied"]) => None,
        Err(error) => return Err(error),
    };
    Ok(PolicyFact { exists, account })
}

async fn security_groups(aws: &Aws, ids: &[SecurityGroupId]) -> Result<SecurityGroupVpcs> {
    let found =
        ec2::by_ids::<types::SecurityGroup>(aws, ids.iter().map(SecurityGroupId::as_str)).await?;
    let vpc = |group: &types::SecurityGroup| group.vpc_id().unwrap_or_default().into();
    Ok(found.iter().map(|(id, group)| (id.as_str().into(), vpc(group))).collect())
}

/// The maximum number of returned names. The first one is enough for a finding.
const RECORDS: i32 = 10;

/// Returns the first records below a domain. Route 53 lists them right after the domain's own two
/// or three records.
async fn records_below(aws: &Aws, zone: &HostedZoneId, domain: &str) -> Result<Vec<String>> {
    let listed = route53::records_from(aws, zone.as_str(), domain, RECORDS).await?;
    let names = listed.unwrap_or_default().into_iter().map(|record| plain(&record.name));
    let ending = format!(".{}", plain(domain));
    let below: BTreeSet<String> = names.filter(|name| name.ends_with(&ending)).collect();
    Ok(below.into_iter().collect())
}

/// Returns a name in the usual spelling: without the last dot, and with an asterisk for Route 53's
/// `\\052`.
fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase().replace("\\052", "*")
}

async fn image(aws: &Aws, id: &ImageId) -> Result<Option<ImageFact>> {
    // Deprecated images can still be launched.
    let call = aws.ec2.describe_images().image_ids(id.as_str()).include_deprecated(true);
    let answer = match aws.call("ec2", "DescribeImages", call.send()).await {
        Err(error) if error.is(&["InvalidAMIID.NotFound", "InvalidAMIID.Unavailable"]) => {
            return Ok(None);
        }
        answer => answer?,
    };
    let found = answer.images().iter().find(|image| image.image_id() == Some(id.as_str()));
    found
        .map(|image| {
            let device = ec2::part("DescribeImages", "rootDeviceName", image.root_device_name())?;
            let architecture = image.architecture().map(|one| one.as_str().to_owned());
            let state = image.state().map(|one| one.as_str().to_owned());
            Ok(ImageFact { root_device: device.to_owned(), architecture, state })
        })
        .transpose()
}

/// Returns the public zone of exactly this name. Two such zones are an error, because the delegated
/// one cannot be identified; openshift-install would take either.
async fn public_zone(aws: &Aws, domain: &str) -> Result<Option<HostedZoneId>> {
    let zones = zones_named(aws, domain).await?;
    let public: Vec<&HostedZone> = zones.iter().filter(|zone| !is_private(zone)).collect();
    match public.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(zone_id(&one.id))),
        several => {
            let ids: Vec<_> = several.iter().map(|zone| zone_id(&zone.id).0).collect();
            let message = format!("{domain} has several public zones: {}", ids.join(", "));
            Err(ProviderError::new(ErrorClass::Permanent, "ListHostedZonesByName", message)
                .with_hint(
                    "keep the zone whose name servers the registrar of the domain lists, and delete \
                     the others; `aws route53 get-hosted-zone --id ID` lists the name servers of \
                     a zone",
                ))
        }
    }
}

/// Returns the zones of exactly this name. Route 53 lists zones from this name on, in its own
/// order.
pub(crate) async fn zones_named(aws: &Aws, domain: &str) -> Result<Vec<HostedZone>> {
    let mut zones = Vec::new();
    let (mut name, mut id) = (Some(domain.to_owned()), None);
    loop {
        let call = aws
            .route53()
            .list_hosted_zones_by_name()
            .set_dns_name(name)
            .set_hosted_zone_id(id)
            .max_items(100);
        let page = aws.call("route53", "ListHostedZonesByName", call.send()).await?;
        let listed = page.hosted_zones.len();
        zones.extend(page.hosted_zones.into_iter().filter(|zone| is_named(&zone.name, domain)));
        (name, id) = (page.next_dns_name, page.next_hosted_zone_id);
        let goes_on = page.is_truncated && name.as_deref().is_some_and(|n| is_named(n, domain));
        if !goes_on || listed == 0 {
            return Ok(zones);
        }
    }
}

fn is_named(name: &str, domain: &str) -> bool {
    plain(name) == plain(domain)
}

pub(crate) fn is_private(zone: &HostedZone) -> bool {
    zone.config().is_some_and(|config| config.private_zone)
}

/// Returns the zone ID without the path that Route 53 puts before it.
pub(crate) fn zone_id(id: &str) -> HostedZoneId {
    id.rsplit('/').next().unwrap_or(id).into()
}

async fn hosted_zone(aws: &Aws, id: &HostedZoneId) -> Result<Option<HostedZoneFact>> {
    let call = aws.route53_of(id.as_str()).get_hosted_zone().id(id.as_str());
    let answer = match aws.call("route53", "GetHostedZone", call.send()).await {
        Err(error) if error.is(&["NoSuchHostedZone"]) => return Ok(None),
        answer => answer?,
    };
    let vpcs = answer.vpcs().iter().filter_map(|vpc| vpc.vpc_id()).map(VpcId::from).collect();
    let zone = ec2::part("GetHostedZone", "HostedZone", answer.hosted_zone())?;
    Ok(Some(HostedZoneFact { name: zone.name.clone(), private: is_private(zone), vpcs }))
}

/// Returns facts about subnets by four calls for any number: subnets, their VPCs, route tables of
/// the VPCs, zones.
async fn subnets(aws: &Aws, ids: &[SubnetId]) -> Result<Vec<SubnetFact>> {
    let found = ec2::by_ids::<Subnet>(aws, ids.iter().map(SubnetId::as_str)).await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let vpcs: BTreeSet<&str> = found.values().filter_map(Subnet::vpc_id).collect();
    let vpcs: Vec<&str> = vpcs.into_iter().collect();
    let tables = RouteTable::describe(aws, vec![filter("vpc-id", &vpcs)]).await?;
    let networks = ec2::by_ids::<Vpc>(aws, vpcs.iter().copied()).await?;
    let names: BTreeSet<&str> = found.values().filter_map(Subnet::availability_zone).collect();
    let edge = zones(aws, &names.into_iter().collect::<Vec<_>>()).await?;
    let edge: ZoneFacts = edge.into_iter().filter(|(_, zone)| zone.is_edge()).collect();
    let facts = ids.iter().filter_map(|id| found.get(id.as_str()));
    let vpc_owners = |subnet: &Subnet| {
        let vpc = networks.get(subnet.vpc_id().unwrap_or_default());
        vpc.map(|vpc| owners(vpc.tags())).unwrap_or_default()
    };
    let fact = |subnet| {
        let fact = subnet_fact(subnet, &tables, &edge)?;
        Ok(SubnetFact { vpc_owners: vpc_owners(subnet), ..fact })
    };
    facts.map(fact).collect()
}

/// Returns the clusters that own a resource with these tags.
fn owners(tags: &[types::Tag]) -> BTreeSet<String> {
    let owner = |tag: &types::Tag| {
        let owner = owner_of_tag(tag.key()?, tag.value().unwrap_or_default())?;
        Some(owner.to_owned())
    };
    tags.iter().filter_map(owner).collect()
}

/// Returns facts about those of these zones that exist.
async fn zones(aws: &Aws, names: &[impl AsRef<str>]) -> Result<ZoneFacts> {
    let call = aws
        .ec2
        .describe_availability_zones()
        .all_availability_zones(true)
        .filters(filter("zone-name", names));
    let answer = aws.call("ec2", "DescribeAvailabilityZones", call.send()).await?;
    let found = answer.availability_zones.unwrap_or_default().into_iter();
    let fact = |zone: types::AvailabilityZone| {
        let fact = ZoneFact {
            zone_type: zone.zone_type.unwrap_or_else(|| "availability-zone".to_owned()),
            group: zone.group_name.unwrap_or_default(),
            parent: zone.parent_zone_name.filter(|name| !name.is_empty()),
            enabled: zone.opt_in_status != Some(AvailabilityZoneOptInStatus::NotOptedIn),
        };
        Some((zone.zone_name?, fact))
    };
    let wanted = |name: &String| names.iter().any(|wanted| wanted.as_ref() == name);
    Ok(found.filter_map(fact).filter(|(name, _)| wanted(name)).collect())
}

fn subnet_fact(subnet: &Subnet, tables: &[RouteTable], edge: &ZoneFacts) -> Result<SubnetFact> {
    let call = "DescribeSubnets";
    let zone = ec2::part(call, "availabilityZone", subnet.availability_zone())?;
    let of_routes = reach(subnet, tables)?;
    let edge = edge.get(zone).cloned();
    let edge = edge.map(|zone| EdgeFact { zone, public: of_routes == SubnetReach::Public });
    let reach = if edge.is_some() { SubnetReach::Edge } else { of_routes };
    Ok(SubnetFact {
        id: ec2::id(call, subnet.subnet_id())?,
        vpc: ec2::id(call, subnet.vpc_id())?,
        zone: zone.to_owned(),
        cidr: ec2::parsed(call, "cidrBlock", subnet.cidr_block())?,
        reach,
        edge,
        owners: owners(subnet.tags()),
        vpc_owners: BTreeSet::new(),
    })
}

/// Returns the reach of a subnet by its associated route table, else the VPC's main one, as
/// openshift-install does (pkg/asset/installconfig/aws/subnet.go).
fn reach(subnet: &Subnet, tables: &[RouteTable]) -> Result<SubnetReach> {
    let id = subnet.subnet_id();
    let of_vpc = || tables.iter().filter(|table| table.vpc_id() == subnet.vpc_id());
    let own = of_vpc().find(|table| table.associations().iter().any(|a| a.subnet_id() == id));
    let main =
        || of_vpc().find(|table| table.associations().iter().any(|a| a.main() == Some(true)));
    let table = own.or_else(main).ok_or_else(|| {
        let message = format!("no route table applies to {}", id.unwrap_or_default());
        ProviderError::new(ErrorClass::Permanent, "DescribeRouteTables", message).with_hint(
            "associate a route table with the subnet: aws ec2 associate-route-table --subnet-id ID \
             --route-table-id ID",
        )
    })?;
    let outwards = table.routes().iter().any(|route| {
        route.gateway_id().is_some_and(|id| id.starts_with("igw-"))
            || route.carrier_gateway_id().is_some_and(|id| id.starts_with("cagw-"))
    });
    Ok(if outwards { SubnetReach::Public } else { SubnetReach::Private })
}

/// Runs all lookups at once and returns the results by lookup key.
///
/// # Errors
/// The error of the first failed lookup.
pub async fn answers(aws: &Aws, lookups: &[Lookup]) -> Result<BTreeMap<String, Value>> {
    let asked = lookups.iter().map(|lookup| answer(aws, lookup)).collect();
    let answers = groundplan_engine::provider::all(asked).await;
    let keys = lookups.iter().map(Lookup::key);
    keys.zip(answers).map(|(key, answer)| Ok((key, answer?))).collect()
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};

    use super::*;

    fn subnet(id: &str) -> Subnet {
        Subnet::builder().subnet_id(id).vpc_id("vpc-1").build()
    }

    fn table(association: RouteTableAssociation, route: Route) -> RouteTable {
        RouteTable::builder().vpc_id("vpc-1").associations(association).routes(route).build()
    }

    fn main() -> RouteTableAssociation {
        RouteTableAssociation::builder().main(true).build()
    }

    fn of(id: &str) -> RouteTableAssociation {
        RouteTableAssociation::builder().main(false).subnet_id(id).build()
    }

    #[test]
    fn a_subnets_own_table_beats_the_main_one() {
        let igw = || Route::builder().gateway_id("igw-1").build();
        let nat = || Route::builder().nat_gateway_id("nat-1").build();
        let tables = [table(main(), igw()), table(of("subnet-1"), nat())];
        assert_eq!(reach(&subnet("subnet-1"), &tables).unwrap(), SubnetReach::Private);
        assert_eq!(reach(&subnet("subnet-2"), &tables).unwrap(), SubnetReach::Public);
    }

    #[test]
    fn a_gateway_to_s3_or_within_the_network_makes_nothing_public() {
        for gateway in ["local", "vpce-1"] {
            let tables = [table(main(), Route::builder().gateway_id(gateway).build())];
            assert_eq!(
                reach(&subnet("subnet-1"), &tables).unwrap(),
                SubnetReach::Private,
                "{gateway}"
            );
        }
        let carrier = Route::builder().carrier_gateway_id("cagw-1").build();
        let tables = [table(main(), carrier)];
        assert_eq!(reach(&subnet("subnet-1"), &tables).unwrap(), SubnetReach::Public);
    }

    #[test]
    fn another_networks_table_says_nothing() {
        let elsewhere = RouteTable::builder().vpc_id("vpc-2").associations(main()).build();
        assert!(reach(&subnet("subnet-1"), &[elsewhere]).is_err());
    }

    #[test]
    fn a_zone_is_the_domains_only_by_its_whole_name() {
        assert!(is_named("Example.com.", "example.com"));
        assert!(!is_named("dev.example.com.", "example.com"));
        assert_eq!(zone_id("/hostedzone/Z1"), zone_id("Z1"));
    }
}
