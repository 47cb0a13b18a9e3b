//! What a Machine says of itself: labels, annotations, conditions, phase and the rest of its status.
//!
//! Conditions keep their times for as long as their status stays (openshift/api
//! `types_machine.go`; machine-api-provider-aws `utils.go`, `setCondition`).

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{Failure, INSTANCE_STATE, provider_status};
use crate::aws::machine::MachineOutputs;
use crate::aws::metadata_options::MetadataOptions;
use crate::machine_api::types::{
    AwsMachineProviderStatus, Condition, MACHINE_API, Machine, MachineStatus, NodeAddress,
    ProviderCondition,
};

/// On a Machine, and on its Node: it may be taken away.
pub(super) const SPOT: &str = "machine.openshift.io/interruptible-instance";

/// A Machine before and after: what is to be written of it.
#[derive(Clone, Debug)]
pub struct Changes {
    before: Machine,
    /// As it is to be.
    pub after: Machine,
}

impl Changes {
    fn of(machine: &Machine) -> Self {
        Self { before: machine.clone(), after: machine.clone() }
    }

    fn with(machine: &Machine, change: impl FnOnce(&mut Machine)) -> Self {
        let mut changes = Self::of(machine);
        change(&mut changes.after);
        changes
    }

    /// What is written of its metadata and its spec, as a merge patch: labels, annotations and the
    /// providerID. Nothing else of it is ours.
    pub fn object(&self) -> Option<Value> {
        let (before, after) = (&self.before, &self.after);
        let mut patch = json!({});
        for (path, old, new) in [
            (&["metadata", "labels"][..], &before.metadata.labels, &after.metadata.labels),
            (
                &["metadata", "annotations"],
                &before.metadata.annotations,
                &after.metadata.annotations,
            ),
            (
                &["spec", "metadata", "labels"],
                &before.spec.metadata.labels,
                &after.spec.metadata.labels,
            ),
        ] {
            for (key, value) in new.iter().filter(|(key, value)| old.get(*key) != Some(*value)) {
                let at = path.iter().fold(&mut patch, |at, field| &mut at[*field]);
                at[key] = json!(value);
            }
        }
        if before.spec.provider_id != after.spec.provider_id {
            patch["spec"]["providerID"] = json!(after.spec.provider_id);
        }
        (patch != json!({})).then_some(patch)
    }

    /// What is written of its status, as a merge patch. When it was last updated is only said where
    /// anything else is.
    pub fn status(&self, now: Timestamp) -> Option<Value> {
        let fields = |status: &MachineStatus| match serde_json::to_value(status) {
            Ok(Value::Object(fields)) => fields,
            _ => Map::new(),
        };
        let (old, new) = (fields(&self.before.status), fields(&self.after.status));
        let mut patch = Map::new();
        for field in old.keys().chain(new.keys()) {
            if old.get(field) != new.get(field) {
                patch.insert(field.clone(), new.get(field).cloned().unwrap_or(Value::Null));
            }
        }
        if patch.is_empty() {
            return None;
        }
        patch.insert("lastUpdated".to_owned(), json!(whole_seconds(now).to_string()));
        Some(Value::Object(patch))
    }
}

/// Whether its instance was made, in the provider's part of the status.
const CREATION: &str = "MachineCreation";

/// Its reason while an answer is missing. One that came later says nothing of the one that did not.
const UNANSWERED: &str = "MachineCreationUnanswered";

/// A launch is about to leave. Written before it does: until its answer is known, nobody may take it for
/// sure that there is no instance. Ours; upstream's status says nothing until it knows.
pub fn launching(machine: &Machine, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        enter(after, "Provisioning");
        let message = "instance has not been created";
        condition(after, ("InstanceExists", "False"), "InstanceNotCreated", message, now);
        let is_open = creation(after).is_some_and(|one| one.status == "Unknown");
        let reason = if is_open { UNANSWERED } else { "MachineCreationStarted" };
        let started = ("Unknown", reason, "the launch has left, or is about to");
        provider(after, None, Some(started), now);
    })
}

/// Nobody knows what came of a launch.
pub fn launch_unanswered(machine: &Machine, message: &str, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        provider(after, None, Some(("Unknown", UNANSWERED, message)), now);
    })
}

/// What was told of the creation of its instance.
pub(super) fn creation(machine: &Machine) -> Option<ProviderCondition> {
    let conditions = provider_status(machine).conditions;
    conditions.into_iter().find(|one| one.kind == CREATION)
}

/// A launch came to nothing. Whether one before it did that had no answer is as open as it was.
fn not_created(machine: &mut Machine, message: &str, now: Timestamp) {
    let is_open = creation(machine).is_some_and(|one| one.reason == UNANSWERED);
    let said = match is_open {
        true => ("Unknown", UNANSWERED, message),
        false => ("False", "MachineCreationFailed", message),
    };
    provider(machine, None, Some(said), now);
}

