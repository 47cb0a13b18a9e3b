//! All rules of one security group, authorised and revoked in batches.

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use super::ids::SecurityGroupId;
use crate::graph::{Input, Resource, Schema};

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
        ..Schema::of("security_group_rules", Self::REPEAT.identity())
    };
    type Outputs = SecurityGroupRulesOutputs;
}

impl Kind for SecurityGroupRules {
    const ACTIONS: Actions = Actions {
        create: &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress",
        ],
        configure: &[],
        observe: &["ec2:DescribeSecurityGroupRules"],
        update: &[
            "ec2:AuthorizeSecurityGroupIngress",
            "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        ],
        delete: &["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"],
    };
    const REPEAT: Repeat = Repeat::Idempotent;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[
        "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    ];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<Count> = None;
    const ARN: Arn = Arn::Any;
    const DRIFT: Drift = Drift { security: Security::Everything, cosmetic: &[], always_shown: &[] };
    const UNTRACKED: Untracked = Untracked::Part;
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod grants;
