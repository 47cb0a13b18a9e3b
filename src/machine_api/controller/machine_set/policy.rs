//! Which machines go first when there are too many.
//!
//! The numbers are upstream's (openshift/machine-api-operator,
//! `pkg/controller/machineset/delete_policy.go`, as of 2026; before, `Oldest` had a steeper curve up to
//! 100, on which machines older than a year were all the same).

use std::cmp::Ordering;
use std::str::FromStr;

use jiff::Timestamp;

use super::Refusal;
use crate::machine_api::types::Machine;

/// Has a machine go before others; anything but nothing will do.
pub const DELETE_ANNOTATION: &str = "machine.openshift.io/delete-machine";

/// A hundred days: the age at which about two thirds of what age counts is reached.
const SCALE: f64 = 100.0 * 24.0 * 3600.0;

const MUST: f64 = 100.0;
const BETTER: f64 = 50.0;
const RATHER: f64 = 40.0;
const COULD: f64 = 20.0;
const MUST_NOT: f64 = 0.0;

/// Who goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// Whoever has no work yet, then anybody.
    Random,
    /// Whoever came last.
    Newest,
    /// Whoever came first.
    Oldest,
}

impl FromStr for Policy {
    type Err = Refusal;

    fn from_str(word: &str) -> Result<Self, Refusal> {
        match word {
            "" | "Random" => Ok(Policy::Random),
            "Newest" => Ok(Policy::Newest),
            "Oldest" => Ok(Policy::Oldest),
            other => Err(Refusal::UnknownPolicy(other.to_owned())),
        }
    }
}

/// How good it is to delete a machine: 100 is best, 0 is worst.
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
    machine.metadata.annotations.get(DELETE_ANNOTATION).is_some_and(|value| !value.is_empty())
}

fn is_broken(machine: &Machine) -> bool {
    machine.status.error_reason.is_some() || machine.status.error_message.is_some()
}

/// Grows with the age, and never to what somebody asked for. Without a time, or with one that is yet
/// to come, a machine has no age.
fn by_age(machine: &Machine, now: Timestamp) -> f64 {
    let Some(made) = made(machine).filter(|made| *made <= now) else { return MUST_NOT };
    let age = now.duration_since(made).as_secs_f64();
    BETTER * (1.0 - (-age / SCALE).exp())
}

fn made(machine: &Machine) -> Option<Timestamp> {
    machine.metadata.creation_timestamp.as_ref()?.parse().ok()
}

/// So many of them, the best to delete first.
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

/// Decides between those that are as good to delete.
fn the_older(one: &Machine, other: &Machine) -> Ordering {
    let key = |machine: &Machine| (made(machine), machine.metadata.name.clone());
    key(one).cmp(&key(other))
}
