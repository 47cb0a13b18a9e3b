//! Plan for people: one line per change by subject, its reason, and the counts.

mod bill;
mod drift;
pub(super) mod entries;
mod selection;
#[cfg(test)]
pub(super) mod tests;
mod words;
mod wrap;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

pub(super) use self::bill::{billed_for_programs, estimate_for_programs};
pub use self::drift::drifted;
pub(super) use self::drift::{
    ShownDrift, class_name, drift, drift_counts, drift_lines, ignored_in_words, left_lines,
};
pub(super) use self::words::reason;
use groundplan_aws::model::volume::PlannedVolume;
use groundplan_engine::event::Operation;
use groundplan_engine::graph::Schema;
use groundplan_engine::plan::billing::BilledBy;
use groundplan_engine::plan::values::{Subject, Summary, Surroundings};
use groundplan_engine::plan::{Action, ChangeCounts, Classify, FieldChange, Plan};
use groundplan_engine::provider::Schemas;
use serde::Serialize;
use serde_json::Value;

use self::entries::{Entry, sections};
use self::words::{as_created, left_to_aws, long, one_line, style, symbol};
use self::wrap::wrapped;
use super::brief;
use super::painted;
use super::palette::{DELETE, ERROR, FAINT, STRONG, WARNING};
use super::progress::{CriticalPath, Estimate};
use super::screen;
use super::value::is_unknown;
use crate::prices::Prices;

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
    /// Headings and summaries of kinds, and dangers of plans.
    pub describe: Describe,
    /// Greatest length of a line; `None` breaks no lines.
    pub width: Option<usize>,
    /// Credentials of the run; `None` if the plan is shown without AWS.
    pub identity: Option<Identity<'a>>,
    /// Notes that the command prints beside the plan. Only a comment has them as a part of it.
    pub notes: &'a [String],
    /// Prices of the user for the billed items. `None` gives no estimate.
    pub prices: Option<&'a Prices>,
}

/// Account and user of the credentials of a run. A saved plan has neither.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Identity<'a> {
    /// Account ID.
    pub account: &'a str,
    /// ARN of the user or role.
    pub arn: &'a str,
}

/// Headings and summaries of kinds, and dangers of plans.
#[derive(Clone, Copy, Debug)]
pub struct Describe {
    /// Returns the heading of a kind.
    pub subject: fn(kind: &str) -> Subject,
    /// Returns the summary of a resource with these inputs after the plan.
    pub summary: fn(after: &Value, around: &Surroundings<'_>) -> Summary,
    /// Returns the schema of a kind, which has its typical duration.
    pub schema: fn(kind: &str) -> Option<&'static Schema>,
    /// Returns true for a kind whose resources are parts of other ones.
    pub is_part: fn(kind: &str) -> bool,
    /// Returns the billed items of a resource with these inputs.
    pub billed: BilledBy,
    /// Returns the volumes of a machine with these inputs. `None` for a kind without volumes.
    pub volumes: fn(kind: &str, inputs: &Value) -> Option<Vec<PlannedVolume>>,
    /// Returns the dangers of a plan: changes that an installed cluster does not survive.
    pub danger: fn(plan: &Plan) -> Vec<String>,
}

impl Schemas for Describe {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        (self.schema)(kind)
    }
}

/// Number of lines of a usual screen. Warnings that scroll out of it are repeated.
const SCREEN: usize = 24;

