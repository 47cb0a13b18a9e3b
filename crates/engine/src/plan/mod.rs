//! Planning: decides all changes and performs none.
//!
//! [`plan`] is an ordinary function of the graph, the state, the live state and the kinds' schemas,
//! without clock, network or randomness. The same inputs give the same bytes.
//!
//! - [`diff`] compares inputs field by field. [`decide`] turns differences into actions with
//!   reasons. [`order`] turns actions into steps. [`targeting`] applies targets and excludes.
//! - [`saved`] is a plan as a file. [`guard`] checks the limits that the user sets for a plan.
//! - [`values`] has the inputs of all resources after the plan, for readers. [`billing`] adds up what
//!   the provider bills for them.

pub mod billing;
mod conflicts;
pub mod decide;
pub mod diff;
pub mod guard;
pub mod order;
pub mod saved;
pub mod targeting;
#[cfg(test)]
mod tests;
pub mod values;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::decide::ObjectDecision;
pub use self::targeting::Selection;
pub use crate::drift::{Classify, DriftClass, FieldChange, UnmanagedDrift};
use crate::event::{Operation, StepAction, StepName};
use crate::graph::{Address, DependentsStart, Graph};
use crate::provider::{Observed, Schemas};
use crate::secret::{Secret, each_new_secret};
use crate::state::{Cluster, RecordStatus, State};

/// Live state of the recorded resources. An absent address was not refreshed; its recorded state is
/// used instead.
pub type LiveState = BTreeMap<Address, Observed>;

/// Changes with their reasons, and the steps in order. Contains no secret and no time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// Operation that the plan is for.
    pub operation: Operation,
    /// Lineage of the state that the plan was made from.
    pub lineage: String,
    /// Serial of that state. The plan is stale once the state has another serial.
    pub serial: u64,
    /// Identity of the cluster.
    pub cluster: Option<Cluster>,
    /// Generation of all resources that the plan creates.
    pub generation: u64,
    /// Selected part of the plan; `None` if the plan is complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// Changes, one per object: desired resources in dependency order, then deletions.
    pub changes: Vec<Change>,
    /// Dependency updates: kept resources whose dependencies alone have changed. Recorded without a
    /// call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[serde(rename = "relinks")]
    pub dependency_updates: Vec<DependencyUpdate>,
    /// Steps for the executor, which decides only timing.
    pub steps: Vec<Step>,
}

/// Dependency update: new dependencies of a kept resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DependencyUpdate {
    /// Address of the resource.
    pub address: Address,
    /// New direct dependencies.
    pub after: Vec<Address>,
}

/// Change of one resource, for the reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Address of the resource.
    pub address: Address,
    /// Action of the plan.
    pub action: Action,
    /// Reason of the action.
    pub reason: Reason,
    /// ID in the cloud, if the resource has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Changed fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// Drift since the last run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<FieldChange>,
    /// Drift outside the inputs, such as additions by others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmanaged: Vec<UnmanagedDrift>,
    /// Ignored differences.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<IgnoredDifference>,
    /// Inputs before the plan, for readers, if the plan changes, finishes, replaces or deletes an
    /// existing object. `None` for a new resource, and for a kept one, whose inputs are in `after`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// Inputs after the plan, for readers; `None` if the resource does not exist then. A reference
    /// has its value beside the address, if the value is known ([`values::known_value`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// True if the change deletes or replaces a protected resource.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

/// Ignored difference: reported and not changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IgnoredDifference {
    /// Difference.
    pub field: FieldChange,
    /// Reason for ignoring the difference.
    pub because: IgnoreReason,
}

/// Reason for ignoring a difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IgnoreReason {
    /// The input is create-only. The plan does not replace a running resource because of it.
    #[serde(rename = "set_at_creation")]
    CreateOnly,
    /// The configuration has no opinion on the input any more.
    NoOpinion,
    /// Another person or program changed the input, and only a replacement could revert the change.
    #[serde(rename = "by_hand")]
    ChangedOutside,
}

