//! Plan for people: one line per change, its reason, and the counts.

mod drift;
mod selection;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::io::{self, Write};

pub use self::drift::drifted;
pub(super) use self::drift::{ShownDrift, drift, drift_counts};
pub(super) use self::words::reason;
use groundplan_engine::event::Operation;
use groundplan_engine::plan::{Action, Change, ChangeCounts, Classify, FieldChange, Plan};

use self::words::{as_created, left_to_aws, long, one_line, style, symbol};
use super::painted;
use super::palette::{DELETE, ERROR, FAINT, STRONG, WARNING};
use super::screen;
use super::value::is_unknown;

/// Plan with its display options.
#[derive(Clone, Copy, Debug)]
pub struct PlanView<'a> {
    /// Plan to show.
    pub plan: &'a Plan,
    /// True if creations show every attribute.
    pub full: bool,
    /// Warnings to show with the plan.
    pub warnings: &'a [String],
    /// Classification of drift.
    pub classify: Classify,
    /// Selection of inputs that creations always show.
    pub telling: Telling,
}

/// Returns true if plans always show this input (a path) of a kind.
pub type Telling = fn(kind: &str, path: &str) -> bool;

impl PlanView<'_> {
    /// Writes the plan for people.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_header(out)?;
        self.write_drift(out)?;
        self.write_left(out)?;
        self.write_warnings(out)?;
        self.write_selection(out)?;
        if self.plan.is_empty() {
            return writeln!(out, "{}", painted(STRONG, nothing_to_do(self.plan)));
        }
        self.write_legend(out)?;
        self.write_changes(out)?;
        self.write_kinds(out)?;
        writeln!(out, "{}", painted(STRONG, summary(self.plan)))
    }

    fn write_header(&self, out: &mut dyn Write) -> io::Result<()> {
        let Some(cluster) = &self.plan.cluster else { return Ok(()) };
        let verb = match self.plan.operation {
            Operation::Apply => "Plan for",
            Operation::Destroy => "Plan to destroy",
        };
        let (name, infra_id) =
            (screen::one_line(&cluster.name), screen::one_line(&cluster.infra_id));
        let region = screen::one_line(&cluster.region);
        writeln!(out, "{verb} cluster {} ({infra_id}) in {region}\n", painted(STRONG, name))
    }

    pub(super) fn write_warnings(&self, out: &mut dyn Write) -> io::Result<()> {
        for warning in self.warnings {
            writeln!(out, "{}: {}", painted(WARNING, "warning"), screen::one_line(warning))?;
        }
        if self.warnings.is_empty() { Ok(()) } else { writeln!(out) }
    }

    fn write_legend(&self, out: &mut dyn Write) -> io::Result<()> {
        let used = |symbol: &str| {
            self.plan.changes.iter().any(|change| self::symbol(change.action) == symbol)
        };
        let legend = [
            (Action::Create, "create"),
            (Action::Update, "update in place"),
            (Action::DeleteThenCreate, "replace: destroy, then create"),
            (Action::CreateThenDelete, "replace: create, then destroy"),
            (Action::Delete, "destroy"),
        ];
        for (action, meaning) in legend.into_iter().filter(|(action, _)| used(symbol(*action))) {
            writeln!(
                out,
                "{} {meaning}",
                painted(style(action), format!("{:>3}", symbol(action)))
            )?;
        }
        writeln!(out)
    }

    fn write_changes(&self, out: &mut dyn Write) -> io::Result<()> {
        let acted = || self.plan.changes.iter().filter(|change| change.action != Action::Keep);
        let width = acted().map(|change| change.address.as_str().len()).max().unwrap_or(0);
        for change in acted() {
            let symbol = painted(style(change.action), format!("{:>3}", symbol(change.action)));
            let address = screen::one_line(change.address.as_str());
            let id = match (&change.id, change.action) {
                (Some(id), Action::Delete) => {
                    painted(FAINT, format!("  [id={}]", screen::one_line(id)))
                }
                _ => String::new(),
            };
            let protected = match change.protected {
                true => painted(ERROR, "  [protected]"),
                false => String::new(),
            };
            let reason = reason(&change.reason);
            writeln!(out, "{symbol} {address:<width$}  {reason}{id}{protected}")?;
            self.write_fields(out, change)?;
        }
        writeln!(out)
    }

    fn write_fields(&self, out: &mut dyn Write, change: &Change) -> io::Result<()> {
        let creates = matches!(change.action, Action::Create | Action::Finish);
        let kind = change.address.kind();
        // Unknown values of a replacement are a consequence of the new object and do not explain
        // the reason.
        let follows = |field: &FieldChange| {
            change.action.replaces()
                && !field.replaces
                && field.after.as_ref().is_some_and(is_unknown)
        };
        let shown = |field: &&FieldChange| match creates {
            true => self.full || (self.telling)(kind, &field.path),
            false => self.full || !follows(field),
        };
        if change.action == Action::Update && change.fields.is_empty() {
            writeln!(out, "      no difference is left; this run confirms the end of the change")?;
        }
        for field in change.fields.iter().filter(shown) {
            let forces = if field.replaces && change.action.replaces() {
                painted(DELETE, " (forces replacement)")
            } else {
                String::new()
            };
            match long(field) {
                Some(lines) => {
                    writeln!(out, "      {}:{forces}", screen::one_line(&field.path))?;
                    for line in lines {
                        writeln!(out, "        {line}")?;
                    }
                }
                None if creates => writeln!(out, "      {}", as_created(field))?,
                None => writeln!(out, "      {}{forces}", one_line(field))?,
            }
        }
        // The replacement does not have what nothing requests any more.
        for left in change.left.iter().filter(|_| change.action.replaces()) {
            writeln!(out, "      {}", left_to_aws(&left.field))?;
        }
        Ok(())
    }

    fn write_kinds(&self, out: &mut dyn Write) -> io::Result<()> {
        let kinds = counts_by_kind(self.plan);
        let width = kinds.keys().map(|kind| kind.len()).max().unwrap_or(0);
        writeln!(
            out,
            "{}",
            painted(FAINT, format!("    {:<width$}  add  change  destroy", "kind"))
        )?;
        for (kind, counts) in kinds {
            let figure = |figure: usize| match figure {
                0 => String::new(),
                figure => figure.to_string(),
            };
            let (add, change, destroy) =
                (figure(counts.add), figure(counts.change), figure(counts.destroy));
            let line = format!("    {kind:<width$}  {add:>3}  {change:>6}  {destroy:>7}");
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)
    }
}

