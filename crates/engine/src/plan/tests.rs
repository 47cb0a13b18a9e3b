//! Tests of selection, protection and serial replacement.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Action, DriftClass, Op, Plan, PlanOptions, Reason, Step, UnmanagedDrift};
use crate::event::{Event, FaultKind};
use crate::graph::{Address, Graph, Handle, Identity, Resource, Schema};
use crate::provider::ErrorClass;
use crate::secret::Secret;
use crate::state::Entry;
use crate::test_support::fake_provider::When;
use crate::test_support::harness::{Harness, RIGID_KINDS, node};

fn graph(nodes: &[(&str, Value, &[&str])]) -> Graph {
    let mut graph = Graph::default();
    for (address, inputs, needs) in nodes {
        node(&mut graph, address, inputs.clone(), needs);
    }
    graph
}

/// Returns a network with two machines, a record for each machine, and an independent resource.
fn site(fixed: u32, free: u32) -> Graph {
    let inputs = || json!({ "fixed": fixed, "free": free });
    graph(&[
        ("node.network", inputs(), &[]),
        ("node.machine-0", inputs(), &["node.network"]),
        ("node.machine-1", inputs(), &["node.network"]),
        ("node.record-0", inputs(), &["node.machine-0"]),
        ("node.record-1", inputs(), &["node.machine-1"]),
        ("node.bucket", inputs(), &[]),
    ])
}

fn addresses(names: &[&str]) -> BTreeSet<Address> {
    names.iter().map(|name| Address::from(*name)).collect()
}

fn targets(names: &[&str]) -> PlanOptions {
    PlanOptions { targets: addresses(names), ..PlanOptions::default() }
}

fn excludes(names: &[&str]) -> PlanOptions {
    PlanOptions { excludes: addresses(names), ..PlanOptions::default() }
}

/// Returns the addresses with an action other than keep, in the order of the plan.
fn acted(plan: &Plan) -> Vec<&str> {
    let acted = plan.changes.iter().filter(|change| change.action != Action::Keep);
    acted.map(|change| change.address.as_str()).collect()
}

fn names(addresses: &[Address]) -> Vec<&str> {
    addresses.iter().map(Address::as_str).collect()
}

