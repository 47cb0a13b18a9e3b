//! Rules for a Machine, a MachineSet and a ControlPlaneMachineSet, around the provider config.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kind::Kind;
use super::provider::{self, Defaults, Purpose, word};
use super::{Flaw, launchable, names, shape};
use crate::diagnostics::{Rule, one_of, shown};
use crate::machine_api::types::{
    AwsMachineProviderConfig, CLUSTER_LABEL, CONTROL_PLANE_MACHINE_TYPE, ControlPlaneMachineSet,
    LabelRequirement, LabelSelector, Labels, Machine, MachineSet, MachineSpec, ROLE_LABEL,
    TYPE_LABEL, read, schema,
};

static MACHINE: LazyLock<Value> = LazyLock::new(|| schema::<Machine>().to_value());
static MACHINE_SET: LazyLock<Value> = LazyLock::new(|| schema::<MachineSet>().to_value());
static CONTROL_PLANE: LazyLock<Value> =
    LazyLock::new(|| schema::<ControlPlaneMachineSet>().to_value());
static PROVIDER_CONFIG: LazyLock<Value> =
    LazyLock::new(|| schema::<AwsMachineProviderConfig>().to_value());

/// Returns all flaws of an object.
pub(super) fn flaws(kind: Kind, value: &Value) -> Vec<Flaw> {
    match kind {
        Kind::Machine => whole(value, &MACHINE, machine),
        Kind::MachineSet => whole(value, &MACHINE_SET, machine_set),
        Kind::ControlPlaneMachineSet => whole(value, &CONTROL_PLANE, control_plane),
    }
}

/// Checks the shape of a value, and then the rules for the parts with the right type. A field of a
/// wrong type gets no further flaws.
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

/// Returns true if the two fields are equal, or one is a part of the other.
fn is_within(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn machine(machine: &Machine) -> Vec<Flaw> {
    let labels = &machine.metadata.labels;
    let mut flaws = names::of_object(&machine.metadata);
    flaws.extend(names::cluster(labels, "metadata.labels"));
    flaws.extend(spec(&machine.spec, "spec", Purpose::of(labels)));
    flaws
}

/// Maximum number of replicas, above the size of any cluster. A larger number is a typing error.
const MOST_REPLICAS: i32 = 10_000;

fn machine_set(set: &MachineSet) -> Vec<Flaw> {
    const POLICIES: [&str; 3] = ["Random", "Newest", "Oldest"];
    let mut flaws = names::of_object(&set.metadata);
    let policy = set.spec.delete_policy.as_str();
    if !policy.is_empty() && !POLICIES.contains(&policy) {
        let found = format!("found {}", shown(policy));
        let flaw = Flaw::new(Rule::DeletePolicy, "spec.deletePolicy", found);
        flaws.push(flaw.expected(one_of(&POLICIES)));
    }
    flaws.extend(set.spec.replicas.and_then(replicas));
    let labels = &set.spec.template.metadata.labels;
    flaws.extend(selector(&set.spec.selector, labels, TEMPLATE_LABELS));
    flaws.extend(names::labels(labels, TEMPLATE_LABELS));
    flaws.extend(names::cluster(labels, TEMPLATE_LABELS));
    flaws.extend(spec(&set.spec.template.spec, "spec.template.spec", Purpose::of(labels)));
    flaws
}

const TEMPLATE_LABELS: &str = "spec.template.metadata.labels";

/// Checks the number of replicas. With a negative number a cluster would create no machines, and
/// delete the existing ones.
fn replicas(replicas: i32) -> Option<Flaw> {
    let flaw = Flaw::new(Rule::MachineReplicas, "spec.replicas", format!("found `{replicas}`"));
    let fits = (0..=MOST_REPLICAS).contains(&replicas);
    (!fits).then(|| flaw.expected(format!("from 0 to {MOST_REPLICAS}")))
}

/// Checks that the selector of a set matches the machines that the set makes.
fn selector(selector: &LabelSelector, labels: &Labels, path: &str) -> Option<Flaw> {
    if *selector == LabelSelector::default() {
        let flaw = Flaw::new(Rule::MachineSelector, "spec.selector", "is empty");
        return Some(flaw.expected("labels that the machines of this set alone have"));
    }
    let lacking = selector.match_labels.iter().find(|(key, value)| labels.get(*key) != Some(value));
    let lacking = lacking.map(|(key, value)| format!("`{key}: {value}`"));
    let unmet = || selector.match_expressions.iter().find_map(|one| unmet(one, labels));
    let flaw =
        Flaw::new(Rule::MachineSelector, path, "are not those that `spec.selector` asks for");
    Some(flaw.expected(lacking.or_else(unmet)?))
}

/// Returns the requirement as text if the labels do not meet it.
fn unmet(asked: &LabelRequirement, labels: &Labels) -> Option<String> {
    let LabelRequirement { key, operator, values } = asked;
    let own = labels.get(key);
    let is_among = own.is_some_and(|own| values.contains(own));
    let is_met = match operator.as_str() {
        "In" => is_among,
        "NotIn" => !is_among,
        "Exists" => own.is_some(),
        "DoesNotExist" => own.is_none(),
        _ => return Some("an operator `In`, `NotIn`, `Exists` or `DoesNotExist` there".into()),
    };
    let values = if values.is_empty() { String::new() } else { format!(" {}", values.join(", ")) };
    (!is_met).then(|| format!("`{key}`: {operator}{values}"))
}

fn control_plane(set: &ControlPlaneMachineSet) -> Vec<Flaw> {
    let mut flaws = names::labels(&set.metadata.labels, "metadata.labels");
    if set.metadata.name != CONTROL_PLANE_NAME {
        let found = match set.metadata.name.as_str() {
            "" => "is missing".to_owned(),
            other => format!("found {}", shown(other)),
        };
        flaws.push(broken("metadata.name", found, &format!("`{CONTROL_PLANE_NAME}`")));
    }
    let rule = Rule::ControlPlaneSet;
    let (state, strategy) = (&set.spec.state, &set.spec.strategy.kind);
    flaws.extend(word(rule, "spec.state", state, &["Active", "Inactive"]));
    flaws.extend(word(rule, "spec.strategy.type", strategy, &["RollingUpdate", "OnDelete"]));
    if let Some(replicas) = set.spec.replicas.filter(|replicas| !matches!(replicas, 3 | 5)) {
        flaws.push(broken("spec.replicas", format!("found `{replicas}`"), "3 or 5"));
    }
    flaws.extend(control_plane_template(set));
    flaws
}

/// Name of the only ControlPlaneMachineSet of a cluster.
const CONTROL_PLANE_NAME: &str = "cluster";

fn broken(path: &str, found: String, expected: &str) -> Flaw {
    Flaw::new(Rule::ControlPlaneSet, path, found).expected(expected)
}

fn control_plane_template(set: &ControlPlaneMachineSet) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    let machine_type = &set.spec.template.machine_type;
    if machine_type != CONTROL_PLANE_MACHINE_TYPE {
        let found = format!("found {}", shown(machine_type));
        let expected = format!("`{CONTROL_PLANE_MACHINE_TYPE}`");
        flaws.push(broken("spec.template.machineType", found, &expected));
    }
    let path = format!("spec.template.{CONTROL_PLANE_MACHINE_TYPE}");
    let Some(template) = &set.spec.template.machine else {
        flaws.push(broken(&path, "is missing".into(), "the template of the masters"));
        return flaws;
    };
    let labels = &template.metadata.labels;
    let at = format!("{path}.metadata.labels");
    flaws.extend(selector(&set.spec.selector, labels, &at));
    flaws.extend(names::labels(labels, &at));
    flaws.extend(labels_of_masters(labels, &at));
    // Failure domains fill in zone and subnet.
    let spread = template.failure_domains.as_ref().is_some_and(|all| !all.aws.is_empty());
    let found = spec(&template.spec, &format!("{path}.spec"), Purpose::ControlPlane);
    flaws.extend(found.into_iter().filter(|flaw| !spread || flaw.rule != Rule::MachineSubnet));
    flaws
}

