//! Turns actions into steps.
//!
//! The order is Terraform's, which users know. A creation follows its dependencies. A deletion
//! precedes the deletion of its dependencies. An update that drops a reference precedes the
//! deletion of the target.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use super::conflicts::conflict;
use super::decide::ObjectDecision;
use super::{Action, Dependency, Milestone, Op, PriorObject, Reason, Step};
use crate::graph::{Address, Graph, GraphNode, Schema};
use crate::provider::Schemas;
use crate::state::{Record, State};

/// Returns the steps of the verdicts and their dependencies.
pub(super) fn work_out<'a>(
    verdicts: &'a [ObjectDecision],
    desired: &Graph,
    state: &State,
    schemas: &dyn Schemas,
    generation: u64,
) -> Order<'a> {
    let mut order = Order::new(verdicts, desired, generation);
    order.make_after_what_is_needed(desired, schemas);
    order.replace_serially(verdicts);
    order.delete_before_what_was_needed(state);
    order.go_when_another_has_come(verdicts, schemas);
    order.make_where_there_is_room(desired, state, schemas);
    order.replace_one_at_a_time(desired);
    order.break_circles();
    order
}

/// Importance of a preferred dependency. The last rank is dropped first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    /// Conflicting inputs: the old resource is deleted before the new one is created.
    Room,
    /// An in-place update drops its reference before the target is deleted.
    LettingGo,
    /// Serial replacement: no two members of a group are missing at the same time.
    Turn,
    /// Optional: any order works, but this one leaves fewer resources missing in between.
    Manners,
}

/// Steps and their dependencies, while the order is computed.
pub(super) struct Order<'a> {
    ops: Vec<Op>,
    after: Vec<BTreeSet<Dependency>>,
    /// Preferred dependencies `(step, other, rank)`: the step waits for the other one unless that
    /// closes a cycle.
    preferred: Vec<(usize, usize, Rank)>,
    /// Step that creates or changes a resource.
    make: HashMap<&'a Address, usize>,
    /// Steps that delete the objects of a resource.
    unmake: HashMap<&'a Address, Vec<usize>>,
    action: HashMap<&'a Address, Action>,
}

impl<'a> Order<'a> {
    fn new(verdicts: &'a [ObjectDecision], desired: &Graph, generation: u64) -> Self {
        let mut order = Self {
            ops: Vec::new(),
            after: Vec::new(),
            preferred: Vec::new(),
            make: HashMap::new(),
            unmake: HashMap::new(),
            action: HashMap::new(),
        };
        for verdict in verdicts {
            order.add_unmaking(verdict);
            order.add_making(verdict, desired, generation);
        }
        order
    }

    fn push(&mut self, op: Op) -> usize {
        self.ops.push(op);
        self.after.push(BTreeSet::new());
        self.ops.len() - 1
    }

    fn add_unmaking(&mut self, verdict: &'a ObjectDecision) {
        let change = &verdict.change;
        if change.action == Action::Delete || change.action.replaces() {
            let generation = verdict.generation.expect("BUG: only what exists is deleted");
            let (address, unseen) = (change.address.clone(), verdict.unseen);
            let step = self.push(Op::Delete { address, generation, unseen });
            self.unmake.entry(&change.address).or_default().push(step);
        }
        // A deposed object does not determine the action of its address.
        if change.reason != Reason::Superseded {
            self.action.insert(&change.address, change.action);
        }
    }

