//! Tests of the loop with an in-memory metadata service and API server, and a paused clock. The
//! numbers refer to the cases in `docs/cases.md`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::handler::{Clock, Handler, HandlerSettings, NodeTarget, TAINT_KEY};
use super::health::HandlerHealth;
use super::notice::NoticeSource;
use crate::http::probes::HealthSource;
use crate::imds::fake::{FakeImds, ImdsFault};
use crate::kube_client::Connect;
use crate::mark_record::{MarkRecord, RECORD};
use crate::own_node::OwnNode;
use crate::test_support::fake_api_server::FakeApiServer as FakeApi;

const TIME: &str = "2015-01-05T18:02:00Z";
const PATH: &str = "spot/termination-time";
const ACTION: &str = "spot/instance-action";
const MAINTENANCE: &str = "events/maintenance/scheduled";
const LIFECYCLE: &str = "autoscaling/target-lifecycle-state";
/// Wall-clock time at the start of a test.
const START: &str = "2026-01-05T18:00:00Z";
/// Notice two minutes before the machine is stopped.
const STOP: &str = r#"{"action": "stop", "time": "2026-01-05T18:02:00Z"}"#;

/// Running handler with the services that it uses.
struct Stage {
    imds: FakeImds,
    api: FakeApi,
    health: Arc<HandlerHealth>,
    said: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
    clock: Clock,
}

/// Returns a wall clock that follows the paused clock of the test.
fn clock() -> Clock {
    let (began, start) = (Instant::now(), START.parse::<Timestamp>().unwrap());
    Arc::new(move || start + began.elapsed())
}

impl Stage {
    fn of(imds: FakeImds, api: FakeApi, settings: HandlerSettings) -> Self {
        Self::at(clock(), imds, api, settings)
    }

    /// Returns a stage with another process of the handler, after the first one ended.
    fn restarted(&self, settings: HandlerSettings) -> Self {
        self.running.abort();
        let (clock, imds) = (Arc::clone(&self.clock), self.imds.clone());
        Self::at(clock, imds, self.api.clone(), settings)
    }

    fn at(clock: Clock, imds: FakeImds, api: FakeApi, settings: HandlerSettings) -> Self {
        let (health, said) =
            (Arc::<HandlerHealth>::default(), Arc::<Mutex<Vec<String>>>::default());
        let heard = Arc::clone(&said);
        let tell = Box::new(move |said: &super::handler::HandlerMessage<'_>| {
            heard.lock().unwrap().push(format!("{said:?}"));
        });
        let reached = api.clone();
        let connect: Connect = Arc::new(move || {
            let client = reached.client();
            Box::pin(async { Ok(client) })
        });
        let target = NodeTarget { name: "n1".to_owned(), connect };
        let client = imds.client(crate::imds::ImdsSettings::default());
        let handler = Handler::new(client, target, settings, Arc::clone(&health), tell);
        let handler = handler.with_clock(Arc::clone(&clock));
        let running = tokio::spawn(async move { match handler.run().await {} });
        Self { imds, api, health, said, running, clock }
    }

    fn new() -> Self {
        Self::with(FakeImds::default(), HandlerSettings::default())
    }

    fn with(imds: FakeImds, settings: HandlerSettings) -> Self {
        let api = FakeApi::default();
        api.add_node("n1");
        Self::of(imds, api, settings)
    }

    fn condition(&self) -> Option<Value> {
        let node = self.api.node("n1");
        let conditions = node["status"]["conditions"].as_array().unwrap();
        conditions.iter().find(|one| one["type"] == "Terminating").cloned()
    }

    /// Returns the status of the condition: `True`, `False`, or empty if there is none.
    fn status(&self) -> String {
        self.condition().map_or(String::new(), |one| one["status"].as_str().unwrap().to_owned())
    }

    fn record(&self) -> Option<MarkRecord> {
        MarkRecord::of(&serde_json::from_value(self.api.node("n1")).unwrap()).unwrap()
    }

    /// Sleeps until this wall-clock time.
    async fn until(&self, time: &str) {
        let left = time.parse::<Timestamp>().unwrap().duration_since((self.clock)());
        sleep(left.try_into().unwrap()).await;
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.health.metrics();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix("groundplan_termination_")?.strip_prefix(name));
        line.unwrap().trim().parse().unwrap()
    }

    fn said(&self, what: &str) -> usize {
        self.said.lock().unwrap().iter().filter(|said| said.starts_with(what)).count()
    }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[tokio::test(start_paused = true)]
