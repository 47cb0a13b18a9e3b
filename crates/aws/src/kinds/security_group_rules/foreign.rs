//! Rules that others added to a group, and the rules among them that belong to the cluster. Pure.
//!
//! Software of a healthy cluster adds rules, too. These are no drift:
//!
//! - Rules for members of a group of the cluster. The AWS cloud provider opens the nodes for the
//!   group of each Classic Load Balancer (`k8s-elb-...`), which has the cluster tag. The AWS Load
//!   Balancer Operator does the same for its backend group, which has the tag
//!   `elbv2.k8s.aws/cluster`.
//! - Rules for the clients of a Network Load Balancer, which has no group. The cloud provider marks
//!   them with a description, and opens node ports, the health check of kube-proxy, or the ICMP
//!   message for the discovery of the path MTU (Kubernetes documentation, Service, "Network Load
//!   Balancer support on AWS").
//!
//! A description proves nothing, because every user who can add a rule can write one. It counts only for ports that the
//! cloud provider opens.

use std::collections::BTreeSet;

use groundplan_engine::plan::{DriftClass, UnmanagedDrift};
use serde_json::json;

use super::grants::{Grantee, LiveRule, added};
use super::names::{egress_members, ingress_members};
use super::{Ports, SecurityGroupRule};
use crate::Tags;
use crate::client::AwsSettings;

/// Tag of the groups that the AWS Load Balancer Controller creates. The value is the infra ID.
const LOAD_BALANCER_CONTROLLER_TAG: &str = "elbv2.k8s.aws/cluster";
/// Beginning of the descriptions of the cloud provider's rules for Network Load Balancers.
const NLB_RULE: &str = "kubernetes.io/rule/nlb/";
/// Ports of services, as Kubernetes has them by default (`--service-node-port-range`).
const NODE_PORTS: Ports = Ports { from: 30000, to: 32767 };
/// Health check of kube-proxy, and of its replacement in OVN-Kubernetes.
const HEALTH_PORT: Ports = Ports { from: 10256, to: 10256 };
/// ICMP type and code: a packet is too large for the path.
const FRAGMENTATION_NEEDED: Ports = Ports { from: 3, to: 4 };

/// Direction of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Ingress,
    Egress,
}

impl Direction {
    /// Returns the name of the input with the rules.
    pub(super) fn input(self) -> &'static str {
        match self {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        }
    }
}

/// Returns the name of a live rule in plans.
pub(super) fn name(rule: &LiveRule, direction: Direction) -> String {
    let value = json!(rule.grant.rule(&rule.description));
    let mut members = match direction {
        Direction::Ingress => ingress_members(&value),
        Direction::Egress => egress_members(&value),
    };
    members.pop().map(|member| member.name).unwrap_or_default()
}

/// Returns the groups that rules of others name. The tags of these groups decide whether the rules
/// belong to the cluster.
pub(super) fn named_groups<'a>(
    recorded: &'a [SecurityGroupRule],
    live: &'a [LiveRule],
) -> impl Iterator<Item = &'a str> {
    added(recorded, live).filter_map(|rule| match &rule.grant.to {
        Grantee::Group(group) => Some(group.as_str()),
        Grantee::Cidr(_) | Grantee::Other(_) => None,
    })
}

/// Returns the live rules that groundplan did not record and that do not belong to the cluster.
/// `groups` are the groups of the cluster.
pub(super) fn foreign(
    direction: Direction,
    recorded: &[SecurityGroupRule],
    live: &[LiveRule],
    groups: &BTreeSet<String>,
) -> Vec<UnmanagedDrift> {
    let mut foreign: Vec<_> = added(recorded, live)
        .filter(|rule| !is_of_cluster(direction, rule, groups))
        .map(|rule| drift(direction, rule))
        .collect();
    foreign.sort_by(|one, other| one.field.path.cmp(&other.field.path));
    foreign
}

fn drift(direction: Direction, rule: &LiveRule) -> UnmanagedDrift {
    let (name, input) = (name(rule, direction), direction.input());
    let item = format!("{input} {name}");
    let value = json!(rule.grant.rule(&rule.description));
    UnmanagedDrift::addition(DriftClass::Security, input, &name, &item, value)
}

fn is_of_cluster(direction: Direction, rule: &LiveRule, groups: &BTreeSet<String>) -> bool {
    match &rule.grant.to {
        Grantee::Group(group) => groups.contains(group.as_str()),
        Grantee::Cidr(_) | Grantee::Other(_) => {
            direction == Direction::Ingress
                && rule.description.starts_with(NLB_RULE)
                && is_service_traffic(rule)
        }
    }
}

fn is_service_traffic(rule: &LiveRule) -> bool {
    let Some(ports) = rule.grant.ports else { return false };
    match rule.grant.protocol.as_str() {
        "tcp" | "udp" => {
            let within = NODE_PORTS.from <= ports.from && ports.to <= NODE_PORTS.to;
            (within && ports.from <= ports.to) || ports == HEALTH_PORT
        }
        "icmp" => ports == FRAGMENTATION_NEEDED,
        _ => false,
    }
}

