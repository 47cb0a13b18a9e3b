//! Conversion of rules to the single grants that AWS stores, comparison, and conversion back. Pure.
//!
//! AWS stores one rule for each combination of protocol, ports and peer. A [`SecurityGroupRule`] can have
//! several ranges. A protocol has several spellings, and most protocols have no ports.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use super::names::normal;
use super::{Peer, Ports, SecurityGroupRule};
use crate::model::ids::SecurityGroupId;

/// Permission of one AWS rule: its identity, without the description.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    /// Protocol in AWS's spelling: a name if AWS has one.
    pub(super) protocol: String,
    /// Ports. `None` stands for all ports, or for a protocol without ports.
    pub(super) ports: Option<Ports>,
    /// Peer.
    pub(super) to: Grantee,
}

/// Peer of a grant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grantee {
    /// IPv4 range.
    Cidr(Ipv4Net),
    /// Members of this security group.
    Group(SecurityGroupId),
    /// Peer that groundplan never configures.
    Other(String),
}

/// A live rule of the group.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LiveRule {
    /// ID of the rule: `sgr-…`
    pub(super) id: String,
    /// Permission of the rule.
    pub(super) grant: Grant,
    /// Description of the rule.
    pub(super) description: String,
}

/// Differences between live and wanted rules in one direction.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RuleChanges {
    /// Grants to authorise, with their descriptions.
    pub(super) authorise: BTreeMap<Grant, String>,
    /// Grants that exist with another description.
    pub(super) describe: BTreeMap<Grant, String>,
    /// IDs of rules to revoke.
    pub(super) revoke: Vec<String>,
}

impl RuleChanges {
    /// Returns true if there are no differences.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Returns the differences between wanted and live rules. Of the unwanted rules, only those in
/// `ours` are revoked: controllers of the cluster add rules too, and those must stay.
pub(super) fn changes(
    wanted: &[SecurityGroupRule],
    live: &[LiveRule],
    ours: &[SecurityGroupRule],
) -> RuleChanges {
    let (wanted, ours) = (grants(wanted), grants(ours));
    let surplus = live
        .iter()
        .filter(|rule| ours.contains_key(&rule.grant) && !wanted.contains_key(&rule.grant));
    let revoke = surplus.map(|rule| rule.id.clone()).collect();
    let mut changes = RuleChanges { revoke, ..RuleChanges::default() };
    let live = by_grant(live);
    for (grant, description) in wanted {
        match live.get(&grant) {
            None => _ = changes.authorise.insert(grant, description),
            Some(live) if **live == description => (),
            Some(_) => _ = changes.describe.insert(grant, description),
        }
    }
    changes
}

/// Returns the live rules whose grants no recorded rule has.
pub(super) fn added<'a>(
    recorded: &[SecurityGroupRule],
    live: &'a [LiveRule],
) -> impl Iterator<Item = &'a LiveRule> {
    let ours = grants(recorded);
    live.iter().filter(move |rule| !ours.contains_key(&rule.grant))
}

/// Returns the rule that AWS adds to every new group of a VPC: all outbound traffic is allowed.
pub(super) fn default_egress() -> SecurityGroupRule {
    SecurityGroupRule {
        protocol: "-1".to_owned(),
        ports: None,
        peer: Peer::Cidrs(vec![Ipv4Net::default()]),
        description: String::new(),
    }
}

/// Returns the live rules in the shape of the recorded ones. Recorded rules come first, in recorded
/// order, each with its existing ranges. Rules with another description follow, sorted, one rule
/// for each grant. Rules that were never recorded are left out; see [`added`].
pub(super) fn fold(recorded: &[SecurityGroupRule], live: &[LiveRule]) -> Vec<SecurityGroupRule> {
    let wanted = grants(recorded);
    let mut extra = by_grant(live);
    extra.retain(|grant, description| wanted.get(grant).is_some_and(|ours| ours != description));
    let live = by_grant(live);
    let as_recorded = |grant: &Grant| live.contains_key(grant) && !extra.contains_key(grant);
    let mut folded: Vec<SecurityGroupRule> =
        recorded.iter().filter_map(|rule| part(rule, as_recorded)).collect();
    folded.extend(extra.iter().map(|(grant, description)| grant.rule(description)));
    folded
}