async fn c62_a_notice_marks_the_node_once_and_is_watched_on() {
    let stage = Stage::new();
    let before = stage.api.node("n1");
    sleep(seconds(8)).await;
    assert_eq!((stage.imds.count("GET"), stage.api.writes()), (2, 0));
    stage.imds.set(PATH, TIME);
    sleep(seconds(600)).await;
    let condition = stage.condition().unwrap();
    assert_eq!(
        (&condition["status"], &condition["reason"]),
        (&json!("True"), &json!("TerminationRequested"))
    );
    assert_eq!(condition["message"], "The cloud provider has marked this instance for termination");
    let after = stage.api.node("n1");
    assert_eq!(after["status"]["conditions"][0], before["status"]["conditions"][0]);
    assert_eq!(after["spec"], before["spec"], "neither cordoned nor tainted");
    assert_eq!(stage.api.writes(), 1);
    assert!(stage.imds.count("GET") > 100, "the notice may be withdrawn");
    let [event] = stage.api.events().try_into().unwrap();
    assert_eq!(event["message"], "the spot instance is terminated, at 2015-01-05T18:02:00Z");
    assert!(stage.health.is_ready() && stage.metric("marked ") == 1);
    assert!(!stage.running.is_finished());
}

#[tokio::test(start_paused = true)]
async fn c62_nobody_is_asked_without_a_token() {
    let stage = Stage::new();
    sleep(seconds(60)).await;
    let asked = stage.imds.requests();
    assert!(asked.iter().all(|one| one.token || one.method == "PUT"));
    assert_eq!(stage.imds.count("PUT"), 1);
    let asked = stage.imds.count("GET");
    assert!((12..=16).contains(&asked), "every five seconds or a little sooner: {asked}");
}

#[tokio::test(start_paused = true)]
async fn c63_a_body_that_is_no_time_is_told_once_and_asked_again() {
    let stage = Stage::new();
    stage.imds.set(PATH, "none");
    sleep(seconds(60)).await;
    assert_eq!((stage.condition(), stage.said("Strange")), (None, 1));
    assert!(stage.metric("strange_answers_total") >= 12);
    stage.imds.set(PATH, TIME);
    sleep(seconds(6)).await;
    assert!(stage.condition().is_some());
}

#[tokio::test(start_paused = true)]
async fn c64_a_node_that_is_marked_is_not_written() {
    let api = FakeApi::default();
    api.add_node("n1");
    api.set_condition("n1", "Terminating", "True");
    let imds = FakeImds::default();
    imds.set(PATH, TIME);
    let stage = Stage::of(imds, api, HandlerSettings::default());
    let before = stage.condition();
    sleep(seconds(60)).await;
    assert_eq!((stage.condition(), stage.api.writes()), (before, 0));
    assert_eq!(stage.metric("marked "), 1);
}

#[tokio::test(start_paused = true)]
async fn c65_a_metadata_service_that_is_down_is_waited_for() {
    let imds = FakeImds::default();
    // Ten polls of four attempts each.
    imds.inject_faults("PUT", &[ImdsFault::Status(503); 40]);
    let stage = Stage::with(imds, HandlerSettings::default());
    sleep(seconds(20)).await;
    assert!(!stage.health.is_ready() && !stage.running.is_finished());
    sleep(seconds(400)).await;
    assert!(stage.health.is_ready() && !stage.running.is_finished());
    assert_eq!(stage.metric("imds_errors_total"), 10);
    assert_eq!((stage.said("NoAnswer"), stage.said("Answers")), (1, 1));
    assert_eq!(stage.api.writes(), 0);
    stage.imds.set(PATH, TIME);
    sleep(seconds(6)).await;
    assert!(stage.condition().is_some());
}

#[tokio::test(start_paused = true)]
async fn c65_whoever_drops_it_finds_the_node_untouched() {
    let stage = Stage::new();
    sleep(seconds(30)).await;
    stage.running.abort();
    stage.imds.set(PATH, TIME);
    sleep(seconds(60)).await;
    assert_eq!((stage.condition(), stage.api.writes()), (None, 0));
}

