//! Time of the next reconcile of each Machine.
//!
//! Each write of a status is an event of the watch. Without a schedule, the own writes of a failed
//! attempt would start the next attempt at once. So an event starts a reconcile only if it changes
//! a field that the decision depends on; all other events wait for the scheduled time.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use groundplan_openshift::machine_api::types::Machine;
use serde_json::json;
use tokio::time::Instant;

/// First pause after a failure. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// First pause after a conflict with a write of another client. Each further pause is twice as long.
const FIRST_CONFLICT_PAUSE: Duration = Duration::from_millis(200);
/// Maximum pause after a conflict.
const LONGEST_CONFLICT_PAUSE: Duration = Duration::from_secs(10);
/// Number of conflicts in a row after which the object is read from the API server.
const CONFLICTS_BEFORE_READ: u32 = 2;
/// Time of conflicts in a row after which they are logged.
const CONFLICTS_LOGGED_AFTER: Duration = Duration::from_secs(5);
/// Maximum pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);

/// Next reconcile of a Machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NextLook {
    /// After this time, or after a change of the Machine.
    After(Duration),
    /// After a change of the Machine.
    OnChange,
}

/// Scheduled reconciles by UID.
#[derive(Debug, Default)]
pub(super) struct Schedule(HashMap<String, ScheduledLook>);

/// Conflicts in a row by UID.
#[derive(Debug, Default)]
pub(super) struct Conflicts(HashMap<String, ConflictSeries>);

#[derive(Debug)]
struct ConflictSeries {
    /// Version of the local copy at the last conflict.
    version: Option<String>,
    times: u32,
    since: Instant,
    /// Time before which no further attempt is made.
    due: Instant,
    is_logged: bool,
}

impl Conflicts {
    /// Returns the rest of the pause after a conflict. A change of the object does not shorten it: the
    /// other client may write all the time.
    pub(super) fn wait(&self, uid: &str) -> Option<Duration> {
        let left = self.0.get(uid)?.due.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// Returns true if several writes that were based on the local copy had conflicts. The object must
    /// be read from the API server.
    pub(super) fn needs_read(&self, uid: &str) -> bool {
        self.0.get(uid).is_some_and(|series| series.times >= CONFLICTS_BEFORE_READ)
    }

    /// Records a conflict of a write to an object whose local copy has this version. Returns the pause
    /// before the next attempt, and the number of conflicts if they are to be logged now.
    pub(super) fn occurred(&mut self, uid: &str, version: Option<&str>) -> (Duration, Option<u32>) {
        let begun = || ConflictSeries {
            version: None,
            times: 0,
            since: Instant::now(),
            due: Instant::now(),
            is_logged: false,
        };
        let series = self.0.entry(uid.to_owned()).or_insert_with(begun);
        let doublings = 1 << series.times.min(10);
        series.times = series.times.saturating_add(1);
        series.version = version.map(str::to_owned);
        let is_due = !series.is_logged && series.since.elapsed() >= CONFLICTS_LOGGED_AFTER;
        series.is_logged |= is_due;
        let pause = FIRST_CONFLICT_PAUSE.saturating_mul(doublings).min(LONGEST_CONFLICT_PAUSE);
        series.due = Instant::now() + pause;
        (pause, is_due.then_some(series.times))
    }

    /// Records a reconcile without a conflict. While the local copy keeps this outdated version, the
    /// object is still read from the API server.
    pub(super) fn ended(&mut self, uid: &str, version: Option<&str>) {
        let is_as_old = |series: &ConflictSeries| series.version.as_deref() == version;
        if !self.needs_read(uid) || !self.0.get(uid).is_some_and(is_as_old) {
            self.0.remove(uid);
        }
    }

    /// Removes a deleted Machine.
    pub(super) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }
}

#[derive(Debug)]
struct ScheduledLook {
    /// Fields that the last decision was based on.
    cause: u64,
    /// Time of the next reconcile. `None` if only a change leads to one.
    due: Option<Instant>,
    failures: u32,
}

impl Schedule {
    /// Returns the next reconcile of a Machine, or `None` if the Machine is to be reconciled now.
    pub(super) fn wait(&self, machine: &Machine) -> Option<NextLook> {
        let look = self.0.get(&machine.metadata.uid).filter(|look| look.cause == cause(machine))?;
        let Some(due) = look.due else { return Some(NextLook::OnChange) };
        let left = due.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(NextLook::After(left))
    }

    /// Records a successful reconcile, after all its writes.
    pub(super) fn looked(&mut self, machine: &Machine, next: NextLook) {
        let due = match next {
            NextLook::After(after) => Some(Instant::now() + after),
            NextLook::OnChange => None,
        };
        self.record(machine, due, 0);
    }

    /// Records a failed reconcile, after all its writes. Returns the pause before the next one.
    /// `at_least` is the delay that AWS requested.
    pub(super) fn failed(&mut self, machine: &Machine, at_least: Option<Duration>) -> Duration {
        let failures = self.failures(machine);
        let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
        let pause = pause.mul_f64(0.75 + fastrand::f64() / 2.0);
        let pause = at_least.map_or(pause, |least| least.max(pause));
        self.record(machine, Some(Instant::now() + pause), failures.saturating_add(1));
        pause
    }

