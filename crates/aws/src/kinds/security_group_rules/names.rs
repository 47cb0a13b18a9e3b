//! The text of a rule: the name by which plans compare and show it. Pure.

use groundplan_engine::graph::{Input, SetMember};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Peer, Ports, SecurityGroupRule};
use crate::model::ids::SecurityGroupId;

/// Returns the inbound permissions of a rule, one for each peer: `tcp 22 from 10.0.0.0/16`.
pub(super) fn ingress_members(rule: &Value) -> Vec<SetMember> {
    members(rule, "from")
}

/// Returns the outbound permissions of a rule, one for each peer: `all to 0.0.0.0/0`.
pub(super) fn egress_members(rule: &Value) -> Vec<SetMember> {
    members(rule, "to")
}

fn members(value: &Value, preposition: &str) -> Vec<SetMember> {
    let Ok(rule) = SecurityGroupRule::deserialize(value) else {
        let name = value.to_string();
        return vec![SetMember { label: name.clone(), name, value: value.clone() }];
    };
    let traffic = traffic(&rule.protocol, rule.ports);
    let peers: Vec<(String, Value)> = match &rule.peer {
        Peer::Cidrs(ranges) => {
            let one =
                |range: &ipnet::Ipv4Net| (range.trunc().to_string(), json!({"cidrs": [range]}));
            ranges.iter().map(one).collect()
        }
        Peer::Group(group) => vec![(group_name(group), value["peer"].clone())],
        Peer::Other(text) => vec![(text.clone(), value["peer"].clone())],
    };
    let member = |(peer, whole): (String, Value)| {
        let name = format!("{traffic} {preposition} {peer}");
        let mut value = value.clone();
        value["peer"] = whole;
        SetMember { label: name.clone(), name, value }
    };
    peers.into_iter().map(member).collect()
}

fn group_name(group: &Input<SecurityGroupId>) -> String {
    match group {
        Input::Known(id) => id.to_string(),
        Input::Ref(reference) => reference.address.to_string(),
        Input::Absent => "no group".to_owned(),
    }
}

/// Returns the protocol and the ports of a rule in words: `tcp 22`, `udp 30000-32767`, `all`.
pub(super) fn traffic(protocol: &str, ports: Option<Ports>) -> String {
    let (protocol, ports) = normal(protocol, ports);
    match (protocol.as_str(), ports) {
        ("-1", _) => "all".to_owned(),
        ("icmp" | "icmpv6", Some(Ports { from, to: -1 })) => format!("{protocol} type {from}"),
        ("icmp" | "icmpv6", Some(Ports { from, to })) => {
            format!("{protocol} type {from} code {to}")
        }
        (_, Some(Ports { from, to })) if from == to => format!("{protocol} {from}"),
        (_, Some(Ports { from, to })) => format!("{protocol} {from}-{to}"),
        (number, None) if number.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("protocol {number}")
        }
        (_, None) => protocol,
    }
}

/// Returns protocol and ports in AWS's normal form. AWS has the ports of four protocols only. For
/// ICMP, -1 stands for all types.
pub(super) fn normal(protocol: &str, ports: Option<Ports>) -> (String, Option<Ports>) {
    let protocol = protocol.to_ascii_lowercase();
    let protocol = match protocol.as_str() {
        "all" => "-1",
        "1" => "icmp",
        "6" => "tcp",
        "17" => "udp",
        "58" => "icmpv6",
        other => other,
    };
    let ports = match (protocol, ports) {
        ("tcp" | "udp", None) => Some(Ports { from: 0, to: 65535 }),
        ("icmp" | "icmpv6", Some(Ports { from: -1, .. })) => None,
        ("tcp" | "udp" | "icmp" | "icmpv6", ports) => ports,
        _ => None,
    };
    (protocol.to_owned(), ports)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_has_one_name_for_each_peer_however_it_is_written() {
        let names = |rule: Value| -> Vec<String> {
            ingress_members(&rule).into_iter().map(|member| member.name).collect()
        };
        let rule = |protocol: &str, ports: Value, peer: Value| json!({"protocol": protocol, "ports": ports, "peer": peer, "description": ""});
        let ssh = json!({"from": 22, "to": 22});
        let ranges = json!({"cidrs": ["10.0.1.0/16", "0.0.0.0/0"]});
        assert_eq!(
            names(rule("6", ssh, ranges)),
            ["tcp 22 from 10.0.0.0/16", "tcp 22 from 0.0.0.0/0"]
        );
        let everything = json!({"from": -1, "to": -1});
        let group = json!({"group": {"$ref": "security_group.master", "output": "id"}});
        assert_eq!(
            names(rule("50", everything.clone(), group)),
            ["protocol 50 from security_group.master"]
        );
        let known = json!({"group": "sg-1"});
        assert_eq!(names(rule("icmp", everything.clone(), known.clone())), ["icmp from sg-1"]);
        let unreachable = json!({"from": 3, "to": 4});
        assert_eq!(names(rule("ICMP", unreachable, known)), ["icmp type 3 code 4 from sg-1"]);
        assert_eq!(
            names(rule("tcp", json!(null), json!({"other": "::/0"}))),
            ["tcp 0-65535 from ::/0"]
        );
        assert_eq!(
            egress_members(&rule("all", everything, json!({"cidrs": ["0.0.0.0/0"]})))[0].label,
            "all to 0.0.0.0/0"
        );
    }

    #[test]
    fn a_member_is_the_rule_with_one_peer() {
        let rule = json!({"protocol": "tcp", "ports": null, "peer": {"cidrs": ["10.0.0.0/16", "10.1.0.0/16"]}, "description": "d"});
        let members = ingress_members(&rule);
        assert_eq!(members[1].value["peer"], json!({"cidrs": ["10.1.0.0/16"]}));
        assert_eq!(members[1].value["description"], "d");
    }
}