/// Returns the number of resources of each kind that the plan adds, changes and destroys.
pub(super) fn counts_by_kind(plan: &Plan) -> BTreeMap<&str, ChangeCounts> {
    let mut kinds: BTreeMap<&str, ChangeCounts> = BTreeMap::new();
    for change in plan.changes.iter().filter(|change| change.action != Action::Keep) {
        let one = count_one(change.action);
        let counts = kinds.entry(change.address.kind()).or_default();
        counts.add += one.add;
        counts.change += one.change;
        counts.destroy += one.destroy;
    }
    kinds
}

fn count_one(action: Action) -> ChangeCounts {
    let replaces = action.replaces();
    ChangeCounts {
        add: usize::from(replaces || matches!(action, Action::Create | Action::Finish)),
        change: usize::from(action == Action::Update),
        destroy: usize::from(replaces || action == Action::Delete),
    }
}

/// Returns the last line of a plan with changes.
fn summary(plan: &Plan) -> String {
    let ChangeCounts { add, change, destroy } = plan.counts();
    let left_out = match left_out(plan) {
        0 => String::new(),
        number => format!(" Not selected: {number}."),
    };
    format!("Plan: {add} to add, {change} to change, {destroy} to destroy.{left_out}")
}

fn nothing_to_do(plan: &Plan) -> String {
    let stays = plan.changes.iter().any(|change| !change.left.is_empty());
    match (left_out(plan), plan.operation) {
        (0, Operation::Apply) if plan.has_unmanaged_drift() => {
            "No changes. The drift above is outside the configuration.".to_owned()
        }
        (0, Operation::Apply) if stays => {
            "No changes. The differences above are ignored.".to_owned()
        }
        (0, Operation::Apply) => {
            "No changes. Your infrastructure matches the configuration.".to_owned()
        }
        (0, Operation::Destroy) => "No changes. The state has no resources to destroy.".to_owned(),
        (number, _) => format!("No changes in the selected resources. Not selected: {number}."),
    }
}

fn left_out(plan: &Plan) -> usize {
    plan.selection.as_ref().map_or(0, |selection| selection.left_out.len())
}
