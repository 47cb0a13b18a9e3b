//! Kind `swept`: untracked resources. They have the cluster tag or a name of the cluster, and no
//! record: created by the cluster, or left from a lost state. The kind supports refresh and
//! deletion only.
//!
//! Examples: workers of the Machine API, load balancers of Services, volumes of claims, the bucket
//! of the image registry, IAM users and DNS records of operators.

use serde::{Deserialize, Serialize};

use groundplan_engine::graph::{Resource, Schema, Wait};

use crate::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use crate::model::untracked::What;

/// Inputs of an untracked resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Swept {
    /// Type.
    pub what: What,
    /// Name. `None` if the resource has no name.
    pub name: Option<String>,
}

/// Outputs of an untracked resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SweptOutputs {
    /// ID. For types without an ID, the ARN or the name.
    pub id: String,
    /// Type.
    pub what: What,
}

/// An untracked resource that the sweep found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Find {
    /// Type.
    pub what: What,
    /// ID. For types without an ID, the ARN or the name.
    pub id: String,
    /// Name. `None` if the resource has no name.
    pub name: Option<String>,
}

impl Resource for Swept {
    const SCHEMA: Schema = Schema {
        // The deletion of instances, NAT gateways and network interfaces of load balancers takes
        // minutes.
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 45,
        ..Schema::of("swept", Self::REPEAT.identity())
    };
    type Outputs = SweptOutputs;
}

impl Kind for Swept {
    const ACTIONS: Actions = Actions {
        create: &[],
        configure: &[],
        observe: &[],
        update: &[],
        delete: &[
            "ec2:DeleteDhcpOptions",
            "ec2:DeleteInternetGateway",
            "ec2:DeleteNatGateway",
            "ec2:DeleteNetworkInterface",
            "ec2:DeleteRouteTable",
            "ec2:DeleteSecurityGroup",
            "ec2:DeleteSnapshot",
            "ec2:DeleteSubnet",
            "ec2:DeleteTags",
            "ec2:DeleteVolume",
            "ec2:DeleteVpc",
            "ec2:DeleteVpcEndpoints",
            "ec2:DeregisterImage",
            "ec2:DetachInternetGateway",
            "ec2:DisassociateRouteTable",
            "ec2:ReleaseAddress",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:TerminateInstances",
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteTargetGroup",
            "iam:DeleteAccessKey",
            "iam:DeleteInstanceProfile",
            "iam:DeleteRole",
            "iam:DeleteRolePolicy",
            "iam:DeleteUser",
            "iam:DeleteUserPolicy",
            "iam:DetachRolePolicy",
            "iam:GetInstanceProfile",
            "iam:ListAccessKeys",
            "iam:ListAttachedRolePolicies",
            "iam:ListRolePolicies",
            "iam:ListUserPolicies",
            "iam:RemoveRoleFromInstanceProfile",
            "route53:ChangeResourceRecordSets",
            "route53:ChangeTagsForResource",
            "route53:DeleteHostedZone",
            "route53:ListResourceRecordSets",
            "s3:DeleteBucket",
            "s3:DeleteObject",
            "s3:DeleteObjectVersion",
            "s3:ListBucketVersions",
        ],
    };
    const REPEAT: Repeat = Repeat::Named;
    const WITHOUT_DRY_RUN: &'static [&'static str] = &[
        "ec2:DeleteSnapshot",
        "ec2:DeleteVolume",
        "ec2:DisassociateRouteTable",
        "ec2:ReplaceRouteTableAssociation",
    ];
    const ID_PREFIX: Option<&'static str> = None;
    const QUOTA: Option<Count> = None;
    const ARN: Arn = Arn::Untracked;
    const DRIFT: Drift =
        Drift { security: Security::Fields(&[]), cosmetic: &[], always_shown: &[] };
    const UNTRACKED: Untracked = Untracked::OnlyRecorded;
}

#[cfg(feature = "sdk")]
mod calls;
#[cfg(feature = "sdk")]
mod deletes;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_goes_after_itself_by_whatever_way() {
        fn reaches(from: What, to: What) -> bool {
            from.goes_after().iter().any(|&one| one == to || reaches(one, to))
        }
        for &what in What::ALL {
            assert!(!reaches(what, what), "{what:?}");
            assert_eq!(What::of(what.as_str()), Some(what));
        }
        assert_eq!(What::of("transit-gateway"), None);
    }

    #[test]
    fn the_actions_of_each_type_are_those_of_the_kind() {
        let all = Swept::ACTIONS.delete;
        let of_types = || What::ALL.iter().flat_map(|what| what.actions());
        for action in of_types() {
            assert!(all.contains(action), "{action}");
        }
        let left = all.iter().filter(|action| !of_types().any(|one| one == *action));
        let of_zones = [
            "route53:ChangeResourceRecordSets",
            "route53:ChangeTagsForResource",
            "route53:ListResourceRecordSets",
        ];
        assert_eq!(left.copied().collect::<Vec<_>>(), of_zones);
    }

    #[test]
    fn one_and_several_are_counted_in_words() {
        assert_eq!(What::Volume.count(1), "1 volume");
        assert_eq!(What::User.count(2), "2 IAM users");
    }
}
