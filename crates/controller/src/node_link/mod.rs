//! Assignment of Nodes to machines, and the fields that a Node gets from its machine. Decisions
//! only; the `driver` carries them out.
//!
//! Source: openshift/machine-api-operator, `pkg/controller/nodelink`. In contrast to upstream, a
//! Node is not linked by an address that another Node also has. Upstream checks this only in one
//! direction, from the machine, and so links the Node that it reconciles last.

pub mod driver;

use std::collections::BTreeMap;

use groundplan_openshift::machine_api::types::{Machine, Taint};
use serde_json::{Map, Value, json};

use crate::node::{Node, internal_ips};

/// Annotation of a Node with its machine, as `<namespace>/<name>`.
pub const MACHINE_ANNOTATION: &str = "machine.openshift.io/machine";

/// Error: several objects match, so that none is chosen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected one {what} with {field} {value}, found {}", names.join(", "))]
pub struct Ambiguous {
    /// `Machine` or `Node`.
    pub what: &'static str,
    /// Field of the comparison.
    pub field: &'static str,
    /// Value that all objects have in that field.
    pub value: String,
    /// Names of the objects.
    pub names: Vec<String>,
}

/// Index of machines and Nodes by providerID and address, made once for all lookups.
#[derive(Debug, Default)]
pub struct Index<'a> {
    machines_by_id: BTreeMap<&'a str, Vec<&'a Machine>>,
    machines_by_ip: BTreeMap<&'a str, Vec<&'a Machine>>,
    nodes_by_ip: BTreeMap<&'a str, Vec<&'a Node>>,
}

impl<'a> Index<'a> {
    /// Returns the index of all machines and Nodes of a cluster.
    pub fn of(machines: &'a [Machine], nodes: &'a [Node]) -> Self {
        let mut index = Self::default();
        for machine in machines {
            if let Some(id) = machine.spec.provider_id.as_deref().filter(|id| !id.is_empty()) {
                index.machines_by_id.entry(id).or_default().push(machine);
            }
            for ip in internal_ips(&machine.status.addresses) {
                index.machines_by_ip.entry(ip).or_default().push(machine);
            }
        }
        for node in nodes {
            for ip in internal_ips(&node.status.addresses) {
                index.nodes_by_ip.entry(ip).or_default().push(node);
            }
        }
        index
    }

    /// Returns the machine of a Node, by its providerID, or else by its first internal address.
    ///
    /// # Errors
    /// Fails if several machines match, or if several Nodes have the address.
    pub fn machine_of(&self, node: &Node) -> Result<Option<&'a Machine>, Ambiguous> {
        let by_id = self.machines_by_id.get(node.spec.provider_id.as_str());
        if let Some(machine) = only(by_id, "Machine", "providerID", &node.spec.provider_id)? {
            return Ok(Some(machine));
        }
        let Some(ip) = node.internal_ip() else { return Ok(None) };
        let found = only(self.machines_by_ip.get(ip), "Machine", "InternalIP", ip)?;
        if found.is_some() {
            only(self.nodes_by_ip.get(ip), "Node", "InternalIP", ip)?;
        }
        Ok(found)
    }
}

fn only<'a, T: HasName>(
    found: Option<&Vec<&'a T>>,
    what: &'static str,
    field: &'static str,
    value: &str,
) -> Result<Option<&'a T>, Ambiguous> {
    match found.map(Vec::as_slice) {
        None | Some([]) => Ok(None),
        Some([one]) => Ok(Some(one)),
        Some(several) => {
            let mut names: Vec<String> = several.iter().map(|one| one.name().to_owned()).collect();
            names.sort();
            Err(Ambiguous { what, field, value: value.to_owned(), names })
        }
    }
}

trait HasName {
    fn name(&self) -> &str;
}

impl HasName for Machine {
    fn name(&self) -> &str {
        &self.metadata.name
    }
}

impl HasName for Node {
    fn name(&self) -> &str {
        &self.metadata.name
    }
}

/// Returns the Node reference for the status of a machine, or `None` if the status already has it.
pub fn node_ref(machine: &Machine, node: &Node) -> Option<Value> {
    let (name, uid) = (&node.metadata.name, &node.metadata.uid);
    let wanted = json!({"kind": "Node", "name": name, "uid": uid});
    (machine.status.node_ref.as_ref() != Some(&wanted)).then_some(wanted)
}

/// Returns the merge patch with the labels, annotations and taints that the Node lacks, or `None`
/// if it lacks none. The patch removes nothing. An existing taint with the same key and effect
/// keeps its value.
pub fn node_patch(machine: &Machine, node: &Node) -> Option<Value> {
    let mut annotations = machine.spec.metadata.annotations.clone();
    let meta = &machine.metadata;
    annotations.insert(MACHINE_ANNOTATION.to_owned(), format!("{}/{}", meta.namespace, meta.name));
    let annotations = lacking(&annotations, &node.metadata.annotations);
    let labels = lacking(&machine.spec.metadata.labels, &node.metadata.labels);
    let taints = taints(machine, node);
    let mut patch = json!({});
    if !annotations.is_empty() {
        patch["metadata"]["annotations"] = annotations.into();
    }
    if !labels.is_empty() {
        patch["metadata"]["labels"] = labels.into();
    }
    if let Some(taints) = taints {
        patch["spec"]["taints"] = json!(taints);
    }
    (patch != json!({})).then_some(patch)
}

fn lacking(
    wanted: &BTreeMap<String, String>,
    has: &BTreeMap<String, String>,
) -> Map<String, Value> {
    let lacking = wanted.iter().filter(|(key, value)| has.get(*key) != Some(value));
    lacking.map(|(key, value)| (key.clone(), json!(value))).collect()
}

