//! Tests of the controller with faults: killed at every call that changes something, throttled, cut
//! off. At the end each requested object exists exactly once.

use std::collections::BTreeSet;
use std::time::Duration;

use groundplan_aws::lookups::lookup::{FilterBy, Lookup};
use groundplan_engine::provider::ErrorClass;
use groundplan_engine::test_support::When;
use groundplan_openshift::machine_api::types::{Machine, NAMESPACE, read};
use serde_json::json;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::bench::Bench;
use crate::machine::instance_id;

const MACHINES: usize = 20;

fn want_all(bench: &Bench) {
    for number in 0..MACHINES {
        bench.want(&format!("m-{number:02}"), &json!({}));
    }
}

/// Asserts that each Machine has exactly one instance and records its ID.
fn assert_one_each(bench: &Bench) {
    let names: Vec<String> = (0..MACHINES).map(|number| format!("m-{number:02}")).collect();
    assert_eq!(bench.ec2.names(), names);
    assert_eq!(bench.ec2.launches(), MACHINES, "nothing was launched twice and thrown away");
    let machines = bench.cluster.all("machines");
    let ids: BTreeSet<String> = machines
        .iter()
        .filter_map(|one| instance_id(&read::<Machine>(one).expect("a Machine")))
        .collect();
    assert_eq!(ids.len(), MACHINES);
}

async fn gone(bench: &Bench) {
    for number in 0..MACHINES {
        bench.delete(&format!("m-{number:02}"));
    }
    bench.until("all gone", |bench| bench.cluster.all("machines").is_empty()).await;
    assert_eq!(bench.ec2.names(), Vec::<String>::new(), "nothing is left behind");
}

#[tokio::test(start_paused = true)]
async fn killed_at_every_call_it_launches_each_machine_once() {
    for when in [When::Before, When::After] {
        for call in 1..=MACHINES {
            let bench = Bench::new();
            want_all(&bench);
            bench.ec2.kill_at(call, when);
            let controller = bench.start();
            bench.ec2.reached().await;
            controller.abort();
            let _ = controller.await;
            let controller = bench.start();
            bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
            assert_one_each(&bench);
            controller.abort();
        }
    }
}

