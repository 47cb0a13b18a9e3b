//! Decides what to do, and does none of it.
//!
//! [`plan`] is an ordinary function of the wanted graph, the state, what was observed and the
//! kinds' schemas: no clock, no network, no randomness. The same inputs give the same bytes.
//!
//! - [`diff`] compares inputs field by field, [`decide`] turns differences into verdicts with their
//!   reasons, [`order`] turns verdicts into steps, [`targeting`] takes a part of them.
//! - [`saved`]: a plan as a file; [`guard`]: what somebody expects of one.

mod conflicts;
pub mod decide;
pub mod diff;
pub mod drift;
pub mod guard;
pub mod order;
pub mod saved;
pub mod targeting;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::decide::Verdict;
pub use self::diff::FieldChange;
pub use self::drift::{Classify, DriftClass};
pub use self::targeting::Selection;
use crate::event::{Operation, StepAction, StepName};
use crate::graph::{Address, Graph, Usable};
use crate::provider::{Observed, Schemas};
use crate::state::{Cluster, State};

/// What the cloud says of the recorded resources. An address that is absent was not looked up and
/// is taken to be as recorded.
pub type Observations = BTreeMap<Address, Observed>;

/// What will be done, why, and in which order. Holds no secret and no time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What it is for.
    pub operation: Operation,
    /// The state it was made from.
    pub lineage: String,
    /// The serial of that state; once the state has moved on, the plan is stale.
    pub serial: u64,
    /// Who the cluster is.
    pub cluster: Option<Cluster>,
    /// The generation of everything it creates.
    pub generation: u64,
    /// Which part of all that differs it is, where it is a part.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selection: Option<Selection>,
    /// One per resource, in dependency order, what goes away last.
    pub changes: Vec<Change>,
    /// References that were rearranged where nothing else changed: recorded, without any call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relinks: Vec<Relink>,
    /// For `apply`: nothing is left to decide but timing.
    pub steps: Vec<Step>,
}

/// What a kept resource refers to from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Relink {
    /// Which resource.
    pub address: Address,
    /// What it refers to.
    pub after: Vec<Address>,
}

/// What happens to one resource, for the reader.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Which resource.
    pub address: Address,
    /// What happens to it.
    pub action: Action,
    /// Why.
    pub reason: Reason,
    /// Its id in the cloud, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What changes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
    /// What somebody else changed since the last run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<FieldChange>,
    /// What differs and stays as it is.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Left>,
    /// Whether it would end the life of something that is protected.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
}

/// A difference that nothing is done about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Left {
    /// The difference.
    pub field: FieldChange,
    /// Why it stays.
    pub because: LeftBecause,
}

/// Why a difference stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LeftBecause {
    /// It is read at creation only, and nothing that runs is replaced behind anybody's back.
    SetAtCreation,
    /// The configuration has no opinion on it any more.
    NoOpinion,
    /// Somebody changed it by hand, and only a replacement would change it back.
    ByHand,
}

/// The verdict on one resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is as it should be.
    Keep,
    /// It is made.
    Create,
    /// Its making, begun by an earlier run, is finished.
    Finish,
    /// It is changed in place.
    Update,
    /// It is deleted and made anew.
    DeleteThenCreate,
    /// It is made anew, and the old one deleted once nobody needs it.
    CreateThenDelete,
    /// It is deleted.
    Delete,
}

impl Action {
    /// Whether it is one of the two replacements.
    pub fn replaces(self) -> bool {
        matches!(self, Action::DeleteThenCreate | Action::CreateThenDelete)
    }

    /// Whether it ends the life of something.
    pub fn destroys(self) -> bool {
        self == Action::Delete || self.replaces()
    }
}

/// Why a verdict is what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "snake_case")]
pub enum Reason {
    /// Nothing differs.
    UpToDate,
    /// It was never made.
    New,
    /// It was made, and is not in the cloud any more.
    Missing,
    /// An earlier run began to make it and did not come to the end.
    Unfinished,
    /// The configuration changed.
    Changed,
    /// The configuration did not change; somebody else changed it.
    Drifted,
    /// These inputs change and cannot change in place.
    CannotUpdate {
        /// Which.
        paths: Vec<String>,
    },
    /// It holds on to these, which must go before what takes their place can be made.
    HoldsOn {
        /// What it holds on to.
        to: Vec<Address>,
    },
    /// An earlier run began to delete it.
    HalfDeleted,
    /// It was asked for by address.
    Requested,
    /// The configuration does not have it any more.
    NotInConfiguration,
    /// A replacement took its place.
    Superseded,
    /// Everything is deleted.
    Destroy,
    /// It differs, and is not in the part of the plan that was asked for.
    NotSelected,
}

/// One thing `apply` does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What.
    pub op: Op,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Dependency>,
}

/// What a step waits for: an earlier step, up to a milestone of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Dependency {
    /// The index of the other step.
    pub step: u32,
    /// How far that one must be.
    pub until: Until,
}

/// A milestone of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Until {
    /// Its object exists and is recorded.
    Created,
    /// It is done.
    Done,
}

impl From<Usable> for Until {
    fn from(usable: Usable) -> Self {
        match usable {
            Usable::Created => Until::Created,
            Usable::Ready => Until::Done,
        }
    }
}

