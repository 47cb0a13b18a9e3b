//! Stages of an installation: a pure state machine. Observations and their times go in, stage events come
//! out. Has no clock, sends no request and prints nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::observation::{
    ApiProblem, ApiStatus, BootstrapStatus, ConsoleRoute, NodeStatus, Observation, OperatorStatus,
    PendingRequest, Reading, VersionStatus,
};

/// Observations in a row that must agree before they end a wait for good.
const AGREEING: u32 = 2;
/// Age after which a pending certificate signing request is reported. The cluster approves those of its
/// own machines within seconds.
const REQUEST_IS_OLD: i64 = 180;
/// Minimum time between two messages of a stage that differ in numbers only.
const QUIET: Duration = Duration::from_secs(60);
/// Time between two reports of the same reasons.
const REPEAT: Duration = Duration::from_secs(600);
/// Minimum time between two reports of different reasons.
const PAUSE: Duration = Duration::from_secs(300);
/// Maximum number of names in a message.
const NAMED: usize = 8;

/// State of the cluster that a wait is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goal {
    /// The control plane runs without the bootstrap machine.
    BootstrapComplete,
    /// All of the release is installed.
    InstallComplete,
}

impl Goal {
    /// Returns the name as in the command line.
    pub fn name(self) -> &'static str {
        match self {
            Goal::BootstrapComplete => "bootstrap-complete",
            Goal::InstallComplete => "install-complete",
        }
    }

    /// Returns the stages in order.
    pub fn stages(self) -> &'static [Stage] {
        match self {
            Goal::BootstrapComplete => &[Stage::Api, Stage::Bootstrap],
            Goal::InstallComplete => {
                &[Stage::Api, Stage::Initialization, Stage::Operators, Stage::Console]
            }
        }
    }
}

/// Stage of an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The API server answers.
    Api,
    /// The control plane of the masters takes over from the bootstrap machine.
    Bootstrap,
    /// The cluster-version operator installs all of the release.
    Initialization,
    /// No operator progresses any more.
    Operators,
    /// A router serves the console.
    Console,
}

impl Stage {
    /// Returns the name for programs.
    pub fn name(self) -> &'static str {
        match self {
            Stage::Api => "api",
            Stage::Bootstrap => "bootstrap",
            Stage::Initialization => "initialization",
            Stage::Operators => "operators",
            Stage::Console => "console",
        }
    }

    /// Returns the name for people.
    pub fn title(self) -> &'static str {
        match self {
            Stage::Api => "API server",
            Stage::Bootstrap => "bootstrap",
            Stage::Initialization => "cluster version",
            Stage::Operators => "operators",
            Stage::Console => "console",
        }
    }

    /// Returns the time after which the stage is late. openshift-install fails after 20 minutes of
    /// `Api`, 30 of `Bootstrap`, 40 of `Initialization`, 30 of `Operators` and 2 of `Console`.
    pub fn usual(self) -> Duration {
        Duration::from_secs(match self {
            Stage::Api => 15 * 60,
            Stage::Bootstrap => 20 * 60,
            Stage::Initialization => 30 * 60,
            Stage::Operators => 5 * 60,
            Stage::Console => 2 * 60,
        })
    }
}

/// Message of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageEvent {
    /// Stage.
    pub stage: Stage,
    /// Time since the beginning of the wait.
    pub at: Duration,
    /// Time since the beginning of the stage.
    pub in_stage: Duration,
    /// Kind of message.
    pub what: StageMessage,
}

/// Kind of a message of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StageMessage {
    /// The stage begins.
    Started,
    /// The stage waits for something else than before.
    Waiting(String),
    /// The user has something to do now.
    Attention {
        /// Problem on one line.
        summary: String,
        /// Command of the user.
        command: String,
    },
    /// The stage takes longer than usual.
    Late {
        /// Usual maximum.
        usual: Duration,
        /// Causes, one line each.
        reasons: Vec<String>,
    },
    /// The stage is complete.
    Finished(String),
}

/// End of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitOutcome {
    /// The goal is reached.
    Complete {
        /// URL of the console; `None` if the cluster has none or the goal needs none.
        console_url: Option<String>,
    },
    /// The goal cannot be reached.
    Failed {
        /// Stage that failed.
        stage: Stage,
        /// Cause on one line.
        why: String,
    },
}

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