/// Its instance was launched a moment ago. Addresses come later: with them it would count as
/// provisioned.
pub fn launched(machine: &Machine, instance: &MachineOutputs, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        enter(after, "Provisioning");
        after.status.addresses = Vec::new();
        let created = ("True", "MachineCreationSucceeded", "Machine successfully created");
        provider(after, Some(instance), Some(created), now);
        annotate(after, instance);
    })
}

/// Its instance could not be launched, and that may pass.
pub fn creation_failed(machine: &Machine, message: &str, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        not_created(after, message, now);
    })
}

/// Its instance is there.
pub fn running(
    machine: &Machine,
    instance: &MachineOutputs,
    region: &str,
    now: Timestamp,
) -> Changes {
    Changes::with(machine, |after| {
        after.spec.provider_id = Some(format!("aws:///{}/{}", instance.seen.zone, instance.id));
        for (label, value) in [
            ("machine.openshift.io/region", region),
            ("machine.openshift.io/zone", &instance.seen.zone),
            ("machine.openshift.io/instance-type", &instance.seen.instance_type),
        ] {
            after.metadata.labels.insert(label.to_owned(), value.to_owned());
        }
        if instance.seen.spot {
            after.metadata.labels.insert(SPOT.to_owned(), String::new());
            after.spec.metadata.labels.insert(SPOT.to_owned(), String::new());
        }
        annotate(after, instance);
        let created = ("True", "MachineCreationSucceeded", "Machine successfully created");
        provider(after, Some(instance), Some(created), now);
        let addresses = instance.seen.addresses.iter();
        let addresses = addresses
            .map(|(kind, address)| NodeAddress { kind: kind.clone(), address: address.clone() });
        after.status.addresses = addresses.collect();
        condition(after, ("InstanceExists", "True"), "", "", now);
        let phase = if after.status.node_ref.is_some() { "Running" } else { "Provisioned" };
        enter(after, phase);
    })
}

/// Whether its instance's metadata service answers as is wanted. A difference is told and left: nobody's
/// running machine is changed behind their back. Nothing is said where nothing is wanted.
pub fn in_sync(
    changes: Changes,
    wanted: &MetadataOptions,
    live: &MetadataOptions,
    now: Timestamp,
) -> Changes {
    let Changes { before, mut after } = changes;
    let differences = differences(wanted, live);
    let known = after.status.conditions.iter().any(|one| one.kind == IN_SYNC);
    if !wanted.is_empty() && !differences.is_empty() {
        let message = format!(
            "the running instance has {}: a change of the providerSpec is for new machines; delete this \
             one to have it replaced, or change it with `groundplan machines apply`",
            differences.join(", ")
        );
        condition(&mut after, (IN_SYNC, "False"), "InstanceDiffers", &message, now);
    } else if known {
        condition(&mut after, (IN_SYNC, "True"), "", "", now);
    }
    Changes { before, after }
}

/// Whether an instance's metadata options are those of its providerSpec.
pub(crate) const IN_SYNC: &str = "MetadataOptionsInSync";

/// What of the wanted options an instance has otherwise: `http_tokens "optional" instead of "required"`.
fn differences(wanted: &MetadataOptions, live: &MetadataOptions) -> Vec<String> {
    let fields = |options: &MetadataOptions| match serde_json::to_value(options) {
        Ok(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let live = fields(live);
    let wanted = fields(wanted).into_iter().filter(|(_, value)| !value.is_null());
    let differing = wanted.filter(|(field, value)| live.get(field) != Some(value));
    let told = differing.map(|(field, value)| {
        let live = live.get(&field).unwrap_or(&Value::Null);
        format!("{field} {live} instead of {value}")
    });
    told.collect()
}

/// It has failed for good.
pub fn failed(machine: &Machine, failure: &Failure, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        after.status.error_reason = Some(failure.reason.to_owned()).filter(|one| !one.is_empty());
        after.status.error_message = Some(failure.message.clone());
        let mut known = provider_status(after);
        if known.instance_state.is_some() {
            known.instance_state = Some("Unknown".to_owned());
            after.metadata.annotations.insert(INSTANCE_STATE.to_owned(), "Unknown".to_owned());
            write(after, &known);
        }
        if known.instance_id.is_none() {
            not_created(after, &failure.message, now);
        }
        after.status.phase = Some("Failed".to_owned());
    })
}

/// Its instance is gone, though it was there.
pub fn missing(machine: &Machine, failure: &Failure, now: Timestamp) -> Changes {
    let Changes { before, mut after } = failed(machine, failure, now);
    condition(&mut after, ("InstanceExists", "False"), "InstanceMissing", &failure.message, now);
    Changes { before, after }
}

/// Nobody knows whether it has an instance.
pub fn not_found_out(machine: &Machine, message: &str, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        condition(after, ("InstanceExists", "Unknown"), "ErrorCheckingProvider", message, now);
    })
}

/// It is being deleted.
pub fn deleting(machine: &Machine) -> Changes {
    Changes::with(machine, |after| {
        after.status.phase = Some("Deleting".to_owned());
    })
}