/// Values are what the resource has after the plan, not what the configuration wants.
#[tokio::test(start_paused = true)]
async fn a_resource_outside_the_selection_has_its_present_values_after_the_plan() {
    let mut harness = Harness::default();
    assert!(harness.apply(&site(0, 0)).await.summary.complete());
    let mut wanted = site(0, 1);
    node(&mut wanted, "node.extra", json!({}), &[]);
    let plan = harness.plan_with(&wanted, &excludes(&["node.bucket", "node.extra"])).await;
    let after = |address: &str| {
        let change = plan.changes.iter().find(|change| change.address.as_str() == address);
        change.unwrap().after.as_ref().map(|after| after["free"].clone())
    };
    assert_eq!(after("node.bucket"), Some(json!(0)));
    assert_eq!(after("node.network"), Some(json!(1)));
    assert_eq!(after("node.extra"), None, "it does not exist after the plan");
    let destroyed = harness.plan(&Graph::default()).await;
    assert!(destroyed.changes.iter().all(|change| change.after.is_none()), "{destroyed:#?}");
    let kept = harness.plan(&site(0, 0)).await;
    assert!(kept.is_empty());
    assert!(kept.changes.iter().all(|change| change.after.is_some()), "{kept:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_change_of_what_exists_has_the_values_before_it() {
    let mut harness = Harness::default();
    let new = harness.plan(&site(0, 0)).await;
    assert!(new.changes.iter().all(|change| change.before.is_none()), "{new:#?}");
    assert!(harness.apply(&site(0, 0)).await.summary.complete());
    for (wanted, action) in [
        (site(0, 1), Action::Update),
        (site(1, 0), Action::DeleteThenCreate),
        (Graph::default(), Action::Delete),
    ] {
        let plan = harness.plan(&wanted).await;
        assert_eq!(plan.changes.len(), 6);
        for change in &plan.changes {
            assert_eq!(change.action, action, "{change:#?}");
            let before = change.before.as_ref().map(|before| [&before["fixed"], &before["free"]]);
            assert_eq!(before, Some([&json!(0), &json!(0)]), "{change:#?}");
        }
    }
    let left_out = harness.plan_with(&Graph::default(), &targets(&["node.record-0"])).await;
    let kept = left_out.changes.iter().filter(|change| change.action == Action::Keep);
    assert_eq!(kept.filter(|change| change.before.is_none()).count(), 5);
    let kept = harness.plan(&site(0, 0)).await;
    assert!(kept.changes.iter().all(|change| change.before.is_none()), "{kept:#?}");
}

fn telnet() -> UnmanagedDrift {
    UnmanagedDrift::addition(
        DriftClass::Security,
        "rules",
        "telnet",
        "rule telnet",
        json!("telnet"),
    )
}

fn stopped() -> UnmanagedDrift {
    UnmanagedDrift::change(DriftClass::Functional, "state", json!("running"), json!("stopped"))
}

fn reverting() -> PlanOptions {
    PlanOptions { revert_drift: true, ..PlanOptions::default() }
}

#[tokio::test(start_paused = true)]
async fn a_retired_part_is_deleted_with_its_reason_and_comes_back_when_it_is_desired() {
    let nodes = |names: &[&str]| {
        let mut graph = Graph::default();
        names.iter().for_each(|name| node(&mut graph, name, json!({}), &[]));
        graph
    };
    let mut harness = Harness::default();
    let whole = nodes(&["node.a", "node.first", "node.last"]);
    assert!(harness.apply(&whole).await.summary.complete());
    let mut rest = nodes(&["node.a"]);
    rest.retire(addresses(&["node.first"]), "it is done");
    let plan = harness.plan(&rest).await;
    let reason = |address: &str| {
        let found = plan.changes.iter().find(|change| change.address.as_str() == address);
        found.map(|change| (change.action, change.reason.clone())).unwrap()
    };
    let retired = Reason::Retired { because: "it is done".into() };
    assert_eq!(reason("node.first"), (Action::Delete, retired));
    assert_eq!(reason("node.last"), (Action::Delete, Reason::NotInConfiguration));
    let destroy = harness.plan_destroy().await;
    assert!(destroy.changes.iter().all(|change| change.reason == Reason::Destroy));

    assert!(harness.walk(&plan).await.summary.complete());
    assert!(harness.plan(&rest).await.is_empty());
    assert_eq!(acted(&harness.plan(&whole).await), ["node.first", "node.last"]);
}

#[tokio::test(start_paused = true)]
async fn only_creations_and_changed_contents_send_secrets() {
    let secret = |content: &str| json!(Secret::of(content.as_bytes()));
    let graph = |image: &str, data: &str, free: u32| {
        graph(&[
            ("machine.a", json!({"image": secret(image), "data": secret(data), "free": free}), &[]),
            ("machine.b", json!({"image": secret(image), "free": 1}), &[]),
        ])
    };
    let mut harness = Harness::default();
    let sent = |plan: &Plan, harness: &Harness| {
        let sent = plan.sent_secrets(&*harness.cloud);
        sent.into_iter().map(|(address, secret)| (address.to_string(), secret)).collect::<Vec<_>>()
    };
    let of = |address: &str, content: &str| (address.to_owned(), Secret::of(content.as_bytes()));
    let first = harness.plan(&graph("i", "d", 1)).await;
    let all = [of("machine.a", "d"), of("machine.a", "i"), of("machine.b", "i")];
    assert_eq!(sent(&first, &harness), all);
    assert!(harness.walk(&first).await.summary.complete());

    // `image` is create-only: a change in place does not send it.
    let changed = harness.plan(&graph("other", "d", 2)).await;
    assert_eq!((acted(&changed), sent(&changed, &harness)), (vec!["machine.a"], vec![]));
    let changed = harness.plan(&graph("i", "other", 2)).await;
    assert_eq!(sent(&changed, &harness), [of("machine.a", "other")]);
    let replace = PlanOptions { replace: addresses(&["machine.b"]), ..PlanOptions::default() };
    let replaced = harness.plan_with(&graph("i", "d", 1), &replace).await;
    assert_eq!(sent(&replaced, &harness), [of("machine.b", "i")]);
}

#[tokio::test(start_paused = true)]
async fn unmanaged_drift_is_reported_and_reverted_only_on_request() {
    let graph = graph(&[("node.a", json!({"rules": ["ssh"]}), &[]), ("machine.b", json!({}), &[])]);
    let mut harness = Harness::default();
    assert!(harness.apply(&graph).await.summary.complete());
    harness.cloud.add_outside("node.a", telnet());
    harness.cloud.add_outside("machine.b", stopped());

    let plan = harness.plan(&graph).await;
    assert!(plan.is_empty() && plan.has_unmanaged_drift(), "{plan:#?}");
    assert_eq!(plan.changes[0].unmanaged, [telnet()]);

    let plan = harness.plan_with(&graph, &reverting()).await;
    assert_eq!(acted(&plan), ["node.a", "machine.b"]);
    assert_eq!(plan.changes[0].reason, Reason::Drifted);
    let removed = &plan.changes[0].fields[0];
    assert_eq!((&removed.before, &removed.after), (&Some(json!("telnet")), &None));
    let started = &plan.changes[1].fields[0];
    assert_eq!((started.path.as_str(), &started.after), ("state", &Some(json!("running"))));
    assert!(harness.walk(&plan).await.summary.complete());
    assert!(!harness.plan(&graph).await.has_unmanaged_drift());
}

#[tokio::test(start_paused = true)]
async fn unmanaged_drift_of_a_changed_resource_stays_unless_requested() {
    let rules = |rules: &[&str]| graph(&[("node.a", json!({"rules": rules}), &[])]);
    let mut harness = Harness::default();
    assert!(harness.apply(&rules(&["ssh"])).await.summary.complete());
    harness.cloud.add_outside("node.a", telnet());
    let plan = harness.plan(&rules(&["ssh", "https"])).await;
    assert_eq!(plan.changes[0].reason, Reason::Changed);
    let Op::Update { revert, .. } = &plan.steps[0].op else { panic!("{plan:#?}") };
    assert_eq!((revert.len(), plan.changes[0].fields.len()), (0, 1));
    // The configuration has the rule now: it is no addition of another person any more.
    let adopted = harness.plan_with(&rules(&["ssh", "telnet"]), &reverting()).await;
    assert!(!adopted.has_unmanaged_drift(), "{adopted:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_revert_that_was_interrupted_anywhere_is_finished_by_the_same_command() {
    let graph = graph(&[("slow.a", json!({"rules": ["ssh"]}), &[])]);
    let mut whole = Harness::default();
    assert!(whole.apply(&graph).await.summary.complete());
    let before = whole.recording.entries().len();
    whole.cloud.add_outside("slow.a", telnet());
    let plan = whole.plan_with(&graph, &reverting()).await;
    assert!(whole.walk(&plan).await.summary.complete());
    let entries = whole.recording.entries();
    assert!(entries.len() > before, "a revert is announced");
    for (cut, when) in (before..=entries.len()).zip([When::Before, When::After].into_iter().cycle())
    {
        let mut harness = Harness::default();
        assert!(harness.apply(&graph).await.summary.complete());
        harness.cloud.add_outside("slow.a", telnet());
        harness.cloud.fail("update slow.a", 1, when, ErrorClass::Permanent);
        let plan = harness.plan_with(&graph, &reverting()).await;
        harness.walk(&plan).await;
        let mut state = crate::state::State::new("lab".into());
        for entry in harness.recording.entries().iter().take(cut) {
            state.record(entry).unwrap();
        }
        harness.state = state;
        let again = harness.plan_with(&graph, &reverting()).await;
        assert!(harness.walk(&again).await.summary.complete(), "{cut} {when:?}");
        let last = harness.plan_with(&graph, &reverting()).await;
        assert!(last.is_empty() && !last.has_unmanaged_drift(), "{cut} {when:?}: {last:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_brings_along_what_it_needs_and_nothing_else() {
    let mut harness = Harness::default();
    let plan = harness.plan_with(&site(1, 1), &targets(&["node.machine-0"])).await;
    assert_eq!(acted(&plan), ["node.network", "node.machine-0"]);
    let selection = plan.selection.as_ref().unwrap();
    assert_eq!(names(&selection.needed), ["node.network"]);
    assert_eq!(
        names(&selection.left_out),
        ["node.bucket", "node.machine-1", "node.record-0", "node.record-1"]
    );
    assert!(harness.walk(&plan).await.summary.complete());
    assert_eq!(harness.cloud.inventory().len(), 2);
    let rest = harness.apply(&site(1, 1)).await;
    assert_eq!(rest.summary.added, 4, "the next plan has what was left out");
}

#[tokio::test(start_paused = true)]
async fn a_target_that_does_not_change_brings_along_changes_of_what_it_needs() {
    let mut harness = Harness::default();
    harness.apply(&site(1, 1)).await;
    let mut changed = graph(&[("node.network", json!({ "fixed": 1, "free": 2 }), &[])]);
    for (address, needs) in
        [("node.machine-0", "node.network"), ("node.record-0", "node.machine-0")]
    {
        node(&mut changed, address, json!({ "fixed": 1, "free": 1 }), &[needs]);
    }
    let plan = harness.plan_with(&changed, &targets(&["node.record-0"])).await;
    assert_eq!(acted(&plan), ["node.network"]);
    let left_out = &plan.selection.unwrap().left_out;
    assert_eq!(names(left_out), ["node.bucket", "node.machine-1", "node.record-1"]);
}

#[tokio::test(start_paused = true)]
async fn what_is_deleted_brings_along_the_deletion_of_what_needs_it() {
    let mut harness = Harness::default();
    harness.apply(&site(1, 1)).await;
    let observed = super::LiveState::new();
    let doomed = targets(&["node.machine-0"]);
    let plan = super::plan_destroy(&harness.state, &observed, &*harness.cloud, &doomed);
    assert_eq!(acted(&plan), ["node.machine-0", "node.record-0"]);
    assert!(harness.walk(&plan).await.summary.complete());
    assert_eq!(harness.cloud.inventory().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn what_goes_brings_along_what_lets_go_of_it() {
    let table = |needs: &[&str]| {
        let mut graph = Graph::default();
        for name in ["node.a", "node.b"].iter().filter(|name| needs.contains(name)) {
            node(&mut graph, name, json!({}), &[]);
        }
        node(&mut graph, "node.table", json!({}), needs);
        graph
    };
    let mut harness = Harness::default();
    harness.apply(&table(&["node.a", "node.b"])).await;
    let plan = harness.plan_with(&table(&["node.a"]), &targets(&["node.b"])).await;
    assert_eq!(acted(&plan), ["node.table", "node.b"]);
    assert!(harness.walk(&plan).await.summary.complete(), "{:#?}", harness.recording.events);
}

#[tokio::test(start_paused = true)]
async fn what_is_excluded_keeps_what_needs_a_change_of_it() {
    let harness = Harness::default();
    let plan = harness.plan_with(&site(1, 1), &excludes(&["node.machine-0"])).await;
    assert_eq!(acted(&plan), ["node.network", "node.machine-1", "node.record-1", "node.bucket"]);
    let selection = plan.selection.unwrap();
    assert!(selection.needed.is_empty());
    assert_eq!(names(&selection.left_out), ["node.machine-0", "node.record-0"]);
    let left = plan.changes.iter().find(|change| &*change.address.to_string() == "node.record-0");
    let left = left.unwrap();
    assert_eq!((left.action, &left.reason), (Action::Keep, &Reason::NotSelected));
}

#[tokio::test(start_paused = true)]
async fn what_is_excluded_keeps_alive_what_it_stands_on() {
    let mut harness = Harness::default();
    harness.apply(&site(1, 1)).await;
    let observed = super::LiveState::new();
    let spared = excludes(&["node.machine-0"]);
    let plan = super::plan_destroy(&harness.state, &observed, &*harness.cloud, &spared);
    let mut gone = acted(&plan);
    gone.sort_unstable();
    assert_eq!(gone, ["node.bucket", "node.machine-1", "node.record-0", "node.record-1"]);
    assert!(harness.walk(&plan).await.summary.complete());
}

#[tokio::test(start_paused = true)]
async fn targets_and_excludes_go_together() {
    let harness = Harness::default();
    let both = PlanOptions {
        excludes: addresses(&["node.record-0"]),
        ..targets(&["node.record-0", "node.bucket"])
    };
    let plan = harness.plan_with(&site(1, 1), &both).await;
    assert_eq!(acted(&plan), ["node.network", "node.machine-0", "node.bucket"]);
}

#[tokio::test(start_paused = true)]
async fn a_replacement_that_is_asked_for_takes_on_what_was_left_as_it_is() {
    let machine = |image: u32| graph(&[("machine.a", json!({ "fixed": 1, "image": image }), &[])]);
    let mut harness = Harness::default();
    harness.apply(&machine(1)).await;
    let plan = harness.plan(&machine(2)).await;
    assert!(plan.is_empty(), "a new image by itself replaces nothing that runs");
    assert_eq!(plan.changes[0].left[0].field.path, "image");
    let options = PlanOptions { replace: addresses(&["machine.a"]), ..PlanOptions::default() };
    let plan = harness.plan_with(&machine(2), &options).await;
    let change = &plan.changes[0];
    assert_eq!((&change.reason, change.left.len()), (&Reason::Requested, 0));
    assert_eq!(change.fields[0].path, "image");
    assert!(harness.walk(&plan).await.summary.complete());
    assert!(harness.plan(&machine(2)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_change_that_did_not_come_to_its_end_is_nobodys_drift() {
    let machine = |free: u32| graph(&[("node.a", json!({ "fixed": 1, "free": free }), &[])]);
    let mut harness = Harness::default();
    harness.apply(&machine(1)).await;
    harness.cloud.fail_with("update node.a", ErrorClass::Permanent, "InvalidParameterValue");
    assert_eq!(harness.apply(&machine(2)).await.summary.failed, 1);
    let plan = harness.plan(&machine(2)).await;
    let change = &plan.changes[0];
    assert_eq!((change.action, &change.reason), (Action::Update, &Reason::Unfinished));
    assert!(change.drift.is_empty(), "{:?}", change.drift);
    assert!(harness.walk(&plan).await.summary.complete());
    assert!(harness.plan(&machine(2)).await.is_empty());
}

/// The plan without the option finishes what was begun, and nothing else.
#[tokio::test(start_paused = true)]
async fn an_interrupted_revert_of_drift_is_shown_and_finished() {
    let wanted = graph(&[("node.a", json!({ "fixed": 1 }), &[])]);
    for when in [When::Before, When::After] {
        let mut harness = Harness::default();
        harness.apply(&wanted).await;
        harness.cloud.add_outside("node.a", telnet());
        harness.cloud.fail("update node.a", 1, when, ErrorClass::Permanent);
        let plan = harness.plan_with(&wanted, &reverting()).await;
        assert_eq!(harness.walk(&plan).await.summary.failed, 1);
        harness.reread();
        let later = stopped();
        harness.cloud.add_outside("node.a", later.clone());

        let plan = harness.plan(&wanted).await;
        let change = &plan.changes[0];
        assert_eq!((change.action, &change.reason), (Action::Update, &Reason::Unfinished));
        let (shown, drift) = match when {
            When::Before => (vec![telnet().reverted()], vec![telnet(), later.clone()]),
            When::After => (vec![], vec![later.clone()]),
        };
        assert_eq!((&change.fields, &change.unmanaged), (&shown, &drift));
        assert!(harness.walk(&plan).await.summary.complete());
        let plan = harness.plan(&wanted).await;
        assert!(plan.is_empty(), "{:?}", plan.changes);
        assert_eq!(plan.changes[0].unmanaged, [later], "what was not begun is left");
    }
}

#[tokio::test(start_paused = true)]
async fn a_reference_to_a_resource_that_was_deleted_outside_is_no_change_of_the_configuration() {
    let wanted = |free: u32| {
        graph(&[("node.a", json!({}), &[]), ("node.b", json!({ "free": free }), &["node.a"])])
    };
    let mut harness = Harness::default();
    harness.apply(&wanted(1)).await;
    harness.cloud.lose("node.a");
    for (free, reason) in [(1, Reason::Drifted), (2, Reason::Changed)] {
        let plan = harness.plan(&wanted(free)).await;
        let reasons: Vec<_> =
            plan.changes.iter().map(|it| (it.action, it.reason.clone())).collect();
        assert_eq!(reasons, [(Action::Create, Reason::Missing), (Action::Update, reason)]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_an_interrupted_deletion_has_changed_is_no_drift() {
    let wanted = graph(&[("node.a", json!({ "fixed": 1, "rules": ["a", "b"] }), &[])]);
    let mut harness = Harness::default();
    harness.apply(&wanted).await;
    harness.cloud.fail("delete node.a", 1, When::Before, ErrorClass::Permanent);
    assert_eq!(harness.destroy().await.summary.failed, 1);
    // The deletion consists of several calls, and the first ones have taken effect.
    harness.cloud.change_outside("node.a", "rules", &json!(["b"]));
    harness.cloud.add_outside("node.a", telnet());
    let plan = harness.plan(&wanted).await;
    let change = &plan.changes[0];
    let deletion = (Action::DeleteThenCreate, &Reason::DeletionUnfinished);
    assert_eq!((change.action, &change.reason), deletion);
    assert_eq!((change.drift.len(), change.unmanaged.len()), (0, 0), "{change:?}");
}

/// A resource cannot be deleted while a dependent has a blocking reference to it. The dependent
/// here can drop the reference only for the replacement, so the dependent is deleted first, too.
#[tokio::test(start_paused = true)]
async fn who_cannot_let_go_before_the_successor_is_there_is_replaced() {
    let world = |fixed: u32| {
        graph(&[
            ("node.a", json!({ "fixed": fixed }), &[]),
            ("node.other", json!({}), &[]),
            ("holder.b", json!({ "fixed": 1 }), &["node.a", "node.other"]),
            ("node.c", json!({ "fixed": 1 }), &["holder.b"]),
        ])
    };
    let mut harness = Harness::default();
    harness.apply(&world(1)).await;
    let plan = harness.plan(&world(2)).await;
    let holder = plan.changes.iter().find(|change| change.address.as_str() == "holder.b").unwrap();
    assert_eq!(holder.action, Action::DeleteThenCreate);
    assert_eq!(holder.reason, Reason::BlockingReference { to: vec!["node.a".into()] });
    harness.cloud.forget_calls();
    // Not every reference blocks a deletion: a DNS record does not block its load balancer.
    harness.cloud.release("holder.b");
    assert!(harness.walk(&plan).await.summary.complete(), "{:#?}", harness.recording.events);
    let calls = harness.cloud.calls_of(&["create", "delete"]);
    let order = ["delete holder.b", "delete node.a", "create node.a", "create holder.b"];
    assert_eq!(calls, order);
    assert!(harness.plan(&world(2)).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_is_in_the_way_goes_first_and_takes_along_who_would_wait_for_its_successor() {
    let world = |name: &str, range: &str| {
        let mut graph = Graph::default();
        node(&mut graph, name, json!({ "range": range }), &[]);
        node(&mut graph, "holder.b", json!({}), &[name]);
        graph
    };
    let mut harness = Harness::default();
    harness.apply(&world("range.old", "10.0.0.0/18")).await;
    let elsewhere = harness.plan(&world("range.new", "10.1.0.0/18")).await;
    let action = |plan: &Plan| {
        let holder = plan.changes.iter().find(|change| change.address.as_str() == "holder.b");
        holder.unwrap().action
    };
    assert_eq!(action(&elsewhere), Action::Update, "where there is room, it lets go in place");
    let plan = harness.plan(&world("range.new", "10.0.32.0/19")).await;
    assert_eq!(action(&plan), Action::DeleteThenCreate);
    harness.cloud.forget_calls();
    assert!(harness.walk(&plan).await.summary.complete(), "{:#?}", harness.recording.events);
    let calls = harness.cloud.calls_of(&["create", "delete"]);
    let order = ["delete holder.b", "delete range.old", "create range.new", "create holder.b"];
    assert_eq!(calls, order);
}

/// Kind for tests of serial replacement.
#[derive(serde::Serialize, serde::Deserialize)]
struct Member {
    fixed: u32,
}

impl Resource for Member {
    const SCHEMA: Schema =
        Schema { force_new: &["fixed"], ..Schema::of("machine", Identity::Name) };
    type Outputs = Value;
}

/// Returns three members of a serial replacement, each with a record.
fn members(fixed: u32) -> Graph {
    let mut graph = Graph::default();
    let members: Vec<Handle<Member>> =
        (0..3).map(|index| graph.add(&format!("m-{index}"), &Member { fixed })).collect();
    graph.replace_serially(&members);
    graph
}

#[tokio::test(start_paused = true)]
async fn members_of_one_service_are_replaced_one_at_a_time() {
    let mut harness = Harness::default();
    harness.apply(&members(1)).await;
    harness.cloud.forget_calls();
    let plan = harness.plan(&members(2)).await;
    assert!(harness.walk(&plan).await.summary.complete());
    assert_eq!(
        harness.cloud.calls_of(&["create", "delete"]),
        [
            "delete machine.m-0",
            "create machine.m-0",
            "delete machine.m-1",
            "create machine.m-1",
            "delete machine.m-2",
            "create machine.m-2",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_replacement_failed_ends_the_turns() {
    let mut harness = Harness::default();
    harness.apply(&members(1)).await;
    harness.cloud.fail_with(
        "create machine.m-0",
        ErrorClass::Permanent,
        "InsufficientInstanceCapacity",
    );
    let plan = harness.plan(&members(2)).await;
    let outcome = harness.walk(&plan).await;
    assert_eq!((outcome.summary.failed, outcome.summary.destroyed), (1, 1));
    assert_eq!(harness.cloud.inventory().len(), 2, "the other two still run");
}

#[tokio::test(start_paused = true)]
async fn what_is_protected_is_marked_in_the_plan_and_never_deleted() {
    let mut harness = Harness::default();
    harness.apply(&site(1, 1)).await;
    harness.state.record(&Entry::Protected { address: "node.network".into() }).unwrap();
    let plan = harness.plan_destroy().await;
    let forbidden: Vec<_> = plan.forbidden().map(|change| change.address.as_str()).collect();
    assert_eq!(forbidden, ["node.network"]);

    harness.cloud.forget_calls();
    let outcome = harness.walk(&plan).await;
    assert_eq!((outcome.summary.destroyed, outcome.summary.failed), (5, 1));
    assert!(harness.cloud.calls_of(&["delete node.network"]).is_empty());
    let told = |event: &Event| matches!(event, Event::StepFailed { error, .. } if error.kind == FaultKind::Protected);
    assert!(harness.recording.events.iter().any(told));
    assert!(harness.state.resources.contains_key("node.network"));
}

#[tokio::test(start_paused = true)]
async fn what_is_protected_is_not_replaced_either_and_may_still_change_in_place() {
    for address in ["node.machine-0", "first.balancer"] {
        let graph = |fixed: u32, free: u32| {
            graph(&[(address, json!({ "fixed": fixed, "free": free }), &[])])
        };
        let mut harness = Harness::default();
        harness.apply(&graph(1, 1)).await;
        harness.state.record(&Entry::Protected { address: address.into() }).unwrap();
        let plan = harness.plan(&graph(1, 2)).await;
        assert_eq!(plan.forbidden().count(), 0);
        assert!(harness.walk(&plan).await.summary.complete());
        let plan = harness.plan(&graph(2, 2)).await;
        assert_eq!(plan.forbidden().count(), 1);
        harness.cloud.forget_calls();
        assert_eq!(harness.walk(&plan).await.summary.failed, 1);
        assert!(harness.cloud.calls_of(&["create", "delete"]).is_empty(), "{address}");
        assert_eq!(harness.cloud.inventory().len(), 1);
    }
}

/// Generates a few resources of any kinds in a line or a tree, at two points in time. Some are
/// removed, some are replaced, and the rest changes in place.
fn worlds() -> impl Strategy<Value = (Vec<Graph>, PlanOptions, bool)> {
    let kinds = prop::sample::select(vec!["node", "first", "stepped", "slow", "early", "machine"]);
    let nodes = prop::collection::vec((kinds, 0..4_u8, 0..2_u32, 1..3_u32, any::<bool>()), 3..7);
    let picks = prop::collection::vec((0..7_usize, any::<bool>()), 1..3);
    (nodes, picks, any::<bool>()).prop_map(|(nodes, picks, rigid)| {
        let address = |index: usize| format!("{}.r{index}", nodes[index].0);
        let build = |late: bool| {
            let there = |index: usize| !late || nodes[index].4;
            let mut graph = Graph::default();
            for (index, (_, parent, fixed, free, _)) in nodes.iter().enumerate() {
                let parent = usize::from(*parent);
                let later = u32::from(late);
                // A resource with in-place references from its dependents cannot be replaced: its
                // deletion would precede the update of the references.
                let fixed = fixed * later * u32::from(rigid);
                let inputs = json!({ "fixed": fixed, "free": free + later });
                let needs =
                    if parent < index && there(parent) { vec![address(parent)] } else { vec![] };
                let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
                if there(index) {
                    node(&mut graph, &address(index), inputs, &needs);
                }
            }
            graph
        };
        let mut options = PlanOptions::default();
        for (index, target) in picks {
            let address = address(index % nodes.len()).as_str().into();
            if target { &mut options.targets } else { &mut options.excludes }.insert(address);
        }
        (vec![build(false), build(true)], options, rigid)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Excluded resources are unchanged and selected ones are changed. The next plan contains the
    /// rest.
    #[test]
    fn a_part_of_a_plan_stands_alone((graphs, options, rigid) in worlds()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time().start_paused(true).build().unwrap();
        runtime.block_on(async {
            let mut harness = if rigid { Harness::with_kinds(RIGID_KINDS) } else { Harness::default() };
            prop_assert!(harness.apply(&graphs[0]).await.summary.complete());
            let whole = harness.plan(&graphs[1]).await;
            let part = harness.plan_with(&graphs[1], &options).await;
            let selection = part.selection.clone().unwrap();
            let done: BTreeSet<&str> = acted(&part).into_iter().collect();
            let left: BTreeSet<&str> = names(&selection.left_out).into_iter().collect();
            prop_assert!(done.is_disjoint(&left));
            let all: BTreeSet<&str> = acted(&whole).into_iter().collect();
            prop_assert_eq!(&(&done | &left), &all);
            for excluded in &options.excludes {
                prop_assert!(!done.contains(excluded.as_str()));
            }
            let before: BTreeMap<_, _> = harness.cloud.inventory().into_iter().collect();
            let outcome = harness.walk(&part).await;
            prop_assert!(outcome.summary.complete(), "{:#?}", harness.recording.events);
            let after: BTreeMap<_, _> = harness.cloud.inventory().into_iter().collect();
            for address in left {
                prop_assert_eq!(before.get(address), after.get(address));
            }
            prop_assert!(harness.apply(&graphs[1]).await.summary.complete());
            prop_assert!(harness.plan(&graphs[1]).await.is_empty());
            Ok(())
        })?;
    }
}

/// Case P3 of the reviewers' list: every thread has its own seeds for its maps.
#[test]
fn p3_the_same_inputs_give_the_same_bytes_on_every_thread() {
    let planned = || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut harness = Harness::default();
            harness.apply(&site(1, 1)).await;
            let plans = [
                harness.plan(&site(2, 1)).await,
                harness.plan(&site(1, 2)).await,
                harness.plan_with(&site(2, 2), &targets(&["node.record-1"])).await,
                harness.plan_destroy().await,
            ];
            serde_json::to_vec(&plans.as_slice()).unwrap()
        })
    };
    let first = planned();
    let threads: Vec<_> = (0..8).map(|_| thread::spawn(planned)).collect();
    for thread in threads {
        assert!(thread.join().unwrap() == first);
    }
}

/// Every dependency of a step is the index of another step of the plan.
#[tokio::test(start_paused = true)]
async fn steps_that_are_left_out_leave_no_hole() {
    let mut harness = Harness::default();
    harness.apply(&site(1, 1)).await;
    let plan = harness.plan_with(&site(2, 2), &targets(&["node.record-1"])).await;
    for (index, Step { after, op }) in plan.steps.iter().enumerate() {
        for dependency in after {
            assert!((dependency.step as usize) < plan.steps.len());
            assert_ne!(dependency.step as usize, index);
        }
        assert!(matches!(op, Op::Create { .. } | Op::Delete { .. } | Op::Update { .. }));
    }
}

/// Kinds whose outputs follow from their inputs, and a kind that refers to them for good.
const NAMED_KINDS: &[Schema] = &[
    Schema {
        force_new: &["fixed"],
        stable_outputs: &["id"],
        ..Schema::of("named", Identity::Name)
    },
    Schema { force_new: &["fixed"], ..Schema::of("random", Identity::Name) },
    Schema { force_new: &["needs"], ..Schema::of("user", Identity::Name) },
];

#[tokio::test(start_paused = true)]
async fn a_resource_that_is_made_anew_with_the_same_name_replaces_nothing() {
    let world = |fixed: u32| {
        graph(&[
            ("named.a", json!({ "fixed": fixed }), &[]),
            ("random.b", json!({ "fixed": 1 }), &[]),
            ("user.of-a", json!({}), &["named.a"]),
            ("user.of-b", json!({}), &["random.b"]),
        ])
    };
    let mut harness = Harness::with_kinds(NAMED_KINDS);
    harness.apply(&world(1)).await;
    harness.cloud.lose("named.a");
    harness.cloud.lose("random.b");
    let action = |plan: &Plan, address: &str| {
        let change = plan.changes.iter().find(|change| change.address.as_str() == address);
        change.unwrap().action
    };
    let plan = harness.plan(&world(1)).await;
    assert_eq!(action(&plan, "named.a"), Action::Create);
    assert_eq!(action(&plan, "user.of-a"), Action::Keep, "its name is the same");
    assert_eq!(action(&plan, "user.of-b"), Action::DeleteThenCreate, "its ID is another one");
    let plan = harness.plan(&world(2)).await;
    assert_eq!(action(&plan, "user.of-a"), Action::DeleteThenCreate, "it gets another name");
}