/// Action of a plan for one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// No action; the resource is up to date or left out.
    Keep,
    /// Creates the resource.
    Create,
    /// Finishes a creation that an earlier run began.
    Finish,
    /// Changes the resource in place.
    Update,
    /// Deletes the resource and creates it again.
    DeleteThenCreate,
    /// Creates the replacement, then deletes the old resource once its dependents use the
    /// replacement.
    CreateThenDelete,
    /// Deletes the resource.
    Delete,
}

impl Action {
    /// Returns true for the two replacements.
    pub fn replaces(self) -> bool {
        matches!(self, Action::DeleteThenCreate | Action::CreateThenDelete)
    }

    /// Returns true if the action deletes an existing object.
    pub fn destroys(self) -> bool {
        self == Action::Delete || self.replaces()
    }
}

/// Reason of an action.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Reason {
    /// No difference.
    UpToDate,
    /// The resource was never created.
    New,
    /// The resource is recorded, and refresh did not find it.
    Missing,
    /// An earlier run began the creation or the update and did not finish it.
    Unfinished,
    /// The configuration changed.
    Changed,
    /// Drift: the live state changed, and the configuration did not.
    Drifted,
    /// Force-new inputs changed.
    CannotUpdate {
        /// Paths of the force-new inputs.
        paths: Vec<String>,
    },
    /// The resource has blocking references to resources that must be deleted before their
    /// replacements are created.
    #[serde(rename = "holds_on")]
    BlockingReference {
        /// Addresses of the referenced resources.
        to: Vec<Address>,
    },
    /// An earlier run began the deletion.
    #[serde(rename = "half_deleted")]
    DeletionUnfinished,
    /// The user requested the replacement of the address.
    Requested,
    /// The configuration does not contain the resource any more.
    NotInConfiguration,
    /// The resource is in a retired part of the cluster.
    Retired {
        /// Reason of the retirement, in words.
        because: String,
    },
    /// Deposed: a replacement took the place of the object.
    Superseded,
    /// The operation deletes all resources.
    Destroy,
    /// The resource differs, and the selected part of the plan does not include it.
    NotSelected,
}

/// Unit of work of the executor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Operation of the step.
    pub op: Op,
    /// Dependencies of the step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Dependency>,
}

/// Dependency of a step: another step, up to a milestone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// Index of the other step.
    pub step: u32,
    /// Milestone that the other step must reach.
    pub until: Milestone,
}

/// Milestone of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Milestone {
    /// The object exists and is recorded.
    Created,
    /// The step is done.
    Done,
}

impl From<DependentsStart> for Milestone {
    fn from(dependents_start: DependentsStart) -> Self {
        match dependents_start {
            DependentsStart::Created => Milestone::Created,
            DependentsStart::Ready => Milestone::Done,
        }
    }
}

/// Operation of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Creates a resource.
    Create {
        /// Address of the resource.
        address: Address,
        /// Generation of the new object.
        generation: u64,
        /// Inputs; references are resolved when the step starts.
        inputs: Value,
        /// Direct dependencies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
        /// Recorded object at the address.
        prior: PriorObject,
        /// Live inputs of a creation in doubt that refresh found. The step changes the inputs that
        /// differ from these.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<Value>,
    },
    /// Finishes a creation or an update from the phase that it has reached.
    Finish {
        /// Address of the resource.
        address: Address,
        /// Generation of the object.
        generation: u64,
    },
    /// Changes a resource in place.
    Update {
        /// Address of the resource.
        address: Address,
        /// Generation of the object.
        generation: u64,
        /// Live inputs. The update changes the inputs that differ from these.
        before: Value,
        /// New inputs; references are resolved when the step starts.
        inputs: Value,
        /// Direct dependencies.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
        /// Unmanaged drift that the update reverts.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        revert: Vec<UnmanagedDrift>,
    },
    /// Deletes a resource.
    Delete {
        /// Address of the resource.
        address: Address,
        /// Generation of the deleted object.
        generation: u64,
        /// True if refresh did not find the resource: deleted outside, or not visible yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unseen: bool,
    },
}

