//! Tests of kills, shutdowns and creations in doubt, in the same run or the next one.

use super::*;

/// The token of a launch in doubt created a machine that was terminated since.
#[tokio::test(start_paused = true)]
async fn a9_a_token_that_is_used_up_begins_a_new_life() {
    let graph = graph(&[("machine.a", json!({}), &[])]);
    let mut harness = Harness::default();
    harness.apply(&graph).await;
    let first = harness.cloud.tokens();
    harness.state = State::new("lab".into());
    harness.state.record(&harness.recording.entries()[0]).unwrap();
    harness.cloud.lose("machine.a");
    let outcome = harness.apply(&graph).await;
    assert!(outcome.summary.complete(), "{:#?}", harness.recording.events);
    assert_eq!(harness.state.resources["machine.a"].generation, 2);
    assert_eq!(harness.cloud.inventory().len(), 1);
    assert_ne!(harness.cloud.tokens(), first);
    assert!(harness.plan(&graph).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_token_that_says_something_else_is_what_was_asked_for_first() {
    let graph = |user_data: u32| graph(&[("machine.a", json!({ "size": user_data }), &[])]);
    let mut harness = Harness::default();
    harness.cloud.hide_new(Duration::from_secs(10));
    harness.apply(&graph(1)).await;
    harness.state = State::new("lab".into());
    harness.state.record(&harness.recording.entries()[0]).unwrap();
    // Changed inputs for the same resource, as with a presigned address in the user data.
    let plan = harness.plan(&graph(1)).await;
    harness.cloud.change_outside("machine.a", "size", &json!(2));
    let outcome = harness.walk(&plan).await;
    assert!(outcome.summary.complete(), "{:#?}", harness.recording.events);
    assert_eq!(harness.cloud.inventory().len(), 1, "it is found, not made again");
    assert_eq!(harness.state.resources["machine.a"].generation, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_used_up_within_one_run_fails_it_and_the_next_begins_anew() {
    let graph = graph(&[("machine.a", json!({}), &[])]);
    let mut harness = Harness::default();
    harness.cloud.fail("create", 1, When::Before, ErrorClass::TokenConsumed);
    let outcome = harness.apply(&graph).await;
    assert_eq!(outcome.summary.failed, 1);
    assert!(harness.state.resources.is_empty());
    assert!(harness.apply(&graph).await.summary.complete());
    assert_eq!(harness.state.resources["machine.a"].generation, 2);
}

/// A destroy follows a killed creation within seconds: an object that is not visible yet is not
/// gone.
#[tokio::test(start_paused = true)]
async fn what_is_not_visible_yet_is_not_left_behind_by_a_destroy() {
    let graph = pair("tagged", 1, "node", 1);
    let mut harness = Harness::default();
    harness.cloud.hide_new(Duration::from_secs(10));
    harness.apply(&graph).await;
    harness.reread();
    let outcome = harness.destroy().await;
    assert!(outcome.summary.complete(), "{:#?}", harness.recording.events);
    assert!(harness.cloud.inventory().is_empty(), "{:?}", harness.cloud.inventory());
    assert!(harness.state.resources.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_deleted_is_forgotten_by_a_destroy_after_one_long_look() {
    let chain = graph(&[
        ("node.a", json!({}), &[]),
        ("node.b", json!({}), &["node.a"]),
        ("node.c", json!({}), &["node.b"]),
        ("node.d", json!({}), &["node.c"]),
    ]);
    let mut harness = harness_with(&chain).await;
    ["node.d", "node.c", "node.b", "node.a"].iter().for_each(|one| harness.cloud.lose(one));
    let began = Instant::now();
    let outcome = harness.destroy().await;
    assert!(outcome.summary.complete() && harness.state.resources.is_empty());
    assert!(harness.cloud.calls_of(&["delete"]).is_empty(), "{:?}", harness.cloud.calls());
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn the_walk_goes_on_while_the_journal_is_written() {
    let names: Vec<String> = (0..60).map(|i| format!("node.n{i}")).collect();
    let wide = graph(&names.iter().map(|n| (&**n, json!({}), &[][..])).collect::<Vec<_>>());
    let mut harness = Harness::default();
    harness.settings.parallelism = 4;
    harness.recording.latency = Duration::from_millis(100);
    let began = Instant::now();
    assert!(harness.apply(&wide).await.summary.complete());
    // Fifteen rounds of a second each. One separate write before each call would take six seconds
    // more.
    assert!(began.elapsed() <= Duration::from_millis(17_000), "{:?}", began.elapsed());
    assert!(harness.recording.groups <= 2 * 60, "{}", harness.recording.groups);
    let together = harness.recording.entries().len();
    assert_eq!(together, 2 * 60, "an announcement and an answer each");
}

#[tokio::test(start_paused = true)]
async fn a_stop_while_the_journal_is_written_takes_back_what_has_not_left() {
    let graph = graph(&[("tagged.a", json!({}), &[]), ("node.b", json!({}), &[])]);
    let mut harness = Harness::default();
    harness.recording.latency = Duration::from_secs(2);
    let plan = harness.plan(&graph).await;
    let stop = Shutdown::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(500)).await;
        asked.stop();
    });
    let outcome = harness.walk_until(&plan, &stop).await;
    assert!(outcome.stopped && outcome.journal_error.is_none());
    assert_eq!(harness.cloud.calls(), Vec::<String>::new(), "nothing has left");
    harness.reread();
    assert_eq!(harness.state, outcome.state, "what is recorded is durable");
    assert!(harness.state.resources.is_empty(), "nothing was asked for, and that is recorded");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_lost_the_lock_sends_nothing_more() {
    use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
    let lost = std::sync::Arc::new(AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&lost);
    let graph = pair("node", 1, "node", 1);
    let mut harness = Harness::default();
    harness.settings.fence = crate::state::fence::Fence::new(move || {
        let fenced = || StateError::Fenced { place: "here".into(), why: "taken over".into() };
        if seen.load(SeqCst) { Err(fenced()) } else { Ok(()) }
    });
    let plan = harness.plan(&graph).await;
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(800)).await;
        lost.store(true, SeqCst);
    });
    let outcome = harness.walk(&plan).await;
    assert!(matches!(outcome.journal_error, Some(StateError::Fenced { .. })));
    assert_eq!(harness.cloud.calls_of(MUTATING), ["create node.a"]);
}

/// A shutdown between two calls of one step.
#[tokio::test(start_paused = true)]
async fn what_a_stop_keeps_back_is_left_for_the_next_run() {
    let graph = graph(&[("stepped.a", json!({}), &[]), ("node.b", json!({}), &["stepped.a"])]);
    let mut harness = Harness::default();
    harness.cloud.withhold("configure", crate::provider::Cause::Shutdown);
    let plan = harness.plan(&graph).await;
    let stop = Shutdown::default();
    let asked = stop.clone();
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        asked.stop();
    });
    let outcome = harness.walk_until(&plan, &stop).await;
    let summary = outcome.summary;
    assert_eq!((summary.failed, summary.abandoned), (0, 2), "{:#?}", harness.recording.events);
    assert_eq!(harness.state.resources["stepped.a"].status, RecordStatus::Created);
    harness.cloud.clear_faults();
    assert!(harness.apply(&graph).await.summary.complete());
    assert_eq!(harness.cloud.inventory().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_look_that_gets_no_answer_is_taken_again() {
    let wanted = graph(&[("node.a", json!({}), &[])]);
    let harness = harness_with(&wanted).await;
    harness.cloud.fail("observe", 4, When::Before, ErrorClass::Retryable);
    let observed = crate::refresh::read_live_state(&harness.state, &*harness.cloud).await.unwrap();
    assert_eq!(observed.len(), 1);
    harness.cloud.fail("observe", 1, When::Before, ErrorClass::Permanent);
    assert!(
        crate::refresh::read_live_state(&harness.state, &*harness.cloud).await.is_err(),
        "that is final"
    );
    harness.cloud.fail("observe", 100, When::Before, ErrorClass::Ambiguous);
    let began = Instant::now();
    assert!(crate::refresh::read_live_state(&harness.state, &*harness.cloud).await.is_err());
    assert!(began.elapsed() <= Duration::from_secs(90), "{:?}", began.elapsed());
}

/// The creation was killed before its result was recorded, and the configuration has changed since.
#[tokio::test(start_paused = true)]
async fn a_creation_in_doubt_can_be_replaced_by_one_that_is_created_first() {
    let one = |fixed: u32| graph(&[("first.a", json!({ "fixed": fixed }), &[])]);
    let mut harness = Harness::default();
    harness.apply(&one(1)).await;
    harness.state = State::new("lab".into());
    harness.state.record(&harness.recording.entries()[0]).unwrap();
    assert_eq!(harness.state.resources["first.a"].status, RecordStatus::Creating);
    let plan = harness.plan(&one(2)).await;
    assert_eq!(actions(&plan), [("first.a", Action::CreateThenDelete)]);
    let outcome = harness.walk(&plan).await;
    assert!(outcome.summary.complete(), "{:#?}", harness.recording.events);
    assert_eq!(harness.cloud.inventory().len(), 1);
    assert_eq!(harness.cloud.inventory()[0].1["fixed"], json!(2));
    assert!(harness.plan(&one(2)).await.is_empty());
}
