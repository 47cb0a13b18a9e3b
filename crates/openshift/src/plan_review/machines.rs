//! Plan warnings about running machines that a plan replaces or removes, counted for each set. The
//! warnings are informational and block no plan.

use std::collections::BTreeMap;

use groundplan_engine::graph::Address;
use groundplan_engine::plan::{Action, Change, Plan, Reason};

use crate::topology::is_control_plane;

/// Returns one warning for replaced machines and one for removed machines; masters are left out.
pub(crate) fn plan_warnings(plan: &Plan) -> Vec<String> {
    let going = |goes: fn(Action) -> bool| -> Vec<&Address> {
        let run = plan.changes.iter().filter(|change| runs(change) && goes(change.action));
        let machines = run.map(|change| &change.address).filter(|one| one.kind() == "machine");
        machines.filter(|address| !is_control_plane(address)).collect()
    };
    let replaced = going(Action::replaces);
    let removed = going(|action| action == Action::Delete);
    let replaced = replaced.first().map(|first| {
        format!(
            "{} replaced ({}): all at the same time, without draining; each is terminated when its \
             replacement runs, even if that is not a Node yet. Drain the Nodes and replace some \
             machines at a time (--target {first}), or keep the set, create another one with the \
             change, and scale the old one down after its pods have moved",
            are(replaced.len()),
            by_set(&replaced),
        )
    });
    let removed = removed.first().map(|first| {
        format!(
            "{} deleted ({}) without draining: drain the Nodes first, or delete some machines at a \
             time (--target {first})",
            are(removed.len()),
            by_set(&removed),
        )
    });
    replaced.into_iter().chain(removed).collect()
}

/// Returns false for the remainder of an earlier run: a machine that is half deleted or already
/// replaced.
fn runs(change: &Change) -> bool {
    !matches!(change.reason, Reason::DeletionUnfinished | Reason::Superseded)
}

fn are(count: usize) -> String {
    match count {
        1 => "1 running machine is".to_owned(),
        count => format!("{count} running machines are"),
    }
}

/// Counts machines for each set, as in `3 of demo-worker-a, 1 of demo-worker-b`. The name of a
/// machine is the name of its set, a hyphen and a number.
fn by_set(machines: &[&Address]) -> String {
    let mut sets: BTreeMap<&str, usize> = BTreeMap::new();
    for address in machines {
        *sets.entry(set(address.name())).or_default() += 1;
    }
    let sets = sets.iter().map(|(set, count)| format!("{count} of {set}"));
    sets.collect::<Vec<_>>().join(", ")
}

fn set(name: &str) -> &str {
    let is_number = |end: &str| !end.is_empty() && end.bytes().all(|digit| digit.is_ascii_digit());
    match name.rsplit_once('-') {
        Some((set, end)) if is_number(end) => set,
        _ => name,
    }
}
