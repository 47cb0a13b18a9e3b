//! Status of a Machine: labels, annotations, conditions, phase and other fields.
//!
//! A condition keeps its transition time while its status stays the same (openshift/api
//! `types_machine.go`; machine-api-provider-aws `utils.go`, `setCondition`).

use groundplan_aws::kinds::machine::MachineOutputs;
use groundplan_aws::model::metadata_options::MetadataOptions;
use groundplan_openshift::machine_api::types::{
    AwsMachineProviderStatus, Condition, LifecycleHook, MACHINE_API, Machine, MachineStatus,
    NodeAddress, ProviderCondition,
};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::{INSTANCE_STATE, MachineFailure, provider_status};
use crate::authority::Authority;
use crate::conditions::{self, whole_seconds};

/// Label of a Machine and its Node for a spot instance, which EC2 may terminate.
pub(super) const SPOT: &str = "machine.openshift.io/interruptible-instance";

/// Machine before and after a change. The difference is what must be written.
#[derive(Clone, Debug)]
pub struct MachineChange {
    before: Machine,
    /// Machine after the change.
    pub after: Machine,
}

impl MachineChange {
    /// Returns a change of nothing.
    pub fn none(machine: &Machine) -> Self {
        Self { before: machine.clone(), after: machine.clone() }
    }

    fn with(machine: &Machine, change: impl FnOnce(&mut Machine)) -> Self {
        let mut changes = Self::none(machine);
        change(&mut changes.after);
        changes
    }

    /// Returns the change with another change that follows it, so that both are one write.
    #[must_use]
    pub fn then(self, next: impl FnOnce(&Machine) -> Self) -> Self {
        let after = next(&self.after).after;
        Self { before: self.before, after }
    }

    /// Returns the merge patch for labels, annotations and providerID, the only fields outside the
    /// status that the controller writes. `None` if none of them changes.
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

    /// Returns the merge patch for the status, or `None` if no field changes. The patch sets the
    /// update time only together with another field.
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

/// Condition in the provider status: the instance was created.
const CREATION: &str = "MachineCreation";

/// Reason of that condition while a launch is in doubt. The result of a later launch does not
/// settle an earlier one.
const UNANSWERED: &str = "MachineCreationUnanswered";

/// Records that the instance is to be launched. Nothing was sent yet. The launch of an earlier
/// process that left no result stays in doubt.
pub fn provisioning(machine: &Machine, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
        enter(after, "Provisioning");
        let message = "instance has not been created";
        condition(after, ("InstanceExists", "False"), "InstanceNotCreated", message, now);
        hook_conditions(after, now);
        let open = creation(after).filter(|one| one.status == "Unknown");
        if let Some(open) = open {
            provider(after, None, Some(("Unknown", UNANSWERED, &open.message)), now);
        }
    })
}

/// Records a launch before the request is sent. Until the result is known, no process may conclude
/// that no instance exists. The upstream controller records nothing until it has the result.
pub fn launching(machine: &Machine, now: Timestamp) -> MachineChange {
    let MachineChange { before, mut after } = provisioning(machine, now);
    let is_open = creation(machine).is_some_and(|one| one.status == "Unknown");
    let reason = if is_open { UNANSWERED } else { "MachineCreationStarted" };
    let started = ("Unknown", reason, "the launch request was sent, or is about to be sent");
    provider(&mut after, None, Some(started), now);
    MachineChange { before, after }
}

/// Records that the result of a launch is unknown.
pub fn launch_unanswered(machine: &Machine, message: &str, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
        provider(after, None, Some(("Unknown", UNANSWERED, message)), now);
    })
}

/// Returns the condition about the creation of the instance.
pub(super) fn creation(machine: &Machine) -> Option<ProviderCondition> {
    let conditions = provider_status(machine).conditions;
    conditions.into_iter().find(|one| one.kind == CREATION)
}

/// Records a failed launch. An earlier launch in doubt stays in doubt.
fn not_created(machine: &mut Machine, message: &str, now: Timestamp) {
    let is_open = creation(machine).is_some_and(|one| one.reason == UNANSWERED);
    let said = match is_open {
        true => ("Unknown", UNANSWERED, message),
        false => ("False", "MachineCreationFailed", message),
    };
    provider(machine, None, Some(said), now);
}

