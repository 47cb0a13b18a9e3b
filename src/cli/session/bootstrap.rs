//! Bootstrap of the desired state: wanted, or removed for good. The state records the removal before the
//! first deletion, so no later run creates the bootstrap again by itself.

use std::collections::BTreeSet;

use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::plan::{Action, Change, Plan, Reason};
use groundplan_engine::state::{Entry, LookupCache, State};
use groundplan_openshift::topology::{date, is_control_plane};

use crate::cli::session::locked_state::{binding, now};

/// Retired part of the cluster in the state.
const PART: &str = "bootstrap";

/// Address of the bootstrap machine.
const MACHINE: &str = "instance.bootstrap";

/// Choice whether the desired state has the bootstrap.
#[derive(Clone, Debug, Default)]
pub(crate) struct BootstrapChoice {
    /// Choice of the user, or of a saved plan: `--bootstrap` or `--no-bootstrap`.
    asked: Option<bool>,
    /// Time of the recorded removal. It is recorded before the first deletion.
    removed_at: Option<String>,
    /// True if the state still records the bootstrap machine.
    is_there: bool,
}

impl BootstrapChoice {
    /// Returns the choice of the user for a cluster without a recorded removal.
    pub(crate) fn of(asked: Option<bool>) -> Self {
        Self { asked, ..Self::default() }
    }

    /// Completes the choice with what the state records. The memory ends with the last resource.
    pub(crate) fn remember(&mut self, state: &State) {
        self.removed_at = binding(state).retired.remove(PART);
        self.is_there = is_known(state, &MACHINE.into());
    }

    /// Returns true if the desired state has the bootstrap.
    pub(crate) fn wanted(&self) -> bool {
        self.asked.unwrap_or(self.removed_at.is_none())
    }

    /// Returns the time of the recorded removal.
    pub(crate) fn removed_at(&self) -> Option<&str> {
        self.removed_at.as_deref()
    }

    /// Returns a note that the state leaves out the bootstrap; `None` if the user has chosen.
    pub(crate) fn note(&self) -> Option<String> {
        let date = date(self.removed_at.as_deref().filter(|_| self.asked.is_none())?);
        Some(match self.is_there {
            true => format!("note: the removal of the bootstrap, begun on {date}, is not finished"),
            false => {
                format!("note: the bootstrap was removed on {date}; --bootstrap adds it again")
            }
        })
    }

    /// Returns the entry to record before the first change: the removal, or its end.
    ///
    /// A plan that leaves the bootstrap out of its selected part records nothing. Neither does the first
    /// run of a cluster, which may get its bootstrap later.
    pub(crate) fn entry(&self, plan: &Plan, desired: &Graph, state: &State) -> Option<Entry> {
        let cache = &state.lookup_cache;
        let is_recorded = cache.retired.contains_key(PART);
        let makes = |change: &Change| {
            change.address.as_str() == MACHINE
                && (change.action == Action::Create || change.action.replaces())
        };
        let removes = |change: &Change| {
            change.action == Action::Delete && matches!(change.reason, Reason::Retired { .. })
        };
        let is_removed = || !desired.retired().any(|address| is_known(state, address));
        let since = match (self.asked, is_recorded) {
            _ if state.has_nothing() => is_recorded.then_some(None),
            (Some(false), false) => {
                let is_installed = || state.resources.keys().any(is_control_plane);
                let done = || is_removed() && is_installed();
                (plan.changes.iter().any(removes) || done()).then(|| Some(now()))
            }
            (Some(true), true) => {
                let is_whole = plan.selection.is_none();
                (is_whole || plan.changes.iter().any(makes)).then_some(None)
            }
            _ => None,
        };
        since.map(|since| cache.retired_entry(PART, since))
    }
}