/// Recorded object at an address when a creation takes the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PriorObject {
    /// No object, or an object that an earlier step deletes.
    Nothing,
    /// An object that was deleted outside and is still recorded.
    #[serde(rename = "vanished")]
    DeletedOutside,
    /// The old object, which a later step deletes (create before destroy).
    Deposed,
    /// A creation in doubt from an earlier run. The executor finds its resource, finishes it and
    /// changes it in place to the planned inputs, or repeats the call, with the same token if its
    /// inputs are unchanged.
    #[serde(rename = "unanswered")]
    CreateInDoubt,
}

impl Op {
    /// Returns the address of the resource.
    pub fn address(&self) -> &Address {
        match self {
            Op::Create { address, .. }
            | Op::Finish { address, .. }
            | Op::Update { address, .. }
            | Op::Delete { address, .. } => address,
        }
    }

    /// Returns true if an earlier run may have sent the create call.
    pub fn is_asked_for_already(&self) -> bool {
        matches!(self, Op::Create { prior: PriorObject::CreateInDoubt, .. })
    }

    /// Returns true if the step deletes an object.
    pub fn deletes(&self) -> bool {
        matches!(self, Op::Delete { .. })
    }

    /// Returns the name of the step in events.
    pub fn name(&self) -> StepName {
        let (generation, action) = match self {
            Op::Create { generation, prior: PriorObject::CreateInDoubt, .. } => {
                (generation, StepAction::Finish)
            }
            Op::Create { generation, .. } => (generation, StepAction::Create),
            Op::Finish { generation, .. } => (generation, StepAction::Finish),
            Op::Update { generation, .. } => (generation, StepAction::Update),
            Op::Delete { generation, .. } => (generation, StepAction::Delete),
        };
        StepName { address: self.address().clone(), generation: *generation, action }
    }
}

/// Options of a plan besides the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanOptions {
    /// Addresses of resources to replace although no difference requires a replacement.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replace: BTreeSet<Address>,
    /// Targets: only these resources and their dependencies are planned. Empty means all resources.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub targets: BTreeSet<Address>,
    /// Excludes: these resources, and all changes that depend on a change of them, are left out.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excludes: BTreeSet<Address>,
    /// True if the plan also reverts unmanaged drift.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub revert_drift: bool,
}

impl PlanOptions {
    /// Returns true if no option is set.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Returns true if the options select a part of the plan.
    pub fn selects(&self) -> bool {
        !(self.targets.is_empty() && self.excludes.is_empty())
    }
}

/// Numbers of resources in the summary line of a plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeCounts {
    /// Number of created resources, including replacements.
    pub add: usize,
    /// Number of resources changed in place.
    pub change: usize,
    /// Number of deleted resources, including replacements.
    pub destroy: usize,
}

impl Plan {
    /// Returns true if the plan has no steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns true if refresh found unmanaged drift, whether the plan reverts it or not.
    pub fn has_unmanaged_drift(&self) -> bool {
        self.changes.iter().any(|change| !change.unmanaged.is_empty())
    }

    /// Returns the secret contents that the calls of the steps send, with the address of the step. A
    /// change in place sends only contents that change, and no create-only input.
    pub fn sent_secrets(&self, schemas: &dyn Schemas) -> Vec<(&Address, Secret)> {
        let mut sent = Vec::new();
        for step in &self.steps {
            let (address, before, inputs) = match &step.op {
                Op::Create { address, inputs, found, .. } => (address, found.as_ref(), inputs),
                Op::Update { address, inputs, before, .. } => (address, Some(before), inputs),
                Op::Finish { .. } | Op::Delete { .. } => continue,
            };
            let create_only = schemas.schema(address.kind()).map_or(&[][..], |s| s.create_only);
            for (name, input) in inputs.as_object().into_iter().flatten() {
                if before.is_none() || !create_only.contains(&name.as_str()) {
                    let before = before.and_then(|before| before.get(name));
                    each_new_secret(before, input, &mut |secret| sent.push((address, secret)));
                }
            }
        }
        sent
    }

