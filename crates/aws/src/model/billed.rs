//! Items that AWS bills by amount and time for the resources of a cluster. Without prices.
//!
//! Usage is not counted: traffic, requests, stored objects, capacity units of load balancers.

use groundplan_engine::plan::billing::{BilledAmount, BilledItem};

use super::ebs::GP3_IOPS;

/// Throughput of a gp3 volume in MiB per second that the price of the storage includes. Source: EBS
/// user guide, "General Purpose SSD volumes".
const GP3_THROUGHPUT: i32 = 125;

macro_rules! categories {
    ($($(#[$doc:meta])* $category:ident = $name:literal, $variants:literal;)*) => {
        /// Category of billed items. The order is that of a plan.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum BilledCategory {
            $($(#[$doc])* $category,)*
        }

        impl BilledCategory {
            /// All categories.
            pub const ALL: &[Self] = &[$(Self::$category,)*];

            /// Returns the name in JSON and in price files.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$category => $name,)* }
            }

            /// Returns true if each variant, such as an instance type, has a price of its own.
            pub const fn has_variants(self) -> bool {
                match self { $(Self::$category => $variants,)* }
            }
        }
    };
}

categories! {
    /// NAT gateway.
    NatGateway = "nat_gateway", false;
    /// Public IPv4 address, also of a machine or of a load balancer.
    PublicIpv4 = "public_ipv4", false;
    /// Load balancer, by type.
    LoadBalancer = "load_balancer", true;
    /// On-demand instance, by instance type.
    Instance = "instance", true;
    /// Spot instance, by instance type.
    SpotInstance = "spot_instance", true;
    /// Instance with dedicated tenancy, by instance type.
    DedicatedInstance = "dedicated_instance", true;
    /// Instance on a Dedicated Host, by instance type. AWS bills the host.
    HostInstance = "host_instance", true;
    /// Instance in a Capacity Block, by instance type. The block was paid in advance.
    CapacityBlockInstance = "capacity_block_instance", true;
    /// Size of volumes in GiB, by volume type.
    Volume = "volume", true;
    /// Operations per second of volumes, without the included ones, by volume type.
    VolumeIops = "volume_iops", true;
    /// Throughput of volumes in MiB per second, without the included one, by volume type.
    VolumeThroughput = "volume_throughput", true;
    /// Volume whose size the image or another program decides.
    UnsizedVolume = "unsized_volume", false;
    /// Hosted zone.
    HostedZone = "hosted_zone", false;
    /// Copy of an image: AWS bills its snapshot.
    ImageCopy = "image_copy", false;
}

impl BilledCategory {
    fn amount(self, amount: u64, variant: &str, one: &str, several: &str) -> BilledAmount {
        let (variant, one, several) = (variant.to_owned(), one.to_owned(), several.to_owned());
        let item = BilledItem { order: self as u8, name: self.name(), variant, one, several };
        BilledAmount { item, amount }
    }
}

/// Returns one NAT gateway.
pub fn nat_gateway() -> BilledAmount {
    BilledCategory::NatGateway.amount(1, "", "NAT gateway", "NAT gateways")
}

/// Returns public IPv4 addresses. AWS bills each, in use or not, also those of load balancers (VPC
/// pricing, "Public IPv4 addresses").
pub fn public_ipv4(number: usize) -> BilledAmount {
    let number = number as u64;
    BilledCategory::PublicIpv4.amount(number, "", "public IPv4 address", "public IPv4 addresses")
}

/// Returns one load balancer of a type: `network`, `application` or `classic`. `None` for an unknown
/// type.
pub fn load_balancer(of: Option<&str>) -> BilledAmount {
    let noun = |end: &str| match of {
        Some(of) => format!("{of} {end}"),
        None => format!("{end} of unknown type"),
    };
    let (one, several) = (noun("load balancer"), noun("load balancers"));
    BilledCategory::LoadBalancer.amount(1, of.unwrap_or_default(), &one, &several)
}

/// Returns one instance. `None` for an unknown type.
pub fn instance(category: BilledCategory, instance_type: Option<&str>) -> BilledAmount {
    let Some(name) = instance_type else {
        return category.amount(1, "", "instance of unknown type", "instances of unknown type");
    };
    let noun = match category {
        BilledCategory::SpotInstance => format!("{name} (spot)"),
        BilledCategory::DedicatedInstance => format!("{name} (dedicated)"),
        BilledCategory::HostInstance => format!("{name} (on a dedicated host)"),
        BilledCategory::CapacityBlockInstance => format!("{name} (capacity block)"),
        _ => name.to_owned(),
    };
    category.amount(1, name, &noun, &noun)
}

/// Settings of a volume that decide its bill. `None` is a setting that EC2 or the image decides.
#[derive(Clone, Copy, Debug, Default)]
pub struct BilledVolume<'a> {
    /// Volume type.
    pub volume_type: Option<&'a str>,
    /// Size in GiB.
    pub size: Option<i32>,
    /// Operations per second.
    pub iops: Option<i32>,
    /// Throughput in MiB per second.
    pub throughput: Option<i32>,
}

impl BilledVolume<'_> {
    /// Returns the size, and the provisioned performance beyond what the size includes.
    pub fn billed(self) -> Vec<BilledAmount> {
        let name = self.volume_type.unwrap_or_default();
        let size = match self.size.map(u64::try_from) {
            Some(Ok(size)) => {
                let noun = match name {
                    "" => "GiB of unknown volume type".to_owned(),
                    name => format!("GiB {name}"),
                };
                BilledCategory::Volume.amount(size, name, &noun, &noun)
            }
            _ => unsized_volume(),
        };
        let performance = self.iops().into_iter().chain(self.throughput());
        std::iter::once(size).chain(performance).collect()
    }

    fn iops(&self) -> Option<BilledAmount> {
        let name = self.volume_type?;
        let iops = i64::from(self.iops?);
        let (billed, noun) = match name {
            "gp3" => (iops - GP3_IOPS, format!("IOPS gp3 above {GP3_IOPS} each")),
            "io1" | "io2" => (iops, format!("IOPS {name}")),
            _ => return None, // the API reports a figure for gp2, too, which the size includes
        };
        let billed = u64::try_from(billed).ok().filter(|billed| *billed > 0)?;
        Some(BilledCategory::VolumeIops.amount(billed, name, &noun, &noun))
    }

    fn throughput(&self) -> Option<BilledAmount> {
        let name = self.volume_type.filter(|name| *name == "gp3")?;
        let billed = u64::try_from(self.throughput? - GP3_THROUGHPUT).ok();
        let billed = billed.filter(|billed| *billed > 0)?;
        let noun = format!("MiB/s gp3 above {GP3_THROUGHPUT} each");
        Some(BilledCategory::VolumeThroughput.amount(billed, name, &noun, &noun))
    }
}

