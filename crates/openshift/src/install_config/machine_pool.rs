//! `controlPlane` and `compute`: machine pools with names, sizes and the EC2 settings of the
//! machines.
//!
//! Rules: openshift/installer `pkg/types/validation/machinepools.go`, release-4.15.

use super::aws_machine_pool::{self, PoolContext};
use super::choices::{Choices, choose};
use super::document::{self, Document, FieldValue, Platform, Spanned};
use crate::diagnostics::finding::{FieldSpan, FindingCollector, did_you_mean, shown};
use crate::diagnostics::rules::Rule;
use crate::install_config::resolved::{Architecture, EDGE, MachinePool};

const CONTROL_PLANE: &str = "master";
const WORKER: &str = "worker";
/// openshift/installer `pkg/types/defaults/machinepools.go`
pub(super) const REPLICAS: u32 = 3;

pub(super) const HYPERTHREADING: &Choices<bool> = &[("Enabled", true), ("Disabled", false)];
/// Feature gate of Cluster API management (openshift/api `features/features.go`), which the preview
/// sets for developers enable.
pub(super) const CLUSTER_API: &str = "ClusterAPIComputeInstall";
/// The API that manages the machines of a pool. True for one that groundplan does not support.
pub(super) const MANAGEMENT: &Choices<bool> = &[("MachineAPI", false), ("ClusterAPI", true)];
pub(super) const ARCHITECTURES: &Choices<Architecture> =
    &[("amd64", Architecture::Amd64), ("arm64", Architecture::Arm64)];

/// Maximum number of machines in a pool. Larger than any real pool and small enough to catch a
/// typing error, because each machine becomes several resources.
pub(super) const MOST: i64 = 10_000;

/// Returns the pool of the control plane after validation.
pub(super) fn control_plane(
    document: &Document,
    around: &PoolContext,
    report: &mut FindingCollector,
) -> Option<MachinePool> {
    let given = match &document.control_plane {
        FieldValue::Unreadable => return None,
        FieldValue::Missing | FieldValue::Empty(_) => {
            return Some(default_pool(CONTROL_PLANE, Architecture::default(), around));
        }
        FieldValue::Value(given) => given,
    };
    let name =
        given.name.get().filter(|name| !name.value.is_empty() && name.value != CONTROL_PLANE);
    if let Some(name) = name {
        let found = format!("found {}", shown(&name.value));
        report
            .breach(Rule::ControlPlaneName, &name.spot, format!("{found}, which has no effect"))
            .hint(format!("write `{CONTROL_PLANE}`, which is always the name of this pool"));
    }
    let pool = pool(CONTROL_PLANE, given, Architecture::default(), around, report);
    quorum(given, report);
    pool
}

/// Returns the pools of workers after validation. Adds a pool `worker` if there is none, as
/// openshift-install does. The architecture of the control plane, if known, is the default of every
/// pool.
pub(super) fn compute(
    document: &Document,
    control_plane: Option<Architecture>,
    around: &PoolContext,
    report: &mut FindingCollector,
) -> Option<Vec<MachinePool>> {
    if let FieldValue::Unreadable = document.compute {
        return None;
    }
    let architecture = control_plane.unwrap_or_default();
    let mut pools = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for given in document.compute.items() {
        let pool = compute_pool(given, &mut names, architecture, around, report);
        if let Some(pool) = &pool {
            check_architecture(given, pool, control_plane, report);
        }
        pools.push(pool);
    }
    if !names.contains(&WORKER) {
        pools.push(Some(default_pool(WORKER, architecture, around)));
    }
    pools.into_iter().collect()
}

/// Returns the pool that openshift-install adds for existing subnets in Local and Wavelength Zones
/// (`pkg/types/defaults/machinepools.go`), with as many machines as such subnets. `None` if the config
/// names the pool, or no subnets.
pub(super) fn implied_edge(
    control_plane: &MachinePool,
    compute: &[MachinePool],
    around: &PoolContext,
) -> Option<MachinePool> {
    if !around.has_subnets || compute.iter().any(MachinePool::is_edge) {
        return None;
    }
    let mut pool = default_pool(EDGE, control_plane.architecture, &around.of_edge());
    (pool.replicas, pool.aws.zones) = (0, Vec::new());
    Some(pool)
}

