//! Identities as types, so that a subnet's id is never taken for a VPC's.

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// The id as AWS writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}

/// For ids that only their kind's own file names: `id! { /// `pcx-…` VpcPeeringConnectionId }`.
pub(super) use id;

id! {
    /// `vpc-…`
    VpcId
    /// `dopt-…`
    DhcpOptionsId
    /// `subnet-…`
    SubnetId
    /// `igw-…`
    InternetGatewayId
    /// `eipalloc-…`
    AllocationId
    /// `nat-…`
    NatGatewayId
    /// `rtb-…`
    RouteTableId
    /// `sg-…`
    SecurityGroupId
    /// `eni-…`
    NetworkInterfaceId
    /// `ami-…`
    ImageId
    /// `i-…`
    InstanceId
    /// A private IPv4 address.
    PrivateIp
    /// The name of an IAM role.
    RoleName
    /// The name of an IAM instance profile.
    InstanceProfileName
    /// The name of an S3 bucket.
    BucketName
    /// The ARN of a load balancer.
    LoadBalancerArn
    /// The ARN of a target group.
    TargetGroupArn
    /// The ARN of a listener.
    ListenerArn
    /// `Z…`
    HostedZoneId
    /// A DNS name.
    DnsName
}
