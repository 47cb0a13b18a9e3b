//! Limits of EBS volumes by volume type. Install-configs and Machine API manifests share the table.
//!
//! Figures: EC2 API reference, `EbsBlockDevice` (with the larger gp3 volumes of September 2025).
//! The table has only limits that hold for every machine. EC2 itself checks the limits of an
//! instance type or a region.

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
    /// Most operations per second for each GiB. `None` if the type has no such setting. Source: EBS
    /// user guide, "General Purpose SSD volumes" (gp3) and "Provisioned IOPS SSD volumes" (io1,
    /// io2).
    pub iops_per_gib: Option<i64>,
    /// True if an instance can boot from a volume of the type. Source: EBS user guide, "Amazon EBS
    /// volume types", row "Boot volume".
    pub boots: bool,
}

/// Operations per second of a gp3 volume of any size without a setting. Source: EBS user guide,
/// "General Purpose SSD volumes".
pub const GP3_IOPS: i64 = 3_000;

/// Operations per second that a gp3 volume needs for each MiB/s of throughput: at most 0.25 MiB/s
/// for one operation per second. Source: EBS user guide, "General Purpose SSD volumes".
const GP3_IOPS_PER_MIB: i64 = 4;

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
        iops: Some(Bounds(GP3_IOPS, 80_000)),
        throughput: Some(Bounds(125, 2_000)),
        iops_per_gib: Some(500),
        ..of_size("gp3", 1, 65_536)
    },
    of_size("gp2", 1, 16_384),
    VolumeType {
        iops: Some(Bounds(100, 64_000)),
        needs_iops: true,
        iops_per_gib: Some(50),
        ..of_size("io1", 4, 16_384)
    },
    VolumeType {
        iops: Some(Bounds(100, 256_000)),
        needs_iops: true,
        iops_per_gib: Some(1_000),
        ..of_size("io2", 4, 65_536)
    },
    VolumeType { boots: false, ..of_size("st1", 125, 16_384) },
    VolumeType { boots: false, ..of_size("sc1", 125, 16_384) },
    of_size("standard", 1, 1_024),
];

const fn of_size(name: &'static str, least: i64, most: i64) -> VolumeType {
    VolumeType {
        name,
        size: Bounds(least, most),
        iops: None,
        needs_iops: false,
        throughput: None,
        iops_per_gib: None,
        boots: true,
    }
}

/// Returns the volume type with this name.
pub fn volume_type(name: &str) -> Option<&'static VolumeType> {
    VOLUME_TYPES.iter().find(|one| one.name == name)
}

/// Settings of a volume, as far as they are known. `None` leaves out the checks that need it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Volume<'a> {
    /// The type.
    pub kind: Option<&'static VolumeType>,
    /// Size in GiB.
    pub size: Option<i64>,
    /// Operations per second. `None` means the default of the type.
    pub iops: Option<i64>,
    /// Throughput in MiB per second.
    pub throughput: Option<i64>,
    /// True if the machine boots from the volume.
    pub is_root: bool,
    /// Encryption as requested.
    pub encrypted: Option<bool>,
    /// KMS key: ID, alias or ARN.
    pub kms_key: Option<&'a str>,
    /// Region of the volume.
    pub region: Option<&'a str>,
}

/// A setting of a volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VolumeSetting {
    /// The volume type.
    Type,
    /// The size.
    Size,
    /// Operations per second.
    Iops,
    /// Throughput.
    Throughput,
    /// Encryption.
    Encryption,
    /// KMS key.
    KmsKey,
}

/// A combination of settings that EC2 rejects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeFault {
    /// The settings that contradict each other, the most likely mistake first.
    pub settings: &'static [VolumeSetting],
    /// The combination found.
    pub found: String,
    /// The combination that EC2 accepts.
    pub expected: String,
    /// The change that the user can make.
    pub hint: &'static str,
}

