//! Lookups: read-only AWS queries besides those of the kinds, as data, with their result types.
//!
//! Free of the SDK, which [`crate::lookups::queries`] uses: the compiler of a config only needs the queries
//! as data.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::model::ids::{
    DedicatedHostId, HostedZoneId, ImageId, InstanceId, InstanceProfileName, PolicyArn,
    PublicIpv4PoolId, RoleName, SecurityGroupId, SubnetId, VpcId,
};

/// A lookup: a read-only query whose result only AWS has.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lookup {
    /// The available zones of the type `availability-zone`, as `Vec<String>`.
    AvailabilityZones {
        /// The region.
        region: String,
    },
    /// The zones that offer each of these types, as [`Offerings`].
    InstanceTypeOfferings {
        /// The region.
        region: String,
        /// The instance types.
        types: Vec<String>,
    },
    /// The image with this ID, as `Option<ImageFact>`.
    Image {
        /// The region.
        region: String,
        /// The image ID.
        id: ImageId,
    },
    /// The public hosted zone for exactly this domain, as `Option<HostedZoneId>`.
    PublicZone {
        /// The domain, without the trailing dot.
        domain: String,
    },
    /// The existing ones of these subnets, as `Vec<SubnetFact>`.
    Subnets {
        /// The region.
        region: String,
        /// The subnet IDs, sorted.
        ids: Vec<SubnetId>,
    },
    /// The hosted zone with this ID, as `Option<HostedZoneFact>`.
    HostedZone {
        /// The hosted zone ID.
        id: HostedZoneId,
    },
    /// The instance types that the region has, among these, as [`InstanceTypes`]. A check: the
    /// result is not kept.
    InstanceTypes {
        /// The region.
        region: String,
        /// The type names, sorted.
        types: Vec<String>,
    },
    /// The existing ones of these security groups and their VPCs, as [`SecurityGroupVpcs`]. A check: the
    /// result is not kept.
    SecurityGroups {
        /// The region.
        region: String,
        /// The security group IDs, sorted.
        ids: Vec<SecurityGroupId>,
    },
    /// The images that match these filters, as `Vec<ImageCandidate>`.
    ImagesBy {
        /// The region.
        region: String,
        /// The filters; an image must match all.
        filters: Vec<FilterBy>,
    },
    /// The subnets that match these filters, as `Vec<SubnetCandidate>` in the order of AWS's
    /// response.
    SubnetsBy {
        /// The region.
        region: String,
        /// The filters; a subnet must match all.
        filters: Vec<FilterBy>,
    },
    /// The security groups that match these filters, as `Vec<SecurityGroupId>`.
    SecurityGroupsBy {
        /// The region.
        region: String,
        /// The filters; a security group must match all.
        filters: Vec<FilterBy>,
    },
    /// The instances of a cluster with these names, as [`InstancesNamed`].
    InstancesNamed {
        /// The region.
        region: String,
        /// The key of the cluster tag.
        cluster_tag: String,
        /// The instance names, sorted.
        names: Vec<String>,
    },
    /// The type of each zone (`availability-zone`, `local-zone`, `wavelength-zone`) by zone name,
    /// as [`ZoneTypes`].
    ZoneTypes {
        /// The region.
        region: String,
    },
    /// The existing ones of these zones, also those that the account has not enabled, as [`ZoneFacts`].
    Zones {
        /// The region.
        region: String,
        /// The zone names, sorted.
        names: Vec<String>,
    },
    /// Existence of a role with this name in the account, as `bool`. A check: the result is not
    /// kept.
    Role {
        /// The role name.
        name: RoleName,
    },
    /// Existence of an instance profile with this name in the account, as `bool`. A check: the
    /// result is not kept.
    InstanceProfile {
        /// The profile name.
        name: InstanceProfileName,
    },
    /// Existence and account of a managed policy, as [`PolicyFact`]. A check: the result is not kept.
    Policy {
        /// The ARN.
        arn: PolicyArn,
    },
    /// The existing ones of these Dedicated Hosts, as `Vec<DedicatedHostFact>`.
    DedicatedHosts {
        /// The region.
        region: String,
        /// The host IDs, sorted.
        ids: Vec<DedicatedHostId>,
    },
    /// The number of free addresses in a pool of public IPv4 addresses, as `Option<u32>`: `None` if
    /// there is no such pool. A check: the result is not kept.
    PublicIpv4Pool {
        /// The region.
        region: String,
        /// The pool ID.
        id: PublicIpv4PoolId,
    },
    /// The names of all key pairs, as `Vec<String>`. A check: the result is not kept.
    KeyPairs {
        /// The region.
        region: String,
    },
    /// The IDs of all capacity reservations that have not ended, as `Vec<String>`. A check: the
    /// result is not kept.
    CapacityReservations {
        /// The region.
        region: String,
    },
    /// All placement groups, as [`PlacementGroups`]. A check: the result is not kept.
    PlacementGroups {
        /// The region.
        region: String,
    },
    /// The names of existing load balancers of the API that has target groups, as `Vec<String>`.
    /// The result has only the requested names if all of them exist, else all names. A check: the
    /// result is not kept.
    LoadBalancers {
        /// The region.
        region: String,
        /// The requested names, sorted.
        names: Vec<String>,
    },
    /// The names of existing classic load balancers, as for [`Self::LoadBalancers`].
    ClassicLoadBalancers {
        /// The region.
        region: String,
        /// The requested names, sorted.
        names: Vec<String>,
    },
    /// Permission of the caller to assume a role, as `bool`. A check: the result is not kept.
    AssumedRole {
        /// The ARN of the role.
        arn: String,
    },
    /// The names of the zone's records below a domain and not at it, as `Vec<String>` without the
    /// trailing dot. A check: the result is not kept.
    RecordsBelow {
        /// The hosted zone ID.
        zone: HostedZoneId,
        /// The domain.
        domain: String,
    },
}

