//! Partitions of AWS: groups of regions with their own accounts, ARNs and DNS names.
//!
//! The facts are those of botocore 1.43.11, `data/partitions.json` and `data/endpoints.json`, unless
//! a field names another source. A test compares the endpoints with those of the SDK.

/// An AWS partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The second part of ARNs in this partition.
    pub name: &'static str,
    /// Beginning of the names of its regions. Empty for the partition of all other regions.
    pub region_prefix: &'static str,
    /// DNS suffix of the services' endpoints (`dnsSuffix`).
    pub dns_suffix: &'static str,
    /// DNS suffix in the names of service principals. In the European Sovereign Cloud, it differs from
    /// that of the endpoints (openshift/installer main, `clusterapi/iam.go`,
    /// `getEC2ServicePrincipal`).
    pub principal_suffix: &'static str,
    /// Region that signs the calls of services without regions, such as IAM
    /// (`implicitGlobalRegion`). The tags of their resources are in this region, too.
    pub global_region: &'static str,
    /// True if Route 53 has alias records of load balancers. In GovCloud, a record of a load balancer
    /// is a CNAME (openshift/installer, `pkg/asset/installconfig/aws/route53.go`, `cnameRegions`;
    /// AWS GovCloud user guide, "Amazon Route 53").
    pub has_dns_aliases: bool,
}

/// All partitions. The last one has all regions that are in none of the others.
pub const PARTITIONS: &[Partition] = &[
    Partition {
        name: "aws-cn",
        region_prefix: "cn-",
        dns_suffix: "amazonaws.com.cn",
        principal_suffix: "amazonaws.com.cn",
        global_region: "cn-northwest-1",
        has_dns_aliases: true,
    },
    Partition {
        name: "aws-us-gov",
        region_prefix: "us-gov-",
        dns_suffix: "amazonaws.com",
        principal_suffix: "amazonaws.com",
        global_region: "us-gov-west-1",
        has_dns_aliases: false,
    },
    Partition {
        name: "aws-iso",
        region_prefix: "us-iso-",
        dns_suffix: "c2s.ic.gov",
        principal_suffix: "c2s.ic.gov",
        global_region: "us-iso-east-1",
        has_dns_aliases: true,
    },
    Partition {
        name: "aws-iso-b",
        region_prefix: "us-isob-",
        dns_suffix: "sc2s.sgov.gov",
        principal_suffix: "sc2s.sgov.gov",
        global_region: "us-isob-east-1",
        has_dns_aliases: true,
    },
    Partition {
        name: "aws-iso-e",
        region_prefix: "eu-isoe-",
        dns_suffix: "cloud.adc-e.uk",
        principal_suffix: "cloud.adc-e.uk",
        global_region: "eu-isoe-west-1",
        has_dns_aliases: true,
    },
    Partition {
        name: "aws-iso-f",
        region_prefix: "us-isof-",
        dns_suffix: "csp.hci.ic.gov",
        principal_suffix: "csp.hci.ic.gov",
        global_region: "us-isof-south-1",
        has_dns_aliases: true,
    },
    Partition {
        name: "aws-eusc",
        region_prefix: "eusc-",
        dns_suffix: "amazonaws.eu",
        principal_suffix: "amazonaws.com",
        global_region: "eusc-de-east-1",
        has_dns_aliases: true,
    },
    Partition {
        name: "aws",
        region_prefix: "",
        dns_suffix: "amazonaws.com",
        principal_suffix: "amazonaws.com",
        global_region: "us-east-1",
        has_dns_aliases: true,
    },
];

impl Partition {
    /// Returns the partition of a region, by the beginning of its name.
    pub fn of_region(region: &str) -> Self {
        let has = |one: &&Self| region.starts_with(one.region_prefix);
        *PARTITIONS.iter().find(has).expect("BUG: the last prefix is empty")
    }

    /// Returns the partition with this name. `None` for a name that is not in the table.
    pub fn named(name: &str) -> Option<Self> {
        PARTITIONS.iter().find(|one| one.name == name).copied()
    }

    /// Returns the principal of a service in trust policies and in the condition
    /// `iam:PassedToService`: `ec2.amazonaws.com`.
    pub fn principal(self, service: &str) -> String {
        format!("{service}.{}", self.principal_suffix)
    }

