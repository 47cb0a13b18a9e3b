//! Network of a machine: interface, subnet, security groups and load balancers.

use std::collections::BTreeMap;

use groundplan_aws::kinds::load_balancer_attachment::LoadBalancerKind;
use groundplan_aws::kinds::machine::{InterfaceType, MachineInterface, PublicAddress};
use groundplan_aws::lookups::lookup::{FilterBy, Lookup, SubnetCandidate, ZoneTypes};
use groundplan_aws::model::ids::{SecurityGroupId, SubnetId};
use groundplan_engine::graph::Input;
use serde::Deserialize;
use serde_json::Value;

use super::answers::{RegionLookups, asked, nothing, shown};
use super::{ClusterDefaults, LaunchError, Result};
use crate::machine_api::types::{AwsMachineProviderConfig, ResourceReference};

/// Zone type of carrier zones (EC2 API reference, `AvailabilityZone.ZoneType`).
const CARRIER: &str = "wavelength-zone";

/// Returns the lookups for the network. The subnet needs a lookup if filters select it, or if its
/// zone decides the type of a public address.
pub(super) fn needed_lookups(config: &AwsMachineProviderConfig, region: &str) -> Vec<Lookup> {
    let is_public = config.public_ip.is_some();
    let by_filters = config.subnet.id.is_none();
    let subnet = subnet_question(config, region).filter(|_| is_public || by_filters);
    let zones = is_public.then(|| Lookup::ZoneTypes { region: region.to_owned() });
    let groups = config.security_groups.iter().filter_map(|group| group_question(group, region));
    subnet.into_iter().chain(zones).chain(groups).collect()
}

pub(super) fn interface(
    config: &AwsMachineProviderConfig,
    site: &ClusterDefaults,
    answers: &RegionLookups<'_>,
    warnings: &mut Vec<String>,
) -> Result<MachineInterface> {
    let groups = groups(config, answers)?;
    let subnet = subnet(config, answers, warnings)?;
    let public_address = public_address(config, subnet.as_ref(), answers)?;
    Ok(MachineInterface {
        device_index: device_index(config)?,
        subnet: subnet.map(|subnet| Input::Known(subnet.id)),
        groups: groups.into_iter().map(Input::Known).collect(),
        public_address,
        interface_type: interface_type(config)?,
        dual_stack: site.dual_stack,
    })
}

/// Returns the load balancers. A load balancer of an unknown type is omitted, with a warning.
pub(super) fn attachments(
    config: &AwsMachineProviderConfig,
    warnings: &mut Vec<String>,
) -> Vec<(String, LoadBalancerKind)> {
    let mut attachments = Vec::new();
    for balancer in &config.load_balancers {
        match balancer.kind.as_str() {
            "network" => attachments.push((balancer.name.clone(), LoadBalancerKind::Network)),
            "classic" => attachments.push((balancer.name.clone(), LoadBalancerKind::Classic)),
            other => warnings.push(format!(
                "the load balancer {} has the type `{other}`, expected `network` or `classic`: the \
                 machine is not registered with this load balancer",
                balancer.name
            )),
        }
    }
    attachments
}

fn device_index(config: &AwsMachineProviderConfig) -> Result<i32> {
    let index = i32::try_from(config.device_index).ok().filter(|index| *index >= 0);
    index.ok_or_else(|| LaunchError::invalid("deviceIndex", "is not a valid interface index"))
}

fn interface_type(config: &AwsMachineProviderConfig) -> Result<Option<InterfaceType>> {
    match config.network_interface_type.as_str() {
        "" => Ok(None),
        "ENA" => Ok(Some(InterfaceType::Ena)),
        "EFA" => Ok(Some(InterfaceType::Efa)),
        other => Err(LaunchError::invalid(
            "networkInterfaceType",
            format!("found `{other}`, expected `ENA` or `EFA`"),
        )),
    }
}

/// Returns the security groups. The ID of an entry takes precedence over its filters; filters
/// select all groups that match.
fn groups(
    config: &AwsMachineProviderConfig,
    answers: &RegionLookups<'_>,
) -> Result<Vec<SecurityGroupId>> {
    let mut groups: Vec<SecurityGroupId> = Vec::new();
    for group in &config.security_groups {
        match (&group.id, group_question(group, answers.region)) {
            (Some(id), _) => groups.push(id.as_str().into()),
            (None, Some(lookup)) => groups.extend(answers.to::<Vec<_>>(&lookup)?),
            (None, None) => (),
        }
    }
    if groups.is_empty() {
        let sought = config.security_groups.iter().filter(|group| !group.filters.is_empty());
        let sought: Vec<String> = sought.map(|group| shown(&group.filters)).collect();
        return Err(LaunchError::invalid(
            "securityGroups",
            nothing("security group", &sought.join(", or ")),
        ));
    }
    Ok(groups)
}

fn group_question(group: &ResourceReference, region: &str) -> Option<Lookup> {
    let searched = group.id.is_none() && !group.filters.is_empty();
    let (region, filters) = (region.to_owned(), asked(&group.filters));
    searched.then_some(Lookup::SecurityGroupsBy { region, filters })
}

