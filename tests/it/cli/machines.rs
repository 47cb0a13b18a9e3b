//! Machines of manifests, from the rendered manifests to the deletion of the last machine.

use std::fs;

use serde_json::json;

use super::Desk;

pub(super) const INFRA_ID: &str = "demo-abcde";
/// The MachineSet of the workers among the manifests.
pub(super) const WORKERS: &str = "machines/99_openshift-cluster-api_worker-machineset-0.yaml";
pub(super) const SET: &str = "demo-abcde-worker-us-west-2a";
/// Part of the user data, which only machines may receive.
pub(super) const CANARY: &str = "canary-of-the-ignition";

/// Returns a cluster with its infrastructure and the manifests of its machines.
pub(super) fn up() -> Desk {
    let desk = Desk::new();
    fs::create_dir(desk.path("assets")).unwrap();
    for role in ["bootstrap", "master", "worker"] {
        let ignition = json!({"ignition": {"version": "3.2.0"}, "canary": CANARY});
        fs::write(desk.path(&format!("assets/{role}.ign")), ignition.to_string()).unwrap();
    }
    let metadata = json!({"clusterName": "demo", "clusterID": "3f2d4f5e-9a1b-4c6d-8e7f-0a1b2c3d4e5f",
        "infraID": INFRA_ID, "aws": {"region": "us-west-2"}});
    fs::write(desk.path("assets/metadata.json"), metadata.to_string()).unwrap();
    desk.expect(0, &["apply", "--auto-approve", "--no-bootstrap", "--assets", "assets"]);
    desk.expect(0, &["manifests", "--out", "machines", "--assets", "assets"]);
    desk
}

impl Desk {
    /// Sets the number of workers and their `authentication` in the manifests.
    pub(super) fn want(&self, replicas: u32, authentication: Option<&str>) {
        let text = fs::read_to_string(self.path(WORKERS)).unwrap();
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.contains("authentication:"));
        for line in &mut lines {
            let indent = &line[..line.len() - line.trim_start().len()];
            if line.trim_start().starts_with("replicas:") && indent.len() == 2 {
                *line = format!("{indent}replicas: {replicas}");
            } else if line.trim_start().starts_with("metadataServiceOptions:") {
                *line = match authentication {
                    Some(word) => {
                        format!("{indent}metadataServiceOptions:\n{indent}  authentication: {word}")
                    }
                    None => format!("{indent}metadataServiceOptions: {{}}"),
                };
            }
        }
        fs::write(self.path(WORKERS), lines.join("\n") + "\n").unwrap();
    }

    fn plan_machines(&self) -> String {
        self.expect(2, &["machines", "plan", "--manifests", "machines", "--detailed-exitcode"]).out
    }

    fn apply_machines(&self) -> String {
        let line = ["machines", "apply", "--manifests", "machines", "--auto-approve"];
        self.expect(0, &line).out
    }

    fn are_as_wanted(&self) {
        let line = ["machines", "plan", "--manifests", "machines", "--detailed-exitcode"];
        let plan = self.expect(0, &line).out;
        assert!(plan.contains("No changes."), "{plan}");
    }

    /// Returns the running workers with their `HttpTokens`.
    async fn workers(&self) -> Vec<(String, String)> {
        let workers =
            self.tokens().await.into_iter().filter(|(role, _)| role.starts_with("worker"));
        workers.collect()
    }
}

