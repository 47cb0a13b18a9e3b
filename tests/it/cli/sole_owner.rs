//! Clusters that exist and that the selected state does not record.

use std::fs;

use serde_json::json;

use super::{Desk, Ran};

const INFRA_ID: &str = "demo-x7k2p";

/// Returns a desk with assets of openshift-install.
fn with_assets() -> Desk {
    let desk = Desk::new();
    fs::create_dir(desk.path("assets")).unwrap();
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}});
        fs::write(desk.path(&format!("assets/{role}.ign")), ignition.to_string()).unwrap();
    }
    let metadata = json!({"clusterName": "demo", "clusterID": "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
        "infraID": INFRA_ID, "aws": {"region": "us-west-2"}});
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
    let desk = with_assets();
    let apply = ["apply", "--auto-approve", "--assets", "assets"];
    desk.expect(0, &apply);
    let elsewhere = |command: &[&str]| -> Ran {
        let state = ["--state", "elsewhere", "--assets", "assets"];
        rejected(&desk, &[command, &state].concat())
    };
    for command in [&["apply", "--auto-approve"][..], &["plan"]] {
        let ran = elsewhere(command);
        let said = format!("cluster {INFRA_ID} exists already, and elsewhere does not record it");
        assert!(ran.err.contains(&said), "{}", ran.err);
        assert!(ran.err.contains("found: vpc-") && ran.err.contains(", created 20"), "{}", ran.err);
    }
    desk.expect(0, &["plan", "--detailed-exitcode", "--assets", "assets"]);
    // AWS still lists deleted machines with their tags.
    desk.expect(0, &["destroy", "--auto-approve"]);
    desk.expect(0, &apply);
}

#[test]
fn the_domain_of_a_cluster_is_not_used_again() {
    let desk = Desk::new();
    desk.apply();
    let ran = rejected(&desk, &["apply", "--auto-approve", "--state", "elsewhere"]);
    assert!(ran.err.contains("already has the domain demo.example.com"), "{}", ran.err);
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
