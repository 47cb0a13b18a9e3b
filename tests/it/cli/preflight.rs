//! Problems that would stop an apply half way are reported before its first mutating call.

use std::collections::BTreeSet;
use std::fs;

use groundplan_aws::preflight::iam_actions::actions;
use serde_json::json;

use super::Desk;

const APPLY: &[&str] = &["apply", "--auto-approve"];

#[test]
fn s4_a_call_denied_in_the_dry_run_stops_before_the_first_mutation() {
    let desk = Desk::new();
    desk.cloud.deny(&["ec2:RunInstances", "ec2:CreateVpc", "elasticloadbalancing:CreateListener"]);
    let ran = desk.expect(7, APPLY);
    for action in ["ec2:RunInstances", "ec2:CreateVpc", "elasticloadbalancing:CreateListener"] {
        assert!(
            ran.err.contains(&format!("error[call-denied]: {action} is not allowed\n")),
            "{}",
            ran.err
        );
        assert!(ran.err.contains(&format!("hint: allow {action} for arn:aws:")), "{}", ran.err);
    }
    assert!(ran.err.contains("needed for vpc.main"), "{}", ran.err);
    assert!(ran.err.contains("no identity-based policy allows the action"), "{}", ran.err);
    assert!(!ran.err.contains("xxxx"), "the encoded message is left out: {}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    // One dry run per action, for all its resources.
    let rehearsed = desk.cloud.rehearsals();
    let names: Vec<String> = rehearsed.iter().map(|call| call["action"].to_string()).collect();
    assert!(names.len() > 15, "{names:?}");
    let distinct: BTreeSet<&String> = names.iter().collect();
    assert_eq!(names.len(), distinct.len(), "{names:?}");

    desk.cloud.deny(&[]);
    desk.apply();
}

#[test]
fn s5_a_quota_that_does_not_suffice_stops_before_the_first_mutation_and_shows_the_sum() {
    let desk = Desk::new();
    // Eight vCPU each for a master and the bootstrap.
    desk.cloud.quotas(&json!({"L-1216C47A": 15, "L-0263D0A3": 0, "L-FE5A380F": 0}));
    let ran = desk.expect(7, APPLY);
    assert!(
        ran.err.contains("error[quota-exceeded]: 16 vCPU needed, 0 in use, limit 15\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("bootstrap 8, masters 8"), "{}", ran.err);
    assert!(ran.err.contains("(ec2, L-1216C47A)"), "{}", ran.err);
    assert!(ran.err.contains("1 Elastic IP address needed, 0 in use, limit 0"), "{}", ran.err);
    assert!(ran.err.contains("1 NAT gateway needed in us-west-2a, 0 in use"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);

    desk.cloud.quotas(&json!({"L-1216C47A": 16, "L-0263D0A3": 1, "L-FE5A380F": 1}));
    desk.apply();
}

#[test]
fn c84_an_account_that_enforces_tokens_stops_before_the_first_mutation() {
    let desk = Desk::new();
    desk.cloud.account_settings(&json!({"metadata_defaults": {
        "HttpTokensEnforced": "enabled", "ManagedBy": "declarative-policy",
        "ManagedExceptionMessage": "ask #cloud-security",
    }}));
    desk.write_config("Optional", "a");
    let ran = desk.expect(7, APPLY);
    let said = "error[tokens-required]: the account accepts only machines that require IMDSv2 in us-west-2\n";
    assert!(ran.err.contains(said), "{}", ran.err);
    for line in [
        "instance.master-0, instance.bootstrap: `authentication: Optional`\n",
        "set by a declarative policy of the organisation",
        "the organisation's message: ask #cloud-security\n",
        "hint: set `metadataService.authentication: Required`",
    ] {
        assert!(ran.err.contains(line), "{line}: {}", ran.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);

    desk.write_config("Required", "a");
    desk.apply();
    desk.write_config("Optional", "a");
    let back = desk.expect(7, APPLY);
    assert!(back.err.contains("error[tokens-required]"), "{}", back.err);
}

#[test]
fn c84_defaults_of_the_account_that_no_machine_survives_are_errors_of_one_run() {
    let desk = Desk::new();
    desk.cloud.account_settings(&json!({
        "metadata_defaults": {"InstanceMetadataTags": "enabled", "HttpEndpoint": "disabled"},
        "block_public_access": {"mode": "block-bidirectional"},
    }));
    let ran = desk.expect(7, APPLY);
    for code in ["metadata-tags-enabled", "metadata-endpoint-disabled", "internet-gateway-blocked"]
    {
        assert!(ran.err.contains(&format!("error[{code}]: ")), "{code}: {}", ran.err);
    }
    assert!(!ran.err.contains("tokens-required"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[test]
fn c84_settings_that_cannot_be_read_are_notes() {
    let desk = Desk::new();
    desk.cloud
        .deny(&["ec2:GetInstanceMetadataDefaults", "ec2:DescribeVpcBlockPublicAccessOptions"]);
    let ran = desk.expect(0, &["plan", "--preflight"]);
    for what in
        ["read the account's defaults for the metadata service", "read VPC Block Public Access"]
    {
        let note = format!("warning[preflight-incomplete]: could not {what}");
        assert!(ran.err.contains(&note), "{note}: {}", ran.err);
    }
}

#[test]
fn what_is_in_use_already_counts() {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.quotas(&json!({"L-1216C47A": 31}));
    let other = Desk::on(desk.cloud.clone());
    let path = other.path("install-config.yaml");
    let text = fs::read_to_string(&path).unwrap().replace("name: demo", "name: other");
    fs::write(path, text).unwrap();
    let ran = other.expect(7, APPLY);
    assert!(
        ran.err.contains("error[quota-exceeded]: 16 vCPU needed, 16 in use, limit 31\n"),
        "{}",
        ran.err
    );
}

#[test]
fn a_plan_is_asked_about_only_where_that_is_wanted_and_an_apply_can_go_without() {
    let desk = Desk::new();
    desk.cloud.deny(&["ec2:CreateVpc"]);
    desk.expect(0, &["plan"]);
    assert_eq!(desk.cloud.calls("SimulatePrincipalPolicy"), 0);
    let ran = desk.expect(7, &["plan", "--preflight"]);
    assert!(ran.out.contains("Plan:"), "the plan is shown, too: {}", ran.out);
    assert!(ran.err.contains("ec2:CreateVpc is not allowed"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    desk.cloud.deny(&[]);
    desk.cloud.quotas(&json!({"L-1216C47A": 1}));
    desk.expect(0, &["apply", "--auto-approve", "--preflight=false"]);
}

#[test]
fn what_cannot_be_found_out_is_a_note() {
    let desk = Desk::new();
    desk.cloud.deny(&["iam:SimulatePrincipalPolicy", "servicequotas:GetServiceQuota"]);
    let ran = desk.expect(0, &["plan", "--preflight"]);
    assert!(
        ran.err.contains("warning[preflight-incomplete]: could not simulate the caller's policies"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("warning[preflight-incomplete]: could not check quotas"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("allow servicequotas:GetServiceQuota"), "{}", ran.err);
    assert_eq!(
        ran.err.matches("warning[preflight-incomplete]: could not check quotas").count(),
        1,
        "{}",
        ran.err
    );
}

#[test]
fn a_plan_that_does_nothing_costs_nothing_and_a_small_one_little() {
    let desk = Desk::new();
    desk.apply();
    let asked = |desk: &Desk, arguments: &[&str]| {
        desk.cloud.clear_requests();
        desk.expect(0, arguments);
        desk.cloud.requests().len() + desk.cloud.rehearsals().len()
    };
    let plain = asked(&desk, &["plan"]);
    assert_eq!(asked(&desk, &["plan", "--preflight"]), plain);
    desk.write_config("Optional", "a");
    let plain = asked(&desk, &["plan"]);
    let more = asked(&desk, &["plan", "--preflight"]) - plain;
    // DescribeVpcs, ModifyInstanceMetadataOptions, SimulatePrincipalPolicy, GetInstanceMetadataDefaults.
    assert_eq!(more, 4, "{:#?}", desk.cloud.requests());
}

#[test]
fn an_endpoint_that_may_not_know_dry_runs_is_asked_for_none() {
    let desk = Desk::new();
    desk.cloud.fault(&json!({
        "action": "DescribeVpcs", "dry_run": true, "status": 400, "code": "UnknownParameter",
    }));
    let ran = desk.expect(0, &["plan", "--preflight"]);
    assert!(
        ran.err.contains("warning[preflight-incomplete]: no dry runs were made"),
        "{}",
        ran.err
    );
    assert_eq!(desk.cloud.rehearsals().len(), 1, "the one that does no harm");
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[test]
fn a_preflight_of_a_cluster_costs_as_many_calls_as_it_has_names_of_calls() {
    let desk = Desk::new();
    let lines = desk.expect(0, &["plan", "--preflight", "--json", "--verbose"]).lines();
    let calls = lines.iter().find(|line| line["type"] == "calls").expect("the calls");
    let by_action = calls["by_action"].as_object().expect("by action");
    let times = |action: &str| by_action.get(action).and_then(serde_json::Value::as_u64);
    assert_eq!(times("ec2:RunInstances"), Some(1), "{calls:#}");
    assert_eq!(times("ec2:CreateSubnet"), Some(1), "{calls:#}");
    assert_eq!(times("servicequotas:GetServiceQuota"), Some(8), "{calls:#}");
    assert_eq!(times("iam:SimulatePrincipalPolicy"), Some(5), "{calls:#}");
    assert!(calls["total"].as_u64() <= Some(55), "{calls:#}");
}

#[test]
fn the_table_of_actions_has_every_call_of_a_clusters_life() {
    let desk = Desk::new();
    desk.apply();
    desk.write_config("Optional", "b");
    desk.apply();
    desk.expect(0, &["destroy", "--auto-approve"]);
    let known: BTreeSet<&str> = groundplan_aws::preflight::iam_actions::kinds()
        .flat_map(|kind| {
            let of = actions(kind).expect("a kind has actions");
            of.all().collect::<Vec<_>>()
        })
        .collect();
    for call in desk.cloud.requests().iter().filter(|call| call["mutating"] == true) {
        let service = match call["service"].as_str().unwrap() {
            "elbv2" => "elasticloadbalancing",
            service => service,
        };
        let action = format!("{service}:{}", call["action"].as_str().unwrap());
        let action = if action == "s3:DeleteObjects" { "s3:DeleteObject" } else { &action };
        assert!(known.contains(action), "{action}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_that_executes_a_dry_run_gets_no_further_one() {
    let desk = Desk::new();
    desk.cloud.fault(&json!({ "kind": "execute" }));
    let ran = desk.expect(7, &["apply", "--auto-approve"]);
    let said = "the endpoint executed a dry run of ec2:CreateVpc";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert!(ran.err.contains("--preflight=false"), "{}", ran.err);
    let dry_runs = desk.cloud.rehearsals();
    let actions: Vec<&str> = dry_runs.iter().filter_map(|one| one["action"].as_str()).collect();
    assert_eq!(actions, ["DescribeVpcs", "CreateVpc"]);
    desk.cloud.clear_faults();
    let (_, made) = ran.err.split_once("created by dry runs: ").expect("an ID");
    let vpc = made.lines().next().unwrap_or_default();
    desk.ec2().delete_vpc().vpc_id(vpc).send().await.expect("deleted, as the hint says");
    desk.apply();
}

/// The field exists for accounts in which a role without the boundary is denied.
#[tokio::test]
async fn a_cluster_in_an_account_that_demands_a_permissions_boundary_needs_the_field() {
    let desk = Desk::new();
    let boundary = |arn: Option<&str>| {
        desk.write_config("Required", "a");
        let path = desk.path("install-config.yaml");
        let text = fs::read_to_string(&path).unwrap();
        let line = arn.map(|arn| format!("    permissionsBoundary: {arn}\n")).unwrap_or_default();
        fs::write(path, text.replace("    userTags:\n", &(line + "    userTags:\n"))).unwrap();
    };
    let arn = format!("arn:aws:iam::{}:policy/boundary", desk.cloud.account());
    desk.cloud.require_boundary(Some(&arn));
    // A role without a boundary has no value for the condition of the policy, in the simulation as in
    // the call.
    let ran = desk.expect(7, APPLY);
    assert!(ran.err.contains("error[call-denied]: iam:CreateRole is not allowed"), "{}", ran.err);
    assert!(ran.err.contains("set `platform.aws.permissionsBoundary`"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    let ran = desk.expect(1, &["apply", "--auto-approve", "--preflight=false"]);
    assert!(ran.err.contains("with an explicit deny in a permissions boundary"), "{}", ran.err);
    assert!(ran.err.contains("hint: set `platform.aws.permissionsBoundary` to"), "{}", ran.err);

    boundary(Some(&arn));
    let ran = desk.expect(3, &["plan"]);
    assert!(
        ran.err.contains(&format!("the policy {arn} does not exist in this account")),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("install-config.yaml:"), "{}", ran.err);
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let document = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
    ]});
    for name in ["boundary", "wider"] {
        let policy = iam.create_policy().policy_name(name).policy_document(document.to_string());
        policy.send().await.unwrap();
    }
    desk.expect(0, APPLY);
    let inventory = desk.cloud.inventory();
    let roles = inventory["role"].as_array().unwrap();
    assert!(roles.len() == 3 && roles.iter().all(|role| role["boundary"] == arn), "{roles:?}");
    let ran = desk.expect(0, &["plan"]);
    assert!(ran.out.contains("No changes."), "{}", ran.out);

    // The account refuses another one, and to go without, before the first change.
    boundary(Some(&arn.replace("policy/boundary", "policy/wider")));
    let ran = desk.expect(7, APPLY);
    assert!(ran.err.contains("iam:PutRolePermissionsBoundary is not allowed"), "{}", ran.err);
    desk.cloud.require_boundary(None);
    boundary(None);
    let ran = desk.expect(0, APPLY);
    assert!(ran.out.contains("permissions_boundary"), "{}", ran.out);
    let inventory = desk.cloud.inventory();
    let roles = inventory["role"].as_array().unwrap();
    assert!(roles.iter().all(|role| role["boundary"].is_null()), "{roles:?}");
    desk.expect(0, &["destroy", "--auto-approve"]);
}
