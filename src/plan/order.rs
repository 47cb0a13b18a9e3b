//! Turns verdicts into steps.
//!
//! The order is Terraform's, which hands know: makers follow what they need, deletions go before
//! the deletion of what they needed, what lets go of a doomed resource does so before it goes.

use std::collections::{BTreeSet, HashMap};

use petgraph::algo::toposort;
use petgraph::graph::DiGraph;

use super::decide::Verdict;
use super::{Action, Dependency, Op, Prior, Reason, Step, Until};
use crate::graph::{Address, Graph};
use crate::provider::Schemas;
use crate::state::{Record, State};

/// The steps that carry out the verdicts.
pub(super) fn steps(
    verdicts: &[Verdict],
    desired: &Graph,
    state: &State,
    schemas: &dyn Schemas,
    generation: u64,
) -> Vec<Step> {
    let mut order = Order::new(verdicts, desired, generation);
    order.make_after_what_is_needed(desired, schemas);
    order.replace_in_turn(verdicts);
    order.delete_before_what_was_needed(state);
    order.into_steps()
}

/// Who waits for whom, while it is worked out.
struct Order<'a> {
    ops: Vec<Op>,
    after: Vec<BTreeSet<Dependency>>,
    /// Edges that are good manners rather than need: dropped if they would close a circle.
    soft: Vec<(usize, Dependency)>,
    /// The step that makes or changes a resource.
    make: HashMap<&'a Address, usize>,
    /// The steps that delete a resource's lives.
    unmake: HashMap<&'a Address, Vec<usize>>,
    action: HashMap<&'a Address, Action>,
}