impl Lookup {
    /// Returns the key of the lookup result in the lookup cache. Keys are stable across releases.
    pub fn key(&self) -> String {
        match self {
            Self::AvailabilityZones { region } => format!("availability_zones/{region}"),
            Self::InstanceTypeOfferings { region, types } => {
                format!("instance_type_offerings/{region}/{}", types.join(","))
            }
            Self::Image { region, id } => format!("image/{region}/{id}"),
            Self::PublicZone { domain } => format!("public_zone/{domain}"),
            Self::Subnets { region, ids } => {
                let ids: Vec<_> = ids.iter().map(SubnetId::as_str).collect();
                format!("subnets/{region}/{}", ids.join(","))
            }
            Self::HostedZone { id } => format!("hosted_zone/{id}"),
            Self::InstanceTypes { region, types } => {
                format!("instance_types/{region}/{}", types.join(","))
            }
            Self::SecurityGroups { region, ids } => {
                let ids: Vec<_> = ids.iter().map(SecurityGroupId::as_str).collect();
                format!("security_groups/{region}/{}", ids.join(","))
            }
            Self::ImagesBy { region, filters } => format!("images/{region}/{}", all(filters)),
            Self::SubnetsBy { region, filters } => format!("subnets_by/{region}/{}", all(filters)),
            Self::SecurityGroupsBy { region, filters } => {
                format!("security_groups_by/{region}/{}", all(filters))
            }
            Self::InstancesNamed { region, cluster_tag, names } => {
                format!("instances_named/{region}/{cluster_tag}/{}", names.join(","))
            }
            Self::ZoneTypes { region } => format!("zone_types/{region}"),
            Self::Zones { region, names } => format!("zones/{region}/{}", names.join(",")),
            Self::Role { name } => format!("role/{name}"),
            Self::InstanceProfile { name } => format!("instance_profile/{name}"),
            Self::Policy { arn } => format!("policy/{arn}"),
            Self::DedicatedHosts { region, ids } => {
                let ids: Vec<_> = ids.iter().map(DedicatedHostId::as_str).collect();
                format!("dedicated_hosts/{region}/{}", ids.join(","))
            }
            Self::PublicIpv4Pool { region, id } => format!("public_ipv4_pool/{region}/{id}"),
            Self::KeyPairs { region } => format!("key_pairs/{region}"),
            Self::CapacityReservations { region } => format!("capacity_reservations/{region}"),
            Self::PlacementGroups { region } => format!("placement_groups/{region}"),
            Self::LoadBalancers { region, names } => {
                format!("load_balancers/{region}/{}", names.join(","))
            }
            Self::ClassicLoadBalancers { region, names } => {
                format!("classic_load_balancers/{region}/{}", names.join(","))
            }
            Self::AssumedRole { arn } => format!("assumed_role/{arn}"),
            Self::RecordsBelow { zone, domain } => format!("records_below/{zone}/{domain}"),
        }
    }
}

