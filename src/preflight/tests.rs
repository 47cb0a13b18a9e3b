//! Tests from plans to demands, and from AWS's results to findings.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::adopt::adopt;
use groundplan_aws::kinds::machine::Machine;
use groundplan_aws::kinds::swept::FoundUntracked;
use groundplan_aws::model::metadata_options::MetadataService;
use groundplan_aws::model::quota::Quota;
use groundplan_aws::model::untracked::UntrackedKind;
use groundplan_aws::schemas;
use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::plan::{
    DriftClass, LiveState, Op, Plan, PlanOptions, Step, UnmanagedDrift, plan, plan_destroy,
};
use groundplan_engine::provider::{ErrorClass, Observed, ProviderError};
use groundplan_engine::state::{Record, RecordStatus, State};
use groundplan_openshift::test_support::example_cluster::ExampleCluster;
use groundplan_openshift::topology::Workers;
use serde_json::json;

use super::demands::{
    PreflightInputs, QuotaRequirement, boundary, instance_types, needs, permissions, rehearsals,
};
use super::judge::{DeniedAction, QuotaUse, SimulatedDenial, quota, simulated};

fn planned(graph: &Graph, state: &State) -> Plan {
    plan(graph, state, &LiveState::new(), &schemas(), &PlanOptions::default())
}

/// Calls `look` with a plan that creates the whole standard cluster.
fn anew(look: impl FnOnce(&PreflightInputs)) {
    let (graph, state) = (ExampleCluster::standard().graph(), State::default());
    let plan = planned(&graph, &state);
    look(&PreflightInputs { plan: &plan, graph: &graph, state: &state });
}

fn recorded(inputs: serde_json::Value, outputs: serde_json::Value) -> Record {
    let unknown = BTreeMap::new();
    Record {
        generation: 1,
        status: RecordStatus::Ready,
        inputs,
        outputs,
        after: vec![],
        prior_inputs: vec![],
        revert: vec![],
        unknown,
    }
}

fn pool_of(instance_type: &str, replicas: u32) -> Workers {
    let metadata_service = MetadataService::default();
    Workers {
        pool: "worker".into(),
        metadata_service,
        instance_type: instance_type.into(),
        replicas,
    }
}

fn workers(replicas: u32) -> Vec<Workers> {
    vec![pool_of("m6i.2xlarge", replicas)]
}

fn sizes() -> BTreeMap<String, u32> {
    [("m6i.xlarge".into(), 4), ("m6i.2xlarge".into(), 8)].into()
}

fn need(needs: &[QuotaRequirement], quota: Quota) -> u64 {
    needs.iter().filter(|need| need.quota == quota).map(|need| need.amount).sum()
}

#[test]
fn permissions_for_a_zone_of_another_account_are_those_of_its_role() {
    let set =
        |arns: &[&str]| -> BTreeSet<String> { arns.iter().map(|arn| (*arn).to_owned()).collect() };
    let (of_role, public) =
        ("arn:aws:route53:::hostedzone/Z0ROLE", "arn:aws:route53:::hostedzone/Z0PUBLIC");
    let mut permissions = BTreeMap::from([
        ("route53:ChangeResourceRecordSets".to_owned(), set(&[of_role, public])),
        ("route53:ChangeTagsForResource".to_owned(), set(&["*"])),
        ("ec2:CreateTags".to_owned(), set(&["*"])),
    ]);
    super::demands::leave_to_role(&mut permissions, "Z0ROLE");
    let expected = BTreeMap::from([
        ("ec2:CreateTags".to_owned(), set(&["*"])),
        ("route53:ChangeResourceRecordSets".to_owned(), set(&[public])),
    ]);
    assert_eq!(permissions, expected);
}

