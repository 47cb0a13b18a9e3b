//! All rules of one security group, changed in batches.
//!
//! groundplan changes only rules that it has recorded. Rules that others added are reported as
//! unmanaged drift, except those of the cluster's own software.

use groundplan_engine::graph::{Input, Resource, Schema, SetInput};
use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PartOf, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::ids::SecurityGroupId;

/// Inputs of the rules of one group: the complete set of its managed rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRules {
    /// Security group of the rules.
    pub group: Input<SecurityGroupId>,
    /// Inbound rules.
    pub ingress: Vec<SecurityGroupRule>,
    /// Outbound rules.
    pub egress: Vec<SecurityGroupRule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRule {
    /// Protocol: `tcp`, `udp`, `icmp`, a protocol number, or `-1` for all protocols.
    pub protocol: String,
    /// Ports, or type and code for ICMP. `None` if the protocol has neither.
    pub ports: Option<Ports>,
    /// Source of an inbound rule, or destination of an outbound rule.
    pub peer: Peer,
    /// Description of the rule.
    pub description: String,
}

/// A range of ports, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ports {
    /// First port.
    pub from: i32,
    /// Last port.
    pub to: i32,
}

/// Source or destination of a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Peer {
    /// IPv4 ranges.
    Cidrs(Vec<Ipv4Net>),
    /// Members of this security group.
    Group(Input<SecurityGroupId>),
    /// IPv6 range or prefix list, as AWS writes it. groundplan never creates such a rule; another
    /// user or process added it.
    Other(String),
}

/// Outputs of a group's rules.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SecurityGroupRulesOutputs {
    /// Security group of the rules.
    pub group: SecurityGroupId,
}

impl Resource for SecurityGroupRules {
    const SCHEMA: Schema = Schema {
        force_new: &["group"],
        blocks_deletion_of: &["ingress", "egress"],
        sets: &[
            SetInput { path: "ingress", noun: "ingress", members: names::ingress_members },
            SetInput { path: "egress", noun: "egress", members: names::egress_members },
        ],
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
        refresh: &["ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups"],
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
    const PART_OF: Option<PartOf> =
        Some(PartOf { input: "group", kind: "security_group", arn_segments: None });
    const REPEAT: Repeat = Repeat::Idempotent;
    const UPDATES_OF: &'static [(&'static [&'static str], &'static [&'static str])] = &[
        (
            &["ingress"],
            &[
                "ec2:AuthorizeSecurityGroupIngress",
                "ec2:RevokeSecurityGroupIngress",
                "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            ],
        ),
        (
            &["egress"],
            &[
                "ec2:AuthorizeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
            ],
        ),
    ];
    const UNMANAGED: &'static [&'static str] = &["ingress", "egress"];
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[
        "ec2:UpdateSecurityGroupRuleDescriptionsEgress",
        "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
    ];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Any;
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Everything, cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::Part;
    const SUBJECT: PlanSubject = PlanSubject::SecurityGroups;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        let rules = self.ingress.len() + self.egress.len();
        let rules = format!("{rules} rule{}", if rules == 1 { "" } else { "s" });
        Summary { facts: vec![rules], sentences: sentences::of(self) }
    }

    fn billed(&self) -> Vec<BilledAmount> {
        Vec::new()
    }
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod foreign;
#[cfg(feature = "sdk")]
mod grants;
mod names;
mod sentences;
