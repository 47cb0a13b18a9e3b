//! Objects of the manifests (openshift-install `pkg/asset/machines/aws`, `machines.go` and
//! `machinesets.go`).

use super::ManifestInputs;
use super::provider::{self, Role};
use crate::machine_api::types::{
    AwsFailureDomain, AwsMachineProviderConfig, CLUSTER_LABEL, CONTROL_PLANE_MACHINE_TYPE,
    ControlPlaneMachineSet, ControlPlaneMachineSetSpec, ControlPlaneMachineTemplate,
    ControlPlaneTemplate, FailureDomainPlacement, FailureDomainSubnet, FailureDomains,
    LabelSelector, Labels, MACHINE_SET_LABEL, Machine, MachineSet, MachineSetSpec, MachineSpec,
    MachineTemplate, NAMESPACE, ObjectMeta, ProviderSpec, ROLE_LABEL, TYPE_LABEL, TemplateMeta,
};
use crate::topology::machine_pools::ResolvedPool;

/// Returns the masters, distributed over the zones in turn.
pub(super) fn masters(site: &ManifestInputs) -> Vec<Machine> {
    let pool = &site.fleet.masters;
    let machine = |(index, zone)| {
        let name = site.name(&format!("{}-{index}", pool.machines.name));
        Machine {
            metadata: meta(name, role_labels(site, pool)),
            spec: spec(&provider::in_zone(site, pool, Role::Master, zone)),
            ..Machine::new()
        }
    };
    pool.zone_of_each().enumerate().map(machine).collect()
}

/// Returns the set that manages the masters, or `None` for a single master, which the set could not
/// replace.
pub(super) fn control_plane(site: &ManifestInputs) -> Option<ControlPlaneMachineSet> {
    let pool = &site.fleet.masters;
    let replicas = pool.machines.replicas;
    if replicas < 2 {
        return None;
    }
    let labels = role_labels(site, pool);
    let domains = pool.zones.iter().map(|zone| failure_domain(site, zone)).collect();
    let template = ControlPlaneMachineTemplate {
        failure_domains: Some(FailureDomains { platform: "AWS".into(), aws: domains }),
        metadata: TemplateMeta { labels: labels.clone(), ..TemplateMeta::default() },
        spec: spec(&provider::anywhere(site, pool, Role::Master)),
    };
    let spec = ControlPlaneMachineSetSpec {
        state: "Active".into(),
        replicas: Some(count(replicas)),
        selector: selector(labels),
        template: ControlPlaneTemplate {
            machine_type: CONTROL_PLANE_MACHINE_TYPE.into(),
            machine: Some(template),
        },
        ..ControlPlaneMachineSetSpec::default()
    };
    let metadata = meta("cluster".into(), cluster_labels(site));
    Some(ControlPlaneMachineSet { metadata, spec, ..ControlPlaneMachineSet::new() })
}

/// Returns the sets of a worker pool, one per zone, including zones without machines.
pub(super) fn workers(site: &ManifestInputs, pool: &ResolvedPool) -> Vec<MachineSet> {
    let set = |(zone, replicas)| {
        let name = site.name(&format!("{}-{zone}", pool.machines.name));
        let own = || Labels::from([(MACHINE_SET_LABEL.into(), name.clone())]);
        let selected: Labels = cluster_labels(site).into_iter().chain(own()).collect();
        let labels = role_labels(site, pool).into_iter().chain(own()).collect();
        let template = MachineTemplate {
            metadata: TemplateMeta { labels, ..TemplateMeta::default() },
            spec: spec(&provider::in_zone(site, pool, Role::Worker, zone)),
        };
        let spec = MachineSetSpec {
            replicas: Some(count(replicas)),
            selector: selector(selected),
            template,
            ..MachineSetSpec::default()
        };
        let metadata = meta(name, cluster_labels(site));
        MachineSet { metadata, spec, ..MachineSet::new() }
    };
    pool.replicas_by_zone().map(set).collect()
}

fn failure_domain(site: &ManifestInputs, zone: &str) -> AwsFailureDomain {
    let subnet = provider::subnet(site, zone);
    let kind = if subnet.id.is_some() { "ID" } else { "Filters" };
    AwsFailureDomain {
        placement: FailureDomainPlacement { availability_zone: zone.to_owned() },
        subnet: Some(FailureDomainSubnet {
            kind: kind.into(),
            id: subnet.id,
            arn: None,
            filters: subnet.filters,
        }),
    }
}

fn spec(config: &AwsMachineProviderConfig) -> MachineSpec {
    let value = serde_json::to_value(config).expect("BUG: plain data with names for keys");
    MachineSpec { provider_spec: ProviderSpec { value: Some(value) }, ..MachineSpec::default() }
}

fn meta(name: String, labels: Labels) -> ObjectMeta {
    ObjectMeta { name, namespace: NAMESPACE.into(), labels, ..ObjectMeta::default() }
}

fn selector(match_labels: Labels) -> LabelSelector {
    LabelSelector { match_labels, ..LabelSelector::default() }
}

fn cluster_labels(site: &ManifestInputs) -> Labels {
    Labels::from([(CLUSTER_LABEL.into(), site.infra_id.into())])
}

/// Returns the labels of a pool. Role and type are both the name of the pool.
fn role_labels(site: &ManifestInputs, pool: &ResolvedPool) -> Labels {
    let name = &pool.machines.name;
    let mut labels = cluster_labels(site);
    labels.extend([(ROLE_LABEL.into(), name.clone()), (TYPE_LABEL.into(), name.clone())]);
    labels
}

/// Returns the number as `i32`. A config has at most 10,000 machines.
fn count(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}
