//! Desired graph in the languages of Graphviz and Mermaid. Arrows point to the dependent resource.

use std::collections::HashMap;
use std::io::{self, Write};

use groundplan_engine::graph::{Address, Graph};

/// Writes the graph in Graphviz' language.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn dot(graph: &Graph, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "digraph groundplan {{")?;
    writeln!(out, "  rankdir = LR;")?;
    writeln!(out, "  node [shape = box, style = rounded, fontname = \"sans-serif\"];")?;
    for node in graph.nodes() {
        writeln!(out, "  {:?};", node.address.as_str())?;
    }
    for (earlier, later) in edges(graph) {
        writeln!(out, "  {:?} -> {:?};", earlier.as_str(), later.as_str())?;
    }
    writeln!(out, "}}")
}

/// Writes the graph in Mermaid's language.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn mermaid(graph: &Graph, out: &mut dyn Write) -> io::Result<()> {
    let number: HashMap<&Address, usize> =
        graph.nodes().iter().enumerate().map(|(i, node)| (&node.address, i)).collect();
    writeln!(out, "flowchart LR")?;
    for node in graph.nodes() {
        writeln!(out, "  n{}[\"{}\"]", number[&node.address], node.address)?;
    }
    for (earlier, later) in edges(graph) {
        writeln!(out, "  n{} --> n{}", number[earlier], number[later])?;
    }
    Ok(())
}

fn edges(graph: &Graph) -> impl Iterator<Item = (&Address, &Address)> {
    graph
        .nodes()
        .iter()
        .flat_map(|node| node.after.iter().map(move |earlier| (earlier, &node.address)))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn graph() -> Graph {
        let mut graph = Graph::default();
        graph.push("vpc.main".into(), json!({}));
        graph.push("subnet.a".into(), json!({"vpc": {"$ref": "vpc.main", "output": "id"}}));
        graph
    }

    #[test]
    fn graphviz_reads_boxes_and_arrows() {
        let mut written = Vec::new();
        dot(&graph(), &mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            r#"digraph groundplan {
  rankdir = LR;
  node [shape = box, style = rounded, fontname = "sans-serif"];
  "vpc.main";
  "subnet.a";
  "vpc.main" -> "subnet.a";
}
"#
        );
    }

    #[test]
    fn mermaid_reads_numbered_boxes_and_arrows() {
        let mut written = Vec::new();
        mermaid(&graph(), &mut written).unwrap();
        assert_eq!(
            String::from_utf8(written).unwrap(),
            "flowchart LR\n  n0[\"vpc.main\"]\n  n1[\"subnet.a\"]\n  n0 --> n1\n"
        );
    }
}