/// Returns the lookup of the subnet: by ID as a filter, or by filters with the zone first.
fn subnet_question(config: &AwsMachineProviderConfig, region: &str) -> Option<Lookup> {
    let by = |name: &str, value: &str| FilterBy {
        name: name.to_owned(),
        values: vec![value.to_owned()],
    };
    let filters = match &config.subnet.id {
        Some(id) => vec![by("subnet-id", id)],
        None if config.subnet.filters.is_empty() => return None,
        None => {
            let zone = Some(config.placement.availability_zone.as_str());
            let zone =
                zone.filter(|zone| !zone.is_empty()).map(|zone| by("availabilityZone", zone));
            zone.into_iter().chain(asked(&config.subnet.filters)).collect()
        }
    };
    Some(Lookup::SubnetsBy { region: region.to_owned(), filters })
}

/// Returns the lookup of a subnet with an ID, if the config also names a zone. See
/// [`check_subnet_zone`].
pub fn subnet_zone_lookup(config: &AwsMachineProviderConfig, region: &str) -> Option<Lookup> {
    let both = config.subnet.id.is_some() && !config.placement.availability_zone.is_empty();
    subnet_question(config, region).filter(|_| both)
}

/// Checks that a subnet with an ID is in the zone that the config names. EC2 gets the subnet only, and
/// would place the machine in another zone than requested. A missing subnet is left to the launch.
///
/// # Errors
/// Fails if the subnet is in another zone.
pub fn check_subnet_zone(
    config: &AwsMachineProviderConfig,
    region: &str,
    answers: &BTreeMap<String, Value>,
) -> Result<()> {
    let lookup = subnet_zone_lookup(config, region);
    let answer = lookup.and_then(|lookup| answers.get(&lookup.key()));
    let found = answer.and_then(|answer| Vec::<SubnetCandidate>::deserialize(answer).ok());
    let Some(subnet) = found.and_then(|found| found.into_iter().next()) else { return Ok(()) };
    let asked = &config.placement.availability_zone;
    if subnet.zone.is_empty() || subnet.zone == *asked {
        return Ok(());
    }
    let message = format!("found `{asked}`, but the subnet {} is in `{}`", subnet.id, subnet.zone);
    Err(LaunchError::invalid("placement.availabilityZone", message))
}

struct LaunchSubnet {
    id: SubnetId,
    /// Zone, if it was looked up and AWS knows the subnet.
    zone: Option<String>,
}

/// Returns the subnet. A subnet with an ID is used without a check, because the launch detects a
/// missing one.
fn subnet(
    config: &AwsMachineProviderConfig,
    answers: &RegionLookups<'_>,
    warnings: &mut Vec<String>,
) -> Result<Option<LaunchSubnet>> {
    let Some(lookup) = subnet_question(config, answers.region) else { return Ok(None) };
    if let Some(id) = &config.subnet.id {
        let found: Vec<SubnetCandidate> = match config.public_ip {
            Some(_) => answers.to(&lookup)?,
            None => Vec::new(),
        };
        let zone = found.into_iter().next().map(|found| found.zone);
        let asked = &config.placement.availability_zone;
        if let Some(zone) = zone.as_ref().filter(|zone| !asked.is_empty() && *zone != asked) {
            warnings.push(format!(
                "placement.availabilityZone is {asked}, but the subnet {id} is in {zone}: the \
                 machine is launched in {zone}"
            ));
        }
        return Ok(Some(LaunchSubnet { id: id.as_str().into(), zone }));
    }
    let found: Vec<SubnetCandidate> = answers.to(&lookup)?;
    if found.len() > 1 {
        let (first, others) = (&found[0].id, found.len() - 1);
        warnings.push(format!("{first} is used, but {others} more subnets match"));
    }
    let first = found.into_iter().next();
    let what = match &*config.placement.availability_zone {
        "" => "subnet".to_owned(),
        zone => format!("subnet in zone {zone}"),
    };
    let sought = || nothing(&what, &shown(&config.subnet.filters));
    let first = first.ok_or_else(|| LaunchError::invalid("subnet.filters", sought()))?;
    Ok(Some(LaunchSubnet { id: first.id, zone: Some(first.zone) }))
}

fn public_address(
    config: &AwsMachineProviderConfig,
    subnet: Option<&LaunchSubnet>,
    answers: &RegionLookups<'_>,
) -> Result<Option<PublicAddress>> {
    let Some(wanted) = config.public_ip else { return Ok(None) };
    let zones: ZoneTypes = answers.to(&Lookup::ZoneTypes { region: answers.region.to_owned() })?;
    let zone = subnet.and_then(|subnet| subnet.zone.as_ref());
    let zone = zone.unwrap_or(&config.placement.availability_zone);
    Ok(Some(match zones.get(zone).map(String::as_str) {
        Some(CARRIER) => PublicAddress::Carrier(wanted),
        _ => PublicAddress::Internet(wanted),
    }))
}
