//! Clusters that exist and that the selected state does not record.

use std::fs;

use serde_json::json;

use super::{Desk, Ran};

/// Returns a desk with assets of openshift-install. Names of buckets are unique among all tests, so each
/// test has an infra ID of its own.
fn with_assets(infra_id: &str) -> Desk {
    let desk = Desk::new();
    fs::create_dir(desk.path("assets")).unwrap();
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}});
        fs::write(desk.path(&format!("assets/{role}.ign")), ignition.to_string()).unwrap();
    }
    let metadata = json!({"clusterName": "demo", "clusterID": "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
        "infraID": infra_id, "aws": {"region": "us-west-2"}});
    fs::write(desk.path("assets/metadata.json"), metadata.to_string()).unwrap();
    desk
}

/// Runs a command that must be rejected without a change.
fn rejected(desk: &Desk, arguments: &[&str]) -> Ran {
    desk.cloud.clear_requests();
    let ran = desk.expect(7, arguments);
    assert_eq!(desk.cloud.mutating_calls(), 0, "{arguments:?}");
    for remedy in ["--state", "GROUNDPLAN_STATE", "recover --infra-id", "metadata.name"] {
        assert!(ran.err.contains(remedy), "{remedy}: {}", ran.err);
    }
    ran
}

#[test]
fn a_cluster_that_another_state_records_is_not_created_again() {
    let infra_id = "demo-x7k2p";
    let desk = with_assets(infra_id);
    let apply = ["apply", "--auto-approve", "--assets", "assets"];
    desk.expect(0, &apply);
    let elsewhere = |command: &[&str]| -> Ran {
        let state = ["--state", "elsewhere", "--assets", "assets"];
        rejected(&desk, &[command, &state].concat())
    };
    for command in [&["apply", "--auto-approve"][..], &["plan"]] {
        let ran = elsewhere(command);
        let said = format!("cluster {infra_id} exists already, and elsewhere does not record it");
        assert!(ran.err.contains(&said), "{}", ran.err);
        assert!(ran.err.contains("found: vpc-") && ran.err.contains(", created 20"), "{}", ran.err);
    }
    desk.expect(0, &["plan", "--detailed-exitcode", "--assets", "assets"]);
    // AWS still lists deleted machines with their tags.
    desk.expect(0, &["destroy", "--auto-approve"]);
    desk.expect(0, &apply);
}

/// Both runs look before either has created anything, and both have created their first resource when
/// they look again.
#[test]
fn two_simultaneous_applies_do_not_both_continue() {
    let infra_id = "demo-x7k2q";
    let desk = with_assets(infra_id);
    let apply = |state| ["apply", "--auto-approve", "--assets", "assets", "--state", state];
    desk.cloud.hold(&["CreateDhcpOptions"]);
    let runs = ["one", "other"].map(|state| desk.start(&apply(state)));
    desk.cloud.wait_for_held(2);
    desk.cloud.release();
    let ends = runs.map(|run| Ran::from(run.wait_with_output().expect("an end")));
    let stopped: Vec<_> = ends.iter().filter(|ran| ran.code == Some(7)).collect();
    assert_eq!(stopped.len(), 2, "both see the DHCP options of the other: {ends:?}");
    for ran in stopped {
        let said = format!(
            "error[cluster-twice]: another state creates cluster {infra_id}, too; this run has stopped"
        );
        assert!(ran.err.contains(&said), "{}", ran.err);
        assert!(
            ran.err.contains("found: dopt-") && ran.err.contains(", not there at 20"),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("created by this state: dhcp_options.main (dopt-"), "{}", ran.err);
        assert!(ran.err.contains("`groundplan destroy`") && ran.err.contains("--state LOCATION"));
        assert!(!ran.out.contains("run the same command again"), "{}", ran.out);
    }
    let created = |desk: &Desk| {
        let requests = desk.cloud.requests();
        let all = requests.iter().filter_map(|call| call["action"].as_str().map(str::to_owned));
        all.filter(|action| action.starts_with("Create")).collect::<Vec<_>>()
    };
    assert_eq!(created(&desk), ["CreateDhcpOptions", "CreateDhcpOptions"]);

    // Neither continues while the objects of both exist, and a destroy removes only what its state records.
    for state in ["one", "other"] {
        let ran = desk.expect(7, &apply(state));
        assert!(ran.err.contains("another state creates cluster"), "{}", ran.err);
    }
    let ran = desk.expect(0, &["destroy", "--auto-approve", "--state", "other"]);
    assert!(ran.out.contains("1 destroyed"), "{}", ran.out);
    assert!(ran.err.contains("only the resources that this state records"), "{}", ran.err);
    desk.expect(0, &apply("one"));
    desk.expect(0, &["plan", "--detailed-exitcode", "--assets", "assets", "--state", "one"]);
    assert_eq!(created(&desk).iter().filter(|action| *action == "CreateVpc").count(), 1);
    let ran = desk.expect(7, &apply("other"));
    assert!(ran.err.contains("exists already"), "{}", ran.err);
    // The check is not repeated once it has passed.
    desk.cloud.clear_requests();
    desk.expect(0, &["apply", "--auto-approve", "--assets", "assets", "--state", "one"]);
    let is_check =
        |call: &serde_json::Value| call["action"] == "DescribeTags" && call["service"] == "ec2";
    assert_eq!(desk.cloud.requests().iter().filter(|call| is_check(call)).count(), 0);
}

