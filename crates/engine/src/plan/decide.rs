//! Turns differences into actions with their reasons.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::conflicts::conflict;
use super::diff::{FieldChange, diff, diff_where, limit_to_opinions, released};
use super::values::{keep_ignored, values_after};
use super::{
    Action, Change, IgnoreReason, IgnoredDifference, LiveState, PlanOptions, Reason, UnmanagedDrift,
};
use crate::event::Operation;
use crate::graph::{Address, Graph, GraphNode, Ref, Schema, each_ref, resolve};
use crate::provider::{Observed, Schemas};
use crate::state::{Record, RecordStatus, State};

/// Decision on one object: its change, and details for the steps.
#[derive(Debug)]
pub(super) struct ObjectDecision {
    /// Change for the reader.
    pub(super) change: Change,
    /// Recorded generation; `None` without a record.
    pub(super) generation: Option<u64>,
    /// True if the creation is in doubt.
    pub(super) unanswered: bool,
    /// True if refresh did not find the object.
    pub(super) unseen: bool,
    /// Live inputs, if the object is changed in place or refresh found a creation in doubt.
    pub(super) before: Option<Value>,
    /// Unmanaged drift that the change in place reverts.
    pub(super) revert: Vec<UnmanagedDrift>,
}

/// Returns one decision for each desired resource and each recorded object: desired resources in
/// dependency order, then deletions.
pub(super) fn decide(
    operation: Operation,
    desired: &Graph,
    state: &State,
    observed: &LiveState,
    schemas: &dyn Schemas,
    options: &PlanOptions,
) -> Vec<ObjectDecision> {
    let succeeded = succeeded(desired, state, schemas);
    let (unsettled, remade) = (HashSet::new(), HashSet::new());
    let mut judge =
        DecisionInputs { state, observed, schemas, options, unsettled, remade, succeeded };
    let mut verdicts: Vec<_> = desired.nodes().iter().map(|node| judge.wanted(node)).collect();
    spread_create_before_destroy(desired, &mut verdicts);
    verdicts.extend(unwanted(operation, desired, state, observed));
    verdicts
}

struct DecisionInputs<'a> {
    state: &'a State,
    observed: &'a LiveState,
    schemas: &'a dyn Schemas,
    options: &'a PlanOptions,
    /// Resources with outputs that are unknown until the plan is applied.
    unsettled: HashSet<&'a Address>,
    /// Unsettled resources that are created again with the same force-new inputs.
    remade: HashSet<&'a Address>,
    /// Resources that must be deleted before others can be created, with those others.
    succeeded: HashMap<&'a Address, Vec<&'a Address>>,
}

/// Desired resource beside its record and live state.
struct Comparison<'a> {
    schema: &'a Schema,
    record: &'a Record,
    /// Live inputs.
    live: &'a Value,
    /// Desired inputs.
    after: &'a Value,
    /// Drift outside the inputs.
    unmanaged: &'a [UnmanagedDrift],
}

impl Comparison<'_> {
    /// Returns the differences between `before` and the desired inputs.
    fn diff(&self, before: &Value) -> Vec<FieldChange> {
        diff(self.schema.comparison_rules(), Some(before), Some(self.after))
    }

    fn replaces(&self, field: &FieldChange) -> bool {
        self.schema.force_new.contains(&field.input())
    }

    /// Returns the reason for ignoring a difference; `None` if the plan acts on the difference.
    /// `asked` contains the changes of the configuration since the last run.
    fn ignore_reason(&self, field: &FieldChange, asked: &[FieldChange]) -> Option<IgnoreReason> {
        let input = field.input();
        let by_hand = || !asked.iter().any(|change| change.input() == input);
        if self.schema.create_only.contains(&input) {
            Some(IgnoreReason::CreateOnly)
        } else if self.schema.ignores_drift && self.replaces(field) && by_hand() {
            Some(IgnoreReason::ChangedOutside)
        } else {
            None
        }
    }
}

