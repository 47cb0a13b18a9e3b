//! All rules of one security group, authorised and revoked in batches.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::ids::SecurityGroupId;
use crate::graph::{Identity, Input, Resource, Schema};

/// The rules of one group: those it has are exactly these.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRules {
    /// The group.
    pub group: Input<SecurityGroupId>,
    /// What may come in.
    pub ingress: Vec<Rule>,
    /// What may go out.
    pub egress: Vec<Rule>,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// `tcp`, `udp`, `icmp`, a protocol number, or `-1` for all.
    pub protocol: String,
    /// The ports, or what ICMP has in their place; `None` where the protocol has neither.
    pub ports: Option<Ports>,
    /// From (or to) whom.
    pub peer: Peer,
    /// What it says it is for.
    pub description: String,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ports {
    /// The first.
    pub from: i32,
    /// The last.
    pub to: i32,
}

/// The other end of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// Addresses.
    Cidrs(Vec<Ipv4Net>),
    /// Whoever is in this group.
    Group(Input<SecurityGroupId>),
    /// An IPv6 range or a prefix list, as AWS writes it. Nothing of ours asks for one: it shows
    /// that somebody else added a rule.
    Other(String),
}

/// What is known of a group's rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRulesOutputs {
    /// The group they belong to.
    pub group: SecurityGroupId,
}

impl Resource for SecurityGroupRules {
    const SCHEMA: Schema = Schema {
        replaced_by: &["group"],
        holds: &["ingress", "egress"],
        identity: Identity::Parent,
        ..Schema::of("security_group_rules")
    };
    type Outputs = SecurityGroupRulesOutputs;
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod grants;
