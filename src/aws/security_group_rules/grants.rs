//! Rules taken apart into what AWS keeps one by one, compared, and put together again. Pure.
//!
//! AWS keeps one rule per protocol, ports and peer, whatever its description; our [`Rule`] has
//! several ranges. Protocols are written in several ways, and most have no ports.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use super::{Peer, Ports, Rule};
use crate::aws::ids::SecurityGroupId;

/// What one rule of AWS's allows: its identity.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Grant {
    /// As AWS writes it: a name where it has one for it.
    pub(super) protocol: String,
    /// `None` for all of them, also where the protocol has none.
    pub(super) ports: Option<Ports>,
    /// To whom.
    pub(super) to: Grantee,
}

/// One peer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Grantee {
    /// A range of addresses.
    Cidr(Ipv4Net),
    /// Whoever is in this group.
    Group(SecurityGroupId),
    /// What we never ask for.
    Other(String),
}

/// A rule that the group has.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LiveRule {
    /// `sgr-…`
    pub(super) id: String,
    /// What it allows.
    pub(super) grant: Grant,
    /// What it says it is for.
    pub(super) description: String,
}

/// What lies between the rules that a group has in one direction and those it shall have.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// Grants to authorise, with their descriptions.
    pub(super) authorise: BTreeMap<Grant, String>,
    /// Grants that are there with another description.
    pub(super) describe: BTreeMap<Grant, String>,
    /// Ids of rules to revoke.
    pub(super) revoke: Vec<String>,
}

impl Changes {
    /// Whether the rules are what they shall be.
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What to do so that the live rules become the wanted ones. Of what is not wanted, only `ours`
/// goes: a cluster's controllers add rules of their own, and those are theirs.
pub(super) fn changes(wanted: &[Rule], live: &[LiveRule], ours: &[Rule]) -> Changes {
    let (wanted, ours) = (grants(wanted), grants(ours));
    let surplus = live
        .iter()
        .filter(|rule| ours.contains_key(&rule.grant) && !wanted.contains_key(&rule.grant));
    let revoke = surplus.map(|rule| rule.id.clone()).collect();
    let mut changes = Changes { revoke, ..Changes::default() };
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

/// The rule that AWS gives every new group of a VPC: everything may go out.
pub(super) fn default_egress() -> Rule {
    Rule {
        protocol: "-1".to_owned(),
        ports: None,
        peer: Peer::Cidrs(vec![Ipv4Net::default()]),
        description: String::new(),
    }
}

/// The live rules in the shape of the recorded ones: those that are there as recorded and in that
/// order, each with the ranges that are there, then those with another description, one by one and
/// sorted. What was never recorded is not ours and does not show.
pub(super) fn fold(recorded: &[Rule], live: &[LiveRule]) -> Vec<Rule> {
    let wanted = grants(recorded);
    let mut extra = by_grant(live);
    extra.retain(|grant, description| wanted.get(grant).is_some_and(|ours| ours != description));
    let live = by_grant(live);
    let as_recorded = |grant: &Grant| live.contains_key(grant) && !extra.contains_key(grant);
    let mut folded: Vec<Rule> =
        recorded.iter().filter_map(|rule| part(rule, as_recorded)).collect();
    folded.extend(extra.iter().map(|(grant, description)| grant.rule(description)));
    folded
}

/// What of a rule is there; `None` if nothing is.
fn part(rule: &Rule, is_there: impl Fn(&Grant) -> bool) -> Option<Rule> {
    let grant = |to| Grant::new(&rule.protocol, rule.ports, to);
    match &rule.peer {
        Peer::Cidrs(ranges) => {
            let there =
                ranges.iter().filter(|range| is_there(&grant(Grantee::Cidr(range.trunc()))));
            let there: Vec<Ipv4Net> = there.copied().collect();
            let any = !there.is_empty() || ranges.is_empty();
            any.then(|| Rule { peer: Peer::Cidrs(there), ..rule.clone() })
        }
        _ => rule_grants(rule).all(|grant| is_there(&grant)).then(|| rule.clone()),
    }
}

/// What these rules allow. Of two that allow the same, the first has the say.
fn grants(rules: &[Rule]) -> BTreeMap<Grant, String> {
    let mut grants = BTreeMap::new();
    for rule in rules {
        for grant in rule_grants(rule) {
            grants.entry(grant).or_insert_with(|| rule.description.clone());
        }
    }
    grants
}

fn rule_grants(rule: &Rule) -> impl Iterator<Item = Grant> {
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
    /// A grant as AWS would write it.
    pub(super) fn new(protocol: &str, ports: Option<Ports>, to: Grantee) -> Self {
        let protocol = protocol.to_ascii_lowercase();
        let protocol = match protocol.as_str() {
            "all" => "-1",
            "1" => "icmp",
            "6" => "tcp",
            "17" => "udp",
            "58" => "icmpv6",
            other => other,
        };
        // AWS ignores the ports of every other protocol, and ICMP's -1 is its "all".
        let ports = match (protocol, ports) {
            ("tcp" | "udp", None) => Some(Ports { from: 0, to: 65535 }),
            ("icmp" | "icmpv6", Some(Ports { from: -1, .. })) => None,
            ("tcp" | "udp" | "icmp" | "icmpv6", ports) => ports,
            _ => None,
        };
        Self { protocol: protocol.to_owned(), ports, to }
    }

    fn rule(&self, description: &str) -> Rule {
        Rule {
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

    fn cidrs(protocol: &str, ports: Option<(i32, i32)>, ranges: &[&str]) -> Rule {
        Rule {
            protocol: protocol.to_owned(),
            ports: ports.map(|(from, to)| Ports { from, to }),
            peer: Peer::Cidrs(ranges.iter().map(|range| range.parse().unwrap()).collect()),
            description: "made by us".to_owned(),
        }
    }

    fn group(protocol: &str, ports: Option<(i32, i32)>, group: &str) -> Rule {
        let peer = Peer::Group(SecurityGroupId::from(group).into());
        Rule { peer, ..cidrs(protocol, ports, &[]) }
    }

    /// The rules as AWS would list them: one by one, in an order of its own, ports -1 for all.
    fn as_aws_has(rules: &[Rule]) -> Vec<LiveRule> {
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

    fn masters() -> Vec<Rule> {
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
        let foreign =
            Rule { description: String::new(), ..cidrs("tcp", Some((22, 22)), &["0.0.0.0/0"]) };
        let ipv6 = Rule { peer: Peer::Other("::/0".to_owned()), ..foreign.clone() };
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
        assert_eq!(fold(&rules, &live), [Rule { description: String::new(), ..rules[0].clone() }]);
    }

    #[test]
    fn two_rules_that_allow_the_same_are_one_of_aws() {
        let twice = [
            cidrs("tcp", Some((22, 22)), &["10.0.0.0/16"]),
            Rule {
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
