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
    /// ID of an egress-only internet gateway: `eigw-…`
    EgressOnlyInternetGatewayId
    /// ID of a carrier gateway: `cagw-…`
    CarrierGatewayId
    /// Allocation ID of an Elastic IP address: `eipalloc-…`
    AllocationId
    /// ID of a pool of public IPv4 addresses: `ipv4pool-ec2-…`
    PublicIpv4PoolId
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
    /// ID of a Dedicated Host: `h-…`
    DedicatedHostId
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
    /// ARN of a managed policy: `arn:aws:iam::123456789012:policy/…`
    PolicyArn
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

/// Parts of the ARN of a managed policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PolicyArnParts<'a> {
    /// Name of the partition.
    pub partition: &'a str,
    /// Account ID. `None` for a policy of AWS, which all accounts have.
    pub account: Option<&'a str>,
}

impl PolicyArn {
    /// Returns the parts. `None` for a text that is no such ARN ("Policy", IAM API reference).
    pub fn parts(&self) -> Option<PolicyArnParts<'_>> {
        let parts: Vec<&str> = self.0.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, policy] = parts[..] else { return None };
        let account = match account {
            "aws" => None,
            digits if digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_digit()) => {
                Some(digits)
            }
            _ => return None,
        };
        let in_name = |c: char| c.is_ascii_alphanumeric() || "_+=,.@-".contains(c);
        let path = policy.strip_prefix("policy/")?;
        let is_part = |part: &str| !part.is_empty() && part.chars().all(in_name);
        path.split('/').all(is_part).then_some(PolicyArnParts { partition, account })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_of_a_policy_has_a_partition_an_account_and_a_name() {
        let parts = |arn: &str| {
            let arn = PolicyArn::from(arn);
            arn.parts().map(|one| (one.partition.to_owned(), one.account.map(str::to_owned)))
        };
        let own = |partition: &str| Some((partition.to_owned(), Some("123456789012".to_owned())));
        assert_eq!(parts("arn:aws:iam::123456789012:policy/boundary"), own("aws"));
        assert_eq!(parts("arn:aws-cn:iam::123456789012:policy/team/a/b@c"), own("aws-cn"));
        let managed = "arn:aws:iam::aws:policy/PowerUserAccess";
        assert_eq!(parts(managed), Some(("aws".to_owned(), None)));
        for other in [
            "",
            "boundary",
            "arn:aws:iam::123456789012:role/boundary",
            "arn:aws:iam::12345678901:policy/boundary",
            "arn:aws:iam:us-west-2:123456789012:policy/boundary",
            "arn:aws:s3::123456789012:policy/boundary",
            "arn:aws:iam::123456789012:policy/",
            "arn:aws:iam::123456789012:policy/a//b",
            "arn:aws:iam::123456789012:policy/*",
            " arn:aws:iam::123456789012:policy/a",
        ] {
            assert_eq!(parts(other), None, "{other}");
        }
    }
}
