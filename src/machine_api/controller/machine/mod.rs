//! One Machine and its instance. Pure: what there is goes in, what is to be done comes out.
//!
//! Sources: openshift/machine-api-operator `pkg/controller/machine/controller.go`,
//! openshift/machine-api-provider-aws `pkg/actuators/machine`. Ours differs where theirs may launch
//! twice or give up for good too early: a look-up that fails is an error and never "nothing there";
//! one Machine launches with one token, by its UID, whoever asks and however often; a throttle, a
//! full zone or credentials that have run out never fail a Machine.

#[cfg(feature = "kubernetes")]
pub mod driver;
mod failure;
mod status;
#[cfg(test)]
mod tests;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::aws::machine::MachineOutputs;
use crate::machine_api::types::{AwsMachineProviderStatus, Machine, read};

pub use self::failure::{Failure, of_call, of_refusal};
pub use self::status::{
    Changes, creation_failed, deleting, drained, failed, held_by_hooks, holding, in_sync,
    launch_unanswered, launched, launching, missing, not_found_out, running, unheld,
    without_finalizer,
};

/// What keeps a Machine until its instance is gone.
pub const FINALIZER: &str = "machine.machine.openshift.io";
/// On a Machine: what EC2 calls the state of its instance.
pub const INSTANCE_STATE: &str = "machine.openshift.io/instance-state";
/// On a Machine: it is deleted without its Node being drained.
pub const NO_DRAINING: &str = "machine.openshift.io/exclude-node-draining";

/// How long a new instance may be invisible (machine-api-provider-aws `reconciler.go`,
/// `requeueAfterSeconds`).
const EVENTUALLY: SignedDuration = SignedDuration::from_secs(20);
/// How long after a Machine is known to be deleted a launch may still come to light whose answer nobody
/// has, or whose instance nobody has seen. EC2 shows what it has within seconds.
const LATE: Duration = Duration::from_secs(60);
/// When such a launch is looked for again.
const SOONER: Duration = Duration::from_secs(5);
/// When what is on its way is looked at again.
const SOON: Duration = Duration::from_secs(20);
/// When what waits for somebody else is looked at again.
const LATER: Duration = Duration::from_secs(30);
/// When what is well is looked at again.
const RESYNC: Duration = Duration::from_secs(10 * 60);

/// What EC2 has of the instance of a Machine.
#[derive(Clone, Debug, PartialEq)]
pub enum Seen {
    /// It is there: pending, running, stopping or stopped.
    There(Box<MachineOutputs>),
    /// It is going away, and not gone.
    Going {
        /// What EC2 calls that.
        state: String,
    },
    /// It was terminated.
    Terminated {
        /// Why, as EC2 says it.
        why: String,
    },
    /// It has an id, and EC2 shows nothing of it.
    Invisible,
    /// Nothing has an id or the name of it.
    Nothing,
}

/// What is to be done about a Machine that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Nothing, ever: it has failed.
    Nothing,
    /// Its instance is there: tell so, put right what differs, and look again after this.
    Keep(Duration),
    /// It is launched.
    Launch,
    /// It is too early to say anything: look again after this.
    Wait(Duration),
    /// It has failed.
    Fail(Failure),
    /// Something is wrong that may pass.
    Retry(String),
}

/// What is to be done about a Machine that is wanted, from what EC2 has of its instance.
pub fn decide(machine: &Machine, seen: &Seen, now: Timestamp) -> Step {
    if machine.status.phase.as_deref() == Some("Failed") {
        return Step::Nothing;
    }
    match seen {
        Seen::There(instance) => Step::Keep(again(machine, instance)),
        Seen::Going { .. } => Step::Wait(SOON),
        _ if was_provisioned(machine) => Step::Fail(Failure::missing()),
        Seen::Terminated { why } => Step::Fail(Failure::terminated(why)),
        Seen::Invisible if was_seen_just_now(machine, now) => Step::Wait(SOON),
        Seen::Invisible => Step::Retry(format!(
            "EC2 shows nothing of {}, which was launched for this machine: it is not launched again",
            instance_id(machine).unwrap_or_default()
        )),
        Seen::Nothing => Step::Launch,
    }
}

