//! Invalid input is reported once and clearly. No run makes a mutating call or writes a file.

use aws_sdk_route53::types::{
    Change, ChangeAction, ChangeBatch, ResourceRecord, ResourceRecordSet, RrType,
};

use super::Desk;

/// Asserts that there was no mutating call and that there is no state.
fn untouched(desk: &Desk) {
    assert_eq!(desk.cloud.mutating_calls(), 0);
    assert!(!desk.path("state").exists());
}

#[test]
fn p9_a_wrong_value_is_named_with_its_place_and_nothing_is_called() {
    let desk = Desk::new();
    desk.write_config("required", "a");
    for command in [&["validate"][..], &["plan"], &["apply", "--auto-approve"]] {
        let ran = desk.expect(3, command);
        assert!(ran.err.contains("controlPlane.platform.aws.metadataService.authentication"));
        assert!(ran.err.contains("install-config.yaml:14:25"), "{}", ran.err);
        assert!(ran.err.contains("did you mean `Required`?"), "{}", ran.err);
        assert!(ran.out.is_empty(), "{}", ran.out);
    }
    assert!(desk.cloud.requests().is_empty());
    untouched(&desk);
}

#[test]
fn every_finding_is_a_line_for_programs() {
    let desk = Desk::new();
    desk.write_config("required", "a");
    let path = desk.path("install-config.yaml");
    let text = std::fs::read_to_string(&path).unwrap().replace("baseDomain", "basedomain");
    std::fs::write(path, text).unwrap();
    let lines = desk.expect(3, &["validate", "--json"]).lines();
    assert_eq!(lines[0]["type"], "version");
    let paths: Vec<_> = lines.iter().filter_map(|line| line["path"].as_str()).collect();
    assert!(paths.contains(&"controlPlane.platform.aws.metadataService.authentication"));
    assert!(paths.contains(&"baseDomain"), "{paths:?}");
}

#[test]
fn a_missing_file_is_one_message() {
    let desk = Desk::new();
    let ran = desk.expect(3, &["plan", "--config", "nowhere.yaml"]);
    assert!(
        ran.err.starts_with("error[file-unreadable]: could not read nowhere.yaml\n"),
        "{}",
        ran.err
    );
    let ran = desk.expect(3, &["plan", "--assets", "nowhere"]);
    assert!(ran.err.contains("could not read the assets in nowhere"), "{}", ran.err);
    let ran = desk.expect(3, &["apply", "nowhere.plan", "--auto-approve"]);
    assert!(ran.err.contains("could not read the plan nowhere.plan"), "{}", ran.err);
    assert!(desk.cloud.requests().is_empty());
    untouched(&desk);
}

