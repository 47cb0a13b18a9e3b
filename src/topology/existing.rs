//! The network that the user brought: which subnets serve what, and whether they can.
//!
//! The checks are those of openshift-install (`pkg/asset/installconfig/aws/validation.go`).

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use super::Error;
use super::facts::{self, Facts, Reach, SubnetFact};
use crate::aws::ids::{SubnetId, VpcId};
use crate::config::{InstallConfig, Publish};

/// Existing subnets, at most one of each sort per zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Existing {
    /// The VPC of all of them.
    pub(crate) vpc: VpcId,
    /// For machines, by zone; at least one.
    pub(crate) private: BTreeMap<String, SubnetId>,
    /// For what faces the internet, by zone; there may be none in an internal cluster.
    pub(crate) public: BTreeMap<String, SubnetId>,
}

impl Existing {
    /// The first of these zones that has no private subnet.
    pub(crate) fn missing_zone(&self, zones: &[String]) -> Option<String> {
        zones.iter().find(|zone| !self.private.contains_key(*zone)).cloned()
    }
}

/// The existing network, if the config names one.
pub(crate) fn find(config: &InstallConfig, facts: &Facts) -> Result<Option<Existing>, Error> {
    if config.aws.subnets.is_empty() {
        return Ok(None);
    }
    let answered: Vec<SubnetFact> = facts.answer(&facts::subnets(config))?;
    let known: BTreeMap<&SubnetId, &SubnetFact> =
        answered.iter().map(|subnet| (&subnet.id, subnet)).collect();
    let missing = |index, id: &SubnetId| Error::SubnetNotFound {
        index,
        id: id.clone(),
        region: config.aws.region.clone(),
    };
    let subnets = config.aws.subnets.iter().enumerate();
    let subnets = subnets
        .map(|(index, id)| known.get(id).copied().ok_or_else(|| missing(index, id)))
        .collect::<Result<Vec<_>, _>>()?;
    let existing = sort(config, &subnets)?;
    check_publishing(config, &existing)?;
    Ok(Some(existing))
}

fn sort(config: &InstallConfig, subnets: &[&SubnetFact]) -> Result<Existing, Error> {
    let vpc = subnets[0].vpc.clone();
    let mut existing = Existing { vpc, private: BTreeMap::new(), public: BTreeMap::new() };
    for (index, subnet) in subnets.iter().enumerate() {
        check_place(&config.networking.machine_networks, index, subnet, subnets[0])?;
        let (sort, by_zone) = match subnet.reach {
            Reach::Private => ("private", &mut existing.private),
            Reach::Public => ("public", &mut existing.public),
            Reach::Edge => return Err(edge(index)),
        };
        match by_zone.insert(subnet.zone.clone(), subnet.id.clone()) {
            Some(first) if first != subnet.id => {
                let zone = subnet.zone.clone();
                let second = subnet.id.clone();
                return Err(Error::SecondSubnet { index, first, second, sort, zone });
            }
            _ => (),
        }
    }
    Ok(existing)
}

/// It must be in the VPC of the first, and begin in a machine network: upstream tests no more.
fn check_place(
    machine_networks: &[Ipv4Net],
    index: usize,
    subnet: &SubnetFact,
    first: &SubnetFact,
) -> Result<(), Error> {
    if subnet.vpc != first.vpc {
        return Err(Error::SeveralVpcs {
            first: first.id.clone(),
            its_vpc: first.vpc.clone(),
            other: subnet.id.clone(),
            other_vpc: subnet.vpc.clone(),
        });
    }
    let start = subnet.cidr.network();
    if !machine_networks.iter().any(|network| network.contains(&start)) {
        return Err(Error::SubnetOutside { index, id: subnet.id.clone(), start });
    }
    Ok(())
}

fn check_publishing(config: &InstallConfig, existing: &Existing) -> Result<(), Error> {
    if existing.private.is_empty() {
        return Err(Error::NoPrivateSubnet);
    }
    let lacks_public = |zone: &&String| !existing.public.contains_key(*zone);
    match existing.private.keys().find(lacks_public) {
        Some(zone) if config.publish == Publish::External => {
            Err(Error::NoPublicSubnet { zone: zone.clone() })
        }
        _ => Ok(()),
    }
}

fn edge(index: usize) -> Error {
    Error::unsupported(
        format!("platform.aws.subnets[{index}]"),
        "subnets in local and wavelength zones are not supported",
        "list subnets in ordinary availability zones only",
    )
}
