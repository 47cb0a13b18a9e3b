//! `imds audit` against the test cloud: clusters of any maker, planted use of IMDSv1, and what could not be
//! read.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    HttpTokensState, InstanceMetadataOptionsRequest, LaunchTemplateInstanceMetadataOptionsRequest,
    RequestLaunchTemplateData, ResourceType, Tag, TagSpecification,
};
use serde_json::{Value, json};

use super::Desk;

const IMAGE: &str = "ami-0abcdef1234567890";

fn tags(kind: ResourceType, cluster: &str, name: &str) -> TagSpecification {
    let tag = |key: &str, value: &str| Tag::builder().key(key).value(value).build();
    TagSpecification::builder()
        .resource_type(kind)
        .tags(tag("Name", name))
        .tags(tag(&format!("kubernetes.io/cluster/{cluster}"), "owned"))
        .build()
}

impl Desk {
    /// Launches machines of a cluster that groundplan does not know. Returns their IDs.
    async fn launch(&self, cluster: &str, count: i32, tokens: HttpTokensState) -> Vec<String> {
        let options = InstanceMetadataOptionsRequest::builder().http_tokens(tokens).build();
        let call = self.ec2().run_instances().image_id(IMAGE).min_count(count).max_count(count);
        let call = call.instance_type("m6i.xlarge".into()).metadata_options(options);
        let call = call.tag_specifications(tags(ResourceType::Instance, cluster, "worker"));
        let made = call.send().await.expect("machines");
        made.instances().iter().map(|one| one.instance_id().expect("an ID").to_owned()).collect()
    }

    fn audited(&self, code: i32, arguments: &[&str]) -> Vec<Value> {
        let region = ["imds", "audit", "--json"];
        self.expect(code, &[&region, arguments].concat()).lines()
    }
}

/// Returns the lines of this type.
fn of_type<'a>(lines: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["type"] == kind)
}