fn compute_pool<'given>(
    given: &'given Spanned<document::MachinePool>,
    names: &mut Vec<&'given str>,
    architecture: Architecture,
    around: &PoolContext,
    report: &mut FindingCollector,
) -> Option<MachinePool> {
    let name = given.name.require(&given.spot, "name", report);
    let of_edge = around.of_edge();
    let is_edge = name.is_some_and(|name| name.value == EDGE);
    let around = if is_edge { &of_edge } else { around };
    let read = pool(name.map_or("", |name| &name.value), given, architecture, around, report);
    let name = name?;
    if names.contains(&name.value.as_str()) {
        report
            .breach(
                Rule::RepeatedPool,
                &name.spot,
                format!("found {} a second time", shown(&name.value)),
            )
            .expected("a different name for each pool");
    }
    names.push(&name.value);
    match name.value.as_str() {
        WORKER => read,
        EDGE => {
            report
                .breach(Rule::EdgePool, &name.spot, format!("found `{EDGE}`"))
                .hint("remove the pool; it can be added to the cluster later");
            let mut read = read?;
            check_edge(&name.spot, &read, around, report);
            if read.replicas == 0 {
                // openshift-install `pkg/asset/machines/worker.go`: one machine in each zone.
                read.replicas = u32::try_from(read.aws.zones.len()).unwrap_or_default();
            }
            Some(read)
        }
        other => {
            let hint = did_you_mean(other, &[WORKER, EDGE]);
            report
                .breach(Rule::PoolName, &name.spot, format!("found {}", shown(other)))
                .expected(format!("`{WORKER}` or `{EDGE}`"))
                .hint_if(hint);
            None
        }
    }
}

/// Reports an edge pool without zones, for which there would be no subnet, and Wavelength Zones.
fn check_edge(
    name: &FieldSpan,
    pool: &MachinePool,
    around: &PoolContext,
    report: &mut FindingCollector,
) {
    if pool.aws.zones.is_empty() && !around.has_subnets {
        report
            .breach(Rule::EdgeZones, name, "the edge pool has no `platform.aws.zones`")
            .expected("the Local or Wavelength Zones of the machines")
            .hint(
                "list them with `aws ec2 describe-availability-zones --all-availability-zones \
                 --filters Name=zone-type,Values=local-zone,wavelength-zone`",
            );
    }
    if let Some(zone) = pool.aws.zones.iter().find(|zone| zone.contains("-wlz-")) {
        report
            .breach(Rule::WavelengthZone, name, format!("the edge pool has the zone {zone}"))
            .expected("zones of the type local-zone only");
    }
}

/// Reports a pool of another architecture than the control plane. Since 4.17, a release image for
/// several architectures allows it.
fn check_architecture(
    given: &Spanned<document::MachinePool>,
    pool: &MachinePool,
    control_plane: Option<Architecture>,
    report: &mut FindingCollector,
) {
    let same = control_plane.is_none_or(|architecture| pool.architecture == architecture);
    let (false, Some(at)) = (same, given.architecture.get()) else { return };
    let found = format!("found `{}`", at.value);
    let may_be_mixed = |release| Rule::MixedArchitecture.releases().contains(release);
    if report.release().is_some_and(may_be_mixed) {
        report.breach(Rule::MixedArchitecture, &at.spot, found).expected(
            "the architecture of the control plane, or a multi-architecture release image",
        );
    } else {
        report
            .breach(Rule::PoolArchitecture, &at.spot, found)
            .expected("the architecture of the control plane");
    }
}

fn pool(
    name: &str,
    given: &Spanned<document::MachinePool>,
    architecture: Architecture,
    around: &PoolContext,
    report: &mut FindingCollector,
) -> Option<MachinePool> {
    if let Some(at) = given.fencing.get() {
        report
            .breach(Rule::FencingPlatform, &at.spot, "is set, but the platform is aws")
            .expected("nothing; fencing is for the platforms baremetal, external and none")
            .hint("remove the field, and use three masters");
    }
    if let Some(at) = given.disk_setup.get().filter(|at| !at.is_empty_list()) {
        report.breach(Rule::Unsupported, &at.spot, unsupported("diskSetup"));
    }
    check_management(name, given, around.has_cluster_api, report);
    let replicas = replicas(given, if name == EDGE { 0 } else { REPLICAS }, report);
    let hyperthreading =
        choose(Rule::Hyperthreading, &given.hyperthreading, HYPERTHREADING, report).unwrap_or(true);
    let architecture = match given.architecture.get() {
        Some(at) if !at.value.is_empty() => {
            choose(Rule::Architecture, &given.architecture, ARCHITECTURES, report)
        }
        _ => Some(architecture),
    };
    let own = platform(&given.platform, report);
    if let Some(own) = own {
        aws_machine_pool::check_host_placement(own, name == WORKER, around, report);
    }
    let aws = aws_machine_pool::resolve(own, around, report);
    Some(MachinePool {
        name: name.into(),
        replicas: replicas?,
        hyperthreading,
        architecture: architecture?,
        aws,
    })
}

