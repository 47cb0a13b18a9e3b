//! Abnormal ends and the next run: signals, full disks, torn and damaged files. `crash.rs` and
//! `make crash-matrix` cover case K1, a kill at every call.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Child, Command, Output};

use groundplan_engine::state::snapshot;
use serde_json::{Value, json};

use super::crash::comparable;
use super::storms::calm;
use super::trouble::{Printed, end, signal, stop, until};
use super::{Desk, Ran};

const APPLY: &[&str] = &["apply", "--auto-approve"];
/// The steps of that apply that need nothing else.
const FIRST_STEPS: usize = 5;

impl Desk {
    /// Returns a desk whose first apply was killed half way.
    fn half_built() -> Self {
        let desk = Self::new();
        desk.kill(APPLY, 30, "after");
        desk.cloud.clear_requests();
        desk
    }

    fn journal(&self) -> std::path::PathBuf {
        self.path("state/demo/journal")
    }

    /// Runs an apply, and asserts that each resource exists exactly once.
    fn ends_well(&self) -> Ran {
        let ran = self.apply();
        assert_eq!(comparable(self), calm().built);
        self.expect(0, &["plan", "--detailed-exitcode"]);
        ran
    }

    /// Asserts that every command that needs the state fails with this message. No command makes a
    /// mutating call or changes the files.
    fn refuses(&self, why: &str, hint: &str) {
        let files = || {
            ["journal", "state.json"].map(|name| fs::read(self.path("state/demo").join(name)).ok())
        };
        let before = files();
        for command in [&["plan"][..], APPLY, &["destroy", "--auto-approve"]] {
            let ran = self.expect(1, command);
            assert!(ran.err.contains(why), "{command:?}: {}", ran.err);
            assert!(ran.err.contains(hint), "{command:?}: {}", ran.err);
            assert!(!ran.out.contains(" to add"), "{command:?}: {}", ran.out);
        }
        assert_eq!(self.cloud.mutating_calls(), 0);
        assert_eq!(files(), before);
    }
}

