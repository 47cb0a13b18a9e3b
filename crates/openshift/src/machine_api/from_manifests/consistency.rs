//! Consistency of machines: all belong to one cluster, and none is defined twice.

use std::collections::BTreeMap;

use groundplan_aws::model::CLUSTER_TAG_PREFIX;

use super::members::MachineGroup;
use super::{Findings, ManifestFile};
use crate::diagnostics::Rule;
use crate::machine_api::launch_spec::cluster_of;
use crate::machine_api::types::CLUSTER_LABEL;
use crate::machine_api::validation::{ObjectFinding, is_infra_id};

/// Returns the infra ID that all machines name. `told` is the infra ID of the Infrastructure
/// object.
pub(super) fn infra_id(
    units: &[MachineGroup],
    told: Option<String>,
    files: &[ManifestFile],
    findings: &mut Findings,
) -> Option<String> {
    let mut agreed = told.filter(|id| is_infra_id(id));
    for unit in units {
        let flaw =
            |message: String| ObjectFinding::new(Rule::MachineCluster, "metadata.labels", message);
        let flaw = match (cluster_of(&unit.labels), &agreed) {
            (None, _) => flaw(format!("`{CLUSTER_LABEL}` is missing"))
                .expected("the infra ID of the cluster"),
            (Some(own), None) => {
                agreed = Some(own.to_owned());
                continue;
            }
            (Some(own), Some(agreed)) if own == agreed => continue,
            (Some(own), Some(agreed)) => flaw(format!("`{CLUSTER_LABEL}` is `{own}`"))
                .expected(format!("`{agreed}`, as in the other manifests"))
                .hint("plan the machines of each cluster separately"),
        };
        findings[unit.origin.file].push(unit.origin.finding_in_template(files, flaw));
    }
    agreed
}

/// Checks that no machine has the label of one cluster and the tag of another. One of the two is a
/// typing error. The machine would be planned with the machines of another cluster, and join its
/// network.
pub(super) fn tags(units: &[MachineGroup], files: &[ManifestFile], findings: &mut Findings) {
    for unit in units {
        let Some(cluster) = cluster_of(&unit.labels) else { continue };
        for (index, tag) in unit.config.tags.iter().enumerate() {
            let Some(other) = tag.name.strip_prefix(CLUSTER_TAG_PREFIX) else { continue };
            if other == cluster {
                continue;
            }
            let path = format!("providerSpec.value.tags[{index}].name");
            let found = format!("is the tag of the cluster `{other}`");
            let flaw = ObjectFinding::new(Rule::MachineCluster, path, found)
                .expected(format!("that of `{cluster}`, as in the label `{CLUSTER_LABEL}`"))
                .hint("correct the tag or the label, or use the manifests of one cluster");
            findings[unit.origin.file].push(unit.origin.finding_in_spec(files, flaw));
        }
    }
}

/// Returns the region of the machines that set one. Machines without a region use the same region.
pub(super) fn region(
    units: &[MachineGroup],
    told: Option<String>,
    files: &[ManifestFile],
    findings: &mut Findings,
) -> Option<String> {
    const PATH: &str = "providerSpec.value.placement.region";
    let mut agreed = told;
    for unit in units {
        let own = &unit.config.placement.region;
        match &agreed {
            _ if own.is_empty() => {}
            None => agreed = Some(own.clone()),
            Some(agreed) if own == agreed => {}
            Some(agreed) => {
                let flaw = ObjectFinding::new(Rule::MachineCluster, PATH, format!("is `{own}`"))
                    .expected(format!("`{agreed}`, as in the other manifests"));
                findings[unit.origin.file].push(unit.origin.finding_in_spec(files, flaw));
            }
        }
    }
    if let (None, Some(unit)) = (&agreed, units.first()) {
        let flaw = ObjectFinding::new(Rule::MachineRegion, PATH, "is missing in all manifests");
        findings[unit.origin.file].push(unit.origin.finding_in_spec(files, flaw));
    }
    agreed
}

/// Checks that each machine name exists once.
pub(super) fn names(units: &[MachineGroup], files: &[ManifestFile], findings: &mut Findings) {
    let mut known: BTreeMap<&str, &MachineGroup> = BTreeMap::new();
    for unit in units {
        let twice = unit.names.iter().find_map(|name| Some((name, *known.get(name.as_str())?)));
        if let Some((name, first)) = twice {
            let file = &files[first.origin.file].name;
            let found = format!("defines the machine {name}, which {} also defines", first.name);
            let flaw = ObjectFinding::new(Rule::MachineName, "metadata.name", found)
                .hint(format!("remove one of the two manifests; {} is in {file}", first.name));
            findings[unit.origin.file].push(unit.origin.finding(files, flaw));
        }
        known.extend(unit.names.iter().map(|name| (name.as_str(), unit)));
    }
}
