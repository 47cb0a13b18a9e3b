//! `platform.aws` of a pool and `platform.aws.defaultMachinePlatform`: the EC2 settings of
//! machines.
//!
//! Each layer is validated on its own, at its own position in the file. Then the layers are merged:
//! the default machine platform overrides built-in defaults, and the pool overrides both. Rules:
//! openshift/installer `pkg/types/aws/validation/machinepool.go`, release-4.15.

use groundplan_aws::kinds::machine::ConfidentialCompute;
use groundplan_aws::model::ebs::{self, VolumeSetting};
use groundplan_aws::model::ids::DedicatedHostId;

use super::choices::{Choices, choose};
use super::document::{self, Document, FieldValue, Spanned};
use super::feature_support::is_enabled;
use super::machine_pool::CLUSTER_API;
use super::metadata_service;
use crate::diagnostics::finding::{FieldSpan, FindingCollector, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{AwsMachinePool, RootVolume};

/// openshift/installer `pkg/asset/machines/master.go` and `worker.go`
pub(super) const VOLUME_TYPE: &str = "gp3";
pub(super) const VOLUME_SIZE: i32 = 120;
/// The same, for the pool `edge`: some Local Zones lack gp3 (`defaultAWSMachinePoolPlatform`).
const EDGE_VOLUME_TYPE: &str = "gp2";

/// openshift/installer `pkg/types/aws/machinepool.go`, since 4.21
pub(crate) const CONFIDENTIAL_COMPUTE: &Choices<ConfidentialCompute> = &[
    ("Disabled", ConfidentialCompute::Disabled),
    ("AMDEncryptedVirtualizationNestedPaging", ConfidentialCompute::AmdSevSnp),
];

/// Feature gate of `hostPlacement` (openshift/api `features/features.go`).
const DEDICATED_HOSTS: &str = "AWSDedicatedHosts";
/// openshift/installer `pkg/types/aws/machinepool.go`. True if hosts are named.
pub(super) const AFFINITIES: &Choices<bool> = &[("AnyAvailable", false), ("DedicatedHost", true)];

/// Returns the volume types of EC2 by name. The config may use any case.
pub(super) fn volume_types() -> Vec<(&'static str, &'static ebs::VolumeType)> {
    ebs::VOLUME_TYPES.iter().map(|one| (one.name, one)).collect()
}

/// Facts about the platform that a pool is validated and merged with.
#[derive(Clone)]
pub(super) struct PoolContext<'document> {
    region: Option<&'document str>,
    ami_id: Option<&'document str>,
    pub(super) has_subnets: bool,
    /// Type of root volumes without a type.
    volume_type: &'static str,
    default: Option<&'document Spanned<document::AwsMachinePool>>,
    /// True if the feature gate of `hostPlacement` is enabled.
    has_dedicated_hosts: bool,
    /// True if the feature gate of `management: ClusterAPI` is enabled.
    pub(super) has_cluster_api: bool,
}

impl<'document> PoolContext<'document> {
    pub(super) fn of(document: &'document Document) -> Self {
        let aws = document.platform.get().and_then(|platform| platform.aws.get());
        Self {
            region: aws.and_then(|aws| aws.region.text()),
            ami_id: aws.and_then(|aws| aws.ami_id.text()),
            has_subnets: aws.is_some_and(|aws| super::aws::has_subnets(aws)),
            volume_type: VOLUME_TYPE,
            default: aws.and_then(|aws| aws.default_machine_platform.get()),
            has_dedicated_hosts: is_enabled(document, DEDICATED_HOSTS),
            has_cluster_api: is_enabled(document, CLUSTER_API)
                && document.feature_set.text() != Some("TechPreviewNoUpgrade"),
        }
    }

    /// Returns the context of the pool of machines in Local and Wavelength Zones.
    pub(super) fn of_edge(&self) -> Self {
        Self { volume_type: EDGE_VOLUME_TYPE, ..self.clone() }
    }

    /// Validates the default machine platform on its own.
    pub(super) fn check(&self, report: &mut FindingCollector) {
        if let Some(default) = self.default {
            check(default, self, report);
            check_host_placement(default, false, self, report);
            check_relations(default, &[default], &[], self, report);
            metadata_service::check_reach(None, Some(default), report);
        }
    }
}