impl PlanView<'_> {
    /// Writes the plan for people. The warnings of a long plan come first and, once more, last.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut text = Vec::new();
        self.write_body(&mut text)?;
        out.write_all(&text)?;
        let is_long = text.iter().filter(|&&byte| byte == b'\n').count() > SCREEN;
        if is_long && !self.warnings.is_empty() {
            writeln!(out)?;
            self.write_warning_lines(out)?;
        }
        self.write_danger(out)
    }

    /// Writes everything before the repeated warnings and the dangers.
    fn write_body(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_header(out)?;
        self.write_drift(out)?;
        self.write_left(out)?;
        self.write_warnings(out)?;
        self.write_selection(out)?;
        if self.plan.is_empty() {
            self.line(out, &painted(STRONG, nothing_to_do(self.plan)), 2)?;
            return self.write_bill(out);
        }
        self.write_legend(out)?;
        self.write_changes(out)?;
        self.write_kinds(out)?;
        writeln!(out, "{}", painted(STRONG, summary(self.plan)))?;
        self.write_bill(out)?;
        let estimate = self.critical_path(estimated).flatten();
        estimate.map_or(Ok(()), |line| self.line(out, &screen::one_line(&line), 2))
    }

    /// Calls `show` with the longest path through the steps of the plan. `None` without steps.
    pub(super) fn critical_path<T>(&self, show: impl FnOnce(&CriticalPath<'_>) -> T) -> Option<T> {
        let estimate = Estimate::new(self.plan, &self.describe);
        estimate.critical_path().map(|path| show(&path))
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
        writeln!(out, "{verb} cluster {} ({infra_id}) in {region}", painted(STRONG, name))?;
        if let Some(Identity { account, arn }) = self.identity {
            let (account, arn) = (screen::one_line(account), screen::one_line(arn));
            self.line(out, &format!("Account {account}, as {arn}"), 2)?;
        }
        writeln!(out)
    }

    pub(super) fn write_warnings(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_warning_lines(out)?;
        if self.warnings.is_empty() { Ok(()) } else { writeln!(out) }
    }

    fn write_warning_lines(&self, out: &mut dyn Write) -> io::Result<()> {
        for warning in self.warnings {
            let warning = screen::one_line(warning);
            self.line(out, &format!("{}: {warning}", painted(WARNING, "warning")), 2)?;
        }
        Ok(())
    }

    /// Writes the dangers: last, so that they are next to the prompt.
    fn write_danger(&self, out: &mut dyn Write) -> io::Result<()> {
        for (number, danger) in self.danger().iter().enumerate() {
            if number == 0 {
                writeln!(out)?;
            }
            let danger = screen::one_line(danger);
            self.line(out, &format!("{}: {danger}", painted(ERROR, "DANGER")), 2)?;
        }
        Ok(())
    }

    /// Returns the dangers of the plan, in words.
    pub(super) fn danger(&self) -> Vec<String> {
        (self.describe.danger)(self.plan)
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

    /// Writes a line, in pieces if it is longer than the screen is wide.
    fn line(&self, out: &mut dyn Write, line: &str, indent: usize) -> io::Result<()> {
        writeln!(out, "{}", wrapped(line, self.width, indent))
    }

    fn write_changes(&self, out: &mut dyn Write) -> io::Result<()> {
        for section in sections(self.plan, self.describe, self.full) {
            writeln!(out, "{}", painted(STRONG, section.subject.title))?;
            let width = section.entries.iter().map(|entry| entry.name.chars().count()).max();
            let width = width.unwrap_or(0).min(self.longest_address());
            section.entries.iter().try_for_each(|entry| self.write_entry(out, entry, width))?;
            writeln!(out)?;
        }
        Ok(())
    }

    /// Returns the width up to which the texts beside addresses are aligned.
    fn longest_address(&self) -> usize {
        self.width.map_or(48, |width| width * 2 / 5)
    }

    pub(super) fn write_entry(
        &self,
        out: &mut dyn Write,
        entry: &Entry<'_>,
        width: usize,
    ) -> io::Result<()> {
        let change = entry.first();
        let symbol = painted(style(change.action), format!("{:>3}", symbol(change.action)));
        let name = screen::one_line(&entry.name);
        let id = match (&change.id, change.action) {
            (Some(id), Action::Delete) if entry.changes.len() == 1 => {
                painted(FAINT, format!("  [id={}]", screen::one_line(id)))
            }
            _ => String::new(),
        };
        let protected = match change.protected {
            true => painted(ERROR, "  [protected]"),
            false => String::new(),
        };
        let text = entry.text();
        let text = screen::one_line(&text);
        let line = format!("{symbol} {name:<width$}  {text}{id}{protected}");
        self.line(out, &line, width + 6)?;
        for sentence in &entry.summary.sentences {
            self.line(out, &format!("      {}", screen::one_line(sentence)), 8)?;
        }
        self.write_fields(out, entry)
    }

    /// Writes the changed fields. Those of a group hold for each of its members.
    fn write_fields(&self, out: &mut dyn Write, entry: &Entry<'_>) -> io::Result<()> {
        let change = entry.first();
        let creates = matches!(change.action, Action::Create | Action::Finish);
        // Unknown values of a replacement are a consequence of the new object and do not explain
        // the reason.
        let follows = |field: &FieldChange| {
            change.action.replaces()
                && !field.replaces
                && field.after.as_ref().is_some_and(is_unknown)
        };
        let shown = |field: &&FieldChange| match creates {
            true => self.full,
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
                        writeln!(out, "        {}", entry.of_all(line))?;
                    }
                }
                None => {
                    let text = if creates { as_created(field) } else { one_line(field) };
                    self.line(out, &format!("      {}{forces}", entry.of_all(text)), 8)?;
                }
            }
        }
        // The replacement does not have what nothing requests any more.
        for left in change.left.iter().filter(|_| change.action.replaces()) {
            let text = entry.of_all(left_to_aws(&left.field));
            self.line(out, &format!("      {text}"), 8)?;
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

/// Shortest duration that a plan estimates for people.
const WORTH_WAITING: Duration = Duration::from_secs(10);

/// Returns the estimate of a plan: its typical time and the path that decides it. `None` for a plan
/// of a few seconds.
pub(super) fn estimated(CriticalPath { duration, path }: &CriticalPath<'_>) -> Option<String> {
    let path: Vec<_> = path.iter().map(|address| address.as_str()).collect();
    let text = format!("Time: about {}; longest path: {}", roughly(*duration), path.join(" -> "));
    Some(text).filter(|_| *duration >= WORTH_WAITING)
}

/// Returns a typical duration: to whole minutes from two minutes on.
fn roughly(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..120 => brief(Duration::from_secs(seconds)),
        seconds => format!("{}m", seconds.div_ceil(60)),
    }
}

/// Returns the last line of a plan with changes: the counts.
pub(super) fn summary(plan: &Plan) -> String {
    let ChangeCounts { add, change, destroy } = plan.counts();
    let left_out = match left_out(plan) {
        0 => String::new(),
        number => format!(" Not selected: {number}."),
    };
    format!("Plan: {add} to add, {change} to change, {destroy} to destroy.{left_out}")
}

pub(super) fn nothing_to_do(plan: &Plan) -> String {
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
