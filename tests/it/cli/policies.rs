//! Printed IAM policies: with one of them and nothing else, its task works; with another one, it does not.

use std::fs;

use serde_json::{Value, json};

use super::{Desk, machines};

const INFRA_ID: &str = "demo-p4l2y";
const DENIED: &str = "not authorized";

pub(super) fn policy(desk: &Desk, task: &str, infra_id: &str) -> Value {
    let arguments = ["policy", "iam", "--for", task, "--infra-id", infra_id];
    serde_json::from_str(&desk.expect(0, &arguments).out).expect("a document")
}

/// Runs a command that must meet no denial, and returns its standard error.
fn undenied(desk: &Desk, policy: &Value, arguments: &[&str]) -> String {
    desk.cloud.allow_only(policy);
    let ran = desk.expect(0, arguments);
    assert!(!(ran.out.contains(DENIED) || ran.err.contains(DENIED)), "{}{}", ran.out, ran.err);
    ran.err
}

pub(super) fn write_assets(desk: &Desk, infra_id: &str) {
    let assets = desk.path("assets");
    fs::create_dir(&assets).expect("created");
    for name in ["bootstrap.ign", "master.ign", "worker.ign"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}});
        fs::write(assets.join(name), ignition.to_string()).expect("written");
    }
    let metadata = json!({
        "clusterName": "demo", "clusterID": "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
        "infraID": infra_id, "aws": {"region": "us-west-2"},
    });
    fs::write(assets.join("metadata.json"), metadata.to_string()).expect("written");
}

#[test]
fn each_task_of_a_cluster_works_with_exactly_its_policy() {
    let desk = Desk::new();
    write_assets(&desk, INFRA_ID);
    let [plan, apply, destroy] =
        ["plan", "apply", "destroy"].map(|task| policy(&desk, task, INFRA_ID));

    undenied(&desk, &plan, &["plan", "--assets", "assets"]);
    let said = undenied(&desk, &apply, &["apply", "--assets", "assets", "--auto-approve"]);
    assert!(
        said.contains("\n  groundplan wait-for bootstrap-complete --assets assets\n"),
        "{said}"
    );
    undenied(&desk, &plan, &["plan", "--assets", "assets", "--detailed-exitcode"]);
    undenied(&desk, &plan, &["plan", "--destroy"]);

    // In place, and by a replacement.
    desk.write_config("Optional", "b");
    let change = ["apply", "--assets", "assets", "--auto-approve", "--replace"];
    undenied(&desk, &apply, &[&change[..], &["iam_instance_profile.master"]].concat());

    desk.cloud.allow_only(&destroy);
    let refused = desk.expect(7, &[&change[..], &["instance.master-0"]].concat());
    assert!(
        refused.err.contains("error[call-denied]: ec2:RunInstances is not allowed"),
        "{}",
        refused.err
    );
    undenied(&desk, &destroy, &["destroy", "--auto-approve"]);

    // The policy of a plan allows no change.
    desk.cloud.allow_only(&plan);
    desk.cloud.clear_requests();
    desk.expect(7, &["apply", "--assets", "assets", "--auto-approve"]);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    desk.cloud.allow_only(&Value::Null);
}

#[test]
fn machines_of_manifests_live_with_exactly_their_policy() {
    let desk = machines::up();
    desk.want(1, Some("Optional"));
    let policy = policy(&desk, "machines", machines::INFRA_ID);
    undenied(&desk, &policy, &["machines", "plan", "--manifests", "machines", "--preflight"]);
    undenied(&desk, &policy, &["machines", "apply", "--manifests", "machines", "--auto-approve"]);
    desk.want(1, Some("Required"));
    undenied(&desk, &policy, &["machines", "apply", "--manifests", "machines", "--auto-approve"]);
    let destroy = ["machines", "destroy", "--cluster", machines::INFRA_ID, "--auto-approve"];
    undenied(&desk, &policy, &destroy);
    desk.cloud.allow_only(&Value::Null);
}

#[test]
fn the_handler_needs_no_policy() {
    let desk = Desk::new();
    let ran = desk.expect(0, &["policy", "iam", "--for", "handler"]);
    assert_eq!(ran.out, "");
    assert!(ran.err.contains("It needs no IAM policy"), "{}", ran.err);
}
