//! Types of untracked resources, the IAM actions that delete them, and the order of their deletion.

use serde::{Deserialize, Serialize};

macro_rules! what {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $one:literal, $several:literal;)*) => {
        /// Type of an untracked resource.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum UntrackedKind {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl UntrackedKind {
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
    ElasticIp = "elastic-ip", "Elastic IP address", "Elastic IP addresses";
    /// Security group, usually of a Classic Load Balancer.
    SecurityGroup = "security-group", "security group", "security groups";
    /// Internet gateway.
    InternetGateway = "internet-gateway", "internet gateway", "internet gateways";
    /// Egress-only internet gateway of a dual-stack network.
    EgressOnlyInternetGateway = "egress-only-internet-gateway", "egress-only internet gateway",
        "egress-only internet gateways";
    /// Carrier gateway of a network with Wavelength Zones.
    CarrierGateway = "carrier-gateway", "carrier gateway", "carrier gateways";
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
    SharedTag = "shared-tag", "tag on a shared resource", "tags on shared resources";
}

impl UntrackedKind {
    /// Returns the type with this name in the sweep. `None` if groundplan cannot delete the type.
    pub fn of(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|what| what.as_str() == word)
    }

    /// Returns true if the sweep finds the type by searches that the credentials may not be allowed to
    /// make: lists of names, and the tagging API.
    #[cfg(feature = "sdk")]
    pub(crate) fn may_be_unseen(self) -> bool {
        matches!(
            self,
            Self::Bucket
                | Self::User
                | Self::InstanceProfile
                | Self::Role
                | Self::HostedZone
                | Self::Record
        )
    }

    /// Returns true if untracked resources can be inside a recorded resource of this type, or can
    /// be created by it.
    pub(crate) fn is_shared_by_untracked(self) -> bool {
        match self {
            Self::Instance
            | Self::InternetGateway
            | Self::CarrierGateway
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
            | Self::EgressOnlyInternetGateway
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
            Self::Instance => &["ec2:DescribeInstanceAttribute", "ec2:TerminateInstances"],
            Self::LoadBalancer => &[
                "elasticloadbalancing:DeleteLoadBalancer",
                "elasticloadbalancing:DescribeLoadBalancerAttributes",
            ],
            Self::ClassicLoadBalancer => &["elasticloadbalancing:DeleteLoadBalancer"],
            Self::NatGateway => &["ec2:DeleteNatGateway"],
            Self::VpcEndpoint => &["ec2:DeleteVpcEndpoints"],
            Self::TargetGroup => &["elasticloadbalancing:DeleteTargetGroup"],
            Self::Volume => &["ec2:DeleteVolume"],
            Self::Snapshot => &["ec2:DeleteSnapshot"],
            Self::Image => &["ec2:DeregisterImage", "ec2:DeleteSnapshot"],
            Self::NetworkInterface => &["ec2:DeleteNetworkInterface"],
            Self::ElasticIp => &["ec2:ReleaseAddress"],
            Self::SecurityGroup => &[
                "ec2:DeleteSecurityGroup",
                "ec2:RevokeSecurityGroupEgress",
                "ec2:RevokeSecurityGroupIngress",
            ],
            Self::InternetGateway => &["ec2:DeleteInternetGateway", "ec2:DetachInternetGateway"],
            Self::EgressOnlyInternetGateway => &["ec2:DeleteEgressOnlyInternetGateway"],
            Self::CarrierGateway => &["ec2:DeleteCarrierGateway"],
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
    pub(crate) fn goes_after(self) -> &'static [Self] {
        use UntrackedKind::*;
        match self {
            Instance => &[],
            LoadBalancer
            | ClassicLoadBalancer
            | NatGateway
            | EgressOnlyInternetGateway
            | VpcEndpoint
            | Volume
            | Image
            | Record
            | Bucket
            | User
            | InstanceProfile
            | SharedTag => &[Instance],
            TargetGroup => &[Instance, LoadBalancer],
            Snapshot => &[Instance, Image],
            NetworkInterface => {
                &[Instance, LoadBalancer, ClassicLoadBalancer, NatGateway, VpcEndpoint]
            }
            ElasticIp => &[Instance, LoadBalancer, NatGateway, NetworkInterface],
            SecurityGroup => {
                &[Instance, LoadBalancer, ClassicLoadBalancer, VpcEndpoint, NetworkInterface]
            }
            InternetGateway | CarrierGateway => {
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
                EgressOnlyInternetGateway,
                CarrierGateway,
                RouteTable,
                Subnet,
                HostedZone,
            ],
            DhcpOptions => &[Vpc],
            Role => &[InstanceProfile],
        }
    }
}