#[test]
fn each_call_is_rehearsed_once_with_the_plans_own_values() {
    anew(|site| {
        let calls = rehearsals(site);
        assert_eq!(calls["ec2:CreateVpc"].inputs["cidr"], "10.0.0.0/16");
        assert_eq!(calls["ec2:CreateSubnet"].inputs["vpc"], "vpc-00000000000000000");
        let machine = &calls["ec2:RunInstances"];
        assert_eq!(machine.inputs["metadata_options"]["http_tokens"], "required");
        assert_eq!(machine.inputs["image"], "ami-0demo");
        assert_eq!(machine.id, "i-00000000000000000");
        // Tags are part of the creating call, and the plan deletes nothing.
        assert!(!calls.contains_key("ec2:CreateTags"));
        assert!(!calls.keys().any(|action| action.starts_with("ec2:Delete")), "{calls:?}");
        assert!(calls.len() >= 17, "{:?}", calls.keys());
    });
}

#[test]
fn of_what_was_found_only_the_calls_of_its_type_are_asked_about() {
    let mut state = State::default();
    let find = |what, id: &str, name: &str| FoundUntracked {
        what,
        id: id.into(),
        name: Some(name.into()),
        network: None,
    };
    let found = [
        find(UntrackedKind::Instance, "i-1", "demo-worker"),
        find(UntrackedKind::User, "demo-x7k2p-registry", "demo-x7k2p-registry"),
        find(UntrackedKind::Bucket, "demo-x7k2p-images", "demo-x7k2p-images"),
    ];
    adopt(&state, &found).iter().for_each(|entry| state.record(entry).unwrap());
    let observed = LiveState::new();
    let plan = plan_destroy(&state, &observed, &schemas(), &PlanOptions::default());
    let site = PreflightInputs { plan: &plan, graph: &Graph::default(), state: &state };
    let wanted = permissions(&site, "123456789012", "aws");
    let on = |action: &str| wanted[action].iter().map(String::as_str).collect::<Vec<_>>();
    assert_eq!(on("ec2:TerminateInstances"), ["*"]);
    assert_eq!(on("iam:DeleteUser"), ["arn:aws:iam::123456789012:user/demo-x7k2p-registry"]);
    assert_eq!(on("s3:DeleteBucket"), ["arn:aws:s3:::demo-x7k2p-images"]);
    assert_eq!(on("s3:DeleteObject"), ["arn:aws:s3:::demo-x7k2p-images/*"]);
    assert!(!wanted.contains_key("ec2:DeleteVpc"), "{wanted:?}");
    let calls = rehearsals(&site);
    assert_eq!(calls.keys().copied().collect::<Vec<_>>(), ["ec2:TerminateInstances"]);
    assert_eq!(calls["ec2:TerminateInstances"].id, "i-1");
}

#[test]
fn a_boundary_is_known_to_the_simulation_and_its_removal_takes_its_own_action() {
    anew(|site| assert_eq!(boundary(site), None));
    let mut world = ExampleCluster::standard();
    let arn = "arn:aws:iam::123456789012:policy/boundary";
    world.config.aws.permissions_boundary = Some(arn.into());
    let bounded = world.graph();
    let state = State::default();
    let plan = planned(&bounded, &state);
    let site = PreflightInputs { plan: &plan, graph: &bounded, state: &state };
    assert_eq!(boundary(&site), Some(arn.into()));
    let wanted = permissions(&site, "123456789012", "aws");
    assert!(!wanted.contains_key("iam:PutRolePermissionsBoundary"), "a part of CreateRole");

    let role = &bounded.get(&Address::from("iam_role.worker")).unwrap().inputs;
    let mut without = role.clone();
    without.as_object_mut().unwrap().remove("permissions_boundary");
    let changes = |before: &serde_json::Value, after: &serde_json::Value| {
        let address = Address::from("iam_role.worker");
        let mut state = State::default();
        let outputs = json!({"name": "r", "arn": "a"});
        state.resources.insert(address.clone(), recorded(before.clone(), outputs));
        let (before, inputs) = (before.clone(), after.clone());
        let (after, revert) = (vec![], vec![]);
        let op = Op::Update { address, generation: 1, before, inputs, after, revert };
        let mut plan = planned(&Graph::default(), &State::default());
        plan.steps.push(Step { op, after: vec![] });
        let site = PreflightInputs { plan: &plan, graph: &Graph::default(), state: &state };
        permissions(&site, "123456789012", "aws").into_keys().collect::<Vec<_>>()
    };
    assert_eq!(changes(role, &without), ["iam:DeleteRolePermissionsBoundary"]);
    assert_eq!(changes(&without, role), ["iam:PutRolePermissionsBoundary"]);
    assert_eq!(changes(role, role), Vec::<String>::new());
}