    /// Returns the name of the gateway endpoint service of S3. All partitions have this prefix; the
    /// prefix `cn.com.amazonaws` in China is of interface endpoints (Cluster API Provider AWS,
    /// `pkg/cloud/services/network/vpc.go`, of all regions).
    pub fn s3_endpoint_service(region: &str) -> String {
        format!("com.amazonaws.{region}.s3")
    }

    /// Returns true if AWS can copy images of the public partition into this one. AWS copies no image
    /// from one partition to another (EC2 user guide, "Copy an Amazon EC2 AMI").
    pub fn is_public(self) -> bool {
        self.name == "aws"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_that_of_the_region_name() {
        for (region, name, ec2, suffix) in [
            ("us-west-2", "aws", "ec2.amazonaws.com", "amazonaws.com"),
            ("eu-south-2", "aws", "ec2.amazonaws.com", "amazonaws.com"),
            ("us-east-1", "aws", "ec2.amazonaws.com", "amazonaws.com"),
            ("cn-north-1", "aws-cn", "ec2.amazonaws.com.cn", "amazonaws.com.cn"),
            ("cn-northwest-1", "aws-cn", "ec2.amazonaws.com.cn", "amazonaws.com.cn"),
            ("us-gov-west-1", "aws-us-gov", "ec2.amazonaws.com", "amazonaws.com"),
            ("us-gov-east-1", "aws-us-gov", "ec2.amazonaws.com", "amazonaws.com"),
            ("us-iso-east-1", "aws-iso", "ec2.c2s.ic.gov", "c2s.ic.gov"),
            ("us-isob-east-1", "aws-iso-b", "ec2.sc2s.sgov.gov", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "aws-iso-e", "ec2.cloud.adc-e.uk", "cloud.adc-e.uk"),
            ("us-isof-south-1", "aws-iso-f", "ec2.csp.hci.ic.gov", "csp.hci.ic.gov"),
            ("eusc-de-east-1", "aws-eusc", "ec2.amazonaws.com", "amazonaws.eu"),
        ] {
            let partition = Partition::of_region(region);
            assert_eq!(partition.name, name, "{region}");
            assert_eq!(partition.principal("ec2"), ec2, "{region}");
            assert_eq!(partition.dns_suffix, suffix, "{region}");
            assert_eq!(Partition::named(name), Some(partition));
        }
        assert_eq!(Partition::named("aws-moon"), None);
    }

    #[test]
    fn the_global_region_of_a_partition_is_one_of_its_regions() {
        for partition in PARTITIONS {
            assert_eq!(Partition::of_region(partition.global_region), *partition);
        }
    }

    #[test]
    fn only_govcloud_has_no_aliases_of_load_balancers() {
        let without = PARTITIONS.iter().filter(|one| !one.has_dns_aliases).map(|one| one.name);
        assert_eq!(without.collect::<Vec<_>>(), ["aws-us-gov"]);
    }

    /// The URL of a service by the SDK's own table.
    #[cfg(feature = "sdk")]
    macro_rules! endpoint {
        ($sdk:ident, $region:expr) => {{
            use $sdk::config::endpoint::{DefaultResolver, Params, ResolveEndpoint};
            let params = Params::builder().region($region).build().expect("a region");
            let resolver = DefaultResolver::new();
            let found = ResolveEndpoint::resolve_endpoint(&resolver, &params);
            found.await.expect("an endpoint").url().to_owned()
        }};
    }

    #[cfg(feature = "sdk")]
    #[tokio::test]
    async fn the_sdk_has_the_same_endpoints() {
        for partition in PARTITIONS {
            let (region, suffix) = (partition.global_region, partition.dns_suffix);
            let regional = |service: &str| format!("https://{service}.{region}.{suffix}");
            assert_eq!(endpoint!(aws_sdk_ec2, region), regional("ec2"));
            assert_eq!(
                endpoint!(aws_sdk_elasticloadbalancingv2, region),
                regional("elasticloadbalancing")
            );
            assert_eq!(endpoint!(aws_sdk_sts, region), regional("sts"));
            assert_eq!(endpoint!(aws_sdk_servicequotas, region), regional("servicequotas"));
            assert_eq!(endpoint!(aws_sdk_s3, region), regional("s3"));
            for global in [endpoint!(aws_sdk_iam, region), endpoint!(aws_sdk_route53, region)] {
                assert!(global.ends_with(suffix), "{}: {global}", partition.name);
            }
        }
    }
}