impl Volume<'_> {
    /// Returns the combinations of settings that EC2 rejects. Single values outside the bounds of
    /// the volume type are for [`Bounds::contain`]; they have no further faults here.
    pub fn faults(&self) -> Vec<VolumeFault> {
        [
            self.root(),
            self.ratio(),
            self.flow(),
            self.key_without_encryption(),
            self.key_elsewhere(),
        ]
        .into_iter()
        .flatten()
        .collect()
    }

    fn root(&self) -> Option<VolumeFault> {
        let kind = self.kind.filter(|kind| self.is_root && !kind.boots)?;
        let bootable = VOLUME_TYPES.iter().filter(|kind| kind.boots).map(|kind| kind.name);
        Some(VolumeFault {
            settings: &[VolumeSetting::Type],
            found: format!("found `{}` for the root volume", kind.name),
            expected: format!(
                "a type that a machine can boot from: {}",
                bootable.collect::<Vec<_>>().join(", ")
            ),
            hint: "set another type; these types are for further volumes",
        })
    }

    /// Checks the operations per second for the size. A gp3 volume of any size has its default.
    fn ratio(&self) -> Option<VolumeFault> {
        let kind = self.kind?;
        let (iops, size, ratio) = (self.iops?, self.size?, kind.iops_per_gib?);
        if !kind.size.contain(size) || !kind.iops?.contain(iops) {
            return None;
        }
        let least = kind.iops.map_or(0, |bounds| bounds.0);
        let most = (size * ratio).max(least);
        (iops > most).then(|| VolumeFault {
            settings: &[VolumeSetting::Iops, VolumeSetting::Size],
            found: format!("found {iops} IOPS for {size} GiB of {}", kind.name),
            expected: format!(
                "at most {ratio} IOPS per GiB: {most} IOPS for this size, or at least {} GiB",
                (iops + ratio - 1) / ratio
            ),
            hint: "lower the IOPS, or raise the size",
        })
    }

    /// Checks the throughput for the operations per second.
    fn flow(&self) -> Option<VolumeFault> {
        let kind = self.kind?;
        let throughput =
            self.throughput.filter(|flow| kind.throughput.is_some_and(|b| b.contain(*flow)))?;
        let iops = self.iops.unwrap_or(GP3_IOPS);
        let least = throughput * GP3_IOPS_PER_MIB;
        (iops < least && kind.iops?.contain(iops)).then(|| VolumeFault {
            settings: &[VolumeSetting::Throughput, VolumeSetting::Iops],
            found: match self.iops {
                Some(iops) => format!("found {throughput} MiB/s for {iops} IOPS of {}", kind.name),
                None => format!(
                    "found {throughput} MiB/s for the {GP3_IOPS} IOPS that a {} volume has by default",
                    kind.name
                ),
            },
            expected: format!(
                "at most 0.25 MiB/s for each IOPS: {} MiB/s, or at least {least} IOPS",
                iops / GP3_IOPS_PER_MIB
            ),
            hint: "lower the throughput, or raise the IOPS",
        })
    }

    /// Checks that a volume with a key is encrypted. EC2 rejects the launch otherwise, also where
    /// the account encrypts by default. Source: EC2 API reference, `EbsBlockDevice`, and the error
    /// `InvalidParameterDependency`.
    fn key_without_encryption(&self) -> Option<VolumeFault> {
        self.kms_key?;
        let found = match self.encrypted {
            Some(true) => return None,
            Some(false) => "has a KMS key, but `encrypted: false`",
            None => "has a KMS key, but no `encrypted`",
        };
        Some(VolumeFault {
            settings: &[VolumeSetting::Encryption, VolumeSetting::KmsKey],
            found: found.to_owned(),
            expected: "`encrypted: true`, or no KMS key".to_owned(),
            hint: "set `encrypted: true`, or remove the KMS key",
        })
    }

    /// Checks the ARN of a key. EC2 accepts a request with the key of another region; the machine
    /// then ends with `Client.InternalError`. Source: EC2 API reference, `KmsKeyId` of
    /// `EbsBlockDevice`: AWS authenticates the key asynchronously.
    fn key_elsewhere(&self) -> Option<VolumeFault> {
        let mut parts = self.kms_key?.strip_prefix("arn:")?.split(':').skip(1);
        let (service, region) =
            (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let fault = |found: String, expected: String| {
            let hint =
                "use the ARN of a key in the region, such as a replica of a multi-Region key";
            Some(VolumeFault { settings: &[VolumeSetting::KmsKey], found, expected, hint })
        };
        if service != "kms" || region.is_empty() {
            let expected = "an ARN such as `arn:aws:kms:REGION:ACCOUNT:key/ID`".to_owned();
            return fault("is the ARN of something else than a KMS key".to_owned(), expected);
        }
        let own = self.region.filter(|own| !own.is_empty() && *own != region)?;
        fault(
            format!("is a key of the region `{region}`, but the machine is in `{own}`"),
            format!("a KMS key of `{own}`"),
        )
    }
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

    fn volume(name: &str) -> Volume<'static> {
        Volume { kind: volume_type(name), ..Volume::default() }
    }

    #[test]
    fn operations_are_limited_by_the_size() {
        for (name, size, iops, fits) in [
            ("gp3", 1, 3_000, true), // the default holds for every size
            ("gp3", 6, 3_001, false),
            ("gp3", 7, 3_001, true),
            ("gp3", 20, 10_000, true),
            ("gp3", 20, 10_001, false),
            ("io1", 100, 5_000, true),
            ("io1", 100, 5_001, false),
            ("io2", 10, 10_000, true),
            ("io2", 10, 10_001, false),
            ("io2", 2, 100_000, false), // the size is out of bounds, and reported as such
            ("gp2", 1, 9_999, true),    // has no such setting
        ] {
            let faults = Volume { size: Some(size), iops: Some(iops), ..volume(name) }.faults();
            let fits = fits || size == 2;
            assert_eq!(faults.is_empty(), fits, "{name} {size} {iops}: {faults:?}");
        }
        let fault = &Volume { size: Some(20), iops: Some(16_000), ..volume("gp3") }.faults()[0];
        assert_eq!(fault.found, "found 16000 IOPS for 20 GiB of gp3");
        assert_eq!(
            fault.expected,
            "at most 500 IOPS per GiB: 10000 IOPS for this size, or at least 32 GiB"
        );
        assert_eq!(Volume { iops: Some(16_000), ..volume("gp3") }.faults(), [], "unknown size");
    }

    #[test]
    fn throughput_is_limited_by_the_operations() {
        for (iops, throughput, fits) in [
            (None, 750, true),
            (None, 751, false),
            (Some(3_000), 751, false),
            (Some(4_000), 1_000, true),
            (Some(8_000), 2_000, true),
            (Some(7_999), 2_000, false),
            (Some(1), 2_000, true), // out of bounds, and reported as such
            (None, 2_001, true),
        ] {
            let volume = Volume { iops, throughput: Some(throughput), ..volume("gp3") };
            assert_eq!(volume.faults().is_empty(), fits, "{iops:?} {throughput}");
        }
    }

    #[test]
    fn a_machine_boots_from_no_disk_of_the_cold_types() {
        for kind in VOLUME_TYPES {
            let root = Volume { is_root: true, ..volume(kind.name) };
            assert_eq!(
                root.faults().is_empty(),
                !matches!(kind.name, "st1" | "sc1"),
                "{}",
                kind.name
            );
            assert_eq!(volume(kind.name).faults(), [], "as another volume");
        }
    }

    #[test]
    fn a_key_needs_encryption_and_the_region_of_the_volume() {
        let arn = "arn:aws:kms:us-east-2:123456789012:key/1";
        let with = |kms_key, encrypted, region| Volume {
            kms_key: Some(kms_key),
            encrypted,
            region,
            ..Volume::default()
        };
        let yes = Some(true);
        for (volume, fits) in [
            (with(arn, yes, Some("us-east-2")), true),
            (with(arn, yes, None), true),
            (with(arn, yes, Some("us-west-2")), false),
            (with("alias/own", yes, Some("us-west-2")), true),
            (with("1234abcd-12ab", yes, Some("us-west-2")), true),
            (with("arn:aws-us-gov:kms:us-gov-west-1:1:alias/a", yes, Some("us-gov-west-1")), true),
            (with("arn:aws:iam::1:role/kms", yes, Some("us-west-2")), false),
            (with("arn:", yes, Some("us-west-2")), false),
            (with(arn, Some(false), Some("us-east-2")), false),
            (with(arn, None, Some("us-east-2")), false),
        ] {
            assert_eq!(volume.faults().is_empty(), fits, "{volume:?}");
        }
    }
}