/// Returns all taints for the Node, or `None` if no taint is missing. The list is complete, because
/// a merge patch replaces whole lists.
fn taints(machine: &Machine, node: &Node) -> Option<Vec<Taint>> {
    let mut all = node.spec.taints.clone();
    for taint in &machine.spec.taints {
        if !all.iter().any(|one| one.key == taint.key && one.effect == taint.effect) {
            all.push(taint.clone());
        }
    }
    (all.len() > node.spec.taints.len()).then_some(all)
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::types::read;

    use super::*;

    fn machine(name: &str, id: &str, ip: &str) -> Machine {
        read(&json!({
            "metadata": {"name": name, "namespace": "openshift-machine-api"},
            "spec": {"providerID": id},
            "status": {"addresses": [{"type": "Hostname", "address": name},
                                     {"type": "InternalIP", "address": ip}]},
        }))
        .unwrap()
    }

    fn node(name: &str, id: &str, ip: &str) -> Node {
        read(&json!({
            "metadata": {"name": name, "uid": format!("uid-of-{name}")},
            "spec": {"providerID": id},
            "status": {"addresses": [{"type": "InternalIP", "address": ip}]},
        }))
        .unwrap()
    }

    fn found(machines: &[Machine], nodes: &[Node]) -> Result<Option<String>, String> {
        let found = Index::of(machines, nodes).machine_of(&nodes[0]);
        found
            .map(|machine| machine.map(|machine| machine.metadata.name.clone()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn c51_a_provider_id_wins_over_an_address() {
        let machines = [machine("a", "aws:///z/i-1", "10.0.0.1"), machine("b", "", "10.0.0.2")];
        let nodes = [node("n", "aws:///z/i-1", "10.0.0.2")];
        assert_eq!(found(&machines, &nodes), Ok(Some("a".to_owned())));
        let nodes = [node("n", "aws:///z/i-1", "10.0.0.2"), node("o", "", "10.0.0.2")];
        assert_eq!(
            found(&machines, &nodes),
            Ok(Some("a".to_owned())),
            "though two have the address"
        );
    }

    #[test]
    fn c51_without_a_provider_id_the_first_address_inside_decides() {
        let machines = [machine("a", "", "10.0.0.1"), machine("b", "", "10.0.0.2")];
        assert_eq!(found(&machines, &[node("n", "", "10.0.0.2")]), Ok(Some("b".to_owned())));
        assert_eq!(found(&machines, &[node("n", "", "10.0.0.3")]), Ok(None));
        assert_eq!(found(&machines, &[Node::default()]), Ok(None), "no address matches no machine");
    }

    #[test]
    fn c51_two_nodes_with_one_address_are_an_error_and_neither_is_linked() {
        let machines = [machine("a", "", "10.0.0.1")];
        let nodes = [node("n", "aws:///z/i-8", "10.0.0.1"), node("o", "aws:///z/i-9", "10.0.0.1")];
        let error = found(&machines, &nodes).unwrap_err();
        assert_eq!(error, "expected one Node with InternalIP 10.0.0.1, found n, o");
    }

    #[test]
    fn c51_two_machines_that_fit_are_an_error() {
        let machines = [machine("a", "x", "10.0.0.1"), machine("b", "x", "10.0.0.1")];
        let error = found(&machines, &[node("n", "x", "")]).unwrap_err();
        assert_eq!(error, "expected one Machine with providerID x, found a, b");
        let error = found(&machines, &[node("n", "", "10.0.0.1")]).unwrap_err();
        assert_eq!(error, "expected one Machine with InternalIP 10.0.0.1, found a, b");
    }

    #[test]
    fn a_machine_is_told_its_node_once_and_again_when_it_is_another_of_that_name() {
        let (mut machine, mut node) = (machine("a", "", ""), node("n", "", ""));
        let first = node_ref(&machine, &node).unwrap();
        assert_eq!(first, json!({"kind": "Node", "name": "n", "uid": "uid-of-n"}));
        machine.status.node_ref = Some(first);
        assert_eq!(node_ref(&machine, &node), None);
        node.metadata.uid = "another".to_owned();
        assert_eq!(node_ref(&machine, &node).unwrap()["uid"], "another");
    }

    #[test]
    fn c51_a_node_gets_what_it_lacks_and_keeps_what_it_has() {
        let mut machine = machine("a", "", "");
        machine.spec = read(&json!({
            "metadata": {"labels": {"role": "infra", "same": "1"}, "annotations": {"note": "x"}},
            "taints": [{"key": "k", "effect": "NoSchedule", "value": "wanted"},
                       {"key": "k", "effect": "NoExecute"}],
        }))
        .unwrap();
        let node: Node = read(&json!({
            "metadata": {"labels": {"role": "worker", "same": "1", "theirs": "2"}},
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule", "value": "as it is"}]},
        }))
        .unwrap();
        let expected = json!({
            "metadata": {
                "annotations": {"machine.openshift.io/machine": "openshift-machine-api/a", "note": "x"},
                "labels": {"role": "infra"},
            },
            "spec": {"taints": [{"key": "k", "effect": "NoSchedule", "value": "as it is"},
                                {"key": "k", "effect": "NoExecute"}]},
        });
        assert_eq!(node_patch(&machine, &node), Some(expected));
    }

    #[test]
    fn a_node_that_has_everything_is_not_written() {
        let mut node = node("n", "", "");
        let annotation = (MACHINE_ANNOTATION.to_owned(), "openshift-machine-api/a".to_owned());
        node.metadata.annotations = BTreeMap::from([annotation]);
        assert_eq!(node_patch(&machine("a", "", ""), &node), None);
    }
}