impl fmt::Display for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AvailabilityZones { region } => write!(f, "the availability zones of {region}"),
            Self::InstanceTypeOfferings { types, .. } => {
                write!(f, "the zones that have the instance types {}", types.join(", "))
            }
            Self::Image { region, id } => write!(f, "the image {id} in {region}"),
            Self::PublicZone { domain } => write!(f, "the public hosted zone of {domain}"),
            Self::Subnets { ids, .. } => write!(f, "the subnets {}", listed(ids)),
            Self::HostedZone { id } => write!(f, "the hosted zone {id}"),
            Self::InstanceTypes { types, .. } => {
                write!(f, "the instance types {}", types.join(", "))
            }
            Self::SecurityGroups { ids, .. } => write!(f, "the security groups {}", listed(ids)),
            Self::ImagesBy { filters, .. } => write!(f, "the images with {}", all(filters)),
            Self::SubnetsBy { filters, .. } => write!(f, "the subnets with {}", all(filters)),
            Self::SecurityGroupsBy { filters, .. } => {
                write!(f, "the security groups with {}", all(filters))
            }
            Self::InstancesNamed { names, .. } => {
                write!(f, "the instances named {}", names.join(", "))
            }
            Self::ZoneTypes { region } => write!(f, "the types of the zones of {region}"),
            Self::Zones { names, .. } => write!(f, "the zones {}", names.join(", ")),
            Self::Role { name } => write!(f, "the role {name}"),
            Self::InstanceProfile { name } => write!(f, "the instance profile {name}"),
            Self::Policy { arn } => write!(f, "the policy {arn}"),
            Self::DedicatedHosts { ids, .. } => write!(f, "the Dedicated Hosts {}", listed(ids)),
            Self::PublicIpv4Pool { id, .. } => write!(f, "the pool of public addresses {id}"),
            Self::KeyPairs { region } => write!(f, "the key pairs of {region}"),
            Self::CapacityReservations { region } => {
                write!(f, "the capacity reservations of {region}")
            }
            Self::PlacementGroups { region } => write!(f, "the placement groups of {region}"),
            Self::LoadBalancers { names, .. } => {
                write!(f, "the load balancers {}", names.join(", "))
            }
            Self::ClassicLoadBalancers { names, .. } => {
                write!(f, "the classic load balancers {}", names.join(", "))
            }
            Self::AssumedRole { arn } => write!(f, "the permission to assume {arn}"),
            Self::RecordsBelow { zone, domain } => {
                write!(f, "the records below {domain} in the hosted zone {zone}")
            }
        }
    }
}

/// A Dedicated Host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DedicatedHostFact {
    /// The host ID.
    pub id: DedicatedHostId,
    /// The zone of the host.
    pub zone: String,
    /// Infra IDs of the clusters that own the host.
    pub owners: BTreeSet<String>,
}