#[test]
fn k2_a_torn_record_is_left_out_with_a_warning() {
    let desk = Desk::half_built();
    let journal = fs::read(desk.journal()).unwrap();
    let last = journal[..journal.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    let torn = last + (journal.len() - last) / 2;
    fs::write(desk.journal(), &journal[..torn]).unwrap();
    let planned = desk.expect(0, &["plan"]);
    assert!(planned.err.starts_with("warning[state-repaired]: "), "{}", planned.err);
    assert!(planned.err.contains("journal"), "{}", planned.err);
    let recorded = journal.iter().filter(|&&byte| byte == b'\n').count();
    assert!(recorded > 20, "there was something to lose");
    assert!(!planned.out.contains("+ vpc.main "), "the VPC is not lost: {}", planned.out);
    desk.ends_well();
}

#[test]
fn k3_an_empty_journal_is_no_new_cluster() {
    let desk = Desk::half_built();
    fs::write(desk.journal(), "").unwrap();
    desk.refuses("journal", "hint: ");
}

#[test]
fn k3_neither_is_an_empty_snapshot_nor_both() {
    let desk = Desk::new();
    desk.apply();
    desk.cloud.clear_requests();
    fs::write(desk.path("state/demo/state.json"), "").unwrap();
    desk.refuses("state.json", "hint: ");
    fs::write(desk.journal(), "").unwrap();
    desk.refuses("state/demo", "hint: ");
}

#[test]
fn k4_a_flipped_byte_is_named_with_its_record() {
    let desk = Desk::half_built();
    let mut journal = fs::read(desk.journal()).unwrap();
    let middle = journal.len() / 2;
    let line = 1 + journal[..middle].iter().filter(|&&byte| byte == b'\n').count();
    journal[middle] ^= 1;
    fs::write(desk.journal(), &journal).unwrap();
    desk.refuses(&format!("line {line}"), "hint: ");
}

/// A limit on the file size, in blocks of 512 bytes, has the effect of a full disk.
#[test]
fn k5_on_a_full_disk_nothing_is_done_that_was_not_written_down() {
    for blocks in [4, 12, 30] {
        let desk = Desk::new();
        let ran = Ran::from(limited(&desk, blocks));
        assert_eq!(ran.code, Some(1), "{blocks}: {}", ran.err);
        assert!(ran.err.contains("could not write the journal"), "{blocks}: {}", ran.err);
        assert!(ran.err.contains("free some space"), "{blocks}: {}", ran.err);
        let announced = announced(&desk);
        let sent = tokens_sent(&desk);
        assert!(sent.is_subset(&announced), "{blocks}: {sent:?}, and announced {announced:?}");
        if blocks > 4 {
            assert!(!sent.is_empty(), "{blocks}: something was made before the disk was full");
        }
        desk.ends_well();
    }
}

fn limited(desk: &Desk, blocks: u32) -> Output {
    let program = desk.command(APPLY);
    let mut shell = Command::new("/bin/sh");
    let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    shell.args(["-c", &limit]).arg(program.get_program()).args(program.get_args());
    shell.current_dir(desk.folder.path()).env_clear();
    shell.envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.output().expect("a shell")
}

/// Returns the creation tokens of all recorded resources.
fn announced(desk: &Desk) -> BTreeSet<String> {
    let pulled = desk.expect(0, &["state", "pull"]);
    let state = snapshot::read(&mut pulled.out.into_bytes()).expect("a state").state;
    let current = state.resources.iter();
    current.map(|(address, record)| state.token(address, record.generation)).collect()
}

/// Returns the creation tokens in the calls.
fn tokens_sent(desk: &Desk) -> BTreeSet<String> {
    let requests = desk.cloud.requests();
    let mutating = requests.iter().filter(|call| call["mutating"] == true);
    let values = mutating.flat_map(|call| call["params"].as_object().expect("parameters").values());
    let tokens = values.filter_map(Value::as_str).filter(|value| value.starts_with("gp-"));
    tokens.map(str::to_owned).collect()
}

/// Starts an apply and returns it after some resources exist, while CreateSubnet calls are held.
fn under_way(desk: &Desk) -> Child {
    desk.cloud.hold(&["CreateSubnet"]);
    let child = desk.start(APPLY);
    desk.cloud.wait_for_held(1);
    child
}

/// Holds the first call of every step that can start, so that all of them are in flight when the
/// signal arrives. A run before it has created the first resource, which a new cluster creates alone.
/// Then answers them: every later call would be sent now.
#[test]
fn k6_after_the_first_interrupt_no_call_leaves_that_changes_anything() {
    let desk = Desk::new();
    desk.expect(0, &["apply", "--auto-approve", "--target", "dhcp_options.main"]);
    desk.cloud.clear_requests();
    desk.cloud.hold_changes();
    let mut child = desk.start(APPLY);
    let mut printed = Printed::by(&mut child);
    desk.cloud.wait_for_held(FIRST_STEPS);
    signal(&child, "-INT");
    let told = printed.up_to("stopping: no new calls are sent");
    assert!(told.contains(&format!("{FIRST_STEPS} calls in flight")), "{told}");
    let sent = desk.cloud.mutating_calls();
    assert_eq!(sent, FIRST_STEPS);
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.settle("");
    assert_eq!(desk.cloud.mutating_calls(), sent, "{:?}", changes(&desk));
    desk.ends_well();
}

/// Interrupts a run in the middle.
#[test]
fn k6_what_needs_what_is_in_flight_is_left_to_the_next_run() {
    let desk = Desk::new();
    let mut child = under_way(&desk);
    let _printed = stop(&mut child, "-INT");
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.settle("");
    for later in ["CreateNatGateway", "CreateLoadBalancer", "RunInstances"] {
        assert_eq!(desk.cloud.calls(later), 0, "{later} needs a subnet");
    }
    desk.ends_well();
}

fn changes(desk: &Desk) -> Vec<String> {
    let requests = desk.cloud.requests();
    let changes = requests.iter().filter(|call| call["mutating"] == true);
    changes.map(|call| call["action"].as_str().expect("an action").to_owned()).collect()
}

/// Creating a VPC takes several calls; the signal comes between two of them.
#[test]
fn k6_the_rest_of_a_step_under_way_waits_for_the_next_run() {
    let desk = Desk::new();
    desk.cloud.hold(&["AssociateDhcpOptions"]);
    let mut child = desk.start(APPLY);
    desk.cloud.wait_for_held(1);
    let _printed = stop(&mut child, "-INT");
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.settle("");
    assert_eq!(desk.cloud.calls("ModifyVpcAttribute"), 0);
    let ran = desk.ends_well();
    assert!(ran.out.contains("vpc.main: "), "{}", ran.out);
    assert_eq!(desk.cloud.calls("CreateVpc"), 1);
}

#[test]
fn k7_terminated_and_killed_a_moment_later() {
    let desk = Desk::new();
    desk.cloud.hold(&["RunInstances"]);
    let mut child = desk.start(APPLY);
    desk.cloud.wait_for_held(1);
    let _printed = stop(&mut child, "-TERM");
    child.kill().expect("SIGKILL");
    assert_eq!(end(&mut child), None, "it has waited for what is in flight");
    desk.cloud.release();
    desk.ends_well();
}

#[test]
fn k8_interrupted_twice() {
    let desk = Desk::new();
    let mut child = under_way(&desk);
    let _printed = stop(&mut child, "-INT");
    signal(&child, "-INT");
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.release();
    desk.ends_well();
}

#[test]
fn k10_what_is_done_is_not_done_again() {
    let desk = Desk::new();
    let mut child = under_way(&desk);
    until("some is done", || completed(&desk).len() > 10);
    let _printed = stop(&mut child, "-INT");
    desk.cloud.release();
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.settle("");
    let done = completed(&desk);
    desk.cloud.clear_requests();
    desk.ends_well();
    let again: Vec<_> = completed(&desk).intersection(&done).cloned().collect();
    assert_eq!(again, [""; 0]);
}

/// Returns the successful mutating calls with their parameters.
fn completed(desk: &Desk) -> BTreeSet<String> {
    let good = |call: &Value| call["mutating"] == true && call["status"] == 200;
    let requests = desk.cloud.requests();
    let done = requests.iter().filter(|call| good(call));
    done.map(|call| format!("{} {}", call["action"].as_str().unwrap(), call["params"])).collect()
}

#[test]
fn a5_what_was_made_is_waited_for_by_the_next_run() {
    let desk = Desk::new();
    desk.cloud.delay("nat_gateway_pending", 600.0);
    let mut child = desk.start(APPLY);
    // The first call is that of the preflight, which counts the gateways.
    desk.cloud.wait_for_calls(&["DescribeNatGateways"], 2);
    signal(&child, "-INT");
    assert_eq!(end(&mut child), Some(6));
    desk.cloud.advance(600.0);
    let ran = desk.ends_well();
    assert!(ran.out.contains("nat_gateway.us-west-2a: "), "{}", ran.out);
    assert_eq!(desk.cloud.calls("CreateNatGateway"), 1);
}

#[test]
fn a8_another_type_after_a_lack_of_capacity_is_another_request() {
    let desk = Desk::new();
    desk.cloud.fault(&json!({
        "action": "RunInstances", "times": null, "status": 500,
        "code": "InsufficientInstanceCapacity", "message": "try another type",
    }));
    let mut child = desk.start(APPLY);
    until("both machines are asked for", || tokens_of_machines(&desk).len() == 2);
    signal(&child, "-KILL");
    assert_eq!(end(&mut child), None);
    let before = tokens_of_machines(&desk);
    desk.cloud.clear_faults();
    desk.cloud.clear_requests();

    let config = fs::read_to_string(desk.path("install-config.yaml")).unwrap();
    let config = config.replace("m5.2xlarge", "m5.4xlarge");
    fs::write(desk.path("install-config.yaml"), config).unwrap();
    desk.apply();
    desk.expect(0, &["plan", "--detailed-exitcode"]);
    let after = tokens_of_machines(&desk);
    assert_eq!(after.len(), 2, "{after:?}");
    assert!(before.is_disjoint(&after), "{before:?} {after:?}");
}

/// The run is killed during the launch of its machines. Another person terminates them before the
/// next run.
#[tokio::test(flavor = "multi_thread")]
async fn a9_a_token_whose_machine_was_terminated_begins_a_new_life() {
    let desk = Desk::new();
    desk.cloud.hold(&["RunInstances"]);
    let mut child = desk.start(APPLY);
    until("both machines are asked for", || tokens_of_machines(&desk).len() == 2);
    signal(&child, "-KILL");
    assert_eq!(end(&mut child), None);
    desk.cloud.release();
    desk.cloud.settle("");
    let machines = || -> Vec<String> {
        let ids = desk.cloud.ids();
        let ids = ids["instance"].as_array().cloned().unwrap_or_default();
        ids.iter().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    assert_eq!(machines().len(), 2, "both are launched all the same");
    let terminated = desk.ec2().terminate_instances().set_instance_ids(Some(machines())).send();
    terminated.await.expect("terminated");
    let before = tokens_of_machines(&desk);
    desk.cloud.clear_requests();
    desk.apply();
    let refused: BTreeSet<_> = tokens_of_machines(&desk).intersection(&before).cloned().collect();
    assert_eq!(refused, before, "the old tokens were tried");
    assert_eq!(tokens_of_machines(&desk).len(), 4, "and two new ones made two machines");
    let running = desk.tokens().await;
    assert_eq!(running.len(), 2, "{running:?}");
    desk.expect(0, &["plan", "--detailed-exitcode"]);
}

/// The run is killed between the calls that add the rules of the security groups, and followed by a
/// destroy. Groups whose rules reference each other block each other's deletion.
#[test]
fn half_of_a_groups_rules_do_not_hold_up_a_destroy() {
    let desk = Desk::new();
    let bare = desk.cloud.inventory();
    desk.cloud.hold(&[
        "AuthorizeSecurityGroupEgress",
        "RevokeSecurityGroupEgress",
        "UpdateSecurityGroupRuleDescriptionsEgress",
    ]);
    let mut child = desk.start(APPLY);
    desk.cloud.wait_for_ended(&["AuthorizeSecurityGroupIngress"], 3);
    signal(&child, "-KILL");
    assert_eq!(end(&mut child), None);
    desk.cloud.hold_no_more();
    desk.expect(0, &["destroy", "--auto-approve"]);
    let tries = desk.cloud.calls("DeleteSecurityGroup");
    assert!(tries <= 6, "{tries} tries for three groups");
    // Calls that the killed run had in flight arrive too late to have an effect.
    desk.cloud.release();
    desk.cloud.settle("");
    assert_eq!(desk.cloud.inventory(), bare);
}

fn tokens_of_machines(desk: &Desk) -> BTreeSet<String> {
    let requests = desk.cloud.requests();
    let launches = requests.iter().filter(|call| call["action"] == "RunInstances");
    launches.map(|call| call["params"]["ClientToken"].as_str().unwrap().to_owned()).collect()
}

/// Deletes the state, as a lost disk would.
fn lose_the_state(desk: &Desk) {
    fs::remove_dir_all(desk.path("state")).expect("there was one");
    desk.cloud.clear_requests();
}

#[test]
fn r5_a_lost_state_is_recovered_by_tags_and_the_plan_is_empty() {
    let desk = Desk::new();
    let before = desk.cloud.inventory();
    desk.apply();
    let recorded = desk.expect(0, &["state", "list"]).out;
    let there = desk.cloud.inventory();
    let infra_id = desk.expect(0, &["show", "--json"]).out;
    let infra_id: Value = serde_json::from_str(&infra_id).unwrap();
    let infra_id = infra_id["cluster"]["infra_id"].as_str().unwrap().to_owned();
    lose_the_state(&desk);
    // Without a state, all resources would be planned as new.
    let lost = desk.expect(7, &["plan"]).err;
    assert!(lost.contains(&format!("groundplan recover --infra-id {infra_id}")), "{lost}");

    let ran = desk.expect(0, &["recover"]);
    let count = recorded.lines().count();
    let said = format!("Found {count} of {count} resources of {infra_id}.\n\nNothing in AWS was");
    assert!(ran.out.starts_with(&said), "{}", ran.out);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    assert_eq!(desk.cloud.inventory(), there);
    assert_eq!(desk.expect(0, &["state", "list"]).out, recorded);
    let planned = desk.expect(0, &["plan", "--detailed-exitcode"]);
    assert!(planned.out.contains("No changes."), "{}", planned.out);
    desk.apply();
    assert_eq!(desk.cloud.mutating_calls(), 0);
    // A recovery that was killed after its write left exactly this.
    let again = desk.expect(0, &["recover"]);
    assert_eq!(again.out, ran.out);
    assert_eq!(desk.expect(0, &["state", "list"]).out, recorded);
    desk.expect(0, &["protect", "vpc.main"]);
    desk.expect(0, &["unprotect", "vpc.main"]);
    let refused = desk.expect(7, &["recover"]);
    assert!(refused.err.contains("a state already exists"), "{}", refused.err);

    desk.expect(0, &["destroy", "--auto-approve"]);
    assert_eq!(desk.cloud.inventory(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_what_was_replaced_is_found_and_what_was_not_recorded_is_told() {
    let desk = Desk::new();
    desk.apply();
    desk.expect(0, &["apply", "--no-bootstrap", "--auto-approve"]);
    let machine = desk.machine("master-0").await;
    desk.ec2().terminate_instances().instance_ids(machine).send().await.expect("terminated");
    desk.expect(0, &["apply", "--no-bootstrap", "--auto-approve"]); // a second generation
    let recorded = desk.expect(0, &["show", "--json"]).out;
    let recorded: Value = serde_json::from_str(&recorded).unwrap();
    let infra_id = recorded["cluster"]["infra_id"].as_str().unwrap();
    let tag = aws_sdk_ec2::types::Tag::builder()
        .key(format!("kubernetes.io/cluster/{infra_id}"))
        .value("owned");
    let address = desk.ec2().allocate_address().send().await.expect("an address");
    let stray = address.allocation_id().expect("an id");
    let tagging = desk.ec2().create_tags().resources(stray).tags(tag.build());
    tagging.send().await.expect("tagged");
    lose_the_state(&desk);

    let ran = desk.expect(0, &["recover", "--infra-id", infra_id, "--json"]);
    assert_eq!(desk.cloud.mutating_calls(), 0);
    let lines = ran.lines();
    let of = |kind: &str| lines.iter().filter(|line| line["type"] == kind).collect::<Vec<_>>();
    let stray_only: Vec<_> = of("unclaimed").iter().map(|line| &line["id"]).collect();
    assert_eq!(stray_only, [stray]);
    let missing: Vec<_> =
        of("missing").iter().map(|line| line["address"].as_str().unwrap()).collect();
    assert!(missing.contains(&"instance.bootstrap"), "{missing:?}");
    assert!(!missing.contains(&"instance.master-0"), "{missing:?}");
    let again = desk.expect(0, &["show", "--json"]).out;
    let again: Value = serde_json::from_str(&again).unwrap();
    let lives = |state: &Value| -> Vec<_> {
        let all = state["resources"].as_array().unwrap().iter();
        all.map(|one| (one["address"].clone(), one["id"].clone())).collect()
    };
    assert_eq!(lives(&again), lives(&recorded));
    desk.expect(0, &["plan", "--no-bootstrap", "--detailed-exitcode"]);
}

/// A recovery reads an empty list of tags again: it is no proof that nothing exists. If it stays
/// empty, the network that carries the cluster's tag shows that something is wrong.
#[test]
fn r5_a_recovery_without_the_list_of_tokens_records_nothing() {
    let desk = Desk::new();
    desk.apply();
    let recorded = desk.expect(0, &["state", "list"]).out;
    let infra_id = desk.expect(0, &["show", "--json"]).out;
    let infra_id: Value = serde_json::from_str(&infra_id).unwrap();
    let infra_id = infra_id["cluster"]["infra_id"].as_str().unwrap().to_owned();
    lose_the_state(&desk);
    let recover = ["recover", "--infra-id", &infra_id];
    let empty = |times: Value| json!({"action": "DescribeTags", "service": "ec2", "kind": "empty", "times": times});
    desk.cloud.fault(&empty(Value::Null));
    let ran = desk.expect(1, &recover);
    desk.cloud.clear_faults();
    assert!(ran.err.contains("does not explain resources"), "{}", ran.err);
    assert!(desk.expect(7, &["plan"]).err.contains("groundplan recover"));
    for times in [1, 2] {
        desk.cloud.fault(&empty(json!(times)));
        desk.expect(0, &recover);
        desk.cloud.clear_faults();
        assert_eq!(desk.expect(0, &["state", "list"]).out, recorded, "{times}");
        assert_eq!(desk.cloud.mutating_calls(), 0);
        lose_the_state(&desk);
    }
}

/// Returns the groups of the cluster that still have the rule with which EC2 begins every group:
/// all outbound traffic, without a description.
async fn groups_that_let_everything_out(desk: &Desk) -> Vec<String> {
    let rules = desk.ec2().describe_security_group_rules().send().await.expect("rules");
    let ours = desk.ec2().describe_security_groups().send().await.expect("groups");
    let ours: BTreeSet<&str> = ours
        .security_groups()
        .iter()
        .filter(|group| group.group_name() != Some("default"))
        .filter_map(|group| group.group_id())
        .collect();
    let default = rules.security_group_rules().iter().filter(|rule| {
        let is_default = rule.is_egress() == Some(true)
            && rule.ip_protocol() == Some("-1")
            && rule.cidr_ipv4() == Some("0.0.0.0/0");
        is_default && rule.description().is_none_or(str::is_empty)
    });
    let groups = default.filter_map(|rule| rule.group_id()).filter(|id| ours.contains(id));
    groups.map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn r5_a_recovery_of_half_an_apply_leaves_no_rule_that_aws_itself_made() {
    for action in ["RevokeSecurityGroupEgress", "AuthorizeSecurityGroupIngress"] {
        let desk = Desk::new();
        let before = desk.cloud.inventory();
        desk.cloud.fault(&json!({
            "action": action, "kind": "error", "times": null, "status": 400,
            "code": "UnsupportedOperation", "message": "not now",
        }));
        desk.expect(1, APPLY);
        desk.cloud.clear_faults();
        assert!(!groups_that_let_everything_out(&desk).await.is_empty(), "as EC2 made them");
        lose_the_state(&desk);
        desk.expect(0, &["recover"]);
        assert_eq!(desk.cloud.mutating_calls(), 0);
        desk.ends_well();
        assert_eq!(groups_that_let_everything_out(&desk).await, [""; 0]);

        // What was found in part is also destroyed.
        desk.expect(0, &["destroy", "--auto-approve"]);
        assert_eq!(desk.cloud.inventory(), before, "{action}");
    }
}