/// What is to be done about a Machine that is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Going {
    /// Its Node is drained.
    Drain,
    /// Hooks hold it: nothing is done until they are taken away.
    Held,
    /// Its instance is terminated.
    Terminate,
    /// Its instance is on its way: look again after this.
    Wait(Duration),
    /// Its instance is gone: its Node goes, and then what keeps it.
    Finish,
}

/// What is to be done before a deleted Machine's instance may be looked at.
pub fn before_termination(machine: &Machine) -> Option<Going> {
    let hooks = &machine.spec.lifecycle_hooks;
    if !is_true(machine, "Drained") {
        let holds = !hooks.pre_drain.is_empty() && !is_drained_unasked(machine);
        return Some(if holds { Going::Held } else { Going::Drain });
    }
    (!hooks.pre_terminate.is_empty()).then_some(Going::Held)
}

/// What is to be done about a deleted Machine's instance. `known_for` is how long this process has known
/// that it is deleted: no launch has left since, and a process before it launches nothing any more.
pub fn terminate(machine: &Machine, seen: &Seen, known_for: Duration) -> Going {
    let is_late = known_for < LATE && may_come_to_light(machine);
    match seen {
        Seen::There(_) => Going::Terminate,
        Seen::Going { .. } => Going::Wait(SOON),
        Seen::Invisible | Seen::Nothing if is_late => Going::Wait(SOONER),
        Seen::Terminated { .. } | Seen::Invisible | Seen::Nothing => Going::Finish,
    }
}

/// Whether EC2 may have an instance that it does not show: launched, and never seen, or a launch whose
/// answer nobody has. Of what upstream's controller began with nobody knows.
fn may_come_to_light(machine: &Machine) -> bool {
    let began = machine.status.conditions.iter().any(|one| one.kind == "InstanceExists");
    let is_open = status::creation(machine).is_none_or(|one| one.status != "False");
    began && !was_provisioned(machine) && is_open
}

/// Whether there is nothing to drain, or nobody wants it drained.
pub fn is_drained_unasked(machine: &Machine) -> bool {
    machine.status.node_ref.is_none() || machine.metadata.annotations.contains_key(NO_DRAINING)
}

/// The token of a Machine's launch: one UID, one instance, whoever asks and however often.
pub fn token(machine: &Machine) -> String {
    format!("groundplan-{}", machine.metadata.uid)
}

/// What is known of the instance; what cannot be read is nothing.
pub fn provider_status(machine: &Machine) -> AwsMachineProviderStatus {
    let status = machine.status.provider_status.as_ref();
    status.and_then(|status| read(status).ok()).unwrap_or_default()
}

/// The id of the instance, if one is known: by the status, or else, where that was lost, by the spec.
pub fn instance_id(machine: &Machine) -> Option<String> {
    let told = provider_status(machine).instance_id.filter(|id| !id.is_empty());
    told.or_else(|| {
        let id = machine.spec.provider_id.as_deref()?.rsplit('/').next()?;
        id.starts_with("i-").then(|| id.to_owned())
    })
}

/// Whether its instance was ready to become a Node once.
fn was_provisioned(machine: &Machine) -> bool {
    let id = machine.spec.provider_id.as_deref().unwrap_or_default();
    !id.is_empty() || !machine.status.addresses.is_empty()
}

fn was_seen_just_now(machine: &Machine, now: Timestamp) -> bool {
    let updated = machine.status.last_updated.as_deref().and_then(|at| at.parse().ok());
    updated.is_none_or(|at: Timestamp| now.duration_since(at) < EVENTUALLY)
}

fn again(machine: &Machine, instance: &MachineOutputs) -> Duration {
    match (&*instance.seen.state, &machine.status.node_ref) {
        ("pending", _) => SOON,
        (_, None) => LATER,
        _ => RESYNC,
    }
}

fn is_true(machine: &Machine, condition: &str) -> bool {
    let found = machine.status.conditions.iter().find(|one| one.kind == condition);
    found.is_some_and(|one| one.status == "True")
}
