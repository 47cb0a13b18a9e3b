//! Expectations: requested creations and deletions that are not observed yet.
//!
//! The observed state of a cluster is always slightly outdated. A decision on it alone would create
//! a machine twice, or delete a second machine in place of the first. For that reason a request
//! counts as done from before it is sent until its result is observed, without a time limit. A
//! request in doubt is repeated with the same name, so that it takes effect once.
//!
//! The names of requested machines are also in the API, because expectations must survive the
//! process (`announcement`).

use std::collections::BTreeMap;
use std::time::Duration;

use groundplan_openshift::machine_api::types::Machine;
use tokio::time::Instant;

/// Time after which an expected result is checked, because a result may appear and disappear
/// unobserved.
const OVERDUE: Duration = Duration::from_secs(10);

/// Time after which a request without a response can no longer take effect.
pub(super) const ARRIVES_WITHIN: Duration = Duration::from_secs(15);

/// Minimum time between two checks.
const AT_LEAST: Duration = Duration::from_secs(1);

/// Expectations of one set.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    made: BTreeMap<String, ExpectedChange>,
    going: BTreeMap<String, ExpectedChange>,
}

/// Expected creation or deletion of one machine.
#[derive(Clone, Debug)]
struct ExpectedChange {
    machine: Machine,
    /// Version of the machine that a deletion is conditional on.
    version: Option<String>,
    /// True if the response arrived.
    answered: bool,
    since: Instant,
}

/// Action for an expectation that is not observed yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum ExpectationCheck {
    /// Repeat this creation in doubt, with the same name.
    Make(Machine),
    /// Repeat this deletion in doubt, on the condition of the same version. A rejection means that
    /// the machine has changed, so that the first request cannot take effect either.
    Delete(Machine, Option<String>),
    /// Check this created machine, which is overdue.
    IsThere(Machine),
    /// Check this deleted machine, whose deletion is overdue.
    IsGoing(Machine),
}

impl Expectations {
    /// Records a creation before the request is sent.
    pub(super) fn making(&mut self, machine: &Machine) {
        let asked = ExpectedChange::new(machine, None);
        self.made.insert(machine.metadata.name.clone(), asked);
    }

    /// Returns the names of creations in doubt.
    pub(super) fn doubted(&self) -> Vec<String> {
        let open = self.made.iter().filter(|(_, asked)| !asked.answered);
        open.map(|(name, _)| name.clone()).collect()
    }

    /// Removes the creations in doubt that cannot take effect any more.
    pub(super) fn forget_expired(&mut self) {
        self.made.retain(|_, asked| asked.answered || asked.since.elapsed() < ARRIVES_WITHIN);
    }

    /// Records the created machine.
    pub(super) fn made(&mut self, machine: Machine) {
        if let Some(asked) = self.made.get_mut(&machine.metadata.name) {
            asked.answered = true;
            asked.since = Instant::now();
            asked.machine = machine;
        }
    }

    /// Removes the expectation of a creation that did not happen and will not.
    pub(super) fn not_made(&mut self, name: &str) {
        self.made.remove(name);
    }

    /// Records a deletion before the request is sent.
    pub(super) fn deleting(&mut self, machine: &Machine, version: Option<String>) {
        let asked = ExpectedChange::new(machine, version);
        self.going.insert(machine.metadata.uid.clone(), asked);
    }

    /// Records that the API server accepted a deletion.
    pub(super) fn deleted(&mut self, uid: &str) {
        if let Some(asked) = self.going.get_mut(uid) {
            asked.answered = true;
        }
    }

    /// Returns true if the deletion of this machine is expected.
    pub(super) fn is_going(&self, uid: &str) -> bool {
        self.going.contains_key(uid)
    }

    /// Removes the expectation of a deletion that did not happen.
    pub(super) fn not_deleted(&mut self, uid: &str) {
        self.going.remove(uid);
    }

    /// Records a check of the expectations for a machine, which restarts their timeout.
    pub(super) fn restart_timeout(&mut self, machine: &Machine) {
        let name = &machine.metadata.name;
        let both = [self.made.get_mut(name), self.going.get_mut(&machine.metadata.uid)];
        for asked in both.into_iter().flatten() {
            asked.since = Instant::now();
        }
    }

    /// Returns the machines as if all expectations had been met. The result contains the observed
    /// machines, without the ones being deleted, and with the ones being created.
    pub(super) fn view(&mut self, seen: Vec<Machine>) -> Vec<Machine> {
        self.forget_what_is_seen(&seen);
        let made = self.made.values().map(|asked| asked.machine.clone());
        let all = seen.into_iter().chain(made);
        all.filter(|one| !self.going.contains_key(&one.metadata.uid)).collect()
    }

    fn forget_what_is_seen(&mut self, seen: &[Machine]) {
        self.made.retain(|name, _| !seen.iter().any(|one| one.metadata.name == *name));
        let stays = |one: &Machine, uid: &str| {
            one.metadata.uid == uid && one.metadata.deletion_timestamp.is_none()
        };
        let made: Vec<&Machine> = self.made.values().map(|asked| &asked.machine).collect();
        let known = || seen.iter().chain(made.iter().copied());
        self.going.retain(|uid, _| known().any(|one| stays(one, uid)));
    }

