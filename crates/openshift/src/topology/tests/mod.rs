//! Tests of the whole compiler against the facts of release-4.15, with one subject per file.

mod checks;
mod cluster_api;
mod edge;
mod existing;
mod machines;
mod refusals;
mod shape;
mod variants;

use groundplan_engine::graph::{Address, Graph, GraphNode};
use serde_json::Value;

/// Returns the node at an address.
fn node<'a>(graph: &'a Graph, address: &str) -> &'a GraphNode {
    graph.get(&Address::from(address)).unwrap_or_else(|| panic!("{address} is not in the graph"))
}

/// Returns the inputs of a resource.
fn inputs<'a>(graph: &'a Graph, address: &str) -> &'a Value {
    &node(graph, address).inputs
}

/// Returns the dependencies of a resource.
fn after<'a>(graph: &'a Graph, address: &str) -> Vec<&'a str> {
    node(graph, address).after.iter().map(Address::as_str).collect()
}

/// Returns the addresses of all resources, in the order of the graph.
fn addresses(graph: &Graph) -> Vec<&str> {
    graph.nodes().iter().map(|node| node.address.as_str()).collect()
}

/// Returns the names of all resources of a kind.
fn named<'a>(graph: &'a Graph, kind: &str) -> Vec<&'a str> {
    let nodes = graph.nodes().iter().filter(|node| node.kind() == kind);
    nodes.map(|node| node.address.name()).collect()
}

/// Returns the resources that only the first graph has.
fn missing<'a>(from: &'a Graph, in_other: &Graph) -> Vec<&'a str> {
    let mut missing: Vec<&str> = addresses(from);
    missing.retain(|address| in_other.get(&Address::from(*address)).is_none());
    missing.sort_unstable();
    missing
}

/// Returns `{"$ref": address, "output": output}`.
fn reference(address: &str, output: &str) -> Value {
    serde_json::json!({"$ref": address, "output": output})
}
