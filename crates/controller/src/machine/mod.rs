//! Decisions about one Machine and its instance. Pure: the observed state is the input, and the
//! next action is the output.
//!
//! Sources: openshift/machine-api-operator `pkg/controller/machine/controller.go`,
//! openshift/machine-api-provider-aws `pkg/actuators/machine`. The upstream code may launch twice,
//! or fail a Machine too early. groundplan differs in three points:
//!
//! - A failed query is an error and never means that no instance exists.
//! - One Machine launches with one token, made from its UID, in all processes and all attempts.
//! - A throttled call, a zone without capacity or expired credentials never fail a Machine.

pub mod driver;
mod failure;
mod schedule;
mod status;
#[cfg(test)]
mod tests;

use crate::ec2_batcher::InstanceState;
use std::time::Duration;

use groundplan_aws::kinds::machine::MachineOutputs;
use groundplan_openshift::machine_api::types::{AwsMachineProviderStatus, Machine, read};
use jiff::{SignedDuration, Timestamp};

pub use self::failure::{MachineFailure, of_call, of_refusal};
pub use self::status::{
    MachineChange, creation_failed, deleting, drained, failed, holding, in_sync, known_fields,
    launch_unanswered, launched, launching, lifecycle_hooks, missing, not_found_out, paused,
    provisioning, running, without_finalizer,
};

/// Finalizer that keeps a Machine until its instance is terminated.
pub const FINALIZER: &str = "machine.machine.openshift.io";
/// Annotation of a Machine with the state of its instance in EC2.
pub const INSTANCE_STATE: &str = "machine.openshift.io/instance-state";
/// Annotation of a Machine that is deleted without a drain of its Node.
pub const NO_DRAINING: &str = "machine.openshift.io/exclude-node-draining";

/// Time during which EC2 must reject the ID of an instance, or find no instance of a name, before
/// the instance counts as gone.
const PROVEN: Duration = Duration::from_secs(60);
/// Time during which a new instance may be invisible (machine-api-provider-aws `reconciler.go`,
/// `requeueAfterSeconds`).
const EVENTUALLY: SignedDuration = SignedDuration::from_secs(20);
/// Time after an observed deletion during which a late instance may still appear. The instance can
/// come from a launch in doubt, or was launched and never observed. EC2 shows instances within
/// seconds.
const LATE: Duration = Duration::from_secs(60);
/// Delay before the next search for a late instance.
const SOONER: Duration = Duration::from_secs(5);
/// Delay before the next reconcile of a Machine in transition.
const SOON: Duration = Duration::from_secs(20);
/// Delay before the next reconcile of a Machine that waits for its Node.
const LATER: Duration = Duration::from_secs(30);
/// Delay before the next reconcile of a healthy Machine.
const RESYNC: Duration = Duration::from_secs(10 * 60);

/// Next action for a Machine that is not deleted.
#[derive(Clone, Debug, PartialEq)]
pub enum MachineAction {
    /// Do nothing: the Machine has failed permanently.
    Nothing,
    /// Update the status, correct differences, and reconcile again after this time.
    Keep(Duration),
    /// Launch the instance.
    Launch,
    /// Reconcile again after this time, because the state is not clear yet.
    Wait(Duration),
    /// Fail the Machine permanently.
    Fail(MachineFailure),
    /// Report an error that may be temporary, and retry.
    Retry(String),
    /// Report that EC2 does not show an instance that was ready, and look again.
    Unseen(String),
}

/// Returns the next action for a Machine that is not deleted, from the state of its instance.
/// `absent_for` is the time during which each query has proven the instance absent.
pub fn decide(
    machine: &Machine,
    seen: &InstanceState,
    absent_for: Duration,
    now: Timestamp,
) -> MachineAction {
    if machine.status.phase.as_deref() == Some("Failed") {
        return MachineAction::Nothing;
    }
    match seen {
        InstanceState::There(instance) => MachineAction::Keep(again(machine, instance)),
        InstanceState::Going { .. } => MachineAction::Wait(SOON),
        InstanceState::Terminated { .. } if was_provisioned(machine) => {
            MachineAction::Fail(MachineFailure::missing())
        }
        InstanceState::NotFound | InstanceState::Nothing
            if was_provisioned(machine) && absent_for >= PROVEN =>
        {
            MachineAction::Fail(MachineFailure::missing())
        }
        _ if was_provisioned(machine) => MachineAction::Unseen(unseen(machine, seen)),
        InstanceState::Terminated { why } => MachineAction::Fail(MachineFailure::terminated(why)),
        InstanceState::Invisible | InstanceState::NotFound if was_seen_just_now(machine, now) => {
            MachineAction::Wait(SOON)
        }
        InstanceState::Invisible | InstanceState::NotFound => MachineAction::Retry(format!(
            "EC2 does not return {}, which was launched for this machine: no other instance is \
             launched",
            instance_id(machine).unwrap_or_default()
        )),
        InstanceState::Nothing => MachineAction::Launch,
    }
}