impl<'a> Order<'a> {
    fn new(verdicts: &'a [Verdict], desired: &Graph, generation: u64) -> Self {
        let mut order = Self {
            ops: Vec::new(),
            after: Vec::new(),
            soft: Vec::new(),
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

    fn add_unmaking(&mut self, verdict: &'a Verdict) {
        let change = &verdict.change;
        if change.action == Action::Delete || change.action.replaces() {
            let generation = verdict.generation.expect("BUG: only what exists is deleted");
            let step = self.push(Op::Delete { address: change.address.clone(), generation });
            self.unmake.entry(&change.address).or_default().push(step);
        }
        // A superseded life does not speak for the address.
        if change.reason != Reason::Superseded {
            self.action.insert(&change.address, change.action);
        }
    }

    fn add_making(&mut self, verdict: &'a Verdict, desired: &Graph, generation: u64) {
        let address = &verdict.change.address;
        let Some(node) = desired.get(address) else { return };
        if verdict.change.reason == Reason::Superseded {
            return;
        }
        let life = verdict.generation.unwrap_or(generation);
        let (address, after) = (address.clone(), node.after.clone());
        let op = match verdict.change.action {
            Action::Keep | Action::Delete => return,
            Action::Finish if verdict.before.is_null() => Op::Create {
                address,
                generation: life,
                inputs: verdict.inputs.clone(),
                after,
                prior: Prior::Unanswered,
            },
            Action::Finish => Op::Finish { address, generation: life },
            Action::Update => Op::Update {
                address,
                generation: life,
                before: verdict.before.clone(),
                inputs: node.inputs.clone(),
                after,
            },
            action => Op::Create {
                address,
                generation,
                inputs: node.inputs.clone(),
                after,
                prior: match (action, &verdict.change.reason) {
                    (Action::CreateThenDelete, _) => Prior::Deposed,
                    (_, Reason::Missing) => Prior::Vanished,
                    _ => Prior::Nothing,
                },
            },
        };
        let step = self.push(op);
        self.make.insert(&verdict.change.address, step);
    }

    fn wait(&mut self, step: usize, other: usize, until: Until) {
        self.after[step].insert(Dependency { step: index(other), until });
    }

    fn make_after_what_is_needed(&mut self, desired: &Graph, schemas: &dyn Schemas) {
        for node in desired.nodes() {
            let Some(&step) = self.make.get(&node.address) else { continue };
            for needed in &node.after {
                let Some(&other) = self.make.get(needed) else { continue };
                let until = match &self.ops[other] {
                    Op::Update { .. } => Until::Done,
                    _ => schemas.schema(needed.kind()).map_or(Until::Done, |s| s.usable.into()),
                };
                self.wait(step, other, until);
            }
        }
    }

    fn replace_in_turn(&mut self, verdicts: &[Verdict]) {
        for Verdict { change, .. } in verdicts {
            let Some(&made) = self.make.get(&change.address) else { continue };
            let Some(deleted) = self.unmake.get(&change.address).cloned() else { continue };
            match change.action {
                // Lives deposed by an earlier run have no part in this one's turn.
                Action::DeleteThenCreate => self.wait(made, deleted[0], Until::Done),
                Action::CreateThenDelete => {
                    deleted.into_iter().for_each(|gone| self.wait(gone, made, Until::Done));
                }
                _ => deleted.into_iter().for_each(|gone| self.wait(gone, made, Until::Done)),
            }
        }
    }

    fn delete_before_what_was_needed(&mut self, state: &State) {
        let current = state.resources.iter();
        let deposed = state.deposed.iter();
        let lives = current
            .map(|(address, record)| (address, record))
            .chain(deposed.flat_map(|(a, lives)| lives.iter().map(move |record| (a, record))));
        for (address, record) in lives {
            for needed in &record.after {
                self.let_go(address, record, needed);
            }
        }
    }

    /// Orders what happens to a resource and to one that it was recorded to need.
    fn let_go(&mut self, address: &Address, record: &Record, needed: &Address) {
        let made = self.make.get(address).copied();
        let deleted = self.deletion_of(address, record.generation);
        let needed_action = self.action.get(needed).copied();
        for gone in self.unmake.get(needed).cloned().unwrap_or_default() {
            if let Some(deleted) = deleted {
                self.wait(gone, deleted, Until::Done);
            }
            let superseded = needed_action != Some(Action::Delete)
                && needed_action != Some(Action::DeleteThenCreate);
            let moves_off = superseded || deleted.is_none();
            if let Some(made) = made
                && moves_off
                && needed_action != Some(Action::DeleteThenCreate)
            {
                self.wait(gone, made, Until::Done);
            }
        }
        let (Some(deleted), Some(&changed)) = (deleted, self.make.get(needed)) else { return };
        let deleted_first = made.is_none_or(|made| !self.waits_for(deleted, made));
        let in_place = matches!(self.ops[changed], Op::Update { .. });
        if deleted_first && (in_place || needed_action == Some(Action::CreateThenDelete)) {
            let edge = Dependency { step: index(deleted), until: Until::Done };
            self.soft.push((changed, edge));
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

    fn into_steps(mut self) -> Vec<Step> {
        let hard = self.after.clone();
        for (step, edge) in std::mem::take(&mut self.soft) {
            self.after[step].insert(edge);
        }
        if circular(&self.after) {
            self.after = hard;
            assert!(!circular(&self.after), "BUG: the steps of a plan wait for each other");
        }
        let steps = self.ops.into_iter().zip(self.after);
        steps.map(|(op, after)| Step { op, after: after.into_iter().collect() }).collect()
    }
}

fn circular(after: &[BTreeSet<Dependency>]) -> bool {
    let edges = after.iter().enumerate().flat_map(|(step, after)| {
        after.iter().map(move |dependency| (dependency.step, index(step)))
    });
    let mut graph = DiGraph::<(), (), u32>::with_capacity(after.len(), after.len());
    (0..after.len()).for_each(|_| {
        graph.add_node(());
    });
    graph.extend_with_edges(edges);
    toposort(&graph, None).is_err()
}

fn index(step: usize) -> u32 {
    u32::try_from(step).expect("BUG: a plan of four thousand million steps")
}
