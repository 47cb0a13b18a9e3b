//! What may be asked of AWS besides the kinds, as data: questions with the types of their answers.
//!
//! Free of the SDK, which [`super::lookups`] has: whoever compiles a config only needs to know what
//! can be asked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::ids::{
    HostedZoneId, ImageId, InstanceId, InstanceProfileName, RoleName, SecurityGroupId, SubnetId,
    VpcId,
};

/// Something only AWS knows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// The available zones of the type `availability-zone`, as `Vec<String>`.
    AvailabilityZones {
        /// Of this region.
        region: String,
    },
    /// The zones that offer each of these types, as [`Offerings`].
    InstanceTypeOfferings {
        /// In this region.
        region: String,
        /// These types.
        types: Vec<String>,
    },
    /// The image with this id, as `Option<ImageFact>`.
    Image {
        /// In this region.
        region: String,
        /// Its id.
        id: ImageId,
    },
    /// The public hosted zone for exactly this domain, as `Option<HostedZoneId>`.
    PublicZone {
        /// Without the trailing dot.
        domain: String,
    },
    /// Those of these subnets that exist, as `Vec<SubnetFact>`.
    Subnets {
        /// In this region.
        region: String,
        /// Their ids, sorted.
        ids: Vec<SubnetId>,
    },
    /// The hosted zone with this id, as `Option<HostedZoneFact>`.
    HostedZone {
        /// Its id.
        id: HostedZoneId,
    },
    /// Those of these types that the region has, as [`InstanceTypes`]. Only ever checked.
    InstanceTypes {
        /// In this region.
        region: String,
        /// Their names, sorted.
        types: Vec<String>,
    },
    /// Those of these security groups that exist, with their VPCs, as [`Groups`]. Only ever
    /// checked.
    SecurityGroups {
        /// In this region.
        region: String,
        /// Their ids, sorted.
        ids: Vec<SecurityGroupId>,
    },
    /// The images that fit these filters, as `Vec<ImageCandidate>`.
    ImagesBy {
        /// In this region.
        region: String,
        /// What they fit.
        filters: Vec<FilterBy>,
    },
    /// The subnets that fit these filters, as `Vec<SubnetCandidate>` in the order of AWS's answer.
    SubnetsBy {
        /// In this region.
        region: String,
        /// What they fit.
        filters: Vec<FilterBy>,
    },
    /// The security groups that fit these filters, as `Vec<SecurityGroupId>`.
    SecurityGroupsBy {
        /// In this region.
        region: String,
        /// What they fit.
        filters: Vec<FilterBy>,
    },
    /// The instances of a cluster with these names, as [`InstancesNamed`].
    InstancesNamed {
        /// In this region.
        region: String,
        /// The key of the cluster's tag.
        cluster_tag: String,
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// The type of each zone (`availability-zone`, `local-zone`, `wavelength-zone`), by its name, as
    /// [`ZoneTypes`].
    ZoneTypes {
        /// In this region.
        region: String,
    },
    /// Whether the account has a role of this name, as `bool`. Only ever checked.
    Role {
        /// Its name.
        name: RoleName,
    },
    /// Whether the account has an instance profile of this name, as `bool`. Only ever checked.
    InstanceProfile {
        /// Its name.
        name: InstanceProfileName,
    },
    /// The names of all key pairs, as `Vec<String>`. Only ever checked.
    KeyPairs {
        /// In this region.
        region: String,
    },
    /// The ids of all capacity reservations that are not over, as `Vec<String>`. Only ever checked.
    CapacityReservations {
        /// In this region.
        region: String,
    },
    /// All placement groups, as [`PlacementGroups`]. Only ever checked.
    PlacementGroups {
        /// In this region.
        region: String,
    },
    /// The names of load balancers that have target groups, as `Vec<String>`: of those of these that
    /// exist, or of all there are where some do not. Only ever checked.
    LoadBalancers {
        /// In this region.
        region: String,
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// The same of classic load balancers.
    ClassicLoadBalancers {
        /// In this region.
        region: String,
        /// Their names, sorted.
        names: Vec<String>,
    },
    /// The names, without the trailing dot, of the records of a zone below a domain and not at it,
    /// as `Vec<String>`. Only ever checked.
    RecordsBelow {
        /// The zone.
        zone: HostedZoneId,
        /// The domain.
        domain: String,
    },
}

impl Question {
    /// What its answer is kept under; stable from release to release.
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
            Self::Role { name } => format!("role/{name}"),
            Self::InstanceProfile { name } => format!("instance_profile/{name}"),
            Self::KeyPairs { region } => format!("key_pairs/{region}"),
            Self::CapacityReservations { region } => format!("capacity_reservations/{region}"),
            Self::PlacementGroups { region } => format!("placement_groups/{region}"),
            Self::LoadBalancers { region, names } => {
                format!("load_balancers/{region}/{}", names.join(","))
            }
            Self::ClassicLoadBalancers { region, names } => {
                format!("classic_load_balancers/{region}/{}", names.join(","))
            }
            Self::RecordsBelow { zone, domain } => format!("records_below/{zone}/{domain}"),
        }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key())
    }
}

