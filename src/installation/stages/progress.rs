//! State machine of one wait: the current stage, and what was reported of it.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::reasons::{approval, old_requests, reasons};
use super::status::{StageStatus, bootstrap, console, initialization, operators};
use super::{Goal, Stage, StageEvent, StageMessage, WaitOutcome};
use crate::installation::observation::{ApiProblem, ApiStatus, ConsoleRoute, Observation, Reading};

/// Observations in a row that must agree before they end a wait for good.
const AGREEING: u32 = 2;
/// Minimum time between two messages of a stage that differ in numbers only.
const QUIET: Duration = Duration::from_secs(60);
/// Time between two reports of the same reasons.
const REPEAT: Duration = Duration::from_secs(600);
/// Minimum time between two reports of different reasons.
const PAUSE: Duration = Duration::from_secs(300);

/// Progress of one wait.
#[derive(Debug)]
pub struct Progress {
    goal: Goal,
    /// Time after which every stage is late, in place of its own.
    late_after: Option<Duration>,
    /// Index of the current stage.
    current: usize,
    /// Beginning of the current stage; `None` before the first observation.
    since: Option<Duration>,
    /// Last message, with its time.
    waiting: Option<(Duration, String)>,
    /// Last reported reasons, with their time.
    reported: Option<(Duration, Vec<String>)>,
    /// Names of the pending requests that were reported.
    announced: BTreeSet<String>,
    /// Observations in a row with an expired certificate.
    expired: u32,
    outcome: Option<WaitOutcome>,
}

impl Progress {
    /// Returns the progress of a wait that begins. `late_after` replaces the usual time of all stages.
    pub fn new(goal: Goal, late_after: Option<Duration>) -> Self {
        Self {
            goal,
            late_after,
            current: 0,
            since: None,
            waiting: None,
            reported: None,
            announced: BTreeSet::new(),
            expired: 0,
            outcome: None,
        }
    }

    /// Returns the end of the wait; `None` while it goes on.
    pub fn outcome(&self) -> Option<&WaitOutcome> {
        self.outcome.as_ref()
    }

    /// Returns the current stage.
    pub fn stage(&self) -> Stage {
        let stages = self.goal.stages();
        stages[self.current.min(stages.len() - 1)]
    }

    /// Records an observation and returns the messages that it causes. `at` is the time since the
    /// beginning of the wait, `now` the time of day.
    pub fn observe(&mut self, at: Duration, now: Timestamp, seen: &Observation) -> Vec<StageEvent> {
        let mut events = Vec::new();
        self.count(seen);
        while self.outcome.is_none() {
            if self.since.is_none() {
                self.since = Some(at);
                events.push(self.event(at, StageMessage::Started));
            }
            match self.judge(at, now, seen) {
                StageStatus::Waits(message) => {
                    events.extend(self.wait(at, message));
                    break;
                }
                StageStatus::Done(message) => {
                    events.push(self.event(at, StageMessage::Finished(message)));
                    self.advance(seen);
                }
                StageStatus::Failed(why) => {
                    self.outcome = Some(WaitOutcome::Failed { stage: self.stage(), why });
                }
            }
        }
        events.extend(self.old_requests(at, now, seen));
        events
    }

    /// Returns true if the current stage is late and its reasons may be reported now.
    pub fn is_late(&self, at: Duration) -> bool {
        let paused = self.reported.as_ref().is_none_or(|(last, _)| at >= *last + PAUSE);
        self.outcome.is_none() && paused && self.in_stage(at) >= self.usual()
    }

    /// Returns the report of a late stage: `more` causes, then those of the observation. `None` if the
    /// same reasons were reported a short time ago.
    pub fn report_late(
        &mut self,
        at: Duration,
        now: Timestamp,
        seen: &Observation,
        more: Vec<String>,
    ) -> Option<StageEvent> {
        let mut reasons = reasons(self.stage(), now, seen);
        reasons.extend(more);
        if let Some((last, known)) = &self.reported
            && *known == reasons
            && at < *last + REPEAT
        {
            return None;
        }
        self.reported = Some((at, reasons.clone()));
        Some(self.event(at, StageMessage::Late { usual: self.usual(), reasons }))
    }

    /// Returns the causes that the observation shows for the current stage, one line each.
    pub fn reasons(&self, now: Timestamp, seen: &Observation) -> Vec<String> {
        reasons(self.stage(), now, seen)
    }

    fn usual(&self) -> Duration {
        self.late_after.unwrap_or_else(|| self.stage().usual())
    }

    fn in_stage(&self, at: Duration) -> Duration {
        at.saturating_sub(self.since.unwrap_or(at))
    }

    fn event(&self, at: Duration, what: StageMessage) -> StageEvent {
        StageEvent { stage: self.stage(), at, in_stage: self.in_stage(at), what }
    }

    fn count(&mut self, seen: &Observation) {
        let expired = seen.api == ApiStatus::Down(ApiProblem::CertificateExpired);
        self.expired = if expired { self.expired + 1 } else { 0 };
    }

    fn judge(&self, at: Duration, now: Timestamp, seen: &Observation) -> StageStatus {
        let version = match &seen.api {
            ApiStatus::Ready(version) => version,
            ApiStatus::Down(ApiProblem::CertificateExpired) if self.expired >= AGREEING => {
                return StageStatus::Failed(
                    "the certificate of the API server has expired".to_owned(),
                );
            }
            // Between bootstrap machine and masters, the API server is away for a moment.
            ApiStatus::Down(problem) => return StageStatus::Waits(problem.message()),
        };
        match self.stage() {
            Stage::Api => StageStatus::Done(format!("answers, Kubernetes {version}")),
            Stage::Bootstrap => bootstrap(seen),
            Stage::Initialization => initialization(seen),
            Stage::Operators => operators(now, seen),
            Stage::Console => console(self.in_stage(at), seen),
        }
    }

    fn wait(&mut self, at: Duration, message: String) -> Option<StageEvent> {
        if let Some((last, known)) = &self.waiting {
            let is_known = *known == message;
            let differs_in_numbers = without_digits(known) == without_digits(&message);
            if is_known || (differs_in_numbers && at < *last + QUIET) {
                return None;
            }
        }
        self.waiting = Some((at, message.clone()));
        Some(self.event(at, StageMessage::Waiting(message)))
    }

    fn advance(&mut self, seen: &Observation) {
        if self.current + 1 == self.goal.stages().len() {
            let console_url = match (self.stage(), &seen.console) {
                (Stage::Console, Reading::Read(ConsoleRoute::Host(host))) => {
                    Some(format!("https://{host}"))
                }
                _ => None,
            };
            self.outcome = Some(WaitOutcome::Complete { console_url });
            return;
        }
        self.current += 1;
        self.since = None;
        self.waiting = None;
        self.reported = None;
    }

    fn old_requests(
        &mut self,
        at: Duration,
        now: Timestamp,
        seen: &Observation,
    ) -> Option<StageEvent> {
        let old = old_requests(now, seen);
        if self.outcome.is_some() || old.iter().all(|name| self.announced.contains(*name)) {
            return None;
        }
        self.announced.extend(old.iter().map(|name| (*name).to_owned()));
        let number = old.len();
        let (noun, verb) = if number == 1 { ("request", "waits") } else { ("requests", "wait") };
        let summary = format!("{number} certificate signing {noun} {verb} for an approval");
        Some(self.event(at, StageMessage::Attention { summary, command: approval(&old) }))
    }
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|one| !one.is_ascii_digit()).collect()
}