/// Returns the recorded resources of a removed bootstrap and those that lose a part with it, or only its
/// machine if none is recorded: an empty selection would be the whole plan.
pub(crate) fn removed(desired: &Graph, state: &State) -> BTreeSet<Address> {
    let parts = desired.retired().chain(desired.narrowed());
    let recorded = parts.filter(|address| is_known(state, address));
    let recorded: BTreeSet<Address> = recorded.cloned().collect();
    if recorded.is_empty() { [MACHINE.into()].into() } else { recorded }
}

fn is_known(state: &State, address: &Address) -> bool {
    state.resources.contains_key(address) || state.deposed.contains_key(address)
}

/// Records in `cache` that the bootstrap is removed if a recovery found masters and no bootstrap machine.
/// Returns true if so.
pub(crate) fn is_gone(entries: &[Entry], cache: &mut LookupCache) -> bool {
    let found =
        |is: &dyn Fn(&Address) -> bool| entries.iter().any(|one| one.address().is_some_and(is));
    let is_gone = found(&is_control_plane) && !found(&|address| address.as_str() == MACHINE);
    if is_gone {
        cache.retired.insert(PART.to_owned(), now());
    }
    is_gone
}

#[cfg(test)]
mod tests {
    use groundplan_aws::schemas;
    use groundplan_engine::plan::{LiveState, PlanOptions, plan};
    use groundplan_engine::state::RecordStatus;
    use serde_json::json;

    use super::*;

    const AT: &str = "2026-11-30T21:00:00Z";

    /// Returns a state that records these addresses, and possibly the removal.
    fn state(addresses: &[&str], removed: bool) -> State {
        let mut state = State::new("lineage".into());
        for address in addresses {
            let (address, inputs) = (Address::from(*address), json!({}));
            let started = Entry::CreateStarted { address, generation: 1, inputs, after: vec![] };
            state.record(&started).unwrap();
        }
        let since = removed.then(|| AT.to_owned());
        let entry = state.lookup_cache.retired_entry(PART, since);
        state.record(&entry).unwrap();
        for record in state.resources.values_mut() {
            (record.status, record.outputs) = (RecordStatus::Ready, json!({"id": "x"}));
        }
        state
    }

    const WHOLE: [&str; 3] = [MACHINE, "instance.master-0", "target.bootstrap-aint"];
    const REST: [&str; 1] = ["instance.master-0"];

    /// Returns the time that a run with this choice records; the outer `None` if it records nothing.
    fn recorded(asked: Option<bool>, state: &State, targets: &[&str]) -> Option<Option<String>> {
        let mut choice = BootstrapChoice::of(asked);
        choice.remember(state);
        let mut desired = Graph::default();
        let wanted = if choice.wanted() { &WHOLE[..] } else { &REST };
        wanted.iter().for_each(|address| desired.push((*address).into(), json!({})));
        if !choice.wanted() {
            desired.retire([WHOLE[0].into(), WHOLE[2].into()], "removed");
        }
        let targets = targets.iter().map(|one| Address::from(*one)).collect();
        let options = PlanOptions { targets, ..PlanOptions::default() };
        let plan = plan(&desired, state, &LiveState::new(), &schemas(), &options);
        let mut after = state.clone();
        after.record(&choice.entry(&plan, &desired, state)?).unwrap();
        Some(after.lookup_cache.retired.remove(PART))
    }

    #[test]
    fn a_recorded_removal_counts_until_the_user_asks_for_the_bootstrap() {
        for (asked, removed, wanted) in [
            (None, false, true),
            (None, true, false),
            (Some(false), false, false),
            (Some(false), true, false),
            (Some(true), true, true),
        ] {
            let mut choice = BootstrapChoice::of(asked);
            choice.remember(&state(&REST, removed));
            assert_eq!(choice.wanted(), wanted, "{choice:?}");
            let is_noted = asked.is_none() && removed;
            assert_eq!(choice.note().is_some(), is_noted, "{choice:?}");
        }
        let mut choice = BootstrapChoice::of(None);
        choice.remember(&state(&REST, true));
        let note = "note: the bootstrap was removed on 2026-11-30; --bootstrap adds it again";
        assert_eq!(choice.note().as_deref(), Some(note));
        choice.remember(&state(&WHOLE, true));
        let note = "note: the removal of the bootstrap, begun on 2026-11-30, is not finished";
        assert_eq!(choice.note().as_deref(), Some(note));
        choice.remember(&state(&[], true));
        assert!(choice.wanted(), "a destroy ends the memory");
    }