/// Its Node is drained, or why it is not.
pub fn drained(machine: &Machine, outcome: Result<&str, &str>, now: Timestamp) -> Changes {
    Changes::with(machine, |after| match outcome {
        Ok(message) => {
            condition(after, ("Drainable", "True"), "", "", now);
            condition(after, ("Drained", "True"), "", message, now);
        }
        Err(why) => condition(after, ("Drained", "False"), "DrainError", why, now),
    })
}

/// Hooks hold it.
pub fn held_by_hooks(machine: &Machine, now: Timestamp) -> Changes {
    Changes::with(machine, |after| {
        let (reason, message) = holding(after);
        let kind = if reason == DRAIN_BLOCKED { "Drainable" } else { TERMINABLE };
        condition(after, (kind, "False"), "HookPresent", &message, now);
    })
}

/// No hook holds it any more.
pub fn unheld(machine: &Machine, now: Timestamp) -> Changes {
    let was_held = machine.status.conditions.iter().any(|one| one.kind == TERMINABLE);
    Changes::with(machine, |after| {
        if was_held {
            condition(after, (TERMINABLE, "True"), "", "", now);
        }
    })
}

const TERMINABLE: &str = "Terminable";
const DRAIN_BLOCKED: &str = "DrainBlocked";

/// What hooks hold up, in one word, and which ones they are.
pub fn holding(machine: &Machine) -> (&'static str, String) {
    let hooks = &machine.spec.lifecycle_hooks;
    let (reason, holding) = match super::is_true(machine, "Drained") {
        false => (DRAIN_BLOCKED, &hooks.pre_drain),
        true => ("TerminationBlocked", &hooks.pre_terminate),
    };
    let names: Vec<String> =
        holding.iter().map(|hook| format!("{} (of {})", hook.name, hook.owner)).collect();
    (reason, format!("held by lifecycle hooks: {}", names.join(", ")))
}

/// The patch that lets go of it, and changes nothing else: the webhook lets that pass whatever is wrong
/// with the Machine, if no other finalizer is left (openshift/machine-api-operator `pkg/webhooks`).
pub fn without_finalizer(machine: &Machine) -> Value {
    let others = machine.metadata.finalizers.iter().filter(|held| *held != super::FINALIZER);
    let others: Vec<&String> = others.collect();
    match others.is_empty() {
        true => json!({"metadata": {"finalizers": null}}),
        false => json!({"metadata": {"finalizers": others}}),
    }
}

/// Errors are of the past once it goes on.
fn enter(machine: &mut Machine, phase: &str) {
    machine.status.phase = Some(phase.to_owned());
    machine.status.error_reason = None;
    machine.status.error_message = None;
}

fn annotate(machine: &mut Machine, instance: &MachineOutputs) {
    machine.metadata.annotations.insert(INSTANCE_STATE.to_owned(), instance.seen.state.clone());
}

fn condition(
    machine: &mut Machine,
    (kind, status): (&str, &str),
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let severity = if status == "False" { "Warning" } else { "" };
    let mut wanted = Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        severity: severity.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Some(whole_seconds(now).to_string()),
    };
    let conditions = &mut machine.status.conditions;
    match conditions.iter_mut().find(|one| one.kind == kind) {
        Some(known) => {
            if known.status == wanted.status {
                wanted.last_transition_time = known.last_transition_time.take();
            }
            *known = wanted;
        }
        None => conditions.push(wanted),
    }
}

/// What AWS says of it, and whether it could be made: status, reason, message.
fn provider(
    machine: &mut Machine,
    instance: Option<&MachineOutputs>,
    created: Option<(&str, &str, &str)>,
    now: Timestamp,
) {
    let mut known = provider_status(machine);
    if let Some(instance) = instance {
        known.instance_id = Some(instance.id.0.clone());
        known.instance_state = Some(instance.seen.state.clone());
    }
    if let Some((status, reason, message)) = created {
        created_condition(&mut known, status, reason, message, now);
    }
    write(machine, &known);
}

fn write(machine: &mut Machine, known: &AwsMachineProviderStatus) {
    let mut known = known.clone();
    known.api_version = MACHINE_API.to_owned();
    known.kind = "AWSMachineProviderStatus".to_owned();
    machine.status.provider_status = serde_json::to_value(known).ok();
}

/// Replaced only if the reason or the message differs.
fn created_condition(
    status: &mut AwsMachineProviderStatus,
    is: &str,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let known = status.conditions.iter().position(|one| one.kind == CREATION);
    let old = known.map(|index| status.conditions[index].clone());
    if old.as_ref().is_some_and(|old| old.reason == reason && old.message == message) {
        return;
    }
    let since = old.filter(|old| old.status == is).and_then(|old| old.last_transition_time);
    let wanted = ProviderCondition {
        kind: CREATION.to_owned(),
        status: is.to_owned(),
        observed_generation: 0,
        last_transition_time: Some(since.unwrap_or_else(|| whole_seconds(now).to_string())),
        reason: reason.to_owned(),
        message: message.to_owned(),
    };
    match known {
        Some(index) => status.conditions[index] = wanted,
        None => status.conditions.push(wanted),
    }
}

/// Times of the API have no fractions of seconds.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}
