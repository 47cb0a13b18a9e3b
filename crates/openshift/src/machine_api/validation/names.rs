//! Rules for names and labels: the rules of the API server for all objects, and the label with the
//! cluster of a machine.

use super::ObjectFinding;
use crate::diagnostics::{Rule, shown};
use crate::machine_api::types::{CLUSTER_LABEL, Labels, NAMESPACE, ObjectMeta};

/// Returns the flaws in the name, namespace and labels of an object.
pub(super) fn of_object(metadata: &ObjectMeta) -> Vec<ObjectFinding> {
    let found = [name(metadata), namespace(metadata)].into_iter().flatten();
    found.chain(labels(&metadata.labels, "metadata.labels")).collect()
}

/// Checks the name. A `generateName` is enough, because the API server generates the rest.
fn name(metadata: &ObjectMeta) -> Option<ObjectFinding> {
    let ObjectMeta { name, generate_name, .. } = metadata;
    if is_subdomain(name) || (name.is_empty() && !generate_name.is_empty()) {
        return None;
    }
    let found = if name.is_empty() { "is missing" } else { "is not a valid object name" };
    let finding = ObjectFinding::new(Rule::ObjectName, "metadata.name", found);
    Some(finding.expected(
        "up to 253 lower-case letters, digits, hyphens and dots, with a letter or digit at both ends \
         of each part",
    ))
}

/// Checks the namespace. An empty namespace is valid, because applying the object sets it.
fn namespace(metadata: &ObjectMeta) -> Option<ObjectFinding> {
    let own = metadata.namespace.as_str();
    if own.is_empty() || own == NAMESPACE {
        return None;
    }
    let finding = ObjectFinding::new(Rule::MachineNamespace, "metadata.namespace", found(own));
    Some(finding.expected(format!(
        "`{NAMESPACE}`, because the controllers of OpenShift use no \
         other namespace"
    )))
}

/// Returns the flaws in labels, at most one per label.
pub(super) fn labels(labels: &Labels, path: &str) -> Vec<ObjectFinding> {
    labels.iter().filter_map(|(key, value)| label(key, value, path)).collect()
}

fn label(key: &str, value: &str, path: &str) -> Option<ObjectFinding> {
    let (found, expected) = match (is_key(key), key == CLUSTER_LABEL) {
        (false, _) => ("is not a valid label name".to_owned(), KEY),
        (true, true) if !is_infra_id(value) => (format!("found {}", shown(value)), INFRA_ID),
        (true, false) if !value.is_empty() && !is_word(value) => {
            (format!("found {}", shown(value)), WORD)
        }
        (true, _) => return None,
    };
    let path = format!("{path}[{}]", shown(key).trim_matches('`'));
    Some(ObjectFinding::new(Rule::ObjectLabel, path, found).expected(expected))
}

const INFRA_ID: &str = "an infra ID: letters, digits and `-`, such as `demo-x7k2p`";
const KEY: &str = "up to 63 letters, digits, `-`, `_` and `.`, optionally after a DNS name and `/`";
const WORD: &str =
    "up to 63 letters, digits, `-`, `_` and `.`, with a letter or digit at both ends";

/// Checks that the labels of a machine name its cluster.
pub(super) fn cluster(labels: &Labels, path: &str) -> Option<ObjectFinding> {
    let missing = labels.get(CLUSTER_LABEL).is_none_or(String::is_empty);
    let found =
        format!("`{CLUSTER_LABEL}` is missing; only the webhook adds it, if it is available");
    let finding = ObjectFinding::new(Rule::MachineClusterLabel, path, found);
    missing.then(|| finding.expected("the infra ID of the cluster"))
}

/// Returns true if `id` is valid as an infra ID: it becomes the key of a tag, and the name of the
/// state.
pub(crate) fn is_infra_id(id: &str) -> bool {
    let fits = |one: char| one.is_ascii_alphanumeric() || one == '-';
    is_word(id) && id.chars().all(fits)
}

/// Returns true if `name` is a DNS subdomain, as object names must be (k8s.io/apimachinery
/// `pkg/util/validation`).
fn is_subdomain(name: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let is_part = |part: &str| !part.is_empty() && has_edges(part) && part.chars().all(fits);
    name.len() <= 253 && name.split('.').all(is_part)
}

/// Returns true if `key` is valid as the key of a label: a word, optionally after a domain and a
/// slash.
fn is_key(key: &str) -> bool {
    match key.split_once('/') {
        Some((domain, name)) => is_subdomain(domain) && is_word(name),
        None => is_word(key),
    }
}

fn is_word(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=63).contains(&text.len()) && has_edges(text) && text.chars().all(fits)
}

/// Returns true if the text starts and ends with a letter or digit.
fn has_edges(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(fits) && text.ends_with(fits)
}

fn found(value: &str) -> String {
    format!("found {}", shown(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_labels_are_those_of_kubernetes() {
        let long = "a".repeat(64);
        for fine in ["a", "demo-x7k2p-worker-0", "a.b-c.1", &long] {
            assert!(is_subdomain(fine), "{fine}");
        }
        for odd in ["", "-a", "a-", "a..b", ".a", "A", "a b", "a_b", "é", &"a".repeat(254)] {
            assert!(!is_subdomain(odd), "{odd}");
        }
        for fine in ["a", "A_b.c", "machine.openshift.io/cluster-api-cluster"] {
            assert!(is_key(fine), "{fine}");
        }
        for odd in ["", "a/b/c", "/a", "A.b/c", "-a", "a b", &long] {
            assert!(!is_key(odd), "{odd}");
        }
        assert!(is_infra_id("demo-x7k2p") && is_infra_id("A1"));
        for odd in ["../../evil", "a_b", "", "-a", &long] {
            assert!(!is_infra_id(odd), "{odd}");
        }
    }
}