fn workers(count: u32, tokens: &str) -> Vec<(String, String)> {
    (0..count).map(|number| (format!("worker-us-west-2a-{number}"), tokens.to_owned())).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn machines_are_launched_scaled_and_destroyed_and_their_cluster_stays() {
    let desk = up();
    let before = desk.cloud.inventory();
    desk.want(3, Some("Required"));
    let plan = desk.plan_machines();
    assert!(
        plan.contains("Plan for cluster demo-abcde-machines (demo-abcde) in us-west-2"),
        "{plan}"
    );
    assert!(plan.contains("Plan: 3 to add, 0 to change, 0 to destroy."), "{plan}");
    assert!(plan.contains("http_tokens required"), "{plan}");
    assert!(plan.contains("demo-abcde-master-0 already exists (i-"), "{plan}");
    desk.apply_machines();
    assert_eq!(desk.workers().await, workers(3, "required"));
    desk.are_as_wanted();

    desk.want(6, Some("Required"));
    assert!(desk.plan_machines().contains("Plan: 3 to add, 0 to change, 0 to destroy."));
    desk.apply_machines();
    assert_eq!(desk.workers().await, workers(6, "required"));

    desk.want(2, Some("Required"));
    let plan = desk.plan_machines();
    assert!(plan.contains("Plan: 0 to add, 0 to change, 4 to destroy."), "{plan}");
    assert!((2..6).all(|number| plan.contains(&format!("  - machine.{SET}-{number}"))), "{plan}");
    desk.apply_machines();
    assert_eq!(desk.workers().await, workers(2, "required"));

    let first = desk.expect(7, &["destroy", "--auto-approve"]).err;
    assert!(first.contains("2 resources of the cluster's machines are still recorded"), "{first}");
    assert!(first.contains("groundplan machines destroy --cluster demo-abcde"), "{first}");
    let line = ["machines", "destroy", "--cluster", INFRA_ID, "--auto-approve"];
    let destroyed = desk.expect(0, &line).out;
    assert!(destroyed.ends_with("Destroy complete! Resources: 2 destroyed.\n"), "{destroyed}");
    assert_eq!(desk.cloud.inventory(), before);
    assert_eq!(desk.tokens().await.len(), 1, "the master runs on");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn c47_authentication_that_is_flipped_is_one_call_for_the_machine_and_replaces_nothing() {
    let desk = up();
    desk.want(1, Some("Optional"));
    desk.apply_machines();
    assert_eq!(desk.workers().await, workers(1, "optional"));
    let id = desk.machine_running("worker-us-west-2a-0").await;

    desk.want(1, Some("Required"));
    let plan = desk.plan_machines();
    assert!(plan.contains(&format!("  ~ machine.{SET}-0")), "{plan}");
    assert!(plan.contains("Plan: 0 to add, 1 to change, 0 to destroy."), "{plan}");
    desk.cloud.clear_requests();
    desk.apply_machines();
    assert_eq!(desk.cloud.calls("ModifyInstanceMetadataOptions"), 1);
    assert_eq!(desk.cloud.mutating_calls(), 1);
    assert_eq!(desk.workers().await, workers(1, "required"));
    assert_eq!(desk.machine_running("worker-us-west-2a-0").await, id);

    // No opinion: groundplan sends nothing, and the current setting stays.
    desk.want(1, None);
    desk.are_as_wanted();
    desk.cloud.clear_requests();
    desk.apply_machines();
    assert_eq!(desk.cloud.mutating_calls(), 0);
    assert_eq!(desk.workers().await, workers(1, "required"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_is_replaced_by_one_that_runs_and_outlives_a_launch_that_is_refused() {
    let desk = up();
    desk.want(2, Some("Required"));
    desk.apply_machines();
    let before = desk.cloud.inventory();
    let first = desk.machine_running("worker-us-west-2a-0").await;
    let small = fs::read_to_string(desk.path(WORKERS)).unwrap();
    fs::write(desk.path(WORKERS), small.replace("m5.xlarge", "m5.2xlarge")).unwrap();
    let plan = desk.plan_machines();
    assert!(plan.contains(&format!("+/- machine.{SET}-0")), "{plan}");
    assert!(plan.contains(&format!("2 running machines are replaced (2 of {SET})")), "{plan}");
    desk.cloud.fault(&json!({"action": "RunInstances", "times": 2, "status": 400,
        "code": "InvalidKeyPair.NotFound", "message": "no such key pair"}));
    let line = ["machines", "apply", "--manifests", "machines", "--auto-approve"];
    desk.expect(1, &line);
    assert_eq!(desk.cloud.inventory(), before);
    fs::write(desk.path(WORKERS), small.clone()).unwrap();
    desk.are_as_wanted();

    fs::write(desk.path(WORKERS), small.replace("m5.xlarge", "m5.2xlarge")).unwrap();
    desk.cloud.clear_requests();
    desk.apply_machines();
    let order = |action: &str| {
        let requests = desk.cloud.requests();
        let mut numbered = requests.iter().enumerate();
        let place = numbered.find(|(_, one)| one["action"] == action).map(|(place, _)| place);
        place.unwrap_or_else(|| panic!("no {action}"))
    };
    assert!(order("RunInstances") < order("TerminateInstances"));
    assert_eq!(desk.workers().await, workers(2, "required"));
    assert_ne!(desk.machine_running("worker-us-west-2a-0").await, first);
    desk.are_as_wanted();
}

#[tokio::test(flavor = "multi_thread")]
async fn k9_a_replacement_killed_between_the_new_one_and_the_old_one_ends_with_one() {
    let desk = up();
    desk.want(1, Some("Required"));
    desk.apply_machines();
    let mut types = ["m5.xlarge", "m5.2xlarge"];
    // The launch and the termination are the only mutating calls.
    for (call, when) in [(1, "before"), (1, "after"), (2, "before"), (2, "after")] {
        let text = fs::read_to_string(desk.path(WORKERS)).unwrap();
        fs::write(desk.path(WORKERS), text.replace(types[0], types[1])).unwrap();
        types.reverse();
        let line = ["machines", "apply", "--manifests", "machines", "--auto-approve"];
        desk.kill(&line, call, when);
        assert!(!desk.workers().await.is_empty(), "none runs, killed {when} call {call}");
        desk.apply_machines();
        assert_eq!(desk.workers().await, workers(1, "required"), "killed {when} call {call}");
        desk.are_as_wanted();
    }
}

#[test]
fn a_cluster_and_machines_whose_states_have_one_name_are_told_apart() {
    let desk = up();
    desk.want(1, Some("Required"));
    desk.apply_machines();
    let before = desk.cloud.inventory();
    let config = desk.path("install-config.yaml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("  name: demo\n", "  name: demo-abcde-machines\n")).unwrap();
    for line in [&["plan"][..], &["apply", "--auto-approve"]] {
        let refused = desk.expect(7, line).err;
        assert!(refused.contains("is the state of the machines of demo-abcde"), "{refused}");
        assert!(refused.contains("another metadata.name"), "{refused}");
    }
    let refused = desk.expect(7, &["destroy", "--auto-approve"]).err;
    assert!(refused.contains("is the state of the machines of demo-abcde"), "{refused}");
    assert_eq!(desk.cloud.inventory(), before, "the worker runs on");

    let manifests = desk.path("state/demo-abcde-machines");
    fs::remove_dir_all(&manifests).unwrap();
    desk.expect(0, &["apply", "--auto-approve"]);
    for line in [
        &["machines", "plan", "--manifests", "machines"][..],
        &["machines", "destroy", "--cluster", INFRA_ID, "--auto-approve"],
    ] {
        let refused = desk.expect(7, line).err;
        assert!(refused.contains("is the state of the cluster demo-abcde-machines-"), "{refused}");
    }
}

#[test]
fn a_lost_state_of_machines_is_found_again_and_the_plan_is_empty() {
    let desk = up();
    desk.want(2, Some("Required"));
    desk.apply_machines();
    let before = desk.cloud.inventory();
    let line = ["machines", "recover", "--manifests", "machines"];
    let refused = desk.expect(7, &line).err;
    assert!(refused.contains("a state already exists"), "{refused}");
    fs::remove_dir_all(desk.path("state/demo-abcde-machines")).unwrap();
    let found = desk.expect(0, &line).out;
    assert!(found.contains("Found 2 of 2 resources of demo-abcde."), "{found}");
    assert!(found.contains("demo-abcde-master-0"), "the cluster's own is told: {found}");
    desk.are_as_wanted();
    assert_eq!(desk.cloud.inventory(), before);
    let line = ["machines", "destroy", "--cluster", INFRA_ID, "--auto-approve"];
    let destroyed = desk.expect(0, &line).out;
    assert!(destroyed.ends_with("Destroy complete! Resources: 2 destroyed.\n"), "{destroyed}");
}

#[test]
fn a_destroy_takes_along_the_machines_whose_state_is_lost_and_names_them_before_it_begins() {
    let desk = up();
    desk.want(1, Some("Required"));
    desk.apply_machines();
    let before = desk.cloud.inventory();
    fs::remove_dir_all(desk.path("state/demo-abcde-machines")).unwrap();
    let shown = desk.expect(7, &["destroy", "--auto-approve", "--max-destroy", "0"]).out;
    assert!(shown.contains(&format!("  - swept.instance:{SET}-0 ")), "{shown}");
    assert!(!shown.contains("swept.instance:demo-abcde-master-0"), "{shown}");
    assert_eq!(desk.cloud.inventory(), before);
    let destroyed = desk.expect(0, &["destroy", "--auto-approve"]).out;
    assert!(destroyed.ends_with("remain.\n"), "{destroyed}");
}

#[test]
fn a_destroy_of_what_is_not_recorded_says_what_there_is() {
    let desk = up();
    desk.want(1, Some("Required"));
    desk.apply_machines();
    for name in ["demo", "demo-abcde-machines"] {
        let line = ["machines", "destroy", "--cluster", name, "--auto-approve"];
        let refused = desk.expect(1, &line).err;
        assert!(refused.contains("found state/demo-abcde-machines"), "{refused}");
        let meant = "`groundplan machines destroy --cluster demo-abcde`";
        assert!(refused.contains(meant), "{refused}");
    }
    let line = ["machines", "destroy", "--cluster", INFRA_ID, "--auto-approve"];
    desk.expect(0, &line);
    let again = desk.expect(0, &line);
    assert!(again.out.contains("0 destroyed"), "{}", again.out);
    assert!(
        again.err.contains("1 instance of demo-abcde is not recorded in this state"),
        "{}",
        again.err
    );
    assert!(again.err.contains("demo-abcde-master-0 (i-"), "{}", again.err);

    fs::remove_dir_all(desk.path("state/demo-abcde-machines")).unwrap();
    for whose in [["--cluster", INFRA_ID], ["--manifests", "machines"]] {
        let line = ["machines", "destroy", whose[0], whose[1], "--auto-approve"];
        let refused = desk.expect(1, &line).err;
        assert!(refused.contains("no state of machines of demo-abcde found"), "{refused}");
        assert!(refused.contains("untracked: demo-abcde-master-0 (i-"), "{refused}");
        assert!(refused.contains("groundplan machines recover"), "{refused}");
    }
}

#[test]
fn a_saved_plan_is_done_with_the_manifests_it_was_made_from_and_with_no_others() {
    let desk = up();
    desk.want(2, Some("Required"));
    let plan = |file| ["machines", "plan", "--manifests", "machines", "--out", file];
    let planned = desk.expect(0, &plan("two.plan")).out;
    let command = "groundplan machines apply --manifests machines two.plan";
    assert!(planned.contains(command), "{planned}");
    let apply = ["machines", "apply", "--manifests", "machines", "--auto-approve", "two.plan"];
    desk.want(5, Some("Required"));
    let stale = desk.expect(5, &apply).err;
    assert!(stale.contains("the manifests have changed since the plan was made"), "{stale}");
    desk.want(2, Some("Required"));
    let applied = desk.expect(0, &apply).out;
    assert!(applied.contains("Resources: 2 added"), "{applied}");
    desk.expect(5, &apply);
    let refused = desk.expect(64, &["apply", "--auto-approve", "two.plan"]).err;
    let command = "`groundplan machines apply --manifests PATH two.plan`";
    assert!(refused.contains("two.plan is a plan of machines"), "{refused}");
    assert!(refused.contains(command), "{refused}");
    desk.expect(0, &["plan", "--assets", "assets", "--no-bootstrap", "--out", "cluster.plan"]);
    let of_a_cluster =
        ["machines", "apply", "--manifests", "machines", "--auto-approve", "cluster.plan"];
    let refused = desk.expect(64, &of_a_cluster).err;
    assert!(refused.contains("`groundplan apply cluster.plan`"), "{refused}");
}

#[test]
fn hints_are_commands_for_machines_where_machines_are_meant() {
    let desk = up();
    desk.want(1, Some("Required"));
    let plan = ["machines", "plan", "--manifests", "machines", "--target", "subnet.x"];
    let refused = desk.expect(64, &plan).err;
    assert!(refused.contains("`groundplan machines plan --full`"), "{refused}");
    assert!(refused.contains("`groundplan state list --cluster demo-abcde-machines`"), "{refused}");
    desk.apply_machines();
    desk.expect(0, &["protect", "--cluster", "demo-abcde-machines", "machine.*"]);
    let destroy = ["machines", "destroy", "--cluster", INFRA_ID, "--auto-approve"];
    let refused = desk.expect(7, &destroy).err;
    let command = format!("groundplan unprotect --cluster demo-abcde-machines machine.{SET}-0");
    assert!(refused.contains(&command), "{refused}");
    desk.expect(0, &["unprotect", "--cluster", "demo-abcde-machines", "machine.*"]);
    desk.expect(0, &destroy);
}

#[test]
fn user_data_reaches_machines_and_nothing_that_is_written_or_said() {
    let desk = up();
    desk.want(1, Some("Required"));
    let plan = ["machines", "plan", "--manifests", "machines", "--full", "--out", "one.plan"];
    let mut said = format!("{:?}", desk.expect(0, &plan));
    let apply = ["machines", "apply", "--manifests", "machines", "--auto-approve", "--json"];
    said += &format!("{:?}", desk.expect(0, &apply));
    said += &fs::read_to_string(desk.path("one.plan")).unwrap();
    let state = desk.path("state/demo-abcde-machines");
    for entry in fs::read_dir(state).unwrap() {
        said += &fs::read_to_string(entry.unwrap().path()).unwrap_or_default();
    }
    let secret = "machines/99_openshift-cluster-api_worker-user-data-secret.yaml";
    let secret = fs::read_to_string(desk.path(secret)).unwrap();
    let encoded = secret.lines().find_map(|line| line.trim().strip_prefix("userData: ")).unwrap();
    assert!(!said.contains(CANARY) && !said.contains(encoded), "{said}");
    let run = desk.cloud.requests();
    let run = run.iter().rfind(|one| one["action"] == "RunInstances").unwrap();
    assert!(run.to_string().contains("UserData"), "{run}");
}

#[test]
fn what_is_wrong_is_found_in_its_file_before_anybody_is_asked() {
    let desk = up();
    desk.want(1, Some("required"));
    desk.cloud.clear_requests();
    let plan = |path| ["machines", "plan", "--manifests", path];
    let refused = desk.expect(3, &plan("machines")).err;
    assert!(refused.contains(&format!("{WORKERS}:")), "{refused}");
    assert!(refused.contains("did you mean `Required`?"), "{refused}");

    desk.want(1, Some("Required"));
    let refused = desk.expect(3, &plan(WORKERS)).err;
    assert!(
        refused.contains("the Secret `worker-user-data` is not among the manifests"),
        "{refused}"
    );
    let nothing = desk.expect(3, &plan("assets")).err;
    assert!(nothing.contains("no Machine or MachineSet found in assets"), "{nothing}");
    let missing = desk.expect(3, &plan("nowhere")).err;
    assert!(missing.contains("could not read nowhere"), "{missing}");
    assert!(desk.cloud.requests().is_empty());
    assert!(!desk.path("state/demo-abcde-machines").exists());
    desk.expect(64, &["machines", "plan"]);
    desk.expect(64, &["machines", "destroy"]);
}

#[test]
fn what_aws_does_not_have_is_found_where_it_is_asked_for() {
    let desk = up();
    desk.want(2, Some("Required"));
    let text = fs::read_to_string(desk.path(WORKERS)).unwrap();
    let odd = text.replace("demo-abcde-private-us-west-2a", "demo-abcde-nowhere");
    assert_ne!(odd, text);
    fs::write(desk.path(WORKERS), odd).unwrap();
    desk.cloud.clear_requests();
    let refused = desk.expect(3, &["machines", "plan", "--manifests", "machines"]).err;
    assert!(refused.contains("subnet.filters"), "{refused}");
    assert!(refused.contains(&format!("{WORKERS}:")), "{refused}");
    assert_eq!(
        refused.matches("no subnet in zone us-west-2a of the region matches").count(),
        1,
        "{refused}"
    );
    assert_eq!(desk.cloud.mutating_calls(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_whose_zone_is_not_that_of_its_subnet_is_refused_where_it_is_written() {
    let desk = up();
    desk.want(1, Some("Required"));
    let described = desk.ec2().describe_subnets().send().await.expect("subnets");
    let ours = |tag: &aws_sdk_ec2::types::Tag| tag.value() == Some("demo-abcde-private-us-west-2a");
    let subnet = described.subnets().iter().find(|subnet| subnet.tags().iter().any(ours));
    let subnet = subnet.and_then(|subnet| subnet.subnet_id()).expect("the subnet");
    let manifest = |zone: &str| {
        let text = fs::read_to_string(desk.path(WORKERS)).unwrap();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("id: subnet-"));
        let lines = lines.map(|line| {
            let indent = &line[..line.len() - line.trim_start().len()];
            match line.trim_start().split(' ').next() {
                Some("subnet:") => format!("{line}\n{indent}  id: {subnet}"),
                Some("availabilityZone:") => format!("{indent}availabilityZone: {zone}"),
                _ => line.to_owned(),
            }
        });
        fs::write(desk.path(WORKERS), lines.collect::<Vec<_>>().join("\n") + "\n").unwrap();
    };
    manifest("us-west-2b");
    let refused = desk.expect(3, &["machines", "plan", "--manifests", "machines"]).err;
    let message = format!("is `us-west-2b`, but the subnet {subnet} is in `us-west-2a`");
    assert!(refused.contains("providerSpec.value.placement.availabilityZone: "), "{refused}");
    assert!(refused.contains(&message) && refused.contains(&format!("{WORKERS}:")), "{refused}");
    manifest("us-west-2a");
    desk.expect(0, &["machines", "plan", "--manifests", "machines"]);
}

#[test]
fn a_name_that_aws_does_not_have_is_refused_before_a_worker_is_replaced_for_it() {
    let desk = up();
    desk.want(1, Some("Required"));
    desk.apply_machines();
    let before = desk.cloud.inventory();
    let good = fs::read_to_string(desk.path(WORKERS)).unwrap();
    let instance_type = good.lines().find(|line| line.contains("instanceType:")).unwrap();
    let indent = &instance_type[..instance_type.len() - instance_type.trim_start().len()];
    let named = good.replace("demo-abcde-worker-profile", "demo-abcde-wroker-profile").replace(
        instance_type,
        &format!("{instance_type}\n{indent}keyName: core\n{indent}placementGroupName: racks"),
    );
    fs::write(desk.path(WORKERS), named).unwrap();
    desk.cloud.clear_requests();
    let line = ["machines", "apply", "--manifests", "machines", "--auto-approve"];
    let refused = desk.expect(3, &line).err;
    for said in [
        "key pair `core` not found in us-west-2",
        "placement group `racks` not found",
        "instance profile `demo-abcde-wroker-profile` not found in this account",
    ] {
        assert!(refused.contains(said), "{said}: {refused}");
    }
    assert_eq!(refused.matches(&format!("{WORKERS}:")).count(), 3, "{refused}");
    assert_eq!((desk.cloud.mutating_calls(), desk.cloud.inventory()), (0, before.clone()));

    // Without permission for these lookups, the run continues with a warning.
    desk.cloud.deny(&["ec2:DescribeKeyPairs", "ec2:DescribePlacementGroups"]);
    fs::write(
        desk.path(WORKERS),
        good.replace(instance_type, &format!("{instance_type}\n{indent}keyName: core")),
    )
    .unwrap();
    let planned = desk.expect(0, &["machines", "plan", "--manifests", "machines"]);
    assert!(planned.err.contains("could not check the key pairs of us-west-2"), "{}", planned.err);
    assert!(planned.out.contains(&format!("+/- machine.{SET}-0")), "{}", planned.out);
    // A later rejection by AWS leaves no resources.
    desk.expect(1, &line);
    assert_eq!(desk.cloud.inventory(), before);
}

#[test]
fn a_lost_state_makes_no_second_machine_of_a_name() {
    let desk = up();
    desk.want(1, Some("Required"));
    desk.apply_machines();
    fs::remove_dir_all(desk.path("state/demo-abcde-machines")).unwrap();
    // The machine exists, so no second machine with the same name is created.
    let plan = desk.expect(0, &["machines", "plan", "--manifests", "machines"]).out;
    assert!(plan.contains(&format!("{SET}-0 already exists (i-")), "{plan}");
    assert!(plan.contains("No changes."), "{plan}");
}