fn listed<T: fmt::Display>(ids: &[T]) -> String {
    ids.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// A filter of a Describe call, as written by the user.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FilterBy {
    /// The compared attribute, such as `tag:Name`.
    pub name: String,
    /// The accepted values.
    pub values: Vec<String>,
}

impl fmt::Display for FilterBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.values.join(","))
    }
}

fn all(filters: &[FilterBy]) -> String {
    filters.iter().map(FilterBy::to_string).collect::<Vec<_>>().join(";")
}

/// An image that matches the filters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageCandidate {
    /// The image ID.
    pub id: ImageId,
    /// The creation time in AWS's format. Among several candidates the latest is used.
    pub created: Option<String>,
    /// The name of the image's root device.
    pub root_device: Option<String>,
}

/// A subnet that matches the filters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetCandidate {
    /// The subnet ID.
    pub id: SubnetId,
    /// The subnet's zone.
    pub zone: String,
}

/// The instances of each name, without those that are being terminated.
pub type InstancesNamed = BTreeMap<String, Vec<InstanceId>>;

/// The type of each zone, by zone name.
pub type ZoneTypes = BTreeMap<String, String>;

/// Facts about zones, by the name of the zone.
pub type ZoneFacts = BTreeMap<String, ZoneFact>;

/// Type of Local Zones (EC2 API reference, `AvailabilityZone.ZoneType`).
pub const LOCAL_ZONE: &str = "local-zone";
/// Type of Wavelength Zones.
pub const WAVELENGTH_ZONE: &str = "wavelength-zone";

/// The used attributes of a zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZoneFact {
    /// The type: `availability-zone`, `local-zone` or `wavelength-zone`.
    pub zone_type: String,
    /// The zone group, which an account enables as a whole: `us-east-1-nyc-1`.
    pub group: String,
    /// The availability zone that controls a Local or Wavelength Zone. `None` for an availability
    /// zone.
    pub parent: Option<String>,
    /// True if the account can use the zone.
    pub enabled: bool,
}

impl ZoneFact {
    /// Returns true for a Local or Wavelength Zone.
    pub fn is_edge(&self) -> bool {
        [LOCAL_ZONE, WAVELENGTH_ZONE].contains(&self.zone_type.as_str())
    }
}

/// The zones that offer an instance type, by type.
pub type Offerings = BTreeMap<String, BTreeSet<String>>;

/// Facts about instance types, by type name.
pub type InstanceTypes = BTreeMap<String, InstanceTypeFact>;

/// The VPCs of security groups, by group ID.
pub type SecurityGroupVpcs = BTreeMap<SecurityGroupId, VpcId>;

/// The placement groups that instances can be launched into, by name.
pub type PlacementGroups = BTreeMap<String, PlacementGroupFact>;

/// The used attributes of a placement group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementGroupFact {
    /// `cluster`, `spread` or `partition`.
    pub strategy: String,
    /// The number of partitions. `None` for strategies without partitions.
    pub partitions: Option<i32>,
}

/// A managed policy, as far as the credentials may read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyFact {
    /// True if the policy exists. `None` if the credentials may not read it.
    pub exists: Option<bool>,
    /// The account of the credentials.
    pub account: String,
}

/// The used attributes of an instance type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceTypeFact {
    /// The number of virtual processors with the type's default CPU options.
    pub vcpus: u32,
    /// The memory in MiB.
    pub memory_mib: u64,
    /// The supported architectures in AWS's spelling (`x86_64`, `arm64`).
    pub architectures: BTreeSet<String>,
    /// The number of GPUs.
    #[serde(default)]
    pub gpus: u32,
}

