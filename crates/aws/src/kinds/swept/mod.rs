//! Kind `swept`: untracked resources. They have the cluster tag or a name of the cluster, and no
//! record: created by the cluster, or left from a lost state. The kind supports refresh and
//! deletion only.
//!
//! Examples: workers of the Machine API, load balancers of Services, volumes of claims, the bucket
//! of the image registry, IAM users and DNS records of operators.

mod adopt;

use serde::{Deserialize, Serialize};

pub use self::adopt::{adopt, known};
use groundplan_engine::graph::{Resource, Schema, Wait};

use crate::facts::{Actions, Arn, Count, Drift, Kind, Repeat, Security, Untracked};
use crate::registry::facts;

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

macro_rules! what {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $one:literal, $several:literal;)*) => {
        /// Type of an untracked resource.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum What {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl What {
            /// All types.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns the name of the type: the EC2 resource type where one exists (EC2 API
            /// reference, ResourceType).
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// Returns the count with its noun, as in `3 volumes`.
            pub fn count(self, count: usize) -> String {
                let (one, several) = match self { $(Self::$name => ($one, $several),)* };
                format!("{count} {}", if count == 1 { one } else { several })
            }
        }
    };
}

what! {
    /// Instance, usually a worker of the Machine API.
    Instance = "instance", "instance", "instances";
    /// Network or Application Load Balancer.
    LoadBalancer = "load-balancer", "load balancer", "load balancers";
    /// Classic Load Balancer, the default that Kubernetes creates for a Service.
    ClassicLoadBalancer = "classic-load-balancer", "classic load balancer", "classic load balancers";
    /// NAT gateway.
    NatGateway = "natgateway", "NAT gateway", "NAT gateways";
    /// VPC endpoint.
    VpcEndpoint = "vpc-endpoint", "VPC endpoint", "VPC endpoints";
    /// Target group.
    TargetGroup = "target-group", "target group", "target groups";
    /// Volume that outlives its instance, usually of a persistent volume claim.
    Volume = "volume", "volume", "volumes";
    /// Snapshot.
    Snapshot = "snapshot", "snapshot", "snapshots";
    /// Image.
    Image = "image", "image", "images";
    /// Network interface that outlives its instance.
    NetworkInterface = "network-interface", "network interface", "network interfaces";
    /// Elastic IP address.
    ElasticIp = "elastic-ip", "elastic address", "elastic addresses";
    /// Security group, usually of a Classic Load Balancer.
    SecurityGroup = "security-group", "security group", "security groups";
    /// Internet gateway.
    InternetGateway = "internet-gateway", "internet gateway", "internet gateways";
    /// Route table.
    RouteTable = "route-table", "route table", "route tables";
    /// Subnet.
    Subnet = "subnet", "subnet", "subnets";
    /// DNS record.
    Record = "record", "DNS record", "DNS records";
    /// Private hosted zone.
    HostedZone = "hosted-zone", "hosted zone", "hosted zones";
    /// VPC.
    Vpc = "vpc", "VPC", "VPCs";
    /// Set of DHCP options.
    DhcpOptions = "dhcp-options", "set of DHCP options", "sets of DHCP options";
    /// Bucket, usually of the image registry.
    Bucket = "bucket", "bucket", "buckets";
    /// IAM user of an operator, created by the cloud credential operator.
    User = "user", "IAM user", "IAM users";
    /// Instance profile.
    InstanceProfile = "instance-profile", "instance profile", "instance profiles";
    /// IAM role.
    Role = "role", "IAM role", "IAM roles";
    /// Tag `shared` on a resource that existed before the cluster. Deletion removes only the tag.
    SharedTag = "shared-tag", "mark on what is shared", "marks on what is shared";
}