    fn add_making(&mut self, verdict: &'a ObjectDecision, desired: &Graph, generation: u64) {
        let address = &verdict.change.address;
        let Some(node) = desired.get(address) else { return };
        if verdict.change.reason == Reason::Superseded {
            return;
        }
        let life = verdict.generation.unwrap_or(generation);
        let (address, after) = (address.clone(), node.after.clone());
        let op = match verdict.change.action {
            Action::Keep | Action::Delete => return,
            Action::Finish if verdict.unanswered => Op::Create {
                address,
                generation: life,
                inputs: node.inputs.clone(),
                after,
                prior: PriorObject::CreateInDoubt,
                found: verdict.before.clone(),
            },
            Action::Finish => Op::Finish { address, generation: life },
            Action::Update => Op::Update {
                address,
                generation: life,
                before: verdict.before.clone().unwrap_or_default(),
                inputs: node.inputs.clone(),
                after,
                revert: verdict.revert.clone(),
            },
            action => Op::Create {
                address,
                generation,
                inputs: node.inputs.clone(),
                after,
                prior: match (action, &verdict.change.reason) {
                    (Action::CreateThenDelete, _) => PriorObject::Deposed,
                    (_, Reason::Missing) => PriorObject::DeletedOutside,
                    _ => PriorObject::Nothing,
                },
                found: None,
            },
        };
        let step = self.push(op);
        self.make.insert(&verdict.change.address, step);
    }

    fn wait(&mut self, step: usize, other: usize, until: Milestone) {
        self.after[step].insert(Dependency { step: index(other), until });
    }

    fn prefer(&mut self, rank: Rank, step: usize, other: usize) {
        self.preferred.push((step, other, rank));
    }

    fn make_after_what_is_needed(&mut self, desired: &Graph, schemas: &dyn Schemas) {
        for node in desired.nodes() {
            let Some(&step) = self.make.get(&node.address) else { continue };
            for needed in &node.after {
                let Some(&other) = self.make.get(needed) else { continue };
                let until = match &self.ops[other] {
                    Op::Update { .. } => Milestone::Done,
                    _ => schemas
                        .schema(needed.kind())
                        .map_or(Milestone::Done, |s| s.dependents_start.into()),
                };
                self.wait(step, other, until);
            }
        }
    }

    fn replace_serially(&mut self, verdicts: &[ObjectDecision]) {
        for ObjectDecision { change, .. } in verdicts {
            let Some(&made) = self.make.get(&change.address) else { continue };
            let Some(deleted) = self.unmake.get(&change.address).cloned() else { continue };
            // The deletion of the current object comes first. Deposed objects of earlier runs have
            // no part in this order.
            let (replaced, deposed) = deleted.split_at(usize::from(change.action.replaces()));
            for &old in replaced {
                match change.action {
                    Action::DeleteThenCreate => self.wait(made, old, Milestone::Done),
                    _ => self.wait(old, made, Milestone::Done),
                }
            }
            deposed.iter().for_each(|&old| self.prefer(Rank::Manners, old, made));
        }
    }

    fn delete_before_what_was_needed(&mut self, state: &State) {
        let current = state.resources.iter();
        let deposed = state.deposed.iter();
        let lives =
            current.chain(deposed.flat_map(|(a, lives)| lives.iter().map(move |one| (a, one))));
        for (address, record) in lives {
            for needed in &record.after {
                self.let_go(address, record, needed);
            }
        }
    }

    /// Orders the steps of a resource and of a recorded dependency.
    fn let_go(&mut self, address: &Address, record: &Record, needed: &Address) {
        let made = self.make.get(address).copied();
        let deleted = self.deletion_of(address, record.generation);
        let needed_action = self.action.get(needed).copied();
        let in_turn = needed_action == Some(Action::DeleteThenCreate);
        for gone in self.unmake.get(needed).cloned().unwrap_or_default() {
            match (deleted, made) {
                (Some(deleted), _) => self.wait(gone, deleted, Milestone::Done),
                (None, Some(made)) if !in_turn => self.prefer(Rank::LettingGo, gone, made),
                _ => {}
            }
            if let (Some(_), Some(made)) = (deleted, made)
                && !in_turn
                && needed_action != Some(Action::Delete)
            {
                self.prefer(Rank::Manners, gone, made);
            }
        }
        let (Some(deleted), Some(&changed)) = (deleted, self.make.get(needed)) else { return };
        let deleted_first = made.is_none_or(|made| !self.waits_for(deleted, made));
        let in_place = matches!(self.ops[changed], Op::Update { .. });
        if deleted_first && (in_place || needed_action == Some(Action::CreateThenDelete)) {
            self.prefer(Rank::Manners, changed, deleted);
        }
    }