/// Returns the message about an instance that was ready, and that EC2 does not show.
fn unseen(machine: &Machine, seen: &InstanceState) -> String {
    let id = instance_id(machine);
    match (id, seen) {
        (Some(id), InstanceState::NotFound) => format!(
            "EC2 does not know {id}: the Machine fails if this stays so for {} seconds",
            PROVEN.as_secs()
        ),
        (Some(id), _) => format!(
            "EC2 does not show {id}, and does not say that it does not exist: the Machine stays as \
             it is"
        ),
        (None, _) => format!(
            "EC2 shows no instance of this name: the Machine fails if this stays so for {} seconds",
            PROVEN.as_secs()
        ),
    }
}

/// Returns true if the result of a query proves that no instance exists, if it stays so.
pub fn is_absent(seen: &InstanceState) -> bool {
    matches!(seen, InstanceState::NotFound | InstanceState::Nothing)
}

/// Next action for a deleted Machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeletionAction {
    /// Drain the Node.
    Drain,
    /// Do nothing until the lifecycle hooks are removed.
    Held,
    /// Terminate the instance.
    Terminate,
    /// Terminate the instance by its ID, although EC2 does not show it, and look again soon.
    TerminateUnseen,
    /// Reconcile again after this time, because the termination is in progress.
    Wait(Duration),
    /// Delete the Node and remove the finalizer, because the instance is gone.
    Finish,
}

/// Returns the action that must precede the termination, or `None` if the instance may be
/// terminated.
pub fn before_termination(machine: &Machine) -> Option<DeletionAction> {
    let hooks = &machine.spec.lifecycle_hooks;
    if !is_true(machine, "Drained") {
        let holds = !hooks.pre_drain.is_empty() && !is_drained_unasked(machine);
        return Some(if holds { DeletionAction::Held } else { DeletionAction::Drain });
    }
    (!hooks.pre_terminate.is_empty()).then_some(DeletionAction::Held)
}

/// Returns the next action for the instance of a deleted Machine. `known_for` is the time since
/// this process observed the deletion. No launch was sent since then, neither by this process nor
/// by an earlier one. `absent_for` is the time during which each query has proven the instance
/// absent.
pub fn terminate(
    machine: &Machine,
    seen: &InstanceState,
    known_for: Duration,
    absent_for: Duration,
) -> DeletionAction {
    let is_late = known_for < LATE && may_come_to_light(machine);
    match seen {
        InstanceState::There(_) => DeletionAction::Terminate,
        InstanceState::Going { .. } => DeletionAction::Wait(SOON),
        InstanceState::Invisible => DeletionAction::TerminateUnseen,
        InstanceState::NotFound if absent_for < PROVEN || is_late => {
            DeletionAction::TerminateUnseen
        }
        InstanceState::Nothing if is_late => DeletionAction::Wait(SOONER),
        InstanceState::Terminated { .. } | InstanceState::NotFound | InstanceState::Nothing => {
            DeletionAction::Finish
        }
    }
}

/// Returns true if EC2 may have an instance that it does not show yet. The instance was launched
/// and never observed, or its launch is in doubt. A launch by the upstream controller counts as in
/// doubt.
fn may_come_to_light(machine: &Machine) -> bool {
    let began = machine.status.conditions.iter().any(|one| one.kind == "InstanceExists");
    let is_open = status::creation(machine).is_none_or(|one| one.status != "False");
    began && !was_provisioned(machine) && is_open
}

/// Returns true if the drain of a deleted Machine is to be recorded as skipped.
pub fn is_drain_skipped(machine: &Machine) -> bool {
    is_drained_unasked(machine) && !is_true(machine, "Drained")
}

/// Returns true if the Machine needs no drain: it has no Node, or an annotation excludes the drain.
fn is_drained_unasked(machine: &Machine) -> bool {
    machine.status.node_ref.is_none() || machine.metadata.annotations.contains_key(NO_DRAINING)
}

/// Returns the token of a Machine's launch. One UID makes one instance, in all processes and
/// attempts.
pub fn token(machine: &Machine) -> String {
    format!("groundplan-{}", machine.metadata.uid)
}

/// Returns the recorded status of the instance. An unreadable status counts as empty.
pub fn provider_status(machine: &Machine) -> AwsMachineProviderStatus {
    let status = machine.status.provider_status.as_ref();
    status.and_then(|status| read(status).ok()).unwrap_or_default()
}

/// Returns the ID of the instance, if known: from the status, or else from the spec.
pub fn instance_id(machine: &Machine) -> Option<String> {
    let told = provider_status(machine).instance_id.filter(|id| !id.is_empty());
    told.or_else(|| {
        let id = machine.spec.provider_id.as_deref()?.rsplit('/').next()?;
        id.starts_with("i-").then(|| id.to_owned())
    })
}

/// Returns true if the instance was once ready to become a Node.
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
