//! Offline validation of machines: the findings of the cluster's webhook, before a cluster receives
//! the objects.
//!
//! Files become objects with positions. Objects are checked against the rules of
//! openshift/machine-api-operator `pkg/webhooks`, and each violation becomes a finding. The API
//! server calls the webhook at most once, and continues without the webhook if the call fails
//! (failure policy `Ignore`). For that reason code that launches a machine must check again, with
//! [`judge`]. Never changes its input and never queries a cluster.
//!
//! - `document`: the objects of a file; `kind`: which of the objects belong to the Machine API.
//! - `shape`: unknown fields and values of a wrong type; `unknown`: severity of unknown fields.
//! - `object`: Machine, MachineSet and ControlPlaneMachineSet around the provider config; `names`:
//!   names and labels of objects.
//! - `provider`: the provider config; `placement`, `market` and `metadata`: three parts of it;
//!   `launchable`: configs that the webhook accepts and that cannot be launched.

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

use self::kind::ManifestKind;
use crate::diagnostics::{Finding, Rule, Severity};

pub(crate) use launchable::field as volume_field;
pub(crate) use market::is_reservation;
pub(crate) use metadata::findings as metadata_findings;
pub(crate) use names::is_infra_id;
pub use object::unknown_fields;
pub(crate) use placement::is_host;
pub use provider::{Defaults, Purpose, judge, unexpected_kind, with_defaults};

/// Result of checking a file.
#[derive(Debug)]
pub struct CheckResult {
    /// Number of objects that were checked.
    pub objects: usize,
    /// Number of objects of other kinds, which were skipped.
    pub others: usize,
    /// All findings, in the order of the text.
    pub findings: Vec<Finding>,
}

impl CheckResult {
    /// Returns true if the cluster would accept the whole file.
    pub fn is_valid(&self) -> bool {
        self.findings.iter().all(|finding| finding.severity() == Severity::Warning)
    }
}

/// Checks all objects in the text of a file.
pub fn check(text: &str) -> CheckResult {
    let mut checked = CheckResult { objects: 0, others: 0, findings: Vec::new() };
    for document in document::split(text) {
        match document.objects() {
            Ok(objects) => {
                for object in &objects {
                    let Some((kind, misnamed)) = ManifestKind::meant(&object.value) else {
                        checked.others += usize::from(object.value["kind"].is_string());
                        continue;
                    };
                    checked.objects += 1;
                    let findings =
                        misnamed.into_iter().chain(object::findings(kind, &object.value));
                    let found = findings.map(|finding| document.finding(&object.path, finding));
                    checked.findings.extend(found);
                }
            }
            Err(unreadable) => checked.findings.extend(unreadable),
        }
    }
    checked.findings.sort_by_key(|finding| finding.place.map(|place| place.start));
    checked
}

/// Violation of a rule, with its position in an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectFinding {
    /// Violated rule.
    pub rule: Rule,
    /// Path of the field.
    pub path: String,
    /// Found value or state.
    pub message: String,
    /// Accepted values.
    pub expected: Option<String>,
    /// Hint for the user.
    pub hint: Option<String>,
}

impl ObjectFinding {
    pub(super) fn new(rule: Rule, path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { rule, path: path.into(), message: message.into(), expected: None, hint: None }
    }

    pub(super) fn expected(self, expected: impl Into<String>) -> Self {
        Self { expected: Some(expected.into()), ..self }
    }

    pub(super) fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// Returns the flaw with a path that starts at an outer object.
    pub(super) fn within(self, outer: &str) -> Self {
        let dot = if self.path.is_empty() || outer.is_empty() { "" } else { "." };
        Self { path: format!("{outer}{dot}{}", self.path), ..self }
    }
}