/// Returns true if a group with these tags belongs to the cluster.
pub(super) fn is_group_of_cluster(settings: &AwsSettings, tags: &Tags) -> bool {
    let infra_id = settings.infra_id();
    let is_controllers = tags.get(LOAD_BALANCER_CONTROLLER_TAG).is_some_and(|id| id == infra_id);
    settings.has_cluster_tag(tags) || is_controllers
}

#[cfg(test)]
mod tests {
    use super::super::grants::Grant;
    use super::*;

    fn rule(protocol: &str, ports: Option<(i32, i32)>, to: Grantee, description: &str) -> LiveRule {
        let ports = ports.map(|(from, to)| Ports { from, to });
        let grant = Grant::new(protocol, ports, to);
        LiveRule { id: "sgr-1".to_owned(), grant, description: description.to_owned() }
    }

    fn world() -> Grantee {
        Grantee::Cidr("0.0.0.0/0".parse().unwrap())
    }

    fn foreign_names(direction: Direction, live: &[LiveRule]) -> Vec<String> {
        let groups = BTreeSet::from(["sg-worker".to_owned()]);
        let foreign = foreign(direction, &[], live, &groups);
        foreign.into_iter().filter_map(|drift| drift.field.item).collect()
    }

    #[test]
    fn rules_of_others_have_one_line_each_and_are_security() {
        let live = [
            rule("tcp", Some((22, 22)), world(), "by hand"),
            rule("-1", None, Grantee::Group("sg-other".into()), ""),
            rule("tcp", Some((443, 444)), Grantee::Other("::/0".to_owned()), ""),
        ];
        assert_eq!(
            foreign_names(Direction::Ingress, &live),
            [
                "ingress all from sg-other",
                "ingress tcp 22 from 0.0.0.0/0",
                "ingress tcp 443-444 from ::/0",
            ]
        );
        assert_eq!(foreign_names(Direction::Egress, &live[..1]), ["egress tcp 22 to 0.0.0.0/0"]);
        let all = foreign(Direction::Ingress, &[], &live, &BTreeSet::new());
        assert!(all.iter().all(|drift| drift.class == DriftClass::Security));
        assert_eq!(all[1].field.after.as_ref().unwrap()["description"], "by hand");
        assert_eq!(all[1].added_to("ingress"), Some(name(&live[0], Direction::Ingress)));
    }

    #[test]
    fn rules_of_the_clusters_load_balancers_are_no_drift() {
        let client = format!("{NLB_RULE}client=a0123");
        let healthy = [
            rule("-1", None, Grantee::Group("sg-worker".into()), ""),
            rule("tcp", Some((31977, 31977)), world(), &client),
            rule("udp", Some((30000, 32767)), world(), &client),
            rule("tcp", Some((10256, 10256)), world(), &format!("{NLB_RULE}health=a0123")),
            rule("icmp", Some((3, 4)), world(), &format!("{NLB_RULE}mtu=a0123")),
        ];
        assert_eq!(foreign_names(Direction::Ingress, &healthy), [""; 0]);
    }

    #[test]
    fn a_description_alone_hides_nothing() {
        let client = format!("{NLB_RULE}client=a0123");
        for forged in [
            rule("tcp", Some((22, 22)), world(), &client),
            rule("tcp", Some((0, 65535)), world(), &client),
            rule("tcp", Some((22, 31000)), world(), &client),
            rule("-1", None, world(), &client),
            rule("icmp", None, world(), &client),
            rule("tcp", Some((31000, 31000)), world(), "for a service"),
        ] {
            assert_eq!(
                foreign_names(Direction::Ingress, std::slice::from_ref(&forged)).len(),
                1,
                "{forged:?}"
            );
        }
        let egress = [rule("tcp", Some((31000, 31000)), world(), &client)];
        assert_eq!(foreign_names(Direction::Egress, &egress).len(), 1);
    }

    #[test]
    fn a_group_belongs_to_the_cluster_by_its_tags() {
        let tag = "kubernetes.io/cluster/demo-x7k2p";
        let settings = AwsSettings { cluster_tag: tag.to_owned(), ..AwsSettings::default() };
        let tags = |key: &str, value: &str| Tags::from([(key.to_owned(), value.to_owned())]);
        let of_cluster_api = "sigs.k8s.io/cluster-api-provider-aws/cluster/demo-x7k2p";
        for tag in [tag, of_cluster_api] {
            assert!(is_group_of_cluster(&settings, &tags(tag, "owned")));
        }
        assert!(is_group_of_cluster(&settings, &tags(LOAD_BALANCER_CONTROLLER_TAG, "demo-x7k2p")));
        assert!(!is_group_of_cluster(&settings, &tags(LOAD_BALANCER_CONTROLLER_TAG, "prod-abcde")));
        assert!(!is_group_of_cluster(
            &settings,
            &tags("kubernetes.io/cluster/prod-abcde", "owned")
        ));
        assert!(!is_group_of_cluster(&settings, &Tags::new()));
    }
}