/// A filter of a Describe call, as a user wrote it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FilterBy {
    /// What is compared, such as `tag:Name`.
    pub name: String,
    /// What it may be.
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

/// An image that fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageCandidate {
    /// Its id.
    pub id: ImageId,
    /// When it was made, as AWS writes it; of several the latest is meant.
    pub created: Option<String>,
    /// The device it calls its root.
    pub root_device: Option<String>,
}

/// A subnet that fits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetCandidate {
    /// Its id.
    pub id: SubnetId,
    /// Its zone.
    pub zone: String,
}

/// The instances that there are of each name, those that are going away left out.
pub type InstancesNamed = BTreeMap<String, Vec<InstanceId>>;

/// The type of each zone, by its name.
pub type ZoneTypes = BTreeMap<String, String>;

/// The zones that offer an instance type, by type.
pub type Offerings = BTreeMap<String, BTreeSet<String>>;

/// What there is of instance types, by name.
pub type InstanceTypes = BTreeMap<String, InstanceTypeFact>;

/// The VPCs of security groups, by id.
pub type Groups = BTreeMap<SecurityGroupId, VpcId>;

/// The placement groups that can be launched into, by name.
pub type PlacementGroups = BTreeMap<String, PlacementGroupFact>;

/// What matters of a placement group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacementGroupFact {
    /// `cluster`, `spread` or `partition`.
    pub strategy: String,
    /// How many partitions it has, if it has any.
    pub partitions: Option<i32>,
}

/// What matters of an instance type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceTypeFact {
    /// Its virtual processors, with the options that it has by default.
    pub vcpus: u32,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// What it runs, as AWS calls it (`x86_64`, `arm64`).
    pub architectures: BTreeSet<String>,
    /// Its GPUs.
    #[serde(default)]
    pub gpus: u32,
}

/// What matters of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageFact {
    /// The device it calls its root (`/dev/xvda`).
    pub root_device: String,
    /// What it runs on, as AWS calls it; not known of images that were asked for by older versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// `available`, or why it cannot be booted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
}

/// What matters of a subnet that the user brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubnetFact {
    /// Its id.
    pub id: SubnetId,
    /// The VPC it is a slice of.
    pub vpc: VpcId,
    /// Its availability zone.
    pub zone: String,
    /// Its address range.
    pub cidr: Ipv4Net,
    /// Where it leads.
    pub reach: Reach,
}

/// Where a subnet leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// Its route table has no route to an internet (`igw-…`) or carrier (`cagw-…`) gateway. The
    /// table is the one associated with the subnet, else the main one of the VPC.
    Private,
    /// It has one.
    Public,
    /// Its zone is a local or wavelength zone, whatever its routes.
    Edge,
}

/// What matters of a hosted zone that the user brought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostedZoneFact {
    /// Its domain, with or without the trailing dot.
    pub name: String,
    /// Whether it is private.
    pub private: bool,
    /// The VPCs that see it.
    pub vpcs: Vec<VpcId>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_stable() {
        let region = || "us-west-2".to_owned();
        let types = vec!["m6i.xlarge".to_owned(), "m5.xlarge".to_owned()];
        let ids = vec![SubnetId::from("subnet-1"), SubnetId::from("subnet-2")];
        for (question, key) in [
            (Question::AvailabilityZones { region: region() }, "availability_zones/us-west-2"),
            (
                Question::InstanceTypeOfferings { region: region(), types },
                "instance_type_offerings/us-west-2/m6i.xlarge,m5.xlarge",
            ),
            (Question::Image { region: region(), id: "ami-1".into() }, "image/us-west-2/ami-1"),
            (Question::PublicZone { domain: "example.com".into() }, "public_zone/example.com"),
            (Question::Subnets { region: region(), ids }, "subnets/us-west-2/subnet-1,subnet-2"),
            (Question::HostedZone { id: "Z1".into() }, "hosted_zone/Z1"),
        ] {
            assert_eq!(question.key(), key);
        }
    }
}
