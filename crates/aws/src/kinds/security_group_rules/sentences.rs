//! Rules of a security group as sentences for the reader of a plan. Pure.
//!
//! Each source has one sentence with all its traffic. The source with the most addresses comes
//! first, because it is the one that a reader must see.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;

use super::names::traffic;
use super::{Peer, SecurityGroupRule, SecurityGroupRules};
use crate::summary::{name, phrase};

/// Returns the sentences: inbound rules first, then outbound ones.
pub(super) fn of(rules: &SecurityGroupRules) -> Vec<String> {
    let inbound = by_peer(&rules.ingress).into_iter();
    let inbound = inbound.map(|(peer, traffic)| format!("{} may reach {traffic}", peer.name));
    let outbound = by_peer(&rules.egress).into_iter();
    let outbound = outbound.map(|(peer, traffic)| match peer.width {
        0 => format!("outbound to anywhere ({}): {traffic}", peer.name),
        _ => format!("outbound to {}: {traffic}", peer.name),
    });
    inbound.chain(outbound).collect()
}

/// Other side of a rule, in the order of a plan.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Side {
    /// Prefix length; 0 contains all addresses. Groups and prefix lists follow all ranges.
    width: u16,
    name: String,
}

/// Returns the traffic of each peer, widest peer first.
fn by_peer(rules: &[SecurityGroupRule]) -> BTreeMap<Side, String> {
    let mut peers: BTreeMap<Side, Vec<String>> = BTreeMap::new();
    for rule in rules {
        let traffic = match &*traffic(&rule.protocol, rule.ports) {
            "all" => "all traffic".to_owned(),
            traffic => traffic.to_owned(),
        };
        for side in sides(&rule.peer) {
            let known = peers.entry(side).or_default();
            if !known.contains(&traffic) {
                known.push(traffic.clone());
            }
        }
    }
    peers.into_iter().map(|(side, traffic)| (side, phrase(traffic))).collect()
}

fn sides(peer: &Peer) -> Vec<Side> {
    let range = |range: &Ipv4Net| {
        let range = range.trunc();
        Side { width: range.prefix_len().into(), name: range.to_string() }
    };
    match peer {
        Peer::Cidrs(ranges) => ranges.iter().map(range).collect(),
        Peer::Group(group) => vec![Side { width: u16::MAX, name: name(group) }],
        Peer::Other(text) => {
            // An IPv6 range, or a prefix list without a length.
            let length = text.rsplit_once('/').and_then(|(_, length)| length.parse().ok());
            vec![Side { width: length.unwrap_or(u16::MAX - 1), name: text.clone() }]
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sentences(ingress: &Value, egress: &Value) -> Vec<String> {
        let group = json!({"$ref": "security_group.master", "output": "id"});
        let rules = json!({"group": group, "ingress": ingress, "egress": egress});
        of(&serde_json::from_value(rules).unwrap())
    }

    fn rule(protocol: &str, ports: &Value, peer: &Value) -> Value {
        json!({"protocol": protocol, "ports": ports, "peer": peer, "description": ""})
    }

    #[test]
    fn the_widest_source_comes_first_and_each_source_has_one_sentence() {
        let port = |port: i32| json!({"from": port, "to": port});
        let group = json!({"group": {"$ref": "security_group.worker", "output": "id"}});
        let ranges = json!({"cidrs": ["10.0.1.7/16", "0.0.0.0/0"]});
        let found = sentences(
            &json!([
                rule("udp", &port(4789), &group),
                rule("tcp", &port(22), &json!({"cidrs": ["10.0.0.0/16"]})),
                rule("tcp", &port(6443), &ranges),
                rule("tcp", &port(22623), &json!({"cidrs": ["10.0.0.0/16"]})),
                rule("6", &port(22), &json!({"cidrs": ["10.0.0.0/16"]})),
            ]),
            &json!([]),
        );
        assert_eq!(
            found,
            [
                "0.0.0.0/0 may reach tcp 6443",
                "10.0.0.0/16 may reach tcp 22, tcp 6443 and tcp 22623",
                "security_group.worker may reach udp 4789",
            ]
        );
    }

    #[test]
    fn every_shape_of_a_rule_is_a_sentence() {
        let everything = json!({"from": -1, "to": -1});
        let known = json!({"group": "sg-1"});
        for (rule, sentence) in [
            (
                rule("-1", &json!(null), &json!({"cidrs": ["0.0.0.0/0"]})),
                "0.0.0.0/0 may reach all traffic",
            ),
            (rule("icmp", &everything, &known), "sg-1 may reach icmp"),
            (
                rule("icmp", &json!({"from": 3, "to": 4}), &known),
                "sg-1 may reach icmp type 3 code 4",
            ),
            (rule("50", &json!(null), &known), "sg-1 may reach protocol 50"),
            (
                rule("tcp", &json!({"from": 30000, "to": 32767}), &known),
                "sg-1 may reach tcp 30000-32767",
            ),
            (rule("tcp", &json!(null), &json!({"other": "::/0"})), "::/0 may reach tcp 0-65535"),
            (rule("udp", &json!(null), &json!({"other": "pl-1"})), "pl-1 may reach udp 0-65535"),
        ] {
            assert_eq!(sentences(&json!([rule]), &json!([])), [sentence]);
        }
        let out = rule("-1", &json!(null), &json!({"cidrs": ["0.0.0.0/0"]}));
        assert_eq!(
            sentences(&json!([]), &json!([out])),
            ["outbound to anywhere (0.0.0.0/0): all traffic"]
        );
        let group = json!({"group": {"$ref": "security_group.worker", "output": "id"}});
        let out = rule("tcp", &json!({"from": 443, "to": 443}), &group);
        assert_eq!(
            sentences(&json!([]), &json!([out])),
            ["outbound to security_group.worker: tcp 443"]
        );
    }
}
