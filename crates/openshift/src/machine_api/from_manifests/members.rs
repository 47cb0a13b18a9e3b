//! Machines that an object defines.

use super::Origin;
use crate::diagnostics::Rule;
use crate::machine_api::types::{
    AwsMachineProviderConfig, Labels, Machine, MachineSet, MachineSpec, ObjectMeta, read,
};
use crate::machine_api::validation::{ObjectFinding, Purpose};

/// Object and the machines that it defines. The machines differ only in their names.
#[derive(Debug)]
pub(super) struct MachineGroup {
    /// Name of the object.
    pub(super) name: String,
    pub(super) origin: Origin,
    /// Names of the machines. Empty for a set without replicas.
    pub(super) names: Vec<String>,
    pub(super) labels: Labels,
    pub(super) config: AwsMachineProviderConfig,
    pub(super) is_master: bool,
}

/// Returns the unit of a Machine, which is one machine.
pub(super) fn of_machine(machine: &Machine, origin: Origin) -> (MachineGroup, Vec<ObjectFinding>) {
    let labels = &machine.metadata.labels;
    let flaws = named(&machine.metadata).into_iter().chain(is_there(machine)).collect();
    let names = vec![machine.metadata.name.clone()];
    (unit(&machine.metadata, names, labels, &machine.spec, origin), flaws)
}

/// Returns the unit of a MachineSet. A set of N replicas is the machines `<set>-0` to
/// `<set>-(N-1)`, so that a larger set contains the machines of a smaller one.
pub(super) fn of_set(set: &MachineSet, origin: Origin) -> (MachineGroup, Vec<ObjectFinding>) {
    let flaws = named(&set.metadata).into_iter().chain(has_machines(set)).collect();
    let numbers = 0..set.spec.replicas.unwrap_or(1);
    let names = numbers.map(|number| format!("{}-{number}", set.metadata.name)).collect();
    let template = &set.spec.template;
    (unit(&set.metadata, names, &template.metadata.labels, &template.spec, origin), flaws)
}

fn unit(
    metadata: &ObjectMeta,
    names: Vec<String>,
    labels: &Labels,
    spec: &MachineSpec,
    origin: Origin,
) -> MachineGroup {
    // The check has ensured that the value is present and has the right type.
    let config = spec.provider_spec.value.as_ref().and_then(|value| read(value).ok());
    MachineGroup {
        name: metadata.name.clone(),
        origin,
        names,
        labels: labels.clone(),
        config: config.unwrap_or_default(),
        is_master: Purpose::of(labels) == Purpose::ControlPlane,
    }
}

/// Checks that the object has a name. The name identifies a machine here and in AWS, and groundplan
/// does not expand `generateName`.
fn named(metadata: &ObjectMeta) -> Option<ObjectFinding> {
    let flaw = ObjectFinding::new(Rule::MachineName, "metadata.name", "is missing");
    let expected = "a name; only a cluster can generate one for `generateName`";
    metadata.name.is_empty().then(|| flaw.expected(expected))
}

/// Checks that the machine was not created by a cluster. Another launch of such a machine would
/// make a second instance.
fn is_there(machine: &Machine) -> Option<ObjectFinding> {
    let status = machine.status.provider_status.as_ref();
    let instance = status.and_then(|status| status["instanceId"].as_str());
    if machine.spec.provider_id.is_some() {
        return Some(looked_after("spec.providerID", "is set"));
    }
    instance.map(|id| looked_after("status.providerStatus.instanceId", &format!("is {id}")))
}

/// Checks that the set was not created by a cluster. Only an API server sets a UID; a set without
/// one is a file of a user, even if the set has a status.
fn has_machines(set: &MachineSet) -> Option<ObjectFinding> {
    let MachineSet { metadata, status, .. } = set;
    let has = !metadata.uid.is_empty() && status.replicas > 0;
    has.then(|| looked_after("status.replicas", &format!("is {}", status.replicas)))
}

fn looked_after(path: &str, found: &str) -> ObjectFinding {
    let found = format!("{found}: a cluster manages this object");
    let flaw = ObjectFinding::new(Rule::MachineLookedAfter, path, found);
    flaw.hint(
        "remove the manifest; for another machine, copy it with another name and without its \
         status",
    )
}