#[tokio::test(flavor = "multi_thread")]
async fn c85_a_cluster_is_clean_only_with_tokens_required_everywhere() {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.clear_requests();
    let clean = desk.expect(0, &["imds", "audit"]);
    assert!(clean.out.contains("2 machines in 1 cluster: 2 require IMDSv2"), "{}", clean.out);
    assert_eq!(desk.cloud.mutating_calls(), 0);

    desk.write_config("Optional", "a");
    desk.apply();
    let id = desk.id_of("instance.master-0");
    desk.cloud.metrics(&json!({id.clone(): {"MetadataNoToken": {"0": 12}}}));
    let found = desk.expect(2, &["imds", "audit", "--cluster", "demo"]);
    assert!(found.out.contains("IMDSv1 allowed"), "{}", found.out);
    let lines = desk.audited(2, &[]);
    let master = of_type(&lines, "imds_machine").find(|line| line["id"] == id.as_str()).unwrap();
    assert_eq!(master["v1_requests"], 12, "{master:#}");
    assert_eq!(master["findings"], json!(["tokens-optional"]));
    assert_eq!(master["differs"], false);

    // A change by hand differs from the state, in either direction.
    let call = desk.ec2().modify_instance_metadata_options().instance_id(&id);
    call.http_tokens(HttpTokensState::Required).send().await.expect("a change");
    let lines = desk.audited(2, &[]);
    let master = of_type(&lines, "imds_machine").find(|line| line["id"] == id.as_str()).unwrap();
    assert_eq!(master["differs"], true, "{master:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c85_every_planted_fault_of_many_clusters_is_found() {
    const CLUSTERS: usize = 12;
    let desk = Desk::new();
    let (mut optional, mut used, mut unmeasured) =
        (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for number in 0..CLUSTERS {
        let cluster = format!("lab-{number:02}");
        let good = desk.launch(&cluster, 20, HttpTokensState::Required).await;
        let bad = desk.launch(&cluster, 10, HttpTokensState::Optional).await;
        used.extend([bad[number % 10].clone()]);
        unmeasured.extend([bad[(number + 5) % 10].clone(), good[number].clone()]);
        optional.extend(bad);
    }
    for id in &used {
        desk.cloud.metrics(&json!({id: {"MetadataNoToken": {"0": 3}}}));
    }
    for id in &unmeasured {
        desk.cloud.metrics(&json!({id: null}));
    }
    let lines = desk.audited(2, &["--all-clusters", "--region", "us-west-2"]);
    let ids = |of: &dyn Fn(&Value) -> bool| -> BTreeSet<String> {
        let machines = of_type(&lines, "imds_machine").filter(|line| of(line));
        machines.map(|line| line["id"].as_str().expect("an ID").to_owned()).collect()
    };
    assert_eq!(ids(&|line| line["findings"] == json!(["tokens-optional"])), optional);
    assert_eq!(ids(&|line| line["v1_requests"].as_u64() > Some(0)), used);
    assert_eq!(ids(&|line| line["v1_requests"].is_null()), unmeasured, "unknown is never 0");
    let summary = of_type(&lines, "imds_summary").next().expect("a summary");
    assert_eq!(summary["machines"], 30 * CLUSTERS);
    assert_eq!(summary["clusters"], CLUSTERS);
}

#[tokio::test(flavor = "multi_thread")]
async fn c85_the_number_of_calls_is_flat() {
    let desk = Desk::new();
    desk.launch("big-x7k2p", 503, HttpTokensState::Required).await;
    let make = desk.ec2().create_launch_template().launch_template_name("nodes");
    let options = LaunchTemplateInstanceMetadataOptionsRequest::builder();
    let data = RequestLaunchTemplateData::builder().image_id(IMAGE);
    let data = data.metadata_options(options.http_tokens("optional".into()).build()).build();
    let make = make.launch_template_data(data);
    let make = make.tag_specifications(tags(ResourceType::LaunchTemplate, "big-x7k2p", "nodes"));
    make.send().await.expect("a launch template");
    desk.cloud.clear_requests();
    let of_cluster = ["--infra-id", "big-x7k2p", "--region", "us-west-2"];
    let lines = desk.audited(2, &of_cluster);
    let calls = desk.cloud.requests();
    // A page of EC2 has up to 1,000 machines, and a call of CloudWatch 500 metrics.
    assert_eq!(
        calls.len(),
        9,
        "{:?}",
        calls.iter().map(|call| &call["action"]).collect::<Vec<_>>()
    );
    assert_eq!(of_type(&lines, "imds_machine").count(), 503);
    let template = of_type(&lines, "imds_template").next().expect("a template");
    assert_eq!(template["findings"], json!(["tokens-optional"]), "{template:#}");
}

#[test]
fn c85_what_cannot_be_read_is_unknown_and_not_clean() {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.deny(&["cloudwatch:GetMetricData", "ec2:GetInstanceMetadataDefaults"]);
    let ran = desk.expect(2, &["imds", "audit"]);
    assert!(ran.out.contains("Account defaults: unknown"), "{}", ran.out);
    assert!(ran.out.contains("use is unknown on 2"), "{}", ran.out);
    for action in ["cloudwatch:GetMetricData", "ec2:GetInstanceMetadataDefaults"] {
        assert!(ran.err.contains(&format!("hint: allow {action} to read it")), "{}", ran.err);
    }
    assert_eq!(ran.err.matches("warning[audit-incomplete]").count(), 2, "{}", ran.err);
    let policy: Value =
        serde_json::from_str(&desk.expect(0, &["policy", "iam", "--for", "audit"]).out).unwrap();
    desk.cloud.deny(&[]);
    desk.cloud.allow_only(&policy);
    desk.expect(0, &["imds", "audit"]);
}

#[test]
fn c85_no_machine_is_no_clean_audit() {
    let desk = Desk::new();
    desk.write_config("Optional", "a");
    desk.apply();
    for arguments in [
        &["--cluster", "demo", "--region", "us-east-1"][..],
        &["--infra-id", "nope-xxxxx", "--region", "us-west-2"],
    ] {
        let ran = desk.expect(2, &[&["imds", "audit"][..], arguments].concat());
        assert!(ran.err.contains("warning[audit-incomplete]: cluster "), "{}", ran.err);
        assert!(ran.err.contains(" has no machine in us-"), "{}", ran.err);
    }
    let unknown = ["plan", "--accept-imdsv1-use", "instance.master-9"];
    desk.write_config("Required", "a");
    let ran = desk.expect(64, &unknown);
    assert!(
        ran.err.contains("no resource of this cluster matches --accept-imdsv1-use"),
        "{}",
        ran.err
    );
}

#[test]
fn c85_an_audit_needs_a_cluster_and_a_region() {
    let desk = Desk::new();
    let ran = desk.expect(1, &["imds", "audit", "--cluster", "demo"]);
    assert!(ran.err.contains("demo"), "{}", ran.err);
    desk.expect(64, &["imds", "audit", "--days", "0"]);
    desk.expect(64, &["imds", "audit", "--all-clusters", "--infra-id", "demo-x7k2p"]);
}

#[test]
fn c86_tokens_become_required_only_where_v1_is_not_used_or_its_use_is_accepted() {
    let desk = Desk::new();
    desk.write_config("Optional", "a");
    desk.apply();
    let (master, bootstrap) = (desk.id_of("instance.master-0"), desk.id_of("instance.bootstrap"));
    desk.cloud.metrics(&json!({master.clone(): {"MetadataNoToken": {"0": 1204}}}));
    desk.write_config("Required", "a");
    desk.cloud.clear_requests();
    for arguments in [&["plan"][..], &["apply", "--auto-approve"]] {
        let ran = desk.expect(7, arguments);
        assert!(ran.out.contains("Plan: "), "the plan is shown: {}", ran.out);
        assert!(
            ran.err.contains("error[tokenless-requests]: a machine answered requests"),
            "{}",
            ran.err
        );
        let detail = format!("instance.master-0 ({master}): 1204 requests, last on ");
        assert!(ran.err.contains(&detail), "{}", ran.err);
        assert!(!ran.err.contains(&bootstrap), "only the machine with use: {}", ran.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
    let accept = ["--accept-imdsv1-use", "instance.master-*"];
    desk.expect(0, &[&["apply", "--auto-approve"][..], &accept].concat());
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn c86_an_unknown_use_is_a_warning() {
    let desk = Desk::new();
    desk.write_config("Optional", "a");
    desk.apply();
    desk.cloud.deny(&["cloudwatch:GetMetricData"]);
    desk.write_config("Required", "a");
    let ran = desk.expect(0, &["apply", "--auto-approve"]);
    assert!(ran.err.contains("warning[tokenless-unknown]"), "{}", ran.err);
    assert!(ran.err.contains("hint: allow cloudwatch:GetMetricData"), "{}", ran.err);
}

#[test]
fn c86_without_an_opinion_the_plan_says_what_decides() {
    let desk = Desk::new();
    desk.cloud.account_settings(&json!({"metadata_defaults": {"HttpTokens": "required"}}));
    let path = desk.path("install-config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    let silent: String = text
        .lines()
        .filter(|line| !line.contains("authentication:") && !line.contains("metadataService:"))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&path, silent).unwrap();
    let ran = desk.expect(0, &["plan", "--preflight"]);
    let note = "session tokens are required by the account default";
    assert!(ran.err.contains(note), "{}", ran.err);
}
