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
    /// CIDRs of the private subnets in Local and Wavelength Zones, in the order of these zones.
    pub edge_private: Vec<Ipv4Net>,
    /// CIDRs of the public subnets in Local and Wavelength Zones. Empty if the layout has none.
    pub edge_public: Vec<Ipv4Net>,
}

/// Numbers of zones, which determine the subnets.
#[derive(Clone, Copy, Debug)]
pub(super) struct SubnetCounts {
    /// Availability zones, at least one.
    pub(super) zones: usize,
    /// Local and Wavelength Zones.
    pub(super) edge: usize,
    /// True if the cluster is published.
    pub(super) public: bool,
}

/// Divides a network into subnets.
pub(super) fn split(
    how: CidrSplit,
    network: Ipv4Net,
    counts: SubnetCounts,
) -> Result<Split, CompileError> {
    let cut = || match how {
        CidrSplit::Halves => halves(network, counts),
        CidrSplit::Blocks => blocks(network, counts),
    };
    let fits = |split: &Split| {
        let nets = split.private.iter().chain(&split.public);
        let nets = nets.chain(&split.edge_private).chain(&split.edge_public);
        nets.chain([&network]).all(|net| PREFIXES.contains(&net.prefix_len()))
    };
    let SubnetCounts { zones, edge, .. } = counts;
    cut().filter(fits).ok_or(CompileError::NetworkSize { network, zones: zones + edge })
}

/// Private subnets in the lower half, public subnets in the upper half. Subnets in Local and Wavelength
/// Zones share the upper half of the upper half.
fn halves(network: Ipv4Net, SubnetCounts { zones, edge, .. }: SubnetCounts) -> Option<Split> {
    // A single zone uses half of its range, so that other zones can follow.
    let pool = |range, zones| if zones == 1 { block(range, 1, 0) } else { Some(range) };
    let (lower, mut upper) = (block(network, 1, 0)?, block(network, 1, 1)?);
    let (mut edge_private, mut edge_public) = (Vec::new(), Vec::new());
    if edge > 0 {
        let range = block(upper, 1, 1)?;
        upper = block(upper, 1, 0)?;
        edge_private = slices(pool(block(range, 1, 0)?, edge)?, edge)?;
        edge_public = slices(pool(block(range, 1, 1)?, edge)?, edge)?;
    }
    Some(Split {
        private: slices(pool(lower, zones)?, zones)?,
        public: slices(pool(upper, zones)?, zones)?,
        edge_private,
        edge_public,
    })
}

/// Returns one block for each private subnet, the next block for all public subnets, and the block after
/// it for all subnets in Local and Wavelength Zones. One more is free; the number of blocks is a power of
/// two.
fn blocks(network: Ipv4Net, SubnetCounts { zones, edge, public }: SubnetCounts) -> Option<Split> {
    let count = zones + 1 + usize::from(public) + usize::from(edge > 0);
    let mut blocks = slices(network, count)?;
    let of_public = blocks[zones];
    let (mut edge_private, mut edge_public) = (Vec::new(), Vec::new());
    if edge > 0 {
        // One more is free here, too.
        let subnets = if public { 2 * edge } else { edge };
        edge_private = slices(blocks[zones + 1], subnets + 1)?;
        edge_private.truncate(subnets);
        edge_public = edge_private.split_off(edge);
    }
    blocks.truncate(zones);
    // The network has public subnets in either case: the egress of private subnets needs them.
    let public = slices(of_public, zones)?;
    Some(Split { private: blocks, public, edge_private, edge_public })
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
        let counts = SubnetCounts { zones, edge: 0, public: true };
        let Split { private, public, .. } =
            split(CidrSplit::Halves, network.parse().unwrap(), counts).unwrap();
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

    /// Vectors of the formulas of both layouts for 10.0.0.0/16: availability zones, edge zones, then
    /// private / public / edge private / edge public.
    #[test]
    fn subnets_in_edge_zones_are_cut_as_the_reference_cuts_them() {
        let vectors = [
            (
                CidrSplit::Halves,
                (3, 1, true),
                "10.0.0.0/19 10.0.32.0/19 10.0.64.0/19 / 10.0.128.0/20 10.0.144.0/20 10.0.160.0/20 \
                 / 10.0.192.0/20 / 10.0.224.0/20",
            ),
            (
                CidrSplit::Halves,
                (3, 3, true),
                "10.0.0.0/19 10.0.32.0/19 10.0.64.0/19 / 10.0.128.0/20 10.0.144.0/20 10.0.160.0/20 \
                 / 10.0.192.0/21 10.0.200.0/21 10.0.208.0/21 / 10.0.224.0/21 10.0.232.0/21 \
                 10.0.240.0/21",
            ),
            (
                CidrSplit::Halves,
                (1, 1, false),
                "10.0.0.0/18 / 10.0.128.0/19 / 10.0.192.0/20 / 10.0.224.0/20",
            ),
            (
                CidrSplit::Blocks,
                (3, 1, true),
                "10.0.0.0/19 10.0.32.0/19 10.0.64.0/19 / 10.0.96.0/21 10.0.104.0/21 10.0.112.0/21 \
                 / 10.0.128.0/21 / 10.0.136.0/21",
            ),
            (
                CidrSplit::Blocks,
                (3, 2, false),
                "10.0.0.0/19 10.0.32.0/19 10.0.64.0/19 / 10.0.96.0/21 10.0.104.0/21 10.0.112.0/21 \
                 / 10.0.128.0/21 10.0.136.0/21 / ",
            ),
        ];
        for (how, (zones, edge, public), expected) in vectors {
            let counts = SubnetCounts { zones, edge, public };
            let cut = split(how, "10.0.0.0/16".parse().unwrap(), counts).unwrap();
            let words = [cut.private, cut.public, cut.edge_private, cut.edge_public]
                .map(|nets| nets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            assert_eq!(words.join(" / "), expected, "{how:?} {counts:?}");
        }
    }

    #[test]
    fn a_network_that_aws_could_not_be_given_is_an_error() {
        let refused = |network: &str, zones| {
            let counts = SubnetCounts { zones, edge: 0, public: true };
            split(CidrSplit::Halves, network.parse().unwrap(), counts).is_err()
        };
        assert!(refused("10.0.0.0/27", 1) && !refused("10.0.0.0/26", 1));
        assert!(refused("10.0.0.0/26", 3) && !refused("10.0.0.0/25", 3));
        assert!(refused("10.0.0.0/15", 1), "a VPC ends at /16");
        assert!(refused("10.0.0.0/32", 2) && refused("0.0.0.0/0", 1));
    }
}
