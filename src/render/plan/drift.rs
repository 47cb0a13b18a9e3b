//! Drift and ignored differences, shown separately from the changes of a plan.

use std::collections::BTreeSet;
use std::io::{self, Write};

use groundplan_engine::graph::Address;
use groundplan_engine::plan::{
    Change, Classify, DriftClass, FieldChange, IgnoredDifference, Op, Plan, Reason, UnmanagedDrift,
};
use serde::Serialize;

use super::PlanView;
use super::entries::alike_lines;
use super::words::{class, ignore_reason, one_line};
use crate::render::palette::STRONG;
use crate::render::{painted, screen};

impl PlanView<'_> {
    /// Writes only the drift, for people.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write_drift_only(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_header(out)?;
        self.write_drift(out)?;
        self.write_warnings(out)?;
        self.line(out, &painted(STRONG, self.drift_verdict()), 2)
    }

    /// Returns the counts of the drift in words.
    pub(in crate::render) fn drift_verdict(&self) -> String {
        let counts = drift_counts(self.plan, self.classify);
        match counts.total() {
            0 if !self.warnings.is_empty() => {
                "No drift in the compared parts. The warning names the parts that were not compared."
                    .to_owned()
            }
            0 => "No drift. The live state matches the recorded state, and no addition of others \
                  was found."
                .to_owned(),
            _ => format!(
                "Drift: {} security, {} functional, {} cosmetic. Nothing was changed.",
                counts.security, counts.functional, counts.cosmetic
            ),
        }
    }

    pub(super) fn write_drift(&self, out: &mut dyn Write) -> io::Result<()> {
        let drift = drift(self.plan, self.classify);
        if drift.is_empty() {
            return Ok(());
        }
        let drift = drift_lines(drift, self.full);
        let width = drift.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let width = width.min(self.longest_address());
        writeln!(out, "{}\n", painted(STRONG, "Changed outside groundplan:"))?;
        for (name, one) in drift {
            let (style, class) = class(one.class);
            let (name, what) = (screen::one_line(&name), one.in_words());
            let class = painted(style, format!("{class:<10}"));
            self.line(out, &format!("  {class}  {name:<width$}  {what}"), width + 16)?;
        }
        writeln!(out)?;
        self.write_revert_tip(out)
    }

    /// Writes how to revert the drift that the plan leaves alone, if there is any.
    fn write_revert_tip(&self, out: &mut dyn Write) -> io::Result<()> {
        let tip = match unreverted(self.plan) {
            0 => return Ok(()),
            1 => "One of these is outside the configuration and stays as it is.".to_owned(),
            number => {
                format!("{number} of these are outside the configuration and stay as they are.")
            }
        };
        self.line(out, &format!("{tip} To revert: --revert-drift"), 2)?;
        writeln!(out)
    }

    pub(super) fn write_left(&self, out: &mut dyn Write) -> io::Result<()> {
        let left = left_lines(self.plan, self.full);
        let Some(width) = left.iter().map(|(name, _)| name.chars().count()).max() else {
            return Ok(());
        };
        let width = width.min(self.longest_address());
        writeln!(out, "{}\n", painted(STRONG, "Not changed:"))?;
        for (name, (_, left)) in left {
            let name = screen::one_line(&name);
            let (what, why) = (one_line(&left.field), ignore_reason(left.because));
            self.line(out, &format!("  {name:<width$}  {what}"), width + 6)?;
            self.line(out, &format!("  {:<width$}    {why}", ""), width + 6)?;
        }
        writeln!(out)
    }
}

/// Returns the lines of drift. Alike drift of many resources is one line, unless its class is
/// security.
pub(in crate::render) fn drift_lines(
    drift: Vec<ShownDrift<'_>>,
    full: bool,
) -> Vec<(String, ShownDrift<'_>)> {
    alike_lines(drift, full, |one| (one.change, one.in_words(), one.class == DriftClass::Security))
}

