//! Order of deletion when a set has too many machines.
//!
//! The numbers are those of upstream (openshift/machine-api-operator,
//! `pkg/controller/machineset/delete_policy.go`, as of 2026). Earlier versions of `Oldest` had a
//! steeper curve up to 100, on which all machines older than a year were equal.

use std::cmp::Ordering;
use std::str::FromStr;

use groundplan_openshift::machine_api::types::Machine;
use jiff::Timestamp;

use super::SetError;

/// Annotation that makes a machine the first to be deleted. Any value except an empty one counts.
pub const DELETE_ANNOTATION: &str = "machine.openshift.io/delete-machine";

/// Earlier name of [`DELETE_ANNOTATION`], which counts the same.
pub(super) const OLD_DELETE_ANNOTATION: &str = "machine.openshift.io/cluster-api-delete-machine";

/// A hundred days: the age at which the age term reaches about two thirds of its maximum.
const SCALE: f64 = 100.0 * 24.0 * 3600.0;

const MUST: f64 = 100.0;
const BETTER: f64 = 50.0;
const RATHER: f64 = 40.0;
const COULD: f64 = 20.0;
const MUST_NOT: f64 = 0.0;

/// Delete policy of a MachineSet. Marked and failed machines always come first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Machines without a Node first.
    Random,
    /// Newest machine first.
    Newest,
    /// Oldest machine first.
    Oldest,
}

impl FromStr for Policy {
    type Err = SetError;

    fn from_str(word: &str) -> Result<Self, SetError> {
        match word {
            "" | "Random" => Ok(Policy::Random),
            "Newest" => Ok(Policy::Newest),
            "Oldest" => Ok(Policy::Oldest),
            other => Err(SetError::UnknownPolicy(other.to_owned())),
        }
    }
}

/// Returns the priority of a machine for deletion, from 0 (last) to 100 (first).
pub fn priority(policy: Policy, machine: &Machine, now: Timestamp) -> f64 {
    if machine.metadata.deletion_timestamp.is_some() {
        return MUST;
    }
    let asked_for = is_asked_for(machine) || is_broken(machine);
    match policy {
        Policy::Random if asked_for => BETTER,
        Policy::Random if machine.status.node_ref.is_none() => RATHER,
        Policy::Random => COULD,
        Policy::Newest | Policy::Oldest if asked_for => MUST,
        Policy::Oldest => by_age(machine, now),
        Policy::Newest => MUST - by_age(machine, now),
    }
}

fn is_asked_for(machine: &Machine) -> bool {
    let annotations = &machine.metadata.annotations;
    let is_set = |key: &str| annotations.get(key).is_some_and(|value| !value.is_empty());
    is_set(DELETE_ANNOTATION) || is_set(OLD_DELETE_ANNOTATION)
}

fn is_broken(machine: &Machine) -> bool {
    machine.status.error_reason.is_some() || machine.status.error_message.is_some()
}

/// Returns a priority that grows with age, up to less than the priority of a marked machine. A
/// creation time that is missing or in the future gives the lowest priority.
fn by_age(machine: &Machine, now: Timestamp) -> f64 {
    let Some(made) = made(machine).filter(|made| *made <= now) else { return MUST_NOT };
    let age = now.duration_since(made).as_secs_f64();
    BETTER * (1.0 - (-age / SCALE).exp())
}

fn made(machine: &Machine) -> Option<Timestamp> {
    machine.metadata.creation_timestamp.as_ref()?.parse().ok()
}

/// Returns why a machine is among the first to be deleted, in words.
pub(super) fn reason(policy: Policy, machine: &Machine) -> &'static str {
    match policy {
        _ if is_asked_for(machine) => "an annotation marks it for deletion",
        _ if is_broken(machine) => "it has failed",
        Policy::Random if machine.status.node_ref.is_none() => "it has no Node",
        Policy::Random => "all have the same priority",
        Policy::Newest => "it is among the newest",
        Policy::Oldest => "it is among the oldest",
    }
}

/// Returns the `count` machines to delete first.
pub(super) fn first_to_go<'a>(
    policy: Policy,
    machines: &[&'a Machine],
    count: usize,
    now: Timestamp,
) -> Vec<&'a Machine> {
    let mut sorted = machines.to_vec();
    sorted.sort_by(|one, other| {
        let (better, worse) = (priority(policy, other, now), priority(policy, one, now));
        better.total_cmp(&worse).then_with(|| the_older(one, other))
    });
    sorted.truncate(count);
    sorted
}

/// Orders machines of equal priority: the oldest first, then by name.
fn the_older(one: &Machine, other: &Machine) -> Ordering {
    let key = |machine: &Machine| (made(machine), machine.metadata.name.clone());
    key(one).cmp(&key(other))
}