    /// Orders deletions of kinds that create before destroy, if old and new have different
    /// addresses.
    ///
    /// Each resource that is no longer desired is deleted after a new one of its kind exists. Old
    /// and new are paired one to one as far as possible. A failed creation then prevents only its
    /// share of the deletions.
    fn go_when_another_has_come(&mut self, verdicts: &'a [ObjectDecision], schemas: &dyn Schemas) {
        let mut new: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut going: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for ObjectDecision { change, .. } in verdicts {
            let kind = change.address.kind();
            if !schemas.schema(kind).is_some_and(|schema| schema.create_before_destroy) {
                continue;
            }
            match change.reason {
                Reason::New => new.entry(kind).or_default().extend(self.make.get(&change.address)),
                Reason::NotInConfiguration | Reason::Retired { .. } => {
                    let gone = self.unmake.get(&change.address);
                    going.entry(kind).or_default().extend(gone.and_then(|steps| steps.first()));
                }
                _ => {}
            }
        }
        for (kind, going) in going {
            let new = new.get(kind).into_iter().flatten().cycle();
            let pairs = going.into_iter().zip(new);
            pairs.for_each(|(gone, made)| self.prefer(Rank::Manners, gone, *made));
        }
    }

    fn deletion_of(&self, address: &Address, life: u64) -> Option<usize> {
        let steps = self.unmake.get(address)?.iter().copied();
        steps.into_iter().find(
            |&step| matches!(&self.ops[step], Op::Delete { generation, .. } if *generation == life),
        )
    }

    fn waits_for(&self, step: usize, other: usize) -> bool {
        self.after[step].iter().any(|dependency| dependency.step == index(other))
    }

    /// Orders the deletion of a resource before the creation of another one with conflicting
    /// inputs.
    fn make_where_there_is_room(&mut self, desired: &Graph, state: &State, schemas: &dyn Schemas) {
        for node in desired.nodes() {
            let Some(schema) = schemas.schema(node.kind()) else { continue };
            let Some(&made) = self.make.get(&node.address) else { continue };
            if schema.conflicting.is_empty() || !matches!(self.ops[made], Op::Create { .. }) {
                continue;
            }
            for gone in 0..self.ops.len() {
                if conflicts_with_creation(&self.ops[gone], node, state, schema) {
                    self.prefer(Rank::Room, made, gone);
                }
            }
        }
    }

    /// Orders the replacements of a group: each begins after the end of the previous one.
    fn replace_one_at_a_time(&mut self, desired: &Graph) {
        for group in desired.serial_groups() {
            let mut last = Vec::new();
            for address in group {
                if !self.action.get(address).is_some_and(|action| action.replaces()) {
                    continue;
                }
                let steps = self.steps_of(address);
                for &step in &steps {
                    last.iter().for_each(|&other| self.prefer(Rank::Turn, step, other));
                }
                last = steps;
            }
        }
    }

    /// Returns all steps of a resource.
    fn steps_of(&self, address: &Address) -> Vec<usize> {
        let made = self.make.get(address).copied();
        self.unmake.get(address).into_iter().flatten().copied().chain(made).collect()
    }

    /// Returns the operations of the steps.
    pub(super) fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Returns the pairs `(step, other)` in which the step cannot run without the other. Turns and
    /// optional preferences are omitted.
    pub(super) fn needs(&self) -> impl Iterator<Item = (usize, usize)> {
        let hard = self.after.iter().enumerate().flat_map(|(step, after)| {
            after.iter().map(move |dependency| (step, dependency.step as usize))
        });
        let preferred = self.preferred.iter();
        let released =
            preferred.filter(|(_, _, rank)| matches!(rank, Rank::Room | Rank::LettingGo));
        hard.chain(released.map(|&(step, other, _)| (step, other)))
    }