/// Status of a stage after an observation.
enum StageStatus {
    Waits(String),
    Done(String),
    Failed(String),
}

fn bootstrap(seen: &Observation) -> StageStatus {
    let nodes = seen.nodes.value().map_or(&[][..], Vec::as_slice);
    let masters = || nodes.iter().filter(|node| node.is_master);
    let (ready, all) = (masters().filter(|node| node.is_ready()).count(), masters().count());
    match seen.bootstrap.value() {
        Some(status) if status.is_complete() => {
            StageStatus::Done("complete; the bootstrap machine is no longer needed".to_owned())
        }
        Some(BootstrapStatus { status: Some(status), .. }) if status == "complete" => {
            StageStatus::Waits("etcd still has the member of the bootstrap machine".to_owned())
        }
        _ if all == 0 => StageStatus::Waits("no master has joined yet".to_owned()),
        _ => StageStatus::Waits(format!("{ready} of {all} masters that joined are ready")),
    }
}

fn initialization(seen: &Observation) -> StageStatus {
    match seen.version.value() {
        Some(Some(version)) if version.is_complete() => {
            StageStatus::Done("all of the release is installed".to_owned())
        }
        Some(Some(version)) => {
            let message = version.message().unwrap_or("the release is not installed yet");
            StageStatus::Waits(first_line(message).to_owned())
        }
        Some(None) => StageStatus::Waits("no ClusterVersion yet".to_owned()),
        None => StageStatus::Waits("the ClusterVersion cannot be read".to_owned()),
    }
}

fn operators(now: Timestamp, seen: &Observation) -> StageStatus {
    let Some(operators) = seen.operators.value().filter(|all| !all.is_empty()) else {
        return StageStatus::Waits("the ClusterOperators cannot be read".to_owned());
    };
    let unstable = operators.iter().filter(|one| !one.is_stable(now));
    let unstable: Vec<&str> = unstable.map(|one| one.name.as_str()).collect();
    if unstable.is_empty() {
        return StageStatus::Done(format!("all {} are stable", operators.len()));
    }
    StageStatus::Waits(format!("progress in {}", listed(&unstable)))
}

/// Judges the console after a time in the stage. Without a route, the installation may have no console:
/// the ClusterVersion says so, or the console operator removed the route, as `managementState: Removed`
/// requests. The latter is assumed after the usual time of the stage.
fn console(in_stage: Duration, seen: &Observation) -> StageStatus {
    let version = seen.version.value().and_then(Option::as_ref);
    let is_disabled = version.is_some_and(|version| version.has_console == Some(false));
    match seen.console.value() {
        Some(ConsoleRoute::Host(host)) => StageStatus::Done(format!("https://{host}")),
        Some(ConsoleRoute::Missing) if is_disabled => {
            StageStatus::Done("not part of this installation".to_owned())
        }
        Some(ConsoleRoute::Missing) if in_stage >= Stage::Console.usual() => {
            StageStatus::Done("the cluster has no route of a console".to_owned())
        }
        Some(ConsoleRoute::NotAdmitted) => {
            StageStatus::Waits("no router has admitted the route of the console".to_owned())
        }
        Some(ConsoleRoute::Missing) | None => {
            StageStatus::Waits("no route of the console yet".to_owned())
        }
    }
}

/// Returns the causes that an observation shows for a late stage.
fn reasons(stage: Stage, now: Timestamp, seen: &Observation) -> Vec<String> {
    if let ApiStatus::Down(problem) = &seen.api {
        let advice = problem.advice().map(str::to_owned);
        return [format!("API server: {}", problem.message())].into_iter().chain(advice).collect();
    }
    let mut reasons = Vec::new();
    if stage == Stage::Bootstrap && seen.bootstrap.value().is_none_or(|one| one.status.is_none()) {
        reasons.push("the bootstrap machine has not reported its end to the cluster".to_owned());
    }
    if let Some(Some(VersionStatus { failing: Some(failing), .. })) = seen.version.value()
        && failing.status == "True"
    {
        reasons.push(format!("ClusterVersion is failing: {}", first_line(&failing.message)));
    }
    let nodes = seen.nodes.value().map_or(&[][..], Vec::as_slice);
    let nodes = nodes.iter().filter_map(NodeStatus::problem);
    let operators = seen.operators.value().map_or(&[][..], Vec::as_slice);
    let operators = operators.iter().filter_map(OperatorStatus::problem);
    reasons.extend(nodes.chain(operators).map(|line| first_line(&line).to_owned()));
    let requests = old_requests(now, seen);
    if !requests.is_empty() {
        reasons.push(format!("certificate signing requests are pending: {}", approval(&requests)));
    }
    if reasons.is_empty() {
        reasons.push("nothing is reported as broken".to_owned());
    }
    reasons
}

