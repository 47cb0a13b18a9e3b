//! The security groups of a layout, with their rules.

use groundplan_aws::kinds::security_group::SecurityGroup;
use groundplan_aws::kinds::security_group_rules::{
    Peer, Ports, SecurityGroupRule, SecurityGroupRules,
};
use groundplan_aws::model::ids::SecurityGroupId;
use groundplan_engine::graph::{Address, Graph, Input, Resource as _};
use groundplan_engine::out;
use ipnet::Ipv4Net;

use super::ClusterSpec;
use super::layout::{ClusterTags, GroupLayout, Lifetime, ReleaseLayout, RuleLayout, TrafficSource};
use super::network::Network;
use super::spec::BootstrapSpec;
use crate::install_config::Publish;

/// The security groups of the cluster.
pub(crate) struct SecurityGroups(Vec<(&'static str, Input<SecurityGroupId>)>);

impl SecurityGroups {
    /// Returns the groups with these roles. The layout has them, and their lifetime has not ended.
    pub(crate) fn ids(&self, roles: &[&str]) -> Vec<Input<SecurityGroupId>> {
        roles.iter().map(|role| self.id(role)).collect()
    }

    fn id(&self, role: &str) -> Input<SecurityGroupId> {
        let mut all = self.0.iter();
        let (_, id) = all.find(|(other, _)| *other == role).expect("BUG: the layout has the group");
        id.clone()
    }
}

/// Adds the groups with their rules.
pub(crate) fn add(graph: &mut Graph, spec: &ClusterSpec, network: &Network) -> SecurityGroups {
    let has_bootstrap = matches!(spec.bootstrap, BootstrapSpec::Machine { .. });
    let lives = |lifetime| lifetime == Lifetime::Cluster || has_bootstrap;
    let layouts: Vec<&'static GroupLayout> =
        spec.names.layout.groups.iter().filter(|group| lives(group.lifetime)).collect();
    let ids = layouts.iter().map(|group| (group.role, add_group(graph, spec, network, group)));
    let groups = SecurityGroups(ids.collect());
    for layout in layouts {
        let rows = layout.ingress.iter().flat_map(|part| part.iter());
        let rows = rows.filter(|row| lives(row.lifetime));
        let ingress = rows.flat_map(|row| rules(row, spec, &groups)).collect();
        let egress = layout.egress.into_iter().map(everything).collect();
        let group = groups.id(layout.role);
        graph.add(layout.role, &SecurityGroupRules { group, ingress, egress });
    }
    groups
}

/// Returns the addresses of the rules that outlive the bootstrap and lose the rows for it.
pub(crate) fn with_bootstrap_rules(layout: &ReleaseLayout) -> Vec<Address> {
    let rows = |group: &GroupLayout| {
        let mut rows = group.ingress.iter().flat_map(|part| part.iter());
        rows.any(|row| row.lifetime == Lifetime::Bootstrap)
    };
    let groups = layout.groups.iter().filter(|group| group.lifetime == Lifetime::Cluster);
    let groups = groups.filter(|group| rows(group));
    groups.map(|group| Address::new(SecurityGroupRules::SCHEMA.kind, group.role)).collect()
}

fn add_group(
    graph: &mut Graph,
    spec: &ClusterSpec,
    network: &Network,
    group: &GroupLayout,
) -> Input<SecurityGroupId> {
    let names = &spec.names;
    let description = match names.layout.tags {
        ClusterTags::Kubernetes => "Created By OpenShift Installer".to_owned(),
        ClusterTags::ClusterApi => {
            format!("Kubernetes cluster {}: {}", names.infra_id(), group.role)
        }
    };
    let made = graph.add(
        group.role,
        &SecurityGroup {
            vpc: network.vpc.clone(),
            name: names.name(group.name),
            description,
            tags: names.group_tags(group),
        },
    );
    out!(made.id)
}

/// Returns the rules of a row, one for each source.
fn rules(row: &RuleLayout, spec: &ClusterSpec, groups: &SecurityGroups) -> Vec<SecurityGroupRule> {
    let machines = || Peer::Cidrs(spec.machine_networks.clone());
    let anywhere = || Peer::Cidrs(vec![Ipv4Net::default()]);
    let peer = |source: &TrafficSource| match (source, spec.publish) {
        (TrafficSource::MachineNetworks, _) | (TrafficSource::Published, Publish::Internal) => {
            machines()
        }
        (TrafficSource::Anywhere, _) | (TrafficSource::Published, Publish::External) => anywhere(),
        (TrafficSource::Group(role), _) => Peer::Group(groups.id(role)),
    };
    let RuleLayout { protocol, ports, description, .. } = *row;
    row.sources.iter().map(|source| rule(protocol, ports, peer(source), description)).collect()
}

fn everything(description: &str) -> SecurityGroupRule {
    rule("-1", None, Peer::Cidrs(vec![Ipv4Net::default()]), description)
}

fn rule(
    protocol: &str,
    ports: Option<(i32, i32)>,
    peer: Peer,
    description: &str,
) -> SecurityGroupRule {
    let ports = ports.map(|(from, to)| Ports { from, to });
    SecurityGroupRule { protocol: protocol.into(), ports, peer, description: description.into() }
}
