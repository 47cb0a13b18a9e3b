//! Wait for a stage of an installation: reads the cluster until the goal is reached. The decisions are
//! those of [`stages`](super::stages).

use std::io;
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::{Instant, sleep, timeout_at};

use super::observation::Observation;
use super::stages::{Goal, Progress, Stage, StageEvent, WaitOutcome};

/// Interval between two reads of the cluster.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// Source of observations.
pub trait ClusterReader {
    /// Reads the cluster once. An error is part of the observation.
    fn observe(&self) -> impl Future<Output = Observation>;
}

/// Source of causes outside the cluster: load balancers, machines.
pub trait CauseFinder {
    /// Returns the causes why a stage is late, one line each.
    fn causes(&self, stage: Stage) -> impl Future<Output = Vec<String>>;
}

/// Settings of a wait.
#[derive(Clone, Debug)]
pub struct WaitSettings {
    /// Goal.
    pub goal: Goal,
    /// Maximum duration; `None` waits without end.
    pub timeout: Option<Duration>,
    /// Time after which a stage is late; `None` stands for the usual time of each stage.
    pub late_after: Option<Duration>,
    /// Interval between two reads.
    pub interval: Duration,
}

/// End of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    /// Duration.
    pub took: Duration,
    /// Result.
    pub end: WaitEnd,
}

/// Result of a wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// The goal is reached.
    Complete {
        /// URL of the console, if the cluster has one and the goal includes it.
        console_url: Option<String>,
    },
    /// The goal cannot be reached.
    Failed {
        /// Stage that failed.
        stage: Stage,
        /// Cause on one line.
        why: String,
    },
    /// The goal is not reached within the maximum duration.
    TimedOut {
        /// Stage at the end.
        stage: Stage,
        /// Causes, one line each.
        reasons: Vec<String>,
    },
}

/// Waits until the goal is reached, cannot be reached, or the timeout expires. `tell` gets the messages.
///
/// # Errors
/// Returns the error of `tell`.
pub async fn wait(
    settings: &WaitSettings,
    reader: &impl ClusterReader,
    causes: &impl CauseFinder,
    mut tell: impl FnMut(&StageEvent) -> io::Result<()>,
) -> io::Result<Waited> {
    let clock = Clock::start();
    let mut progress = Progress::new(settings.goal, settings.late_after);
    let mut last = None;
    let deadline = settings.timeout.map(|timeout| clock.begun + timeout);
    loop {
        let read = observed(reader, causes, &mut progress, &clock, &mut tell);
        match within(deadline, read).await {
            Some(seen) => last = Some(seen?),
            None => break,
        }
        let end = match progress.outcome().cloned() {
            Some(WaitOutcome::Complete { console_url }) => WaitEnd::Complete { console_url },
            Some(WaitOutcome::Failed { stage, why }) => WaitEnd::Failed { stage, why },
            None => match within(deadline, sleep(settings.interval)).await {
                Some(()) => continue,
                None => break,
            },
        };
        return Ok(Waited { took: clock.elapsed(), end });
    }
    let reasons = last.map(|seen| progress.reasons(clock.now(), &seen)).unwrap_or_default();
    let end = WaitEnd::TimedOut { stage: progress.stage(), reasons };
    Ok(Waited { took: clock.elapsed(), end })
}

/// Reads the cluster once and sends the messages, with the causes of a late stage.
async fn observed(
    reader: &impl ClusterReader,
    causes: &impl CauseFinder,
    progress: &mut Progress,
    clock: &Clock,
    tell: &mut impl FnMut(&StageEvent) -> io::Result<()>,
) -> io::Result<Observation> {
    let seen = reader.observe().await;
    for event in progress.observe(clock.elapsed(), clock.now(), &seen) {
        tell(&event)?;
    }
    if progress.is_late(clock.elapsed()) {
        let more = causes.causes(progress.stage()).await;
        if let Some(late) = progress.report_late(clock.elapsed(), clock.now(), &seen, more) {
            tell(&late)?;
        }
    }
    Ok(seen)
}

