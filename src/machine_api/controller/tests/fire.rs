//! The controller under fire: killed at every call that changes something, throttled, cut off. What is
//! wanted is what there is in the end, once each.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tokio::time::sleep;

use super::bench::Bench;
use crate::machine_api::controller::machine::instance_id;
use crate::machine_api::types::{Machine, read};
use crate::provider::Class;
use crate::testing::When;

const MACHINES: usize = 20;

fn want_all(bench: &Bench) {
    for number in 0..MACHINES {
        bench.want(&format!("m-{number:02}"), &json!({}));
    }
}

/// Exactly one instance for each Machine, and each Machine knows its own.
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
    bench.ec2.fail("create", 30, When::After, Class::Unknown, "InternalError");
    bench.ec2.fail("observe", 10, When::Before, Class::Again, "RequestLimitExceeded");
    bench.ec2.fail("answer", 10, When::Before, Class::Unknown, "Unavailable");
    bench.ec2.fail("delete", 15, When::After, Class::Unknown, "InternalError");
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
            0 => bench.cluster.cut(5),
            1 => bench.cluster.cut_answers(5),
            2 => bench.cluster.trouble(&[500, 503, 429, 409, 504]),
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
    // A leader that does not know yet that it is none any more.
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