impl<'a> DecisionInputs<'a> {
    fn wanted(&mut self, node: &'a GraphNode) -> ObjectDecision {
        let schema = self
            .schemas
            .schema(node.kind())
            .unwrap_or_else(|| unreachable!("BUG: {} has an unknown kind", node.address));
        let after = resolve(&node.inputs, &|r| self.lookup(r));
        let record = self.state.resources.get(&node.address);
        let observed = self.observed.get(&node.address);
        let verdict = match (record, observed) {
            (None, _) => create(node, schema, &after, Reason::New),
            (Some(record), observed) if record.status == RecordStatus::Creating => {
                self.finish_in_doubt(node, record, observed, schema, &after)
            }
            (Some(record), Some(Observed::Missing)) if record.status != RecordStatus::Deleting => {
                let mut verdict = create(node, schema, &after, Reason::Missing);
                verdict.generation = Some(record.generation);
                verdict
            }
            (Some(record), observed) => {
                let (live, unmanaged) = match observed {
                    Some(Observed::Present { inputs, unmanaged, .. }) => (inputs, &unmanaged[..]),
                    _ => (&record.inputs, &[][..]),
                };
                let comparison = Comparison { schema, record, live, after: &after, unmanaged };
                self.compare(node, &comparison)
            }
        };
        if matches!(verdict.change.action, Action::Create) || verdict.change.action.replaces() {
            self.unsettled.insert(&node.address);
        }
        if verdict.change.reason == Reason::Missing
            && record.is_some_and(|record| is_same_object(schema, &record.inputs, &after))
        {
            self.remade.insert(&node.address);
        }
        if verdict.change.action == Action::DeleteThenCreate {
            self.succeeded.insert(&node.address, vec![&node.address]);
        }
        if verdict.unanswered && verdict.before.is_none() {
            self.unsettled.insert(&node.address);
        }
        verdict
    }

    fn lookup(&self, r: &Ref) -> Option<Value> {
        if self.unsettled.contains(&r.address) {
            let schema = self.schemas.schema(r.address.kind())?;
            let is_stable = schema.stable_outputs.contains(&&*r.output);
            let known = || self.state.lookup(r).cloned();
            return (is_stable && self.remade.contains(&r.address)).then(known)?;
        }
        if let Some(Observed::Present { outputs, .. }) = self.observed.get(&r.address) {
            return outputs.get(&r.output).cloned();
        }
        self.state.lookup(r).cloned()
    }

    /// Finishes a creation in doubt.
    ///
    /// A resource that refresh found is compared with the configuration like any other: it is
    /// replaced, or finished and changed in place. Without one, the change shows a creation.
    fn finish_in_doubt(
        &self,
        node: &GraphNode,
        record: &Record,
        observed: Option<&Observed>,
        schema: &Schema,
        after: &Value,
    ) -> ObjectDecision {
        if let Some(Observed::Present { inputs, outputs, .. }) = observed {
            let at = Comparison { schema, record, live: &record.inputs, after, unmanaged: &[] };
            let mut verdict = self.compare(node, &at);
            verdict.change.id = id(outputs);
            if !verdict.change.action.replaces() {
                verdict.change.action = Action::Finish;
                verdict.change.reason = Reason::Unfinished;
                verdict.unanswered = true;
                verdict.change.before = Some(inputs.clone());
                verdict.before = Some(inputs.clone());
            }
            return verdict;
        }
        let mut verdict = create(node, schema, after, Reason::Unfinished);
        verdict.change.action = Action::Finish;
        verdict.generation = Some(record.generation);
        verdict.unanswered = true;
        verdict
    }