/// Validates the settings of a pool and merges them with the defaults.
pub(super) fn resolve(
    given: Option<&Spanned<document::AwsMachinePool>>,
    around: &PoolContext,
    report: &mut FindingCollector,
) -> AwsMachinePool {
    if let Some(given) = given {
        check(given, around, report);
        check_merged(given, around, report);
        let layers: Vec<_> = [given].into_iter().chain(around.default).collect();
        check_relations(given, &layers, &layers[1..], around, report);
        metadata_service::check_reach(Some(given), around.default, report);
    }
    merge(given, around)
}

/// Merges the settings of a pool over the defaults. A list replaces the whole list of a lower
/// layer. An empty list replaces nothing.
pub(super) fn merge(
    given: Option<&Spanned<document::AwsMachinePool>>,
    around: &PoolContext,
) -> AwsMachinePool {
    let layers: Vec<&Spanned<document::AwsMachinePool>> =
        given.into_iter().chain(around.default).collect();
    let first = |field: fn(&document::AwsMachinePool) -> &FieldValue<String>| {
        layers.iter().find_map(|layer| field(&layer.value).text())
    };
    let list = |field: fn(&document::AwsMachinePool) -> &FieldValue<Vec<Spanned<String>>>| {
        let lists = layers.iter().map(|layer| field(&layer.value).items());
        let list = lists.into_iter().find(|list| !list.is_empty()).unwrap_or_default();
        list.iter().map(|item| item.value.clone()).collect::<Vec<_>>()
    };
    let (role, profile) = identity(&layers);
    AwsMachinePool {
        zones: list(|pool| &pool.zones),
        instance_type: first(|pool| &pool.instance_type).map(str::to_owned),
        ami_id: first(|pool| &pool.ami_id).or(around.ami_id).map(Into::into),
        root_volume: root_volume(&layers, around.volume_type),
        confidential_compute: confidential_compute(&layers),
        metadata_service: metadata_service::merge(&layers),
        iam_role: role.map(Into::into),
        iam_profile: profile.map(Into::into),
        additional_security_groups: list(|pool| &pool.additional_security_groups)
            .into_iter()
            .map(|id| id.as_str().into())
            .collect(),
        dedicated_hosts: dedicated_hosts(given),
    }
}

/// Returns the Dedicated Hosts of a pool, without repetition.
fn dedicated_hosts(given: Option<&Spanned<document::AwsMachinePool>>) -> Vec<DedicatedHostId> {
    let placement = given.and_then(|given| given.host_placement.get());
    let items = placement.map_or(&[][..], |placement| placement.dedicated_hosts.items());
    let mut hosts: Vec<DedicatedHostId> = Vec::new();
    for id in items.iter().filter_map(|host| host.id.text()).map(DedicatedHostId::from) {
        if !hosts.contains(&id) {
            hosts.push(id);
        }
    }
    hosts
}

/// Validates `hostPlacement` of a pool. Reference: openshift/installer
/// `pkg/types/aws/validation/machinepool.go`, `validateHostPlacement`, and `featuregates.go`.
pub(super) fn check_host_placement(
    given: &document::AwsMachinePool,
    is_workers: bool,
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    let Some(at) = given.host_placement.get() else { return };
    if !is_workers {
        report
            .breach(Rule::HostPlacement, &at.spot, "is set for machines other than workers")
            .expected("`hostPlacement` in a compute pool `worker`");
        return;
    }
    if !around.has_dedicated_hosts {
        report.breach(Rule::HostPlacement, &at.spot, "is set without its feature gate").expected(
            format!("featureSet `CustomNoUpgrade` with the gate `{DEDICATED_HOSTS}=true`"),
        );
    }
    if at.affinity.require(&at.spot, "affinity", report).is_none() {
        return;
    }
    let Some(names_hosts) = choose(Rule::HostPlacement, &at.affinity, AFFINITIES, report) else {
        return;
    };
    let hosts = at.dedicated_hosts.items();
    if names_hosts == hosts.is_empty() {
        let found = if names_hosts { "has no `dedicatedHost`" } else { "has a `dedicatedHost`" };
        report
            .breach(Rule::HostPlacement, &at.spot, found)
            .expected("`dedicatedHost` with the affinity `DedicatedHost`, and only with it");
    }
    let mut earlier: Vec<&str> = Vec::new();
    for host in hosts {
        let Some(id) = host.id.require(&host.spot, "id", report) else { continue };
        super::aws::check_id(id, "h-", report);
        if earlier.contains(&id.value.as_str()) {
            let found = format!("found {} a second time", shown(&id.value));
            report.breach(Rule::HostPlacement, &id.spot, found).expected("each host once");
        }
        earlier.push(&id.value);
    }
}