/// Returns the result of the work; `None` if the deadline passes before.
async fn within<T>(deadline: Option<Instant>, work: impl Future<Output = T>) -> Option<T> {
    match deadline {
        Some(deadline) => timeout_at(deadline, work).await.ok(),
        None => Some(work.await),
    }
}

/// Clock of a wait. The time of day follows the clock that tests can pause.
struct Clock {
    begun: Instant,
    day: Timestamp,
}

impl Clock {
    fn start() -> Self {
        Self { begun: Instant::now(), day: Timestamp::now() }
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    fn now(&self) -> Timestamp {
        self.day.checked_add(self.elapsed()).unwrap_or(self.day)
    }
}

#[cfg(all(test, feature = "kubernetes"))]
mod tests {
    use std::sync::{Arc, Mutex};

    use groundplan_node::test_support::fake_api_server::FakeApiServer;
    use serde_json::{Value, json};

    use super::super::reader::KubeReader;
    use super::super::stages::StageMessage;
    use super::*;

    /// Causes outside the cluster, with the stages that they were asked for.
    #[derive(Default)]
    struct Balancer(Mutex<Vec<Stage>>);

    impl CauseFinder for Balancer {
        async fn causes(&self, stage: Stage) -> Vec<String> {
            self.0.lock().unwrap().push(stage);
            vec!["target group demo-aint: 0 of 1 targets are healthy".to_owned()]
        }
    }

    fn settings(goal: Goal) -> WaitSettings {
        WaitSettings { goal, timeout: None, late_after: None, interval: INTERVAL }
    }

    /// A wait against an API server in memory, and its messages.
    struct Running {
        server: FakeApiServer,
        heard: Arc<Mutex<Vec<StageEvent>>>,
        end: tokio::task::JoinHandle<Waited>,
    }

    impl Running {
        fn start(server: &FakeApiServer, settings: WaitSettings) -> Self {
            let heard = Arc::<Mutex<Vec<StageEvent>>>::default();
            let (told, server) = (Arc::clone(&heard), server.clone());
            let reader = KubeReader::new(server.client(), None, settings.goal);
            let end = tokio::spawn(async move {
                let tell = |event: &StageEvent| {
                    told.lock().unwrap().push(event.clone());
                    Ok(())
                };
                wait(&settings, &reader, &Balancer::default(), tell).await.unwrap()
            });
            Self { server, heard, end }
        }

        async fn pass(&self, seconds: u64) {
            sleep(Duration::from_secs(seconds)).await;
        }

        fn said(&self) -> Vec<String> {
            let heard = self.heard.lock().unwrap();
            let text = |event: &StageEvent| match &event.what {
                StageMessage::Started => "started".to_owned(),
                StageMessage::Waiting(text) | StageMessage::Finished(text) => text.clone(),
                StageMessage::Attention { command, .. } => command.clone(),
                StageMessage::Late { reasons, .. } => format!("late: {}", reasons.join("; ")),
            };
            heard.iter().map(|event| format!("{}: {}", event.stage.name(), text(event))).collect()
        }
    }