#[test]
fn the_check_waits_until_aws_shows_the_first_resource() {
    let infra_id = "demo-x7k2r";
    let desk = with_assets(infra_id);
    desk.cloud.delay("visible", 3.0);
    desk.expect(0, &["apply", "--auto-approve", "--assets", "assets"]);
    desk.expect(0, &["plan", "--detailed-exitcode", "--assets", "assets"]);
}

/// A new state with the infra ID of a destroyed cluster has other creation tokens: AWS still knows the
/// tokens of terminated machines.
#[test]
fn a_new_state_with_a_used_infra_id_needs_one_run() {
    let infra_id = "demo-x7k2s";
    let desk = with_assets(infra_id);
    let apply = |state| ["apply", "--auto-approve", "--assets", "assets", "--state", state];
    desk.expect(0, &apply("one"));
    desk.expect(0, &["destroy", "--auto-approve", "--state", "one"]);
    let ran = desk.expect(0, &apply("other"));
    assert!(!ran.err.contains("Idempotent"), "{}", ran.err);
    let tokens = |state: &str| {
        let pulled = desk.expect(0, &["state", "pull", "--state", state]);
        let parsed: serde_json::Value = serde_json::from_str(&pulled.out).unwrap();
        parsed["facts"]["token_salt"].as_str().map(str::to_owned)
    };
    assert!(tokens("one").is_some() && tokens("one") != tokens("other"));
    // A recovery finds the resources by the tokens of the lost state.
    fs::remove_dir_all(desk.path("other")).unwrap();
    desk.expect(0, &["recover", "--assets", "assets", "--state", "recovered"]);
    desk.expect(0, &["plan", "--detailed-exitcode", "--assets", "assets", "--state", "recovered"]);
}

/// AWS lists the tags of a terminated machine for a while.
#[test]
fn a_recovery_does_not_ask_about_a_destroyed_cluster_of_the_same_name() {
    let desk = Desk::new();
    desk.apply();
    desk.expect(0, &["destroy", "--auto-approve"]);
    desk.expect(0, &["apply", "--auto-approve", "--state", "second"]);
    desk.expect(0, &["recover", "--state", "recovered"]);
    desk.expect(0, &["plan", "--detailed-exitcode", "--state", "recovered"]);
}

#[test]
fn the_domain_of_a_cluster_is_not_used_again() {
    let desk = Desk::new();
    desk.apply();
    let ran = rejected(&desk, &["apply", "--auto-approve", "--state", "elsewhere"]);
    assert!(ran.err.contains("already has the domain demo.example.com"), "{}", ran.err);
    assert!(ran.err.contains("found: hosted zone demo.example.com ("), "{}", ran.err);
    let shown = desk.expect(0, &["show", "--json"]);
    let state: serde_json::Value = serde_json::from_str(&shown.out).unwrap();
    let infra_id = state["cluster"]["infra_id"].as_str().unwrap();
    assert!(ran.err.contains(&format!("recover --infra-id {infra_id}")), "{}", ran.err);
}

#[test]
fn an_edited_name_is_said_to_be_a_new_cluster() {
    let desk = Desk::new();
    desk.apply();
    let config = desk.path("install-config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("name: demo", "name: other")).unwrap();
    let ran = desk.expect(0, &["plan"]);
    let said = "state already records cluster demo with ";
    assert!(ran.err.contains(said) && ran.err.contains("metadata.name is other"), "{}", ran.err);
}

#[test]
fn an_owner_that_cannot_be_checked_is_a_warning() {
    let desk = Desk::new();
    desk.cloud.fault(&json!({"action": "DescribeTags", "kind": "error", "status": 403,
        "code": "UnauthorizedOperation", "message": "You are not authorized."}));
    let ran = desk.expect(0, &["plan"]);
    assert!(ran.err.contains("could not check whether the cluster exists already"), "{}", ran.err);
}
