//! Kind `swept`: untracked resources. They have the cluster tag or a name of the cluster, and no
//! record: created by the cluster, or left from a lost state. The kind supports refresh and
//! deletion only.
//!
//! Examples: workers of the Machine API, load balancers of Services, volumes of claims, the bucket
//! of the image registry, IAM users and DNS records of operators.

use serde::{Deserialize, Serialize};

use groundplan_engine::graph::{Resource, Schema, Wait};

use crate::facts::{
    Actions, ArnForm, BilledAmount, DriftFields, Kind, PlanSubject, QuotaCount, Repeat,
    SecurityFields, Summary, Surroundings, SweepMethod,
};
use crate::model::billed::{self, BilledCategory};
use crate::model::untracked::UntrackedKind;

/// Inputs of an untracked resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UntrackedResource {
    /// Type.
    pub what: UntrackedKind,
    /// Name. `None` if the resource has no name.
    pub name: Option<String>,
}

/// Outputs of an untracked resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UntrackedOutputs {
    /// ID. For types without an ID, the ARN or the name.
    pub id: String,
    /// Type.
    pub what: UntrackedKind,
}

/// An untracked resource that the sweep found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundUntracked {
    /// Type.
    pub what: UntrackedKind,
    /// ID. For types without an ID, the ARN or the name.
    pub id: String,
    /// Name. `None` if the resource has no name.
    pub name: Option<String>,
    /// ID of the VPC of the cluster that contains the resource. Only for resources without the
    /// cluster tag.
    pub network: Option<String>,
}

impl Resource for UntrackedResource {
    const SCHEMA: Schema = Schema {
        // The deletion of instances, NAT gateways and network interfaces of load balancers takes
        // minutes.
        gone: Some(Wait { every_seconds: 5, within_seconds: 1200 }),
        typical_seconds: 45,
        ..Schema::of("swept", Self::REPEAT.identity())
    };
    type Outputs = UntrackedOutputs;
}