/// Returns the names of requests that are pending for a long time.
fn old_requests(now: Timestamp, seen: &Observation) -> Vec<&str> {
    let requests = seen.pending_requests.value().map_or(&[][..], Vec::as_slice);
    let is_old = |one: &&PendingRequest| {
        one.since.is_some_and(|since| now.as_second() - since.as_second() >= REQUEST_IS_OLD)
    };
    requests.iter().filter(is_old).map(|one| one.name.as_str()).collect()
}

fn approval(names: &[&str]) -> String {
    format!("oc adm certificate approve {}", names.join(" "))
}

fn listed(names: &[&str]) -> String {
    match names.len().checked_sub(NAMED + 1) {
        None => names.join(", "),
        Some(rest) => format!("{} and {} more", names[..NAMED].join(", "), rest + 1),
    }
}

/// Returns a text up to its first line break. Messages of operators can have many lines.
fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}

fn without_digits(text: &str) -> String {
    text.chars().filter(|one| !one.is_ascii_digit()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::observation::Condition;
    use super::*;

    const START: &str = "2026-01-01T00:00:00Z";

    /// A wait with a clock of its own.
    struct Script {
        progress: Progress,
        at: u64,
    }

    impl Script {
        fn new(goal: Goal) -> Self {
            Self { progress: Progress::new(goal, None), at: 0 }
        }

        fn now(&self) -> Timestamp {
            time(i64::try_from(self.at).unwrap())
        }

        /// Observes after these seconds, and returns the messages without their clocks.
        fn after(&mut self, seconds: u64, seen: &Observation) -> Vec<String> {
            self.at += seconds;
            let events = self.progress.observe(Duration::from_secs(self.at), self.now(), seen);
            events.iter().map(said).collect()
        }

        fn late(&mut self, seen: &Observation) -> Option<Vec<String>> {
            let at = Duration::from_secs(self.at);
            if !self.progress.is_late(at) {
                return None;
            }
            let more = vec!["console: x".to_owned()];
            let event = self.progress.report_late(at, self.now(), seen, more)?;
            let StageMessage::Late { reasons, .. } = event.what else { panic!("{event:?}") };
            Some(reasons)
        }
    }

    fn time(seconds: i64) -> Timestamp {
        let start: Timestamp = START.parse().unwrap();
        Timestamp::from_second(start.as_second() + seconds).unwrap()
    }

    fn said(event: &StageEvent) -> String {
        let stage = event.stage.name();
        match &event.what {
            StageMessage::Started => format!("{stage} started"),
            StageMessage::Waiting(message) => format!("{stage}: {message}"),
            StageMessage::Attention { summary, command } => {
                format!("{stage}! {summary}: {command}")
            }
            StageMessage::Late { reasons, .. } => format!("{stage} late: {}", reasons.join("; ")),
            StageMessage::Finished(message) => format!("{stage} finished: {message}"),
        }
    }

    fn down(problem: ApiProblem) -> Observation {
        Observation::of_api(ApiStatus::Down(problem))
    }

    fn up() -> Observation {
        Observation::of_api(ApiStatus::Ready("v1.28.5".to_owned()))
    }

    fn unresolved() -> Observation {
        down(ApiProblem::NoAddress { host: "api.demo".to_owned() })
    }

    fn condition(status: &str, message: &str) -> Option<Condition> {
        let since = Some(time(0));
        Some(Condition { status: status.to_owned(), message: message.to_owned(), since })
    }

    fn node(name: &str, is_ready: bool) -> NodeStatus {
        let ready = condition(if is_ready { "True" } else { "False" }, "no network plugin");
        NodeStatus { name: name.to_owned(), is_master: true, ready }
    }

    fn bootstrapping(
        status: Option<&str>,
        has_etcd_member: bool,
        nodes: &[NodeStatus],
    ) -> Observation {
        let status = status.map(str::to_owned);
        Observation {
            bootstrap: Reading::Read(BootstrapStatus { status, has_etcd_member }),
            nodes: Reading::Read(nodes.to_vec()),
            ..up()
        }
    }

    fn version(available: &str, failing: &str, progressing: &str, message: &str) -> Observation {
        let status = VersionStatus {
            available: condition(available, ""),
            failing: condition(failing, message),
            progressing: condition(progressing, message),
            has_console: None,
        };
        Observation { version: Reading::Read(Some(status)), ..up() }
    }

    fn operator(name: &str, progressing: &str, degraded: &str) -> OperatorStatus {
        OperatorStatus {
            name: name.to_owned(),
            available: condition("True", ""),
            degraded: condition(degraded, "pod crashes\nand more"),
            progressing: condition(progressing, ""),
        }
    }

    fn installed(operators: &[OperatorStatus], console: ConsoleRoute) -> Observation {
        Observation {
            operators: Reading::Read(operators.to_vec()),
            console: Reading::Read(console),
            ..version("True", "False", "False", "")
        }
    }

    #[test]
    fn a_bootstrap_goes_through_its_stages() {
        let mut script = Script::new(Goal::BootstrapComplete);
        let waits = ["api started", "api: api.demo does not resolve"];
        assert_eq!(script.after(0, &unresolved()), waits);
        assert!(script.after(5, &unresolved()).is_empty(), "the same is said once");
        let refused =
            ApiProblem::NoConnection { address: "api.demo:6443".into(), why: "refused".into() };
        assert_eq!(
            script.after(5, &down(refused)),
            ["api: no connection to api.demo:6443: refused"]
        );
        assert_eq!(
            script.after(5, &bootstrapping(None, false, &[])),
            [
                "api finished: answers, Kubernetes v1.28.5",
                "bootstrap started",
                "bootstrap: no master has joined yet"
            ]
        );
        let nodes = [node("m-0", true), node("m-1", false)];
        assert_eq!(
            script.after(5, &bootstrapping(None, false, &nodes)),
            ["bootstrap: 1 of 2 masters that joined are ready"]
        );
        assert_eq!(
            script.after(5, &bootstrapping(Some("complete"), true, &nodes)),
            ["bootstrap: etcd still has the member of the bootstrap machine"]
        );
        assert_eq!(
            script.after(5, &bootstrapping(Some("complete"), false, &nodes)),
            ["bootstrap finished: complete; the bootstrap machine is no longer needed"]
        );
        let complete = WaitOutcome::Complete { console_url: None };
        assert_eq!(script.progress.outcome(), Some(&complete));
    }

    #[test]
    fn an_installation_goes_through_its_stages() {
        let mut script = Script::new(Goal::InstallComplete);
        let none = Observation { version: Reading::Read(None), ..up() };
        assert_eq!(
            script.after(0, &none),
            [
                "api started",
                "api finished: answers, Kubernetes v1.28.5",
                "initialization started",
                "initialization: no ClusterVersion yet"
            ]
        );
        let working =
            |percent: &str| version("False", "False", "True", &format!("{percent}% complete"));
        assert_eq!(script.after(60, &working("10")), ["initialization: 10% complete"]);
        assert!(script.after(5, &working("11")).is_empty(), "numbers alone are said each minute");
        assert_eq!(script.after(60, &working("20")), ["initialization: 20% complete"]);
        let broken = version("False", "True", "True", "operator dns is broken\nsecond line");
        assert_eq!(script.after(5, &broken), ["initialization: operator dns is broken"]);
        let operators = |progressing| {
            [operator("dns", progressing, "False"), operator("etcd", "False", "False")]
        };
        assert_eq!(
            script.after(5, &installed(&operators("True"), ConsoleRoute::Missing)),
            [
                "initialization finished: all of the release is installed",
                "operators started",
                "operators: progress in dns"
            ]
        );
        assert_eq!(
            script.after(5, &installed(&operators("False"), ConsoleRoute::NotAdmitted)),
            [
                "operators finished: all 2 are stable",
                "console started",
                "console: no router has admitted the route of the console"
            ]
        );
        let host = ConsoleRoute::Host("console.apps.demo".into());
        assert_eq!(
            script.after(5, &installed(&operators("False"), host)),
            ["console finished: https://console.apps.demo"]
        );
        let console_url = Some("https://console.apps.demo".to_owned());
        assert_eq!(script.progress.outcome(), Some(&WaitOutcome::Complete { console_url }));
    }

    #[test]
    fn a_rerun_continues_at_once_from_what_is() {
        let mut script = Script::new(Goal::InstallComplete);
        script.at = 40; // operators have been stable for 40 seconds
        let host = ConsoleRoute::Host("console.apps".into());
        let said = script.after(0, &installed(&[operator("dns", "False", "False")], host));
        assert_eq!(said.len(), 8, "{said:?}");
        assert!(matches!(script.progress.outcome(), Some(WaitOutcome::Complete { .. })));
        assert!(script.after(5, &up()).is_empty(), "nothing follows the end");
    }

    #[test]
    fn a_cluster_without_a_console_is_complete_when_its_version_says_so() {
        let mut script = Script::new(Goal::InstallComplete);
        script.at = 40;
        let mut seen = installed(&[operator("dns", "False", "False")], ConsoleRoute::Missing);
        if let Reading::Read(Some(version)) = &mut seen.version {
            version.has_console = Some(false);
        }
        script.after(0, &seen);
        let complete = WaitOutcome::Complete { console_url: None };
        assert_eq!(script.progress.outcome(), Some(&complete));
    }

    #[test]
    fn a_missing_route_is_no_console_only_after_minutes() {
        let mut script = Script::new(Goal::InstallComplete);
        script.at = 40;
        let seen = installed(&[operator("dns", "False", "False")], ConsoleRoute::Missing);
        for seconds in [0, 60, 59] {
            script.after(seconds, &seen);
            assert!(script.progress.outcome().is_none(), "absence is a claim");
        }
        let unread = Observation { console: Reading::Unread, ..seen.clone() };
        script.after(3600, &unread);
        assert!(script.progress.outcome().is_none(), "an error is no absence");
        script.after(5, &seen);
        let complete = WaitOutcome::Complete { console_url: None };
        assert_eq!(script.progress.outcome(), Some(&complete));
    }

    #[test]
    fn an_empty_list_of_operators_is_not_the_end() {
        let mut script = Script::new(Goal::InstallComplete);
        script.after(3600, &installed(&[], ConsoleRoute::Missing));
        assert_eq!(script.progress.stage(), Stage::Operators);
        let unread =
            Observation { operators: Reading::Unread, ..installed(&[], ConsoleRoute::Missing) };
        script.after(5, &unread);
        assert_eq!(script.progress.stage(), Stage::Operators);
    }

    #[test]
    fn an_api_server_that_goes_away_does_not_begin_anew() {
        let mut script = Script::new(Goal::BootstrapComplete);
        script.after(0, &bootstrapping(None, false, &[]));
        assert_eq!(
            script.after(5, &down(ApiProblem::Silence)),
            ["bootstrap: it does not answer in time"]
        );
        let said = script.after(5, &bootstrapping(Some("complete"), false, &[]));
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(script.progress.outcome().is_some());
    }

    #[test]
    fn an_expired_certificate_ends_the_wait_when_it_is_seen_twice() {
        let expired = || down(ApiProblem::CertificateExpired);
        let mut script = Script::new(Goal::BootstrapComplete);
        script.after(0, &expired());
        script.after(5, &unresolved());
        script.after(5, &expired());
        assert!(script.progress.outcome().is_none());
        script.after(5, &expired());
        let Some(WaitOutcome::Failed { stage: Stage::Api, why }) = script.progress.outcome() else {
            panic!("{:?}", script.progress.outcome());
        };
        assert!(why.contains("expired"), "{why}");
    }

    #[test]
    fn other_problems_of_the_api_server_end_no_wait() {
        let mut script = Script::new(Goal::InstallComplete);
        for problem in [
            ApiProblem::Unauthorized,
            ApiProblem::Tls("UnknownIssuer".into()),
            ApiProblem::Status { code: 503, message: "shutting down".into() },
            ApiProblem::Other("broken pipe".into()),
        ] {
            for _ in 0..100 {
                script.after(60, &down(problem.clone()));
            }
        }
        assert!(script.progress.outcome().is_none());
    }

    #[test]
    fn a_stage_is_late_after_its_usual_time_and_says_why() {
        let mut script = Script::new(Goal::BootstrapComplete);
        script.after(0, &unresolved());
        script.after(899, &unresolved());
        assert_eq!(script.late(&unresolved()), None);
        script.after(1, &unresolved());
        let reasons = script.late(&unresolved()).unwrap();
        assert_eq!(reasons[0], "API server: api.demo does not resolve");
        assert_eq!(reasons.last().unwrap(), "console: x");
        script.after(300, &unresolved());
        assert_eq!(script.late(&unresolved()), None, "the same reasons");
        assert_eq!(script.late(&down(ApiProblem::Silence)).unwrap().len(), 3);
        script.after(60, &unresolved());
        assert_eq!(script.late(&unresolved()), None, "a pause between two reports");
        script.after(600, &unresolved());
        assert!(script.late(&unresolved()).is_some());
    }

    #[test]
    fn each_stage_has_its_own_clock() {
        let mut script = Script::new(Goal::BootstrapComplete);
        script.after(0, &unresolved());
        script.after(1000, &bootstrapping(None, false, &[]));
        let waiting = bootstrapping(None, false, &[node("m-1", false)]);
        assert_eq!(script.late(&waiting), None);
        script.after(1200, &waiting);
        let reasons = script.late(&waiting).unwrap();
        assert_eq!(
            reasons[..2],
            [
                "the bootstrap machine has not reported its end to the cluster".to_owned(),
                "Node m-1 is not ready: no network plugin".to_owned()
            ]
        );
    }

    #[test]
    fn the_user_sets_when_a_stage_is_late() {
        let mut progress = Progress::new(Goal::BootstrapComplete, Some(Duration::from_secs(10)));
        progress.observe(Duration::ZERO, time(0), &unresolved());
        assert!(
            !progress.is_late(Duration::from_secs(9)) && progress.is_late(Duration::from_secs(10))
        );
    }

    #[test]
    fn a_late_installation_names_operators_with_their_first_line() {
        let mut script = Script::new(Goal::InstallComplete);
        let failing = version("False", "True", "True", "operator dns is degraded");
        let failing = Observation {
            operators: Reading::Read(vec![
                operator("dns", "True", "True"),
                operator("etcd", "True", "False"),
            ]),
            ..failing
        };
        script.after(0, &failing);
        script.after(1800, &failing);
        assert_eq!(
            script.late(&failing).unwrap(),
            [
                "ClusterVersion is failing: operator dns is degraded",
                "operator dns is degraded: pod crashes",
                "console: x"
            ]
        );
    }

    #[test]
    fn requests_that_wait_for_minutes_are_named_once_with_their_command() {
        let mut script = Script::new(Goal::BootstrapComplete);
        let pending = |names: &[&str]| {
            let requests = names
                .iter()
                .map(|name| PendingRequest { name: (*name).to_owned(), since: Some(time(0)) });
            let requests = Reading::Read(requests.collect());
            Observation { pending_requests: requests, ..bootstrapping(None, false, &[]) }
        };
        assert_eq!(
            script.after(179, &pending(&["csr-1"])).len(),
            4,
            "the cluster approves its own"
        );
        assert_eq!(
            script.after(1, &pending(&["csr-1", "csr-2"])),
            ["bootstrap! 2 certificate signing requests wait for an approval: oc adm certificate \
              approve csr-1 csr-2"]
        );
        assert!(script.after(5, &pending(&["csr-1", "csr-2"])).is_empty());
        let said = script.after(5, &pending(&["csr-3"]));
        assert!(said[0].contains("1 certificate signing request waits"), "{said:?}");
    }

    #[test]
    fn many_operators_are_counted_and_not_all_named() {
        let names: Vec<String> = (0..12).map(|number| format!("o-{number:02}")).collect();
        let operators: Vec<_> = names.iter().map(|name| operator(name, "True", "False")).collect();
        let mut script = Script::new(Goal::InstallComplete);
        let said = script.after(0, &installed(&operators, ConsoleRoute::Missing));
        assert!(said.last().unwrap().ends_with("o-07 and 4 more"), "{said:?}");
    }
}