/// What a step does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "op", rename_all = "snake_case")]
pub enum Op {
    /// Makes a resource.
    Create {
        /// Which.
        address: Address,
        /// Which of its lives begins.
        generation: u64,
        /// With what; references are resolved when the step starts.
        inputs: Value,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
        /// What has the address now.
        prior: Prior,
    },
    /// Finishes a creation or an update at the point it has reached.
    Finish {
        /// Which.
        address: Address,
        /// Which of its lives.
        generation: u64,
    },
    /// Changes a resource in place.
    Update {
        /// Which.
        address: Address,
        /// Which of its lives.
        generation: u64,
        /// What it was observed to be: the update changes what differs from this.
        before: Value,
        /// What it shall be; references are resolved when the step starts.
        inputs: Value,
        /// What it refers to.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        after: Vec<Address>,
    },
    /// Deletes a resource.
    Delete {
        /// Which.
        address: Address,
        /// Which of its lives ends.
        generation: u64,
        /// Whether it was looked for and not seen: it may be gone, or not visible yet.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        unseen: bool,
    },
}

/// What has an address when a creation takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Prior {
    /// Nothing, or something that an earlier step deletes.
    Nothing,
    /// A record of something that is gone.
    Vanished,
    /// The old one, deleted by a later step.
    Deposed,
    /// A creation that an earlier run asked for and that was not answered: what it made is found
    /// and finished, or it is asked for again, with the same token if nothing about it changed.
    Unanswered,
}

impl Op {
    /// Which resource it is about.
    pub fn address(&self) -> &Address {
        match self {
            Op::Create { address, .. }
            | Op::Finish { address, .. }
            | Op::Update { address, .. }
            | Op::Delete { address, .. } => address,
        }
    }

    /// Whether an earlier run may have asked for what it creates.
    pub fn is_asked_for_already(&self) -> bool {
        matches!(self, Op::Create { prior: Prior::Unanswered, .. })
    }

    /// Whether it ends the life of something.
    pub fn deletes(&self) -> bool {
        matches!(self, Op::Delete { .. })
    }

    /// How events call it.
    pub fn name(&self) -> StepName {
        let (generation, action) = match self {
            Op::Create { generation, prior: Prior::Unanswered, .. } => {
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

/// What a plan is asked for besides the graph.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Options {
    /// Replace these although nothing about them demands it.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub replace: BTreeSet<Address>,
    /// Only these and what they need; everything, if there are none.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub targets: BTreeSet<Address>,
    /// Not these, and nothing that needs a change of them.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excludes: BTreeSet<Address>,
}

impl Options {
    /// Whether nothing is asked for.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Whether only a part of the plan is asked for.
    pub fn selects(&self) -> bool {
        !(self.targets.is_empty() && self.excludes.is_empty())
    }
}

/// How many resources a plan touches, as its summary line says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Made, replacements included.
    pub add: usize,
    /// Changed in place.
    pub change: usize,
    /// Deleted, replacements included.
    pub destroy: usize,
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What would end the life of something that is protected.
    pub fn forbidden(&self) -> impl Iterator<Item = &Change> {
        self.changes.iter().filter(|change| change.protected)
    }

    /// What the summary line says.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
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

/// Decides what makes the cloud what `desired` says.
///
/// # Panics
/// When the graph or the state has a kind that `schemas` does not know: both come from us.
pub fn plan(
    desired: &Graph,
    state: &State,
    observed: &Observations,
    schemas: &dyn Schemas,
    options: &Options,
) -> Plan {
    finish(Operation::Apply, desired, state, observed, schemas, options)
}

/// Decides how everything the state knows, or the part of it that is asked for, is deleted.
///
/// # Panics
/// As [`plan`].
pub fn plan_destroy(
    state: &State,
    observed: &Observations,
    schemas: &dyn Schemas,
    options: &Options,
) -> Plan {
    let nothing = Graph::default();
    finish(Operation::Destroy, &nothing, state, observed, schemas, options)
}

fn finish(
    operation: Operation,
    desired: &Graph,
    state: &State,
    observed: &Observations,
    schemas: &dyn Schemas,
    options: &Options,
) -> Plan {
    let mut verdicts = decide::decide(operation, desired, state, observed, schemas, options);
    let generation = state.generation + 1;
    let mut order = order::work_out(&verdicts, desired, state, schemas, generation);
    let selection = options.selects().then(|| targeting::select(options, desired, &mut order));
    let steps = order.into_steps();
    let relinks = relinks(&verdicts, desired, state, selection.as_ref());
    if let Some(selection) = &selection {
        let left_out = selection.left_out.iter().collect();
        verdicts.iter_mut().for_each(|verdict| verdict.change.leave_out(&left_out));
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
        relinks,
        steps,
    }
}

impl Change {
    /// Nothing is done about it if it is among these.
    fn leave_out(&mut self, left_out: &BTreeSet<&Address>) {
        if left_out.contains(&self.address) {
            self.action = Action::Keep;
            self.reason = Reason::NotSelected;
            self.fields.clear();
        }
    }
}

/// Of kept resources, what refers to something else now. Of one that is left out nothing is.
fn relinks(
    verdicts: &[Verdict],
    desired: &Graph,
    state: &State,
    selection: Option<&Selection>,
) -> Vec<Relink> {
    let kept = verdicts.iter().map(|verdict| &verdict.change);
    let kept = kept.filter(|change| change.action == Action::Keep);
    let kept = kept.filter(|change| selection.is_none_or(|s| s.covers(&change.address)));
    let moved = kept.filter_map(|change| {
        let after = &desired.get(&change.address)?.after;
        let known = &state.resources.get(&change.address)?.after;
        let relink = || Relink { address: change.address.clone(), after: after.clone() };
        (after != known).then(relink)
    });
    moved.collect()
}
