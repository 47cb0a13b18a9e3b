//! Billed items of a plan: what the recorded resources are billed for, before and after the plan.
//!
//! A pure sum over the changes. The provider's side knows the items of each kind; prices are not
//! known here.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, Plan};

/// Item that the provider bills by its amount. Items sort by their place in a list, then by variant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BilledItem {
    /// Place among the items.
    pub order: u8,
    /// Name for programs and price files: `nat_gateway`, `instance`, `volume`.
    pub name: &'static str,
    /// Variant of the item: an instance type or a volume type. Empty for an item without variants.
    pub variant: String,
    /// Text beside an amount of 1.
    pub one: String,
    /// Text beside another amount.
    pub several: String,
}

impl BilledItem {
    /// Returns an amount with its text: `1 NAT gateway`, `120 GiB gp3`.
    pub fn counted(&self, amount: u64) -> String {
        format!("{amount} {}", if amount == 1 { &self.one } else { &self.several })
    }
}

/// Amount of one item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledAmount {
    /// Item.
    pub item: BilledItem,
    /// Amount, in the unit of the item.
    pub amount: u64,
}

/// Amounts of one item before and after a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledLine {
    /// Item.
    pub item: BilledItem,
    /// Amount before the plan.
    pub before: u64,
    /// Amount after the plan.
    pub after: u64,
}

/// Function that returns the billed items of a resource with these inputs, by its kind.
pub type BilledBy = fn(kind: &str, inputs: &Value) -> Vec<BilledAmount>;

/// Returns the items that are billed before or after a plan.
pub fn bill(plan: &Plan, billed: BilledBy) -> Vec<BilledLine> {
    let mut sums: BTreeMap<BilledItem, (u64, u64)> = BTreeMap::new();
    for change in &plan.changes {
        let kind = change.address.kind();
        let after = match change.action {
            Action::Keep => change.after.as_ref().or(change.before.as_ref()),
            _ => change.after.as_ref(),
        };
        let before = if change.action == Action::Keep { after } else { change.before.as_ref() };
        for one in before.into_iter().flat_map(|inputs| billed(kind, inputs)) {
            sums.entry(one.item).or_default().0 += one.amount;
        }
        for one in after.into_iter().flat_map(|inputs| billed(kind, inputs)) {
            sums.entry(one.item).or_default().1 += one.amount;
        }
    }
    let lines = sums.into_iter().filter(|(_, amounts)| *amounts != (0, 0));
    lines.map(|(item, (before, after))| BilledLine { item, before, after }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::event::Operation;
    use crate::plan::{Change, Reason};

    fn disk(_: &str, inputs: &Value) -> Vec<BilledAmount> {
        let (one, several) = ("GiB".to_owned(), "GiB".to_owned());
        let variant = inputs["type"].as_str().unwrap_or_default().to_owned();
        let item = BilledItem { order: 0, name: "disk", variant, one, several };
        vec![BilledAmount { item, amount: inputs["size"].as_u64().unwrap_or_default() }]
    }

    fn change(action: Action, before: Option<Value>, after: Option<Value>) -> Change {
        Change {
            address: "disk.a".into(),
            action,
            reason: Reason::UpToDate,
            id: None,
            fields: vec![],
            drift: vec![],
            unmanaged: vec![],
            left: vec![],
            before,
            after,
            protected: false,
        }
    }

    fn amounts(changes: Vec<Change>) -> Vec<(String, u64, u64)> {
        let plan = Plan {
            operation: Operation::Apply,
            lineage: "l".into(),
            serial: 1,
            cluster: None,
            generation: 1,
            selection: None,
            changes,
            dependency_updates: vec![],
            steps: vec![],
        };
        bill(&plan, disk)
            .into_iter()
            .map(|line| (line.item.variant, line.before, line.after))
            .collect()
    }

    fn gib(kind: &str, size: u64) -> Option<Value> {
        Some(json!({"type": kind, "size": size}))
    }

    #[test]
    fn every_action_counts_what_exists_before_and_after_it() {
        let of = |action, before, after| amounts(vec![change(action, before, after)]);
        let line = |before, after| vec![("a".to_owned(), before, after)];
        assert_eq!(of(Action::Create, None, gib("a", 5)), line(0, 5));
        assert_eq!(of(Action::Keep, None, gib("a", 5)), line(5, 5));
        assert_eq!(of(Action::Update, gib("a", 5), gib("a", 8)), line(5, 8));
        assert_eq!(of(Action::Finish, None, gib("a", 5)), line(0, 5));
        assert_eq!(of(Action::Finish, gib("a", 5), gib("a", 5)), line(5, 5));
        assert_eq!(of(Action::Delete, gib("a", 5), None), line(5, 0));
        // A deposed object that is not selected stays.
        assert_eq!(of(Action::Keep, gib("a", 5), None), line(5, 5));
        assert_eq!(of(Action::Keep, None, None), []);
    }

    #[test]
    fn a_replacement_moves_the_amount_between_variants_and_nothing_of_an_item_is_no_line() {
        let replaced = change(Action::CreateThenDelete, gib("a", 5), gib("b", 5));
        let kept = change(Action::Keep, None, gib("a", 2));
        let empty = change(Action::Create, None, gib("c", 0));
        assert_eq!(
            amounts(vec![replaced, kept, empty]),
            [("a".to_owned(), 7, 2), ("b".to_owned(), 0, 5)]
        );
    }
}
