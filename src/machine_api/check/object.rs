//! A Machine, a MachineSet or a ControlPlaneMachineSet: what is around the provider config.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kind::Kind;
use super::provider::{self, Defaults, Purpose};
use super::{Flaw, shape};
use crate::config::{Rule, one_of, shown};
use crate::machine_api::types::{
    AwsMachineProviderConfig, CONTROL_PLANE_MACHINE_TYPE, ControlPlaneMachineSet, LabelSelector,
    Labels, Machine, MachineSet, MachineSpec, ROLE_LABEL, TYPE_LABEL, read, schema,
};

static MACHINE: LazyLock<Value> = LazyLock::new(|| schema::<Machine>().to_value());
static MACHINE_SET: LazyLock<Value> = LazyLock::new(|| schema::<MachineSet>().to_value());
static CONTROL_PLANE: LazyLock<Value> =
    LazyLock::new(|| schema::<ControlPlaneMachineSet>().to_value());
static PROVIDER_CONFIG: LazyLock<Value> =
    LazyLock::new(|| schema::<AwsMachineProviderConfig>().to_value());

/// Everything that is wrong with an object.
pub(super) fn flaws(kind: Kind, value: &Value) -> Vec<Flaw> {
    match kind {
        Kind::Machine => whole(value, &MACHINE, machine),
        Kind::MachineSet => whole(value, &MACHINE_SET, machine_set),
        Kind::ControlPlaneMachineSet => whole(value, &CONTROL_PLANE, control_plane),
    }
}

/// Its shape, and then whatever is of the right one. Of what is of the wrong one nothing more is said.
fn whole<T: DeserializeOwned>(
    value: &Value,
    schema: &Value,
    judge: impl Fn(&T) -> Vec<Flaw>,
) -> Vec<Flaw> {
    let (fitting, mut flaws) = shape::fit(value, schema);
    let wrong: Vec<String> = flaws
        .iter()
        .filter(|flaw| flaw.rule == Rule::WrongType)
        .map(|flaw| flaw.path.clone())
        .collect();
    match read::<T>(&fitting) {
        Ok(object) => {
            let is_said = |flaw: &Flaw| wrong.iter().any(|path| is_within(path, &flaw.path));
            flaws.extend(judge(&object).into_iter().filter(|flaw| !is_said(flaw)));
        }
        Err(error) => flaws.push(Flaw::new(Rule::WrongType, "", error.to_string())),
    }
    flaws
}

/// Whether one of two fields is the other or a part of it.
fn is_within(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn machine(machine: &Machine) -> Vec<Flaw> {
    spec(&machine.spec, "spec", Purpose::of(&machine.metadata.labels))
}

fn machine_set(set: &MachineSet) -> Vec<Flaw> {
    const POLICIES: [&str; 3] = ["Random", "Newest", "Oldest"];
    let mut flaws = Vec::new();
    let policy = set.spec.delete_policy.as_str();
    if !policy.is_empty() && !POLICIES.contains(&policy) {
        let found = format!("found {}", shown(policy));
        let flaw = Flaw::new(Rule::DeletePolicy, "spec.deletePolicy", found);
        flaws.push(flaw.expected(one_of(&POLICIES)));
    }
    let labels = &set.spec.template.metadata.labels;
    flaws.extend(selector(&set.spec.selector, labels, "spec.template.metadata.labels"));
    flaws.extend(spec(&set.spec.template.spec, "spec.template.spec", Purpose::of(labels)));
    flaws
}

/// A set must find what it makes.
fn selector(selector: &LabelSelector, labels: &Labels, path: &str) -> Option<Flaw> {
    if *selector == LabelSelector::default() {
        let flaw = Flaw::new(Rule::MachineSelector, "spec.selector", "is empty");
        return Some(flaw.expected("labels that the machines of this set alone have"));
    }
    let lacking = selector.match_labels.iter().find(|(key, value)| labels.get(*key) != Some(value));
    let (key, value) = lacking?;
    let flaw =
        Flaw::new(Rule::MachineSelector, path, "are not those that `spec.selector` asks for");
    Some(flaw.expected(format!("`{key}: {value}`")))
}

fn control_plane(set: &ControlPlaneMachineSet) -> Vec<Flaw> {
    let broken = |path: &str, found: String, expected: &str| {
        Flaw::new(Rule::ControlPlaneSet, path, found).expected(expected)
    };
    let mut flaws = Vec::new();
    if let Some(replicas) = set.spec.replicas.filter(|replicas| !matches!(replicas, 3 | 5)) {
        flaws.push(broken("spec.replicas", format!("found `{replicas}`"), "3 or 5"));
    }
    let machine_type = &set.spec.template.machine_type;
    if machine_type != CONTROL_PLANE_MACHINE_TYPE {
        let found = format!("found {}", shown(machine_type));
        let expected = format!("`{CONTROL_PLANE_MACHINE_TYPE}`");
        flaws.push(broken("spec.template.machineType", found, &expected));
    }
    let path = format!("spec.template.{CONTROL_PLANE_MACHINE_TYPE}");
    match &set.spec.template.machine {
        None => flaws.push(broken(&path, "is missing".into(), "the template of the masters")),
        Some(template) => {
            let labels = &template.metadata.labels;
            flaws.extend(selector(&set.spec.selector, labels, &format!("{path}.metadata.labels")));
            // Failure domains fill in where a machine is.
            let spread = template.failure_domains.as_ref().is_some_and(|all| !all.aws.is_empty());
            let found = spec(&template.spec, &format!("{path}.spec"), Purpose::ControlPlane);
            flaws.extend(
                found.into_iter().filter(|flaw| !spread || flaw.rule != Rule::MachineSubnet),
            );
        }
    }
    flaws
}

fn spec(spec: &MachineSpec, path: &str, purpose: Purpose) -> Vec<Flaw> {
    let path = format!("{path}.providerSpec.value");
    let Some(value) = spec.provider_spec.value.as_ref() else {
        return vec![Flaw::new(Rule::ProviderSpec, path, "is missing")];
    };
    let judge = |config: &AwsMachineProviderConfig| {
        let filled = provider::with_defaults(config.clone(), &Defaults::of_some_cluster());
        provider::judge(&filled, purpose)
    };
    let flaws = whole(value, &PROVIDER_CONFIG, judge);
    flaws.into_iter().map(|flaw| flaw.within(&path)).collect()
}

impl Purpose {
    /// What a machine with these labels is for.
    pub fn of(labels: &Labels) -> Self {
        let is_master = |label| labels.get(label).is_some_and(|role| role == "master");
        let is_master = is_master(ROLE_LABEL) || is_master(TYPE_LABEL);
        if is_master { Self::ControlPlane } else { Self::Other }
    }
}
