//! `networking`: validation of syntax, overlap and size of the networks.
//!
//! Rules: openshift/installer `pkg/types/validation/installconfig.go`, release-4.15.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::document::{self, Document, FieldValue, Spanned};
use super::ovn;
use crate::diagnostics::finding::{FieldSpan, FindingCollector, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{ClusterNetwork, Networking};

/// openshift/installer `pkg/types/defaults/installconfig.go`
const MACHINE_NETWORK: &str = "10.0.0.0/16";
const SERVICE_NETWORK: &str = "172.30.0.0/16";
pub(super) const CLUSTER_NETWORK: (&str, u8) = ("10.128.0.0/14", 23);
pub(super) const NETWORK_TYPE: &str = "OVNKubernetes";

/// Range of the MTU. Jumbo frames have 9001 bytes, of which OVN-Kubernetes uses 100.
pub(super) const MTU: std::ops::RangeInclusive<i64> = 1000..=8901;

/// The bridge network of container engines on the nodes.
const DOCKER_BRIDGE: &str = "172.17.0.0/16";

/// Returns the networks. Returns `None` if any of them has an error.
pub(super) fn networking(document: &Document, report: &mut FindingCollector) -> Option<Networking> {
    let given = match &document.networking {
        FieldValue::Unreadable => return None,
        FieldValue::Missing | FieldValue::Empty(_) => return Some(defaults()),
        FieldValue::Value(given) => given,
    };
    let mut taken = Taken::default();
    let machine_networks = machine_networks(given, &mut taken, report);
    let service_networks = service_networks(given, &mut taken, report);
    let network_type = network_type(given, report);
    let is_ovn = network_type.as_deref().is_none_or(|name| name == NETWORK_TYPE);
    let cluster_networks = cluster_networks(given, is_ovn, &mut taken, report);
    let cluster_network_mtu = mtu(given, is_ovn, report);
    warn_of_edge(document, cluster_network_mtu.flatten(), given, report);
    let join_subnet = ovn::join_subnet(given, is_ovn, cluster_networks.as_deref(), &taken, report);
    if is_ovn {
        ovn::check_defaults(join_subnet.is_some(), &taken, report);
    }
    Some(Networking {
        network_type: network_type?,
        machine_networks: machine_networks?,
        cluster_networks: cluster_networks?,
        service_networks: service_networks?,
        cluster_network_mtu: cluster_network_mtu?,
        join_subnet,
    })
}

pub(super) fn overlap(one: &Ipv4Net, other: &Ipv4Net) -> bool {
    one.contains(other) || other.contains(one)
}

fn defaults() -> Networking {
    let (cidr, host_prefix) = CLUSTER_NETWORK;
    Networking {
        network_type: NETWORK_TYPE.into(),
        machine_networks: vec![constant(MACHINE_NETWORK)],
        cluster_networks: vec![ClusterNetwork { cidr: constant(cidr), host_prefix }],
        service_networks: vec![constant(SERVICE_NETWORK)],
        cluster_network_mtu: None,
        join_subnet: None,
    }
}

pub(super) fn constant(cidr: &str) -> Ipv4Net {
    cidr.parse().expect("BUG: the default networks are networks")
}

/// Use of a network.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Machines,
    Services,
    Pods,
}

/// The networks so far, with their fields and uses.
#[derive(Default)]
pub(super) struct Taken(pub(super) Vec<(Ipv4Net, FieldSpan, Purpose)>);

impl Taken {
    /// Adds a network that must not overlap those before it.
    fn add(
        &mut self,
        (network, purpose): (Ipv4Net, Purpose),
        spot: &FieldSpan,
        report: &mut FindingCollector,
    ) {
        if let Some((other, owner, _)) = self.0.iter().find(|(other, ..)| overlap(other, &network))
        {
            let owner = &owner.path;
            report
                .breach(
                    Rule::NetworkOverlap,
                    spot,
                    format!("found `{network}`, which overlaps `{other}` of {owner}"),
                )
                .expected("networks that do not overlap");
        } else if overlap(&network, &constant(DOCKER_BRIDGE)) {
            let message = format!("found `{network}`, which overlaps `{DOCKER_BRIDGE}`");
            report
                .breach(Rule::ContainerBridge, spot, message)
                .hint("use another network; container engines use this one on the nodes");
        }
        self.0.push((network, spot.clone(), purpose));
    }