    #[test]
    fn the_removal_is_recorded_with_the_deletions_or_after_them() {
        let is_recorded = |found: Option<Option<String>>| found.is_some_and(|at| at.is_some());
        assert!(is_recorded(recorded(Some(false), &state(&WHOLE, false), &[])));
        assert!(is_recorded(recorded(Some(false), &state(&WHOLE, false), &[MACHINE])));
        assert_eq!(recorded(Some(false), &state(&WHOLE, false), &["instance.master-0"]), None);
        assert!(is_recorded(recorded(Some(false), &state(&REST, false), &[])), "removed before");
        assert_eq!(recorded(Some(false), &state(&["vpc.main"], false), &[]), None, "no master yet");
        assert_eq!(recorded(Some(false), &state(&REST, true), &[]), None, "known");
        assert_eq!(recorded(None, &state(&WHOLE, true), &[]), None);
        assert_eq!(recorded(None, &state(&WHOLE, false), &[]), None);
    }

    #[test]
    fn the_removal_ends_with_a_new_bootstrap_and_with_the_cluster() {
        assert_eq!(recorded(Some(true), &state(&REST, true), &[]), Some(None));
        assert_eq!(recorded(Some(true), &state(&REST, true), &[MACHINE]), Some(None));
        assert_eq!(recorded(Some(true), &state(&REST, true), &["instance.master-0"]), None);
        for asked in [None, Some(true), Some(false)] {
            assert_eq!(recorded(asked, &state(&[], true), &[]), Some(None), "{asked:?}");
            assert_eq!(recorded(asked, &state(&[], false), &[]), None, "{asked:?}");
        }
    }

    #[test]
    fn a_removal_selects_the_recorded_parts_and_never_everything() {
        let mut desired = Graph::default();
        desired.retire([WHOLE[0].into(), WHOLE[2].into()], "removed");
        let selected = |recorded: &[&str]| removed(&desired, &state(recorded, true));
        assert_eq!(selected(&WHOLE), [WHOLE[0].into(), WHOLE[2].into()].into());
        assert_eq!(selected(&WHOLE[1..]), [WHOLE[2].into()].into());
        assert_eq!(selected(&REST), [MACHINE.into()].into());
    }

    #[test]
    fn a_removal_selects_what_loses_a_part_with_it() {
        const RULES: &str = "security_group_rules.controlplane";
        let mut desired = Graph::default();
        desired.push(RULES.into(), json!({}));
        desired.retire([MACHINE.into()], "removed");
        desired.narrow([RULES.into()]);
        let selected = |recorded: &[&str]| removed(&desired, &state(recorded, true));
        assert_eq!(selected(&[MACHINE, RULES]), [MACHINE.into(), RULES.into()].into());
        assert_eq!(selected(&[RULES]), [RULES.into()].into(), "the rest of a stopped removal");
    }

    #[test]
    fn a_recovery_takes_the_bootstrap_for_removed_if_only_masters_are_found() {
        let entries = |addresses: &[&str]| -> Vec<Entry> {
            let entry = |address: &&str| Entry::Vanished { address: (*address).into() };
            addresses.iter().map(entry).collect()
        };
        for (found, expected) in [(&WHOLE[..], false), (&REST, true), (&["vpc.main"], false)] {
            let mut cache = LookupCache::default();
            assert_eq!(is_gone(&entries(found), &mut cache), expected, "{found:?}");
            assert_eq!(cache.retired.contains_key(PART), expected, "{found:?}");
        }
    }
}
