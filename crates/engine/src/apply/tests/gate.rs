//! Tests of the gate: two runs of two states that create the same resources.

use std::collections::HashSet;
use std::sync::Arc;

use super::*;
use crate::apply::{ApplyOutcome, Gate, GateDecision};
use crate::graph::Address;
use crate::plan::decide::id;
use crate::provider::BoxFuture;
use crate::test_support::FakeProvider;

/// Closes if the cloud has an object that the state does not record.
#[derive(Debug)]
struct NoOthers(Arc<FakeProvider>);

impl Gate for NoOthers {
    fn sees(&self, kind: &str) -> bool {
        kind == "tagged"
    }

    fn check(&self, state: &State) -> BoxFuture<'static, GateDecision> {
        let deposed = state.deposed.values().flatten();
        let records = state.resources.values().chain(deposed);
        let ours: HashSet<String> = records.filter_map(|record| id(&record.outputs)).collect();
        let cloud = Arc::clone(&self.0);
        Box::pin(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(300)).await;
                let all = cloud.visible_ids();
                if all.iter().any(|id| !ours.contains(id)) {
                    return GateDecision::Closed;
                }
                if all.iter().any(|id| ours.contains(id)) {
                    let (lookup, answer) = ("checked".to_owned(), json!(true));
                    let entries = vec![Entry::LookupRecorded { lookup, answer }];
                    return GateDecision::Open { entries, warnings: vec!["checked".into()] };
                }
            }
        })
    }
}

fn cluster() -> Graph {
    graph(&[
        ("node.a", json!({}), &[]),
        ("tagged.b", json!({}), &[]),
        ("tagged.c", json!({}), &["tagged.b"]),
        ("slow.d", json!({}), &["tagged.c"]),
    ])
}

fn home(cloud: &Arc<FakeProvider>, lineage: &str, is_gated: bool) -> Harness {
    let mut home = Harness { cloud: Arc::clone(cloud), ..Harness::default() };
    home.state = State::new(lineage.into());
    let gate: Arc<dyn Gate> = Arc::new(NoOthers(Arc::clone(cloud)));
    home.settings.gate = is_gated.then_some(gate);
    home
}

/// Runs two applies; the second one begins `offset` later.
async fn two_runs(
    offset: Duration,
    hidden: Duration,
    is_gated: bool,
) -> [(Harness, ApplyOutcome); 2] {
    let cloud = Harness::default().cloud;
    cloud.hide_new(hidden);
    let (mut one, mut other) = (home(&cloud, "one", is_gated), home(&cloud, "other", is_gated));
    let wanted = cluster();
    // Both runs plan while the cloud is empty.
    let (plan, late_plan) = (one.plan(&wanted).await, other.plan(&wanted).await);
    let late = async {
        tokio::time::sleep(offset).await;
        other.walk(&late_plan).await
    };
    let (first, second) = tokio::join!(one.walk(&plan), late);
    [(one, first), (other, second)]
}

#[tokio::test(start_paused = true)]
async fn of_two_simultaneous_runs_at_most_one_continues() {
    for hidden in [Duration::ZERO, Duration::from_secs(4)] {
        for offset in (0..8000).step_by(50) {
            let runs = two_runs(Duration::from_millis(offset), hidden, true).await;
            let continued = runs.iter().filter(|(_, outcome)| !outcome.closed);
            assert!(continued.count() <= 1, "both continue at an offset of {offset} ms");
            for (home, outcome) in runs.iter().filter(|(_, outcome)| outcome.closed) {
                let recorded: Vec<_> = home.state.resources.keys().map(Address::as_str).collect();
                assert_eq!(recorded, ["tagged.b"], "nothing was created after the first one");
                assert!(!outcome.summary.complete() && outcome.summary.failed == 0);
                assert!(home.state.lookup_cache.results.is_empty());
            }
        }
    }
    let runs = two_runs(Duration::ZERO, Duration::ZERO, false).await;
    let is_twice = runs.iter().all(|(_, outcome)| outcome.summary.complete());
    assert!(is_twice, "without a gate, both runs create everything");
}

#[tokio::test(start_paused = true)]
async fn a_run_alone_passes_the_gate_before_anything_else_is_created() {
    let cloud = Harness::default().cloud;
    let mut home = home(&cloud, "one", true);
    home.settings.parallelism = 4;
    let outcome = home.apply(&cluster()).await;
    assert!(outcome.summary.complete() && !outcome.closed, "{:#?}", home.recording.events);
    assert_eq!(cloud.calls_of(&["create"])[0], "create tagged.b");
    assert_eq!(home.state.lookup_cache.results["checked"], json!(true));
    home.reread();
    assert_eq!(home.state.lookup_cache.results["checked"], json!(true), "the result is durable");
    let warned =
        |event: &Event| matches!(event, Event::Warning { message } if message == "checked");
    assert!(home.recording.events.iter().any(warned));
}

#[tokio::test(start_paused = true)]
async fn a_failed_first_creation_leads_to_the_next_one_that_the_gate_sees() {
    let cloud = Harness::default().cloud;
    cloud.fail("create tagged.b", 1, When::Before, ErrorClass::Permanent);
    let mut wanted = cluster();
    node(&mut wanted, "tagged.e", json!({}), &[]);
    let mut first = home(&cloud, "one", true);
    let outcome = first.apply(&wanted).await;
    assert_eq!((outcome.summary.failed, outcome.closed), (1, false));
    assert_eq!(cloud.calls_of(&["create"]), ["create tagged.e", "create node.a"]);
    let mut second = home(&cloud, "other", true);
    let outcome = second.apply(&wanted).await;
    assert!(outcome.closed && second.state.resources.len() == 1, "{:?}", second.state.resources);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_during_the_check_leaves_the_rest_for_the_next_run() {
    let cloud = Harness::default().cloud;
    let mut home = home(&cloud, "one", true);
    let (plan, stop) = (home.plan(&cluster()).await, Shutdown::default());
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1100)).await;
        asked.stop();
    });
    let outcome = home.walk_until(&plan, &stop).await;
    assert!(outcome.stopped && !outcome.closed);
    assert_eq!(cloud.calls_of(&["create"]), ["create tagged.b"]);
    assert!(home.apply(&cluster()).await.summary.complete());
}

#[tokio::test(start_paused = true)]
async fn a_plan_without_a_creation_that_the_gate_sees_is_not_checked() {
    let cloud = Harness::default().cloud;
    let mut home = home(&cloud, "one", true);
    let outcome =
        home.apply(&graph(&[("node.a", json!({}), &[]), ("node.b", json!({}), &[])])).await;
    assert!(outcome.summary.complete() && home.state.lookup_cache.results.is_empty());
    assert_eq!(cloud.busiest(), 2, "both at once");
}