#[test]
fn absent_credentials_are_one_message() {
    let desk = Desk::new();
    let mut command = desk.command(&["plan"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let ran = super::Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(
        ran.err.starts_with("error[credentials-missing]: could not reach AWS\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("AWS_PROFILE"), "{}", ran.err);
    untouched(&desk);
}

#[test]
fn an_endpoint_that_nobody_serves_is_one_message() {
    let desk = Desk::new();
    let mut command = desk.command(&["plan"]);
    command.env("AWS_ENDPOINT_URL", "http://127.0.0.1:1");
    let ran = super::Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(
        ran.err.starts_with("error[endpoint-unreachable]: could not reach AWS\n"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("AWS_ENDPOINT_URL"), "{}", ran.err);
    untouched(&desk);
}

/// Changes the install-config by hand.
fn rewrite(desk: &Desk, changes: &[(&str, &str)]) {
    let path = desk.path("install-config.yaml");
    let mut text = std::fs::read_to_string(&path).unwrap();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    std::fs::write(path, text).unwrap();
}

#[test]
fn all_that_aws_does_not_have_is_said_at_once_as_what_is_wrong_offline() {
    let desk = Desk::new();
    let changes = [
        ("ami-0abcdef1234567890", "ami-00000000000000bad"),
        ("zones: [us-west-2a]\n      type: m5.2xlarge", "type: m5.large\n      iamRole: mine"),
        ("zones: [us-west-2a]\n        type: m5.xlarge", "zones: [us-west-2z]\n        type: m9.x"),
        ("publish: Internal", "publish: External"),
    ];
    rewrite(&desk, &changes);
    let ran = desk.expect(3, &["plan"]);
    for said in [
        "baseDomain: there is no public hosted zone for example.com",
        "platform.aws.amiID: the image ami-00000000000000bad does not exist",
        "type: m5.large has 2 vCPU and 8192 MiB of memory",
        "expected at least 4 vCPU and 16384 MiB of memory",
        "controlPlane.platform.aws.iamRole: the role mine does not exist",
        "compute[0].platform.aws.zones[0]: us-west-2z is not an availability zone of us-west-2",
        "compute[0].platform.aws.type: us-west-2 has no instance type m9.x",
    ] {
        assert!(ran.err.contains(said), "{said}\n{}", ran.err);
    }
    assert!(ran.err.contains("type: m5.large\n   |             ^^^^^^^^ expected"), "{}", ran.err);
    let lines = desk.expect(3, &["plan", "--json"]).lines();
    let zones = lines.iter().find(|line| line["path"] == "compute[0].platform.aws.zones[0]");
    let zones = zones.expect("a line for programs");
    assert_eq!((&zones["line"], &zones["column"]), (&20.into(), &17.into()), "{zones}");
    untouched(&desk);
}

#[tokio::test]
async fn a_cluster_of_the_same_name_stops_the_plan_and_our_own_records_do_not() {
    let desk = Desk::new();
    rewrite(&desk, &[("publish: Internal", "publish: External")]);
    let dns = aws_sdk_route53::Client::new(&desk.cloud.sdk_config());
    let zone = dns.create_hosted_zone().name("example.com").caller_reference("theirs");
    let zone = zone.send().await.expect("a zone").hosted_zone.expect("it").id;
    let record = |action| async {
        let target = ResourceRecord::builder().value("api.elsewhere.example").build().unwrap();
        let record = ResourceRecordSet::builder()
            .name("api.demo.example.com")
            .r#type(RrType::Cname)
            .ttl(60)
            .resource_records(target)
            .build()
            .unwrap();
        let change = Change::builder().action(action).resource_record_set(record).build().unwrap();
        let batch = ChangeBatch::builder().changes(change).build().unwrap();
        let call = dns.change_resource_record_sets().hosted_zone_id(&zone).change_batch(batch);
        call.send().await.expect("changed");
    };
    record(ChangeAction::Create).await;
    let ran = desk.expect(3, &["plan"]);
    assert!(ran.err.contains("metadata.name: demo.example.com is in use"), "{}", ran.err);
    assert!(ran.err.contains(zone.rsplit('/').next().unwrap()), "{}", ran.err);
    assert!(ran.err.contains("install-config.yaml:3:9"), "{}", ran.err);
    record(ChangeAction::Delete).await;
    desk.apply();
    desk.expect(0, &["plan"]);
    let calls = |desk: &Desk| {
        let requests = desk.cloud.requests();
        requests.iter().filter(|one| one["action"] == "ListResourceRecordSets").count()
    };
    let before = calls(&desk);
    desk.expect(0, &["plan", "--refresh=false"]);
    assert_eq!(calls(&desk), before, "about what is made nothing is asked");
}

#[test]
fn a_check_that_is_not_allowed_is_a_warning() {
    let desk = Desk::new();
    let fault = serde_json::json!({
        "action": "DescribeInstanceTypes", "times": null, "status": 403,
        "code": "UnauthorizedOperation", "message": "You are not authorized.",
    });
    desk.cloud.fault(&fault);
    let ran = desk.expect(0, &["plan"]);
    assert!(
        ran.err.contains("warning[call-denied]: could not check the instance types m5.2xlarge"),
        "{}",
        ran.err
    );
    assert!(ran.err.contains("allow ec2:DescribeInstanceTypes"), "{}", ran.err);
}

#[test]
fn without_a_terminal_nothing_is_done_unless_it_was_approved() {
    let desk = Desk::new();
    for command in [&["apply"][..], &["apply", "--json"]] {
        let ran = desk.expect(7, command);
        assert!(format!("{}{}", ran.out, ran.err).contains("--auto-approve"), "{ran:?}");
    }
    assert_eq!(desk.cloud.mutating_calls(), 0);
    assert!(!desk.path("state/demo/journal").exists(), "nothing is recorded");
}

#[test]
fn wrong_usage_has_a_code_of_its_own_and_help_is_no_error() {
    let desk = Desk::new();
    for wrong in [&[][..], &["frobnicate"], &["plan", "--frob"], &["plan", "--parallelism", "0"]] {
        assert!(!desk.expect(64, wrong).err.is_empty());
    }
    assert!(desk.expect(0, &["help", "apply"]).out.contains("Exit codes:"));
    assert!(desk.expect(0, &["--version"]).out.starts_with("groundplan "));
}

#[test]
fn a_state_that_somebody_works_on_is_left_alone() {
    let desk = Desk::new();
    let guard = groundplan_engine::state::lock::acquire(&desk.path("state/demo"), "apply").unwrap();
    let ran = desk.expect(4, &["apply", "--auto-approve"]);
    let pid = std::process::id().to_string();
    assert!(ran.err.contains(&pid), "it says who holds it: {}", ran.err);
    drop(guard);
    desk.expect(0, &["plan"]);
}

#[test]
fn credentials_of_another_account_are_refused() {
    let desk = Desk::new();
    desk.apply();
    let mut command = desk.command(&["plan"]);
    let elsewhere = desk.cloud.another_account();
    command.envs(elsewhere.environment());
    let ran = super::Ran::from(command.output().unwrap());
    assert_eq!(ran.code, Some(1), "{}", ran.err);
    assert!(ran.err.contains(desk.cloud.account()), "{}", ran.err);
}

#[test]
fn a_standard_output_that_is_full_is_said_on_standard_error() {
    let desk = Desk::new();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("Linux has one");
    let ran = desk.command(&["plan"]).stdout(full).output().expect("the program starts");
    let err = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{err}");
    assert!(err.contains("could not write to standard output"), "{err}");
}

/// Returns the IDs of the subnets with the tag of a cluster.
async fn subnets_of(desk: &Desk) -> Vec<String> {
    let described = desk.ec2().describe_subnets().send().await.unwrap();
    let is_owned = |tags: &[aws_sdk_ec2::types::Tag]| {
        tags.iter().any(|tag| {
            tag.key().is_some_and(|key| key.starts_with("kubernetes.io/cluster/"))
                && tag.value() == Some("owned")
        })
    };
    let subnets = described.subnets().iter().filter(|subnet| is_owned(subnet.tags()));
    subnets.filter_map(|subnet| subnet.subnet_id().map(str::to_owned)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_network_of_another_cluster_is_refused_where_it_is_named() {
    let desk = Desk::new();
    desk.apply();
    let subnets = subnets_of(&desk).await;
    assert!(!subnets.is_empty());
    let listed = format!("region: us-west-2\n    subnets: [{}]", subnets.join(", "));
    rewrite(&desk, &[("name: demo", "name: second"), ("region: us-west-2", &listed)]);
    let calls = desk.cloud.mutating_calls();
    for command in [&["plan"][..], &["apply", "--auto-approve"]] {
        let ran = desk.expect(3, command);
        assert!(
            ran.err.contains("error[at-aws]: platform.aws.subnets[0]: the subnet "),
            "{}",
            ran.err
        );
        assert!(ran.err.contains("belongs to the cluster demo-"), "{}", ran.err);
        assert!(ran.err.contains("install-config.yaml:"), "{}", ran.err);
    }
    assert_eq!(desk.cloud.mutating_calls(), calls);
}

#[test]
fn tags_that_aws_refuses_late_are_refused_at_once() {
    let desk = Desk::new();
    for (tags, rule) in [
        ("team: a\n      Team: b", "tag-case"),
        ("team: a#b", "tag-portable"),
        ("\"team \": a", "tag-spaces"),
    ] {
        desk.write_config("Required", "a");
        rewrite(&desk, &[("team: a", tags)]);
        let lines = desk.expect(3, &["validate", "--json"]).lines();
        assert!(lines.iter().any(|line| line["rule"] == rule), "{rule}: {lines:#?}");
        desk.expect(3, &["apply", "--auto-approve"]);
    }
    assert!(desk.cloud.requests().is_empty());
    untouched(&desk);
}