/// Returns the existing part of a rule. `None` if no part exists.
fn part(rule: &SecurityGroupRule, is_there: impl Fn(&Grant) -> bool) -> Option<SecurityGroupRule> {
    let grant = |to| Grant::new(&rule.protocol, rule.ports, to);
    match &rule.peer {
        Peer::Cidrs(ranges) => {
            let there =
                ranges.iter().filter(|range| is_there(&grant(Grantee::Cidr(range.trunc()))));
            let there: Vec<Ipv4Net> = there.copied().collect();
            let any = !there.is_empty() || ranges.is_empty();
            any.then(|| SecurityGroupRule { peer: Peer::Cidrs(there), ..rule.clone() })
        }
        _ => rule_grants(rule).all(|grant| is_there(&grant)).then(|| rule.clone()),
    }
}

/// Returns the grants of these rules. If two rules have the same grant, the first description is
/// used.
fn grants(rules: &[SecurityGroupRule]) -> BTreeMap<Grant, String> {
    let mut grants = BTreeMap::new();
    for rule in rules {
        for grant in rule_grants(rule) {
            grants.entry(grant).or_insert_with(|| rule.description.clone());
        }
    }
    grants
}

fn rule_grants(rule: &SecurityGroupRule) -> impl Iterator<Item = Grant> {
    let to: Vec<Grantee> = match &rule.peer {
        Peer::Cidrs(ranges) => ranges.iter().map(|range| Grantee::Cidr(range.trunc())).collect(),
        Peer::Group(group) => vec![Grantee::Group(group.get().clone())],
        Peer::Other(text) => vec![Grantee::Other(text.clone())],
    };
    to.into_iter().map(|to| Grant::new(&rule.protocol, rule.ports, to))
}

fn by_grant(live: &[LiveRule]) -> BTreeMap<&Grant, &str> {
    live.iter().map(|rule| (&rule.grant, rule.description.as_str())).collect()
}

impl Grant {
    /// Returns the grant in AWS's normal form.
    pub(super) fn new(protocol: &str, ports: Option<Ports>, to: Grantee) -> Self {
        let (protocol, ports) = normal(protocol, ports);
        Self { protocol, ports, to }
    }

