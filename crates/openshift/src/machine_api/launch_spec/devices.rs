//! Volumes of a machine.

use groundplan_aws::kinds::machine::MachineBlockDevice;
use groundplan_aws::model::ebs::{self, Bounds, VOLUME_TYPES, Volume, VolumeType};

use super::answers::RegionLookups;
use super::image::LaunchImage;
use super::{LaunchError, Result};
use crate::machine_api::types::{AwsMachineProviderConfig, BlockDevice as Wanted, EbsBlockDevice};
use crate::machine_api::validation::volume_field;

/// Returns true if one of the volumes is the root volume. Only the image knows the name of the root
/// device.
pub(super) fn want_root(config: &AwsMachineProviderConfig) -> bool {
    config.block_devices.iter().any(|device| device.ebs.is_some() && name(device).is_none())
}

/// Returns all EBS volumes. Other devices are ignored.
pub(super) fn all(
    config: &AwsMachineProviderConfig,
    image: &LaunchImage,
    answers: &RegionLookups<'_>,
) -> Result<Vec<MachineBlockDevice>> {
    let mut devices = Vec::new();
    let mut root = None;
    for (index, wanted) in config.block_devices.iter().enumerate() {
        let Some(ebs) = &wanted.ebs else { continue };
        let device = match name(wanted) {
            Some(name) => name.to_owned(),
            None => match root.replace(index) {
                None => root_device(image, answers)?,
                Some(first) => {
                    let message = format!(
                        "has no deviceName, but the root device blockDevices[{first}] also has \
                         none"
                    );
                    return Err(LaunchError::invalid(&format!("blockDevices[{index}]"), message));
                }
            },
        };
        let is_root = image.root_device.as_ref() == Some(&device);
        let volume = volume(device, index, ebs)?;
        fits(&volume, index, is_root, answers.region)?;
        devices.push(volume);
    }
    Ok(devices)
}

fn name(device: &Wanted) -> Option<&str> {
    device.device_name.as_deref().filter(|name| !name.is_empty())
}

fn root_device(image: &LaunchImage, answers: &RegionLookups<'_>) -> Result<String> {
    let unknown = || {
        let message = format!("{} in {} does not name its root device", image.id, answers.region);
        LaunchError::invalid("ami", message)
    };
    image.root_device.clone().ok_or_else(unknown)
}

/// Returns an EBS volume. Installers write 0 operations and an empty key for unset values; both are
/// omitted. Settings that the volume type does not accept are also omitted.
fn volume(device: String, index: usize, ebs: &EbsBlockDevice) -> Result<MachineBlockDevice> {
    let kind = volume_type(index, ebs)?;
    let size = figure(index, "volumeSize", ebs.volume_size, kind.map(|kind| kind.size))?;
    let takes_iops = kind.is_some_and(|kind| kind.iops.is_some());
    let iops = ebs.iops.filter(|_| takes_iops);
    let iops = figure(index, "iops", iops, kind.and_then(|kind| kind.iops))?;
    if let Some(kind) = kind.filter(|kind| kind.needs_iops && iops.is_none()) {
        let message = format!("is missing, but volume type {} has no default", kind.name);
        return Err(refused(index, "iops", message));
    }
    let bounds = kind.and_then(|kind| kind.throughput);
    let throughput = ebs.throughput_mib.map(i64::from).filter(|_| bounds.is_some());
    Ok(MachineBlockDevice {
        size,
        iops,
        throughput: figure(index, "throughputMib", throughput, bounds)?,
        encrypted: ebs.encrypted,
        kms_key: ebs.key().map(str::to_owned),
        volume_type: kind.map(|kind| kind.name.to_owned()),
        device,
    })
}

/// Checks the settings of a volume together. The type of a volume was checked before.
fn fits(device: &MachineBlockDevice, index: usize, is_root: bool, region: &str) -> Result<()> {
    let volume = Volume {
        kind: device.volume_type.as_deref().and_then(ebs::volume_type),
        size: device.size.map(i64::from),
        iops: device.iops.map(i64::from),
        throughput: device.throughput.map(i64::from),
        is_root,
        encrypted: device.encrypted,
        kms_key: device.kms_key.as_deref(),
        region: Some(region),
    };
    let Some(fault) = volume.faults().into_iter().next() else { return Ok(()) };
    let field = fault.settings.first().map_or("", |setting| volume_field(*setting));
    Err(refused(index, field, format!("{}, expected {}", fault.found, fault.expected)))
}

/// Returns the volume type. `None` means that EC2 chooses the type, so that its bounds are unknown.
fn volume_type(index: usize, ebs: &EbsBlockDevice) -> Result<Option<&'static VolumeType>> {
    let Some(asked) = ebs.volume_type.as_deref().filter(|asked| !asked.is_empty()) else {
        return Ok(None);
    };
    let unknown = || {
        let names: Vec<&str> = VOLUME_TYPES.iter().map(|one| one.name).collect();
        refused(
            index,
            "volumeType",
            format!("found `{asked}`, expected one of {}", names.join(", ")),
        )
    };
    ebs::volume_type(asked).map(Some).ok_or_else(unknown)
}

/// Returns a number that EC2 accepts, if a positive number is set.
fn figure(
    index: usize,
    field: &str,
    asked: Option<i64>,
    bounds: Option<Bounds>,
) -> Result<Option<i32>> {
    let Some(asked) = asked.filter(|asked| *asked > 0) else { return Ok(None) };
    if let Some(bounds) = bounds.filter(|bounds| !bounds.contain(asked)) {
        let message = format!("found `{asked}`, expected {bounds} for a volume of this type");
        return Err(refused(index, field, message));
    }
    let too_much =
        |_| refused(index, field, format!("found `{asked}`, expected at most {}", i32::MAX));
    i32::try_from(asked).map(Some).map_err(too_much)
}

fn refused(index: usize, field: &str, message: String) -> LaunchError {
    LaunchError::invalid(&format!("blockDevices[{index}].ebs.{field}"), message)
}
