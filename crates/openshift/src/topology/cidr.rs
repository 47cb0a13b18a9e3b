//! Division of the machine network into subnets: by halves (release-4.15,
//! `data/data/aws/cluster/vpc/common.tf`), or by blocks (installer `pkg/asset/manifests/aws/zones.go`,
//! `setSubnetsManagedVPC`, and `capiutils/cidr`, main at 006d457393). Works on numbers only.

use ipnet::Ipv4Net;

use super::CompileError;
use super::layout::CidrSplit;

/// Prefix lengths that AWS allows for a VPC and for a subnet (VPC User Guide, "Subnet CIDR
/// blocks").
const PREFIXES: std::ops::RangeInclusive<u8> = 16..=28;

/// The subnets of a network, one private and one public per zone, in the order of the sorted zones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// CIDRs of the subnets for machines.
    pub private: Vec<Ipv4Net>,
    /// CIDRs of the subnets with a route to the internet gateway.
    pub public: Vec<Ipv4Net>,
}

/// Divides a network for `zones` zones, at least one. `public`: the cluster is published.
pub(super) fn split(
    how: CidrSplit,
    network: Ipv4Net,
    zones: usize,
    public: bool,
) -> Result<Split, CompileError> {
    let cut = || match how {
        CidrSplit::Halves => halves(network, zones),
        CidrSplit::Blocks => blocks(network, zones, public),
    };
    let fits = |split: &Split| {
        let nets = split.private.iter().chain(&split.public);
        nets.chain([&network]).all(|net| PREFIXES.contains(&net.prefix_len()))
    };
    cut().filter(fits).ok_or(CompileError::NetworkSize { network, zones })
}

/// Private subnets in the lower half, public subnets in the upper half.
fn halves(network: Ipv4Net, zones: usize) -> Option<Split> {
    let pool = |half| {
        let half = block(network, 1, half)?;
        // A single zone uses half of the half, so that other zones can follow.
        if zones == 1 { block(half, 1, 0) } else { Some(half) }
    };
    Some(Split { private: slices(pool(0)?, zones)?, public: slices(pool(1)?, zones)? })
}

/// Returns one block for each private subnet, and the next block for all public subnets. One more is
/// free; the number of blocks is a power of two.
fn blocks(network: Ipv4Net, zones: usize, public: bool) -> Option<Split> {
    let count = zones + 1 + usize::from(public);
    let mut blocks = slices(network, count)?;
    let of_public = blocks[zones];
    blocks.truncate(zones);
    // The network has public subnets in either case: the egress of private subnets needs them.
    Some(Split { private: blocks, public: slices(of_public, zones)? })
}

fn slices(pool: Ipv4Net, count: usize) -> Option<Vec<Ipv4Net>> {
    let bits = u8::try_from(count.next_power_of_two().trailing_zeros()).ok()?;
    (0..u32::try_from(count).ok()?).map(|index| block(pool, bits, index)).collect()
}

/// Returns the block `index` among the blocks whose prefix is longer by `bits`. Same as Terraform's
/// `cidrsubnet`.
fn block(network: Ipv4Net, bits: u8, index: u32) -> Option<Ipv4Net> {
    let prefix = network.prefix_len().checked_add(bits).filter(|prefix| *prefix <= 32)?;
    if u64::from(index) >= 1 << bits {
        return None;
    }
    let offset = u64::from(index) << (32 - prefix);
    let start = u32::from(network.network()) | u32::try_from(offset).ok()?;
    Ipv4Net::new(start.into(), prefix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(network: &str, zones: usize) -> (String, String) {
        let Split { private, public } =
            split(CidrSplit::Halves, network.parse().unwrap(), zones, true).unwrap();
        let text =
            |nets: Vec<Ipv4Net>| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        (text(private), text(public))
    }

    #[test]
    fn networks_are_cut_as_the_reference_cuts_them() {
        let vectors = [
            ("10.0.0.0/16", 1, "10.0.0.0/18", "10.0.128.0/18"),
            ("10.0.0.0/16", 2, "10.0.0.0/18 10.0.64.0/18", "10.0.128.0/18 10.0.192.0/18"),
            (
                "10.0.0.0/16",
                3,
                "10.0.0.0/19 10.0.32.0/19 10.0.64.0/19",
                "10.0.128.0/19 10.0.160.0/19 10.0.192.0/19",
            ),
            (
                "10.0.0.0/16",
                4,
                "10.0.0.0/19 10.0.32.0/19 10.0.64.0/19 10.0.96.0/19",
                "10.0.128.0/19 10.0.160.0/19 10.0.192.0/19 10.0.224.0/19",
            ),
            (
                "10.0.0.0/16",
                5,
                "10.0.0.0/20 10.0.16.0/20 10.0.32.0/20 10.0.48.0/20 10.0.64.0/20",
                "10.0.128.0/20 10.0.144.0/20 10.0.160.0/20 10.0.176.0/20 10.0.192.0/20",
            ),
            (
                "10.0.0.0/16",
                6,
                "10.0.0.0/20 10.0.16.0/20 10.0.32.0/20 10.0.48.0/20 10.0.64.0/20 10.0.80.0/20",
                "10.0.128.0/20 10.0.144.0/20 10.0.160.0/20 10.0.176.0/20 10.0.192.0/20 \
                 10.0.208.0/20",
            ),
            (
                "10.0.0.0/20",
                3,
                "10.0.0.0/23 10.0.2.0/23 10.0.4.0/23",
                "10.0.8.0/23 10.0.10.0/23 10.0.12.0/23",
            ),
            (
                "192.168.0.0/24",
                3,
                "192.168.0.0/27 192.168.0.32/27 192.168.0.64/27",
                "192.168.0.128/27 192.168.0.160/27 192.168.0.192/27",
            ),
        ];
        for (network, zones, private, public) in vectors {
            assert_eq!(cut(network, zones), (private.into(), public.into()), "{network} {zones}");
        }
    }

    #[test]
    fn a_network_that_aws_could_not_be_given_is_an_error() {
        let refused = |network: &str, zones| {
            split(CidrSplit::Halves, network.parse().unwrap(), zones, true).is_err()
        };
        assert!(refused("10.0.0.0/27", 1) && !refused("10.0.0.0/26", 1));
        assert!(refused("10.0.0.0/26", 3) && !refused("10.0.0.0/25", 3));
        assert!(refused("10.0.0.0/15", 1), "a VPC ends at /16");
        assert!(refused("10.0.0.0/32", 2) && refused("0.0.0.0/0", 1));
    }
}
