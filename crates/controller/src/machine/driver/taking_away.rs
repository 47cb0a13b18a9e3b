//! Deletion of a Machine: wait for hooks, drain the Node, terminate the instance, delete the Node,
//! and remove the finalizer.

use std::time::Duration;

use groundplan_aws::model::ids::InstanceId;
use groundplan_openshift::machine_api::types::Machine;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, Preconditions};
use tokio::time::Instant;

use super::super::{
    DeletionAction, FINALIZER, InstanceState, MachineChange, PROVEN, SOON, SOONER,
    before_termination, deleting, drained, holding, is_drain_skipped, lifecycle_hooks,
    not_found_out, terminate, without_finalizer,
};
use super::{LoggedWait, MachineController, NextLook, ReconcileError, ReconcileTarget, Result};
use crate::drain::{AGAIN, DrainResult, drain};
use crate::ec2_batcher::FoundInstance;
use crate::event_recorder::EventType;
use crate::metrics::InstanceOperation;
use crate::report::{LogLevel, plain};

/// Time between two log lines about the same drain that waits.
const DRAIN_LOGGED: Duration = Duration::from_secs(60);

impl MachineController {
    pub(super) async fn take_away(&self, one: &mut ReconcileTarget) -> Result<NextLook> {
        if !one.machine.metadata.finalizers.iter().any(|held| held == FINALIZER) {
            return Ok(NextLook::OnChange);
        }
        self.deleted_for(&one.machine.metadata.uid);
        let (now, is_skipped) = (self.clock.now(), is_drain_skipped(&one.machine));
        let skipped = |machine: &Machine| match is_skipped {
            true => drained(machine, Ok("Node drain skipped"), now),
            false => MachineChange::none(machine),
        };
        self.write(one, deleting(&one.machine, now).then(skipped)).await?;
        if is_skipped {
            self.tell_drain(one, "DrainSkipped", "Node drain skipped").await;
        }
        match before_termination(&one.machine) {
            Some(DeletionAction::Held) => {
                self.tell_held(one).await?;
                return Ok(NextLook::OnChange);
            }
            Some(_) if !self.drain(one).await? => return Ok(NextLook::After(AGAIN)),
            // A hook may wait for the end of the drain.
            Some(_) if !one.machine.spec.lifecycle_hooks.pre_terminate.is_empty() => {
                return Ok(NextLook::After(Duration::from_millis(1)));
            }
            _ => (),
        }
        let done = self.terminate(one).await;
        if let Err(error) = &done {
            self.tell_failed(one, InstanceOperation::Delete, error).await;
        }
        done
    }

    async fn tell_held(&self, one: &mut ReconcileTarget) -> Result<()> {
        let changes = lifecycle_hooks(&one.machine, self.clock.now());
        self.write(one, changes).await?;
        let (reason, hooks) = holding(&one.machine);
        self.event_recorder.record_event(&one.object, EventType::Normal, reason, &hooks).await;
        self.log_held(one, hooks);
        Ok(())
    }

    /// Drains the Node. Returns true if the Node is empty.
    async fn drain(&self, one: &mut ReconcileTarget) -> Result<bool> {
        let now = self.clock.now();
        let node = one.machine.status.node_ref.as_ref().and_then(|node| node["name"].as_str());
        let begins = !one.machine.status.conditions.iter().any(|one| one.kind == "Drained");
        if begins {
            self.tell_drain(one, "DrainProceeds", "Node drain proceeds").await;
        }
        let outcome = match node {
            Some(node) => {
                drain(&self.client, node, &self.turn, now).await.map_err(|error| plain(&error))
            }
            None => Ok(DrainResult::Done),
        };
        let changes = match &outcome {
            Ok(DrainResult::Done) => drained(&one.machine, Ok(""), now),
            Ok(DrainResult::NotYet(progress)) => drained(&one.machine, Err(&progress.message), now),
            Err(why) => drained(&one.machine, Err(why), now),
        };
        let news = changes.status(now).is_some();
        self.write(one, changes).await?;
        let done = matches!(outcome, Ok(DrainResult::Done));
        match &outcome {
            Ok(DrainResult::Done) => self.log_drained(one),
            Ok(DrainResult::NotYet(progress)) => self.log_drain_waits(one, &progress.message),
            Err(why) => self.log_drain_waits(one, why),
        }
        let requeued = match &outcome {
            Ok(DrainResult::NotYet(progress)) if !progress.blocked.is_empty() => Some(format!(
                "Node drain requeued: PodDisruptionBudgets block the eviction of {}",
                progress.blocked.join(", ")
            )),
            Err(why) => Some(format!("Node drain requeued: {why}")),
            Ok(_) => None,
        };
        if let Some(message) = requeued.filter(|_| news) {
            self.tell_drain(one, "DrainRequeued", &message).await;
        }
        if news && done {
            self.tell_drain(one, "DrainSucceeded", "Node drain succeeded").await;
        }
        Ok(done)
    }

    /// Logs that lifecycle hooks delay the deletion, once for the same hooks.
    fn log_held(&self, one: &ReconcileTarget, hooks: String) {
        let mut waits = self.waits();
        let logged = waits.get(&one.machine.metadata.uid);
        if matches!(logged, Some(LoggedWait::Hooks(logged)) if *logged == hooks) {
            return;
        }
        self.log(LogLevel::Info, one, &format!("the deletion is {hooks}"));
        waits.insert(one.machine.metadata.uid.clone(), LoggedWait::Hooks(hooks));
    }

