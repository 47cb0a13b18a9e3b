//! How many machines a MachineSet has, and how many it should have.
//!
//! What is in the template is for machines to come: those that are there stay as they are. A machine
//! that failed counts, as it does upstream: whoever wants another deletes it. What is decided here is
//! pure: the `driver` says what there is, and does it.
//!
//! Source: openshift/machine-api-operator, `pkg/controller/machineset`. Ours differs in that those
//! who are equally good to delete go in an order: the oldest first, and of those by name.

#[cfg(feature = "kubernetes")]
pub mod driver;
#[cfg(all(test, feature = "kubernetes"))]
mod driver_tests;
mod members;
#[cfg(feature = "kubernetes")]
mod pending;
mod policy;
mod selector;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::Timestamp;

pub use policy::{DELETE_ANNOTATION, priority};
pub use status::Nodes;

use crate::machine_api::types::{Machine, MachineSet, MachineSetStatus};
use members::Belongs;
use policy::Policy;

/// What follows for one MachineSet.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<'a> {
    /// Machines that it should have and that are nobody's: they get an owner.
    pub adopt: Vec<&'a Machine>,
    /// What is to be done for their number. Adopted ones are counted already.
    pub change: Result<Change<'a>, Refusal>,
    /// What is so now.
    pub status: MachineSetStatus,
    /// When to look again though nothing happens: machines become available by waiting.
    pub look_again: Option<Duration>,
}

/// What is to be done for the number of machines.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<'a> {
    /// There are as many as there should be.
    Nothing,
    /// So many are made from the template.
    Create(usize),
    /// These are deleted.
    Delete(Vec<&'a Machine>),
}

/// Why nothing is done for a MachineSet.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It would have every machine.
    #[error("spec.selector: is empty and would select every machine; name at least one label")]
    EmptySelector,
    /// Its selector has a word that is none.
    #[error(
        "spec.selector.matchExpressions: expected In, NotIn, Exists or DoesNotExist for label \
         {key}, found {operator:?}"
    )]
    UnknownOperator {
        /// About which label.
        key: String,
        /// The word.
        operator: String,
    },
    /// What it makes would not be its own, so that it would never have enough.
    #[error("spec.template.metadata.labels: are not what spec.selector selects ({selector})")]
    TemplateNotSelected {
        /// The selector as text.
        selector: String,
    },
    /// Who goes first is said with a word that is none.
    #[error("spec.deletePolicy: expected Random, Newest or Oldest, found {0:?}")]
    UnknownPolicy(String),
}

/// Decides about one MachineSet. `machines` are those of its namespace, whosever they are.
///
/// # Errors
/// When what it asks for cannot be done at all. A deletion that cannot be decided is refused in
/// [`Decision::change`]: how many there are can be told all the same.
pub fn decide<'a>(
    set: &MachineSet,
    machines: &'a [Machine],
    nodes: &Nodes,
    now: Timestamp,
) -> Result<Decision<'a>, Refusal> {
    let selector = selector::Selector::of(&set.spec.selector)?;
    if !selector.selects(&set.spec.template.metadata.labels) {
        return Err(Refusal::TemplateNotSelected { selector: selector.to_string() });
    }
    let (adopt, members) = members(set, &selector, machines);
    let status = status::status(set, &selector, &members, nodes, now);
    let change = change(set, &members, now);
    Ok(Decision { adopt, change, look_again: look_again(set, &status), status })
}

/// The orphans among its machines, and all of its machines.
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

/// How many there should be; fewer than none is none.
fn wanted(set: &MachineSet) -> usize {
    usize::try_from(set.spec.replicas.unwrap_or(1)).unwrap_or(0)
}

fn change<'a>(
    set: &MachineSet,
    members: &[&'a Machine],
    now: Timestamp,
) -> Result<Change<'a>, Refusal> {
    let (have, want) = (members.len(), wanted(set));
    if have <= want {
        return Ok(if have == want { Change::Nothing } else { Change::Create(want - have) });
    }
    let policy: Policy = set.spec.delete_policy.parse()?;
    Ok(Change::Delete(policy::first_to_go(policy, members, have - want, now)))
}

/// Nobody tells when a machine has been ready for long enough.
fn look_again(set: &MachineSet, status: &MachineSetStatus) -> Option<Duration> {
    let waits = status.ready_replicas > status.available_replicas;
    let seconds = u64::try_from(set.spec.min_ready_seconds).unwrap_or(0);
    (waits && seconds > 0).then(|| Duration::from_secs(seconds))
}