/// Returns a volume of unknown size.
pub fn unsized_volume() -> BilledAmount {
    let (one, several) = ("volume of unknown size", "volumes of unknown size");
    BilledCategory::UnsizedVolume.amount(1, "", one, several)
}

/// Returns one hosted zone. Its records are not billed.
pub fn hosted_zone() -> BilledAmount {
    BilledCategory::HostedZone.amount(1, "", "hosted zone", "hosted zones")
}

/// Returns one copy of an image.
pub fn image_copy() -> BilledAmount {
    BilledCategory::ImageCopy.amount(1, "", "image copy", "image copies")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(volume: BilledVolume<'_>) -> Vec<String> {
        volume.billed().iter().map(|one| one.item.counted(one.amount)).collect()
    }

    #[test]
    fn a_volume_is_its_size_and_what_is_provisioned_beyond_the_included_performance() {
        let volume = |name, iops, throughput| {
            words(BilledVolume { volume_type: Some(name), size: Some(120), iops, throughput })
        };
        assert_eq!(volume("gp3", None, None), ["120 GiB gp3"]);
        assert_eq!(volume("gp3", Some(3000), Some(125)), ["120 GiB gp3"]);
        assert_eq!(
            volume("gp3", Some(4000), Some(250)),
            ["120 GiB gp3", "1000 IOPS gp3 above 3000 each", "125 MiB/s gp3 above 125 each"]
        );
        assert_eq!(volume("io1", Some(4000), None), ["120 GiB io1", "4000 IOPS io1"]);
        assert_eq!(volume("gp2", Some(360), None), ["120 GiB gp2"]);
    }

    #[test]
    fn what_is_not_known_is_named_and_not_guessed() {
        assert_eq!(words(BilledVolume::default()), ["1 volume of unknown size"]);
        let untyped = BilledVolume { size: Some(8), ..BilledVolume::default() };
        assert_eq!(words(untyped), ["8 GiB of unknown volume type"]);
        let one = instance(BilledCategory::Instance, None);
        assert_eq!(one.item.counted(2), "2 instances of unknown type");
        assert_eq!(load_balancer(None).item.counted(1), "1 load balancer of unknown type");
    }
}
