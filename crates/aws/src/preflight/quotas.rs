//! The quotas that a cluster can exceed: names, the account's limits, and current usage. Changes
//! nothing.
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
    pub const ALL: [Quota; 10] = [
        Quota::StandardVcpus,
        Quota::GraphicsVcpus,
        Quota::MemoryVcpus,
        Quota::Addresses,
        Quota::Vpcs,
        Quota::InternetGateways,
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
            Quota::NatGateways => "NAT gateways per Availability Zone",
            Quota::NetworkBalancers => "Network Load Balancers per Region",
            Quota::SecurityGroups => "VPC security groups per Region",
            Quota::GatewayEndpoints => "Gateway VPC endpoints per Region",
        })
    }
}

#[cfg(feature = "sdk")]
pub use calls::{in_use, limit, vcpus};

#[cfg(feature = "sdk")]
mod calls {
    use std::collections::{BTreeMap, BTreeSet};

    use aws_sdk_ec2::types::{self, InstanceLifecycleType};
    use aws_sdk_elasticloadbalancingv2::types::LoadBalancerTypeEnum;

    use super::Quota;
    use crate::Aws;
    use crate::client::ec2::{self, Described, filter};
    use crate::client::elb;
    use crate::client::outcomes::found;
    use crate::client::resource_type::Result;
    use crate::lookups::queries::instance_types;

    /// Returns the account's limit, or AWS's default if the account has no limit of its own.
    pub async fn limit(aws: &Aws, quota: Quota) -> Result<Option<u64>> {
        let (service, code) = quota.code();
        let none = &["NoSuchResourceException"];
        let call = aws.quotas.get_service_quota().service_code(service).quota_code(code);
        let answer = aws.call("servicequotas", "GetServiceQuota", call.send()).await;
        if let Some(own) = found(answer, none)?.and_then(|answer| answer.quota) {
            return Ok(own.value().map(whole));
        }
        let call =
            aws.quotas.get_aws_default_service_quota().service_code(service).quota_code(code);
        let answer = aws.call("servicequotas", "GetAWSDefaultServiceQuota", call.send()).await;
        let default = found(answer, none)?.and_then(|answer| answer.quota);
        Ok(default.and_then(|default| default.value()).map(whole))
    }

    /// Converts a limit to an integer. The API returns floats.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count")]
    fn whole(value: f64) -> u64 {
        value.max(0.0) as u64
    }

    /// Returns the current usage: per zone for quotas that count by zone, else under the empty
    /// name.
    pub async fn in_use(aws: &Aws, quota: Quota) -> Result<BTreeMap<String, u64>> {
        let count = |count: usize| BTreeMap::from([(String::new(), count as u64)]);
        Ok(match quota {
            Quota::StandardVcpus | Quota::GraphicsVcpus | Quota::MemoryVcpus => {
                BTreeMap::from([(String::new(), running_vcpus(aws, quota).await?)])
            }
            Quota::Addresses => {
                let call = aws.ec2.describe_addresses().send();
                let answer = aws.call("ec2", "DescribeAddresses", call).await?;
                count(answer.addresses().len())
            }
            Quota::Vpcs => count(types::Vpc::describe(aws, Vec::new()).await?.len()),
            Quota::InternetGateways => {
                count(types::InternetGateway::describe(aws, Vec::new()).await?.len())
            }
            Quota::SecurityGroups => {
                count(types::SecurityGroup::describe(aws, Vec::new()).await?.len())
            }
            Quota::GatewayEndpoints => {
                let gateways = filter("vpc-endpoint-type", &["Gateway"]);
                count(types::VpcEndpoint::describe(aws, vec![gateways]).await?.len())
            }
            Quota::NatGateways => nat_gateways(aws).await?,
            Quota::NetworkBalancers => {
                let all = elb::every_load_balancer(aws).await?;
                let network = |kind: Option<&LoadBalancerTypeEnum>| {
                    kind == Some(&LoadBalancerTypeEnum::Network)
                };
                count(all.iter().filter(|one| network(one.r#type())).count())
            }
        })
    }

    /// Returns the virtual processors of pending and running instances. Spot instances have quotas
    /// of their own and are left out.
    async fn running_vcpus(aws: &Aws, quota: Quota) -> Result<u64> {
        let states = filter("instance-state-name", &["pending", "running"]);
        let running = types::Instance::describe(aws, vec![states]).await?;
        let on_demand = running
            .iter()
            .filter(|one| one.instance_lifecycle() != Some(&InstanceLifecycleType::Spot));
        let names = on_demand.filter_map(|one| one.instance_type());
        let counted = names.map(|name| name.as_str().to_owned());
        let counted: Vec<String> =
            counted.filter(|name| Quota::of_type(name) == Some(quota)).collect();
        let sizes = vcpus(aws, &counted.iter().cloned().collect()).await?;
        Ok(counted.iter().filter_map(|name| sizes.get(name)).map(|size| u64::from(*size)).sum())
    }

    /// Returns the virtual processors of these types, by name, with the type's default CPU options:
    /// quotas count these.
    pub async fn vcpus(aws: &Aws, types: &BTreeSet<String>) -> Result<BTreeMap<String, u32>> {
        if types.is_empty() {
            return Ok(BTreeMap::new());
        }
        let types: Vec<String> = types.iter().cloned().collect();
        let known = instance_types(aws, &types).await?;
        Ok(known.into_iter().map(|(name, fact)| (name, fact.vcpus)).collect())
    }

    async fn nat_gateways(aws: &Aws) -> Result<BTreeMap<String, u64>> {
        let states = filter("state", &["pending", "available"]);
        let gateways = types::NatGateway::describe(aws, vec![states]).await?;
        let subnets: Vec<&str> = gateways.iter().filter_map(|one| one.subnet_id()).collect();
        let distinct: BTreeSet<&str> = subnets.iter().copied().collect();
        let found = ec2::by_ids::<types::Subnet>(aws, distinct).await?;
        let mut zones = BTreeMap::new();
        for subnet in subnets {
            let zone = found.get(subnet).and_then(types::Subnet::availability_zone);
            *zones.entry(zone.unwrap_or_default().to_owned()).or_default() += 1;
        }
        Ok(zones)
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