#[tokio::test(start_paused = true)]
async fn c66_an_api_server_in_trouble_is_asked_until_the_node_is_marked() {
    let imds = FakeImds::default();
    imds.set(PATH, TIME);
    let stage = Stage::with(imds, HandlerSettings::default());
    stage.api.inject_faults(&[500; 6]);
    sleep(seconds(30)).await;
    assert!(stage.condition().is_some());
    assert_eq!(
        (stage.metric("api_errors_total"), stage.said("NotDone"), stage.said("Done")),
        (6, 3, 1)
    );
}

#[tokio::test(start_paused = true)]
async fn c66_a_node_that_comes_late_is_marked_even_if_nothing_is_announced_any_more() {
    let imds = FakeImds::default();
    imds.set(PATH, TIME);
    let stage = Stage::of(imds, FakeApi::default(), HandlerSettings::default());
    sleep(seconds(5)).await;
    assert!(stage.metric("api_errors_total") > 0);
    stage.imds.set(PATH, "none");
    stage.api.add_node("n1");
    sleep(seconds(20)).await;
    assert!(stage.condition().is_some());
}

#[tokio::test(start_paused = true)]
async fn what_is_asked_for_besides_is_done() {
    let imds = FakeImds::default();
    imds.set(PATH, TIME);
    let stage = Stage::with(
        imds,
        HandlerSettings { cordon: true, taint: true, ..HandlerSettings::default() },
    );
    sleep(seconds(1)).await;
    let node = stage.api.node("n1");
    assert_eq!(node["spec"]["unschedulable"], true);
    assert_eq!(node["spec"]["taints"], json!([{"key": TAINT_KEY, "effect": "NoSchedule"}]));
}

#[tokio::test(start_paused = true)]
async fn a_taint_that_is_refused_keeps_nobody_from_marking_and_telling() {
    let imds = FakeImds::default();
    imds.set(PATH, TIME);
    let stage = Stage::with(imds, HandlerSettings { taint: true, ..HandlerSettings::default() });
    stage.api.restrict_to_kubelet("n1");
    sleep(seconds(1)).await;
    assert!(stage.condition().is_some() && stage.api.events().len() == 1);
    assert!(stage.said("NotDone") > 0);
}

