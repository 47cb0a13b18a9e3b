//! Selection of a partial plan: targets, their dependencies, excludes, and resources left out.

use std::collections::BTreeMap;
use std::io::{self, Write};

use groundplan_engine::graph::Address;

use super::PlanView;
use crate::render::painted;
use crate::render::palette::{FAINT, STRONG};

impl PlanView<'_> {
    pub(super) fn write_selection(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(selection) = &self.plan.selection else { return Ok(()) };
        writeln!(out, "{}\n", painted(STRONG, "Selection:"))?;
        list(out, "target", selection.targets.iter())?;
        list(out, "dependencies", selection.needed.iter())?;
        list(out, "exclude", selection.excludes.iter())?;
        if self.full {
            list(out, "not selected", selection.left_out.iter())?;
        } else if !selection.left_out.is_empty() {
            let line = format!("  {:<12}  {}", "not selected", by_kind(&selection.left_out));
            self.line(out, &line, 16)?;
        }
        writeln!(out)
    }
}

/// Writes a title and one address per line.
fn list<'a>(
    out: &mut dyn Write,
    title: &str,
    addresses: impl Iterator<Item = &'a Address>,
) -> io::Result<()> {
    for (index, address) in addresses.enumerate() {
        let title = if index == 0 { title } else { "" };
        writeln!(out, "  {title:<12}  {address}")?;
    }
    Ok(())
}

/// Returns a count with its parts: `9: 3 instance, 6 subnet`.
fn by_kind(addresses: &[Address]) -> String {
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for address in addresses {
        *kinds.entry(address.kind()).or_default() += 1;
    }
    let kinds = kinds.into_iter().map(|(kind, number)| format!("{number} {kind}"));
    let kinds = kinds.collect::<Vec<_>>().join(", ");
    format!("{}{}", addresses.len(), painted(FAINT, format!(": {kinds}")))
}