    fn compare(&self, node: &GraphNode, at: &Comparison<'_>) -> ObjectDecision {
        let unfinished =
            matches!(at.record.status, RecordStatus::Created | RecordStatus::Configured);
        // The live state of an unconfigured resource differs in many inputs. The recorded inputs
        // count instead.
        let base = if unfinished { &at.record.inputs } else { at.live };
        let (mut fields, left) = self.split(at, at.diff(base));
        let blocking = match fields.iter().any(|field| field.replaces) {
            true => Vec::new(),
            false => self.blocking_references(node, at, &mut fields),
        };
        let (action, reason) = self.judge(node, at, &fields, blocking, unfinished);
        // Live state after an interrupted change or deletion may contain parts of it, so no
        // difference is drift.
        let is_settled = at.record.status == RecordStatus::Ready;
        let drift = if !is_settled {
            Vec::new()
        } else {
            let live = limit_to_opinions(&at.record.inputs, at.live);
            let rules = at.schema.comparison_rules();
            diff_where(rules, Some(&at.record.inputs), Some(&live), Some(at.after))
        };
        let unmanaged = self.unmanaged(at, &fields);
        let mut revert = self.reverted(at, &unmanaged);
        let (action, reason) = match action {
            Action::Keep if !revert.is_empty() => (Action::Update, Reason::Drifted),
            action => (action, reason),
        };
        if action != Action::Update {
            revert.clear();
        }
        let (mut fields, left) = match action {
            Action::Keep | Action::Finish => (Vec::new(), left),
            action if action.replaces() => renewed(fields, left),
            _ => (fields, left),
        };
        fields.extend(revert.iter().map(UnmanagedDrift::reverted));
        let rules = at.schema.comparison_rules();
        let live = (!action.replaces()).then_some(at.live);
        let mut after = values_after(rules, &node.inputs, at.after, live);
        if let Some(live) = live {
            keep_ignored(&mut after, live, &left);
        }
        let change = Change {
            address: node.address.clone(),
            action,
            reason,
            id: id(&at.record.outputs),
            fields,
            drift,
            unmanaged,
            left,
            before: (action != Action::Keep).then(|| at.live.clone()),
            after: Some(after),
            protected: false,
        };
        ObjectDecision {
            change,
            generation: Some(at.record.generation),
            unanswered: false,
            unseen: false,
            before: (action == Action::Update).then(|| at.live.clone()),
            revert,
        }
    }

    /// Returns the unmanaged drift that the plan reverts: all of it, if the options say so, and what an
    /// unfinished update was to revert.
    fn reverted(&self, at: &Comparison<'_>, unmanaged: &[UnmanagedDrift]) -> Vec<UnmanagedDrift> {
        let is_begun = |drift: &&UnmanagedDrift| {
            self.options.revert_drift
                || at.record.revert.iter().any(|begun| begun.field == drift.field)
        };
        unmanaged.iter().filter(is_begun).cloned().collect()
    }

    /// Returns the unmanaged drift, without additions that `fields` adds, too, because the
    /// configuration has them now.
    fn unmanaged(&self, at: &Comparison<'_>, fields: &[FieldChange]) -> Vec<UnmanagedDrift> {
        if at.record.status == RecordStatus::Deleting {
            return Vec::new(); // the interrupted deletion changes the resource itself
        }
        let is_wanted = |drift: &UnmanagedDrift| {
            fields.iter().any(|field| field.path == drift.field.path && field.after.is_some())
        };
        at.unmanaged.iter().filter(|drift| !is_wanted(drift)).cloned().collect()
    }

    /// Separates the differences to act on from the ignored ones.
    fn split(
        &self,
        at: &Comparison<'_>,
        all: Vec<FieldChange>,
    ) -> (Vec<FieldChange>, Vec<IgnoredDifference>) {
        let (mut fields, mut left) = (Vec::new(), Vec::new());
        let asked = at.diff(&at.record.inputs);
        for mut field in all {
            match at.ignore_reason(&field, &asked) {
                Some(because) => left.push(IgnoredDifference { field, because }),
                None => {
                    field.replaces = at.replaces(&field);
                    fields.push(field);
                }
            }
        }
        let gone = released(at.schema.comparison_rules(), &at.record.inputs, at.after);
        left.extend(
            gone.into_iter()
                .map(|field| IgnoredDifference { field, because: IgnoreReason::NoOpinion }),
        );
        (fields, left)
    }

