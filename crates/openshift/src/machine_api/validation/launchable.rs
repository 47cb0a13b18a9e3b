//! Rules for configs that the webhook accepts and that cannot be launched: EC2 would reject the
//! request, or no valid request exists.
//!
//! Checks files only. A controller finds the same problems when it launches, and reports them on
//! the Machine.

use groundplan_aws::kinds::machine::{PRICE, is_price};
use groundplan_aws::model::ebs::{self, Bounds};

use super::ObjectFinding;
use super::provider::word;
use crate::diagnostics::{Rule, shown};
use crate::install_config::is_instance_type;
use crate::machine_api::types::{
    AwsMachineProviderConfig, BlockDevice, EbsBlockDevice, ResourceReference,
};

/// Returns everything that makes every launch fail.
pub(super) fn findings(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    let alone = [instance_type(&config.instance_type), zone(config), index(config), price(config)];
    let mut findings: Vec<ObjectFinding> = alone.into_iter().flatten().collect();
    findings.extend(groups(&config.security_groups));
    findings.extend(roots(&config.block_devices));
    for (index, device) in config.block_devices.iter().enumerate() {
        let found = device.ebs.as_ref().map(volume).unwrap_or_default();
        let path = format!("blockDevices[{index}].ebs");
        findings.extend(found.into_iter().map(|finding| finding.within(&path)));
    }
    findings
}

/// Checks the instance type. An empty type is valid, because the webhook fills it in.
fn instance_type(asked: &str) -> Option<ObjectFinding> {
    let finding =
        ObjectFinding::new(Rule::MachineType, "instanceType", format!("found {}", shown(asked)));
    let is_fine = asked.is_empty() || is_instance_type(asked);
    (!is_fine).then(|| finding.expected("an instance type such as `m5.xlarge`"))
}

fn zone(config: &AwsMachineProviderConfig) -> Option<ObjectFinding> {
    let (zone, region) = (&config.placement.availability_zone, &config.placement.region);
    if zone.is_empty() || region.is_empty() || zone.starts_with(region.as_str()) {
        return None;
    }
    let found = format!("found {}", shown(zone));
    let finding = ObjectFinding::new(Rule::MachineZone, "placement.availabilityZone", found);
    Some(finding.expected(format!("a zone of the region `{region}`, such as `{region}a`")))
}

fn index(config: &AwsMachineProviderConfig) -> Option<ObjectFinding> {
    let index = config.device_index;
    let finding =
        ObjectFinding::new(Rule::MachineDeviceIndex, "deviceIndex", format!("found `{index}`"));
    (index < 0).then(|| finding.expected("0, or the index of another interface"))
}

/// Checks that a machine has a security group: openshift/machine-api-provider-aws launches no
/// machine without one.
fn groups(groups: &[ResourceReference]) -> Option<ObjectFinding> {
    let names_some = |group: &ResourceReference| group.id.is_some() || !group.filters.is_empty();
    if groups.iter().any(names_some) {
        return None;
    }
    let found = if groups.is_empty() { "is missing" } else { "names no group by id or filters" };
    let finding = ObjectFinding::new(Rule::MachineGroups, "securityGroups", found);
    Some(finding.expected(
        "`- id: sg-…` or `- filters:`; the controller launches no machine \
         without a group",
    ))
}

/// Checks that only one volume has no name. A second one would also be the root volume.
fn roots(devices: &[BlockDevice]) -> Option<ObjectFinding> {
    let is_root = |(_, device): &(usize, &BlockDevice)| {
        device.ebs.is_some() && device.device_name.as_deref().is_none_or(str::is_empty)
    };
    let mut roots = devices.iter().enumerate().filter(is_root).map(|(index, _)| index);
    let (first, second) = (roots.next()?, roots.next()?);
    let found = format!(
        "has no deviceName, but the root device blockDevices[{first}] also has \
         none"
    );
    let finding = ObjectFinding::new(Rule::MachineVolume, format!("blockDevices[{second}]"), found);
    Some(finding.expected("a name such as `deviceName: /dev/xvdb`"))
}

/// Checks an EBS volume. 0 operations per second count as unset, because installers write 0.
fn volume(ebs: &EbsBlockDevice) -> Vec<ObjectFinding> {
    let asked = ebs.volume_type.as_deref().unwrap_or_default();
    let types: Vec<&str> = ebs::VOLUME_TYPES.iter().map(|known| known.name).collect();
    let unknown = word(Rule::MachineVolume, "volumeType", asked, &types);
    let kind = ebs::volume_type(asked);
    let size = number("volumeSize", ebs.volume_size, 1, kind.map(|kind| kind.size));
    let needs_iops = kind.is_some_and(|kind| kind.needs_iops);
    let least = i64::from(needs_iops);
    let iops = number("iops", ebs.iops, least, kind.and_then(|kind| kind.iops));
    let missing = (needs_iops && ebs.iops.is_none()).then(|| {
        let found = format!("is missing, for a volume of the type {asked}");
        ObjectFinding::new(Rule::MachineVolume, "iops", found).expected("a positive number")
    });
    [unknown, size, iops, missing].into_iter().flatten().collect()
}

/// Checks a number of a volume. EC2 uses 32-bit numbers, and has bounds for each volume type.
fn number(
    field: &str,
    asked: Option<i64>,
    least: i64,
    bounds: Option<Bounds>,
) -> Option<ObjectFinding> {
    let asked = asked?;
    let finding = ObjectFinding::new(Rule::MachineVolume, field, format!("found `{asked}`"));
    if !(least..=i64::from(i32::MAX)).contains(&asked) {
        let none = if least > 0 { "" } else { ", or none" };
        return Some(finding.expected(format!("a positive number{none}")));
    }
    let bounds = bounds.filter(|bounds| asked > 0 && !bounds.contain(asked))?;
    Some(finding.expected(format!("{bounds} for a volume of this type")))
}

/// Checks the spot price. EC2 accepts no price below a tenth of a cent.
fn price(config: &AwsMachineProviderConfig) -> Option<ObjectFinding> {
    let price = config.spot_market_options.as_ref()?.max_price.as_deref()?;
    let found = format!("found {}", shown(price));
    let finding = ObjectFinding::new(Rule::MachinePrice, "spotMarketOptions.maxPrice", found);
    (!price.is_empty() && !is_price(price)).then(|| finding.expected(PRICE))
}