fn confidential_compute(
    layers: &[&Spanned<document::AwsMachinePool>],
) -> Option<ConfidentialCompute> {
    let options = layers.iter().filter_map(|layer| layer.value.cpu_options.get());
    let word = options.filter_map(|options| options.value.confidential_compute.text()).next()?;
    CONFIDENTIAL_COMPUTE.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

/// Returns the role and the profile of the first layer that has either. A pool's own role therefore
/// overrides a default profile, and the reverse.
fn identity<'given>(
    layers: &[&'given Spanned<document::AwsMachinePool>],
) -> (Option<&'given str>, Option<&'given str>) {
    let both =
        layers.iter().map(|layer| (layer.value.iam_role.text(), layer.value.iam_profile.text()));
    both.into_iter().find(|(role, profile)| role.is_some() || profile.is_some()).unwrap_or_default()
}

fn root_volume(layers: &[&Spanned<document::AwsMachinePool>], default: &'static str) -> RootVolume {
    let volumes: Vec<_> = layers.iter().filter_map(|layer| layer.value.root_volume.get()).collect();
    let number = |field: fn(&document::RootVolume) -> &FieldValue<i64>| {
        let given = volumes.iter().filter_map(|volume| field(&volume.value).get());
        given.filter_map(|at| i32::try_from(at.value).ok()).find(|&value| value > 0)
    };
    let volume_type = volumes.iter().find_map(|volume| volume.value.volume_type.text());
    let volume_type = volume_type.unwrap_or(default).to_lowercase();
    RootVolume {
        size: number(|volume| &volume.size).unwrap_or(VOLUME_SIZE),
        iops: number(|volume| &volume.iops).filter(|_| takes_iops(&volume_type)),
        throughput: number(|volume| &volume.throughput).filter(|_| volume_type == "gp3"),
        kms_key: volumes.iter().find_map(|volume| volume.value.kms_key.text()).map(str::to_owned),
        volume_type,
    }
}

fn takes_iops(volume_type: &str) -> bool {
    matches!(volume_type, "io1" | "io2" | "gp3")
}

fn check(
    given: &Spanned<document::AwsMachinePool>,
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    metadata_service::check(given, report);
    check_type(given, report);
    check_zones(given, around, report);
    check_volume(given, report);
    check_identity(given, report);
    check_security_groups(given, around, report);
    check_image(given, report);
    check_cpu(given, report);
}

/// Returns true if `text` is a family, a dot and a size. AWS decides whether the region has the
/// type.
pub(crate) fn is_instance_type(text: &str) -> bool {
    let is_part = |part: &str| {
        let in_part = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        !part.is_empty() && part.bytes().all(in_part)
    };
    text.split_once('.').is_some_and(|(family, size)| is_part(family) && is_part(size))
}

fn check_type(given: &document::AwsMachinePool, report: &mut FindingCollector) {
    let asked = given.instance_type.filled();
    if let Some(at) = asked.filter(|at| !is_instance_type(&at.value)) {
        let found = format!("found {}", shown(&at.value));
        report
            .breach(Rule::InstanceType, &at.spot, found)
            .expected("an instance type such as `m5.xlarge`");
    }
}

fn check_zones(
    given: &document::AwsMachinePool,
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    // Without a valid region, every zone would be a finding, and none the cause.
    let Some(region) = around.region.filter(|region| super::aws::is_region(region)) else { return };
    for zone in given.zones.items().iter().filter(|zone| !zone.value.starts_with(region)) {
        report
            .breach(Rule::Zone, &zone.spot, format!("found {}", shown(&zone.value)))
            .expected(format!("a zone of the region `{region}`, such as `{region}a`"));
    }
}

fn check_volume(given: &document::AwsMachinePool, report: &mut FindingCollector) {
    let Some(volume) = given.root_volume.get() else { return };
    check_size(volume, report);
    if let Some(at) = volume.volume_type.filled() {
        let lower = Spanned { value: at.value.to_lowercase(), spot: at.spot.clone() };
        let chosen = super::choices::choose_word(Rule::VolumeType, &lower, &volume_types(), report);
        if let Some(chosen) = chosen {
            check_iops(volume, chosen.name, report);
            check_bounds(volume, chosen.name, report);
            check_throughput(volume, chosen.name, report);
        }
    }
}

/// Reports a throughput outside the range of gp3, or of another type. 0 is no value: Go programs omit
/// a missing throughput.
fn check_throughput(
    volume: &Spanned<document::RootVolume>,
    volume_type: &str,
    report: &mut FindingCollector,
) {
    let Some(at) = volume.throughput.get() else { return };
    let bounds = ebs::volume_type(volume_type).and_then(|kind| kind.throughput);
    let expected = match bounds {
        Some(bounds) if bounds.contain(at.value) => return,
        Some(bounds) => format!("{bounds} for the type {volume_type}"),
        None => "no `throughput`, because this volume type does not support it".to_owned(),
    };
    report
        .breach(Rule::VolumeThroughput, &at.spot, format!("found `{}`", at.value))
        .expected(expected);
}

/// Reports a size or IOPS value outside the bounds that EC2 has for this volume type. Skips
/// values outside 1 to `i32::MAX`, which other checks handle.
fn check_bounds(
    volume: &Spanned<document::RootVolume>,
    volume_type: &str,
    report: &mut FindingCollector,
) {
    let Some(kind) = ebs::volume_type(volume_type) else { return };
    let sane = 1..=i64::from(i32::MAX);
    for (given, bounds) in [(&volume.size, Some(kind.size)), (&volume.iops, kind.iops)] {
        let Some((at, bounds)) = given.get().zip(bounds) else { continue };
        if sane.contains(&at.value) && !bounds.contain(at.value) {
            report
                .breach(Rule::VolumeBounds, &at.spot, format!("found `{}`", at.value))
                .expected(format!("{bounds} for the type {volume_type}"));
        }
    }
}

/// Reports settings of the root volume that EC2 rejects together, at the setting that this layer
/// has. The layers are the given one and those below. Faults of the layers below alone are reported
/// there.
fn check_relations(
    given: &Spanned<document::AwsMachinePool>,
    layers: &[&Spanned<document::AwsMachinePool>],
    below: &[&Spanned<document::AwsMachinePool>],
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    let Some(volume) = given.root_volume.get() else { return };
    let faults_of = |layers| volume_faults(&root_volume(layers, around.volume_type), around.region);
    let has_volume = below.iter().any(|layer| layer.root_volume.get().is_some());
    let known = if has_volume { faults_of(below) } else { Vec::new() };
    for fault in faults_of(layers) {
        if known.contains(&fault) {
            continue;
        }
        let rule = match fault.settings {
            [VolumeSetting::Type] => Rule::VolumeRoot,
            [VolumeSetting::KmsKey, ..] => Rule::VolumeKey,
            _ => Rule::VolumeRelation,
        };
        let spot = fault.settings.iter().find_map(|setting| span_of(volume, *setting));
        let spot = spot.unwrap_or_else(|| volume.spot.clone());
        report.breach(rule, &spot, fault.found).expected(fault.expected).hint(fault.hint);
    }
}

fn volume_faults(volume: &RootVolume, region: Option<&str>) -> Vec<ebs::VolumeFault> {
    ebs::Volume {
        kind: ebs::volume_type(&volume.volume_type),
        size: Some(volume.size.into()),
        iops: volume.iops.map(i64::from),
        throughput: volume.throughput.map(i64::from),
        is_root: true,
        encrypted: Some(true), // always, as openshift-install does
        kms_key: volume.kms_key.as_deref(),
        region,
    }
    .faults()
}

/// Returns the position of a setting in a volume. `None` if the volume does not have it.
fn span_of(volume: &document::RootVolume, setting: VolumeSetting) -> Option<FieldSpan> {
    match setting {
        VolumeSetting::Type => volume.volume_type.get().map(|at| at.spot.clone()),
        VolumeSetting::Size => volume.size.get().map(|at| at.spot.clone()),
        VolumeSetting::Iops => volume.iops.get().map(|at| at.spot.clone()),
        VolumeSetting::KmsKey => volume.kms_key.get().map(|at| at.spot.clone()),
        VolumeSetting::Throughput => volume.throughput.get().map(|at| at.spot.clone()),
        VolumeSetting::Encryption => None,
    }
}

/// Reports a size that is no positive number. The size 0 counts as omitted: programs in Go write it
/// for a volume without settings.
fn check_size(volume: &Spanned<document::RootVolume>, report: &mut FindingCollector) {
    match volume.size.get().filter(|at| at.value != 0) {
        Some(at) if !(1..=i64::from(i32::MAX)).contains(&at.value) => {
            report
                .breach(Rule::VolumeSize, &at.spot, format!("found `{}`", at.value))
                .expected("a positive number of GiB");
        }
        None if volume.volume_type.text().is_some() && !is_unreadable(&volume.size) => {
            report
                .breach(Rule::VolumeSizeMissing, &volume.spot, "has a type but no size")
                .expected("`size` to be set")
                .hint(format!("add `size: {VOLUME_SIZE}`"));
        }
        _ => (),
    }
}

fn is_unreadable<T>(given: &FieldValue<T>) -> bool {
    matches!(given, FieldValue::Unreadable)
}

/// Reports an IOPS value that the volume type needs and lacks, or has and does not take.
fn check_iops(
    volume: &Spanned<document::RootVolume>,
    volume_type: &str,
    report: &mut FindingCollector,
) {
    let at = volume.iops.get();
    let iops = at.map_or(0, |at| at.value);
    let spot = at.map_or_else(|| volume.spot.child("iops"), |at| at.spot.clone());
    let found = at.map_or_else(|| "is missing".to_owned(), |at| format!("found `{}`", at.value));
    let sane = iops <= i64::from(i32::MAX);
    match volume_type {
        _ if is_unreadable(&volume.iops) => (),
        "io1" | "io2" if iops <= 0 || !sane => {
            report
                .breach(Rule::VolumeIops, &spot, found)
                .expected(format!("a positive number for an {volume_type} volume"));
        }
        "gp3" if iops < 0 || !sane => {
            report.breach(Rule::VolumeIops, &spot, found).expected("a positive number, or none");
        }
        "gp2" | "st1" | "sc1" | "standard" if iops != 0 => {
            report
                .breach(Rule::VolumeIops, &spot, format!("{found} for a {volume_type} volume"))
                .expected("no `iops`, because this volume type does not support it");
        }
        _ => (),
    }
}

/// Reports values that are invalid only in combination with the default machine platform.
fn check_merged(
    given: &Spanned<document::AwsMachinePool>,
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    let Some(volume) = given.root_volume.get().filter(|volume| volume.volume_type.text().is_none())
    else {
        return;
    };
    let merged = merge(Some(given), around).root_volume;
    if volume.iops.get().is_some_and(|at| at.value != 0) {
        check_iops(volume, &merged.volume_type, report);
    }
    check_bounds(volume, &merged.volume_type, report);
    check_throughput(volume, &merged.volume_type, report);
}

fn check_identity(given: &Spanned<document::AwsMachinePool>, report: &mut FindingCollector) {
    let profile = given.iam_profile.filled();
    if let (Some(_), Some(profile)) = (given.iam_role.text(), profile) {
        report
            .breach(Rule::RoleAndProfile, &profile.spot, "is set together with `iamRole`")
            .expected("one of `iamRole` and `iamProfile`");
    }
}

fn check_security_groups(
    given: &Spanned<document::AwsMachinePool>,
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    // AWS allows 16 groups on a network interface; the cluster uses one.
    const MOST: usize = 15;
    let Some(groups) = given.additional_security_groups.get().filter(|list| !list.is_empty())
    else {
        return;
    };
    if !around.has_subnets {
        report
            .breach(Rule::SecurityGroupsVpc, &groups.spot, "is set, but the cluster gets a new VPC")
            .expected("existing subnets in `platform.aws.subnets`, in the VPC of these groups");
    }
    // Of the 16, openshift-install reserves 6 for the cluster since 4.16.
    const MOST_BESIDE_THE_RESERVE: usize = 10;
    let found = format!("found {} groups", groups.value.len());
    if groups.value.len() > MOST {
        report
            .breach(Rule::SecurityGroupCount, &groups.spot, found)
            .expected(format!("at most {MOST}"));
    } else if groups.value.len() > MOST_BESIDE_THE_RESERVE {
        report
            .breach(Rule::SecurityGroupReserve, &groups.spot, found)
            .expected(format!("at most {MOST_BESIDE_THE_RESERVE}"));
    }
    for group in &groups.value {
        super::aws::check_id(group, "sg-", report);
    }
}

fn check_image(given: &document::AwsMachinePool, report: &mut FindingCollector) {
    if let Some(image) = given.ami_id.filled() {
        super::aws::check_id(image, "ami-", report);
    }
}

fn check_cpu(given: &document::AwsMachinePool, report: &mut FindingCollector) {
    let Some(options) = given.cpu_options.get() else { return };
    choose(Rule::CpuOptions, &options.confidential_compute, CONFIDENTIAL_COMPUTE, report);
    if !options.confidential_compute.is_given() {
        report
            .breach(Rule::CpuOptions, &options.spot, "sets nothing")
            .expected("`confidentialCompute` to be set");
    }
}
