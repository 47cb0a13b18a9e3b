//! The security groups and their 57 rules (release-4.15, `vpc/sg-{master,worker}.tf`,
//! `bootstrap/main.tf`).

use TrafficSource::{Machines, Other, Own};
use groundplan_aws::kinds::security_group::SecurityGroup;
use groundplan_aws::kinds::security_group_rules::{
    Peer, Ports, SecurityGroupRule, SecurityGroupRules,
};
use groundplan_aws::model::ids::SecurityGroupId;
use groundplan_engine::graph::{Graph, Handle, Input};
use groundplan_engine::out;
use ipnet::Ipv4Net;

use super::ClusterSpec;
use super::layout::RoleLayout;
use super::naming::ResourceNames;
use super::network::Network;
use crate::install_config::Publish;

const DESCRIPTION: &str = "Created By OpenShift Installer";

/// The security groups of machines.
pub(crate) struct SecurityGroups {
    /// Group of the masters and of the bootstrap.
    pub(crate) master: Handle<SecurityGroup>,
}

/// Source of the traffic that a rule allows.
#[derive(Clone, Copy)]
enum TrafficSource {
    /// Addresses in the machine networks.
    Machines,
    /// Members of the same group.
    Own,
    /// Members of the group of the other role.
    Other,
}

/// Protocol, ports, and one rule for each source.
type Row = (&'static str, Option<(i32, i32)>, &'static [TrafficSource]);

/// Traffic between nodes of both roles, and access from the machine networks.
const NODE: &[Row] = &[
    ("icmp", Some((-1, -1)), &[Machines]),
    ("tcp", Some((22, 22)), &[Machines]),
    ("udp", Some((4789, 4789)), &[Own, Other]),   // VXLAN
    ("udp", Some((6081, 6081)), &[Own, Other]),   // Geneve
    ("udp", Some((500, 500)), &[Own, Other]),     // IKE
    ("udp", Some((4500, 4500)), &[Own, Other]),   // IKE behind NAT
    ("50", None, &[Own, Other]),                  // ESP
    ("tcp", Some((9000, 9999)), &[Own, Other]),   // services in the host network
    ("udp", Some((9000, 9999)), &[Own, Other]),   // the same
    ("tcp", Some((10250, 10250)), &[Own, Other]), // kubelet
    ("tcp", Some((30000, 32767)), &[Own, Other]), // node ports
    ("udp", Some((30000, 32767)), &[Own, Other]), // the same
];

/// Services on masters only.
const MASTER: &[Row] = &[
    ("tcp", Some((6443, 6443)), &[Machines]),   // Kubernetes API
    ("tcp", Some((22623, 22623)), &[Machines]), // machine config server
    ("tcp", Some((6641, 6642)), &[Own, Other]), // OVN databases
    ("tcp", Some((10259, 10259)), &[Own, Other]), // scheduler
    ("tcp", Some((10257, 10257)), &[Own, Other]), // controller manager
    ("tcp", Some((2379, 2380)), &[Own]),        // etcd
];

/// Adds the groups of masters and workers with their rules.
pub(crate) fn add(
    graph: &mut Graph,
    names: &ResourceNames,
    machines: &[Ipv4Net],
    network: &Network,
) -> SecurityGroups {
    let master = add_group(graph, names, network, &names.layout.master);
    let worker = add_group(graph, names, network, &names.layout.worker);
    let ids: (Input<SecurityGroupId>, Input<SecurityGroupId>) = (out!(master.id), out!(worker.id));
    let rows = NODE.iter().chain(MASTER);
    let ingress = rows.flat_map(|row| rules(*row, machines, &ids.0, &ids.1)).collect();
    add_rules(graph, names.layout.master.role, &ids.0, ingress, vec![everything()]);
    let ingress = NODE.iter().flat_map(|row| rules(*row, machines, &ids.1, &ids.0)).collect();
    add_rules(graph, names.layout.worker.role, &ids.1, ingress, vec![everything()]);
    SecurityGroups { master }
}

/// Adds the group of the bootstrap. The group has no egress rules, because the bootstrap is also in
/// the group of the masters, which allows egress.
pub(crate) fn add_bootstrap(
    graph: &mut Graph,
    spec: &ClusterSpec,
    network: &Network,
) -> Input<SecurityGroupId> {
    let role = &spec.names.layout.bootstrap;
    let group = add_group(graph, &spec.names, network, role);
    let group: Input<SecurityGroupId> = out!(group.id);
    let from = match spec.publish {
        Publish::External => vec![Ipv4Net::default()],
        Publish::Internal => spec.machine_networks.clone(),
    };
    // SSH, and the journal of the machine.
    let ports = [22, 19531].map(|port| Some((port, port)));
    let ingress = ports.map(|ports| rule("tcp", ports, Peer::Cidrs(from.clone()))).into();
    add_rules(graph, role.role, &group, ingress, Vec::new());
    group
}

fn add_group(
    graph: &mut Graph,
    names: &ResourceNames,
    network: &Network,
    role: &RoleLayout,
) -> Handle<SecurityGroup> {
    let name = role.security_group;
    graph.add(
        role.role,
        &SecurityGroup {
            vpc: network.vpc.clone(),
            name: names.name(name),
            description: DESCRIPTION.into(),
            tags: names.tags(name),
        },
    )
}

fn add_rules(
    graph: &mut Graph,
    role: &str,
    group: &Input<SecurityGroupId>,
    ingress: Vec<SecurityGroupRule>,
    egress: Vec<SecurityGroupRule>,
) {
    graph.add(role, &SecurityGroupRules { group: group.clone(), ingress, egress });
}

/// Returns the rules of a row, one for each source.
fn rules(
    (protocol, ports, sources): Row,
    machines: &[Ipv4Net],
    own: &Input<SecurityGroupId>,
    other: &Input<SecurityGroupId>,
) -> Vec<SecurityGroupRule> {
    let peer = |source: &TrafficSource| match source {
        Machines => Peer::Cidrs(machines.to_vec()),
        Own => Peer::Group(own.clone()),
        Other => Peer::Group(other.clone()),
    };
    sources.iter().map(|source| rule(protocol, ports, peer(source))).collect()
}

fn everything() -> SecurityGroupRule {
    rule("-1", None, Peer::Cidrs(vec![Ipv4Net::default()]))
}

fn rule(protocol: &str, ports: Option<(i32, i32)>, peer: Peer) -> SecurityGroupRule {
    let ports = ports.map(|(from, to)| Ports { from, to });
    SecurityGroupRule { protocol: protocol.into(), ports, peer, description: DESCRIPTION.into() }
}
