//! Targets and excludes: reduces a plan to a part.
//!
//! A part is closed: it contains the dependencies of each of its steps, and either all steps of a
//! resource or none. Resources outside the part stay unchanged, and the next plan includes them
//! again.

use std::collections::{BTreeSet, HashMap};

use serde::{Deserialize, Serialize};

use super::PlanOptions;
use super::order::Order;
use crate::graph::{Address, Graph};

/// Selected part of a plan.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Targets; empty means all resources.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub targets: BTreeSet<Address>,
    /// Excluded resources.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub excludes: BTreeSet<Address>,
    /// Resources that change without being targets, because a target depends on them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<Address>,
    /// Resources that differ and are not in the plan.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<Address>,
}

impl Selection {
    /// Returns true if a dependency update of the resource is part of the selection.
    pub(super) fn covers(&self, address: &Address) -> bool {
        let wanted = self.targets.is_empty() || self.targets.contains(address);
        wanted && !self.excludes.contains(address)
    }
}

/// Reduces `order` to the targets and their dependencies, without the excludes and their
/// dependents.
pub(super) fn select(options: &PlanOptions, desired: &Graph, order: &mut Order<'_>) -> Selection {
    let parts = Parts::of(order);
    let mut chosen = vec![options.targets.is_empty(); parts.addresses.len()];
    parts.spread(&mut chosen, parts.wanted(&options.targets, desired), &parts.needs);
    let mut excluded = vec![false; parts.addresses.len()];
    parts.spread(&mut excluded, parts.numbers(&options.excludes), &parts.needed_by);
    for (chosen, excluded) in chosen.iter_mut().zip(excluded) {
        *chosen &= !excluded;
    }
    let steps: Vec<bool> = parts.part_of.iter().map(|&part| chosen[part]).collect();
    order.retain(&steps);
    let named = |which: bool| {
        let numbers = (0..chosen.len()).filter(|&part| chosen[part] == which);
        let mut addresses: Vec<_> = numbers.map(|part| parts.addresses[part].clone()).collect();
        addresses.sort();
        addresses
    };
    let asked = |address: &Address| options.targets.contains(address);
    Selection {
        targets: options.targets.clone(),
        excludes: options.excludes.clone(),
        needed: match options.targets.is_empty() {
            true => Vec::new(),
            false => named(true).into_iter().filter(|address| !asked(address)).collect(),
        },
        left_out: named(false),
    }
}

/// Resources with steps, and their dependencies on each other.
struct Parts {
    addresses: Vec<Address>,
    number: HashMap<Address, usize>,
    /// Resource number of each step.
    part_of: Vec<usize>,
    needs: Vec<BTreeSet<usize>>,
    needed_by: Vec<BTreeSet<usize>>,
}

impl Parts {
    fn of(order: &Order<'_>) -> Self {
        let mut parts = Self {
            addresses: Vec::new(),
            number: HashMap::new(),
            part_of: Vec::new(),
            needs: Vec::new(),
            needed_by: Vec::new(),
        };
        for op in order.ops() {
            let part = parts.add(op.address());
            parts.part_of.push(part);
        }
        for (step, needed) in order.needs() {
            let (part, needed) = (parts.part_of[step], parts.part_of[needed]);
            parts.needs[part].insert(needed);
            parts.needed_by[needed].insert(part);
        }
        parts
    }

    fn add(&mut self, address: &Address) -> usize {
        if let Some(&part) = self.number.get(address) {
            return part;
        }
        let part = self.addresses.len();
        self.addresses.push(address.clone());
        self.number.insert(address.clone(), part);
        self.needs.push(BTreeSet::new());
        self.needed_by.push(BTreeSet::new());
        part
    }

    fn numbers<'a>(&self, addresses: impl IntoIterator<Item = &'a Address>) -> Vec<usize> {
        addresses.into_iter().filter_map(|address| self.number.get(address).copied()).collect()
    }

    /// Returns the targets and their dependencies in the graph, including those of unchanged
    /// targets.
    fn wanted(&self, targets: &BTreeSet<Address>, desired: &Graph) -> Vec<usize> {
        let mut wanted: BTreeSet<&Address> = targets.iter().collect();
        for node in desired.nodes().iter().rev() {
            if wanted.contains(&node.address) {
                wanted.extend(&node.after);
            }
        }
        self.numbers(wanted)
    }

    /// Marks the given numbers and all numbers reachable from them.
    fn spread(&self, marked: &mut [bool], from: Vec<usize>, along: &[BTreeSet<usize>]) {
        let mut reached = from;
        while let Some(part) = reached.pop() {
            if !std::mem::replace(&mut marked[part], true) {
                reached.extend(&along[part]);
            }
        }
    }
}
