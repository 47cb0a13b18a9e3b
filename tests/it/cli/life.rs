//! The whole life of a cluster.

use std::fs;
use std::path::Path;

use serde_json::json;

use super::{Desk, PULL_SECRET, SSH_KEY};

#[tokio::test(flavor = "multi_thread")]
async fn p1_and_p2_a_cluster_is_planned_applied_found_unchanged_and_destroyed() {
    let desk = Desk::new();
    desk.cloud.delay("load_balancer_interfaces", 1.0);
    let before = desk.cloud.inventory();

    let planned = desk.expect(2, &["plan", "--detailed-exitcode"]);
    assert!(planned.out.contains("  + instance.master-0"), "{}", planned.out);
    let master = planned.out.lines().find(|line| line.contains("instance.master-0  ")).unwrap();
    assert!(master.contains("us-west-2a, http_tokens required, image "), "{master}");
    assert!(!planned.out.contains('\u{1b}'), "no colours in a pipe");
    assert_eq!(desk.cloud.mutating_calls(), 0);

    let applied = desk.apply();
    let master = desk.machine("master-0").await;
    let done = "instance.master-0: Creation complete after ";
    let line = applied.out.lines().find(|line| line.starts_with(done)).expect(&applied.out);
    assert!(line.ends_with(&format!("[id={master}]")), "{line}");
    let added = planned.out.lines().find_map(|line| line.strip_prefix("Plan: ")).unwrap();
    let added = added.split(' ').next().unwrap();
    let complete = format!("Apply complete! Resources: {added} added, 0 changed, 0 destroyed.");
    assert_eq!(applied.out.lines().last(), Some(&*complete));
    let required = |role: &str| (role.to_owned(), "required".to_owned());
    assert_eq!(desk.tokens().await, [required("bootstrap"), required("master-0")]);

    desk.cloud.clear_requests();
    let again = desk.expect(0, &["plan", "--detailed-exitcode", "-v"]);
    assert!(again.out.contains("No changes. Your infrastructure matches the configuration."));
    assert!(again.err.contains("ec2:DescribeInstances"), "{}", again.err);
    desk.apply();
    assert_eq!(desk.cloud.mutating_calls(), 0);

    let shown = desk.expect(0, &["show"]);
    assert!(shown.out.contains(&master), "{}", shown.out);

    let destroyed = desk.expect(0, &["destroy", "--auto-approve"]);
    let end: Vec<_> = destroyed.out.lines().rev().take(2).collect();
    assert!(end[0].starts_with("No resources with the tag kubernetes.io/cluster/demo-"), "{end:?}");
    assert_eq!(end[1], format!("Destroy complete! Resources: {added} destroyed."));
    assert_eq!(desk.cloud.inventory(), before);

    desk.cloud.clear_requests();
    desk.expect(0, &["destroy", "--auto-approve"]);
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_optional_becomes_required_in_place() {
    let desk = Desk::new();
    desk.write_config("Optional", "a");
    let examples = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/policies");
    let refused = desk.expect(7, &["apply", "--auto-approve", "--policy", examples]);
    assert!(refused.out.contains("  + instance.master-0"), "the plan is shown: {}", refused.out);
    let said = "error[policy-violated]: policy imdsv2-required: set metadataService.authentication to Required";
    assert!(refused.err.contains(said), "{}", refused.err);
    let machines = "\n  instance.master-0\n  instance.bootstrap\nhint: ";
    assert!(refused.err.contains(machines), "{}", refused.err);
    fs::write(desk.path("broken.yaml"), "name: a\nvalidations: []\n").unwrap();
    desk.cloud.clear_requests();
    desk.expect(3, &["plan", "--policy", "broken.yaml"]);
    fs::write(desk.path("prices.toml"), "currency = 'USD'\nnat_gateway.hour = '1'\n").unwrap();
    let refused = desk.expect(3, &["plan", "--prices", "prices.toml"]);
    let said =
        "error[file-invalid]: prices.toml:2: `nat_gateway.hour`: expected a number of at least 0";
    assert!(refused.err.contains(said), "{}", refused.err);
    assert_eq!(desk.cloud.requests().len(), 0);
    fs::write(desk.path("prices.toml"), "currency = 'USD'\nnat_gateway.hour = 1\n").unwrap();
    let priced = desk.expect(0, &["plan", "--prices", "prices.toml"]);
    assert!(priced.out.contains("\nBilled after this plan: 1 NAT gateway, "), "{}", priced.out);
    let estimate = "\nEstimate: 730.00 USD a month of 730 hours (+730.00), without usage such as traffic; no \
                    price for public_ipv4, ";
    assert!(priced.out.contains(estimate), "{}", priced.out);
    desk.apply();
    let optional = |role: &str| (role.to_owned(), "optional".to_owned());
    assert_eq!(desk.tokens().await, [optional("bootstrap"), optional("master-0")]);
    let machine = desk.machine("master-0").await;

    desk.write_config("Required", "a");
    desk.cloud.clear_requests();
    let ran = desk.apply();
    assert!(ran.out.contains("metadata_options.http_tokens: \"optional\" -> \"required\""));
    assert!(ran.out.ends_with("Apply complete! Resources: 0 added, 2 changed, 0 destroyed.\n"));
    assert_eq!(desk.cloud.calls("ModifyInstanceMetadataOptions"), 2);
    assert_eq!(desk.cloud.mutating_calls(), 2);
    let required = |role: &str| (role.to_owned(), "required".to_owned());
    assert_eq!(desk.tokens().await, [required("bootstrap"), required("master-0")]);
    assert_eq!(desk.machine("master-0").await, machine);
}

#[tokio::test(flavor = "multi_thread")]
async fn r2_what_somebody_weakened_is_shown_apart_and_put_right() {
    let desk = Desk::new();
    desk.apply();
    let machine = desk.machine("master-0").await;
    let weaken = desk.ec2().modify_instance_metadata_options().instance_id(&machine);
    weaken.http_tokens("optional".into()).send().await.expect("modified");

    let ran = desk.expect(2, &["plan", "--detailed-exitcode"]);
    let drift = "  security    instance.master-0  metadata_options.http_tokens: \
                 \"required\" -> \"optional\"\n";
    assert!(ran.out.contains("Changed outside groundplan:\n"), "{}", ran.out);
    assert!(ran.out.contains(drift), "{}", ran.out);
    assert!(ran.out.contains("  ~ instance.master-0  changed outside groundplan\n"), "{}", ran.out);
    desk.apply();
    assert!(desk.tokens().await.iter().all(|(_, tokens)| tokens == "required"));
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn the_bootstrap_machine_goes_and_the_rest_stays() {
    let desk = Desk::new();
    desk.apply();
    let ran = desk.expect(0, &["apply", "--no-bootstrap", "--auto-approve"]);
    assert!(ran.out.contains("  - instance.bootstrap"), "{}", ran.out);
    assert!(ran.out.contains("  bootstrap removal requested  "), "{}", ran.out);
    assert!(ran.out.contains("Resources: 0 added, "), "{}", ran.out);
    desk.expect(0, &["plan", "--no-bootstrap", "--detailed-exitcode"]);
    let ran = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(ran.err.contains("--bootstrap adds it again"), "{}", ran.err);
    desk.expect(0, &["apply", "--bootstrap", "--auto-approve"]);
    assert_eq!(desk.expect(0, &["plan", "--detailed-exitcode"]).err, "");
}

#[test]
fn a_named_cluster_is_destroyed_without_its_config() {
    let desk = Desk::new();
    let before = desk.cloud.inventory();
    desk.apply();
    fs::remove_file(desk.path("install-config.yaml")).unwrap();
    desk.expect(3, &["destroy", "--auto-approve"]);
    let ran = desk.expect(1, &["destroy", "--cluster", "other", "--auto-approve"]);
    assert!(ran.err.contains("no state of a cluster named `other` found"), "{}", ran.err);
    desk.expect(0, &["destroy", "--cluster", "demo", "--auto-approve"]);
    assert_eq!(desk.cloud.inventory(), before);
}

#[test]
fn programs_read_the_same_story() {
    let desk = Desk::new();
    let ran = desk.expect(0, &["apply", "--auto-approve", "--json"]);
    assert_eq!(ran.err, "");
    let lines = ran.lines();
    assert_eq!(lines[0]["type"], "version");
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let planned = of("planned_change");
    let summary = of("change_summary")[0];
    assert_eq!(summary["add"], json!(planned.len()));
    assert_eq!(of("step_started").len(), planned.len());
    for line in of("step_finished") {
        let address = &line["address"];
        assert!(planned.iter().any(|change| change["address"] == *address), "{line}");
    }
    let finished = lines.last().unwrap();
    assert_eq!(finished["type"], "finished");
    assert_eq!(finished["summary"]["added"], summary["add"]);
    let master = planned.iter().find(|line| line["address"] == "instance.master-0").unwrap();
    let field = |path: &str| {
        let fields = master["fields"].as_array().unwrap();
        fields
            .iter()
            .find(|field| field["path"] == path)
            .unwrap_or_else(|| panic!("{path}: {master}"))
    };
    assert_eq!(field("network.interface")["after_unknown"], true);
    assert_eq!(field("metadata_options.http_tokens")["after"], "required");
    assert_eq!(field("user_data.content")["after_sensitive"], true);

    let shown = desk.expect(0, &["show", "--json"]);
    let state: serde_json::Value = serde_json::from_str(&shown.out).expect("one document");
    assert_eq!(state["resources"].as_array().unwrap().len(), planned.len());
    assert_eq!(shown.out.lines().count(), 1);
}

#[test]
fn p13_no_secret_is_in_anything_that_is_written_or_said() {
    let desk = Desk::new();
    let canary = "CanaryOfTheIgnition";
    let assets = desk.path("assets");
    fs::create_dir(&assets).unwrap();
    for name in ["bootstrap.ign", "master.ign", "worker.ign"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}, "storage": {"files": [
            {"path": "/secret", "contents": {"source": format!("data:,{canary}")}}
        ]}});
        fs::write(assets.join(name), ignition.to_string()).unwrap();
    }
    let metadata = json!({
        "clusterName": "demo", "clusterID": "7a5bb1c5-2c46-4a5e-9d4b-2f8f2a0f9f10",
        "infraID": "demo-x7k2p", "aws": {"region": "us-west-2"},
    });
    fs::write(assets.join("metadata.json"), metadata.to_string()).unwrap();

    let mut said = String::new();
    for arguments in [
        &["plan", "--full", "--assets", "assets", "--out", "demo.plan"][..],
        &["show", "demo.plan", "--full"],
        &["apply", "--assets", "assets", "demo.plan", "--auto-approve", "-v"],
        &["plan", "--assets", "assets", "--json", "--detailed-exitcode"],
        &["show", "--json"],
        &["graph", "--assets", "assets"],
        &["destroy", "--auto-approve", "--json"],
    ] {
        let ran = desk.expect(0, arguments);
        said.push_str(&(ran.out + &ran.err));
        if arguments[0] == "apply" {
            let without = desk.expect(0, &["plan", "--detailed-exitcode"]);
            said.push_str(&(without.out + &without.err));
        }
    }
    assert!(said.contains("demo-x7k2p"), "the infra ID is the one of the assets");
    fs::remove_dir_all(&assets).unwrap();
    fs::remove_file(desk.path("install-config.yaml")).unwrap();
    let written = everything_in(desk.folder.path());
    assert!(written.len() > 10_000, "there is something to look through");
    for secret in [PULL_SECRET, SSH_KEY, canary] {
        assert!(!said.contains(secret), "said: {secret}");
        assert!(!written.contains(secret), "written: {secret}");
    }
}

fn everything_in(folder: &Path) -> String {
    let mut text = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        text.push_str(&if path.is_dir() {
            everything_in(&path)
        } else {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        });
    }
    text
}