/// Records a launched instance. Addresses are added later, because a Machine with addresses counts
/// as provisioned.
pub fn launched(
    machine: &Machine,
    instance: &MachineOutputs,
    region: &str,
    now: Timestamp,
) -> MachineChange {
    MachineChange::with(machine, |after| {
        enter(after, "Provisioning");
        label(after, instance, region);
        after.status.addresses = Vec::new();
        let created = ("True", "MachineCreationSucceeded", "Machine successfully created");
        provider(after, Some(instance), Some(created), now);
        annotate(after, instance);
    })
}

/// Records a failed launch that may succeed later.
pub fn creation_failed(machine: &Machine, message: &str, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
        not_created(after, message, now);
    })
}

/// Records an existing instance.
pub fn running(
    machine: &Machine,
    instance: &MachineOutputs,
    region: &str,
    now: Timestamp,
) -> MachineChange {
    MachineChange::with(machine, |after| {
        after.spec.provider_id = Some(format!("aws:///{}/{}", instance.seen.zone, instance.id));
        label(after, instance, region);
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
        hook_conditions(after, now);
        let phase = if after.status.node_ref.is_some() { "Running" } else { "Provisioned" };
        enter(after, phase);
    })
}

/// Records whether the instance has the metadata options that the config requests. A difference
/// sets the condition to `False`. The instance stays as it is, because the controller never changes
/// a running instance without a request of the user. Without a difference an existing condition
/// becomes `True`, and no condition is added.
pub fn in_sync(
    changes: MachineChange,
    wanted: &MetadataOptions,
    live: &MetadataOptions,
    now: Timestamp,
) -> MachineChange {
    let MachineChange { before, mut after } = changes;
    let differences = differences(wanted, live);
    let known = after.status.conditions.iter().any(|one| one.kind == IN_SYNC);
    if !wanted.is_empty() && !differences.is_empty() {
        let message = format!(
            "the running instance has {}: a changed providerSpec applies only to new machines; \
             delete this machine to replace it, or change the instance with `groundplan machines \
             apply`",
            differences.join(", ")
        );
        condition(&mut after, (IN_SYNC, "False"), "InstanceDiffers", &message, now);
    } else if known {
        condition(&mut after, (IN_SYNC, "True"), "", "", now);
    }
    MachineChange { before, after }
}

/// Records an unexpected kind of the provider config, and fields that its type does not have. The
/// condition is `False` while there are any, because settings may have no effect. Without any, an existing condition becomes
/// `True`, and no condition is added.
pub fn known_fields(changes: MachineChange, unknown: &[String], now: Timestamp) -> MachineChange {
    let MachineChange { before, mut after } = changes;
    let known = after.status.conditions.iter().any(|one| one.kind == FIELDS_KNOWN);
    if !unknown.is_empty() {
        let message = unknown.join("; ");
        condition(&mut after, (FIELDS_KNOWN, "False"), "UnknownFields", &message, now);
    } else if known {
        condition(&mut after, (FIELDS_KNOWN, "True"), "", "", now);
    }
    MachineChange { before, after }
}

/// Condition: the type of the provider config has all fields that the providerSpec has.
pub(crate) const FIELDS_KNOWN: &str = "ProviderSpecFieldsKnown";

/// Condition: the metadata options of the instance are those of its providerSpec.
pub(crate) const IN_SYNC: &str = "MetadataOptionsInSync";

/// Returns the requested options that the instance has with another value, such as `http_tokens
/// "optional" instead of "required"`.
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

/// Records a permanent failure.
pub fn failed(machine: &Machine, failure: &MachineFailure, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
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
        hook_conditions(after, now);
    })
}

/// Records that the instance no longer exists.
pub fn missing(machine: &Machine, failure: &MachineFailure, now: Timestamp) -> MachineChange {
    let MachineChange { before, mut after } = failed(machine, failure, now);
    condition(&mut after, ("InstanceExists", "False"), "InstanceMissing", &failure.message, now);
    MachineChange { before, after }
}

/// Records that the existence of the instance is unknown.
pub fn not_found_out(machine: &Machine, message: &str, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
        condition(after, ("InstanceExists", "Unknown"), "ErrorCheckingProvider", message, now);
    })
}

/// Records that the controller acts on the Machine or does not, because of its authority.
pub fn paused(machine: &Machine, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
        let (spec, status) = (&machine.spec.authoritative_api, &machine.status.authoritative_api);
        if let Some(condition) = Authority::of(spec, status).paused_condition(now) {
            conditions::set(&mut after.status.conditions, condition);
        }
    })
}

