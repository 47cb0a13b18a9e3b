//! Which machines an object stands for.

use super::Origin;
use crate::config::Rule;
use crate::machine_api::check::{Flaw, Purpose};
use crate::machine_api::types::{
    AwsMachineProviderConfig, Labels, Machine, MachineSet, MachineSpec, ObjectMeta, read,
};

/// An object, and the machines that it stands for. They are alike but for their names.
#[derive(Debug)]
pub(super) struct Unit {
    /// What the object is called.
    pub(super) name: String,
    pub(super) origin: Origin,
    /// What its machines are called; a set may have none.
    pub(super) names: Vec<String>,
    pub(super) labels: Labels,
    pub(super) config: AwsMachineProviderConfig,
    pub(super) is_master: bool,
}

/// A Machine is itself.
pub(super) fn of_machine(machine: &Machine, origin: Origin) -> (Unit, Vec<Flaw>) {
    let labels = &machine.metadata.labels;
    let flaws = named(&machine.metadata).into_iter().chain(is_there(machine)).collect();
    let names = vec![machine.metadata.name.clone()];
    (unit(&machine.metadata, names, labels, &machine.spec, origin), flaws)
}

/// A MachineSet of N replicas is the machines `<set>-0` to `<set>-(N-1)`, so that a larger set has the
/// machines of a smaller one.
pub(super) fn of_set(set: &MachineSet, origin: Origin) -> (Unit, Vec<Flaw>) {
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
) -> Unit {
    // The check has found it to be there and of its type.
    let config = spec.provider_spec.value.as_ref().and_then(|value| read(value).ok());
    Unit {
        name: metadata.name.clone(),
        origin,
        names,
        labels: labels.clone(),
        config: config.unwrap_or_default(),
        is_master: Purpose::of(labels) == Purpose::ControlPlane,
    }
}

/// Names are what machines are known by, here and in AWS; nobody here makes up the rest of one.
fn named(metadata: &ObjectMeta) -> Option<Flaw> {
    let flaw = Flaw::new(Rule::MachineName, "metadata.name", "is missing");
    let expected = "a name of its own: what `generateName` stands for is made up by a cluster";
    metadata.name.is_empty().then(|| flaw.expected(expected))
}

/// What a cluster has made is there already: to launch it again makes two.
fn is_there(machine: &Machine) -> Option<Flaw> {
    let status = machine.status.provider_status.as_ref();
    let instance = status.and_then(|status| status["instanceId"].as_str());
    if machine.spec.provider_id.is_some() {
        return Some(looked_after("spec.providerID", "is given"));
    }
    instance.map(|id| looked_after("status.providerStatus.instanceId", &format!("is {id}")))
}

/// Only an API server gives uids: what has none is a file that somebody wrote, whatever its status.
fn has_machines(set: &MachineSet) -> Option<Flaw> {
    let MachineSet { metadata, status, .. } = set;
    let has = !metadata.uid.is_empty() && status.replicas > 0;
    has.then(|| looked_after("status.replicas", &format!("is {}", status.replicas)))
}

fn looked_after(path: &str, found: &str) -> Flaw {
    let found = format!("{found}: a cluster has made this, and looks after it");
    let flaw = Flaw::new(Rule::MachineLookedAfter, path, found);
    flaw.hint("leave it to its cluster; a copy under another name and without its status is a machine of its own")
}
