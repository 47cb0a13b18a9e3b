//! Replacements of machines, with the facts of the real kinds, against a provider in memory.

use std::time::Duration;

use groundplan_aws::kinds::load_balancer_attachment::LoadBalancerAttachment;
use groundplan_aws::kinds::machine::Machine;
use groundplan_engine::graph::{Graph, Resource, Schema};
use groundplan_engine::provider::ErrorClass;
use groundplan_engine::test_support::When;
use groundplan_engine::test_support::harness::{Harness, node};
use serde_json::{Value, json};

const MUTATING: &[&str] = &["create", "update", "delete", "configure"];

/// `graph(&[("node.a", json!({}), &[]), ..])`
fn graph(nodes: &[(&str, Value, &[&str])]) -> Graph {
    let mut graph = Graph::default();
    for (address, inputs, needs) in nodes {
        node(&mut graph, address, inputs.clone(), needs);
    }
    graph
}

/// The kinds of machines and registrations, with the inputs that this fake cloud distinguishes.
const FLEET: &[Schema] = &[
    Schema { force_new: &["fixed"], ..Machine::SCHEMA },
    Schema { force_new: &["needs"], ..LoadBalancerAttachment::SCHEMA },
];

fn fleet(fixed: u32) -> Graph {
    graph(&[
        ("machine.a", json!({ "fixed": fixed }), &[]),
        ("load_balancer_attachment.a:int", json!({}), &["machine.a"]),
    ])
}

async fn fleet_that_runs() -> Harness {
    let mut harness = Harness::with_kinds(FLEET);
    harness.recording.latency = Duration::from_millis(700);
    harness.cloud.slow("machine", 2);
    assert!(harness.apply(&fleet(1)).await.summary.complete());
    harness.cloud.forget_calls();
    harness
}

#[tokio::test(start_paused = true)]
async fn a_machine_goes_when_its_successor_runs_and_is_registered() {
    let mut harness = fleet_that_runs().await;
    assert!(harness.apply(&fleet(2)).await.summary.complete());
    let calls = [
        "create machine.a",
        "create load_balancer_attachment.a:int",
        "delete load_balancer_attachment.a:int",
        "delete machine.a",
    ];
    assert_eq!(harness.cloud.calls_of(MUTATING), calls);
}

#[tokio::test(start_paused = true)]
async fn a_launch_that_is_refused_costs_no_running_machine() {
    let mut harness = fleet_that_runs().await;
    let before = harness.cloud.inventory();
    harness.cloud.fail("create machine.a", 1, When::Before, ErrorClass::Permanent);
    assert_eq!(harness.apply(&fleet(2)).await.summary.failed, 1);
    assert_eq!(harness.cloud.inventory(), before);
    assert!(
        harness.plan(&fleet(1)).await.is_empty(),
        "the typo is taken back, and nothing is to do"
    );
}

#[tokio::test(start_paused = true)]
async fn under_another_name_too_a_launch_that_is_refused_costs_no_running_machine() {
    let mut harness = fleet_that_runs().await;
    let before = harness.cloud.inventory();
    let renamed = graph(&[
        ("machine.b", json!({ "fixed": 1 }), &[]),
        ("load_balancer_attachment.b:int", json!({}), &["machine.b"]),
    ]);
    harness.cloud.fail("create machine.b", 1, When::Before, ErrorClass::Permanent);
    assert_eq!(harness.apply(&renamed).await.summary.failed, 1);
    assert_eq!(harness.cloud.inventory(), before);
    assert!(harness.apply(&renamed).await.summary.complete());
    assert_eq!(harness.cloud.inventory().len(), 2);
    assert!(harness.plan(&renamed).await.is_empty());
}

/// AWS launches a machine with an unusable volume key and then terminates it.
#[tokio::test(start_paused = true)]
async fn a_successor_that_does_not_come_up_costs_no_running_machine() {
    let mut harness = fleet_that_runs().await;
    harness.cloud.fail("look machine", 1, When::Before, ErrorClass::Permanent);
    assert!(!harness.apply(&fleet(2)).await.summary.complete());
    assert_eq!(harness.cloud.calls_of(&["delete"]), [""; 0]);
    assert!(harness.apply(&fleet(2)).await.summary.complete());
    assert_eq!(harness.cloud.inventory().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_killed_at_any_moment_leaves_a_machine_and_ends_with_one() {
    let mut whole = fleet_that_runs().await;
    assert!(whole.apply(&fleet(2)).await.summary.complete());
    let mut kills = 0;
    for moment in (0..).map(|number| Duration::from_millis(number * 50)) {
        let mut harness = fleet_that_runs().await;
        let plan = harness.plan(&fleet(2)).await;
        let ended = tokio::time::timeout(moment, harness.walk(&plan)).await.is_ok();
        for kind in FLEET.iter().map(|schema| schema.kind) {
            let is_there = harness.cloud.inventory().iter().any(|(one, _)| one.kind() == kind);
            assert!(is_there, "no {kind} after {moment:?}");
        }
        harness.reread();
        assert!(harness.apply(&fleet(2)).await.summary.complete(), "{moment:?}");
        assert_eq!(harness.cloud.inventory(), whole.cloud.inventory(), "{moment:?}");
        assert!(harness.plan(&fleet(2)).await.is_empty(), "{moment:?}");
        if ended {
            break;
        }
        kills += 1;
    }
    assert!(kills > 100, "{kills}");
}