#[tokio::test(start_paused = true)]
async fn a_warning_is_told_and_the_node_left_alone() {
    let imds = FakeImds::default();
    imds.set("events/recommendations/rebalance", r#"{"noticeTime": "2020-10-27T08:22:00Z"}"#);
    let sources = [NoticeSource::SpotTerminationTime, NoticeSource::RebalanceRecommendation].into();
    let stage =
        Stage::with(imds, HandlerSettings { sources, cordon: true, ..HandlerSettings::default() });
    sleep(seconds(60)).await;
    assert_eq!((stage.api.writes(), stage.api.events().len(), stage.said("Announced")), (0, 1, 1));
    stage.imds.set(PATH, TIME);
    sleep(seconds(6)).await;
    assert!(stage.condition().is_some(), "it was watched on");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_watched_is_not_asked() {
    let stage = Stage::new();
    stage.imds.set("autoscaling/target-lifecycle-state", "Terminated");
    sleep(seconds(60)).await;
    assert_eq!(stage.condition(), None);
    assert!(
        stage.imds.requests().iter().all(|one| one.method == "PUT" || one.path.ends_with(PATH))
    );
}

fn settings(sources: &[NoticeSource]) -> HandlerSettings {
    let sources = sources.iter().copied().chain([NoticeSource::SpotTerminationTime]).collect();
    HandlerSettings { sources, ..HandlerSettings::default() }
}

fn spot() -> HandlerSettings {
    HandlerSettings { cordon: true, taint: true, ..settings(&[NoticeSource::SpotInstanceAction]) }
}

/// Returns a stage whose Node is marked, cordoned and tainted because of [`STOP`].
async fn stopping() -> Stage {
    let imds = FakeImds::default();
    imds.set(ACTION, STOP);
    let stage = Stage::with(imds, spot());
    sleep(seconds(1)).await;
    assert_eq!(stage.status(), "True");
    stage
}

fn assert_cleared(stage: &Stage) {
    let node = stage.api.node("n1");
    assert_eq!((stage.status(), stage.record()), ("False".to_owned(), None));
    assert!(node["spec"]["unschedulable"].is_null(), "{node}");
    assert_eq!(node["spec"]["taints"], json!([]));
    let normal: Vec<_> =
        stage.api.events().into_iter().filter(|one| one["type"] == "Normal").collect();
    let [event] = normal.as_slice() else { panic!("{normal:?}") };
    assert_eq!(event["reason"], "TerminationCleared");
}

#[tokio::test(start_paused = true)]
async fn c75_a_machine_that_comes_back_is_cleared_and_marked_again_by_the_next_notice() {
    let stage = stopping().await;
    stage.until("2026-01-05T18:01:00Z").await;
    // Before its time, nothing can have recovered: the document may only be late.
    stage.imds.unset(ACTION);
    stage.until("2026-01-05T18:06:59Z").await;
    assert_eq!((stage.status(), stage.metric("marked ")), ("True".to_owned(), 1));
    stage.until("2026-01-05T18:07:30Z").await;
    assert_cleared(&stage);
    assert_eq!((stage.metric("marked "), stage.metric("cleared_total ")), (0, 1));
    assert_eq!((stage.said("Withdrawn"), stage.said("Cleared")), (1, 1));

    let writes = stage.api.writes();
    sleep(seconds(600)).await;
    assert_eq!(stage.api.writes(), writes, "nothing is written while nothing changes");
    stage.imds.set(ACTION, STOP.replace("18:02", "19:00"));
    sleep(seconds(6)).await;
    assert_eq!((stage.status(), stage.metric("marked ")), ("True".to_owned(), 1));
    assert_eq!(stage.api.node("n1")["spec"]["unschedulable"], true);
}

#[tokio::test(start_paused = true)]
async fn c75_another_process_clears_what_is_recorded_after_as_many_polls() {
    let first = stopping().await;
    first.running.abort();
    first.imds.unset(ACTION);
    first.imds.forget_tokens();
    first.until("2026-01-05T20:00:00Z").await;
    let second = first.restarted(spot());
    sleep(seconds(7)).await;
    assert_eq!((second.status(), second.metric("marked ")), ("True".to_owned(), 1));
    sleep(seconds(10)).await;
    assert_cleared(&second);
    assert_eq!(second.metric("marked "), 0);
}

#[tokio::test(start_paused = true)]
async fn c75_another_process_waits_for_the_time_of_a_spot_notice() {
    let first = stopping().await;
    first.imds.unset(ACTION);
    let second = first.restarted(spot());
    second.until("2026-01-05T18:06:59Z").await;
    assert_eq!(second.status(), "True");
    second.until("2026-01-05T18:07:30Z").await;
    assert_cleared(&second);
}

#[tokio::test(start_paused = true)]
async fn c75_another_process_continues_an_interrupted_clearing_at_every_step() {
    for steps in 0..4 {
        let first = stopping().await;
        first.running.abort();
        first.imds.unset(ACTION);
        first.until("2026-01-05T20:00:00Z").await;
        let node = OwnNode::new(first.api.client(), "n1");
        let taint = super::handler::taint();
        if steps > 0 {
            node.uncordon().await.unwrap();
        }
        if steps > 1 {
            node.untaint(&taint).await.unwrap();
        }
        if steps > 2 {
            node.unmark(super::handler::TERMINATING, (first.clock)()).await.unwrap();
        }
        assert!(first.record().is_some());
        let second = first.restarted(spot());
        sleep(seconds(30)).await;
        assert_cleared(&second);
    }
}

#[tokio::test(start_paused = true)]
async fn c75_an_api_server_in_trouble_delays_the_clearing_and_nothing_is_forgotten() {
    let stage = stopping().await;
    stage.imds.unset(ACTION);
    stage.until("2026-01-05T18:06:59Z").await;
    stage.api.inject_faults(&[500; 8]);
    stage.until("2026-01-05T18:10:00Z").await;
    assert_cleared(&stage);
    assert!(stage.metric("api_errors_total ") >= 8 && stage.said("Cleared") == 1);
}

#[tokio::test(start_paused = true)]
async fn c76_what_others_set_before_stays() {
    let api = FakeApi::default();
    api.add_node("n1");
    api.set_condition("n1", "Terminating", "True");
    api.change("nodes", "", "n1", &json!({"spec": {"unschedulable": true}}));
    let imds = FakeImds::default();
    imds.set(ACTION, STOP);
    let stage = Stage::of(imds, api, spot());
    sleep(seconds(1)).await;
    let record = stage.record().unwrap();
    assert_eq!((record.condition, record.cordon, record.taint), (None, false, true));
    stage.imds.unset(ACTION);
    stage.until("2026-01-05T18:08:00Z").await;
    let node = stage.api.node("n1");
    assert_eq!((stage.status(), stage.record()), ("True".to_owned(), None));
    assert_eq!(
        (&node["spec"]["unschedulable"], &node["spec"]["taints"]),
        (&json!(true), &json!([]))
    );
    assert_eq!((stage.metric("marked "), stage.metric("cleared_total ")), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn c76_a_mark_without_a_record_is_not_cleared() {
    let imds = FakeImds::default();
    imds.set(ACTION, STOP);
    let stage = Stage::with(imds, spot());
    sleep(seconds(1)).await;
    // A person takes the Node over.
    stage.api.change("nodes", "", "n1", &json!({"metadata": {"annotations": {RECORD: null}}}));
    let (before, events) = (stage.api.node("n1"), stage.api.events().len());
    stage.imds.unset(ACTION);
    stage.until("2026-01-05T18:30:00Z").await;
    assert_eq!((stage.api.node("n1"), stage.api.events().len()), (before, events));
    assert_eq!((stage.metric("marked "), stage.metric("cleared_total ")), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn c76_an_annotation_that_is_no_record_is_reported_and_left_alone() {
    let first = stopping().await;
    first.running.abort();
    first.imds.unset(ACTION);
    let other = json!({"metadata": {"annotations": {RECORD: "{}"}}});
    first.api.change("nodes", "", "n1", &other);
    let before = first.api.node("n1");
    let second = first.restarted(spot());
    second.until("2026-01-05T19:00:00Z").await;
    assert_eq!((second.api.node("n1"), second.said("InvalidRecord")), (before, 1));
}

#[tokio::test(start_paused = true)]
async fn c77_unexpected_bodies_and_errors_are_never_taken_for_a_withdrawal() {
    let stage = stopping().await;
    stage.imds.unset(ACTION);
    stage.imds.set(PATH, "none");
    stage.until("2026-01-05T19:00:00Z").await;
    assert_eq!(stage.status(), "True", "unexpected body");
    stage.imds.unset(PATH);
    for _ in 0..20 {
        // At most two polls in a row have all answers.
        stage.imds.inject_faults("GET", &[ImdsFault::Status(500); 4]);
        sleep(seconds(7)).await;
    }
    assert_eq!(stage.status(), "True", "errors in between");
    stage.imds.disable();
    sleep(seconds(3600)).await;
    assert_eq!(stage.status(), "True", "no answers");
}

#[tokio::test(start_paused = true)]
async fn c77_quick_retries_are_one_absence() {
    let imds = FakeImds::default();
    imds.set(MAINTENANCE, event("active", "05 Jan 2026 20:00:00 GMT"));
    let sources = [NoticeSource::ScheduledMaintenance, NoticeSource::RebalanceRecommendation];
    let settings = HandlerSettings { interval: seconds(60), ..settings(&sources) };
    let stage = Stage::with(imds, settings);
    sleep(seconds(1)).await;
    // The notice is absent, and the Event about another one fails: retries after 1, 2, 4 … seconds.
    stage.imds.set(MAINTENANCE, "[]");
    stage.imds.set("events/recommendations/rebalance", r#"{"noticeTime": "2026-01-05T17:00:00Z"}"#);
    stage.api.inject_faults(&[500; 8]);
    sleep(seconds(100)).await;
    assert!(stage.said("NotDone") >= 4, "so many retries");
    assert_eq!(stage.status(), "True");
    sleep(seconds(300)).await;
    assert_eq!(stage.status(), "False");
}

#[tokio::test(start_paused = true)]
async fn c77_a_document_that_is_not_configured_any_more_is_no_evidence() {
    let first = stopping().await;
    first.imds.set(PATH, "2026-01-05T18:02:00Z");
    sleep(seconds(6)).await;
    assert_eq!(first.record().unwrap().notices.len(), 2);
    first.imds.unset(ACTION);
    first.imds.unset(PATH);
    let second = first.restarted(HandlerSettings::default());
    second.until("2026-01-05T19:00:00Z").await;
    assert_eq!((second.status(), second.said("NotWatched")), ("True".to_owned(), 1));
    assert!(second.record().is_some());
    let third = second.restarted(spot());
    sleep(seconds(30)).await;
    assert_cleared(&third);
}

#[tokio::test(start_paused = true)]
async fn c77_a_lifecycle_state_is_taken_back_by_a_state_alone() {
    let imds = FakeImds::default();
    imds.set(LIFECYCLE, "Terminated");
    let stage = Stage::with(imds, settings(&[NoticeSource::LifecycleState]));
    sleep(seconds(1)).await;
    stage.imds.unset(LIFECYCLE);
    sleep(seconds(600)).await;
    assert_eq!(stage.status(), "True");
    stage.imds.set(LIFECYCLE, "InService");
    sleep(seconds(6)).await;
    assert_eq!(stage.status(), "False");
}

#[tokio::test(start_paused = true)]
async fn a_notice_that_is_gone_is_cleared_even_if_its_taint_was_refused() {
    let imds = FakeImds::default();
    imds.set(ACTION, STOP);
    let api = FakeApi::default();
    api.add_node("n1");
    api.restrict_to_kubelet("n1");
    let stage = Stage::of(imds, api, spot());
    stage.until("2026-01-05T18:05:00Z").await;
    assert_eq!(stage.status(), "True");
    stage.imds.unset(ACTION);
    stage.until("2026-01-05T18:08:00Z").await;
    assert_eq!((stage.status(), stage.record()), ("False".to_owned(), None));
    let told = stage.said("NotDone");
    sleep(seconds(600)).await;
    assert_eq!(stage.said("NotDone"), told, "the taint is not tried any more");
}

#[tokio::test(start_paused = true)]
async fn c62_two_notices_at_once_are_one_write_of_the_status() {
    let imds = FakeImds::default();
    imds.set(ACTION, STOP);
    imds.set(PATH, "2026-01-05T18:02:00Z");
    let stage = Stage::with(imds, settings(&[NoticeSource::SpotInstanceAction]));
    sleep(seconds(60)).await;
    assert_eq!((stage.api.writes(), stage.api.events().len()), (1, 2));
    assert_eq!(stage.said("Changed"), 1, "the second notice changes nothing but the record");
    assert_eq!(stage.record().unwrap().notices.len(), 2);
    stage.imds.unset(ACTION);
    stage.until("2026-01-05T18:10:00Z").await;
    assert_eq!(stage.status(), "True", "the other notice is in effect");
    stage.imds.unset(PATH);
    sleep(seconds(30)).await;
    assert_eq!((stage.status(), stage.said("Withdrawn")), ("False".to_owned(), 2));
}

fn event(state: &str, not_before: &str) -> String {
    format!(
        r#"[{{"NotBefore": "{not_before}", "Code": "instance-retirement", "EventId": "e-1",
              "State": "{state}"}}]"#
    )
}

/// Returns a stage whose machine retires in 53 days.
fn retiring(lead: Duration) -> Stage {
    let imds = FakeImds::default();
    imds.set(MAINTENANCE, event("active", "27 Feb 2026 18:00:00 GMT"));
    let settings = settings(&[NoticeSource::ScheduledMaintenance]);
    Stage::with(imds, HandlerSettings { lead, interval: seconds(6 * 3600), ..settings })
}

#[tokio::test(start_paused = true)]
async fn c78_a_retirement_weeks_ahead_marks_the_node_a_lead_time_before() {
    for (lead, before, after) in [
        (seconds(24 * 3600), "2026-02-26T17:59:59Z", "2026-02-27T00:01:00Z"),
        (Duration::ZERO, "2026-02-27T17:59:59Z", "2026-02-28T00:01:00Z"),
    ] {
        let stage = retiring(lead);
        stage.until(before).await;
        assert_eq!((stage.status(), stage.api.writes()), (String::new(), 0));
        let [told] = stage.api.events().try_into().unwrap();
        let marks = format!("; the Node is marked from {}", before.replace("17:59:59", "18:00:00"));
        assert!(told["message"].as_str().unwrap().ends_with(&marks), "{told}");
        assert_eq!((stage.said("Announced"), stage.said("Done")), (1, 1));
        stage.until(after).await;
        assert_eq!((stage.status(), stage.api.events().len()), ("True".to_owned(), 2));
    }
}

#[tokio::test(start_paused = true)]
async fn c78_a_retirement_is_marked_at_its_time_although_the_metadata_service_is_down() {
    let stage = retiring(seconds(3600));
    sleep(seconds(60)).await;
    stage.imds.disable();
    stage.until("2026-02-28T00:01:00Z").await;
    assert_eq!(stage.status(), "True");
}

#[tokio::test(start_paused = true)]
async fn c78_maintenance_that_is_cancelled_or_moved_clears_the_mark_at_once() {
    let late = event("active", "30 Mar 2026 18:00:00 GMT");
    for (body, events) in [
        (event("canceled", "27 Feb 2026 18:00:00 GMT"), 3),
        (event("completed", "27 Feb 2026 18:00:00 GMT"), 3),
        (late, 4),
    ] {
        let stage = retiring(seconds(24 * 3600));
        stage.until("2026-02-27T00:01:00Z").await;
        assert_eq!(stage.status(), "True");
        stage.imds.set(MAINTENANCE, body);
        sleep(seconds(6 * 3600 + 1)).await;
        assert_eq!((stage.status(), stage.record()), ("False".to_owned(), None));
        assert_eq!(stage.api.events().len(), events);
    }
}

#[tokio::test(start_paused = true)]
async fn c78_maintenance_that_is_moved_within_its_lead_time_keeps_the_mark() {
    let stage = retiring(seconds(24 * 3600));
    stage.until("2026-02-27T00:01:00Z").await;
    stage.imds.set(MAINTENANCE, event("active", "27 Feb 2026 20:00:00 GMT"));
    sleep(seconds(24 * 3600)).await;
    assert_eq!((stage.status(), stage.metric("marked ")), ("True".to_owned(), 1));
    let [recorded] = stage.record().unwrap().notices.try_into().unwrap();
    assert_eq!(recorded.at, "2026-02-27T20:00:00Z".parse().ok());
    assert_eq!(stage.said("Changed"), 1, "the moved event changes the record alone");
    stage.imds.set(MAINTENANCE, "[]");
    sleep(seconds(24 * 3600)).await;
    assert_eq!((stage.status(), stage.said("Withdrawn")), ("False".to_owned(), 2));
}

#[tokio::test(start_paused = true)]
async fn c78_a_shorter_lead_time_of_another_process_clears_nothing() {
    let first = retiring(Duration::MAX);
    sleep(seconds(1)).await;
    assert_eq!(first.status(), "True");
    let settings = settings(&[NoticeSource::ScheduledMaintenance]);
    let second = first.restarted(settings);
    sleep(seconds(600)).await;
    assert_eq!(second.status(), "True");
}

#[tokio::test(start_paused = true)]
async fn c80_a_node_that_is_created_again_is_marked_again_once() {
    let stage = stopping().await;
    sleep(seconds(20)).await;
    let writes = stage.api.writes();
    stage.api.delete("nodes", "", "n1");
    sleep(seconds(25)).await;
    stage.api.add_node("n1");
    let mut new = stage.api.node("n1");
    new["metadata"]["uid"] = json!("another");
    stage.api.put(new);
    sleep(seconds(20)).await;
    let node = stage.api.node("n1");
    assert_eq!((stage.status(), &node["spec"]["unschedulable"]), ("True".to_owned(), &json!(true)));
    assert_eq!(node["spec"]["taints"][0]["key"], TAINT_KEY);
    assert!(stage.record().unwrap().cordon);
    sleep(seconds(600)).await;
    assert_eq!(stage.api.writes() - writes, 3, "condition, cordon and taint");
    assert_eq!((stage.said("Lost(NewNode)"), stage.api.events().len()), (1, 2));
    assert_eq!(stage.said(r#"Changed({"condition", "cordon", "taint"})"#), 2);
}

#[tokio::test(start_paused = true)]
async fn c80_a_condition_that_another_client_removes_is_set_again_at_growing_intervals() {
    let stage = stopping().await;
    let gone = json!({"status": {"conditions": []}});
    stage.api.change("nodes", "", "n1", &gone);
    assert_eq!(stage.status(), "");
    sleep(seconds(16)).await;
    assert_eq!((stage.status(), stage.said("Lost(Condition)")), ("True".to_owned(), 1));
    stage.api.set_condition("n1", "Terminating", "False");
    sleep(seconds(26)).await;
    assert_eq!((stage.status(), stage.said("Lost(Condition)")), ("True".to_owned(), 2));
    // A client that does not give in.
    for _ in 0..3600 {
        stage.api.set_condition("n1", "Terminating", "False");
        sleep(seconds(1)).await;
    }
    let lost = stage.said("Lost(Condition)");
    assert!((14..=24).contains(&lost), "at most one every five minutes in the end: {lost}");
    // The record has the last mark, so it is cleared.
    stage.imds.unset(ACTION);
    sleep(seconds(400)).await;
    assert_eq!(stage.record(), None);
}

#[tokio::test(start_paused = true)]
async fn c80_what_a_person_decides_stays() {
    let stage = stopping().await;
    stage.api.change("nodes", "", "n1", &json!({"spec": {"unschedulable": null, "taints": []}}));
    sleep(seconds(60)).await;
    let node = stage.api.node("n1");
    assert!(node["spec"]["unschedulable"].is_null(), "uncordoned by a person: {node}");
    assert_eq!((&node["spec"]["taints"], stage.status()), (&json!([]), "True".to_owned()));
    // The record and the condition are removed: a person takes the Node over.
    stage.api.change("nodes", "", "n1", &json!({"metadata": {"annotations": {RECORD: null}}}));
    stage.api.set_condition("n1", "Terminating", "False");
    let before = stage.api.node("n1");
    sleep(seconds(600)).await;
    assert_eq!((stage.api.node("n1"), stage.said("Lost")), (before, 0));
}

#[tokio::test(start_paused = true)]
async fn c80_a_marked_node_costs_one_read_every_ten_seconds_and_is_reported_missing_once() {
    let stage = stopping().await;
    let before = stage.api.requests().len();
    sleep(seconds(600)).await;
    let reads = stage.api.requests().len() - before;
    assert!((35..=60).contains(&reads), "{reads}");
    stage.api.delete("nodes", "", "n1");
    let told = stage.said("NotDone");
    sleep(seconds(600)).await;
    assert_eq!(stage.said("NotDone"), told + 1);
}

#[tokio::test(start_paused = true)]
async fn c80_another_process_restores_a_lost_condition() {
    let first = stopping().await;
    first.running.abort();
    first.api.set_condition("n1", "Terminating", "False");
    // The document is late, so only the record knows the notice.
    first.imds.unset(ACTION);
    let second = first.restarted(spot());
    sleep(seconds(20)).await;
    assert_eq!((second.status(), second.said("Lost(Condition)")), ("True".to_owned(), 1));
}

#[tokio::test(start_paused = true)]
async fn c75_a_step_of_the_wall_clock_clears_nothing() {
    let (steady, step) = (clock(), Arc::new(Mutex::new(Duration::ZERO)));
    let stepped = Arc::clone(&step);
    let clock: Clock = Arc::new(move || steady() + *stepped.lock().unwrap());
    let (imds, api) = (FakeImds::default(), FakeApi::default());
    api.add_node("n1");
    imds.set(ACTION, STOP);
    let stage = Stage::at(clock, imds, api, spot());
    sleep(seconds(1)).await;
    stage.imds.unset(ACTION);
    *step.lock().unwrap() = seconds(3600);
    // The notice is two minutes ahead, and its absence counts five minutes later.
    sleep(seconds(410)).await;
    assert_eq!(stage.status(), "True");
    sleep(seconds(30)).await;
    assert_cleared(&stage);
}
