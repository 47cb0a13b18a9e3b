//! Capacity of one more machine of a MachineSet, as annotations of the set. The autoscaler reads
//! the annotations when the set has no machine, and can then scale the set from zero.
//!
//! Source: openshift/machine-api-provider-aws, `pkg/actuators/machineset`.

pub mod driver;

use std::collections::BTreeMap;

use groundplan_aws::lookups::lookup::InstanceTypeFact;
use groundplan_openshift::machine_api::types::MachineSet;

const VCPU: &str = "machine.openshift.io/vCPU";
const MEMORY: &str = "machine.openshift.io/memoryMb";
const GPU: &str = "machine.openshift.io/GPU";
/// Labels that a Node will have, as `key=value` separated by commas. Other clients may add labels
/// to the same annotation.
const LABELS: &str = "capacity.cluster-autoscaler.kubernetes.io/labels";
const ARCHITECTURE: &str = "kubernetes.io/arch";

/// Returns the instance type of a set, if the template has one.
pub fn instance_type(set: &MachineSet) -> Option<&str> {
    let value = set.spec.template.spec.provider_spec.value.as_ref()?;
    value["instanceType"].as_str().filter(|name| !name.is_empty())
}

/// Returns the annotations that are missing or have another value.
pub fn missing_annotations(
    set: &MachineSet,
    fact: &InstanceTypeFact,
) -> BTreeMap<&'static str, String> {
    let there = &set.metadata.annotations;
    let labels = with_architecture(there.get(LABELS).map_or("", String::as_str), fact);
    let wanted = [
        (VCPU, fact.vcpus.to_string()),
        (MEMORY, fact.memory_mib.to_string()),
        (GPU, fact.gpus.to_string()),
    ];
    let wanted = wanted.into_iter().chain(labels.map(|labels| (LABELS, labels)));
    wanted.filter(|(key, value)| there.get(*key) != Some(value)).collect()
}

/// Returns the labels with the label of the architecture. `None` means that the architecture is
/// unknown.
fn with_architecture(labels: &str, fact: &InstanceTypeFact) -> Option<String> {
    let name = architecture(fact)?;
    let of_others = labels.split(',').map(str::trim).filter(|label| {
        let key = label.split_once('=').map_or(*label, |(key, _)| key);
        !label.is_empty() && key != ARCHITECTURE
    });
    let ours = format!("{ARCHITECTURE}={name}");
    let mut all: Vec<&str> = of_others.chain([ours.as_str()]).collect();
    all.sort_unstable();
    Some(all.join(","))
}

/// Returns the architecture in the words of Kubernetes. A type that also runs 32-bit code boots
/// 64-bit images.
fn architecture(fact: &InstanceTypeFact) -> Option<&'static str> {
    let runs = |name: &str| fact.architectures.contains(name);
    match (runs("x86_64"), runs("arm64")) {
        (true, _) => Some("amd64"),
        (_, true) => Some("arm64"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::types::read;
    use serde_json::json;

    use super::*;

    fn set(annotations: &serde_json::Value) -> MachineSet {
        let config = json!({"instanceType": "p3.2xlarge"});
        let spec = json!({"template": {"spec": {"providerSpec": {"value": config}}}});
        read(&json!({"metadata": {"name": "s", "annotations": annotations}, "spec": spec})).unwrap()
    }

    fn fact(architecture: &str, gpus: u32) -> InstanceTypeFact {
        let architectures = [architecture.to_owned()].into();
        InstanceTypeFact { vcpus: 8, memory_mib: 62_464, architectures, gpus }
    }

    #[test]
    fn a_set_is_told_processors_memory_gpus_and_architecture() {
        let set = set(&json!({}));
        assert_eq!(instance_type(&set), Some("p3.2xlarge"));
        let told = missing_annotations(&set, &fact("x86_64", 1));
        let told: Vec<_> = told.iter().map(|(key, value)| (*key, value.as_str())).collect();
        assert_eq!(
            told,
            [(LABELS, "kubernetes.io/arch=amd64"), (GPU, "1"), (MEMORY, "62464"), (VCPU, "8")]
        );
    }

    #[test]
    fn labels_of_others_stay_and_what_is_so_is_not_told_again() {
        let labels = "team=ml,kubernetes.io/arch=amd64";
        let before = set(&json!({LABELS: labels, VCPU: "8", GPU: "0", "note": "theirs"}));
        let told = missing_annotations(&before, &fact("arm64", 0));
        assert_eq!(told.keys().copied().collect::<Vec<_>>(), [LABELS, MEMORY]);
        assert_eq!(told[LABELS], "kubernetes.io/arch=arm64,team=ml");
        let labels = "kubernetes.io/arch=arm64,team=ml";
        let after = json!({LABELS: labels, VCPU: "8", GPU: "0", MEMORY: "62464"});
        assert!(missing_annotations(&set(&after), &fact("arm64", 0)).is_empty());
    }

    #[test]
    fn of_an_architecture_that_is_not_known_nothing_is_said() {
        assert!(!missing_annotations(&set(&json!({})), &fact("riscv64", 0)).contains_key(LABELS));
    }
}
