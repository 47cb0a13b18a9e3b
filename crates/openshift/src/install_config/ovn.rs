//! `networking.ovnKubernetesConfig`, and the networks that OVN-Kubernetes uses on its own.
//!
//! No effect on AWS resources: openshift-install writes the settings into manifests. Rules:
//! openshift/installer `pkg/types/validation/installconfig.go`, since 4.18.

use ipnet::Ipv4Net;

use super::document::{self, Spanned};
use super::networking::{NETWORK_TYPE, Purpose, Taken, constant, network, overlap};
use crate::diagnostics::finding::FindingCollector;
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::ClusterNetwork;

/// Networks that OVN-Kubernetes uses on its own: join, transit and masquerade (openshift/installer
/// `pkg/validate/validate.go`, since 4.19). A `joinSubnet` of the config replaces the first.
const OVN_NETWORKS: [&str; 3] = ["100.64.0.0/16", "100.88.0.0/16", "169.254.0.0/17"];

/// Reports cluster and service networks that overlap networks of OVN-Kubernetes.
pub(super) fn check_defaults(has_join_subnet: bool, taken: &Taken, report: &mut FindingCollector) {
    let ours = OVN_NETWORKS.iter().skip(usize::from(has_join_subnet)).map(|cidr| constant(cidr));
    let ours: Vec<Ipv4Net> = ours.collect();
    for (network, spot, _) in taken.0.iter().filter(|(_, _, of)| *of != Purpose::Machines) {
        if let Some(own) = ours.iter().find(|own| overlap(own, network)) {
            let message = format!("found `{network}`, which overlaps `{own}` of OVN-Kubernetes");
            report
                .breach(Rule::OvnDefaults, spot, message)
                .expected("a network outside those of OVN-Kubernetes");
        }
    }
}

/// Returns the network between the routers of OVN-Kubernetes after validation.
pub(super) fn join_subnet(
    given: &Spanned<document::Networking>,
    is_ovn: bool,
    clusters: Option<&[ClusterNetwork]>,
    taken: &Taken,
    report: &mut FindingCollector,
) -> Option<Ipv4Net> {
    let ovn = given.ovn.get()?;
    if !is_ovn {
        report
            .breach(Rule::JoinSubnet, &ovn.spot, "is set")
            .expected(format!("networkType `{NETWORK_TYPE}` to be set"));
    }
    let at = ovn.ipv4.get().and_then(|ipv4| ipv4.join_subnet.filled())?;
    let join = network(at, report)?;
    if let Some((other, spot, _)) = taken.0.iter().find(|(other, ..)| overlap(other, &join)) {
        let message = format!("found `{join}`, which overlaps `{other}` of {}", spot.path);
        report.breach(Rule::JoinSubnet, &at.spot, message).expected("a network of its own");
    }
    let nodes: u64 = clusters.unwrap_or_default().iter().map(nodes).sum();
    let addresses = 1_u64 << (32 - u64::from(join.prefix_len()));
    if addresses <= nodes {
        let message = format!("found `{join}`, too small for the {nodes} nodes of clusterNetwork");
        report.breach(Rule::JoinSubnet, &at.spot, message).expected("an address for each node");
    }
    Some(join)
}

/// Returns the number of nodes that a cluster network has parts for.
fn nodes(network: &ClusterNetwork) -> u64 {
    1 << network.host_prefix.saturating_sub(network.cidr.prefix_len())
}
