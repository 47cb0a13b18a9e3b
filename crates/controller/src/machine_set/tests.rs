use groundplan_openshift::machine_api::types::read;
use serde_json::{Value, json};

use super::super::node::Readiness;
use super::policy::{OLD_DELETE_ANNOTATION, Policy};
use super::*;

const NOW: &str = "2026-06-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// Returns a set of machines with the label `pool: a`.
fn set(replicas: impl Into<Value>, policy: &str) -> MachineSet {
    read(&json!({
        "metadata": {"name": "demo-a", "uid": "uid-of-demo-a", "generation": 7},
        "spec": {
            "replicas": replicas.into(),
            "deletePolicy": policy,
            "selector": {"matchLabels": {"pool": "a"}},
            "template": {"metadata": {"labels": {"pool": "a", "zone": "1"}}},
        },
    }))
    .unwrap()
}

/// Returns a machine of that set with a Node, with the fields in `different`.
fn machine(name: &str, different: &Value) -> Machine {
    let mut object = json!({
        "metadata": {
            "name": name, "uid": format!("uid-of-{name}"), "labels": {"pool": "a", "zone": "1"},
            "creationTimestamp": "2026-05-01T00:00:00Z",
            "ownerReferences": [{"kind": "MachineSet", "name": "demo-a", "uid": "uid-of-demo-a",
                                 "controller": true}],
        },
        "status": {"nodeRef": {"name": format!("node-of-{name}")}},
    });
    merge(&mut object, different);
    read(&object).unwrap()
}

fn merge(object: &mut Value, different: &Value) {
    let Value::Object(fields) = different else { return *object = different.clone() };
    for (name, value) in fields {
        merge(&mut object[name], value);
    }
}

fn like_the_others(names: &[&str]) -> Vec<Machine> {
    names.iter().map(|name| machine(name, &json!({}))).collect()
}

fn names<'a>(machines: &[&'a Machine]) -> Vec<&'a str> {
    machines.iter().map(|machine| machine.metadata.name.as_str()).collect()
}