    fn judge(
        &self,
        node: &GraphNode,
        at: &Comparison<'_>,
        fields: &[FieldChange],
        blocking: Vec<Address>,
        unfinished: bool,
    ) -> (Action, Reason) {
        let replace = if at.schema.create_before_destroy {
            Action::CreateThenDelete
        } else {
            Action::DeleteThenCreate
        };
        if at.record.status == RecordStatus::Deleting {
            return (Action::DeleteThenCreate, Reason::DeletionUnfinished);
        }
        if self.options.replace.contains(&node.address) {
            return (replace, Reason::Requested);
        }
        if !blocking.is_empty() {
            return (replace, Reason::BlockingReference { to: blocking });
        }
        let mut forced: Vec<String> =
            fields.iter().filter(|f| f.replaces).map(|f| f.place().to_owned()).collect();
        forced.dedup();
        if !forced.is_empty() {
            return (replace, Reason::CannotUpdate { paths: forced });
        }
        if fields.is_empty() {
            return match at.record.status {
                _ if unfinished => (Action::Finish, Reason::Unfinished),
                // No difference is left, but the end of the update was never confirmed.
                RecordStatus::Updating => (Action::Update, Reason::Unfinished),
                _ => (Action::Keep, Reason::UpToDate),
            };
        }
        // A reference to a resource that was deleted outside is the same in the configuration.
        let follows = |field: &FieldChange| {
            let mut targets = Vec::new();
            each_ref(field.after.as_ref().unwrap_or(&Value::Null), &mut |r| {
                targets.push(r.address.clone());
            });
            !targets.is_empty() && targets.iter().all(|target| self.remade.contains(target))
        };
        let changed = at.diff(&at.record.inputs).iter().any(|field| !follows(field));
        let reason = match at.record.status {
            _ if changed => Reason::Changed,
            RecordStatus::Updating => Reason::Unfinished,
            _ => Reason::Drifted,
        };
        (Action::Update, reason)
    }

    /// Returns the targets of blocking references that the resource cannot drop in place, because
    /// their replacements do not exist before the deletion. Marks the fields with these references.
    fn blocking_references(
        &self,
        node: &GraphNode,
        at: &Comparison<'_>,
        fields: &mut [FieldChange],
    ) -> Vec<Address> {
        let mut held = Vec::new();
        for field in
            fields.iter_mut().filter(|field| at.schema.blocks_deletion_of.contains(&field.input()))
        {
            for (doomed, successors) in &self.succeeded {
                let needs = successors.iter().any(|successor| node.after.contains(successor));
                let id = self.state.resources.get(*doomed).and_then(|record| id(&record.outputs));
                if needs && id.is_some_and(|id| mentions(field.before.as_ref(), &id)) {
                    field.replaces = true;
                    held.push((*doomed).clone());
                }
            }
        }
        held.sort();
        held.dedup();
        held
    }
}

/// Returns the resources that are no longer desired and conflict with new ones, with those new
/// ones.
fn succeeded<'a>(
    desired: &'a Graph,
    state: &'a State,
    schemas: &dyn Schemas,
) -> HashMap<&'a Address, Vec<&'a Address>> {
    let mut succeeded = HashMap::new();
    let orphans = state.resources.iter().filter(|(address, _)| desired.get(address).is_none());
    for (address, record) in orphans {
        let Some(schema) = schemas.schema(address.kind()) else { continue };
        if schema.conflicting.is_empty() {
            continue;
        }
        let of_kind = desired.nodes().iter().filter(|node| node.kind() == schema.kind);
        let next = of_kind.filter(|node| conflict(schema, &record.inputs, &node.inputs));
        let next: Vec<&Address> = next.map(|node| &node.address).collect();
        if !next.is_empty() {
            succeeded.insert(address, next);
        }
    }
    succeeded
}

/// Returns true if no force-new input differs.
fn is_same_object(schema: &Schema, recorded: &Value, after: &Value) -> bool {
    let differs = |field: &FieldChange| schema.force_new.contains(&field.input());
    !diff(schema.comparison_rules(), Some(recorded), Some(after)).iter().any(differs)
}

/// Returns true if a string in `value` equals `text`.
fn mentions(value: Option<&Value>, text: &str) -> bool {
    match value {
        Some(Value::String(found)) => found == text,
        Some(Value::Array(items)) => items.iter().any(|item| mentions(Some(item), text)),
        Some(Value::Object(fields)) => fields.values().any(|field| mentions(Some(field), text)),
        _ => false,
    }
}

