//! Identity of a cluster: fixed by the first resource, and free again after a complete destroy.

use std::fs;

use serde_json::{Value, json};

use super::Desk;

/// Writes the assets of a cluster into a folder, as openshift-install does.
fn write_assets(desk: &Desk, folder: &str, infra_id: &str, cluster_id: &str) {
    fs::create_dir(desk.path(folder)).unwrap();
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}});
        fs::write(desk.path(&format!("{folder}/{role}.ign")), ignition.to_string()).unwrap();
    }
    let metadata = json!({"clusterName": "demo", "clusterID": cluster_id, "infraID": infra_id,
        "aws": {"region": "us-west-2"}});
    fs::write(desk.path(&format!("{folder}/metadata.json")), metadata.to_string()).unwrap();
}

/// Returns a desk with the assets of two clusters, in the folders `one` and `two`.
fn desk(ids: [&str; 2]) -> Desk {
    let desk = Desk::new();
    write_assets(&desk, "one", ids[0], "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f11");
    write_assets(&desk, "two", ids[1], "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f12");
    desk
}

#[test]
fn commands_that_only_read_fix_nothing_in_any_order() {
    let desk = desk(["demo-r7k2a", "demo-r7k2b"]);
    let reading: [&[&str]; 7] = [
        &["plan"],
        &["plan", "--assets", "one", "--out", "one.plan"],
        &["graph", "--assets", "one"],
        &["plan", "--refresh-only", "--assets", "two"],
        &["plan", "--assets", "two", "--out", "two.plan"],
        &["manifests", "--assets", "two", "--out", "manifests"],
        &["plan", "--out", "neither.plan"],
    ];
    for command in reading {
        let ran = desk.expect(0, command);
        let is_noted = ran.err.contains("is not recorded yet");
        assert_eq!(is_noted, !command.contains(&"--assets"), "{command:?} {}", ran.err);
        assert!(!desk.path("state").exists(), "{command:?}");
    }
    desk.expect(1, &["show"]); // nothing is recorded
    let bytes = fs::read(desk.path("one.plan")).unwrap();
    desk.expect(0, &["plan", "--assets", "one", "--out", "one.plan"]);
    assert!(bytes == fs::read(desk.path("one.plan")).unwrap(), "the same inputs, the same plan");

    // The apply of a saved plan uses the infra ID of that plan.
    let planned: Value =
        serde_json::from_str(&desk.expect(0, &["show", "neither.plan", "--json"]).out).unwrap();
    desk.expect(0, &["apply", "neither.plan", "--auto-approve"]);
    let state: Value = serde_json::from_str(&desk.expect(0, &["show", "--json"]).out).unwrap();
    assert_eq!(state["cluster"], planned["cluster"]);
    let fixed = state["cluster"]["infra_id"].as_str().unwrap();

    // Plans of other identities, made before, are stale now.
    desk.cloud.clear_requests();
    for (plan, assets, infra_id) in
        [("one.plan", "one", "demo-r7k2a"), ("two.plan", "two", "demo-r7k2b")]
    {
        let ran = desk.expect(5, &["apply", plan, "--auto-approve", "--assets", assets]);
        let said =
            format!("the plan is for cluster {infra_id}, but the state now records {fixed}\n");
        assert!(ran.err.contains(&said), "{}", ran.err);
        let ran = desk.expect(3, &["plan", "--assets", assets]);
        assert!(ran.err.contains("the assets belong to another cluster"), "{}", ran.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[test]
fn a_destroyed_cluster_makes_room_for_the_next_one() {
    let ids = ["demo-r7k2c", "demo-r7k2d"];
    let desk = desk(ids);
    let apply = |assets: &str| {
        desk.expect(0, &["apply", "--auto-approve", "--assets", assets]);
    };
    apply("one");
    desk.expect(3, &["plan", "--assets", "two"]);
    desk.expect(0, &["plan", "--detailed-exitcode"]); // the state records the digests
    desk.expect(0, &["destroy", "--auto-approve"]);

    let after = desk.expect(0, &["state", "pull"]).out;
    desk.expect(0, &["plan", "--assets", "two"]);
    assert_eq!(desk.expect(0, &["state", "pull"]).out, after, "a plan records nothing");
    apply("two");
    desk.expect(0, &["plan", "--detailed-exitcode", "--assets", "two"]);
    desk.expect(3, &["plan", "--assets", "one"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
    apply("one"); // an identity that the state had before
    desk.expect(0, &["destroy", "--auto-approve"]);

    let history = desk.expect(0, &["state", "history", "--json"]).lines();
    let runs = history.iter().filter(|line| line["type"] == "run");
    let runs: Vec<_> = runs.filter(|run| run["records"] != 1).collect();
    let identities: Vec<_> = runs.iter().map(|run| (&run["operation"], &run["infra_id"])).collect();
    let expected: Vec<(Value, Value)> = [ids[0], ids[1], ids[0]]
        .iter()
        .flat_map(|id| [(json!("apply"), json!(id)), (json!("destroy"), json!(id))])
        .collect();
    assert_eq!(identities, expected.iter().map(|(one, id)| (one, id)).collect::<Vec<_>>());
    let text = desk.expect(0, &["state", "history"]).out;
    assert_eq!(text.matches(ids[1]).count(), runs.len() - 4 + 1, "{text}");
}

#[test]
fn a_plan_during_another_run_names_it_and_needs_no_lock() {
    let desk = Desk::new();
    desk.apply();
    let before = desk.expect(0, &["state", "pull"]).out;
    let guard = groundplan_engine::state::lock::acquire(&desk.path("state/demo"), "apply").unwrap();
    let plans: Vec<_> = (0..2).map(|_| desk.start(&["plan", "--detailed-exitcode"])).collect();
    for plan in plans {
        let ran = super::Ran::from(plan.wait_with_output().unwrap());
        assert_eq!(ran.code, Some(0), "{}", ran.err);
        let said = format!(
            "warning[run-in-progress]: {} is running apply with this state since",
            guard.holder().who()
        );
        assert!(ran.err.contains(&said) && ran.err.contains("may be stale"), "{}", ran.err);
    }
    let waited = desk.expect(0, &["plan", "--lock-timeout", "1s"]);
    assert!(waited.err.contains("waiting up to 1s for the lock"), "{}", waited.err);
    desk.expect(4, &["apply", "--auto-approve"]);
    drop(guard);
    assert_eq!(desk.expect(0, &["plan"]).err, "");
    assert_eq!(desk.expect(0, &["state", "pull"]).out, before);
}
