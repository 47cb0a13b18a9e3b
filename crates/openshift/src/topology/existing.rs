//! The network of the user: purposes of the existing subnets, and their validation.
//!
//! The checks are those of openshift-install (`pkg/asset/installconfig/aws/validation.go`).

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::{SubnetId, VpcId};
use ipnet::Ipv4Net;

use super::{CompileError, CompileErrors};
use crate::install_config::{InstallConfig, Publish, SubnetRole};
use crate::topology::lookups::{ConfigLookups, EdgeFact, SubnetFact, SubnetReach, ZoneFact};

/// Subnets by zone.
pub(crate) type ByZone = BTreeMap<String, SubnetId>;

/// Existing subnets by purpose, at most one for each purpose in a zone. Without roles in the config,
/// the routes decide: machines and the internal load balancer have the private subnets, and the
/// external one has the public subnets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Existing {
    /// VPC of all subnets.
    pub(crate) vpc: VpcId,
    /// Subnets for machines; at least one.
    pub(crate) private: ByZone,
    /// Subnets for the external load balancer. May be empty in an internal cluster.
    pub(crate) public: ByZone,
    /// Subnets for the internal load balancer.
    pub(crate) internal: ByZone,
    /// Subnets for the bootstrap machine.
    pub(crate) bootstrap: ByZone,
    /// Subnets in Local and Wavelength Zones, by zone.
    pub(crate) edge: BTreeMap<String, EdgeSubnet>,
    /// All subnets, in the order of their IDs.
    pub(crate) all: BTreeMap<SubnetId, SubnetReach>,
}

/// An existing subnet in a Local or Wavelength Zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeSubnet {
    /// The subnet.
    pub(crate) id: SubnetId,
    /// True if its machines get public addresses.
    pub(crate) public: bool,
    /// The zone.
    pub(crate) zone: ZoneFact,
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
    let public_only = lookups.public_only;
    let existing = sort(config, &subnets, public_only, &mut flaws);
    if existing.is_some() && complete {
        check_publishing(config, &subnets, public_only, &mut flaws);
        if !config.aws.subnet_roles.is_empty() {
            check_roles(config, &subnets, public_only, &mut flaws);
        }
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
    public_only: bool,
    flaws: &mut Vec<CompileError>,
) -> Option<Existing> {
    let (_, first) = subnets.first()?;
    for (index, subnet) in subnets {
        flaws.extend(misplaced(&config.networking.machine_networks, *index, subnet, first));
    }
    let edge = edge_subnets(config, subnets, flaws);
    let mut of = |sort: &'static str, is_meant: &dyn Fn(&SubnetFact) -> bool| {
        let usable = subnets.iter().filter(|(_, subnet)| subnet.reach != SubnetReach::Edge);
        by_zone(sort, usable.filter(|(_, subnet)| is_meant(subnet)), flaws)
    };
    let all = subnets.iter().map(|(_, subnet)| (subnet.id.clone(), subnet.reach)).collect();
    let vpc = first.vpc.clone();
    let roles = &config.aws.subnet_roles;
    if roles.is_empty() {
        // With public subnets only, openshift-install takes all of them for subnets of machines.
        let private = of("private", &|subnet| public_only || subnet.reach == SubnetReach::Private);
        let public = of("public", &|subnet| subnet.reach == SubnetReach::Public);
        let bootstrap = match config.publish {
            Publish::External => public.clone(),
            Publish::Internal => private.clone(),
        };
        let internal = private.clone();
        return Some(Existing { vpc, internal, private, public, bootstrap, edge, all });
    }
    let mut with = |role: SubnetRole| {
        let has =
            |subnet: &SubnetFact| roles.get(&subnet.id).is_some_and(|all| all.contains(&role));
        of(role.name(), &has)
    };
    // The subnets of the ingress controller are checked here and used by openshift-install alone, in
    // the manifest of the ingress controller.
    with(SubnetRole::IngressControllerLb);
    Some(Existing {
        vpc,
        private: with(SubnetRole::ClusterNode),
        public: with(SubnetRole::ControlPlaneExternalLb),
        internal: with(SubnetRole::ControlPlaneInternalLb),
        bootstrap: with(SubnetRole::BootstrapNode),
        edge,
        all,
    })
}

/// Returns the subnets in Local and Wavelength Zones by zone. Reports a second subnet of a zone, and roles
/// that do not fit (openshift/installer `pkg/asset/installconfig/aws/validation.go`: subnets in edge zones,
/// and no others, have the role `EdgeNode`).
fn edge_subnets(
    config: &InstallConfig,
    subnets: &[(usize, &SubnetFact)],
    flaws: &mut Vec<CompileError>,
) -> BTreeMap<String, EdgeSubnet> {
    let mut by_zone: BTreeMap<String, EdgeSubnet> = BTreeMap::new();
    for (index, subnet) in subnets {
        let roles = config.aws.subnet_roles.get(&subnet.id);
        let is_edge = subnet.reach == SubnetReach::Edge;
        if roles.is_some_and(|roles| roles.contains(&SubnetRole::EdgeNode) != is_edge) {
            flaws.push(CompileError::unsupported(
                format!("platform.aws.vpc.subnets[{index}].roles"),
                match is_edge {
                    true => "the subnet is in an edge zone, and its role is not `EdgeNode`",
                    false => "the role is `EdgeNode`, and the subnet is in no edge zone",
                },
                "set `EdgeNode` for the subnets in Local and Wavelength Zones only",
            ));
        }
        let (zone, id) = (subnet.zone.clone(), subnet.id.clone());
        let Some(EdgeFact { zone: fact, public }) = subnet.edge.as_ref().filter(|_| is_edge) else {
            // Only a lookup result of an older version has no facts about the zone.
            flaws.extend(is_edge.then_some(CompileError::EdgeUnknown { index: *index, id }));
            continue;
        };
        let edge = EdgeSubnet { id, public: *public, zone: fact.clone() };
        if let Some(first) = by_zone.insert(zone.clone(), edge).map(|edge| edge.id)
            && first != subnet.id
        {
            let (second, sort) = (subnet.id.clone(), "edge");
            flaws.push(CompileError::SecondSubnet { index: *index, first, second, sort, zone });
        }
    }
    by_zone
}