    /// Returns the changes that delete or replace a protected resource.
    pub fn forbidden(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.protected)
    }

    /// Returns the numbers of the summary line.
    pub fn counts(&self) -> ChangeCounts {
        let mut counts = ChangeCounts::default();
        for change in &self.changes {
            match change.action {
                Action::Keep => {}
                Action::Create | Action::Finish => counts.add += 1,
                Action::Update => counts.change += 1,
                Action::DeleteThenCreate | Action::CreateThenDelete => {
                    counts.add += 1;
                    counts.destroy += 1;
                }
                Action::Delete => counts.destroy += 1,
            }
        }
        counts
    }
}

/// Returns the plan that makes the cloud match `desired`.
///
/// # Panics
/// If the graph or the state contains a kind without a schema: the program writes both.
pub fn plan(
    desired: &Graph,
    state: &State,
    observed: &LiveState,
    schemas: &dyn Schemas,
    options: &PlanOptions,
) -> Plan {
    finish(Operation::Apply, desired, state, observed, schemas, options)
}

/// Returns the plan that deletes all recorded resources, or the part that `options` selects.
///
/// # Panics
/// Same as [`plan`].
pub fn plan_destroy(
    state: &State,
    observed: &LiveState,
    schemas: &dyn Schemas,
    options: &PlanOptions,
) -> Plan {
    let nothing = Graph::default();
    finish(Operation::Destroy, &nothing, state, observed, schemas, options)
}

fn finish(
    operation: Operation,
    desired: &Graph,
    state: &State,
    observed: &LiveState,
    schemas: &dyn Schemas,
    options: &PlanOptions,
) -> Plan {
    let mut verdicts = decide::decide(operation, desired, state, observed, schemas, options);
    let generation = state.generation + 1;
    let mut order = order::work_out(&verdicts, desired, state, schemas, generation);
    let selection = options.selects().then(|| targeting::select(options, desired, &mut order));
    let steps = order.into_steps();
    let dependency_updates = dependency_updates(&verdicts, desired, state, selection.as_ref());
    if let Some(selection) = &selection {
        let left_out = selection.left_out.iter().collect();
        for verdict in &mut verdicts {
            verdict.change.leave_out(&left_out, state, observed);
        }
    }
    let mut changes: Vec<_> = verdicts.into_iter().map(|verdict| verdict.change).collect();
    for change in &mut changes {
        change.protected = change.action.destroys() && state.protected.contains(&change.address);
    }
    Plan {
        operation,
        lineage: state.lineage.clone(),
        serial: state.serial,
        cluster: state.cluster.clone(),
        generation,
        selection,
        changes,
        dependency_updates,
        steps,
    }
}

impl Change {
    /// Sets the change to keep if its address is among `left_out`.
    fn leave_out(&mut self, left_out: &BTreeSet<&Address>, state: &State, observed: &LiveState) {
        if !left_out.contains(&self.address) {
            return;
        }
        let is_deposed = self.reason == Reason::Superseded;
        self.action = Action::Keep;
        self.reason = Reason::NotSelected;
        self.fields.clear();
        // The address of a deposed object has the values of another one in `after`.
        self.before = self.before.take().filter(|_| is_deposed);
        self.after = match observed.get(&self.address) {
            _ if is_deposed => None,
            Some(Observed::Missing) => None,
            Some(Observed::Present { inputs, .. }) => Some(inputs.clone()),
            None => state
                .resources
                .get(&self.address)
                .filter(|record| record.status != RecordStatus::Creating)
                .map(|record| record.inputs.clone()),
        };
    }
}

/// Returns the dependency updates of kept resources. Resources outside the selection get none.
fn dependency_updates(
    verdicts: &[ObjectDecision],
    desired: &Graph,
    state: &State,
    selection: Option<&Selection>,
) -> Vec<DependencyUpdate> {
    let kept = verdicts.iter().map(|verdict| &verdict.change);
    let kept = kept.filter(|change| change.action == Action::Keep);
    let kept = kept.filter(|change| selection.is_none_or(|s| s.covers(&change.address)));
    let moved = kept.filter_map(|change| {
        let after = &desired.get(&change.address)?.after;
        let known = &state.resources.get(&change.address)?.after;
        let relink = || DependencyUpdate { address: change.address.clone(), after: after.clone() };
        (after != known).then(relink)
    });
    moved.collect()
}