impl What {
    /// Returns the type with this name in the sweep. `None` if groundplan cannot delete the type.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|what| what.as_str() == word)
    }

    /// Returns true if the sweep finds the type in lists that the credentials may not be allowed to
    /// read.
    #[cfg(feature = "sdk")]
    fn is_found_by_name(self) -> bool {
        matches!(self, Self::Bucket | Self::User | Self::InstanceProfile | Self::Role)
    }

    /// Returns the type of a recorded kind if untracked resources depend on it: they block its
    /// deletion, or it creates them again. `None` for other kinds.
    fn recorded(kind: &str) -> Option<Self> {
        facts(kind)?.untracked.what().filter(|what| what.is_shared_by_untracked())
    }

    /// Returns true if untracked resources can be inside a recorded resource of this type, or can
    /// be created by it.
    fn is_shared_by_untracked(self) -> bool {
        match self {
            Self::Instance
            | Self::InternetGateway
            | Self::SecurityGroup
            | Self::Subnet
            | Self::HostedZone
            | Self::Vpc => true,
            Self::LoadBalancer
            | Self::ClassicLoadBalancer
            | Self::NatGateway
            | Self::VpcEndpoint
            | Self::TargetGroup
            | Self::Volume
            | Self::Snapshot
            | Self::Image
            | Self::NetworkInterface
            | Self::ElasticIp
            | Self::RouteTable
            | Self::Record
            | Self::DhcpOptions
            | Self::Bucket
            | Self::User
            | Self::InstanceProfile
            | Self::Role
            | Self::SharedTag => false,
        }
    }

    /// Returns the IAM actions that delete a resource of this type. Actions on a record, and on the
    /// tags of a zone, depend on the zone and are not included.
    pub fn actions(self) -> &'static [&'static str] {
        match self {
            Self::Instance => &["ec2:TerminateInstances"],
            Self::LoadBalancer | Self::ClassicLoadBalancer => {
                &["elasticloadbalancing:DeleteLoadBalancer"]
            }
            Self::NatGateway => &["ec2:DeleteNatGateway"],
            Self::VpcEndpoint => &["ec2:DeleteVpcEndpoints"],
            Self::TargetGroup => &["elasticloadbalancing:DeleteTargetGroup"],
            Self::Volume => &["ec2:DeleteVolume"],
            Self::Snapshot => &["ec2:DeleteSnapshot"],
            Self::Image => &["ec2:DeregisterImage", "ec2:DeleteSnapshot"],
            Self::NetworkInterface => &["ec2:DeleteNetworkInterface"],
            Self::ElasticIp => &["ec2:ReleaseAddress"],
            Self::SecurityGroup => &["ec2:DeleteSecurityGroup", "ec2:RevokeSecurityGroupIngress"],
            Self::InternetGateway => &["ec2:DeleteInternetGateway", "ec2:DetachInternetGateway"],
            Self::RouteTable => &[
                "ec2:DeleteRouteTable",
                "ec2:DisassociateRouteTable",
                "ec2:ReplaceRouteTableAssociation",
            ],
            Self::Subnet => &["ec2:DeleteSubnet"],
            Self::Record => &[],
            Self::SharedTag => &["ec2:DeleteTags"],
            Self::HostedZone => &["route53:DeleteHostedZone"],
            Self::Vpc => &["ec2:DeleteVpc"],
            Self::DhcpOptions => &["ec2:DeleteDhcpOptions"],
            Self::Bucket => &[
                "s3:DeleteBucket",
                "s3:DeleteObject",
                "s3:DeleteObjectVersion",
                "s3:ListBucketVersions",
            ],
            Self::User => &[
                "iam:DeleteAccessKey",
                "iam:DeleteUser",
                "iam:DeleteUserPolicy",
                "iam:ListAccessKeys",
                "iam:ListUserPolicies",
            ],
            Self::InstanceProfile => &[
                "iam:DeleteInstanceProfile",
                "iam:GetInstanceProfile",
                "iam:RemoveRoleFromInstanceProfile",
            ],
            Self::Role => &[
                "iam:DeleteRole",
                "iam:DeleteRolePolicy",
                "iam:DetachRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
            ],
        }
    }

    /// Returns the types that must be deleted before this type. Instances are deleted first,
    /// because controllers on running instances create deleted resources again.
    fn goes_after(self) -> &'static [Self] {
        use What::*;
        match self {
            Instance => &[],
            LoadBalancer | ClassicLoadBalancer | NatGateway | VpcEndpoint | Volume | Image
            | Record | Bucket | User | InstanceProfile | SharedTag => &[Instance],
            TargetGroup => &[Instance, LoadBalancer],
            Snapshot => &[Instance, Image],
            NetworkInterface => {
                &[Instance, LoadBalancer, ClassicLoadBalancer, NatGateway, VpcEndpoint]
            }
            ElasticIp => &[Instance, LoadBalancer, NatGateway, NetworkInterface],
            SecurityGroup => {
                &[Instance, LoadBalancer, ClassicLoadBalancer, VpcEndpoint, NetworkInterface]
            }
            InternetGateway => {
                &[Instance, LoadBalancer, ClassicLoadBalancer, NatGateway, ElasticIp]
            }
            Subnet => &[
                Instance,
                LoadBalancer,
                ClassicLoadBalancer,
                NatGateway,
                VpcEndpoint,
                NetworkInterface,
            ],
            RouteTable => &[VpcEndpoint, Subnet],
            HostedZone => &[Instance, Record],
            Vpc => &[
                VpcEndpoint,
                NetworkInterface,
                SecurityGroup,
                InternetGateway,
                RouteTable,
                Subnet,
                HostedZone,
            ],
            DhcpOptions => &[Vpc],
            Role => &[InstanceProfile],
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
    fn what_is_recorded_is_named_by_kinds_that_there_are() {
        let kinds = crate::registry::KINDS.iter().map(crate::facts::Facts::name);
        assert_eq!(kinds.filter(|kind| What::recorded(kind).is_some()).count(), 7);
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
