//! The volumes of a machine.

use super::answers::Answers;
use super::image::Image;
use super::{Refusal, Result};
use crate::aws::machine::BlockDevice;
use crate::machine_api::types::{AwsMachineProviderConfig, BlockDevice as Wanted, EbsBlockDevice};

/// Whether one of them is the root's, whose name only the image knows.
pub(super) fn want_root(config: &AwsMachineProviderConfig) -> bool {
    config.block_devices.iter().any(|device| device.ebs.is_some() && name(device).is_none())
}

/// All that are volumes of EBS; what is none is passed over.
pub(super) fn all(
    config: &AwsMachineProviderConfig,
    image: &Image,
    answers: &Answers<'_>,
) -> Result<Vec<BlockDevice>> {
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
                        "has no deviceName, and neither has blockDevices[{first}], the root"
                    );
                    return Err(Refusal::invalid(&format!("blockDevices[{index}]"), message));
                }
            },
        };
        devices.push(volume(device, index, ebs)?);
    }
    Ok(devices)
}

fn name(device: &Wanted) -> Option<&str> {
    device.device_name.as_deref().filter(|name| !name.is_empty())
}

fn root_device(image: &Image, answers: &Answers<'_>) -> Result<String> {
    let unknown = || {
        let message =
            format!("{} in {} does not say which device is its root", image.id, answers.region);
        Refusal::invalid("ami", message)
    };
    image.root_device.clone().ok_or_else(unknown)
}

/// Installers write 0 operations and an empty key for none: neither is sent. What a type does not
/// take is not sent either.
fn volume(device: String, index: usize, ebs: &EbsBlockDevice) -> Result<BlockDevice> {
    let kind = ebs.volume_type.clone().filter(|kind| !kind.is_empty());
    let takes = |kinds: &[&str]| kind.as_deref().is_some_and(|kind| kinds.contains(&kind));
    let fits = |field: &str, figure: Option<i64>| match figure.map(i32::try_from).transpose() {
        Ok(figure) => Ok(figure.filter(|figure| *figure > 0)),
        Err(_) => {
            let field = format!("blockDevices[{index}].ebs.{field}");
            Err(Refusal::invalid(&field, "is more than EC2 can be asked for"))
        }
    };
    Ok(BlockDevice {
        size: fits("volumeSize", ebs.volume_size)?,
        iops: fits("iops", ebs.iops.filter(|_| takes(&["io1", "io2", "gp3"])))?,
        throughput: ebs.throughput_mib.filter(|figure| *figure > 0 && takes(&["gp3"])),
        encrypted: ebs.encrypted,
        kms_key: ebs.key().map(str::to_owned),
        volume_type: kind,
        device,
    })
}
