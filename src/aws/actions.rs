//! What each kind asks of AWS, as the actions that a policy must allow: one table, beside the kinds.
//!
//! Free of the SDK. A test reads the kinds' sources and finds every call of theirs in here, so that
//! neither can change without the other.

/// The actions of one kind, as IAM calls them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Actions {
    /// The kind.
    pub kind: &'static str,
    /// To make one, to wait for it, and to find it again.
    pub create: &'static [&'static str],
    /// To change one in place, whatever changes.
    pub update: &'static [&'static str],
    /// To delete one.
    pub delete: &'static [&'static str],
}

/// The actions of a kind.
pub fn actions(kind: &str) -> Option<&'static Actions> {
    ACTIONS.iter().find(|one| one.kind == kind)
}

/// The names of all kinds.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    ACTIONS.iter().map(|one| one.kind)
}

/// Whether an action is about tags only.
pub fn tags_only(action: &str) -> bool {
    let call = action.split_once(':').map_or(action, |(_, call)| call);
    let reads = ["Describe", "Get", "List"].iter().any(|verb| call.starts_with(verb));
    let call = call.to_ascii_lowercase().replace("target", "");
    !reads && call.contains("tag")
}

macro_rules! actions {
    ($($kind:ident { create: $create:tt, update: $update:tt, delete: $delete:tt })*) => {
        /// One entry per kind; the order means nothing.
        const ACTIONS: &[Actions] = &[$(Actions {
            kind: stringify!($kind),
            create: &$create,
            update: &$update,
            delete: &$delete,
        },)*];
    };
}