#[test]
fn actions_are_asked_about_on_the_resources_that_policies_name() {
    anew(|site| {
        let wanted = permissions(site, "123456789012", "aws");
        let on = |action: &str| wanted[action].iter().map(String::as_str).collect::<Vec<_>>();
        let role = |name| format!("arn:aws:iam::123456789012:role/demo-x7k2p-{name}-role");
        let roles = ["bootstrap", "master", "worker"].map(role);
        assert_eq!(on("iam:CreateRole"), roles);
        assert_eq!(on("iam:PutRolePolicy"), roles);
        assert_eq!(on("iam:PassRole"), roles);
        assert_eq!(on("s3:CreateBucket"), ["arn:aws:s3:::demo-x7k2p-bootstrap"]);
        let object = "arn:aws:s3:::demo-x7k2p-bootstrap/bootstrap.ign";
        assert_eq!(on("s3:PutObject"), [object]);
        assert_eq!(
            on("route53:ChangeResourceRecordSets"),
            ["*", "arn:aws:route53:::hostedzone/Z0PUBLIC"]
        );
        assert_eq!(on("ec2:RunInstances"), ["*"]);
        assert_eq!(on("elasticloadbalancing:CreateLoadBalancer"), ["*"]);
        assert!(!wanted.contains_key("ec2:DeleteVpc"), "nothing is deleted");
    });
}

#[test]
fn a_change_in_place_asks_for_what_it_changes() {
    let world = ExampleCluster::standard();
    let graph = world.graph();
    let mut state = State::default();
    let master = graph.get(&"instance.master-0".into()).unwrap();
    let mut inputs = master.inputs.clone();
    inputs["metadata_options"]["http_tokens"] = json!("optional");
    let outputs = json!({"id": "i-1", "private_ip": "10.0.0.4"});
    state.resources.insert("instance.master-0".into(), recorded(inputs, outputs));
    let mut plan = planned(&graph, &state);
    plan.steps.retain(|step| step.op.address().as_str() == "instance.master-0");
    let calls = rehearsals(&PreflightInputs { plan: &plan, graph: &graph, state: &state });
    let names: Vec<_> = calls.keys().copied().collect();
    assert_eq!(names, ["ec2:ModifyInstanceMetadataOptions"]);
    assert_eq!(calls["ec2:ModifyInstanceMetadataOptions"].id, "i-1");
}

#[test]
fn a_revert_asks_for_what_it_reverts() {
    let graph = ExampleCluster::standard().graph();
    let address = Address::from("instance.master-0");
    let (inputs, outputs) = (graph.get(&address).unwrap().inputs.clone(), json!({"id": "i-1"}));
    let mut state = State::default();
    state.resources.insert(address.clone(), recorded(inputs.clone(), outputs.clone()));
    let (running, stopped) = (json!("running"), json!("stopped"));
    let drift = UnmanagedDrift::change(DriftClass::Functional, "state", running, stopped);
    let live = Observed::Present { inputs, outputs, unmanaged: vec![drift] };
    let options = PlanOptions { revert_drift: true, ..PlanOptions::default() };
    let live = LiveState::from([(address.clone(), live)]);
    let mut plan = plan(&graph, &state, &live, &schemas(), &options);
    plan.steps.retain(|step| *step.op.address() == address);
    let site = PreflightInputs { plan: &plan, graph: &graph, state: &state };
    let wanted = permissions(&site, "123456789012", "aws");
    assert_eq!(wanted.keys().collect::<Vec<_>>(), [&"ec2:StartInstances"]);
    assert_eq!(rehearsals(&site)["ec2:StartInstances"].id, "i-1");
}