/// Returns the lines of ignored differences. Alike ones of many resources are one line.
pub(in crate::render) fn left_lines(
    plan: &Plan,
    full: bool,
) -> Vec<(String, (&Change, &IgnoredDifference))> {
    let stays = |change: &&Change| !change.left.is_empty() && !change.action.replaces();
    let left = plan.changes.iter().filter(stays);
    let left = left.flat_map(|change| change.left.iter().map(move |left| (change, left)));
    alike_lines(left.collect(), full, |(change, left)| (change, one_line(&left.field), false))
}

/// Returns an ignored difference and its reason on one line.
pub(in crate::render) fn ignored_in_words(left: &IgnoredDifference) -> String {
    format!("{}: {}", one_line(&left.field), ignore_reason(left.because))
}

/// Returns the name of a class.
pub(in crate::render) fn class_name(of: DriftClass) -> &'static str {
    class(of).1
}

/// Drift of one field, or of a whole resource.
pub(in crate::render) struct ShownDrift<'a> {
    pub(in crate::render) change: &'a Change,
    pub(in crate::render) class: DriftClass,
    /// Changed field; `None` if the resource was deleted outside groundplan.
    pub(in crate::render) field: Option<&'a FieldChange>,
    /// True for drift outside the configuration, which only `--revert-drift` reverts.
    pub(in crate::render) unmanaged: bool,
    /// True if the drift is unmanaged and the plan does not revert it.
    stays: bool,
}

impl ShownDrift<'_> {
    /// Returns the difference on one line.
    pub(in crate::render) fn in_words(&self) -> String {
        let stays = if self.stays { "  (stays)" } else { "" };
        match self.field {
            Some(field) => format!("{}{stays}", one_line(field)),
            None => "deleted".to_owned(),
        }
    }
}

/// Returns all drift: security first, then functional, then cosmetic.
pub(in crate::render) fn drift(plan: &Plan, classify: Classify) -> Vec<ShownDrift<'_>> {
    let mut drift = Vec::new();
    let reverted = plan.steps.iter().filter_map(|step| match &step.op {
        Op::Update { address, revert, .. } if !revert.is_empty() => Some(address),
        _ => None,
    });
    let reverted: BTreeSet<&Address> = reverted.collect();
    for change in &plan.changes {
        let stays = !reverted.contains(&change.address);
        if change.reason == Reason::Missing {
            let class = DriftClass::Functional;
            drift.push(ShownDrift { change, class, field: None, unmanaged: false, stays: false });
        }
        for field in &change.drift {
            let class = classify(change.address.kind(), &field.path);
            let field = Some(field);
            drift.push(ShownDrift { change, class, field, unmanaged: false, stays: false });
        }
        for UnmanagedDrift { field, class, .. } in &change.unmanaged {
            let (class, field) = (*class, Some(field));
            drift.push(ShownDrift { change, class, field, unmanaged: true, stays });
        }
    }
    drift.sort_by_key(|one| one.class); // stable: dependency order within a class
    drift
}

/// Number of drifts by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(in crate::render) struct DriftCounts {
    security: usize,
    functional: usize,
    cosmetic: usize,
}

impl DriftCounts {
    fn total(self) -> usize {
        self.security + self.functional + self.cosmetic
    }
}

pub(in crate::render) fn drift_counts(plan: &Plan, classify: Classify) -> DriftCounts {
    let mut counts = DriftCounts::default();
    for one in drift(plan, classify) {
        match one.class {
            DriftClass::Security => counts.security += 1,
            DriftClass::Functional => counts.functional += 1,
            DriftClass::Cosmetic => counts.cosmetic += 1,
        }
    }
    counts
}

/// Returns the number of unmanaged drifts that the plan does not revert.
pub(super) fn unreverted(plan: &Plan) -> usize {
    let all: usize = plan.changes.iter().map(|change| change.unmanaged.len()).sum();
    let reverted: usize = plan
        .steps
        .iter()
        .map(|step| match &step.op {
            Op::Update { revert, .. } => revert.len(),
            _ => 0,
        })
        .sum();
    all.saturating_sub(reverted)
}

/// Returns true if refresh found drift.
pub fn drifted(view: &PlanView<'_>) -> bool {
    drift_counts(view.plan, view.classify).total() > 0
}