/// Returns subnets for one purpose by zone. Reports a second subnet of a zone.
fn by_zone<'a>(
    sort: &'static str,
    subnets: impl Iterator<Item = &'a (usize, &'a SubnetFact)>,
    flaws: &mut Vec<CompileError>,
) -> ByZone {
    let mut by_zone = ByZone::new();
    for (index, subnet) in subnets {
        let zone = subnet.zone.clone();
        match by_zone.insert(zone.clone(), subnet.id.clone()) {
            Some(first) if first != subnet.id => {
                let second = subnet.id.clone();
                flaws.push(CompileError::SecondSubnet { index: *index, first, second, sort, zone });
            }
            _ => (),
        }
    }
    by_zone
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

fn check_publishing(
    config: &InstallConfig,
    subnets: &[(usize, &SubnetFact)],
    public_only: bool,
    flaws: &mut Vec<CompileError>,
) {
    let zones = |reach| -> BTreeSet<&String> {
        let meant = subnets.iter().filter(|(_, subnet)| subnet.reach == reach);
        meant.map(|(_, subnet)| &subnet.zone).collect()
    };
    let (private, public) = (zones(SubnetReach::Private), zones(SubnetReach::Public));
    if public_only && public.is_empty() {
        flaws.push(CompileError::NoPublicSubnets);
        return;
    }
    if !public_only && private.is_empty() {
        flaws.push(CompileError::NoPrivateSubnet);
    }
    if config.publish == Publish::External {
        let lacking = private.difference(&public);
        flaws.extend(lacking.map(|zone| CompileError::NoPublicSubnet { zone: (*zone).clone() }));
    }
}

/// Reports subnets whose routes do not fit their roles, and load balancers without the zones of the
/// machines. Reference: openshift/installer `pkg/asset/installconfig/aws/validation.go`,
/// `validateSubnetRoles`, since 4.19.
fn check_roles(
    config: &InstallConfig,
    subnets: &[(usize, &SubnetFact)],
    public_only: bool,
    flaws: &mut Vec<CompileError>,
) {
    use SubnetRole::{
        BootstrapNode, ClusterNode, ControlPlaneExternalLb, ControlPlaneInternalLb,
        IngressControllerLb,
    };
    let is_external = config.publish == Publish::External;
    let of_publish = if is_external { SubnetReach::Public } else { SubnetReach::Private };
    let of_machines = (!public_only).then_some(SubnetReach::Private);
    let fitting = [
        (ClusterNode, of_machines),
        (BootstrapNode, is_external.then_some(SubnetReach::Public)),
        (IngressControllerLb, Some(of_publish)),
        (ControlPlaneExternalLb, Some(SubnetReach::Public)),
        (ControlPlaneInternalLb, of_machines),
    ];
    let roles = &config.aws.subnet_roles;
    let with = |role: SubnetRole| {
        let has = move |(_, subnet): &&(usize, &SubnetFact)| {
            roles.get(&subnet.id).is_some_and(|all| all.contains(&role))
        };
        subnets.iter().filter(has).filter(|(_, subnet)| subnet.reach != SubnetReach::Edge)
    };
    for (role, wanted) in fitting {
        let unfit =
            with(role).filter(|(_, subnet)| wanted.is_some_and(|reach| subnet.reach != reach));
        flaws.extend(unfit.map(|(index, subnet)| CompileError::RoleOfSubnet {
            index: *index,
            id: subnet.id.clone(),
            role: role.name(),
            is_public: subnet.reach == SubnetReach::Public,
        }));
    }
    let zones = |role| with(role).map(|(_, subnet)| &subnet.zone).collect::<BTreeSet<_>>();
    let of_machines = zones(ClusterNode);
    let balancers = [ControlPlaneInternalLb, IngressControllerLb].into_iter();
    for role in balancers.chain(is_external.then_some(ControlPlaneExternalLb)) {
        let of_balancer = zones(role);
        let differing = of_machines.symmetric_difference(&of_balancer);
        flaws.extend(differing.map(|zone| CompileError::ZoneOfRole {
            role: role.name(),
            has_machines: of_machines.contains(zone),
            zone: (*zone).clone(),
        }));
    }
}

/// Returns the warning about public subnets of an internal cluster, which openshift-install also
/// gives: nothing of the cluster needs them.
pub(super) fn exposed(config: &InstallConfig, existing: &Existing) -> Option<String> {
    let public = existing.all.iter().filter(|(_, reach)| **reach == SubnetReach::Public);
    let public: Vec<&str> = public.map(|(id, _)| id.as_str()).collect();
    let is_exposed = config.publish == Publish::Internal && !public.is_empty();
    is_exposed.then(|| {
        format!(
            "platform.aws.subnets: found public subnets ({}), but `publish` is `Internal`: remove \
             them, because the cluster does not use them",
            public.join(", ")
        )
    })
}