    fn condition(kind: &str, status: &str, message: &str) -> Value {
        json!({"type": kind, "status": status, "message": message, "reason": "R",
               "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn put_version(server: &FakeApiServer, available: &str, failing: &str, progressing: &str) {
        server.put(json!({
            "apiVersion": "config.openshift.io/v1", "kind": "ClusterVersion",
            "metadata": {"name": "version"},
            "status": {"conditions": [
                condition("Available", available, ""), condition("Failing", failing, "dns fails"),
                condition("Progressing", progressing, "waiting on dns"),
            ]},
        }));
    }

    fn put_operator(server: &FakeApiServer, name: &str, degraded: &str) {
        server.put(json!({
            "apiVersion": "config.openshift.io/v1", "kind": "ClusterOperator",
            "metadata": {"name": name},
            "status": {"conditions": [
                condition("Available", "True", ""), condition("Degraded", degraded, "no pod runs"),
                condition("Progressing", "False", ""),
            ]},
        }));
    }

    fn put_console(server: &FakeApiServer) {
        let admitted = json!([{"type": "Admitted", "status": "True"}]);
        server.put(json!({
            "apiVersion": "route.openshift.io/v1", "kind": "Route",
            "metadata": {"name": "console", "namespace": "openshift-console"},
            "status": {"ingress": [{"host": "console.apps.demo", "conditions": admitted}]},
        }));
    }

    fn put_bootstrap(server: &FakeApiServer, status: &str) {
        server.put(json!({
            "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "bootstrap", "namespace": "kube-system"},
            "data": {"status": status},
        }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_follows_the_bootstrap_to_its_end() {
        let server = FakeApiServer::default();
        server.close_connections(3);
        let run = Running::start(&server, settings(Goal::BootstrapComplete));
        run.pass(30).await;
        run.server.add_node("master-0");
        run.server.change(
            "nodes",
            "",
            "master-0",
            &json!({"metadata": {"labels": {"node-role.kubernetes.io/master": ""}}}),
        );
        run.pass(30).await;
        put_bootstrap(&run.server, "running");
        run.pass(30).await;
        assert!(!run.end.is_finished(), "{:?}", run.said());
        put_bootstrap(&run.server, "complete");
        run.pass(10).await;
        let said = run.said();
        assert_eq!(run.end.await.unwrap().end, WaitEnd::Complete { console_url: None });
        assert_eq!(said[0], "api: started");
        assert!(said.contains(&"api: answers, Kubernetes v1.36.2".to_owned()), "{said:?}");
        assert!(
            said.contains(&"bootstrap: 1 of 1 masters that joined are ready".to_owned()),
            "{said:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_follows_the_installation_and_a_rerun_ends_at_once() {
        let server = FakeApiServer::default();
        let run = Running::start(&server, settings(Goal::InstallComplete));
        run.pass(20).await;
        put_version(&server, "False", "False", "True");
        put_operator(&server, "dns", "True");
        run.pass(1900).await;
        put_version(&server, "True", "False", "False");
        put_operator(&server, "dns", "False");
        run.pass(20).await;
        put_console(&server);
        run.pass(20).await;
        let said = run.said();
        let complete =
            WaitEnd::Complete { console_url: Some("https://console.apps.demo".to_owned()) };
        assert_eq!(run.end.await.unwrap().end, complete, "{said:?}");
        let late = said.iter().find(|line| line.contains("late: ")).expect("a late stage");
        assert!(late.contains("operator dns is degraded: no pod runs"), "{late}");
        assert!(late.contains("demo-aint"), "{late}");

        let rerun = Running::start(&server, settings(Goal::InstallComplete));
        let waited = rerun.end.await.unwrap();
        assert_eq!((waited.end, waited.took), (complete, Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_server_is_asked_again_and_a_timeout_names_the_stage() {
        let server = FakeApiServer::default();
        server.fall_silent();
        let hour = Some(Duration::from_secs(3600));
        let settings = WaitSettings { timeout: hour, ..settings(Goal::InstallComplete) };
        let run = Running::start(&server, settings);
        let waited = run.end.await.unwrap();
        assert_eq!(waited.took.as_secs(), 3600);
        let WaitEnd::TimedOut { stage: Stage::Api, reasons } = waited.end else {
            panic!("{waited:?}")
        };
        assert!(reasons[0].contains("does not answer in time"), "{reasons:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn rejected_reads_are_no_answers() {
        let server = FakeApiServer::default();
        put_bootstrap(&server, "complete");
        server.delay("GET", "configmaps", Duration::from_secs(3600));
        let run = Running::start(&server, settings(Goal::BootstrapComplete));
        run.pass(300).await;
        assert!(!run.end.is_finished());
        server.calm();
        run.pass(60).await;
        assert_eq!(run.end.await.unwrap().end, WaitEnd::Complete { console_url: None });
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_sends_no_request_that_changes_anything() {
        let server = FakeApiServer::default();
        put_version(&server, "False", "False", "True");
        let minute = Some(Duration::from_secs(60));
        let settings = WaitSettings { timeout: minute, ..settings(Goal::InstallComplete) };
        Running::start(&server, settings).end.await.unwrap();
        let requests = server.requests();
        assert!(
            requests.len() > 20 && requests.iter().all(|one| one.starts_with("GET ")),
            "{requests:?}"
        );
    }
}