actions! {
    ami_copy {
        create: ["ec2:CopyImage", "ec2:CreateTags", "ec2:DescribeImages"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeregisterImage", "ec2:DescribeSnapshots", "ec2:DeleteSnapshot"]
    }
    dhcp_options {
        create: ["ec2:CreateDhcpOptions", "ec2:CreateTags", "ec2:DescribeDhcpOptions"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteDhcpOptions"]
    }
    elastic_ip {
        create: ["ec2:AllocateAddress", "ec2:CreateTags", "ec2:DescribeAddresses"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:ReleaseAddress"]
    }
    hosted_zone {
        create: [
            "route53:CreateHostedZone", "route53:ChangeTagsForResource", "route53:GetHostedZone",
            "route53:ListHostedZonesByName", "route53:ListTagsForResource", "ec2:DescribeVpcs"
        ],
        update: ["route53:ChangeTagsForResource"],
        delete: [
            "route53:DeleteHostedZone", "route53:ListResourceRecordSets",
            "route53:ChangeResourceRecordSets"
        ]
    }
    iam_instance_profile {
        create: [
            "iam:CreateInstanceProfile", "iam:TagInstanceProfile", "iam:AddRoleToInstanceProfile",
            "iam:GetInstanceProfile", "iam:PassRole"
        ],
        update: [
            "iam:AddRoleToInstanceProfile", "iam:RemoveRoleFromInstanceProfile", "iam:PassRole",
            "iam:TagInstanceProfile", "iam:UntagInstanceProfile"
        ],
        delete: ["iam:RemoveRoleFromInstanceProfile", "iam:DeleteInstanceProfile"]
    }
    iam_role {
        create: ["iam:CreateRole", "iam:TagRole", "iam:GetRole"],
        update: ["iam:UpdateAssumeRolePolicy", "iam:TagRole", "iam:UntagRole"],
        delete: ["iam:DeleteRole"]
    }
    iam_role_policy {
        create: ["iam:PutRolePolicy", "iam:GetRolePolicy"],
        update: ["iam:PutRolePolicy"],
        delete: ["iam:DeleteRolePolicy"]
    }
    instance {
        create: [
            "ec2:RunInstances", "ec2:CreateTags", "ec2:DescribeInstances", "ec2:DescribeVolumes"
        ],
        update: ["ec2:ModifyInstanceMetadataOptions", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:TerminateInstances"]
    }
    internet_gateway {
        create: [
            "ec2:CreateInternetGateway", "ec2:CreateTags", "ec2:AttachInternetGateway",
            "ec2:DescribeInternetGateways"
        ],
        update: ["ec2:AttachInternetGateway", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DetachInternetGateway", "ec2:DeleteInternetGateway"]
    }
    listener {
        create: [
            "elasticloadbalancing:CreateListener", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:DescribeListeners", "elasticloadbalancing:DescribeTags"
        ],
        update: [
            "elasticloadbalancing:ModifyListener", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags"
        ],
        delete: ["elasticloadbalancing:DeleteListener"]
    }
    load_balancer {
        create: [
            "elasticloadbalancing:CreateLoadBalancer", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:ModifyLoadBalancerAttributes",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:DescribeTags"
        ],
        update: [
            "elasticloadbalancing:ModifyLoadBalancerAttributes", "elasticloadbalancing:SetSubnets",
            "elasticloadbalancing:AddTags", "elasticloadbalancing:RemoveTags"
        ],
        delete: ["elasticloadbalancing:DeleteLoadBalancer", "ec2:DescribeNetworkInterfaces"]
    }
    load_balancer_attachment {
        create: [
            "elasticloadbalancing:RegisterTargets",
            "elasticloadbalancing:RegisterInstancesWithLoadBalancer",
            "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTargetHealth"
        ],
        update: [],
        delete: [
            "elasticloadbalancing:DeregisterTargets", "elasticloadbalancing:DescribeLoadBalancers",
            "elasticloadbalancing:DescribeTargetGroups", "ec2:DescribeInstances"
        ]
    }
    machine {
        create: ["ec2:RunInstances", "ec2:CreateTags", "ec2:DescribeInstances"],
        update: ["ec2:ModifyInstanceMetadataOptions", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:TerminateInstances"]
    }
    nat_gateway {
        create: ["ec2:CreateNatGateway", "ec2:CreateTags", "ec2:DescribeNatGateways"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteNatGateway"]
    }
    network_interface {
        create: ["ec2:CreateNetworkInterface", "ec2:CreateTags", "ec2:DescribeNetworkInterfaces"],
        update: ["ec2:ModifyNetworkInterfaceAttribute", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteNetworkInterface"]
    }
    record {
        create: [
            "route53:ChangeResourceRecordSets", "route53:GetChange",
            "route53:ListResourceRecordSets"
        ],
        update: ["route53:ChangeResourceRecordSets", "route53:GetChange"],
        delete: ["route53:ChangeResourceRecordSets", "route53:ListResourceRecordSets"]
    }
    route_table {
        create: [
            "ec2:CreateRouteTable", "ec2:CreateTags", "ec2:CreateRoute", "ec2:AssociateRouteTable",
            "ec2:ReplaceRouteTableAssociation", "ec2:DescribeRouteTables"
        ],
        update: [
            "ec2:CreateRoute", "ec2:ReplaceRoute", "ec2:DeleteRoute", "ec2:AssociateRouteTable",
            "ec2:DisassociateRouteTable", "ec2:ReplaceRouteTableAssociation", "ec2:CreateTags",
            "ec2:DeleteTags"
        ],
        delete: ["ec2:DisassociateRouteTable", "ec2:DeleteRouteTable"]
    }
    s3_bucket {
        create: [
            "s3:CreateBucket", "s3:PutBucketTagging", "s3:GetBucketTagging", "s3:ListBucket"
        ],
        update: ["s3:PutBucketTagging"],
        delete: [
            "s3:DeleteBucket", "s3:ListBucketVersions", "s3:DeleteObject", "s3:DeleteObjectVersion"
        ]
    }
    s3_object {
        create: [
            "s3:PutObject", "s3:PutObjectTagging", "s3:GetObject", "s3:GetObjectTagging"
        ],
        update: ["s3:PutObject", "s3:PutObjectTagging"],
        delete: ["s3:DeleteObject"]
    }
    security_group {
        create: ["ec2:CreateSecurityGroup", "ec2:CreateTags", "ec2:DescribeSecurityGroups"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteSecurityGroup"]
    }
    security_group_rules {
        create: [
            "ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupEgress", "ec2:DescribeSecurityGroupRules"
        ],
        update: [
            "ec2:AuthorizeSecurityGroupIngress", "ec2:AuthorizeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress",
            "ec2:UpdateSecurityGroupRuleDescriptionsIngress",
            "ec2:UpdateSecurityGroupRuleDescriptionsEgress"
        ],
        delete: ["ec2:RevokeSecurityGroupIngress", "ec2:RevokeSecurityGroupEgress"]
    }
    shared_tags {
        create: [
            "ec2:CreateTags", "ec2:DescribeSubnets", "route53:ChangeTagsForResource",
            "route53:ListTagsForResource"
        ],
        update: ["ec2:CreateTags", "ec2:DeleteTags", "route53:ChangeTagsForResource"],
        delete: ["ec2:DeleteTags", "route53:ChangeTagsForResource"]
    }
    subnet {
        create: ["ec2:CreateSubnet", "ec2:CreateTags", "ec2:DescribeSubnets"],
        update: ["ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteSubnet"]
    }
    swept {
        create: [],
        update: [],
        delete: [
            "ec2:DeleteDhcpOptions", "ec2:DeleteInternetGateway", "ec2:DeleteNatGateway",
            "ec2:DeleteNetworkInterface", "ec2:DeleteRouteTable", "ec2:DeleteSecurityGroup",
            "ec2:DeleteSnapshot", "ec2:DeleteSubnet", "ec2:DeleteTags", "ec2:DeleteVolume",
            "ec2:DeleteVpc",
            "ec2:DeleteVpcEndpoints", "ec2:DeregisterImage", "ec2:DetachInternetGateway",
            "ec2:DisassociateRouteTable", "ec2:ReleaseAddress", "ec2:ReplaceRouteTableAssociation",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:TerminateInstances", "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteTargetGroup", "iam:DeleteAccessKey",
            "iam:DeleteInstanceProfile", "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:DeleteUser",
            "iam:DeleteUserPolicy", "iam:DetachRolePolicy", "iam:GetInstanceProfile",
            "iam:ListAccessKeys", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies",
            "iam:ListUserPolicies", "iam:RemoveRoleFromInstanceProfile",
            "route53:ChangeResourceRecordSets", "route53:ChangeTagsForResource",
            "route53:DeleteHostedZone", "route53:ListResourceRecordSets", "s3:DeleteBucket", "s3:DeleteObject",
            "s3:DeleteObjectVersion", "s3:ListBucketVersions"
        ]
    }
    target {
        create: [
            "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DescribeTargetHealth"
        ],
        update: [],
        delete: ["elasticloadbalancing:DeregisterTargets"]
    }
    target_group {
        create: [
            "elasticloadbalancing:CreateTargetGroup", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:DescribeTargetGroups", "elasticloadbalancing:DescribeTags"
        ],
        update: [
            "elasticloadbalancing:ModifyTargetGroup", "elasticloadbalancing:AddTags",
            "elasticloadbalancing:RemoveTags"
        ],
        delete: ["elasticloadbalancing:DeleteTargetGroup"]
    }
    vpc {
        create: [
            "ec2:CreateVpc", "ec2:CreateTags", "ec2:ModifyVpcAttribute", "ec2:AssociateDhcpOptions",
            "ec2:DescribeVpcs", "ec2:DescribeVpcAttribute"
        ],
        update: [
            "ec2:ModifyVpcAttribute", "ec2:AssociateDhcpOptions", "ec2:CreateTags", "ec2:DeleteTags"
        ],
        delete: ["ec2:DeleteVpc"]
    }
    vpc_endpoint {
        create: ["ec2:CreateVpcEndpoint", "ec2:CreateTags", "ec2:DescribeVpcEndpoints"],
        update: ["ec2:ModifyVpcEndpoint", "ec2:CreateTags", "ec2:DeleteTags"],
        delete: ["ec2:DeleteVpcEndpoints"]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::aws::schemas::SCHEMAS;

    /// Calls whose permission has another name.
    const RENAMED: &[(&str, &str)] = &[
        ("HeadBucket", "ListBucket"),
        ("HeadObject", "GetObject"),
        ("ListObjectsV2", "ListBucket"),
        ("ListObjectVersions", "ListBucketVersions"),
        ("DeleteObjects", "DeleteObject"),
    ];
    /// Permissions without a call of their own.
    const WITHOUT_CALL: &[&str] = &["PassRole", "DeleteObjectVersion"];
    /// Calls that are named in a kind and are another one's: the address that is told to the
    /// bootstrap machine is for its object.
    const NOT_ITS_OWN: &[(&str, &str)] = &[("instance", "GetObject")];

    /// Calls that another kind's source makes for a kind: one place changes metadata options, and one
    /// describes instances.
    const MADE_ELSEWHERE: &[(&str, &str)] = &[
        ("machine", "ModifyInstanceMetadataOptions"),
        ("load_balancer_attachment", "DescribeInstances"),
    ];
    /// What is of any type, and is deleted by the calls of others' sources.
    const OF_ALL: &str = "swept";

    /// The sources of a kind, or of what the kinds share.
    fn sources(name: &str) -> Vec<PathBuf> {
        let room = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/aws");
        let folder = fs::read_dir(room.join(name)).into_iter().flatten();
        let inner = folder.filter_map(|entry| Some(entry.ok()?.path()));
        [room.join(format!("{name}.rs"))].into_iter().chain(inner).collect()
    }

    /// The calls that a source names: quoted words that begin with a verb of AWS.
    fn calls(name: &str) -> BTreeSet<String> {
        const VERBS: &[&str] = &[
            "Add",
            "Allocate",
            "Associate",
            "Attach",
            "Authorize",
            "Change",
            "Copy",
            "Create",
            "Delete",
            "Deregister",
            "Describe",
            "Detach",
            "Disassociate",
            "Get",
            "Head",
            "List",
            "Modify",
            "Put",
            "Register",
            "Release",
            "Remove",
            "Replace",
            "Revoke",
            "Run",
            "Set",
            "Tag",
            "Terminate",
            "Untag",
            "Update",
        ];
        let is_call = |word: &&str| {
            let rest = VERBS.iter().filter_map(|verb| word.strip_prefix(verb));
            let of_letters = word.chars().all(|c| c.is_ascii_alphanumeric());
            of_letters && rest.into_iter().any(|rest| rest.starts_with(char::is_uppercase))
        };
        // Codes of errors that look like calls.
        let is_code =
            |word: &str| ["Conflict", "Exceeded", "Exists"].iter().any(|c| word.ends_with(c));
        let texts = sources(name).into_iter().map(|path| fs::read_to_string(path).unwrap());
        let words: Vec<String> = texts
            .flat_map(|text| {
                text.split('"').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>()
            })
            .collect();
        let words = words.iter().map(String::as_str).filter(is_call).filter(|word| !is_code(word));
        words.map(str::to_owned).collect()
    }

    fn permission(call: &str) -> &str {
        RENAMED.iter().find(|(from, _)| *from == call).map_or(call, |(_, to)| to)
    }

    fn all(actions: &Actions) -> BTreeSet<&'static str> {
        let Actions { create, update, delete, .. } = actions;
        let all = create.iter().chain(*update).chain(*delete);
        all.map(|action| action.split_once(':').unwrap().1).collect()
    }

    #[test]
    fn every_kind_has_its_actions_and_nothing_else_has() {
        let kinds: BTreeSet<_> = SCHEMAS.iter().map(|schema| schema.kind).collect();
        let listed: BTreeSet<_> = ACTIONS.iter().map(|one| one.kind).collect();
        assert_eq!(kinds, listed);
        assert_eq!(listed.len(), ACTIONS.len());
    }

    #[test]
    fn every_call_that_a_kind_makes_is_among_its_actions() {
        for schema in SCHEMAS {
            let known = all(actions(schema.kind).unwrap());
            let made = calls(schema.kind);
            assert!(!made.is_empty(), "{} calls nothing?", schema.kind);
            for call in made {
                let is_known = known.contains(permission(&call));
                let not_its_own = NOT_ITS_OWN.contains(&(schema.kind, &call));
                assert!(is_known || not_its_own, "{}: {call} is not in the table", schema.kind);
            }
        }
    }

    #[test]
    fn every_action_of_a_kind_is_a_call_that_it_makes() {
        let shared: BTreeSet<String> =
            ["ec2", "elb", "iam", "route53"].iter().flat_map(|name| calls(name)).collect();
        for one in ACTIONS {
            let made: BTreeSet<String> = match one.kind {
                OF_ALL => kinds().flat_map(calls).collect(),
                kind => calls(kind),
            };
            let made: BTreeSet<&str> =
                made.iter().chain(&shared).map(|call| permission(call)).collect();
            for action in all(one) {
                let elsewhere = MADE_ELSEWHERE.contains(&(one.kind, action));
                let known = made.contains(action) || WITHOUT_CALL.contains(&action) || elsewhere;
                assert!(known, "{}: nobody calls {action}", one.kind);
            }
        }
    }

    #[test]
    fn what_is_about_tags_only_is_known() {
        for action in ["ec2:CreateTags", "iam:TagRole", "iam:UntagInstanceProfile"] {
            assert!(tags_only(action), "{action}");
        }
        let others = [
            "ec2:CreateVpc",
            "elasticloadbalancing:DescribeTags",
            "elasticloadbalancing:ModifyTargetGroup",
        ];
        for action in others {
            assert!(!tags_only(action), "{action}");
        }
    }
}