    /// Adds the default network of a missing field.
    fn add_default(
        &mut self,
        (cidr, purpose): (&str, Purpose),
        parent: &FieldSpan,
        name: &str,
        report: &mut FindingCollector,
    ) -> Ipv4Net {
        let network = constant(cidr);
        self.add((network, purpose), &parent.child(name), report);
        network
    }
}

fn machine_networks(
    given: &Spanned<document::Networking>,
    taken: &mut Taken,
    report: &mut FindingCollector,
) -> Option<Vec<Ipv4Net>> {
    let new = given.machine_network.items();
    let old = given.old_machine_cidr.get();
    deprecated(old, "machineNetwork", !new.is_empty(), report);
    if !new.is_empty() {
        let read = |item: &Spanned<document::MachineNetwork>| {
            let cidr = item.cidr.require(&item.spot, "cidr", report)?;
            machine_network(cidr, taken, report)
        };
        return whole(new.iter().map(read));
    }
    if let Some(old) = old {
        return Some(vec![machine_network(old, taken, report)?]);
    }
    unless_unreadable(&given.machine_network, || {
        let default = (MACHINE_NETWORK, Purpose::Machines);
        vec![taken.add_default(default, &given.spot, "machineNetwork", report)]
    })
}

fn machine_network(
    cidr: &Spanned<String>,
    taken: &mut Taken,
    report: &mut FindingCollector,
) -> Option<Ipv4Net> {
    let network = network(cidr, report)?;
    taken.add((network, Purpose::Machines), &cidr.spot, report);
    Some(network)
}

fn service_networks(
    given: &Spanned<document::Networking>,
    taken: &mut Taken,
    report: &mut FindingCollector,
) -> Option<Vec<Ipv4Net>> {
    let new = given.service_network.items();
    let old = given.old_service_cidr.get();
    deprecated(old, "serviceNetwork", !new.is_empty(), report);
    if let Some(second) = new.get(1) {
        report
            .breach(Rule::ServiceNetworks, &second.spot, "is a second network")
            .expected("exactly one service network");
    }
    let cidrs: Vec<&Spanned<String>> =
        if new.is_empty() { old.into_iter().collect() } else { new.iter().collect() };
    if !cidrs.is_empty() {
        return whole(cidrs.into_iter().map(|cidr| service_network(cidr, taken, report)));
    }
    unless_unreadable(&given.service_network, || {
        let default = (SERVICE_NETWORK, Purpose::Services);
        vec![taken.add_default(default, &given.spot, "serviceNetwork", report)]
    })
}

fn service_network(
    cidr: &Spanned<String>,
    taken: &mut Taken,
    report: &mut FindingCollector,
) -> Option<Ipv4Net> {
    const SHORTEST: u8 = 12; // Kubernetes rejects larger service networks
    let network = network(cidr, report)?;
    if network.prefix_len() < SHORTEST {
        let message = format!("found `{network}`, which is too large");
        report
            .breach(Rule::ServiceNetworkSize, &cidr.spot, message)
            .expected(format!("a prefix of /{SHORTEST} or longer"));
    }
    taken.add((network, Purpose::Services), &cidr.spot, report);
    Some(network)
}

fn cluster_networks(
    given: &Spanned<document::Networking>,
    is_ovn: bool,
    taken: &mut Taken,
    report: &mut FindingCollector,
) -> Option<Vec<ClusterNetwork>> {
    let new = given.cluster_network.items();
    let old = given.old_cluster_networks.items();
    deprecated(given.old_cluster_networks.get(), "clusterNetwork", !new.is_empty(), report);
    let items = if new.is_empty() { old } else { new };
    if !items.is_empty() {
        return whole(items.iter().map(|item| cluster_network(item, is_ovn, taken, report)));
    }
    let (cidr, host_prefix) = CLUSTER_NETWORK;
    unless_unreadable(&given.cluster_network, || {
        let default = (cidr, Purpose::Pods);
        let cidr = taken.add_default(default, &given.spot, "clusterNetwork", report);
        vec![ClusterNetwork { cidr, host_prefix }]
    })
}

