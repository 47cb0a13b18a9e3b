//! Tests of the stages, by scripts of observations.

use jiff::Timestamp;

use super::*;
use crate::installation::observation::{
    ApiProblem, ApiStatus, BootstrapStatus, Condition, ConsoleRoute, FailedMachine, NodeStatus,
    Observation, OperatorStatus, PendingRequest, Reading, VersionStatus,
};

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

fn bootstrapping(status: Option<&str>, has_etcd_member: bool, nodes: &[NodeStatus]) -> Observation {
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
    assert_eq!(script.after(5, &down(refused)), ["api: no connection to api.demo:6443: refused"]);
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
    let operators =
        |progressing| [operator("dns", progressing, "False"), operator("etcd", "False", "False")];
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
    assert!(!progress.is_late(Duration::from_secs(9)) && progress.is_late(Duration::from_secs(10)));
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
fn machines_without_an_instance_are_named_by_their_message() {
    let mut script = Script::new(Goal::InstallComplete);
    let machine = |name: &str, message: &str| FailedMachine {
        name: name.to_owned(),
        message: format!("{message}\nrequest id: r-{name}"),
    };
    let none = "InsufficientInstanceCapacity: we do not have sufficient m6i.large capacity";
    let seen = Observation {
        failed_machines: Reading::Read(vec![
            machine("w-0", none),
            machine("w-1", none),
            machine("w-2", "InvalidKeyPair.NotFound"),
        ]),
        ..version("False", "False", "True", "waiting for ingress")
    };
    script.after(0, &seen);
    script.after(1800, &seen);
    assert_eq!(
        script.late(&seen).unwrap()[..2],
        [
            format!(
                "2 Machines have no instance (w-0, w-1): {none}; AWS has no capacity: wait, or choose \
                 another instance type or zone in the MachineSet"
            ),
            "Machine w-2 has no instance: InvalidKeyPair.NotFound".to_owned(),
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
    assert_eq!(script.after(179, &pending(&["csr-1"])).len(), 4, "the cluster approves its own");
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