/// Kills the whole process, with the controller of the set and the controller of the Machines.
#[tokio::test(start_paused = true)]
async fn a_set_that_grows_to_twenty_while_its_process_is_killed_at_every_call_has_twenty() {
    for when in [When::Before, When::After] {
        let bench = Bench::new();
        bench.ec2.hide_new(Duration::from_secs(3));
        bench.want_set("s");
        bench.scale("s", MACHINES);
        let mut deaths = 0;
        for round in 0..MACHINES {
            bench.ec2.kill_at(1 + round % 5, when);
            let process = bench.start_all();
            tokio::select! {
                () = bench.ec2.reached() => deaths += 1,
                () = bench.until("all", |bench| bench.in_phase("Provisioned") == MACHINES) => (),
            }
            process.abort();
            let _ = process.await;
        }
        assert!(deaths > 3, "{deaths}");
        bench.ec2.clear_faults();
        let process = bench.start_all();
        bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
        assert_eq!((bench.cluster.all("machines").len(), bench.ec2.launches()), (20, 20));
        bench.scale("s", 0);
        bench.until("all gone", |bench| bench.cluster.all("machines").is_empty()).await;
        assert_eq!((bench.ec2.names(), bench.ec2.launches()), (Vec::new(), 20));
        process.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn killed_again_and_again_it_gets_there_and_back() {
    let bench = Bench::new();
    bench.ec2.hide_new(Duration::from_secs(7));
    want_all(&bench);
    let mut deaths = 0;
    while bench.in_phase("Provisioned") < MACHINES {
        let when = if deaths % 2 == 0 { When::After } else { When::Before };
        bench.ec2.kill_at(1 + deaths % 3, when);
        let controller = bench.start();
        tokio::select! {
            () = bench.ec2.reached() => deaths += 1,
            () = bench.until("all", |bench| bench.in_phase("Provisioned") == MACHINES) => (),
        }
        controller.abort();
        let _ = controller.await;
    }
    assert!(deaths > 0, "{deaths}");
    assert_one_each(&bench);
    for number in 0..MACHINES {
        bench.delete(&format!("m-{number:02}"));
    }
    deaths = 0;
    while !bench.cluster.all("machines").is_empty() {
        bench.ec2.kill_at(1 + deaths % 3, When::After);
        let controller = bench.start();
        tokio::select! {
            () = bench.ec2.reached() => deaths += 1,
            () = bench.until("all gone", |bench| bench.cluster.all("machines").is_empty()) => (),
        }
        controller.abort();
        let _ = controller.await;
    }
    assert!(deaths > 0, "{deaths}");
    assert_eq!(bench.ec2.names(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_and_throttles_cost_time_and_nothing_else() {
    let bench = Bench::new();
    want_all(&bench);
    bench.ec2.fail("create", 30, When::After, ErrorClass::Ambiguous, "InternalError");
    bench.ec2.fail("observe", 10, When::Before, ErrorClass::Retryable, "RequestLimitExceeded");
    bench.ec2.fail("answer", 10, When::Before, ErrorClass::Ambiguous, "Unavailable");
    bench.ec2.fail("delete", 15, When::After, ErrorClass::Ambiguous, "InternalError");
    let controller = bench.start();
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    assert_one_each(&bench);
    gone(&bench).await;
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_fails_in_every_way_is_outlived() {
    let bench = Bench::new();
    want_all(&bench);
    let controller = bench.start();
    for round in 0..12_u32 {
        match round % 4 {
            0 => bench.cluster.close_connections(5),
            1 => bench.cluster.cut_answers(5),
            2 => bench.cluster.inject_faults(&[500, 503, 429, 409, 504]),
            _ => {
                bench.cluster.cut_watches();
                bench.cluster.compact();
            }
        }
        sleep(Duration::from_secs(3)).await;
    }
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    assert_one_each(&bench);
    bench.cluster.cut_answers(10);
    gone(&bench).await;
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn two_controllers_at_once_launch_each_machine_once() {
    // A former leader that does not know yet that it has lost the Lease.
    let bench = Bench::new();
    want_all(&bench);
    let (one, other) = (bench.start(), bench.start());
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    assert_one_each(&bench);
    one.abort();
    other.abort();
}

#[tokio::test(start_paused = true)]
async fn c36_what_is_not_visible_yet_is_not_launched_again() {
    let bench = Bench::new();
    bench.ec2.hide_new(Duration::from_secs(15));
    want_all(&bench);
    let controller = bench.start();
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    assert_one_each(&bench);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_deleted_before_its_instance_can_be_seen_leaves_nothing() {
    for when in [None, Some(When::Before), Some(When::After)] {
        let bench = Bench::new();
        bench.ec2.hide_new(Duration::from_secs(30));
        want_all(&bench);
        if let Some(when) = when {
            bench.ec2.kill_at(7, when);
        }
        let controller = bench.start();
        match when {
            None => bench.until("launched", |bench| bench.ec2.launches() == MACHINES).await,
            Some(_) => bench.ec2.reached().await,
        }
        for number in 0..MACHINES {
            bench.delete(&format!("m-{number:02}"));
        }
        let controller = match when {
            None => controller,
            Some(_) => {
                controller.abort();
                let _ = controller.await;
                bench.start()
            }
        };
        bench.until("all gone", |bench| bench.cluster.all("machines").is_empty()).await;
        sleep(Duration::from_secs(60)).await;
        assert_eq!(bench.ec2.names(), Vec::<String>::new(), "{when:?}");
        controller.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_is_not_forgotten_for_throttles_that_come_after_it() {
    let bench = Bench::new();
    bench.ec2.hide_new(Duration::from_secs(30));
    want_all(&bench);
    let launches = u32::try_from(MACHINES).unwrap();
    bench.ec2.fail("create", launches, When::After, ErrorClass::Ambiguous, "InternalError");
    bench.ec2.fail("create", 1000, When::Before, ErrorClass::Retryable, "RequestLimitExceeded");
    let controller = bench.start();
    sleep(Duration::from_secs(10)).await;
    assert_eq!(bench.ec2.launches(), MACHINES);
    assert_eq!(bench.in_phase("Provisioning"), MACHINES, "no instance is known");
    gone(&bench).await;
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_and_a_newer_image_launch_nothing_twice_and_fail_nobody() {
    let bench = Bench::new();
    bench.ec2.hide_new(Duration::from_secs(15));
    let filters = json!([{"name": "tag:Name", "values": ["image"]}]);
    bench.want("m", &json!({"ami": {"filters": filters}}));
    let image = |id: &str| {
        let lookup = Lookup::ImagesBy {
            region: super::bench::REGION.into(),
            filters: vec![FilterBy { name: "tag:Name".into(), values: vec!["image".into()] }],
        };
        let found = json!([{"id": id, "created": "2026-01-01T00:00:00Z", "root_device": null}]);
        bench.ec2.answer_with(&lookup, found);
    };
    image("ami-1");
    bench.ec2.kill_at(1, When::After);
    let controller = bench.start();
    bench.ec2.reached().await;
    controller.abort();
    let _ = controller.await;
    image("ami-2");
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    assert_eq!(bench.ec2.launches(), 1);
    assert_eq!(bench.ec2.inputs("m").unwrap().image.get().as_str(), "ami-1");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn an_api_server_that_falls_silent_holds_nobody_up_for_long() {
    let bench = Bench::new();
    want_all(&bench);
    let controller = bench.start();
    sleep(Duration::from_secs(2)).await;
    bench.cluster.fall_silent();
    sleep(Duration::from_secs(30)).await;
    bench.cluster.clear_faults();
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    assert_one_each(&bench);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_stop_waits_a_few_seconds_for_what_is_under_way_and_not_longer() {
    for silent in [false, true] {
        let bench = Bench::new();
        want_all(&bench);
        let stop = CancellationToken::new();
        let controller = bench.start_until(stop.clone());
        sleep(Duration::from_millis(500)).await;
        if silent {
            bench.cluster.fall_silent();
        }
        stop.cancel();
        let began = Instant::now();
        controller.await.unwrap();
        assert!(began.elapsed() <= Duration::from_secs(6), "{:?}", began.elapsed());
        let launches = bench.ec2.launches();
        sleep(Duration::from_secs(600)).await;
        assert_eq!(bench.ec2.launches(), launches, "nothing goes on");
    }
}

#[tokio::test(start_paused = true)]
async fn many_machines_cost_as_many_looks_as_one() {
    const MANY: usize = 200;
    let bench = Bench::new();
    for number in 0..MANY {
        bench.want(&format!("m-{number:04}"), &json!({}));
    }
    let controller = bench.start();
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MANY).await;
    assert_eq!(bench.ec2.launches(), MANY);
    controller.abort();
    let _ = controller.await;
    bench.ec2.forget_calls();
    let controller = bench.start();
    sleep(Duration::from_secs(10)).await;
    let calls = bench.ec2.calls();
    assert!((1..=4).contains(&calls.len()), "{calls:?}");
    for number in 0..MANY {
        bench.delete(&format!("m-{number:04}"));
    }
    bench.ec2.forget_calls();
    bench.until("all gone", |bench| bench.cluster.all("machines").is_empty()).await;
    let batcher = bench.ec2.calls().len() - bench.ec2.count("delete");
    assert!(batcher <= MANY / 4, "{batcher} looks for {MANY} Machines that go");
    controller.abort();
}

/// Returns the number of changing requests to the API server whose line contains `part`.
fn writes(bench: &Bench, part: &str) -> usize {
    let audit = bench.cluster.audit();
    audit.iter().filter(|line| line.contains(part)).count()
}

#[tokio::test(start_paused = true)]
async fn without_capacity_a_launch_is_tried_at_growing_intervals() {
    const MACHINES: usize = 5;
    let bench = Bench::new();
    bench.want_set("s");
    bench.scale("s", MACHINES);
    let class = ErrorClass::Retryable;
    bench.ec2.fail("create", 10_000, When::Before, class, "InsufficientInstanceCapacity");
    let process = bench.start_all();
    sleep(Duration::from_secs(90)).await;
    let (attempts, events) = (bench.ec2.count("create machine"), bench.cluster.events());
    let (statuses, patched) = (writes(&bench, "/status 200 s-"), writes(&bench, "PATCH"));
    assert!((5 * MACHINES..=9 * MACHINES).contains(&attempts), "{attempts} attempts");
    let failures: Vec<_> = events.iter().filter(|one| one["reason"] == "FailedCreate").collect();
    assert_eq!(failures.len(), MACHINES, "one Event of each Machine, with a count");
    let repeated: i64 = failures.iter().filter_map(|one| one["count"].as_i64()).sum();
    assert_eq!(repeated, i64::try_from(attempts).unwrap());
    assert!(statuses <= 2 * attempts, "{statuses} of {patched}");
    bench.ec2.clear_faults();
    bench.until("all provisioned", |bench| bench.in_phase("Provisioned") == MACHINES).await;
    process.abort();
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_missing_costs_few_attempts_and_no_writes() {
    let bench = Bench::new();
    bench.want("m", &json!({"userDataSecret": {"name": "missing"}}));
    let controller = bench.start();
    sleep(Duration::from_secs(90)).await;
    let reads = bench.cluster.requests().iter().filter(|line| line.contains("/secrets/")).count();
    assert!((5..=9).contains(&reads), "{reads} attempts");
    assert_eq!(writes(&bench, "/machines/m/status"), 1, "{:#?}", bench.cluster.audit());
    assert_eq!((bench.told(), bench.ec2.count("create")), (vec!["FailedCreate".to_owned()], 0));
    let events = bench.cluster.events();
    let message = events[0]["message"].as_str().unwrap();
    assert!(message.contains(&format!("the Secret {NAMESPACE}/missing")), "{message}");
    assert!(message.contains("`userDataSecret.name`"), "{message}");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn own_writes_start_no_reconcile() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    sleep(Duration::from_secs(300)).await;
    let metrics = bench.health.metrics.text();
    let line =
        "groundplan_machine_controller_reconciles_total{controller=\"machine\",result=\"ok\"} ";
    let reconciles = metrics.lines().find_map(|one| one.strip_prefix(line)).unwrap();
    // A Machine without a Node is looked at twice a minute.
    assert!(reconciles.parse::<u32>().unwrap() <= 14, "{reconciles}");
    controller.abort();
}

/// Starts a whole process whose requests for this kind never succeed, and stops it.
#[tokio::test(start_paused = true)]
async fn a_stop_ends_a_process_at_any_moment() {
    let refused: [fn(&Bench); 4] = [
        |bench| bench.cluster.inject_faults(&[403; 1000]),
        |bench| bench.cluster.fall_silent(),
        |bench| bench.cluster.delay("LIST", "machines", Duration::from_secs(3600)),
        |bench| bench.cluster.delay("WATCH", "nodes", Duration::from_secs(3600)),
    ];
    for refuse in refused {
        for after in [0, 1, 75] {
            let bench = Bench::new();
            bench.want_set("s");
            bench.scale("s", 3);
            refuse(&bench);
            let stop = CancellationToken::new();
            let process = bench.start_all_until(stop.clone());
            sleep(Duration::from_secs(after)).await;
            stop.cancel();
            let began = Instant::now();
            process.await.unwrap();
            assert!(began.elapsed() <= Duration::from_secs(7), "{:?}", began.elapsed());
            assert_eq!(writes(&bench, "POST"), 0, "nothing was decided");
        }
    }
}