#[test]
fn what_is_deleted_is_rehearsed_by_its_own_id() {
    let graph = Graph::default();
    let mut state = State::default();
    let subnet = json!({"vpc": "vpc-1", "cidr": "10.0.0.0/20", "zone": "us-west-2a", "tags": {}});
    state.resources.insert("subnet.old".into(), recorded(subnet, json!({"id": "subnet-1"})));
    let plan = planned(&graph, &state);
    let calls = rehearsals(&PreflightInputs { plan: &plan, graph: &graph, state: &state });
    assert_eq!(calls["ec2:DeleteSubnet"].id, "subnet-1");
    assert_eq!(calls.len(), 1);
}

#[test]
fn a_cluster_that_begins_needs_room_for_its_workers_too() {
    anew(|site| {
        assert_eq!(instance_types(site, &workers(3)).len(), 2);
        let needs = needs(site, &workers(3), &sizes());
        // Three masters and a bootstrap with four vCPUs each, three workers with eight each.
        let vcpus = needs.iter().find(|need| need.quota == Quota::StandardVcpus).unwrap();
        assert_eq!((vcpus.amount, &*vcpus.what_for), (40, "bootstrap 4, masters 12, workers 24"));
        assert_eq!(need(&needs, Quota::Addresses), 3);
        assert_eq!(need(&needs, Quota::Vpcs), 1);
        assert_eq!(need(&needs, Quota::InternetGateways), 1);
        assert_eq!(need(&needs, Quota::NetworkBalancers), 2);
        assert_eq!(need(&needs, Quota::SecurityGroups), 3);
        assert_eq!(need(&needs, Quota::GatewayEndpoints), 1);
        let nat = needs.iter().filter(|need| need.quota == Quota::NatGateways);
        let nat: Vec<_> = nat.map(|need| (&*need.zone, need.amount)).collect();
        assert_eq!(nat, [("us-west-2a", 1), ("us-west-2b", 1), ("us-west-2c", 1)]);
    });
}

#[test]
fn a_machine_that_is_replaced_needs_what_it_grows_by() {
    let graph = ExampleCluster::standard().graph();
    let mut state = State::default();
    for (name, instance_type) in [("master-0", "m5.large"), ("bootstrap", "m5.xlarge")] {
        let address = Address::new("instance", name);
        let mut inputs = graph.get(&address).unwrap().inputs.clone();
        inputs["instance_type"] = json!(instance_type);
        let outputs = json!({"id": "i-1", "private_ip": "10.0.0.4"});
        state.resources.insert(address, recorded(inputs, outputs));
    }
    let options =
        PlanOptions { replace: ["instance.bootstrap".into()].into(), ..PlanOptions::default() };
    let plan = plan(&graph, &state, &LiveState::new(), &schemas(), &options);
    let site = PreflightInputs { plan: &plan, graph: &graph, state: &state };
    let sizes = [("m5.large", 2), ("m5.xlarge", 4), ("m6i.xlarge", 4)];
    let sizes = sizes.map(|(name, vcpus)| (name.to_owned(), vcpus)).into();
    let needs = needs(&site, &[], &sizes);
    let vcpus = needs.iter().find(|need| need.quota == Quota::StandardVcpus).unwrap();
    // Two masters are new, one grows by two vCPUs, and the bootstrap keeps its size.
    assert_eq!((vcpus.amount, &*vcpus.what_for), (10, "masters 10"));
}

#[test]
fn a_machine_whose_successor_comes_first_needs_room_for_both() {
    let (address, wanted) = (Address::new("machine", "w-0"), Machine::example());
    let mut graph = Graph::default();
    graph.add("w-0", &Machine { instance_type: "m6i.2xlarge".into(), ..wanted.clone() });
    let before = json!(Machine { instance_type: "m6i.xlarge".into(), ..wanted });
    let mut state = State::default();
    state.resources.insert(address, recorded(before, json!({"id": "i-1"})));
    let plan = planned(&graph, &state);
    let needs =
        needs(&PreflightInputs { plan: &plan, graph: &graph, state: &state }, &[], &sizes());
    assert_eq!(need(&needs, Quota::StandardVcpus), 8);
}