/// Reports `management` on the control plane, Cluster API management without its feature gate, and with
/// it, because groundplan would add machine sets of the Machine API. Reference: openshift/installer
/// `pkg/types/validation/featuregates.go`.
fn check_management(
    name: &str,
    given: &Spanned<document::MachinePool>,
    has_cluster_api: bool,
    report: &mut FindingCollector,
) {
    let Some(at) = given.management.filled() else { return };
    if name == CONTROL_PLANE {
        report
            .breach(Rule::PoolManagement, &at.spot, "is set for the control plane")
            .expected("`management` for compute pools only");
    } else if choose(Rule::PoolManagement, &given.management, MANAGEMENT, report) == Some(true) {
        if has_cluster_api {
            report
                .breach(Rule::Unsupported, &at.spot, unsupported("management: ClusterAPI"))
                .expected("`MachineAPI`, whose machine sets groundplan renders");
        } else {
            report
                .breach(Rule::PoolManagement, &at.spot, "is `ClusterAPI` without its feature gate")
                .expected(format!(
                    "`MachineAPI`, or featureSet `CustomNoUpgrade` with the gate `{CLUSTER_API}=true`"
                ));
        }
    }
}

/// Returns the message for a field that groundplan reads and does not support.
pub(super) fn unsupported(field: &str) -> String {
    format!("`{field}` is not supported by this version of groundplan")
}

fn default_pool(name: &str, architecture: Architecture, around: &PoolContext) -> MachinePool {
    let aws = aws_machine_pool::merge(None, around);
    MachinePool { name: name.into(), replicas: REPLICAS, hyperthreading: true, architecture, aws }
}

fn replicas(
    given: &Spanned<document::MachinePool>,
    default: u32,
    report: &mut FindingCollector,
) -> Option<u32> {
    match &given.replicas {
        FieldValue::Missing | FieldValue::Empty(_) => Some(default),
        FieldValue::Unreadable => None,
        FieldValue::Value(at) if !(0..=MOST).contains(&at.value) => {
            report
                .breach(Rule::Replicas, &at.spot, format!("found `{}`", at.value))
                .expected(format!("a number from 0 to {MOST}"));
            None
        }
        FieldValue::Value(at) => u32::try_from(at.value).ok(),
    }
}

/// Reports a control plane without machines, and one of two machines: etcd needs an odd number of
/// members, and since 4.19 a pair requires fencing.
fn quorum(given: &Spanned<document::MachinePool>, report: &mut FindingCollector) {
    match given.replicas.get() {
        Some(at) if at.value == 0 => {
            report
                .breach(Rule::ControlPlaneReplicas, &at.spot, "found `0`")
                .expected("at least one machine, normally three");
        }
        Some(at) if at.value == 2 => {
            let hint = "use 3, because etcd with two members survives no failure";
            let is_pair = |release| Rule::ControlPlanePair.releases().contains(release);
            let rule = if report.release().is_none_or(is_pair) {
                Rule::ControlPlanePair
            } else {
                Rule::Quorum
            };
            report.breach(rule, &at.spot, "found `2`").hint(hint);
        }
        _ => (),
    }
}

/// Returns `platform.aws` of a pool. Reports other platforms as errors.
fn platform<'given>(
    given: &'given FieldValue<Platform<document::AwsMachinePool>>,
    report: &mut FindingCollector,
) -> Option<&'given Spanned<document::AwsMachinePool>> {
    let platform = given.get()?;
    for other in &platform.others {
        report
            .breach(Rule::PoolPlatform, &other.spot, format!("found `{}`", other.value))
            .expected("the platform of the cluster, `aws`");
    }
    platform.aws.get()
}