/// Returns the names of the machines that are deleted.
fn deleted(set: &MachineSet, machines: &[Machine]) -> Vec<String> {
    match decide(set, machines, &Nodes::new(), now()).unwrap().change.unwrap() {
        SetChange::Delete(machines) => names(&machines).into_iter().map(str::to_owned).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn c48_random_takes_whom_somebody_marked_and_who_has_no_node_yet() {
    let machines = [
        machine("healthy", &json!({})),
        machine("no-node", &json!({"status": {"nodeRef": null}})),
        machine("marked", &json!({"metadata": {"annotations": {DELETE_ANNOTATION: "yes"}}})),
    ];
    assert_eq!(deleted(&set(1, "Random"), &machines), ["marked", "no-node"]);
    assert_eq!(deleted(&set(1, ""), &machines), ["marked", "no-node"], "absent is Random");
}

#[test]
fn c48_an_empty_mark_is_none() {
    let machines = [
        machine("a", &json!({"metadata": {"annotations": {DELETE_ANNOTATION: ""}}})),
        machine("b", &json!({"status": {"nodeRef": null}})),
    ];
    assert_eq!(deleted(&set(1, "Random"), &machines), ["b"]);
}

fn aged(days: &[u32]) -> Vec<Machine> {
    let made = |days: u32| now() - jiff::SignedDuration::from_hours(24 * i64::from(days));
    let time = |days: u32| json!({"metadata": {"creationTimestamp": made(days).to_string()}});
    days.iter().map(|days| machine(&format!("{days}-days"), &time(*days))).collect()
}

#[test]
fn c49_oldest_takes_the_oldest_and_newest_the_newest() {
    let machines = aged(&[1, 10, 100]);
    assert_eq!(deleted(&set(2, "Oldest"), &machines), ["100-days"]);
    assert_eq!(deleted(&set(2, "Newest"), &machines), ["1-days"]);
}

#[test]
fn c49_the_numbers_are_upstream_s() {
    let [old] = aged(&[100]).try_into().unwrap();
    let value = priority(Policy::Oldest, &old, now());
    assert!((value - 31.606).abs() < 0.001, "{value}");
    assert!((priority(Policy::Newest, &old, now()) - (100.0 - value)).abs() < 1e-9);
    for odd in [json!("2027-01-01T00:00:00Z"), json!(null)] {
        let odd = machine("odd", &json!({"metadata": {"creationTimestamp": odd}}));
        let of = |policy| priority(policy, &odd, now());
        assert_eq!([Policy::Oldest, Policy::Newest, Policy::Random].map(of), [0.0, 100.0, 20.0]);
    }
    for (different, expected) in [
        (json!({"metadata": {"deletionTimestamp": NOW}}), [100.0, 100.0, 100.0]),
        (json!({"metadata": {"annotations": {DELETE_ANNOTATION: "1"}}}), [50.0, 100.0, 100.0]),
        (json!({"metadata": {"annotations": {OLD_DELETE_ANNOTATION: "1"}}}), [50.0, 100.0, 100.0]),
        (json!({"status": {"errorReason": "CreateError"}}), [50.0, 100.0, 100.0]),
        (json!({"status": {"errorMessage": "it did not"}}), [50.0, 100.0, 100.0]),
    ] {
        let one = machine("one", &different);
        let of = |policy| priority(policy, &one, now());
        assert_eq!(
            [Policy::Random, Policy::Oldest, Policy::Newest].map(of),
            expected,
            "{different}"
        );
    }
}

#[test]
fn c49_an_unknown_policy_is_an_error_and_nothing_is_deleted() {
    let machines = like_the_others(&["a", "b", "c"]);
    let decision = decide(&set(1, "oldest"), &machines, &Nodes::new(), now()).unwrap();
    let error = decision.change.unwrap_err().to_string();
    assert_eq!(error, "spec.deletePolicy: expected Random, Newest or Oldest, found \"oldest\"");
    assert_eq!(decision.status.replicas, 3, "what is so is told all the same");
}

#[test]
fn an_unknown_policy_keeps_nobody_from_making_more() {
    let decision = decide(&set(2, "oldest"), &[], &Nodes::new(), now()).unwrap();
    assert_eq!(decision.change, Ok(SetChange::Create(2)));
}

#[test]
fn those_as_good_to_delete_go_by_age_and_then_by_name_however_they_are_listed() {
    let young = json!({"metadata": {"creationTimestamp": "2026-05-09T00:00:00Z"}});
    let mut machines = like_the_others(&["c", "b"]);
    machines.insert(1, machine("a", &young));
    assert_eq!(deleted(&set(1, "Random"), &machines), ["b", "c"]);
    machines.reverse();
    assert_eq!(deleted(&set(1, "Random"), &machines), ["b", "c"]);
    assert_eq!(deleted(&set(0, "Random"), &machines), ["b", "c", "a"]);
}

#[test]
fn c50_what_goes_is_not_counted_and_what_failed_is() {
    let machines = [
        machine("going", &json!({"metadata": {"deletionTimestamp": NOW}})),
        machine("failed", &json!({"status": {"phase": "Failed", "errorReason": "CreateError"}})),
        machine("well", &json!({})),
    ];
    let decision = decide(&set(5, ""), &machines, &Nodes::new(), now()).unwrap();
    assert_eq!(decision.change, Ok(SetChange::Create(3)));
    assert_eq!(decision.status.replicas, 2);
}

#[test]
fn c50_an_orphan_is_adopted_before_more_are_made() {
    let machines = [
        machine("orphan", &json!({"metadata": {"ownerReferences": []}})),
        machine("own", &json!({})),
    ];
    let decision = decide(&set(3, ""), &machines, &Nodes::new(), now()).unwrap();
    assert_eq!(names(&decision.adopt), ["orphan"]);
    assert_eq!(decision.change, Ok(SetChange::Create(1)));
}

#[test]
fn c50_what_is_somebody_else_s_or_of_another_sort_is_left_alone() {
    let theirs = json!([{"kind": "MachineSet", "name": "demo-b", "uid": "b", "controller": true}]);
    let watched = json!([{"kind": "Auditor", "name": "x", "uid": "x"}]);
    let machines = [
        machine("theirs", &json!({"metadata": {"ownerReferences": theirs}})),
        machine("relabelled", &json!({"metadata": {"labels": {"pool": "quarantine"}}})),
        machine("owned-by-no-controller", &json!({"metadata": {"ownerReferences": watched}})),
    ];
    let decision = decide(&set(1, ""), &machines, &Nodes::new(), now()).unwrap();
    assert_eq!(names(&decision.adopt), ["owned-by-no-controller"]);
    assert_eq!(decision.change, Ok(SetChange::Nothing));
}

#[test]
fn without_a_number_one_machine_is_wanted_and_less_than_none_is_none() {
    let decide =
        |replicas: Value| decide(&set(replicas, ""), &[], &Nodes::new(), now()).unwrap().change;
    assert_eq!(decide(Value::Null), Ok(SetChange::Create(1)));
    assert_eq!(decide(0.into()), Ok(SetChange::Nothing));
    assert_eq!(decide((-1).into()), Ok(SetChange::Nothing));
}

#[test]
fn another_template_changes_no_machine_that_is_there() {
    let machines = like_the_others(&["a", "b"]);
    let mut set = set(2, "");
    set.spec.template.spec.provider_spec.value = Some(json!({"instanceType": "m6i.4xlarge"}));
    set.spec.template.metadata.labels.insert("zone".into(), "2".into());
    let decision = decide(&set, &machines, &Nodes::new(), now()).unwrap();
    assert_eq!((decision.change, decision.adopt.len()), (Ok(SetChange::Nothing), 0));
    assert_eq!((decision.status.replicas, decision.status.fully_labeled_replicas), (2, 0));
}

#[test]
fn a_status_counts_who_is_there_who_is_ready_and_who_has_been_for_long_enough() {
    let machines = like_the_others(&["new", "old", "broken", "unknown"]);
    let since = |time: &str| Some(time.parse().unwrap());
    let nodes = Nodes::from([
        ("node-of-new".into(), Readiness { ready: true, since: since("2026-05-31T23:59:30Z") }),
        ("node-of-old".into(), Readiness { ready: true, since: since("2026-05-31T00:00:00Z") }),
        ("node-of-broken".into(), Readiness { ready: false, since: since("2026-05-01T00:00:00Z") }),
    ]);
    let mut set = set(4, "");
    set.spec.min_ready_seconds = 60;
    set.status.error_message = Some("another controller's".to_owned());
    let decision = decide(&set, &machines, &nodes, now()).unwrap();
    let expected = MachineSetStatus {
        replicas: 4,
        fully_labeled_replicas: 4,
        ready_replicas: 2,
        available_replicas: 1,
        observed_generation: 7,
        label_selector: "pool=a".to_owned(),
        error_message: Some("another controller's".to_owned()),
        ..MachineSetStatus::default()
    };
    assert_eq!(decision.status, expected);
    assert_eq!(decision.requeue_after, Some(Duration::from_secs(60)));
    set.spec.min_ready_seconds = 0;
    let decision = decide(&set, &machines, &nodes, now()).unwrap();
    assert_eq!((decision.status.available_replicas, decision.requeue_after), (2, None));
}

fn refusal(change: impl Fn(&mut MachineSet)) -> String {
    let mut set = set(1, "");
    change(&mut set);
    decide(&set, &[], &Nodes::new(), now()).unwrap_err().to_string()
}

#[test]
fn a_set_whose_machines_would_not_be_its_own_makes_none() {
    let told =
        refusal(|set| set.spec.template.metadata.labels = [("pool".into(), "b".into())].into());
    assert!(told.contains("labels that spec.selector selects (pool=a)"), "{told}");
    let told = refusal(|set| set.spec.selector.match_labels.clear());
    assert!(told.contains("would select every machine"), "{told}");
}

#[test]
fn every_operator_of_a_selector_is_understood_and_no_other() {
    let mut set = set(1, "");
    let selector = json!({
        "matchLabels": {"pool": "a"},
        "matchExpressions": [
            {"key": "zone", "operator": "In", "values": ["2", "1"]},
            {"key": "arch", "operator": "NotIn", "values": ["arm64"]},
            {"key": "pool", "operator": "Exists"},
            {"key": "old", "operator": "DoesNotExist"},
        ],
    });
    set.spec.selector = read(&selector).unwrap();
    let machines = [
        machine("fits", &json!({})),
        machine("arm", &json!({"metadata": {"labels": {"arch": "arm64"}}})),
        machine("elsewhere", &json!({"metadata": {"labels": {"zone": "3"}}})),
        machine("retired", &json!({"metadata": {"labels": {"old": ""}}})),
    ];
    let decision = decide(&set, &machines, &Nodes::new(), now()).unwrap();
    assert_eq!(decision.status.replicas, 1);
    let text = "arch notin (arm64),!old,pool=a,pool,zone in (1,2)";
    assert_eq!(decision.status.label_selector, text);
    let told = refusal(|set| {
        let one = json!([{"key": "zone", "operator": "Gt", "values": ["1"]}]);
        set.spec.selector.match_expressions = read(&one).unwrap();
    });
    assert!(told.contains("for label zone, found \"Gt\""), "{told}");
}
