//! AWS IDs and names as types, so that the compiler rejects a subnet ID in place of a VPC ID.

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl $name {
            /// Returns the ID as AWS writes it.
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

/// For IDs that only the file of their kind uses.
pub(crate) use id;

id! {
    /// ID of a VPC: `vpc-…`
    VpcId
    /// ID of a set of DHCP options: `dopt-…`
    DhcpOptionsId
    /// ID of a subnet: `subnet-…`
    SubnetId
    /// ID of an internet gateway: `igw-…`
    InternetGatewayId
    /// Allocation ID of an Elastic IP address: `eipalloc-…`
    AllocationId
    /// ID of a NAT gateway: `nat-…`
    NatGatewayId
    /// ID of a route table: `rtb-…`
    RouteTableId
    /// ID of a security group: `sg-…`
    SecurityGroupId
    /// ID of a network interface: `eni-…`
    NetworkInterfaceId
    /// ID of an image: `ami-…`
    ImageId
    /// ID of an instance: `i-…`
    InstanceId
    /// A private IPv4 address.
    PrivateIp
    /// A public IPv4 address.
    PublicIp
    /// Unique ID of an instance profile: `AIPA…`. A profile that is created again under its name gets
    /// another one.
    InstanceProfileId
    /// Name of an IAM role.
    RoleName
    /// Name of an IAM instance profile.
    InstanceProfileName
    /// Name of an S3 bucket.
    BucketName
    /// ARN of a load balancer.
    LoadBalancerArn
    /// ARN of a target group.
    TargetGroupArn
    /// ARN of a listener.
    ListenerArn
    /// ID of a hosted zone: `Z…`
    HostedZoneId
    /// A DNS name.
    DnsName
}
