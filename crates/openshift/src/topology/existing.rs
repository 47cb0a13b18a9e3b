//! The network of the user: purposes of the existing subnets, and their validation.
//!
//! The checks are those of openshift-install (`pkg/asset/installconfig/aws/validation.go`).

use std::collections::BTreeMap;

use groundplan_aws::model::ids::{SubnetId, VpcId};
use ipnet::Ipv4Net;

use super::{CompileError, CompileErrors};
use crate::install_config::{InstallConfig, Publish};
use crate::topology::lookups::{ConfigLookups, SubnetFact, SubnetReach};

/// Existing subnets: at most one private and one public subnet per zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Existing {
    /// VPC of all subnets.
    pub(crate) vpc: VpcId,
    /// Subnets for machines, by zone; at least one.
    pub(crate) private: BTreeMap<String, SubnetId>,
    /// Subnets with a route to the internet, by zone. May be empty in an internal cluster.
    pub(crate) public: BTreeMap<String, SubnetId>,
}

/// Returns the existing network. `None` if the config names no subnets or they are unsuitable; the
/// latter is reported.
pub(super) fn find(
    config: &InstallConfig,
    lookups: &ConfigLookups,
    errors: &mut CompileErrors,
) -> Option<Existing> {
    let known = errors.keep(lookups.subnets.as_ref()?.as_ref().map_err(Clone::clone))?;
    let mut flaws = Vec::new();
    let mut subnets = Vec::new();
    for (index, id) in config.aws.subnets.iter().enumerate() {
        match known.get(id) {
            Some(subnet) => subnets.push((index, subnet)),
            None => {
                let region = config.aws.region.clone();
                flaws.push(CompileError::SubnetNotFound { index, id: id.clone(), region });
            }
        }
    }
    // Missing subnets may be exactly those that the publishing checks require, so these checks are
    // skipped.
    let complete = flaws.is_empty();
    let existing = sort(config, &subnets, &mut flaws);
    if let Some(existing) = existing.as_ref().filter(|_| complete) {
        check_publishing(config, existing, &mut flaws);
    }
    let fit = flaws.is_empty();
    flaws.into_iter().for_each(|flaw| errors.add(flaw));
    existing.filter(|_| fit)
}

/// Returns the VPC of the first subnet that exists.
pub(super) fn vpc<'a>(config: &InstallConfig, lookups: &'a ConfigLookups) -> Option<&'a VpcId> {
    let known = lookups.subnets.as_ref()?.as_ref().ok()?;
    config.aws.subnets.iter().find_map(|id| known.get(id)).map(|subnet| &subnet.vpc)
}

/// Sorts subnets, given with their indexes in the config, by purpose.
fn sort(
    config: &InstallConfig,
    subnets: &[(usize, &SubnetFact)],
    flaws: &mut Vec<CompileError>,
) -> Option<Existing> {
    let (_, first) = subnets.first()?;
    let vpc = first.vpc.clone();
    let mut existing = Existing { vpc, private: BTreeMap::new(), public: BTreeMap::new() };
    for (index, subnet) in subnets {
        flaws.extend(misplaced(&config.networking.machine_networks, *index, subnet, first));
        let (sort, by_zone) = match subnet.reach {
            SubnetReach::Private => ("private", &mut existing.private),
            SubnetReach::Public => ("public", &mut existing.public),
            SubnetReach::Edge => {
                flaws.push(edge(*index));
                continue;
            }
        };
        let zone = subnet.zone.clone();
        match by_zone.insert(zone.clone(), subnet.id.clone()) {
            Some(first) if first != subnet.id => {
                let second = subnet.id.clone();
                flaws.push(CompileError::SecondSubnet { index: *index, first, second, sort, zone });
            }
            _ => (),
        }
    }
    Some(existing)
}

/// Reports a subnet outside the VPC of the first one, or with a first address outside all machine
/// networks. openshift-install checks no more than that.
fn misplaced(
    machine_networks: &[Ipv4Net],
    index: usize,
    subnet: &SubnetFact,
    first: &SubnetFact,
) -> Vec<CompileError> {
    let mut flaws = Vec::new();
    if subnet.vpc != first.vpc {
        flaws.push(CompileError::SeveralVpcs {
            index,
            first: first.id.clone(),
            its_vpc: first.vpc.clone(),
            other: subnet.id.clone(),
            other_vpc: subnet.vpc.clone(),
        });
    }
    let start = subnet.cidr.network();
    if !machine_networks.iter().any(|network| network.contains(&start)) {
        flaws.push(CompileError::SubnetOutside { index, id: subnet.id.clone(), start });
    }
    flaws
}

fn check_publishing(config: &InstallConfig, existing: &Existing, flaws: &mut Vec<CompileError>) {
    if existing.private.is_empty() {
        flaws.push(CompileError::NoPrivateSubnet);
    }
    if config.publish == Publish::External {
        let lacking = existing.private.keys().filter(|zone| !existing.public.contains_key(*zone));
        flaws.extend(lacking.map(|zone| CompileError::NoPublicSubnet { zone: zone.clone() }));
    }
}

/// Returns the warning about public subnets of an internal cluster, which openshift-install also
/// gives: nothing of the cluster needs them.
pub(super) fn exposed(config: &InstallConfig, existing: &Existing) -> Option<String> {
    let public: Vec<&str> = existing.public.values().map(SubnetId::as_str).collect();
    let is_exposed = config.publish == Publish::Internal && !public.is_empty();
    is_exposed.then(|| {
        format!(
            "platform.aws.subnets: found public subnets ({}), but `publish` is `Internal`: remove \
             them, because the cluster does not use them",
            public.join(", ")
        )
    })
}

fn edge(index: usize) -> CompileError {
    CompileError::unsupported(
        format!("platform.aws.subnets[{index}]"),
        "subnets in local and wavelength zones are not supported",
        "list subnets in ordinary availability zones only",
    )
}
