//! Rules for a Machine, a MachineSet and a ControlPlaneMachineSet, around the provider config.

use std::sync::LazyLock;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::kind::ManifestKind;
use super::provider::{self, Defaults, Purpose, word};
use super::{ObjectFinding, launchable, names, shape};
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

/// Returns the fields of a provider config that its type does not have. The cluster ignores them.
pub fn unknown_fields(config: &Value) -> Vec<ObjectFinding> {
    let mut findings = shape::fit(config, &PROVIDER_CONFIG).1;
    findings.retain(|finding| matches!(finding.rule, Rule::UnknownField | Rule::LostField));
    findings
}

/// Returns all flaws of an object.
pub(super) fn findings(kind: ManifestKind, value: &Value) -> Vec<ObjectFinding> {
    match kind {
        ManifestKind::Machine => whole(value, &MACHINE, machine),
        ManifestKind::MachineSet => whole(value, &MACHINE_SET, machine_set),
        ManifestKind::ControlPlaneMachineSet => whole(value, &CONTROL_PLANE, control_plane),
    }
}

/// Checks the shape of a value, and then the rules for the parts with the right type. A field of a
/// wrong type gets no further flaws.
fn whole<T: DeserializeOwned>(
    value: &Value,
    schema: &Value,
    judge: impl Fn(&T) -> Vec<ObjectFinding>,
) -> Vec<ObjectFinding> {
    let (fitting, mut findings) = shape::fit(value, schema);
    let wrong: Vec<String> = findings
        .iter()
        .filter(|finding| finding.rule == Rule::WrongType)
        .map(|finding| finding.path.clone())
        .collect();
    match read::<T>(&fitting) {
        Ok(object) => {
            let is_said =
                |finding: &ObjectFinding| wrong.iter().any(|path| is_within(path, &finding.path));
            findings.extend(judge(&object).into_iter().filter(|finding| !is_said(finding)));
        }
        Err(error) => findings.push(ObjectFinding::new(Rule::WrongType, "", error.to_string())),
    }
    findings
}