/// Moves ignored differences to the changed fields: a replacement applies them, too. Inputs without
/// an opinion stay ignored.
fn renewed(
    mut fields: Vec<FieldChange>,
    left: Vec<IgnoredDifference>,
) -> (Vec<FieldChange>, Vec<IgnoredDifference>) {
    let no_opinion = |left: &IgnoredDifference| left.because == IgnoreReason::NoOpinion;
    let (left, taken): (Vec<_>, Vec<_>) = left.into_iter().partition(no_opinion);
    fields.extend(taken.into_iter().map(|left| left.field));
    (fields, left)
}

fn create(node: &GraphNode, schema: &Schema, after: &Value, reason: Reason) -> ObjectDecision {
    let change = Change {
        address: node.address.clone(),
        action: Action::Create,
        reason,
        id: None,
        fields: diff(schema.comparison_rules(), None, Some(after)),
        drift: Vec::new(),
        unmanaged: Vec::new(),
        left: Vec::new(),
        before: None,
        after: Some(values_after(schema.comparison_rules(), &node.inputs, after, None)),
        protected: false,
    };
    ObjectDecision {
        change,
        generation: None,
        unanswered: false,
        unseen: false,
        before: None,
        revert: Vec::new(),
    }
}

/// Makes all replaced dependencies of a create-before-destroy replacement create before destroy,
/// too. Otherwise the two replacements would wait for each other.
fn spread_create_before_destroy(desired: &Graph, verdicts: &mut [ObjectDecision]) {
    let nodes = desired.nodes();
    let index: HashMap<&Address, usize> =
        nodes.iter().enumerate().map(|(i, node)| (&node.address, i)).collect();
    let mut needed = vec![false; nodes.len()];
    for i in (0..nodes.len()).rev() {
        let change = &mut verdicts[i].change;
        if needed[i] && change.action == Action::DeleteThenCreate {
            change.action = Action::CreateThenDelete;
        }
        if needed[i] || change.action == Action::CreateThenDelete {
            nodes[i].after.iter().for_each(|address| needed[index[address]] = true);
        }
    }
}

fn unwanted<'a>(
    operation: Operation,
    desired: &'a Graph,
    state: &'a State,
    observed: &'a LiveState,
) -> impl Iterator<Item = ObjectDecision> + 'a {
    let reason = move |address: &Address| match (operation, desired.retirement(address)) {
        (Operation::Destroy, _) => Reason::Destroy,
        (Operation::Apply, Some(because)) => Reason::Retired { because: because.to_owned() },
        (Operation::Apply, None) => Reason::NotInConfiguration,
    };
    let orphans = state.resources.iter().filter(|(address, _)| desired.get(address).is_none()).map(
        move |(address, record)| ObjectDecision {
            unseen: observed.get(address) == Some(&Observed::Missing),
            ..delete(address, record, reason(address))
        },
    );
    let superseded = state.deposed.iter().flat_map(|(address, lives)| {
        lives.iter().map(|record| delete(address, record, Reason::Superseded))
    });
    orphans.chain(superseded)
}

fn delete(address: &Address, record: &Record, reason: Reason) -> ObjectDecision {
    let change = Change {
        address: address.clone(),
        action: Action::Delete,
        reason,
        id: id(&record.outputs),
        fields: Vec::new(),
        drift: Vec::new(),
        unmanaged: Vec::new(),
        left: Vec::new(),
        before: Some(record.inputs.clone()),
        after: None,
        protected: false,
    };
    ObjectDecision {
        change,
        generation: Some(record.generation),
        unanswered: false,
        unseen: false,
        before: None,
        revert: Vec::new(),
    }
}

/// Outputs that identify a resource, the most specific first.
pub(crate) const IDENTITY: [&str; 4] = ["id", "allocation", "arn", "name"];

/// Returns the output that identifies a resource to users.
pub fn id(outputs: &Value) -> Option<String> {
    IDENTITY.iter().find_map(|name| outputs.get(name)?.as_str()).map(str::to_owned)
}