#[test]
fn workers_of_a_cluster_that_runs_are_in_use_and_not_needed_again() {
    let graph = ExampleCluster::standard().graph();
    let mut state = State::default();
    let master = graph.get(&"instance.master-0".into()).unwrap();
    let outputs = json!({"id": "i-1", "private_ip": "10.0.0.4"});
    state.resources.insert("instance.master-0".into(), recorded(master.inputs.clone(), outputs));
    let plan = planned(&graph, &state);
    let site = PreflightInputs { plan: &plan, graph: &graph, state: &state };
    // Two masters and the bootstrap, four vCPUs each.
    let needs = needs(&site, &workers(3), &sizes());
    assert_eq!(need(&needs, Quota::StandardVcpus), 12);
}

#[test]
fn a_type_of_a_family_without_a_known_quota_counts_for_nothing() {
    let workers = vec![pool_of("p4d.24xlarge", 3)];
    let mut sizes = sizes();
    sizes.insert("p4d.24xlarge".into(), 96);
    anew(|site| assert_eq!(need(&needs(site, &workers, &sizes), Quota::StandardVcpus), 16));
}

#[test]
fn a_quota_that_does_not_suffice_shows_the_sum() {
    let need = QuotaRequirement {
        quota: Quota::StandardVcpus,
        zone: String::new(),
        amount: 120,
        what_for: "masters 24, workers 96".into(),
    };
    let finding = quota(&need, QuotaUse { in_use: 64, limit: 128 }).unwrap();
    assert_eq!(finding.summary, "120 vCPU needed, 64 in use, limit 128");
    let detail = [
        "quota: Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances (ec2, L-1216C47A)",
        "needed for masters 24, workers 96",
        "56 over the limit",
    ];
    assert_eq!(finding.detail, detail);
    let hint = finding.hint.unwrap();
    assert!(hint.ends_with("--quota-code L-1216C47A --desired-value 184"), "{hint}");
    assert_eq!(quota(&need, QuotaUse { in_use: 8, limit: 128 }), None, "just enough");
    assert!(quota(&need, QuotaUse { in_use: 9, limit: 128 }).is_some());
}

#[test]
fn a_denied_call_names_the_action_the_caller_and_what_to_grant() {
    let message = "You are not authorized to perform this operation. Encoded authorization failure \
                   message: abcdef";
    let error = ProviderError::new(ErrorClass::Permanent, "RunInstances", message);
    let denied = DeniedAction::rehearsed("ec2:RunInstances", "instance.master-0", &error);
    let finding = denied.finding("arn:aws:iam::1:user/ops");
    assert_eq!(finding.summary, "ec2:RunInstances is not allowed");
    assert_eq!(
        finding.detail,
        [
            "needed for instance.master-0",
            "denied to arn:aws:iam::1:user/ops",
            "You are not authorized to perform this operation.",
        ]
    );
    let hint = finding.hint.unwrap();
    assert!(hint.starts_with("allow ec2:RunInstances for arn:aws:iam::1:user/ops"), "{hint}");
}

#[test]
fn a_rehearsal_knows_better_than_the_simulation() {
    let no = |actions: &[&str]| {
        let on = BTreeSet::from(["*".to_owned()]);
        let denial =
            SimulatedDenial { on, why: BTreeSet::from(["no policy of the caller's allows it"]) };
        actions.iter().map(|action| ((*action).to_owned(), denial.clone())).collect()
    };
    let denials: BTreeMap<_, _> = no(&["ec2:CreateVpc", "ec2:RunInstances", "iam:CreateRole"]);
    let allowed = BTreeSet::from(["ec2:CreateVpc".to_owned()]);
    let error = ProviderError::new(ErrorClass::Permanent, "RunInstances", "no");
    let found = [DeniedAction::rehearsed("ec2:RunInstances", "instance.master-0", &error)];
    let more = simulated(denials, &allowed, &found);
    assert_eq!(more[0].why, ["no policy of the caller's allows it"]);
    let more: Vec<_> = more.iter().map(|denied| &*denied.action).collect();
    assert_eq!(more, ["iam:CreateRole"], "allowed, said already, and new");
}