/// Records the deletion of the Machine.
pub fn deleting(machine: &Machine, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| {
        after.status.phase = Some("Deleting".to_owned());
        hook_conditions(after, now);
    })
}

/// Records that the Node is drained, or why not.
pub fn drained(machine: &Machine, outcome: Result<&str, &str>, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| match outcome {
        Ok(message) => {
            condition(after, ("Drained", "True"), "", message, now);
        }
        Err(why) => condition(after, ("Drained", "False"), "DrainError", why, now),
    })
}

/// Records which lifecycle hooks delay the drain and the termination.
pub fn lifecycle_hooks(machine: &Machine, now: Timestamp) -> MachineChange {
    MachineChange::with(machine, |after| hook_conditions(after, now))
}

fn hook_conditions(machine: &mut Machine, now: Timestamp) {
    let hooks = machine.spec.lifecycle_hooks.clone();
    for (kind, hooks) in [("Drainable", &hooks.pre_drain), ("Terminable", &hooks.pre_terminate)] {
        match hooks.is_empty() {
            true => condition(machine, (kind, "True"), "", "", now),
            false => condition(machine, (kind, "False"), "HookPresent", &names(hooks), now),
        }
    }
}

const DRAIN_BLOCKED: &str = "DrainBlocked";

/// Returns the delayed action in one word, and the names of the hooks that delay it.
pub fn holding(machine: &Machine) -> (&'static str, String) {
    let hooks = &machine.spec.lifecycle_hooks;
    let (reason, holding) = match super::is_true(machine, "Drained") {
        false => (DRAIN_BLOCKED, &hooks.pre_drain),
        true => ("TerminationBlocked", &hooks.pre_terminate),
    };
    (reason, names(holding))
}

fn names(hooks: &[LifecycleHook]) -> String {
    let names = hooks.iter().map(|hook| format!("{} (of {})", hook.name, hook.owner));
    format!("blocked by lifecycle hooks: {}", names.collect::<Vec<_>>().join(", "))
}

/// Returns the patch that removes the finalizer and changes nothing else. The webhook accepts such
/// a patch even for an invalid Machine, if no other finalizer is left
/// (openshift/machine-api-operator `pkg/webhooks`).
pub fn without_finalizer(machine: &Machine) -> Value {
    let others = machine.metadata.finalizers.iter().filter(|held| *held != super::FINALIZER);
    let others: Vec<&String> = others.collect();
    match others.is_empty() {
        true => json!({"metadata": {"finalizers": null}}),
        false => json!({"metadata": {"finalizers": others}}),
    }
}

/// Sets the phase, and clears errors of earlier phases.
fn enter(machine: &mut Machine, phase: &str) {
    machine.status.phase = Some(phase.to_owned());
    machine.status.error_reason = None;
    machine.status.error_message = None;
}

/// Sets the labels that `kubectl get machines` shows.
fn label(machine: &mut Machine, instance: &MachineOutputs, region: &str) {
    for (label, value) in [
        ("machine.openshift.io/region", region),
        ("machine.openshift.io/zone", &instance.seen.zone),
        ("machine.openshift.io/instance-type", &instance.seen.instance_type),
    ] {
        machine.metadata.labels.insert(label.to_owned(), value.to_owned());
    }
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
    let wanted = Condition {
        kind: kind.to_owned(),
        status: status.to_owned(),
        severity: severity.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        last_transition_time: Some(whole_seconds(now).to_string()),
    };
    conditions::set(&mut machine.status.conditions, wanted);
}

/// Updates the provider status. `created` is the result of the creation: status, reason, message.
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

/// Sets the condition about the creation. The condition stays unchanged if reason and message are
/// equal.
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
    let others = old.as_ref().map(|old| old.others.clone()).unwrap_or_default();
    let since = old.filter(|old| old.status == is).and_then(|old| old.last_transition_time);
    let wanted = ProviderCondition {
        kind: CREATION.to_owned(),
        status: is.to_owned(),
        observed_generation: 0,
        last_transition_time: Some(since.unwrap_or_else(|| whole_seconds(now).to_string())),
        reason: reason.to_owned(),
        message: message.to_owned(),
        others,
    };
    match known {
        Some(index) => status.conditions[index] = wanted,
        None => status.conditions.push(wanted),
    }
}