fn cluster_network(
    item: &Spanned<document::ClusterNetwork>,
    is_ovn: bool,
    taken: &mut Taken,
    report: &mut FindingCollector,
) -> Option<ClusterNetwork> {
    let at = item.cidr.require(&item.spot, "cidr", report)?;
    let cidr = network(at, report)?;
    taken.add((cidr, Purpose::Pods), &at.spot, report);
    if !is_ovn && has_no_host_prefix(item) {
        return Some(ClusterNetwork { cidr, host_prefix: 0 });
    }
    let (prefix, spot) = host_prefix(item, report)?;
    let within =
        u8::try_from(prefix).ok().filter(|prefix| (cidr.prefix_len()..=32).contains(prefix));
    if within.is_none() {
        report
            .breach(Rule::HostPrefix, &spot, format!("found `{prefix}`"))
            .expected(format!("a prefix length from {} to 32", cidr.prefix_len()));
    }
    Some(ClusterNetwork { cidr, host_prefix: within? })
}

/// Returns true if the network plug-in divides the network among the nodes.
fn has_no_host_prefix(item: &document::ClusterNetwork) -> bool {
    let is_zero = |at: &Spanned<i64>| at.value == 0;
    !item.old_host_subnet_length.is_given()
        && (!item.host_prefix.is_given() || item.host_prefix.get().is_some_and(is_zero))
}

fn host_prefix(
    item: &Spanned<document::ClusterNetwork>,
    report: &mut FindingCollector,
) -> Option<(i64, FieldSpan)> {
    let old = item.old_host_subnet_length.get();
    deprecated(old, "hostPrefix", item.host_prefix.is_given(), report);
    match old {
        Some(old) if !item.host_prefix.is_given() => {
            Some((32_i64.checked_sub(old.value)?, old.spot.clone()))
        }
        _ => {
            let new = item.host_prefix.require(&item.spot, "hostPrefix", report)?;
            Some((new.value, new.spot.clone()))
        }
    }
}

/// Parses a network. Reports IPv6 networks, host bits and `0.0.0.0`.
pub(super) fn network(cidr: &Spanned<String>, report: &mut FindingCollector) -> Option<Ipv4Net> {
    let found = format!("found {}", shown(&cidr.value));
    let network = match cidr.value.parse::<IpNet>() {
        Ok(IpNet::V4(network)) => network,
        Ok(IpNet::V6(_)) => {
            report
                .breach(Rule::NetworkFamily, &cidr.spot, found)
                .expected("an IPv4 network; aws supports no other");
            return None;
        }
        Err(_) => {
            report
                .breach(Rule::Network, &cidr.spot, found)
                .expected("a network such as `10.0.0.0/16`");
            return None;
        }
    };
    if network.trunc() != network {
        report
            .breach(
                Rule::HostBits,
                &cidr.spot,
                format!("{found}, whose address has bits beyond the prefix"),
            )
            .expected("the first address of the network")
            .hint(format!("did you mean `{}`?", network.trunc()));
        return None;
    }
    if network.addr() == Ipv4Addr::UNSPECIFIED {
        report
            .breach(Rule::UnspecifiedNetwork, &cidr.spot, found)
            .expected("an address other than `0.0.0.0`");
        return None;
    }
    Some(network)
}

fn network_type(
    given: &Spanned<document::Networking>,
    report: &mut FindingCollector,
) -> Option<String> {
    // openshift/installer pkg/types/validation/installconfig.go: removed plug-ins.
    const REMOVED: [&str; 2] = ["Kuryr", "OpenShiftSDN"];
    let old = given.old_type.get();
    deprecated(old, "networkType", given.network_type.is_given(), report);
    if let FieldValue::Unreadable = given.network_type {
        return None;
    }
    let Some(at) = given.network_type.get().or(old).filter(|at| !at.value.is_empty()) else {
        return Some(NETWORK_TYPE.into());
    };
    if REMOVED.contains(&at.value.as_str()) {
        report
            .breach(
                Rule::NetworkType,
                &at.spot,
                format!("found `{}`, which is no longer supported", at.value),
            )
            .expected(format!("`{NETWORK_TYPE}`"));
        return None;
    }
    Some(at.value.clone())
}