    /// Returns the grant as a rule of its own.
    pub(super) fn rule(&self, description: &str) -> SecurityGroupRule {
        SecurityGroupRule {
            protocol: self.protocol.clone(),
            ports: self.ports,
            peer: match &self.to {
                Grantee::Cidr(range) => Peer::Cidrs(vec![*range]),
                Grantee::Group(group) => Peer::Group(group.clone().into()),
                Grantee::Other(text) => Peer::Other(text.clone()),
            },
            description: description.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cidrs(protocol: &str, ports: Option<(i32, i32)>, ranges: &[&str]) -> SecurityGroupRule {
        SecurityGroupRule {
            protocol: protocol.to_owned(),
            ports: ports.map(|(from, to)| Ports { from, to }),
            peer: Peer::Cidrs(ranges.iter().map(|range| range.parse().unwrap()).collect()),
            description: "made by us".to_owned(),
        }
    }

    fn group(protocol: &str, ports: Option<(i32, i32)>, group: &str) -> SecurityGroupRule {
        let peer = Peer::Group(SecurityGroupId::from(group).into());
        SecurityGroupRule { peer, ..cidrs(protocol, ports, &[]) }
    }

    /// Returns the rules as AWS lists them: single grants in another order, with port -1 for all.
    fn as_aws_has(rules: &[SecurityGroupRule]) -> Vec<LiveRule> {
        let mut live: Vec<LiveRule> = grants(rules)
            .into_iter()
            .enumerate()
            .map(|(n, (grant, description))| {
                let ports = grant.ports.or(Some(Ports { from: -1, to: -1 }));
                let grant = Grant::new(&grant.protocol, ports, grant.to);
                LiveRule { id: format!("sgr-{n}"), grant, description }
            })
            .collect();
        live.reverse();
        live
    }

    fn masters() -> Vec<SecurityGroupRule> {
        vec![
            cidrs("tcp", Some((6443, 6443)), &["10.0.0.0/16", "10.1.0.0/16"]),
            cidrs("icmp", Some((-1, -1)), &["10.0.0.0/16"]),
            group("50", Some((0, 0)), "sg-worker"),
            group("UDP", Some((4789, 4789)), "sg-master"),
            cidrs("-1", None, &["0.0.0.0/0"]),
        ]
    }

    #[test]
    fn rules_that_are_all_there_read_back_as_recorded_and_need_nothing() {
        let live = as_aws_has(&masters());
        assert_eq!(fold(&masters(), &live), masters());
        assert!(changes(&masters(), &live, &[]).is_empty());
    }

    #[test]
    fn a_range_that_is_missing_is_missing_from_its_rule_and_authorised_alone() {
        let mut live = as_aws_has(&masters());
        let missing = Grantee::Cidr("10.1.0.0/16".parse().unwrap());
        live.retain(|rule| rule.grant.to != missing);
        let folded = fold(&masters(), &live);
        assert_eq!(folded[0], cidrs("tcp", Some((6443, 6443)), &["10.0.0.0/16"]));
        assert_eq!(folded[1..], masters()[1..]);
        let changes = changes(&masters(), &live, &[]);
        let grants: Vec<&Grant> = changes.authorise.keys().collect();
        let ports = Some(Ports { from: 6443, to: 6443 });
        assert_eq!(grants, [&Grant::new("tcp", ports, missing)]);
        assert!(changes.revoke.is_empty() && changes.describe.is_empty());
    }

    #[test]
    fn a_rule_none_of_which_is_there_is_not_shown() {
        assert_eq!(fold(&masters(), &[]), []);
        assert_eq!(changes(&masters(), &[], &[]).authorise.len(), 6);
    }

    #[test]
    fn foreign_rules_are_neither_shown_nor_touched() {
        let foreign = SecurityGroupRule {
            description: String::new(),
            ..cidrs("tcp", Some((22, 22)), &["0.0.0.0/0"])
        };
        let ipv6 = SecurityGroupRule { peer: Peer::Other("::/0".to_owned()), ..foreign.clone() };
        let mut all = vec![ipv6, foreign];
        all.extend(masters());
        let live = as_aws_has(&all);
        assert_eq!(fold(&masters(), &live), masters());
        assert!(changes(&masters(), &live, &masters()).is_empty());
    }

    #[test]
    fn a_rule_of_ours_that_is_not_wanted_any_more_is_revoked() {
        let live = as_aws_has(&masters());
        let fewer = &masters()[1..];
        let changes = changes(fewer, &live, &masters());
        assert_eq!((changes.revoke.len(), changes.authorise.len()), (2, 0));
    }

    #[test]
    fn a_new_group_loses_the_rule_that_aws_gave_it() {
        let live = as_aws_has(&[default_egress()]);
        assert_eq!(changes(&[], &live, &[default_egress()]).revoke.len(), 1);
    }

    #[test]
    fn another_description_is_rewritten_not_authorised_again() {
        let rules = [cidrs("-1", None, &["0.0.0.0/0"])];
        let mut live = as_aws_has(&rules);
        live[0].description = String::new();
        let changes = changes(&rules, &live, &[]);
        assert_eq!(
            (changes.describe.len(), changes.authorise.len(), changes.revoke.len()),
            (1, 0, 0)
        );
        assert_eq!(
            fold(&rules, &live),
            [SecurityGroupRule { description: String::new(), ..rules[0].clone() }]
        );
    }

    #[test]
    fn two_rules_that_allow_the_same_are_one_of_aws() {
        let twice = [
            cidrs("tcp", Some((22, 22)), &["10.0.0.0/16"]),
            SecurityGroupRule {
                description: "again".to_owned(),
                ..cidrs("6", Some((22, 22)), &["10.0.0.0/16"])
            },
        ];
        let live = as_aws_has(&twice);
        assert_eq!(live.len(), 1);
        assert!(changes(&twice, &live, &[]).is_empty());
        assert_eq!(fold(&twice, &live), twice);
    }
}
