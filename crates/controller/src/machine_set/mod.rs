//! Decisions about the number of machines of a MachineSet.
//!
//! The template is for new machines; existing machines stay as they are. A failed machine counts as
//! a member, as it does upstream. A user who wants another machine deletes the failed one. The
//! decisions are pure: the `driver` supplies the observed state and carries the decisions out.
//!
//! Source: openshift/machine-api-operator, `pkg/controller/machineset`. In contrast to upstream,
//! machines with equal priority are deleted in a fixed order: the oldest first, then by name.

mod announcement;
pub mod driver;
#[cfg(test)]
mod driver_tests;
#[cfg(test)]
mod histories;
mod members;
mod pending;
mod policy;
mod selector;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

pub use announcement::ANNOUNCED;
pub use policy::{DELETE_ANNOTATION, priority};
pub use status::Nodes;

use groundplan_openshift::machine_api::types::{Machine, MachineSet, MachineSetStatus};
use members::Belongs;
use policy::Policy;

/// Decision about one MachineSet.
#[derive(Clone, Debug, PartialEq)]
pub struct SetDecision<'a> {
    /// Orphans that the set adopts.
    pub adopt: Vec<&'a Machine>,
    /// Change of the number of machines. Adopted machines are already counted.
    pub change: Result<SetChange<'a>, SetError>,
    /// Observed status of the set.
    pub status: MachineSetStatus,
    /// Time until the next reconcile without an event, because machines become available by
    /// waiting.
    pub requeue_after: Option<Duration>,
}

/// Change of the number of machines.
#[derive(Clone, Debug, PartialEq)]
pub enum SetChange<'a> {
    /// Number of machines is correct.
    Nothing,
    /// Create this number of machines from the template.
    Create(usize),
    /// Delete these machines.
    Delete(Vec<&'a Machine>),
}

/// Reason why a MachineSet is rejected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetError {
    /// The selector would select every machine.
    #[error("spec.selector: is empty and would select every machine; name at least one label")]
    EmptySelector,
    /// The selector has an unknown operator.
    #[error(
        "spec.selector.matchExpressions: expected In, NotIn, Exists or DoesNotExist for label \
         {key}, found {operator:?}"
    )]
    UnknownOperator {
        /// Label of the requirement.
        key: String,
        /// Unknown operator.
        operator: String,
    },
    /// The selector does not select the machines of the template, so the set would create machines
    /// for ever.
    #[error(
        "spec.template.metadata.labels: expected labels that spec.selector selects ({selector})"
    )]
    TemplateNotSelected {
        /// Selector as text.
        selector: String,
    },
    /// The delete policy is unknown.
    #[error("spec.deletePolicy: expected Random, Newest or Oldest, found {0:?}")]
    UnknownPolicy(String),
}

/// Decides about one MachineSet. `machines` are all machines of its namespace, with any owner or
/// none.
///
/// # Errors
/// Fails if the set is invalid. An unknown delete policy is an error in [`SetDecision::change`], so
/// that the status can still be written.
pub fn decide<'a>(
    set: &MachineSet,
    machines: &'a [Machine],
    nodes: &Nodes,
    now: Timestamp,
) -> Result<SetDecision<'a>, SetError> {
    let selector = selector::Selector::of(&set.spec.selector)?;
    if !selector.selects(&set.spec.template.metadata.labels) {
        return Err(SetError::TemplateNotSelected { selector: selector.to_string() });
    }
    let (adopt, members) = members(set, &selector, machines);
    let status = status::status(set, &selector, &members, nodes, now);
    let change = change(set, &members, now);
    Ok(SetDecision { adopt, change, requeue_after: requeue_after(set, &status), status })
}

/// Returns the orphans of the set, and all its machines including the orphans.
fn members<'a>(
    set: &MachineSet,
    selector: &selector::Selector,
    machines: &'a [Machine],
) -> (Vec<&'a Machine>, Vec<&'a Machine>) {
    let belongs = |machine: &Machine| members::belongs(set, selector, machine);
    let orphan = |machine: &&Machine| belongs(machine) == Belongs::Orphan;
    let member = |machine: &&Machine| belongs(machine) != Belongs::No;
    (machines.iter().filter(orphan).collect(), machines.iter().filter(member).collect())
}

/// Returns the requested number of machines. A negative number counts as zero.
fn wanted(set: &MachineSet) -> usize {
    usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0)
}

fn change<'a>(
    set: &MachineSet,
    members: &[&'a Machine],
    now: Timestamp,
) -> Result<SetChange<'a>, SetError> {
    let (have, want) = (members.len(), wanted(set));
    if have <= want {
        return Ok(if have == want { SetChange::Nothing } else { SetChange::Create(want - have) });
    }
    let policy: Policy = set.spec.delete_policy.parse()?;
    Ok(SetChange::Delete(policy::first_to_go(policy, members, have - want, now)))
}

/// Returns the time until the next reconcile. No event announces that a machine has been ready for
/// long enough.
fn requeue_after(set: &MachineSet, status: &MachineSetStatus) -> Option<Duration> {
    let waits = status.ready_replicas > status.available_replicas;
    let seconds = u64::try_from(set.spec.min_ready_seconds).unwrap_or(0);
    (waits && seconds > 0).then(|| Duration::from_secs(seconds))
}
