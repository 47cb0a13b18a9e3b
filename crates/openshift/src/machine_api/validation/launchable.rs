//! Rules for configs that the webhook accepts and that cannot be launched: EC2 would reject the
//! request, or no valid request exists.
//!
//! Checks files only. A controller finds the same problems when it launches, and reports them on
//! the Machine.

use groundplan_aws::kinds::machine::{PRICE, is_price};
use groundplan_aws::model::ebs::{self, Bounds, Volume, VolumeSetting};
use groundplan_aws::model::tags::{self, TagFault};
use groundplan_aws::model::{CLUSTER_TAG_PREFIX, Tags};

use super::ObjectFinding;
use super::provider::word;
use crate::diagnostics::{Rule, shown};
use crate::install_config::is_instance_type;
use crate::machine_api::types::{
    AwsMachineProviderConfig, BlockDevice, EbsBlockDevice, ResourceReference, Tag,
};

/// Returns everything that makes every launch fail.
pub(super) fn findings(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    let alone = [instance_type(&config.instance_type), zone(config), index(config), price(config)];
    let mut findings: Vec<ObjectFinding> = alone.into_iter().flatten().collect();
    findings.extend(groups(&config.security_groups));
    findings.extend(tag_limits(config));
    findings.extend(portable_tags(config));
    findings.extend(roots(&config.block_devices));
    for (index, device) in config.block_devices.iter().enumerate() {
        let is_root = device.device_name.as_deref().is_none_or(str::is_empty);
        let region = config.placement.region.as_str();
        let found = device.ebs.as_ref().map(|ebs| volume(ebs, is_root, region)).unwrap_or_default();
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

/// Checks the tags against the limits of EC2. `Name` and the cluster tag are always set, so that
/// such tags of the config do not count.
fn tag_limits(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    const OWN: usize = 2;
    let mut findings = Vec::new();
    let mut own = Tags::new();
    for (index, tag) in config.tags.iter().enumerate() {
        if tag.name == "Name" || tag.name.starts_with(CLUSTER_TAG_PREFIX) {
            continue;
        }
        own.insert(tag.name.clone(), tag.value.clone());
        if let Some(fault) = TagFault::of(&tag.name, &tag.value) {
            let field = if fault.is_of_value() { "value" } else { "name" };
            let path = format!("tags[{index}].{field}");
            let finding = ObjectFinding::new(Rule::MachineTagLimits, path, fault.found());
            let hint = "change or remove the tag; EC2 would reject each launch";
            findings.push(finding.expected(fault.expected()).hint(hint));
        }
    }
    if own.len() + OWN > tags::MOST {
        let found = format!("found {} tags", own.len());
        let expected = format!(
            "at most {}, because EC2 accepts {} with `Name` and the cluster tag",
            tags::MOST - OWN,
            tags::MOST
        );
        let finding = ObjectFinding::new(Rule::MachineTagLimits, "tags", found);
        findings.push(finding.expected(expected).hint("remove tags; EC2 would reject each launch"));
    }
    findings
}

/// Warns of tags that EC2 accepts and other services do not, and that a cluster's user tags may not
/// have either.
fn portable_tags(config: &AwsMachineProviderConfig) -> Vec<ObjectFinding> {
    let mut findings = Vec::new();
    let mut warn = |path: String, found: String, expected: &str| {
        let finding = ObjectFinding::new(Rule::MachineTagPortable, path, found);
        findings.push(finding.expected(expected));
    };
    for (index, tag) in config.tags.iter().enumerate() {
        for (field, text) in [("name", &tag.name), ("value", &tag.value)] {
            let (path, found) =
                (format!("tags[{index}].{field}"), format!("found {}", shown(text)));
            if let Some(c) = text.chars().find(|c| !tags::is_portable(*c)) {
                warn(
                    path,
                    format!("{found}, which contains `{}`", c.escape_debug()),
                    tags::PORTABLE,
                );
            } else if tags::has_outer_space(text) {
                let found = format!("{found}, with a space at an end");
                warn(path, found, "no space at the beginning or end");
            }
        }
        let folded = tags::folded(&tag.name);
        let is_twin = |other: &&Tag| other.name != tag.name && tags::folded(&other.name) == folded;
        if let Some(first) = config.tags[..index].iter().find(is_twin) {
            let names = (shown(&tag.name), shown(&first.name));
            let found = format!("found {}, which differs from {} only in case", names.0, names.1);
            warn(format!("tags[{index}].name"), found, "one of the two");
        }
    }
    findings
}

/// Checks an EBS volume. 0 operations per second count as unset, because installers write 0.
fn volume(ebs: &EbsBlockDevice, is_root: bool, region: &str) -> Vec<ObjectFinding> {
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
    let alone = [unknown, size, iops, missing].into_iter().flatten();
    let volume = Volume {
        kind,
        size: ebs.volume_size,
        iops: ebs.iops.filter(|iops| *iops > 0),
        throughput: ebs.throughput_mib.map(i64::from),
        is_root,
        encrypted: ebs.encrypted,
        kms_key: ebs.key(),
        region: Some(region),
    };
    let together = volume.faults().into_iter().map(|fault| {
        let field = fault.settings.first().map_or("", |setting| field(*setting));
        let finding = ObjectFinding::new(Rule::MachineVolume, field, fault.found);
        finding.expected(fault.expected).hint(fault.hint)
    });
    alone.chain(together).collect()
}

/// Returns the field of a setting in an EBS volume.
pub(crate) fn field(setting: VolumeSetting) -> &'static str {
    match setting {
        VolumeSetting::Type => "volumeType",
        VolumeSetting::Size => "volumeSize",
        VolumeSetting::Iops => "iops",
        VolumeSetting::Throughput => "throughputMib",
        VolumeSetting::Encryption => "encrypted",
        VolumeSetting::KmsKey => "kmsKey",
    }
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
