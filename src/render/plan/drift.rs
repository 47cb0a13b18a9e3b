//! Drift and ignored differences, shown separately from the changes of a plan.

use std::io::{self, Write};

use groundplan_engine::plan::{
    Change, Classify, DriftClass, FieldChange, Op, Plan, Reason, UnmanagedDrift,
};
use serde::Serialize;

use super::PlanView;
use super::words::{class, ignore_reason, one_line};
use crate::render::painted;
use crate::render::palette::STRONG;

impl PlanView<'_> {
    /// Writes only the drift, for people.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn write_drift_only(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write_header(out)?;
        self.write_drift(out)?;
        self.write_warnings(out)?;
        let counts = drift_counts(self.plan, self.classify);
        let verdict = match counts.total() {
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
        };
        writeln!(out, "{}", painted(STRONG, verdict))
    }

    pub(super) fn write_drift(&self, out: &mut dyn Write) -> io::Result<()> {
        let drift = drift(self.plan, self.classify);
        if drift.is_empty() {
            return Ok(());
        }
        let width = drift.iter().map(|one| one.change.address.as_str().len()).max().unwrap_or(0);
        writeln!(out, "{}\n", painted(STRONG, "Changed outside groundplan:"))?;
        for one in drift {
            let (style, class) = class(one.class);
            let what = match one.field {
                Some(field) => one_line(field),
                None => "deleted".to_owned(),
            };
            let address = one.change.address.as_str();
            let class = painted(style, format!("{class:<10}"));
            writeln!(out, "  {class}  {address:<width$}  {what}")?;
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
        writeln!(out, "{tip} To revert: --revert-drift\n")
    }

    pub(super) fn write_left(&self, out: &mut dyn Write) -> io::Result<()> {
        let stays = |change: &&Change| !change.left.is_empty() && !change.action.replaces();
        let with_left = || self.plan.changes.iter().filter(stays);
        let Some(width) = with_left().map(|change| change.address.as_str().len()).max() else {
            return Ok(());
        };
        writeln!(out, "{}\n", painted(STRONG, "Not changed:"))?;
        for change in with_left() {
            for left in &change.left {
                let address = change.address.as_str();
                let (what, why) = (one_line(&left.field), ignore_reason(left.because));
                writeln!(out, "  {address:<width$}  {what}\n  {:<width$}    {why}", "")?;
            }
        }
        writeln!(out)
    }
}

/// Drift of one field, or of a whole resource.
pub(in crate::render) struct ShownDrift<'a> {
    pub(in crate::render) change: &'a Change,
    pub(in crate::render) class: DriftClass,
    /// Changed field; `None` if the resource was deleted outside groundplan.
    pub(in crate::render) field: Option<&'a FieldChange>,
    /// True for drift outside the configuration, which only `--revert-drift` reverts.
    pub(in crate::render) unmanaged: bool,
}

/// Returns all drift: security first, then functional, then cosmetic.
pub(in crate::render) fn drift(plan: &Plan, classify: Classify) -> Vec<ShownDrift<'_>> {
    let mut drift = Vec::new();
    for change in &plan.changes {
        if change.reason == Reason::Missing {
            let class = DriftClass::Functional;
            drift.push(ShownDrift { change, class, field: None, unmanaged: false });
        }
        for field in &change.drift {
            let class = classify(change.address.kind(), &field.path);
            drift.push(ShownDrift { change, class, field: Some(field), unmanaged: false });
        }
        for UnmanagedDrift { field, class, .. } in &change.unmanaged {
            drift.push(ShownDrift { change, class: *class, field: Some(field), unmanaged: true });
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