/// Returns the MTU. The outer option is `None` after a finding; the inner option is `None` if the
/// MTU is omitted or 0.
fn mtu(
    given: &Spanned<document::Networking>,
    is_ovn: bool,
    report: &mut FindingCollector,
) -> Option<Option<u32>> {
    if let FieldValue::Unreadable = given.cluster_network_mtu {
        return None;
    }
    let Some(at) = given.cluster_network_mtu.get().filter(|at| at.value != 0) else {
        return Some(None);
    };
    if !is_ovn {
        report
            .breach(Rule::MtuNetworkType, &at.spot, "is set")
            .expected(format!("networkType `{NETWORK_TYPE}` to be set"));
        return None;
    }
    if !MTU.contains(&at.value) {
        report
            .breach(Rule::Mtu, &at.spot, format!("found `{}`", at.value))
            .expected("a number from 1000 to 8901");
        return None;
    }
    Some(u32::try_from(at.value).ok())
}

/// Warns of an MTU that is too large for Local Zones, which carry smaller packets.
fn warn_of_edge(
    document: &Document,
    mtu: Option<u32>,
    given: &document::Networking,
    report: &mut FindingCollector,
) {
    const MOST_AT_THE_EDGE: u32 = 1200;
    let is_edge = |pool: &Spanned<document::MachinePool>| pool.name.text() == Some("edge");
    let (Some(at), Some(mtu)) = (given.cluster_network_mtu.get(), mtu) else { return };
    if mtu > MOST_AT_THE_EDGE && document.compute.items().iter().any(is_edge) {
        report
            .breach(Rule::MtuEdge, &at.spot, format!("found `{mtu}` with an edge pool"))
            .expected(format!("at most {MOST_AT_THE_EDGE}"));
    }
}

/// Reports that a field has a new name.
fn deprecated<T>(old: Option<&Spanned<T>>, new: &str, both: bool, report: &mut FindingCollector) {
    if let Some(old) = old {
        let effect = if both {
            "is deprecated and has no effect beside"
        } else {
            "is deprecated in favour of"
        };
        report
            .breach(Rule::Deprecated, &old.spot, format!("{effect} `{new}`"))
            .hint(format!("use only `{new}`"));
    }
}

/// Returns all items, or `None` if any is missing. Reads every item in both cases.
fn whole<T>(items: impl Iterator<Item = Option<T>>) -> Option<Vec<T>> {
    let read: Vec<Option<T>> = items.collect();
    read.into_iter().collect()
}

fn unless_unreadable<T, D>(given: &FieldValue<T>, default: impl FnOnce() -> D) -> Option<D> {
    match given {
        FieldValue::Unreadable => None,
        FieldValue::Missing | FieldValue::Empty(_) | FieldValue::Value(_) => Some(default()),
    }
}

/// Reports a machine network that cannot become a VPC with the subnets of `zones` zones.
///
/// AWS allows prefixes from /16 to /28 for VPCs and subnets. One half of the network is private and
/// the other public. Each half is divided into a power of two of equal parts, at least two, one for
/// each zone.
pub(super) fn fits_zones(
    document: &Document,
    networking: &Networking,
    zones: usize,
    report: &mut FindingCollector,
) {
    const VPC: u8 = 16;
    const SUBNET: u32 = 28;
    if brings_subnets(document) {
        return;
    }
    let Some(network) = networking.machine_networks.first() else { return };
    let spot = first_machine_network(document);
    if network.prefix_len() < VPC {
        let message = format!("found `{network}`, which is too large for a VPC");
        report.breach(Rule::VpcSize, &spot, message).expected("a prefix from /16 to /28");
    }
    let shares = zones.max(2).next_power_of_two();
    let prefix = u32::from(network.prefix_len()) + 1 + shares.ilog2();
    if prefix > SUBNET {
        let message =
            format!("found `{network}`, too small for the subnets: they would be /{prefix}");
        report
            .breach(Rule::SubnetRoom, &spot, message)
            .expected("subnets of /28 or larger, a private and a public one in each zone")
            .hint(format!("use a prefix of /{} or shorter", SUBNET - 1 - shares.ilog2()));
    }
}

fn brings_subnets(document: &Document) -> bool {
    let aws = document.platform.get().and_then(|platform| platform.aws.get());
    aws.is_some_and(|aws| super::aws::has_subnets(aws))
}

fn first_machine_network(document: &Document) -> FieldSpan {
    let Some(given) = document.networking.get() else {
        return FieldSpan::file().child("networking");
    };
    let first = given.machine_network.items().first();
    let cidr = first.and_then(|item| item.cidr.get()).or(given.old_machine_cidr.get());
    cidr.map_or_else(|| given.spot.child("machineNetwork"), |cidr| cidr.spot.clone())
}