    /// Logs that a drain waits: the first time, and then once in [`DRAIN_LOGGED`].
    fn log_drain_waits(&self, one: &ReconcileTarget, why: &str) {
        let mut waits = self.waits();
        let logged = waits.get(&one.machine.metadata.uid);
        if matches!(logged, Some(LoggedWait::Drain(at)) if at.elapsed() < DRAIN_LOGGED) {
            return;
        }
        waits.insert(one.machine.metadata.uid.clone(), LoggedWait::Drain(Instant::now()));
        self.log(LogLevel::Info, one, &format!("the drain of {} waits: {why}", node_of(one)));
    }

    /// Logs the end of a drain that has waited.
    fn log_drained(&self, one: &ReconcileTarget) {
        let waited = self.waits().remove(&one.machine.metadata.uid);
        if matches!(waited, Some(LoggedWait::Drain(_))) {
            self.log(LogLevel::Info, one, &format!("{} is drained", node_of(one)));
        }
    }

    async fn tell_drain(&self, one: &ReconcileTarget, reason: &str, message: &str) {
        let (recorder, kind) = (&self.event_recorder, EventType::Normal);
        recorder.record_event(&one.object, kind, reason, message).await;
    }

    /// Terminates the instance, and all other instances with the name of the Machine, so that none
    /// is left.
    async fn terminate(&self, one: &mut ReconcileTarget) -> Result<NextLook> {
        let found = self.find(one).await?;
        let mut ids = self.batcher.named(&one.name).await?;
        ids.retain(|id| Some(id) != found.id.as_ref());
        let uid = &one.machine.metadata.uid;
        let (known_for, absent_for) = (self.deleted_for(uid), self.absent_for(uid, &found.seen));
        match terminate(&one.machine, &found.seen, known_for, absent_for) {
            DeletionAction::Finish if ids.is_empty() => self.let_go(one, &found).await,
            DeletionAction::Wait(after) if ids.is_empty() => Ok(NextLook::After(after)),
            what => {
                if what == DeletionAction::Terminate
                    && let InstanceState::There(instance) = &found.seen
                {
                    for attachment in self.attachments(one, instance) {
                        self.change(|ec2| ec2.deregister(attachment)).await?;
                    }
                    ids.push(instance.id.clone());
                }
                let is_unseen = what == DeletionAction::TerminateUnseen;
                if is_unseen {
                    self.tell_unseen(one, &found).await?;
                }
                ids.extend(found.id.filter(|_| is_unseen));
                for id in ids {
                    self.change(|ec2| ec2.terminate(id)).await?;
                }
                Ok(NextLook::After(if is_unseen { SOONER } else { SOON }))
            }
        }
    }

    /// Records that EC2 does not show the instance of a deleted Machine.
    async fn tell_unseen(&self, one: &mut ReconcileTarget, found: &FoundInstance) -> Result<()> {
        let now = self.clock.now();
        let id = found.id.as_ref().map_or("", InstanceId::as_str);
        let message = match &found.seen {
            InstanceState::NotFound => format!(
                "EC2 does not know {id}: the Machine is kept until this has been so for {} seconds",
                PROVEN.as_secs()
            ),
            _ => format!(
                "EC2 does not show {id}, and does not say that it does not exist: its termination \
                 is requested until it is terminated"
            ),
        };
        let changes = not_found_out(&one.machine, &message, now);
        if changes.status(now).is_some() {
            self.log(LogLevel::Warning, one, &message);
        }
        self.write(one, changes).await
    }

    /// Deletes the Node, then removes the finalizer. A process that resumes after an interruption
    /// starts with the Node again.
    async fn let_go(&self, one: &mut ReconcileTarget, found: &FoundInstance) -> Result<NextLook> {
        self.delete_node(&one.machine).await?;
        match self.patch(one, &without_finalizer(&one.machine)).await {
            // An earlier request has removed the finalizer, and the Machine with it.
            Err(ReconcileError::Cluster(kube::Error::Api(status))) if status.code == 404 => (),
            other => other?,
        }
        let message = format!("Deleted machine {}", one.name);
        let ended = match (&found.seen, &found.id) {
            (InstanceState::Terminated { .. }, Some(id)) => {
                format!("deleted; its instance {id} is terminated")
            }
            (_, Some(id)) => format!("deleted; EC2 does not know its instance {id}"),
            (_, None) => "deleted; it had no instance".to_owned(),
        };
        self.log(LogLevel::Info, one, &ended);
        self.event_recorder.record_event(&one.object, EventType::Normal, "Delete", &message).await;
        self.health.metrics.forget(&self.settings.namespace, &one.name);
        self.deleted().remove(&one.machine.metadata.uid);
        self.absent().remove(&one.machine.metadata.uid);
        Ok(NextLook::OnChange)
    }

    /// Deletes the Node of a Machine, if its UID matches. A Node of the same name with another UID
    /// belongs to another machine, because Nodes are named after addresses, which AWS assigns
    /// again.
    async fn delete_node(&self, machine: &Machine) -> Result<()> {
        let Some(node) = &machine.status.node_ref else { return Ok(()) };
        let Some(name) = node["name"].as_str() else { return Ok(()) };
        let uid = node["uid"].as_str().filter(|uid| !uid.is_empty()).map(str::to_owned);
        let preconditions = Some(Preconditions { uid, resource_version: None });
        let by = DeleteParams { preconditions, ..DeleteParams::default() };
        let nodes: Api<Node> = Api::all(self.client.clone());
        match nodes.delete(name, &by).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            other => Ok(other.map(drop)?),
        }
    }
}

/// Returns the Node of a Machine, for the log.
fn node_of(one: &ReconcileTarget) -> String {
    let node = one.machine.status.node_ref.as_ref();
    let name = node.and_then(|node| node["name"].as_str()).unwrap_or_default();
    format!("Node {name}")
}
