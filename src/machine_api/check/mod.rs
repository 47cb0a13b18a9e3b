//! What the cluster's webhook would say of machines, said before the cluster has them.
//!
//! Files become objects with places, objects are held to the rules of openshift/machine-api-operator
//! `pkg/webhooks`, and what breaks one becomes a finding. The webhook is asked at most once and may be
//! away (its failure policy is `Ignore`); who makes a machine must look again, with [`judge`].
//! Never changes what it is given and never asks a cluster.
//!
//! - `document`: a file as its objects; `kind`: which of them are ours.
//! - `shape`: fields that there are not, and values of another type; `unknown`: what the former come to.
//! - `object`: Machine, MachineSet and ControlPlaneMachineSet around the provider config; `names`: what
//!   they are called and labelled.
//! - `provider`: the provider config; `placement`, `market` and `metadata`: three of its subjects;
//!   `launchable`: what the webhook lets pass and nobody can launch.

pub(super) mod document;
pub(super) mod kind;
mod launchable;
mod market;
mod metadata;
mod names;
mod object;
mod placement;
mod provider;
mod shape;
#[cfg(test)]
mod tests;
mod unknown;

use self::kind::Kind;
use crate::config::{Finding, Rule, Severity};

pub(crate) use market::is_reservation;
pub(crate) use metadata::flaws as metadata_flaws;
pub(crate) use names::is_infra_id;
pub(crate) use placement::is_host;
pub use provider::{Defaults, Purpose, judge, with_defaults};

/// What came of looking at a file.
#[derive(Debug)]
pub struct Checked {
    /// How many objects were looked at.
    pub objects: usize,
    /// How many objects of other kinds were passed over.
    pub others: usize,
    /// Everything that was found, in the order of the text.
    pub findings: Vec<Finding>,
}

impl Checked {
    /// Whether the cluster would take all of it.
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity() == Severity::Warning)
    }
}

/// Looks at everything in the text of a file.
pub fn check(text: &str) -> Checked {
    let mut checked = Checked { objects: 0, others: 0, findings: Vec::new() };
    for document in document::split(text) {
        match document.objects() {
            Ok(objects) => {
                for object in &objects {
                    let Some((kind, misnamed)) = Kind::meant(&object.value) else {
                        checked.others += usize::from(object.value["kind"].is_string());
                        continue;
                    };
                    checked.objects += 1;
                    let flaws = misnamed.into_iter().chain(object::flaws(kind, &object.value));
                    let found = flaws.map(|flaw| document.finding(&object.path, flaw));
                    checked.findings.extend(found);
                }
            }
            Err(unreadable) => checked.findings.extend(unreadable),
        }
    }
    checked.findings.sort_by_key(|finding| finding.place.map(|place| place.start));
    checked
}

/// A rule that is broken, and where in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Flaw {
    /// Which rule.
    pub rule: Rule,
    /// The field.
    pub path: String,
    /// What was found.
    pub message: String,
    /// What would have been accepted.
    pub expected: Option<String>,
    /// What to do.
    pub hint: Option<String>,
}

impl Flaw {
    pub(super) fn new(rule: Rule, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule, path: path.into(), message: message.into(), expected: None, hint: None }
    }

    pub(super) fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// The same, seen from further out.
    pub(super) fn within(self, outer: &str) -> Self {
        let dot = if self.path.is_empty() || outer.is_empty() { "" } else { "." };
        Self { path: format!("{outer}{dot}{}", self.path), ..self }
    }
}
