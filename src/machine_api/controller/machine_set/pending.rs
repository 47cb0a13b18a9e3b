//! What was asked for and is not seen yet.
//!
//! What is known of a cluster is always a little old. Who decides on it alone makes a machine again that
//! it has just made, and deletes a second one in the place of the first. So what was asked for counts
//! as done from before it is asked for until it is seen, however long that takes; and what got no
//! answer is asked for again by the same name, so that it is there once.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use crate::machine_api::types::Machine;

/// After so long one looks whether what was asked for is so: it may have gone again unseen.
const OVERDUE: Duration = Duration::from_secs(10);

/// What one set has asked for.
#[derive(Debug, Default)]
pub(super) struct Pending {
    made: BTreeMap<String, Asked>,
    going: BTreeMap<String, Asked>,
}

/// One machine that is to come or to go.
#[derive(Clone, Debug)]
struct Asked {
    machine: Machine,
    /// Whether the answer came.
    answered: bool,
    since: Instant,
}

/// What is to be done about something that is not seen yet.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Doubt {
    /// Nobody knows whether this one was made: it is made again by the same name.
    Make(Machine),
    /// Nobody knows whether this one goes: it is deleted again.
    Delete(Machine),
    /// This one was made and should have been seen by now.
    IsThere(Machine),
    /// This one was deleted, which should have been seen by now.
    IsGoing(Machine),
}

impl Pending {
    /// This one is about to be made.
    pub(super) fn making(&mut self, machine: &Machine) {
        let asked = Asked { machine: machine.clone(), answered: false, since: Instant::now() };
        self.made.insert(machine.metadata.name.clone(), asked);
    }

    /// It is made: like this.
    pub(super) fn made(&mut self, machine: Machine) {
        if let Some(asked) = self.made.get_mut(&machine.metadata.name) {
            asked.answered = true;
            asked.machine = machine;
        }
    }

    /// It is not made, and will not be.
    pub(super) fn not_made(&mut self, name: &str) {
        self.made.remove(name);
    }

    /// This one is about to be deleted.
    pub(super) fn deleting(&mut self, machine: &Machine) {
        let asked = Asked { machine: machine.clone(), answered: false, since: Instant::now() };
        self.going.insert(machine.metadata.uid.clone(), asked);
    }

    /// It goes.
    pub(super) fn deleted(&mut self, uid: &str) {
        if let Some(asked) = self.going.get_mut(uid) {
            asked.answered = true;
        }
    }

    /// It stays.
    pub(super) fn not_deleted(&mut self, uid: &str) {
        self.going.remove(uid);
    }

    /// Somebody has looked: this much is so, and is waited for anew.
    pub(super) fn looked(&mut self, machine: &Machine) {
        let name = &machine.metadata.name;
        let both = [self.made.get_mut(name), self.going.get_mut(&machine.metadata.uid)];
        for asked in both.into_iter().flatten() {
            asked.since = Instant::now();
        }
    }

    /// What there is when what was asked for is done: what was seen, less what goes, and what is made.
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

    /// What is to be found out.
    pub(super) fn doubts(&self) -> Vec<Doubt> {
        let made = self.made.values().filter_map(|one| one.doubt(Doubt::Make, Doubt::IsThere));
        let going = self.going.values().filter_map(|one| one.doubt(Doubt::Delete, Doubt::IsGoing));
        made.chain(going).collect()
    }

    /// When to look again though nothing happens.
    pub(super) fn overdue_in(&self) -> Option<Duration> {
        let all = self.made.values().chain(self.going.values());
        all.map(|asked| OVERDUE.saturating_sub(asked.since.elapsed())).min()
    }
}

impl Asked {
    fn doubt(&self, again: fn(Machine) -> Doubt, look: fn(Machine) -> Doubt) -> Option<Doubt> {
        match self.answered {
            false => Some(again(self.machine.clone())),
            true if self.since.elapsed() >= OVERDUE => Some(look(self.machine.clone())),
            true => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::machine_api::types::read;

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
        let mut pending = Pending::default();
        pending.making(&machine("b"));
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a", "b"]);
        pending.made(machine("b"));
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a", "b"]);
        assert_eq!(names(&pending.view(vec![machine("a"), machine("b")])), ["a", "b"]);
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a"], "it was seen, and is gone");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_deleted_does_not_count_though_it_is_still_seen() {
        let mut pending = Pending::default();
        pending.deleting(&machine("a"));
        pending.deleted("uid-of-a");
        assert_eq!(names(&pending.view(vec![machine("a"), machine("b")])), ["b"]);
        assert_eq!(names(&pending.view(vec![going("a"), machine("b")])), ["a", "b"]);
        assert_eq!(pending.overdue_in(), None, "that it goes was seen");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_and_deleted_before_it_was_seen_does_not_count() {
        let mut pending = Pending::default();
        pending.making(&machine("b"));
        pending.made(machine("b"));
        pending.deleting(&machine("b"));
        pending.deleted("uid-of-b");
        assert!(pending.view(vec![]).is_empty());
        assert!(pending.view(vec![machine("b")]).is_empty(), "its deletion is not seen yet");
        assert_eq!(names(&pending.view(vec![going("b")])), ["b"]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_refused_is_as_if_it_had_not_been_asked_for() {
        let mut pending = Pending::default();
        pending.making(&machine("b"));
        pending.deleting(&machine("a"));
        pending.not_made("b");
        pending.not_deleted("uid-of-a");
        assert_eq!(names(&pending.view(vec![machine("a")])), ["a"]);
        assert!(pending.doubts().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn what_got_no_answer_is_asked_for_again_and_what_is_not_seen_is_looked_for() {
        let mut pending = Pending::default();
        pending.making(&machine("b"));
        pending.deleting(&machine("a"));
        let again = [Doubt::Make(machine("b")), Doubt::Delete(machine("a"))];
        assert_eq!(pending.doubts(), again);
        pending.made(machine("b"));
        pending.deleted("uid-of-a");
        assert_eq!((pending.doubts(), pending.overdue_in()), (vec![], Some(OVERDUE)));
        tokio::time::advance(OVERDUE).await;
        assert_eq!(pending.doubts(), [Doubt::IsThere(machine("b")), Doubt::IsGoing(machine("a"))]);
        pending.looked(&machine("b"));
        pending.looked(&machine("a"));
        assert!(pending.doubts().is_empty());
    }
}
