//! Partial plans (target, exclude), expectations, protection, and plans of drift only.

use aws_sdk_ec2::types::Tag;
use serde_json::Value;

use super::Desk;

/// Returns the smallest cluster after an apply.
fn made() -> Desk {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.clear_requests();
    desk
}

/// Changes the install-config by hand.
fn rewrite(desk: &Desk, old: &str, new: &str) {
    let path = desk.path("install-config.yaml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(old), "{old}");
    std::fs::write(path, text.replace(old, new)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_another_root_volume_replaces_exactly_that_machine_and_its_targets_stay() {
    let desk = made();
    let machine = desk.machine("master-0").await;
    let pool = "type: m5.2xlarge\n";
    rewrite(&desk, pool, &format!("{pool}      rootVolume: {{type: gp3, size: 200}}\n"));
    let ran = desk.expect(2, &["plan", "--detailed-exitcode", "--expect", "+1 ~0 -1"]);
    assert!(ran.out.contains("-/+ instance.master-0  replaced, because `root_volume.size` cannot"));
    assert!(ran.out.contains("root_volume.size: 120 -> 200 (forces replacement)"), "{}", ran.out);
    assert!(ran.out.contains("removes an etcd member"), "{}", ran.out);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    desk.apply();
    assert_eq!(desk.cloud.calls("RunInstances"), 1);
    assert_eq!(desk.cloud.calls("DeregisterTargets"), 0);
    assert_eq!(desk.cloud.calls("DeleteNetworkInterface"), 0);
    desk.cloud.settle("");
    assert_ne!(desk.machine_running("master-0").await, machine);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn p12_a_plan_that_is_not_as_expected_ends_before_any_call() {
    let desk = made();
    desk.expect(0, &["plan", "--out", "kept.plan", "--exclude", "instance.master-0"]);
    desk.write_config("Optional", "a");
    for (command, said) in [
        (
            &["plan", "--expect", "+0 ~0 -0"][..],
            "the plan has +0 ~2 -0, but --expect requires +0 \
             ~0 -0",
        ),
        (&["plan", "--expect", "-1", "--out", "no.plan"], "--expect requires -1"),
        (&["apply", "--auto-approve", "--expect", "+12"], "--expect requires +12"),
        (&["destroy", "--auto-approve", "--max-destroy", "7"], "but --max-destroy allows 7"),
    ] {
        let ran = desk.expect(7, command);
        assert!(ran.err.contains(said), "{}", ran.err);
        assert!(!ran.out.is_empty(), "what it would do is shown all the same");
    }
    assert!(!desk.path("no.plan").exists());
    assert_eq!(desk.cloud.mutating_calls(), 0);
    let ran = desk.expect(64, &["plan", "--expect", "12"]);
    assert!(ran.err.contains("+N, ~N and -N"), "{}", ran.err);
    desk.expect(0, &["apply", "--auto-approve", "--expect", "+0 ~2 -0", "--max-destroy", "0"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r3_tags_of_others_are_no_drift() {
    let desk = made();
    let machine = desk.machine("master-0").await;
    let autoscaler = Tag::builder().key("k8s.io/cluster-autoscaler/enabled").value("true").build();
    let owner = Tag::builder().key("aws-backup:owner").value("somebody").build();
    let request = desk.ec2().create_tags().resources(machine).tags(autoscaler).tags(owner);
    request.send().await.expect("tagged");
    let ran = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(ran.out.contains("No changes."), "{}", ran.out);
    desk.expect(0, &["plan", "--refresh-only", "--detailed-exitcode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn r4_what_somebody_deleted_is_made_anew_and_says_why() {
    let desk = made();
    let machine = desk.machine("master-0").await;
    desk.ec2().terminate_instances().instance_ids(machine).send().await.expect("terminated");
    desk.cloud.settle("");
    let ran = desk.expect(2, &["plan", "--detailed-exitcode", "--expect", "+1 ~0 -0"]);
    assert!(ran.out.contains("  functional  instance.master-0  deleted"), "{}", ran.out);
    assert!(ran.out.contains("  + instance.master-0  deleted outside groundplan"), "{}", ran.out);
    let only = desk.expect(2, &["plan", "--refresh-only", "--detailed-exitcode"]);
    assert!(
        only.out.ends_with("Drift: 0 security, 1 functional, 0 cosmetic. Nothing was changed.\n")
    );
    let lines = desk.expect(0, &["plan", "--refresh-only", "--json"]).lines();
    let drift: Vec<&Value> = lines.iter().filter(|line| line["type"] == "drift").collect();
    assert_eq!((drift.len(), &drift[0]["deleted"]), (1, &true.into()));
    assert_eq!(lines.last().unwrap()["functional"], 1);
    assert_eq!(desk.cloud.calls("RunInstances"), 0, "a look makes nothing");
    let unseen = desk.expect(0, &["plan", "--refresh=false", "--detailed-exitcode"]);
    assert!(unseen.out.contains("No changes."), "what is recorded is taken to be true");
}

#[test]
fn u1_in_a_pipe_there_is_no_colour_and_one_line_for_each_event() {
    let desk = Desk::new();
    let ran = desk.apply();
    assert!(!(ran.out.clone() + &ran.err).contains(['\u{1b}', '\r']), "{}", ran.out);
    let walk: Vec<&str> = ran.out.lines().filter(|line| line.contains(": ")).collect();
    let begun = walk.iter().filter(|line| line.ends_with(": Creating...")).count();
    let ended = walk.iter().filter(|line| line.contains(": Creation complete after ")).count();
    let added = ran.out.lines().find_map(|line| line.strip_prefix("Plan: ")).unwrap();
    let added: usize = added.split(' ').next().unwrap().parse().unwrap();
    assert_eq!((begun, ended), (added, added), "{}", ran.out);
}

#[test]
fn u3_results_go_to_standard_output_and_errors_to_standard_error() {
    let desk = Desk::new();
    let good = desk.expect(0, &["plan"]);
    assert!(good.out.contains("Plan: ") && !good.err.contains("Plan: "));
    for (code, command) in [
        (3, &["plan", "--config", "nowhere.yaml"][..]),
        (64, &["plan", "--target", "instance.mastr-0"]),
        (7, &["apply"]),
        (1, &["show", "nowhere.plan"]),
    ] {
        let bad = desk.expect(code, command);
        assert!(bad.out.is_empty(), "{command:?}: {}", bad.out);
        assert!(bad.err.starts_with("error: "), "{command:?}: {}", bad.err);
        assert!(bad.err.contains("hint: "), "{command:?}: {}", bad.err);
    }
    let bad = desk.expect(64, &["plan", "--target", "instance.mastr-0"]);
    assert!(bad.err.contains("did you mean `instance.master-0`?"), "{}", bad.err);
}

#[test]
fn u5_without_a_yes_nothing_is_done() {
    let desk = Desk::new();
    let ran = desk.expect(7, &["apply"]);
    assert!(ran.err.contains("cannot ask for confirmation without a terminal"), "{}", ran.err);
    assert!(ran.err.contains("--auto-approve"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[test]
fn a_part_is_applied_and_the_rest_is_what_the_next_plan_has() {
    let desk = Desk::new();
    let whole = desk.expect(0, &["plan"]);
    let total = |text: &str| -> usize {
        let line = text.lines().find_map(|line| line.strip_prefix("Plan: ")).unwrap();
        line.split(' ').next().unwrap().parse().unwrap()
    };
    let part = desk.expect(0, &["apply", "--auto-approve", "--target", "subnet.private-*"]);
    assert!(part.out.contains("  target        subnet.private-us-west-2a\n"), "{}", part.out);
    assert!(part.out.contains("vpc.main"), "{}", part.out);
    let rest = desk.expect(0, &["plan"]);
    assert_eq!(total(&part.out) + total(&rest.out), total(&whole.out));
    desk.expect(0, &["plan", "--exclude", "instance", "--out", "rest.plan"]);
    let ran = desk.expect(0, &["apply", "rest.plan", "--auto-approve"]);
    assert!(ran.out.contains("  exclude       instance.bootstrap"), "{}", ran.out);
    assert_eq!(desk.cloud.calls("RunInstances"), 0);
    let last = desk.expect(0, &["plan"]);
    assert!(last.out.contains("  + instance.master-0"), "{}", last.out);
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[test]
fn d7_what_is_protected_is_not_deleted_by_any_run_until_somebody_allows_it() {
    let desk = made();
    let ran = desk.expect(0, &["protect", "hosted_zone.int", "instance.master-*"]);
    assert!(ran.out.starts_with("hosted_zone.int is protected"), "{}", ran.out);
    let ran = desk.expect(64, &["protect", "hosted_zone.nit"]);
    assert!(ran.err.contains("did you mean `hosted_zone.int`?"), "{}", ran.err);
    let ran = desk.expect(7, &["destroy", "--auto-approve"]);
    assert!(ran.out.contains("[protected]"), "{}", ran.out);
    assert!(ran.err.contains(
        "deletes or replaces protected resources\n  hosted_zone.int\n  instance.master-0"
    ));
    let ran = desk.expect(7, &["apply", "--auto-approve", "--replace", "instance.master-0"]);
    assert!(ran.err.contains("groundplan unprotect instance.master-0"), "{}", ran.err);
    assert_eq!(desk.cloud.mutating_calls(), 0);

    desk.expect(0, &["unprotect", "instance.*"]);
    desk.expect(0, &["destroy", "--auto-approve", "--exclude", "hosted_zone.int"]);
    let left = desk.expect(0, &["state", "list"]);
    assert_eq!(left.out, "dhcp_options.main\nhosted_zone.int\nvpc.main\n");
    desk.expect(7, &["destroy", "--auto-approve"]);
    desk.expect(0, &["unprotect", "hosted_zone.int"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

/// A resource whose conflicting inputs collide with its replacement is deleted first, together with
/// the resources that reference it. The plan shows an order that AWS accepts.
#[test]
fn another_network_and_another_zone_are_planned_as_aws_lets_them_be_made() {
    let desk = made();
    rewrite(
        &desk,
        "platform:\n  aws:\n    region",
        "networking:\n  machineNetwork: [{cidr: 10.1.0.0/16}]\nplatform:\n  aws:\n    region",
    );
    let ran = desk.apply();
    let reason =
        "replaced, because it references `subnet.private-us-west-2a`, which must be deleted first";
    assert!(ran.out.contains(reason), "{}", ran.out);
    desk.expect(0, &["plan", "--detailed-exitcode"]);

    rewrite(&desk, "zones: [us-west-2a]", "zones: [us-west-2b]");
    let ran = desk.apply();
    assert!(ran.out.contains("  - subnet.private-us-west-2a"), "{}", ran.out);
    desk.expect(0, &["plan", "--detailed-exitcode"]);

    rewrite(&desk, "zones: [us-west-2b]", "zones: [us-west-2b, us-west-2c]");
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    rewrite(&desk, "zones: [us-west-2b, us-west-2c]", "zones: [us-west-2b]");
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_gone_is_made_anew_and_the_running_machines_get_it() {
    let desk = made();
    let before = desk.machine("master-0").await;
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let profiles = iam.list_instance_profiles().send().await.unwrap();
    let profile = profiles.instance_profiles().iter();
    let profile =
        profile.clone().find(|one| one.instance_profile_name().ends_with("master-profile"));
    let profile = profile.expect("the masters have a profile");
    let (name, role) = (profile.instance_profile_name(), profile.roles()[0].role_name());
    let call = iam.remove_role_from_instance_profile().instance_profile_name(name).role_name(role);
    call.send().await.unwrap();
    iam.delete_instance_profile().instance_profile_name(name).send().await.unwrap();
    desk.cloud.clear_requests();

    let plan = desk.expect(2, &["plan", "--detailed-exitcode"]).out;
    assert!(plan.contains("+ iam_instance_profile.master"), "{plan}");
    assert!(plan.contains("~ instance.master-0"), "{plan}");
    assert!(!plan.contains("instance.master-0  replaced"), "{plan}");
    desk.apply();
    assert_eq!(desk.cloud.calls("RunInstances") + desk.cloud.calls("TerminateInstances"), 0);
    assert_eq!(desk.machine("master-0").await, before);
    let found = desk.ec2().describe_iam_instance_profile_associations().send().await.unwrap();
    let id = iam.get_instance_profile().instance_profile_name(name).send().await.unwrap();
    let id = id.instance_profile().unwrap().instance_profile_id().to_owned();
    let associated = found.iam_instance_profile_associations().iter().any(|one| {
        one.instance_id() == Some(&before)
            && one.iam_instance_profile().and_then(|profile| profile.id()) == Some(&id)
    });
    assert!(associated, "{found:?}");
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_with_a_profile_of_the_user_are_never_associated_anew() {
    let desk = Desk::new();
    let iam = aws_sdk_iam::Client::new(&desk.cloud.sdk_config());
    let (name, role) = ("ours", "masters");
    let call = iam.create_role().role_name(role).assume_role_policy_document("{}");
    call.send().await.unwrap();
    iam.create_instance_profile().instance_profile_name(name).send().await.unwrap();
    let call = iam.add_role_to_instance_profile().instance_profile_name(name).role_name(role);
    call.send().await.unwrap();
    let pool = "type: m5.2xlarge\n";
    rewrite(&desk, pool, &format!("{pool}      iamProfile: {name}\n"));
    desk.apply();
    // Credentials that may not associate profiles can change everything else.
    desk.cloud.deny(&[
        "ec2:AssociateIamInstanceProfile",
        "ec2:DescribeIamInstanceProfileAssociations",
        "ec2:ReplaceIamInstanceProfileAssociation",
    ]);
    desk.cloud.clear_requests();
    rewrite(&desk, "authentication: Required", "authentication: Optional");
    desk.apply();
    assert!(desk.cloud.calls("ModifyInstanceMetadataOptions") > 0);
    assert_eq!(desk.cloud.calls("DescribeIamInstanceProfileAssociations"), 0);
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}