/// Returns true if the two fields are equal, or one is a part of the other.
fn is_within(one: &str, other: &str) -> bool {
    let (short, long) = if one.len() < other.len() { (one, other) } else { (other, one) };
    long.strip_prefix(short).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

fn machine(machine: &Machine) -> Vec<ObjectFinding> {
    let labels = &machine.metadata.labels;
    let mut findings = names::of_object(&machine.metadata);
    findings.extend(names::cluster(labels, "metadata.labels"));
    findings.extend(spec(&machine.spec, "spec", Purpose::of(labels)));
    findings.extend(conversion(&machine.spec.authoritative_api, &machine.spec, "spec"));
    findings
}

/// Maximum number of replicas, above the size of any cluster. A larger number is a typing error.
const MOST_REPLICAS: i32 = 10_000;

fn machine_set(set: &MachineSet) -> Vec<ObjectFinding> {
    const POLICIES: [&str; 3] = ["Random", "Newest", "Oldest"];
    let mut findings = names::of_object(&set.metadata);
    let policy = set.spec.delete_policy.as_str();
    if !policy.is_empty() && !POLICIES.contains(&policy) {
        let found = format!("found {}", shown(policy));
        let finding = ObjectFinding::new(Rule::DeletePolicy, "spec.deletePolicy", found);
        findings.push(finding.expected(one_of(&POLICIES)));
    }
    findings.extend(set.spec.replicas.and_then(replicas));
    let labels = &set.spec.template.metadata.labels;
    findings.extend(selector(&set.spec.selector, labels, TEMPLATE_LABELS));
    findings.extend(names::labels(labels, TEMPLATE_LABELS));
    findings.extend(names::cluster(labels, TEMPLATE_LABELS));
    let template = &set.spec.template.spec;
    findings.extend(spec(template, "spec.template.spec", Purpose::of(labels)));
    findings.extend(conversion(&set.spec.authoritative_api, template, "spec.template.spec"));
    findings
}

const TEMPLATE_LABELS: &str = "spec.template.metadata.labels";

/// Checks the number of replicas. With a negative number a cluster would create no machines, and
/// delete the existing ones.
fn replicas(replicas: i32) -> Option<ObjectFinding> {
    let finding =
        ObjectFinding::new(Rule::MachineReplicas, "spec.replicas", format!("found `{replicas}`"));
    let fits = (0..=MOST_REPLICAS).contains(&replicas);
    (!fits).then(|| finding.expected(format!("from 0 to {MOST_REPLICAS}")))
}

/// Checks that the selector of a set matches the machines that the set makes.
fn selector(selector: &LabelSelector, labels: &Labels, path: &str) -> Option<ObjectFinding> {
    if *selector == LabelSelector::default() {
        let finding = ObjectFinding::new(Rule::MachineSelector, "spec.selector", "is empty");
        return Some(finding.expected("labels that only the machines of this set have"));
    }
    let lacking = selector.match_labels.iter().find(|(key, value)| labels.get(*key) != Some(value));
    let lacking = lacking.map(|(key, value)| format!("`{key}: {value}`"));
    let unmet = || selector.match_expressions.iter().find_map(|one| unmet(one, labels));
    let finding = ObjectFinding::new(Rule::MachineSelector, path, "do not match `spec.selector`");
    Some(finding.expected(lacking.or_else(unmet)?))
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

fn control_plane(set: &ControlPlaneMachineSet) -> Vec<ObjectFinding> {
    let mut findings = names::labels(&set.metadata.labels, "metadata.labels");
    if set.metadata.name != CONTROL_PLANE_NAME {
        let found = match set.metadata.name.as_str() {
            "" => "is missing".to_owned(),
            other => format!("found {}", shown(other)),
        };
        findings.push(broken("metadata.name", found, &format!("`{CONTROL_PLANE_NAME}`")));
    }
    let rule = Rule::ControlPlaneSet;
    let (state, strategy) = (&set.spec.state, &set.spec.strategy.kind);
    findings.extend(word(rule, "spec.state", state, &["Active", "Inactive"]));
    findings.extend(word(rule, "spec.strategy.type", strategy, &["RollingUpdate", "OnDelete"]));
    if let Some(replicas) = set.spec.replicas.filter(|replicas| !matches!(replicas, 3 | 5)) {
        findings.push(broken("spec.replicas", format!("found `{replicas}`"), "3 or 5"));
    }
    findings.extend(control_plane_template(set));
    findings
}

/// Name of the only ControlPlaneMachineSet of a cluster.
const CONTROL_PLANE_NAME: &str = "cluster";

fn broken(path: &str, found: String, expected: &str) -> ObjectFinding {
    ObjectFinding::new(Rule::ControlPlaneSet, path, found).expected(expected)
}

fn control_plane_template(set: &ControlPlaneMachineSet) -> Vec<ObjectFinding> {
    let mut findings = Vec::new();
    let machine_type = &set.spec.template.machine_type;
    if machine_type != CONTROL_PLANE_MACHINE_TYPE {
        let found = format!("found {}", shown(machine_type));
        let expected = format!("`{CONTROL_PLANE_MACHINE_TYPE}`");
        findings.push(broken("spec.template.machineType", found, &expected));
    }
    let path = format!("spec.template.{CONTROL_PLANE_MACHINE_TYPE}");
    let Some(template) = &set.spec.template.machine else {
        findings.push(broken(&path, "is missing".into(), "the template of the masters"));
        return findings;
    };
    let labels = &template.metadata.labels;
    let at = format!("{path}.metadata.labels");
    findings.extend(selector(&set.spec.selector, labels, &at));
    findings.extend(names::labels(labels, &at));
    findings.extend(labels_of_masters(labels, &at));
    // Failure domains fill in zone and subnet.
    let spread = template.failure_domains.as_ref().is_some_and(|all| !all.aws.is_empty());
    let found = spec(&template.spec, &format!("{path}.spec"), Purpose::ControlPlane);
    findings
        .extend(found.into_iter().filter(|finding| !spread || finding.rule != Rule::MachineSubnet));
    findings
}

/// Checks the labels that the API server requires. A set that cannot find its masters replaces
/// none.
fn labels_of_masters(labels: &Labels, path: &str) -> Vec<ObjectFinding> {
    let is_master = |label: &&str| labels.get(*label).is_none_or(|role| role != "master");
    let roles = [ROLE_LABEL, TYPE_LABEL].into_iter().filter(is_master);
    let roles = roles.map(|label| (label, format!("`{label}: master`")));
    let cluster = (CLUSTER_LABEL, format!("`{CLUSTER_LABEL}` and the infra ID of the cluster"));
    let cluster = Some(cluster).filter(|_| !labels.contains_key(CLUSTER_LABEL));
    let lacking = roles.chain(cluster);
    lacking.map(|(label, expected)| broken(path, format!("lack `{label}`"), &expected)).collect()
}

fn spec(spec: &MachineSpec, at: &str, purpose: Purpose) -> Vec<ObjectFinding> {
    let path = format!("{at}.providerSpec.value");
    let Some(value) = spec.provider_spec.value.as_ref() else {
        return vec![ObjectFinding::new(Rule::ProviderSpec, path, "is missing")];
    };
    let judge = |config: &AwsMachineProviderConfig| {
        let filled = provider::with_defaults(config.clone(), &Defaults::of_some_cluster());
        provider::judge(&filled, purpose).into_iter().chain(launchable::findings(config)).collect()
    };
    let findings = whole(value, &PROVIDER_CONFIG, judge);
    let of_node = names::labels(&spec.metadata.labels, &format!("{at}.metadata.labels"));
    findings.into_iter().map(|finding| finding.within(&path)).chain(of_node).collect()
}

/// Returns the metadata options that a conversion to Cluster API changes (openshift/cluster-capi-operator
/// main, pkg/conversion/mapi2capi/aws.go: `HTTPTokens` is `optional` unless `authentication` is set, the
/// hop limit is 1, and other fields do not exist).
fn conversion(authoritative: &str, spec: &MachineSpec, at: &str) -> Option<ObjectFinding> {
    if authoritative != "ClusterAPI" {
        return None;
    }
    let config = read::<AwsMachineProviderConfig>(spec.provider_spec.value.as_ref()?).ok()?;
    let options = &config.metadata_service_options;
    let path = format!("{at}.providerSpec.value.metadataServiceOptions");
    let finding = |field: &str, message: &str, expected: &str| {
        let path = format!("{path}.{field}");
        Some(ObjectFinding::new(Rule::MachineConversion, path, message).expected(expected))
    };
    if options.authentication.is_empty() {
        let message = "is absent, and Cluster API sets `optional` with hop limit 1 in place of the \
                       account default";
        return finding("authentication", message, "`Required` or `Optional`");
    }
    if options.http_put_response_hop_limit.is_some_and(|hops| hops != 1) {
        let message = "is lost: Cluster API sets hop limit 1";
        return finding("httpPutResponseHopLimit", message, "1, or nothing");
    }
    None
}

impl Purpose {
    /// Returns the purpose of a machine with these labels.
    pub fn of(labels: &Labels) -> Self {
        let is_master = |label| labels.get(label).is_some_and(|role| role == "master");
        let is_master = is_master(ROLE_LABEL) || is_master(TYPE_LABEL);
        if is_master { Self::ControlPlane } else { Self::Other }
    }
}