impl Kind for UntrackedResource {
    const ACTIONS: Actions = Actions {
        create: &[],
        configure: &[],
        refresh: &[],
        update: &[],
        delete: &[
            "ec2:DeleteCarrierGateway",
            "ec2:DeleteDhcpOptions",
            "ec2:DeleteEgressOnlyInternetGateway",
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
            "ec2:DescribeInstanceAttribute",
            "ec2:DetachInternetGateway",
            "ec2:DisassociateRouteTable",
            "ec2:ReleaseAddress",
            "ec2:ReplaceRouteTableAssociation",
            "ec2:RevokeSecurityGroupEgress",
            "ec2:RevokeSecurityGroupIngress",
            "ec2:TerminateInstances",
            "elasticloadbalancing:DeleteLoadBalancer",
            "elasticloadbalancing:DeleteTargetGroup",
            "elasticloadbalancing:DescribeLoadBalancerAttributes",
            "elasticloadbalancing:RemoveTags",
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
            "iam:UntagInstanceProfile",
            "iam:UntagRole",
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
    const QUOTA: Option<QuotaCount> = None;
    const ARN: ArnForm = ArnForm::Untracked;
    const DRIFT: DriftFields = DriftFields { security: SecurityFields::Fields(&[]), cosmetic: &[] };
    const UNTRACKED: SweepMethod = SweepMethod::OnlyRecorded;
    const SUBJECT: PlanSubject = PlanSubject::Untracked;

    fn summary(&self, _around: &Surroundings<'_>) -> Summary {
        Summary::of([self.what.as_str().to_owned(), self.name.clone().unwrap_or_default()])
    }

    fn billed(&self) -> Vec<BilledAmount> {
        // The sweep knows only names: types and sizes stay unknown.
        match self.what {
            UntrackedKind::Instance => vec![billed::instance(BilledCategory::Instance, None)],
            UntrackedKind::LoadBalancer => vec![billed::load_balancer(None)],
            UntrackedKind::ClassicLoadBalancer => vec![billed::load_balancer(Some("classic"))],
            UntrackedKind::NatGateway => vec![billed::nat_gateway()],
            UntrackedKind::Volume => vec![billed::unsized_volume()],
            UntrackedKind::Image => vec![billed::image_copy()],
            UntrackedKind::ElasticIp => vec![billed::public_ipv4(1)],
            UntrackedKind::HostedZone => vec![billed::hosted_zone()],
            UntrackedKind::VpcEndpoint
            | UntrackedKind::TargetGroup
            | UntrackedKind::Snapshot
            | UntrackedKind::NetworkInterface
            | UntrackedKind::SecurityGroup
            | UntrackedKind::InternetGateway
            | UntrackedKind::EgressOnlyInternetGateway
            | UntrackedKind::CarrierGateway
            | UntrackedKind::RouteTable
            | UntrackedKind::Subnet
            | UntrackedKind::Record
            | UntrackedKind::Vpc
            | UntrackedKind::DhcpOptions
            | UntrackedKind::Bucket
            | UntrackedKind::User
            | UntrackedKind::InstanceProfile
            | UntrackedKind::Role
            | UntrackedKind::SharedTag => Vec::new(),
        }
    }
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
        fn reaches(from: UntrackedKind, to: UntrackedKind) -> bool {
            from.goes_after().iter().any(|&one| one == to || reaches(one, to))
        }
        for &what in UntrackedKind::ALL {
            assert!(!reaches(what, what), "{what:?}");
            assert_eq!(UntrackedKind::of(what.as_str()), Some(what));
        }
        assert_eq!(UntrackedKind::of("transit-gateway"), None);
    }

    #[test]
    fn the_actions_of_each_type_are_those_of_the_kind() {
        let all = UntrackedResource::ACTIONS.delete;
        let of_types = || UntrackedKind::ALL.iter().flat_map(|what| what.actions());
        for action in of_types() {
            assert!(all.contains(action), "add {action} to the ACTIONS of `swept`");
        }
        let left = all.iter().filter(|action| !of_types().any(|one| one == *action));
        // Actions on records, and on tags elsewhere than in EC2, depend on the resource.
        let of_zones = [
            "elasticloadbalancing:RemoveTags",
            "iam:UntagInstanceProfile",
            "iam:UntagRole",
            "route53:ChangeResourceRecordSets",
            "route53:ChangeTagsForResource",
            "route53:ListResourceRecordSets",
        ];
        assert_eq!(left.copied().collect::<Vec<_>>(), of_zones);
    }

    /// Kinds and their deletions without a record share their code.
    #[test]
    fn a_resource_is_deleted_by_the_same_calls_with_and_without_a_record() {
        // A recorded role has no inline policies left. Actions on records and on tags of zones
        // depend on the zone.
        let elsewhere = [
            "iam:DeleteRolePolicy",
            "iam:DetachRolePolicy",
            "route53:ChangeResourceRecordSets",
            "route53:ChangeTagsForResource",
        ];
        let changes = |actions: &[&'static str]| -> std::collections::BTreeSet<&'static str> {
            let changes = actions.iter().copied().filter(|one| !crate::model::calls::is_read(one));
            changes.filter(|one| !elsewhere.contains(one)).collect()
        };
        for facts in crate::registry::KINDS {
            let Some(what) = facts.untracked.what() else { continue };
            let (with, without) = (changes(facts.actions.delete), changes(what.actions()));
            assert_eq!(with, without, "{}", facts.name());
        }
    }

    #[test]
    fn an_untracked_resource_is_billed_without_the_type_and_size_that_are_not_known() {
        let billed = |what| {
            let billed = UntrackedResource { what, name: None }.billed();
            billed.into_iter().map(|one| one.item.counted(one.amount)).collect::<Vec<_>>()
        };
        assert_eq!(billed(UntrackedKind::Instance), ["1 instance of unknown type"]);
        assert_eq!(billed(UntrackedKind::Volume), ["1 volume of unknown size"]);
        assert_eq!(billed(UntrackedKind::ClassicLoadBalancer), ["1 classic load balancer"]);
        assert_eq!(billed(UntrackedKind::Subnet), [""; 0]);
    }

    #[test]
    fn one_and_several_are_counted_in_words() {
        assert_eq!(UntrackedKind::Volume.count(1), "1 volume");
        assert_eq!(UntrackedKind::User.count(2), "2 IAM users");
    }
}