    /// Returns the actions for expectations in doubt or overdue.
    pub(super) fn doubts(&self) -> Vec<ExpectationCheck> {
        let made = self.made.values().filter_map(|one| match one.answered {
            false => Some(ExpectationCheck::Make(one.machine.clone())),
            true => one.is_overdue().then(|| ExpectationCheck::IsThere(one.machine.clone())),
        });
        let going = self.going.values().filter_map(|one| match one.answered {
            false => Some(ExpectationCheck::Delete(one.machine.clone(), one.version.clone())),
            true => one.is_overdue().then(|| ExpectationCheck::IsGoing(one.machine.clone())),
        });
        made.chain(going).collect()
    }

    /// Returns the time until the first expectation needs a check.
    pub(super) fn overdue_in(&self) -> Option<Duration> {
        let all = self.made.values().chain(self.going.values());
        let left = all.map(|asked| {
            let after = if asked.answered { OVERDUE } else { ARRIVES_WITHIN };
            after.saturating_sub(asked.since.elapsed())
        });
        // A check that finds nothing new must not repeat itself at once.
        left.min().map(|left| left.max(AT_LEAST))
    }
}

impl ExpectedChange {
    fn new(machine: &Machine, version: Option<String>) -> Self {
        Self { machine: machine.clone(), version, answered: false, since: Instant::now() }
    }

    fn is_overdue(&self) -> bool {
        self.since.elapsed() >= OVERDUE
    }
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::types::read;
    use serde_json::json;

    use super::*;

    fn machine(name: &str) -> Machine {
        read(&json!({"metadata": {"name": name, "uid": format!("uid-of-{name}")}})).unwrap()
    }

    fn going(name: &str) -> Machine {
        let mut machine = machine(name);
        machine.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned());
        machine
    }

    fn names(machines: &[Machine]) -> Vec<&str> {
        machines.iter().map(|machine| machine.metadata.name.as_str()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_counts_before_it_is_seen_and_once() {
        let mut pending = Expectations::default();
        pending.making(&machine("b"));
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a", "b"]);
        pending.made(machine("b"));
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a", "b"]);
        assert_eq!(names(&pending.view(vec![machine("a"), machine("b")])), ["a", "b"]);
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a"], "it was seen, and is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_deleted_does_not_count_though_it_is_still_seen() {
        let mut pending = Expectations::default();
        pending.deleting(&machine("a"), None);
        pending.deleted("uid-of-a");
        assert_eq!(names(&pending.view(vec![machine("a"), machine("b")])), ["b"]);
        assert_eq!(names(&pending.view(vec![going("a"), machine("b")])), ["a", "b"]);
        assert_eq!(pending.overdue_in(), None, "that it goes was seen");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_and_deleted_before_it_was_seen_does_not_count() {
        let mut pending = Expectations::default();
        pending.making(&machine("b"));
        pending.made(machine("b"));
        pending.deleting(&machine("b"), None);
        pending.deleted("uid-of-b");
        assert!(pending.view(vec![]).is_empty());
        assert!(pending.view(vec![machine("b")]).is_empty(), "its deletion is not seen yet");
        assert_eq!(names(&pending.view(vec![going("b")])), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_creation_in_doubt_counts_until_it_can_no_longer_take_effect() {
        let mut pending = Expectations::default();
        pending.making(&machine("b"));
        pending.making(&machine("c"));
        pending.made(machine("c"));
        pending.forget_expired();
        assert_eq!(pending.doubted(), ["b"]);
        tokio::time::advance(OVERDUE).await;
        assert!(pending.overdue_in().unwrap() >= AT_LEAST, "no check follows at once");
        assert_eq!(names(&pending.view(vec![])), ["b", "c"]);
        tokio::time::advance(ARRIVES_WITHIN).await;
        pending.forget_expired();
        assert_eq!(names(&pending.view(vec![])), ["c"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_as_if_it_had_not_been_asked_for() {
        let mut pending = Expectations::default();
        pending.making(&machine("b"));
        pending.deleting(&machine("a"), None);
        pending.not_made("b");
        pending.not_deleted("uid-of-a");
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a"]);
        assert!(pending.doubts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_got_no_answer_is_asked_for_again_and_what_is_not_seen_is_looked_for() {
        let mut pending = Expectations::default();
        pending.making(&machine("b"));
        pending.deleting(&machine("a"), None);
        let again =
            [ExpectationCheck::Make(machine("b")), ExpectationCheck::Delete(machine("a"), None)];
        assert_eq!(pending.doubts(), again);
        pending.made(machine("b"));
        pending.deleted("uid-of-a");
        assert_eq!((pending.doubts(), pending.overdue_in()), (vec![], Some(OVERDUE)));
        tokio::time::advance(OVERDUE).await;
        assert_eq!(
            pending.doubts(),
            [ExpectationCheck::IsThere(machine("b")), ExpectationCheck::IsGoing(machine("a"))]
        );
        pending.restart_timeout(&machine("b"));
        pending.restart_timeout(&machine("a"));
        assert!(pending.doubts().is_empty());
    }
}
