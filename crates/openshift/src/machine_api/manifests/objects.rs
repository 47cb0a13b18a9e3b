//! Objects of the manifests (openshift-install `pkg/asset/machines/aws`, `machines.go` and
//! `machinesets.go`).

use super::details::OS_STREAM_LABEL;
use super::provider::{self, Role};
use crate::machine_api::types::{
    AwsFailureDomain, AwsMachineProviderConfig, CLUSTER_LABEL, CONTROL_PLANE_MACHINE_TYPE,
    ControlPlaneMachineSet, ControlPlaneMachineSetSpec, ControlPlaneMachineTemplate,
    ControlPlaneTemplate, FailureDomainPlacement, FailureDomainSubnet, FailureDomains,
    LabelSelector, Labels, MACHINE_SET_LABEL, Machine, MachineSet, MachineSetSpec, MachineSpec,
    MachineTemplate, NAMESPACE, ObjectMeta, ProviderSpec, ROLE_LABEL, TYPE_LABEL, Taint,
    TemplateMeta,
};
use crate::topology::ClusterSpec;
use crate::topology::lookups::ZoneFact;
use crate::topology::machine_pools::{MachinePools, ResolvedPool};

/// Returns the masters, distributed over the zones in turn.
pub(super) fn masters(pools: &MachinePools) -> Vec<Machine> {
    let (cluster, pool) = (pools.cluster, &pools.masters);
    let machine = |(index, zone)| {
        let name = cluster.names.name(&format!("{}-{index}", pool.spec.name));
        Machine {
            metadata: meta(name, with_os_stream(cluster, role_labels(cluster, pool))),
            spec: spec(&provider::in_zone(cluster, pool, Role::Master, zone)),
            ..Machine::new()
        }
    };
    pool.spec.zone_of_each().enumerate().map(machine).collect()
}

/// Returns the set that manages the masters, or `None` for a single master, which the set could not
/// replace.
pub(super) fn control_plane(pools: &MachinePools) -> Option<ControlPlaneMachineSet> {
    let (cluster, pool) = (pools.cluster, &pools.masters);
    let replicas = pool.spec.replicas;
    if replicas < 2 {
        return None;
    }
    let labels = role_labels(cluster, pool);
    let domains = pool.spec.zones.iter().map(|zone| failure_domain(cluster, zone)).collect();
    let template = ControlPlaneMachineTemplate {
        failure_domains: Some(FailureDomains { platform: "AWS".into(), aws: domains }),
        metadata: template_meta(cluster, labels.clone()),
        spec: spec(&provider::anywhere(cluster, pool, Role::Master)),
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
    let metadata = meta("cluster".into(), with_os_stream(cluster, cluster_labels(cluster)));
    Some(ControlPlaneMachineSet { metadata, spec, ..ControlPlaneMachineSet::new() })
}

/// Returns the sets of a worker pool, one per zone, including zones without machines.
pub(super) fn workers(cluster: &ClusterSpec, pool: &ResolvedPool) -> Vec<MachineSet> {
    let set = |(zone, replicas)| {
        let name = cluster.names.name(&format!("{}-{zone}", pool.spec.name));
        let own = || Labels::from([(MACHINE_SET_LABEL.into(), name.clone())]);
        let selected: Labels = cluster_labels(cluster).into_iter().chain(own()).collect();
        let labels = role_labels(cluster, pool).into_iter().chain(own()).collect();
        let spec = spec(&provider::in_zone(cluster, pool, Role::Worker, zone));
        let template = MachineTemplate {
            metadata: template_meta(cluster, labels),
            spec: match pool.spec.edge.get(zone) {
                Some(fact) => of_edge(spec, fact),
                None => spec,
            },
        };
        let spec = MachineSetSpec {
            replicas: Some(count(replicas)),
            selector: selector(selected),
            template,
            ..MachineSetSpec::default()
        };
        let metadata = meta(name, with_os_stream(cluster, cluster_labels(cluster)));
        MachineSet { metadata, spec, ..MachineSet::new() }
    };
    pool.spec.replicas_by_zone().map(set).collect()
}

/// Role of nodes in Local and Wavelength Zones.
const EDGE_ROLE: &str = "node-role.kubernetes.io/edge";

/// Adds the labels and the taint of nodes in a Local or Wavelength Zone, which keep other workloads away
/// (openshift/enhancements `aws-custom-edge-machineset-local-zones`).
fn of_edge(mut spec: MachineSpec, zone: &ZoneFact) -> MachineSpec {
    spec.metadata.labels = Labels::from([
        (EDGE_ROLE.into(), String::new()),
        ("machine.openshift.io/zone-type".into(), zone.zone_type.clone()),
        ("machine.openshift.io/zone-group".into(), zone.group.clone()),
        ("machine.openshift.io/parent-zone-name".into(), zone.parent.clone().unwrap_or_default()),
    ]);
    spec.taints =
        vec![Taint { key: EDGE_ROLE.into(), effect: "NoSchedule".into(), ..Taint::default() }];
    spec
}

fn failure_domain(cluster: &ClusterSpec, zone: &str) -> AwsFailureDomain {
    let subnet = provider::subnet(cluster, zone);
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

fn template_meta(cluster: &ClusterSpec, labels: Labels) -> TemplateMeta {
    TemplateMeta { labels: with_os_stream(cluster, labels), ..TemplateMeta::default() }
}

/// Adds the label with the stream of the operating system, if the release has it.
fn with_os_stream(cluster: &ClusterSpec, mut labels: Labels) -> Labels {
    if let Some(default) = cluster.names.layout.manifests.default_os_stream {
        let stream = cluster.os_stream.as_deref().unwrap_or(default);
        labels.insert(OS_STREAM_LABEL.into(), stream.into());
    }
    labels
}

fn selector(match_labels: Labels) -> LabelSelector {
    LabelSelector { match_labels, ..LabelSelector::default() }
}

fn cluster_labels(cluster: &ClusterSpec) -> Labels {
    Labels::from([(CLUSTER_LABEL.into(), cluster.names.infra_id().into())])
}

/// Returns the labels of a pool. Role and type are both the name of the pool.
fn role_labels(cluster: &ClusterSpec, pool: &ResolvedPool) -> Labels {
    let name = &pool.spec.name;
    let mut labels = cluster_labels(cluster);
    labels.extend([(ROLE_LABEL.into(), name.clone()), (TYPE_LABEL.into(), name.clone())]);
    labels
}

/// Returns the number as `i32`. A config has at most 10,000 machines.
fn count(replicas: u32) -> i32 {
    i32::try_from(replicas).unwrap_or(i32::MAX)
}