/// Checks the labels that the API server requires. A set that cannot find its masters replaces
/// none.
fn labels_of_masters(labels: &Labels, path: &str) -> Vec<Flaw> {
    let is_master = |label: &&str| labels.get(*label).is_none_or(|role| role != "master");
    let roles = [ROLE_LABEL, TYPE_LABEL].into_iter().filter(is_master);
    let roles = roles.map(|label| (label, format!("`{label}: master`")));
    let cluster = (CLUSTER_LABEL, format!("`{CLUSTER_LABEL}` and the infra ID of the cluster"));
    let cluster = Some(cluster).filter(|_| !labels.contains_key(CLUSTER_LABEL));
    let lacking = roles.chain(cluster);
    lacking.map(|(label, expected)| broken(path, format!("lack `{label}`"), &expected)).collect()
}

fn spec(spec: &MachineSpec, at: &str, purpose: Purpose) -> Vec<Flaw> {
    let path = format!("{at}.providerSpec.value");
    let Some(value) = spec.provider_spec.value.as_ref() else {
        return vec![Flaw::new(Rule::ProviderSpec, path, "is missing")];
    };
    let judge = |config: &AwsMachineProviderConfig| {
        let filled = provider::with_defaults(config.clone(), &Defaults::of_some_cluster());
        provider::judge(&filled, purpose).into_iter().chain(launchable::flaws(config)).collect()
    };
    let flaws = whole(value, &PROVIDER_CONFIG, judge);
    let of_node = names::labels(&spec.metadata.labels, &format!("{at}.metadata.labels"));
    flaws.into_iter().map(|flaw| flaw.within(&path)).chain(of_node).collect()
}

impl Purpose {
    /// Returns the purpose of a machine with these labels.
    pub fn of(labels: &Labels) -> Self {
        let is_master = |label| labels.get(label).is_some_and(|role| role == "master");
        let is_master = is_master(ROLE_LABEL) || is_master(TYPE_LABEL);
        if is_master { Self::ControlPlane } else { Self::Other }
    }
}