/// The used attributes of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFact {
    /// The name of the image's root device (`/dev/xvda`).
    pub root_device: String,
    /// The architecture in AWS's spelling. `None` in lookup results of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// `available`, or the state that prevents booting. `None` in lookup results of older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// The used attributes of an existing subnet that the user names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetFact {
    /// The subnet ID.
    pub id: SubnetId,
    /// The subnet's VPC.
    pub vpc: VpcId,
    /// The subnet's availability zone.
    pub zone: String,
    /// The subnet's address range.
    pub cidr: Ipv4Net,
    /// The subnet's reach.
    pub reach: SubnetReach,
    /// Attributes of a subnet in a Local or Wavelength Zone. `None` in other zones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub edge: Option<EdgeFact>,
    /// The clusters that own the subnet, by its tags. Empty in lookup results of older versions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub owners: BTreeSet<String>,
    /// The clusters that own the subnet's VPC, by the tags of the VPC. Empty in lookup results of
    /// older versions.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub vpc_owners: BTreeSet<String>,
}

/// The used attributes of a subnet in a Local or Wavelength Zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EdgeFact {
    /// The zone of the subnet.
    pub zone: ZoneFact,
    /// True if the route table has a route to an internet or carrier gateway.
    pub public: bool,
}

/// The reach of a subnet, by its zone and routes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubnetReach {
    /// The route table has no route to an internet (`igw-…`) or carrier (`cagw-…`) gateway. The
    /// table is the one associated with the subnet, else the VPC's main one.
    Private,
    /// The route table has a route to an internet or carrier gateway.
    Public,
    /// The zone is a local or wavelength zone. [`SubnetFact::edge`] has the routes.
    Edge,
}

/// The used attributes of an existing hosted zone that the user names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedZoneFact {
    /// The zone's domain, with or without the trailing dot.
    pub name: String,
    /// True if the zone is private.
    pub private: bool,
    /// The VPCs that are associated with the zone.
    pub vpcs: Vec<VpcId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_is_named_in_words_and_not_by_its_key() {
        let region = || "us-west-2".to_owned();
        let types = vec!["m6i.xlarge".to_owned(), "m5.xlarge".to_owned()];
        let ids = vec![SubnetId::from("subnet-1"), SubnetId::from("subnet-2")];
        for (lookup, words) in [
            (Lookup::AvailabilityZones { region: region() }, "the availability zones of us-west-2"),
            (
                Lookup::InstanceTypeOfferings { region: region(), types },
                "the zones that have the instance types m6i.xlarge, m5.xlarge",
            ),
            (Lookup::Subnets { region: region(), ids }, "the subnets subnet-1, subnet-2"),
            (Lookup::Role { name: "admin".into() }, "the role admin"),
        ] {
            assert_eq!(lookup.to_string(), words);
            assert!(!lookup.key().contains(words));
        }
    }

    #[test]
    fn keys_are_stable() {
        let region = || "us-west-2".to_owned();
        let types = vec!["m6i.xlarge".to_owned(), "m5.xlarge".to_owned()];
        let ids = vec![SubnetId::from("subnet-1"), SubnetId::from("subnet-2")];
        for (lookup, key) in [
            (Lookup::AvailabilityZones { region: region() }, "availability_zones/us-west-2"),
            (
                Lookup::InstanceTypeOfferings { region: region(), types },
                "instance_type_offerings/us-west-2/m6i.xlarge,m5.xlarge",
            ),
            (Lookup::Image { region: region(), id: "ami-1".into() }, "image/us-west-2/ami-1"),
            (Lookup::PublicZone { domain: "example.com".into() }, "public_zone/example.com"),
            (Lookup::Subnets { region: region(), ids }, "subnets/us-west-2/subnet-1,subnet-2"),
            (Lookup::HostedZone { id: "Z1".into() }, "hosted_zone/Z1"),
            (
                Lookup::Zones { region: region(), names: vec!["us-west-2-lax-1a".to_owned()] },
                "zones/us-west-2/us-west-2-lax-1a",
            ),
        ] {
            assert_eq!(lookup.key(), key);
        }
    }
}