    /// Records that the decision was based on an outdated Machine. The next one follows soon, and
    /// the number of failures stays.
    pub(super) fn overtaken(&mut self, machine: &Machine, pause: Duration) {
        let failures = self.failures(machine);
        self.record(machine, Some(Instant::now() + pause), failures);
    }

    /// Removes a deleted Machine.
    pub(super) fn forget(&mut self, uid: &str) {
        self.0.remove(uid);
    }

    fn failures(&self, machine: &Machine) -> u32 {
        self.0.get(&machine.metadata.uid).map_or(0, |look| look.failures)
    }

    fn record(&mut self, machine: &Machine, due: Option<Instant>, failures: u32) {
        let look = ScheduledLook { cause: cause(machine), due, failures };
        self.0.insert(machine.metadata.uid.clone(), look);
    }
}

/// Returns a hash of the fields that a decision depends on: all except the parts of the status that
/// only report.
fn cause(machine: &Machine) -> u64 {
    let (meta, status) = (&machine.metadata, &machine.status);
    let fields = json!([
        meta.generation,
        meta.labels,
        meta.annotations,
        meta.finalizers,
        meta.deletion_timestamp,
        machine.spec,
        status.node_ref,
        status.phase,
        status.authoritative_api,
    ]);
    let mut hasher = DefaultHasher::new();
    fields.to_string().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use groundplan_openshift::machine_api::types::read;
    use tokio::time::advance;

    use super::*;

    fn machine() -> Machine {
        read(&json!({"metadata": {"name": "m", "uid": "u", "generation": 1}})).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_up_to_five_minutes_and_begin_anew_after_a_success() {
        let (mut schedule, machine) = (Schedule::default(), machine());
        let mut pauses = Vec::new();
        for _ in 0..12 {
            let pause = schedule.failed(&machine, None);
            pauses.push(pause.as_secs_f64());
            assert_eq!(schedule.wait(&machine), Some(NextLook::After(pause)));
            advance(pause).await;
            assert_eq!(schedule.wait(&machine), None);
        }
        for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0]) {
            assert!((expected * 0.75..=expected * 1.25).contains(pause), "{pauses:?}");
        }
        assert!(pauses[11] > 225.0 && pauses[11] <= 375.0, "{pauses:?}");
        schedule.looked(&machine, NextLook::OnChange);
        assert!(schedule.failed(&machine, None) < Duration::from_secs(2));
        let long = Duration::from_secs(77);
        assert_eq!(schedule.failed(&machine, Some(long)), long);
    }

    #[tokio::test(start_paused = true)]
    async fn conflicts_in_a_row_slow_down_lead_to_a_read_and_are_logged_once() {
        let mut conflicts = Conflicts::default();
        let (mut pauses, mut logged) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let (pause, log) = conflicts.occurred("u", Some("7"));
            pauses.push(pause.as_millis());
            logged.extend(log);
            assert_eq!(conflicts.wait("u"), Some(pause));
            advance(pause).await;
            assert_eq!(conflicts.wait("u"), None);
            let is_read = conflicts.needs_read("u");
            assert_eq!(is_read, pauses.len() >= 2);
        }
        assert_eq!(pauses[..4], [200, 400, 800, 1600]);
        assert_eq!((pauses[9], logged), (10_000, vec![6]));
        conflicts.ended("u", Some("7"));
        assert!(conflicts.needs_read("u"), "the copy is as old as before");
        conflicts.ended("u", Some("8"));
        assert_eq!(conflicts.occurred("u", Some("8")).0, FIRST_CONFLICT_PAUSE);
    }

    #[tokio::test(start_paused = true)]
    async fn a_report_wakes_no_reconcile_and_a_change_does() {
        let (mut schedule, before) = (Schedule::default(), machine());
        assert_eq!(schedule.wait(&before), None, "an unknown Machine");
        schedule.looked(&before, NextLook::OnChange);
        let mut reported = before.clone();
        reported.status.error_message = Some("later".to_owned());
        reported.status.last_updated = Some("2026-01-01T00:00:00Z".to_owned());
        reported.status.provider_status = Some(json!({"conditions": []}));
        assert_eq!(schedule.wait(&reported), Some(NextLook::OnChange));
        let changes: [fn(&mut Machine); 5] = [
            |one| one.metadata.deletion_timestamp = Some("2026-01-01T00:00:00Z".to_owned()),
            |one| one.metadata.generation = 2,
            |one| drop(one.metadata.annotations.insert("a".to_owned(), "b".to_owned())),
            |one| one.status.node_ref = Some(json!({"name": "n"})),
            |one| one.status.authoritative_api = "MachineAPI".to_owned(),
        ];
        for change in changes {
            let mut changed = before.clone();
            change(&mut changed);
            assert_eq!(schedule.wait(&changed), None, "{changed:?}");
        }
        schedule.forget("u");
        assert_eq!(schedule.wait(&before), None);
    }
}
