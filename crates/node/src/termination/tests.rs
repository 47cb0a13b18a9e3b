//! Tests of the loop with an in-memory metadata service and API server, and a paused clock. The
//! numbers refer to the cases in `docs/cases.md`.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::handler::{Handler, HandlerSettings, NodeTarget, TAINT_KEY};
use super::health::HandlerHealth;
use super::notice::NoticeSource;
use crate::http::probes::HealthSource;
use crate::imds::fake::{FakeImds, ImdsFault};
use crate::kube_client::Connect;
use crate::test_support::fake_api_server::FakeApiServer as FakeApi;

const TIME: &str = "2015-01-05T18:02:00Z";
const PATH: &str = "spot/termination-time";

/// Running handler with the services that it uses.
struct Stage {
    imds: FakeImds,
    api: FakeApi,
    health: Arc<HandlerHealth>,
    said: Arc<Mutex<Vec<String>>>,
    running: JoinHandle<()>,
}

impl Stage {
    fn of(imds: FakeImds, api: FakeApi, settings: HandlerSettings) -> Self {
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
        let running = tokio::spawn(async move { match handler.run().await {} });
        Self { imds, api, health, said, running }
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
async fn c62_a_notice_marks_the_node_once_and_then_nobody_is_asked() {
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
    assert_eq!((stage.imds.count("GET"), stage.api.writes()), (3, 1));
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
    stage.api.restrict_nodes();
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
