//! The quotas that a cluster can exceed, and their names.
//!
//! Codes: openshift/installer `pkg/asset/quota/aws/aws.go`, release-4.15, and, for load balancers
//! and endpoints, the AWS General Reference, "Service endpoints and quotas".

use std::fmt;

/// A quota of an account in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Quota {
    /// Virtual processors of instances of the families a, c, d, h, i, m, r, t and z.
    StandardVcpus,
    /// Virtual processors of instances of the families g and vt.
    GraphicsVcpus,
    /// Virtual processors of instances of the family x.
    MemoryVcpus,
    /// Public addresses.
    Addresses,
    /// VPCs.
    Vpcs,
    /// Internet gateways.
    InternetGateways,
    /// Egress-only internet gateways.
    EgressOnlyInternetGateways,
    /// NAT gateways, per availability zone.
    NatGateways,
    /// Network load balancers.
    NetworkBalancers,
    /// Security groups.
    SecurityGroups,
    /// Gateway endpoints.
    GatewayEndpoints,
}

impl Quota {
    /// All quotas.
    pub const ALL: [Quota; 11] = [
        Quota::StandardVcpus,
        Quota::GraphicsVcpus,
        Quota::MemoryVcpus,
        Quota::Addresses,
        Quota::Vpcs,
        Quota::InternetGateways,
        Quota::EgressOnlyInternetGateways,
        Quota::NatGateways,
        Quota::NetworkBalancers,
        Quota::SecurityGroups,
        Quota::GatewayEndpoints,
    ];

    /// Returns the service code and quota code in Service Quotas.
    pub fn code(self) -> (&'static str, &'static str) {
        match self {
            Quota::StandardVcpus => ("ec2", "L-1216C47A"),
            Quota::GraphicsVcpus => ("ec2", "L-DB2E81BA"),
            Quota::MemoryVcpus => ("ec2", "L-7295265B"),
            Quota::Addresses => ("ec2", "L-0263D0A3"),
            Quota::Vpcs => ("vpc", "L-F678F1CE"),
            Quota::InternetGateways => ("vpc", "L-A4707A72"),
            Quota::EgressOnlyInternetGateways => ("vpc", "L-45FE3B85"),
            Quota::NatGateways => ("vpc", "L-FE5A380F"),
            Quota::NetworkBalancers => ("elasticloadbalancing", "L-69A177A2"),
            Quota::SecurityGroups => ("vpc", "L-E79EC296"),
            Quota::GatewayEndpoints => ("vpc", "L-1B52E74A"),
        }
    }

    /// Returns the counted unit, in singular or plural.
    pub fn unit(self, amount: u64) -> &'static str {
        let (one, more) = match self {
            Quota::StandardVcpus | Quota::GraphicsVcpus | Quota::MemoryVcpus => ("vCPU", "vCPU"),
            Quota::Addresses => ("Elastic IP address", "Elastic IP addresses"),
            Quota::Vpcs => ("VPC", "VPCs"),
            Quota::InternetGateways => ("internet gateway", "internet gateways"),
            Quota::EgressOnlyInternetGateways => {
                ("egress-only internet gateway", "egress-only internet gateways")
            }
            Quota::NatGateways => ("NAT gateway", "NAT gateways"),
            Quota::NetworkBalancers => ("network load balancer", "network load balancers"),
            Quota::SecurityGroups => ("security group", "security groups"),
            Quota::GatewayEndpoints => ("gateway endpoint", "gateway endpoints"),
        };
        if amount == 1 { one } else { more }
    }

    /// Returns the quota that instances of this type count against. `None` for families without a
    /// known quota.
    pub fn of_type(instance_type: &str) -> Option<Self> {
        let family: String = instance_type.chars().take_while(char::is_ascii_alphabetic).collect();
        match family.as_str() {
            "a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z" => {
                Some(Quota::StandardVcpus)
            }
            "g" | "vt" => Some(Quota::GraphicsVcpus),
            "x" => Some(Quota::MemoryVcpus),
            _ => None,
        }
    }
}

impl fmt::Display for Quota {
    /// Writes the quota's name in the AWS console.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Quota::StandardVcpus => {
                "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"
            }
            Quota::GraphicsVcpus => "Running On-Demand G and VT instances",
            Quota::MemoryVcpus => "Running On-Demand X instances",
            Quota::Addresses => "EC2-VPC Elastic IPs",
            Quota::Vpcs => "VPCs per Region",
            Quota::InternetGateways => "Internet gateways per Region",
            Quota::EgressOnlyInternetGateways => "Egress-only internet gateways per Region",
            Quota::NatGateways => "NAT gateways per Availability Zone",
            Quota::NetworkBalancers => "Network Load Balancers per Region",
            Quota::SecurityGroups => "VPC security groups per Region",
            Quota::GatewayEndpoints => "Gateway VPC endpoints per Region",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn types_count_against_the_quota_of_their_family() {
        for (instance_type, quota) in [
            ("m6i.xlarge", Some(Quota::StandardVcpus)),
            ("c5d.2xlarge", Some(Quota::StandardVcpus)),
            ("im4gn.large", Some(Quota::StandardVcpus)),
            ("g4dn.xlarge", Some(Quota::GraphicsVcpus)),
            ("vt1.3xlarge", Some(Quota::GraphicsVcpus)),
            ("x2idn.16xlarge", Some(Quota::MemoryVcpus)),
            ("p4d.24xlarge", None),
            ("inf1.xlarge", None),
            ("mac1.metal", None),
        ] {
            assert_eq!(Quota::of_type(instance_type), quota, "{instance_type}");
        }
    }

    #[test]
    fn no_two_quotas_have_one_code() {
        let codes: BTreeSet<_> = Quota::ALL.iter().map(|quota| quota.code()).collect();
        assert_eq!(codes.len(), Quota::ALL.len());
    }
}