    /// Keeps only the chosen steps. All steps that they cannot run without ([`needs`](Self::needs))
    /// must be chosen, too.
    pub(super) fn retain(&mut self, chosen: &[bool]) {
        let mut count = 0;
        let moved: Vec<Option<usize>> = chosen
            .iter()
            .map(|&chosen| {
                count += usize::from(chosen);
                chosen.then(|| count - 1)
            })
            .collect();
        let mut keep = chosen.iter();
        self.ops.retain(|_| *keep.next().expect("BUG: one for each"));
        let mut keep = chosen.iter();
        self.after.retain(|_| *keep.next().expect("BUG: one for each"));
        for after in &mut self.after {
            let kept = after.iter().filter_map(|dependency| {
                Some(Dependency { step: index(moved[dependency.step as usize]?), ..*dependency })
            });
            *after = kept.collect();
        }
        let preferred = self.preferred.iter();
        let kept =
            preferred.filter_map(|&(step, other, rank)| Some((moved[step]?, moved[other]?, rank)));
        self.preferred = kept.collect();
    }

    /// Returns the steps for the executor.
    pub(super) fn into_steps(mut self) -> Vec<Step> {
        for (step, other, _) in self.preferred {
            self.after[step].insert(Dependency { step: index(other), until: Milestone::Done });
        }
        let steps = self.ops.into_iter().zip(self.after);
        steps.map(|(op, after)| Step { op, after: after.into_iter().collect() }).collect()
    }

    /// Drops preferences until the steps have no cycle, the weakest rank of each cycle first.
    fn break_circles(&mut self) {
        loop {
            let circle = self.circles();
            let inside =
                |step: usize, other: usize| circle[step].is_some() && circle[step] == circle[other];
            let weakest = self.preferred.iter().filter(|(step, other, _)| inside(*step, *other));
            let Some(weakest) = weakest.map(|(_, _, rank)| *rank).max() else {
                let stuck = circle.iter().any(Option::is_some);
                assert!(!stuck, "BUG: the steps of a plan wait for each other");
                return;
            };
            self.preferred.retain(|&(step, other, rank)| rank != weakest || !inside(step, other));
        }
    }

    /// Returns for each step the number of its cycle; `None` for a step outside all cycles.
    fn circles(&self) -> Vec<Option<usize>> {
        let hard = self.after.iter().enumerate().flat_map(|(step, after)| {
            after.iter().map(move |dependency| (dependency.step, index(step)))
        });
        let preferred = self.preferred.iter().map(|&(step, other, _)| (index(other), index(step)));
        let mut graph = DiGraph::<(), (), u32>::new();
        self.ops.iter().for_each(|_| {
            graph.add_node(());
        });
        graph.extend_with_edges(hard.chain(preferred));
        let mut circle = vec![None; self.ops.len()];
        for (number, members) in tarjan_scc(&graph).into_iter().enumerate() {
            if members.len() > 1 {
                members.into_iter().for_each(|step| circle[step.index()] = Some(number));
            }
        }
        circle
    }
}

/// Returns true if `op` deletes another resource whose inputs conflict with those of `node`.
fn conflicts_with_creation(op: &Op, node: &GraphNode, state: &State, schema: &Schema) -> bool {
    let Op::Delete { address, generation, .. } = op else { return false };
    if address == &node.address || address.kind() != schema.kind {
        return false;
    }
    let record = state.record_of(address, *generation);
    record.is_some_and(|record| conflict(schema, &record.inputs, &node.inputs))
}

fn index(step: usize) -> u32 {
    u32::try_from(step).expect("BUG: a plan of four thousand million steps")
}
