//! Limits of EBS volumes by volume type. Install-configs and Machine API manifests share the table.
//!
//! Figures: EC2 API reference, `EbsBlockDevice` (with the larger gp3 volumes of September 2025).
//! The table has only limits that hold for every machine. EC2 itself checks the ratio of operations
//! to size, and the limits of an instance type or a region.

use std::fmt;

/// A volume type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VolumeType {
    /// Name in the EC2 API.
    pub name: &'static str,
    /// Size in GiB.
    pub size: Bounds,
    /// Operations per second. `None` if the type has no such setting.
    pub iops: Option<Bounds>,
    /// True if the setting of operations per second is required, because the type has no default.
    pub needs_iops: bool,
    /// Throughput in MiB per second. `None` if the type has no such setting.
    pub throughput: Option<Bounds>,
}

/// An inclusive range: lowest and highest value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds(i64, i64);

impl Bounds {
    /// Returns true if `figure` is in the range.
    pub fn contain(self, figure: i64) -> bool {
        (self.0..=self.1).contains(&figure)
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "from {} to {}", self.0, self.1)
    }
}

/// All volume types.
pub const VOLUME_TYPES: &[VolumeType] = &[
    VolumeType {
        iops: Some(Bounds(3_000, 80_000)),
        throughput: Some(Bounds(125, 2_000)),
        ..of_size("gp3", 1, 65_536)
    },
    of_size("gp2", 1, 16_384),
    VolumeType { iops: Some(Bounds(100, 64_000)), needs_iops: true, ..of_size("io1", 4, 16_384) },
    VolumeType { iops: Some(Bounds(100, 256_000)), needs_iops: true, ..of_size("io2", 4, 65_536) },
    of_size("st1", 125, 16_384),
    of_size("sc1", 125, 16_384),
    of_size("standard", 1, 1_024),
];

const fn of_size(name: &'static str, least: i64, most: i64) -> VolumeType {
    let size = Bounds(least, most);
    VolumeType { name, size, iops: None, needs_iops: false, throughput: None }
}

/// Returns the volume type with this name.
pub fn volume_type(name: &str) -> Option<&'static VolumeType> {
    VOLUME_TYPES.iter().find(|one| one.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_included_and_what_is_beyond_them_is_not() {
        let gp3 = volume_type("gp3").unwrap();
        let iops = gp3.iops.unwrap();
        for (figure, fits) in [(2_999, false), (3_000, true), (80_000, true), (80_001, false)] {
            assert_eq!(iops.contain(figure), fits, "{figure}");
        }
        assert_eq!(gp3.size.to_string(), "from 1 to 65536");
        assert_eq!(volume_type("GP3"), None, "EC2 takes it in this spelling");
    }
}
