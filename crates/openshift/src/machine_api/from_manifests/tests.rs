//! Tests of machine files as users write them, and of the resulting graphs.

use groundplan_aws::registry::normalised;
use groundplan_aws::schemas;
use groundplan_engine::graph::{Address, ComparisonRules, resolve};
use groundplan_engine::plan::diff::diff;
use groundplan_engine::plan::{Action, FieldChange, LiveState, Op, Plan, PlanOptions, plan};
use groundplan_engine::state::{Record, RecordStatus, State};
use serde_json::json;

use super::*;
use crate::machine_api::yaml;
use crate::plan_review;

/// Content of the user data, which must not appear in any output.
const CANARY: &str = "canary-of-the-user-data";

/// Pointer to the provider config of a set.
const PROVIDER_SPEC: &str = "/spec/template/spec/providerSpec/value";

fn config() -> Value {
    json!({
        "apiVersion": "machine.openshift.io/v1beta1",
        "kind": "AWSMachineProviderConfig",
        "ami": {"id": "ami-1"},
        "instanceType": "m6i.large",
        "placement": {"region": "us-west-2", "availabilityZone": "us-west-2a"},
        "subnet": {"filters": [{"name": "tag:Name", "values": ["c-private-us-west-2a"]}]},
        "securityGroups": [{"id": "sg-1"}],
        "iamInstanceProfile": {"id": "c-worker-profile"},
        "userDataSecret": {"name": "worker-user-data"},
        "credentialsSecret": {"name": "aws-cloud-credentials"},
        "metadataServiceOptions": {"authentication": "Required"},
    })
}

fn labels(role: &str) -> Value {
    json!({
        "machine.openshift.io/cluster-api-cluster": "c",
        "machine.openshift.io/cluster-api-machine-role": role,
        "machine.openshift.io/cluster-api-machine-type": role,
    })
}

fn machine(name: &str, role: &str) -> Value {
    json!({
        "apiVersion": "machine.openshift.io/v1beta1",
        "kind": "Machine",
        "metadata": {"name": name, "namespace": "openshift-machine-api", "labels": labels(role)},
        "spec": {"providerSpec": {"value": config()}},
    })
}

fn set(name: &str, replicas: i32) -> Value {
    json!({
        "apiVersion": "machine.openshift.io/v1beta1",
        "kind": "MachineSet",
        "metadata": {"name": name, "namespace": "openshift-machine-api"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"machine.openshift.io/cluster-api-cluster": "c"}},
            "template": {
                "metadata": {"labels": labels("worker")},
                "spec": {"providerSpec": {"value": config()}},
            },
        },
    })
}

fn secret() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "worker-user-data", "namespace": "openshift-machine-api"},
        "stringData": {"userData": CANARY},
    })
}

/// Returns a file with these objects as documents.
fn file(name: &str, objects: &[Value]) -> ManifestFile {
    let texts: Vec<String> = objects.iter().map(yaml::write).collect();
    ManifestFile { name: name.into(), text: texts.join("---\n").into() }
}

fn reading(objects: &[Value]) -> (ReadResult, Vec<ManifestFile>) {
    let files = vec![file("machines.yaml", objects)];
    (read(&files), files)
}

/// Returns the errors in these objects.
fn errors(objects: &[Value]) -> Vec<Finding> {
    let (reading, _) = reading(objects);
    assert!(reading.fleet.is_none());
    let errors = reading.findings.into_iter().flatten();
    errors.filter(|finding| finding.severity() == crate::diagnostics::Severity::Error).collect()
}

/// Returns lookup results of an AWS account with one subnet.
fn answers(fleet: &MachineSpecs) -> BTreeMap<String, Value> {
    let subnet = json!([{"id": "subnet-1", "zone": "us-west-2a"}]);
    fleet.lookups().iter().map(|lookup| (lookup.key(), subnet.clone())).collect()
}

fn nobody() -> InstancesNamed {
    InstancesNamed::new()
}

fn compiled(objects: &[Value]) -> Compiled {
    let (reading, files) = reading(objects);
    let fleet = reading.fleet.unwrap_or_else(|| panic!("{:?}", reading.findings));
    fleet.compile(&answers(&fleet), &nobody(), &files).unwrap()
}

fn addresses(compiled: &Compiled) -> Vec<&str> {
    compiled.graph.nodes().iter().map(|node| node.address.as_str()).collect()
}

/// Returns the object with another value at a path.
fn with(mut object: Value, pointer: &str, value: Value) -> Value {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    object.pointer_mut(parent).unwrap()[name] = value;
    object
}

#[test]
fn a_set_of_three_is_three_machines_by_number_and_a_larger_one_has_the_same() {
    let three = compiled(&[set("c-worker", 3), secret()]);
    assert_eq!(
        addresses(&three),
        ["machine.c-worker-0", "machine.c-worker-1", "machine.c-worker-2"]
    );
    let six = compiled(&[set("c-worker", 6), secret()]);
    assert_eq!(six.graph.nodes()[..3], *three.graph.nodes());
    let node = &three.graph.nodes()[1].inputs;
    assert_eq!(node["tags"]["Name"], "c-worker-1");
    assert_eq!(node["tags"]["kubernetes.io/cluster/c"], "owned");
    assert_eq!(node["metadata_options"]["http_tokens"], "required");
    assert_eq!(node["interface"]["subnet"], "subnet-1");
}

#[test]
fn a_machine_that_somebody_else_made_is_left_alone_and_said() {
    let (reading, files) =
        reading(&[machine("c-master-0", "master"), set("c-worker", 2), secret()]);
    let fleet = reading.fleet.unwrap();
    let names: Vec<_> = fleet.names().collect();
    assert_eq!(names, ["c-master-0", "c-worker-0", "c-worker-1"]);
    let others = InstancesNamed::from([("c-master-0".to_owned(), vec!["i-1".into()])]);
    let compiled = fleet.compile(&answers(&fleet), &others, &files).unwrap();
    assert_eq!(addresses(&compiled), ["machine.c-worker-0", "machine.c-worker-1"]);
    assert_eq!(
        compiled.warnings,
        ["c-master-0 already exists (i-1), is not managed here, and is skipped"]
    );
}

#[test]
fn a_question_is_asked_once_however_many_machines_have_it() {
    let (reading, _) = reading(&[set("c-a", 500), set("c-b", 500), secret()]);
    let fleet = reading.fleet.unwrap();
    assert_eq!((fleet.size(), fleet.lookups().len()), (1000, 1));
}

#[test]
fn masters_take_turns_and_are_registered_where_their_config_says() {
    let balancers = json!([
        {"name": "c-int", "type": "network"},
        {"name": "c-old", "type": "classic"},
        {"name": "c-int", "type": "network"},
    ]);
    let master = |index: u32| {
        let machine = machine(&format!("c-master-{index}"), "master");
        with(machine, "/spec/providerSpec/value/loadBalancers", balancers.clone())
    };
    let compiled = compiled(&[master(0), master(1), machine("c-extra", "worker"), secret()]);
    let turns = [[Address::from("machine.c-master-0"), Address::from("machine.c-master-1")]];
    assert_eq!(compiled.graph.serial_groups(), turns);
    let attachment = &Address::from("load_balancer_attachment.c-master-0:c-int");
    let attachment = compiled.graph.get(attachment).unwrap();
    assert_eq!(
        attachment.inputs,
        json!({
            "load_balancer": "c-int",
            "kind": "network",
            "instance": {"$ref": "machine.c-master-0", "output": "id"},
            "ip": {"$ref": "machine.c-master-0", "output": "private_ip"},
        })
    );
    let of_kind = |kind| compiled.graph.nodes().iter().filter(|node| node.kind() == kind).count();
    assert_eq!((of_kind("machine"), of_kind("load_balancer_attachment")), (3, 4));
}

/// Returns the state after these objects have been applied.
fn recorded(before: &[Value]) -> State {
    let mut state = State::default();
    for node in compiled(before).graph.nodes() {
        let outputs = json!({"id": "i-1", "private_ip": "10.0.0.1"});
        let inputs = resolve(&node.inputs, &|r| outputs.get(&r.output).cloned());
        let (status, after, unknown) = (RecordStatus::Ready, node.after.clone(), BTreeMap::new());
        let record = Record {
            generation: 1,
            status,
            inputs,
            outputs,
            after,
            prior_inputs: vec![],
            revert: vec![],
            unknown,
        };
        state.resources.insert(node.address.clone(), record);
    }
    state
}

/// Returns the plan for the objects `after` when `before` has been applied.
fn planned(before: &[Value], after: &[Value]) -> Plan {
    let (graph, nothing) = (compiled(after).graph, LiveState::new());
    plan(&graph, &recorded(before), &nothing, &schemas(), &PlanOptions::default())
}

/// Returns true if a step depends on another one, directly or indirectly.
fn waits(plan: &Plan, step: usize, other: usize) -> bool {
    let needed = plan.steps[step].after.iter().map(|dependency| dependency.step as usize);
    needed.into_iter().any(|needed| needed == other || waits(plan, needed, other))
}

fn step(plan: &Plan, address: &str, deletes: bool) -> usize {
    let is_it = |op: &Op| op.address().as_str() == address && op.deletes() == deletes;
    plan.steps.iter().position(|step| is_it(&step.op)).unwrap_or_else(|| panic!("{address}"))
}

#[test]
fn a_master_is_made_anew_when_the_one_before_it_has_been_replaced_and_served_until_then() {
    let masters = |kind: &str| -> Vec<Value> {
        let balancers = json!([{"name": "c-int", "type": "network"}]);
        let config = with(config(), "/instanceType", json!(kind));
        let config = with(config, "/loadBalancers", balancers);
        let named = (0..2).map(|index| machine(&format!("c-master-{index}"), "master"));
        let masters = named.map(|one| with(one, "/spec/providerSpec/value", config.clone()));
        masters.chain([secret()]).collect()
    };
    let plan = planned(&masters("m6i.large"), &masters("m6i.xlarge"));
    assert!(plan.changes.iter().all(|change| change.action == Action::CreateThenDelete));
    let [first, second] = ["machine.c-master-0", "machine.c-master-1"];
    let registered = "load_balancer_attachment.c-master-0:c-int";
    for (later, earlier) in [
        (step(&plan, registered, false), step(&plan, first, false)),
        (step(&plan, registered, true), step(&plan, registered, false)),
        (step(&plan, first, true), step(&plan, registered, true)),
        (step(&plan, second, false), step(&plan, first, true)),
    ] {
        assert!(waits(&plan, later, earlier), "{later} {earlier} {plan:#?}");
    }
}

#[test]
fn under_another_name_each_machine_goes_when_one_that_is_new_is_there() {
    let plan = planned(&[set("c-a", 3), secret()], &[set("c-b", 2), secret()]);
    for (gone, made) in [("c-a-0", "c-b-0"), ("c-a-1", "c-b-1"), ("c-a-2", "c-b-0")] {
        let gone = step(&plan, &format!("machine.{gone}"), true);
        let made = step(&plan, &format!("machine.{made}"), false);
        assert!(waits(&plan, gone, made), "{plan:#?}");
    }
    let fewer = planned(&[set("c-a", 3), secret()], &[set("c-a", 1), secret()]);
    assert!(fewer.steps.iter().all(|step| step.after.is_empty()), "{fewer:#?}");
}

#[test]
fn what_is_done_to_machines_that_run_is_counted_and_said() {
    let of_type = |set: Value, kind: &str| {
        with(set, "/spec/template/spec/providerSpec/value/instanceType", json!(kind))
    };
    let before = [set("c-a", 3), set("c-b", 1), machine("c-infra", "infra"), secret()];
    let after =
        [of_type(set("c-a", 2), "m6i.xlarge"), of_type(set("c-b", 2), "r6i.large"), secret()];
    let cautions = plan_review::plan_warnings(&planned(&before, &after));
    let [replaced, removed] = cautions.as_slice() else { panic!("{cautions:#?}") };
    assert!(
        replaced.starts_with("3 running machines are replaced (2 of c-a, 1 of c-b)"),
        "{replaced}"
    );
    assert!(replaced.contains("all at the same time, without draining"), "{replaced}");
    assert!(replaced.contains("--target machine.c-a-0"), "{replaced}");
    assert!(
        removed.starts_with("2 running machines are deleted (1 of c-a, 1 of c-infra)"),
        "{removed}"
    );

    let same = plan_review::plan_warnings(&planned(&before, &before));
    assert!(same.is_empty(), "{same:?}");
    let one = plan_review::plan_warnings(&planned(&[set("c-b", 1), secret()], &after[1..]));
    assert!(one[0].starts_with("1 running machine is replaced (1 of c-b)"), "{one:?}");
}

/// Paths that the replacement of the set's only machine changes, and those without an opinion.
fn replaced(before: &Value, after: &Value) -> (Vec<String>, Vec<String>) {
    let of = |config: &Value| with(set("c-a", 1), PROVIDER_SPEC, config.clone());
    let plan = planned(&[of(before), secret()], &[of(after), secret()]);
    let [change] = plan.changes.as_slice() else { panic!("{plan:#?}") };
    assert_eq!(change.action, Action::CreateThenDelete, "{change:#?}");
    let line = |field: &FieldChange| {
        let side = |value: &Option<Value>| value.clone().unwrap_or(Value::Null);
        format!("{} {} {}", field.path, side(&field.before), side(&field.after))
    };
    let left = change.left.iter().map(|left| line(&left.field)).collect();
    (change.fields.iter().map(line).collect(), left)
}

/// Upstream: openshift/machine-api-provider-aws `getInstanceMarketOptionsRequest`. Absent and
/// `OnDemand` are the same; `Spot` and empty options are the same.
#[test]
fn machine_that_becomes_or_was_a_spot_instance_is_replaced() {
    let on_demand = config();
    let explicit = with(config(), "/marketType", json!("OnDemand"));
    let spot = with(config(), "/marketType", json!("Spot"));
    let free = with(config(), "/spotMarketOptions", json!({}));
    let dear = with(config(), "/spotMarketOptions", json!({"maxPrice": "0.25"}));
    let request = r#"{"spot":{"max_price":null}}"#;
    for (before, after, line) in [
        (&on_demand, &spot, format!(r#"market "on_demand" {request}"#)),
        (&explicit, &free, format!(r#"market "on_demand" {request}"#)),
        (&spot, &on_demand, format!(r#"market {request} "on_demand""#)),
        (&free, &explicit, format!(r#"market {request} "on_demand""#)),
        (&dear, &spot, r#"market.spot.max_price "0.25" "on_demand_price""#.to_owned()),
    ] {
        assert_eq!(replaced(before, after), (vec![line], vec![]));
    }
    for (before, after) in [(&on_demand, &explicit), (&explicit, &on_demand), (&spot, &free)] {
        let of = |config: &Value| with(set("c-a", 1), PROVIDER_SPEC, config.clone());
        let plan = planned(&[of(before), secret()], &[of(after), secret()]);
        assert!(plan.steps.is_empty(), "{plan:#?}");
    }
}

/// An omitted authentication is never a default value.
#[test]
fn replaced_machine_names_what_its_successor_does_not_have() {
    let before = with(config(), "/keyName", json!("k1"));
    let before = with(before, "/placementGroupName", json!("pg1"));
    let before = with(before, "/networkInterfaceType", json!("EFA"));
    let before = with(before, "/placement/tenancy", json!("dedicated"));
    let before = with(before, "/metadataServiceOptions", json!({"authentication": "Required"}));
    let after = with(config(), "/metadataServiceOptions", json!({}));
    let (fields, left) = replaced(&before, &after);
    let lines = [
        r#"interface.interface_type "efa" "ena""#,
        r#"key_name "k1" null"#,
        r#"placement.group "pg1" null"#,
        r#"placement.tenancy "dedicated" "default""#,
    ];
    assert_eq!(fields, lines);
    assert_eq!(left, [r#"metadata_options.http_tokens "required" null"#]);
}

#[test]
fn inputs_of_machines_come_back_from_their_kinds_as_they_were() {
    let mut master = machine("c-master-0", "master");
    let balancers = json!([{"name": "c-int", "type": "network"}]);
    master["spec"]["providerSpec"]["value"]["loadBalancers"] = balancers;
    let graph = compiled(&[master, set("c-worker", 1), secret()]).graph;
    let kinds: Vec<&str> = graph.nodes().iter().map(|node| node.address.kind()).collect();
    assert!(kinds.contains(&"machine") && kinds.contains(&"load_balancer_attachment"), "{kinds:?}");
    for node in graph.nodes() {
        let inputs = normalised(node.address.kind(), &node.inputs);
        assert_eq!(
            diff(ComparisonRules::default(), Some(&inputs), Some(&node.inputs)),
            [],
            "{}",
            node.address
        );
        assert_eq!(
            diff(ComparisonRules::default(), Some(&node.inputs), Some(&inputs)),
            [],
            "{}",
            node.address
        );
    }
}

#[test]
fn user_data_comes_from_the_secret_and_is_in_nothing_that_can_be_seen() {
    let objects = [set("c-worker", 1), secret()];
    let (reading, files) = reading(&objects);
    let fleet = reading.fleet.as_ref().unwrap();
    let compiled = fleet.compile(&answers(fleet), &nobody(), &files).unwrap();
    let inputs = &compiled.graph.nodes()[0].inputs;
    let digest: groundplan_engine::secret::Secret =
        serde_json::from_value(inputs["user_data"].clone()).unwrap();
    assert_eq!(compiled.graph.secrets().reveal(&digest), Some(CANARY.as_bytes()));
    let seen = format!("{reading:?} {files:?} {compiled:?} {inputs}");
    assert!(!seen.contains(CANARY), "{seen}");
}

#[test]
fn a_cluster_s_own_encoding_of_user_data_is_read_too() {
    use base64::Engine;
    let encoded = base64::engine::general_purpose::STANDARD.encode(CANARY);
    let secret = with(secret(), "/stringData", json!({}));
    let secret = with(secret, "/data", json!({"userData": encoded}));
    let compiled = compiled(&[machine("m", "worker"), secret]);
    let inputs = compiled.graph.nodes()[0].inputs["user_data"].clone();
    let digest = serde_json::from_value(inputs).unwrap();
    assert_eq!(compiled.graph.secrets().reveal(&digest), Some(CANARY.as_bytes()));
}

#[test]
fn without_its_secret_a_machine_has_nothing_to_start_from_and_is_told_where_to_get_it() {
    let found = errors(&[set("c-worker", 1)]);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].rule, Rule::MachineUserData);
    assert_eq!(found[0].path, "spec.template.spec.providerSpec.value.userDataSecret");
    assert!(found[0].place.is_some() && found[0].message.contains("`worker-user-data`"));
    assert!(found[0].hint.as_deref().unwrap().contains("groundplan manifests --assets"));
    // A set without machines needs no user data.
    assert!(compiled(&[set("c-worker", 0)]).graph.nodes().is_empty());
}

#[test]
fn a_secret_that_many_objects_lack_is_one_error_with_their_number() {
    let sets: Vec<Value> = (0..60).map(|n| set(&format!("workers-{n}"), 2)).collect();
    let found = errors(&sets);
    let missing: Vec<&Finding> =
        found.iter().filter(|one| one.rule == Rule::MachineUserData).collect();
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert_eq!(
        missing[0].message,
        "the Secret `worker-user-data` is not among the manifests; 59 more objects need it"
    );
}

#[test]
fn a_secret_that_machines_do_not_see_is_told_with_what_keeps_them_from_it() {
    let secret = |pointer: &str, value: &str| with(secret(), pointer, json!(value));
    for (odd, expected) in [
        (secret("/metadata/namespace", "default"), "is in the namespace `default`"),
        (secret("/kind", "secret"), "has the kind `secret`"),
        (secret("/apiVersion", "v1beta1"), "has the apiVersion `v1beta1`"),
    ] {
        let found = errors(&[set("c-worker", 1), odd]);
        assert_eq!((found.len(), found[0].rule), (1, Rule::MachineUserData), "{found:?}");
        let message = format!("the Secret `worker-user-data` {expected}, in machines.yaml");
        assert_eq!(found[0].message, message);
        let wanted = "a v1 Secret in the namespace `openshift-machine-api`";
        assert_eq!(found[0].expected.as_deref(), Some(wanted));
    }
    let both = [set("c-worker", 1), secret("/metadata/namespace", "default"), self::secret()];
    assert_eq!(compiled(&both).graph.nodes().len(), 1, "the one that they see is enough");
}

#[test]
fn of_two_secrets_of_one_name_nobody_knows_which_is_meant() {
    let other = with(secret(), "/stringData/userData", json!("an older one"));
    let files = [
        file("a.yaml", &[set("c-worker", 1), secret()]),
        file("b.yaml", std::slice::from_ref(&other)),
    ];
    let found = read(&files).findings.concat();
    let finding = found.iter().find(|one| one.rule == Rule::MachineUserData).unwrap();
    assert!(finding.message.contains("exists 2 times"), "{finding:?}");
    assert!(finding.hint.as_deref().unwrap().contains("a.yaml, b.yaml"), "{finding:?}");
    assert!(!format!("{found:?}").contains(CANARY));
    let twice = compiled(&[set("c-worker", 1), secret(), secret()]);
    assert_eq!(twice.graph.nodes().len(), 1, "the same one twice is one");
    let empty = with(secret(), "/stringData/userData", json!(""));
    let found = errors(&[set("c-worker", 1), empty]);
    assert!(found[0].message.contains("is empty"), "{found:?}");
}

/// Returns a config that references all types of resources.
fn naming() -> Value {
    let mut config = config();
    config["keyName"] = json!("core");
    config["placementGroupName"] = json!("racks");
    config["placementGroupPartition"] = json!(3);
    config["capacityReservationId"] = json!("cr-0123456789abcdef0");
    config["subnet"] = json!({"id": "subnet-1"});
    config["loadBalancers"] =
        json!([{"name": "c-int", "type": "network"}, {"name": "c-old", "type": "classic"}]);
    config
}

fn set_of(config: &Value) -> Value {
    with(set("c-worker", 2), "/spec/template/spec/providerSpec/value", config.clone())
}

fn fleet_of(objects: &[Value]) -> (MachineSpecs, Vec<ManifestFile>) {
    let (reading, files) = reading(objects);
    (reading.fleet.unwrap_or_else(|| panic!("{:?}", reading.findings)), files)
}

/// Returns the lookup results for [`naming`], with `answer` as the result of lookups of the type
/// `about`.
fn said(named: &ReferencedResources<'_>, about: &str, answer: &Value) -> BTreeMap<String, Value> {
    let there = json!({
        "capacity_reservations": ["cr-0123456789abcdef0"], "classic_load_balancers": ["c-old"], "image": {"root_device": "/dev/xvda"},
        "instance_profile": true, "instance_types": {"m6i.large": {}}, "key_pairs": ["core"],
        "load_balancers": ["c-int"], "placement_groups": {"racks": {"strategy": "partition", "partitions": 3}},
        "security_groups": {"sg-1": "vpc-1"}, "subnets_by": [{"id": "subnet-1", "zone": "us-west-2a"}],
    });
    let keys = named.lookups().into_iter().map(|lookup| lookup.key());
    let answered = keys.map(|key| {
        let kind = key.split('/').next().unwrap();
        let answer = if kind == about { answer } else { &there[kind] };
        (key.clone(), answer.clone())
    });
    answered.collect()
}

#[test]
fn what_new_machines_name_is_asked_about_once_and_found_missing_where_it_is_named() {
    let (fleet, files) = fleet_of(&[set_of(&naming()), secret()]);
    let named = fleet.named(&|_| true);
    assert_eq!(named.lookups().len(), 10, "{:?}", named.lookups());
    let found = |about: &str, answer: Value| {
        named.absent(&said(&named, about, &answer), &nobody(), &files).concat()
    };
    assert_eq!(found("", json!(null)), [], "all of it is there");
    for (about, answer, field, hint) in [
        ("capacity_reservations", json!([]), "capacityReservationId", None),
        ("classic_load_balancers", json!([]), "loadBalancers[1].name", None),
        ("image", json!(null), "ami.id", None),
        ("instance_profile", json!(false), "iamInstanceProfile.id", None),
        ("instance_types", json!({}), "instanceType", None),
        ("key_pairs", json!(["cores", "x"]), "keyName", Some("did you mean `cores`?")),
        ("load_balancers", json!(["c-ext"]), "loadBalancers[0].name", None),
        (
            "placement_groups",
            json!({"rack": {"strategy": "spread", "partitions": null}}),
            "placementGroupName",
            Some("did you mean `rack`?"),
        ),
        ("security_groups", json!({}), "securityGroups[0].id", None),
        ("subnets_by", json!([]), "subnet.id", None),
    ] {
        let found = found(about, answer);
        let [finding] = found.as_slice() else { panic!("{about}: {found:#?}") };
        assert!(finding.path.ends_with(&format!("spec.providerSpec.value.{field}")), "{finding:?}");
        assert_eq!((finding.rule, finding.hint.as_deref()), (Rule::MachineLaunch, hint), "{about}");
        assert!(finding.place.is_some(), "{about}");
    }
    assert_eq!(named.absent(&BTreeMap::new(), &nobody(), &files).concat(), [], "it is not set");
    let nothing = said(&named, "key_pairs", &json!([]));
    let others = ["c-worker-0", "c-worker-1"].map(|name| (name.to_owned(), vec!["i-1".into()]));
    assert_eq!(named.absent(&nothing, &others.into(), &files).concat(), [], "they are not made");
}

#[test]
fn a_subnet_in_another_zone_than_the_machine_names_is_found() {
    let mut config = naming();
    config["placement"]["availabilityZone"] = json!("us-west-2b");
    let (fleet, files) = fleet_of(&[set_of(&config), secret()]);
    let named = fleet.named(&|_| true);
    let found = named.absent(&said(&named, "", &json!(null)), &nobody(), &files).concat();
    let [finding] = found.as_slice() else { panic!("{found:#?}") };
    assert!(finding.path.ends_with("spec.providerSpec.value.placement.availabilityZone"));
    assert_eq!(finding.message, "is `us-west-2b`, but the subnet subnet-1 is in `us-west-2a`");
    assert!(finding.place.is_some());
    let recorded = fleet.named(&|_| false);
    assert_eq!(recorded.absent(&BTreeMap::new(), &nobody(), &files).concat(), [], "not made");
}

#[test]
fn a_partition_is_one_of_its_group() {
    let (fleet, files) = fleet_of(&[set_of(&naming()), secret()]);
    let named = fleet.named(&|_| true);
    for (group, expected) in [
        (
            json!({"strategy": "partition", "partitions": 2}),
            "is 3, but the placement group `racks` has 2",
        ),
        (
            json!({"strategy": "cluster", "partitions": null}),
            "`racks` with the strategy `cluster` has no partitions",
        ),
    ] {
        let answers = said(&named, "placement_groups", &json!({"racks": group}));
        let found = named.absent(&answers, &nobody(), &files).concat();
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].path.ends_with("placementGroupPartition"), "{found:?}");
        assert!(found[0].message.contains(expected), "{found:?}");
    }
}

#[test]
fn nothing_is_asked_about_what_runs_as_it_is_wanted() {
    let before = [set_of(&naming()), secret()];
    let asked = |after: &[Value]| -> Vec<String> {
        let (state, graph) = (recorded(&before), compiled(after).graph);
        let (fleet, _) = fleet_of(after);
        let named = fleet.named(&|address| is_made(&graph, &state, &schemas(), address));
        let kinds = named.lookups().into_iter().map(|lookup| lookup.key());
        kinds.map(|key| key.split('/').next().unwrap().to_owned()).collect()
    };
    assert_eq!(asked(&before), [""; 0]);
    let retagged = with(naming(), "/tags", json!([{"name": "team", "value": "a"}]));
    assert_eq!(asked(&[set_of(&retagged), secret()]), [""; 0], "that is done in place");
    let balancers = json!([{"name": "c-other", "type": "network"}]);
    let elsewhere = with(naming(), "/loadBalancers", balancers);
    assert_eq!(asked(&[set_of(&elsewhere), secret()]), ["load_balancers"]);
    let another = asked(&[set_of(&with(naming(), "/keyName", json!("cores"))), secret()]);
    assert_eq!(another.len(), 8, "all that a launch names: {another:?}");
    let more = asked(&[with(set_of(&naming()), "/spec/replicas", json!(3)), secret()]);
    assert_eq!(more.len(), 10, "{more:?}");
}

#[test]
fn user_data_that_cannot_be_read_or_sent_is_told_without_being_shown() {
    let odd = with(secret(), "/stringData", json!({}));
    let odd = with(odd, "/data", json!({"userData": format!("!{CANARY}")}));
    let found = errors(&[set("c-worker", 1), odd]);
    assert!(found[0].message.contains("no readable `userData`"), "{found:?}");
    assert!(!format!("{found:?}").contains(CANARY));
    let large = with(secret(), "/stringData/userData", json!("x".repeat(LONGEST + 1)));
    let found = errors(&[set("c-worker", 1), large]);
    assert_eq!(found[0].expected.as_deref(), Some("at most 16384, the limit of EC2"));
    let fits = with(secret(), "/stringData/userData", json!("x".repeat(LONGEST)));
    compiled(&[set("c-worker", 1), fits]);
}

const LONGEST: usize = groundplan_aws::model::USER_DATA_LIMIT;

#[test]
fn a_secret_that_is_no_yaml_is_not_quoted() {
    let text = format!("kind: Secret\ndata:\n  userData: [{CANARY}\n");
    let files = [ManifestFile { name: "secret.yaml".into(), text: text.clone().into() }];
    let findings = read(&files).findings.concat();
    assert_eq!((findings.len(), findings[0].place), (1, None), "{findings:?}");
    assert!(findings[0].message.ends_with("(line 3, column 13)"), "{findings:?}");
    let twice = format!("kind: Secret\nstringData:\n  userData: {CANARY}\n  userData: {CANARY}\n");
    let files = [ManifestFile { name: "secret.yaml".into(), text: twice.into() }];
    let told = format!("{:?}", read(&files).findings);
    assert!(told.contains("is set twice") && !told.contains(CANARY), "{told}");
    let shown = crate::install_config::render(&findings, "secret.yaml", &text, false);
    assert!(!shown.contains(CANARY), "{shown}");
}

#[test]
fn machines_of_two_clusters_or_regions_are_not_planned_together() {
    let label = "/metadata/labels/machine.openshift.io~1cluster-api-cluster";
    let mut other = machine("m2", "worker");
    *other.pointer_mut(label).unwrap() = json!("d");
    let found = errors(&[machine("m1", "worker"), other, secret()]);
    assert_eq!((found.len(), found[0].rule), (1, Rule::MachineCluster), "{found:?}");
    assert_eq!(found[0].expected.as_deref(), Some("`c`, as in the other manifests"));

    let mut elsewhere = machine("m1", "worker");
    *elsewhere.pointer_mut(label).unwrap() = json!("../../evil");
    let found = errors(&[elsewhere, secret()]);
    assert_eq!((found.len(), found[0].rule), (1, Rule::ObjectLabel), "{found:?}");
    assert!(found[0].expected.as_deref().unwrap().starts_with("an infra ID"), "{found:?}");

    let mut nobody = machine("m2", "worker");
    nobody["metadata"]["labels"] = json!({});
    let found = errors(&[machine("m1", "worker"), nobody, secret()]);
    assert!(found[0].message.ends_with("is missing"), "{found:?}");

    let region = "/spec/providerSpec/value/placement/region";
    let elsewhere = with(machine("m2", "worker"), region, json!("eu-west-1"));
    let zone = "/spec/providerSpec/value/placement/availabilityZone";
    let elsewhere = with(elsewhere, zone, json!("eu-west-1a"));
    let found = errors(&[machine("m1", "worker"), elsewhere, secret()]);
    assert_eq!(found[0].path, "spec.providerSpec.value.placement.region");
    assert_eq!(found[0].message, "is `eu-west-1`");
}

#[test]
fn who_says_no_region_follows_the_others() {
    let region = "/spec/providerSpec/value/placement/region";
    let silent = with(machine("m1", "worker"), region, json!(""));
    let (read, _) = reading(&[silent.clone(), machine("m2", "worker"), secret()]);
    assert_eq!(read.fleet.unwrap().region, "us-west-2");
    let found = errors(&[silent, secret()]);
    assert_eq!(found[0].rule, Rule::MachineRegion, "{found:?}");
}

#[test]
fn what_the_cluster_says_of_itself_is_heard() {
    let infrastructure = json!({
        "apiVersion": "config.openshift.io/v1",
        "kind": "Infrastructure",
        "metadata": {"name": "cluster"},
        "status": {
            "infrastructureName": "c",
            "platformStatus": {"type": "AWS", "aws": {
                "region": "us-west-2",
                "resourceTags": [{"key": "env", "value": "p"}],
                "ipFamily": "DualStackIPv6Primary",
            }},
        },
    });
    let compiled = compiled(&[machine("m", "worker"), infrastructure.clone(), secret()]);
    let inputs = &compiled.graph.nodes()[0].inputs;
    assert_eq!(inputs["tags"]["env"], "p");
    assert_eq!(inputs["interface"]["dual_stack"], "ipv6_primary");
    let other = with(infrastructure, "/status/infrastructureName", json!("d"));
    let found = errors(&[other, machine("m", "worker"), secret()]);
    assert_eq!(found[0].expected.as_deref(), Some("`d`, as in the other manifests"));
}

#[test]
fn two_of_one_name_are_one_too_many() {
    let found = errors(&[set("c-worker", 2), machine("c-worker-1", "worker"), secret()]);
    assert_eq!((found.len(), found[0].rule), (1, Rule::MachineName));
    assert_eq!(found[0].message, "defines the machine c-worker-1, which c-worker also defines");
    for (name, message) in [("", "is missing"), ("A b", "is not a valid object name")] {
        let found = errors(&[machine(name, "worker"), secret()]);
        assert_eq!(found[0].message, message);
    }
}

#[test]
fn what_a_cluster_looks_after_is_not_launched_again() {
    let provided = with(machine("m", "worker"), "/spec/providerID", json!("aws:///a/i-1"));
    let status = json!({"providerStatus": {"instanceId": "i-1"}});
    let launched = with(machine("m", "worker"), "/status", status);
    let written = with(set("c-worker", 3), "/status", json!({"replicas": 3}));
    assert_eq!(compiled(&[written.clone(), secret()]).graph.nodes().len(), 3);
    let scaled = with(written, "/metadata/uid", json!("9d2d4f5e"));
    for (object, path) in [
        (provided, "spec.providerID"),
        (launched, "status.providerStatus.instanceId"),
        (scaled, "status.replicas"),
    ] {
        let found = errors(&[object, secret()]);
        assert_eq!((found[0].rule, &*found[0].path), (Rule::MachineLookedAfter, path));
    }
}

#[test]
fn replicas_are_a_number_that_somebody_can_mean() {
    let silent = with(set("s", 3), "/spec/replicas", Value::Null);
    assert_eq!(compiled(&[silent, secret()]).graph.nodes().len(), 1);
    for odd in [-1, 10_001, i32::MAX] {
        let found = errors(&[set("s", odd), secret()]);
        assert_eq!((found[0].rule, &*found[0].path), (Rule::MachineReplicas, "spec.replicas"));
    }
}

#[test]
fn what_the_webhook_would_refuse_is_found_as_manifests_check_finds_it() {
    let odd = with(
        set("c-worker", 3),
        "/spec/template/spec/providerSpec/value/metadataServiceOptions",
        json!({"authentication": "required"}),
    );
    let files = [file("machines.yaml", &[odd, secret()])];
    let checked = validation::check(files[0].text.expose_secret()).findings;
    assert_eq!(checked[0].rule, Rule::MachineAuthentication);
    assert_eq!(read(&files).findings, [checked]);
    assert!(read(&files).fleet.is_none());
}

#[test]
fn a_misspelt_field_launches_nothing_without_what_it_asks_for() {
    let value = "/spec/template/spec/providerSpec/value/";
    for (field, odd) in [
        ("metadataServiceOption", json!({"authentication": "Required"})),
        ("metadataServiceOptions", json!({"authentification": "Required"})),
    ] {
        let found = errors(&[with(set("s", 1), &format!("{value}{field}"), odd), secret()]);
        assert_eq!((found.len(), found[0].rule), (1, Rule::LostField), "{found:?}");
        assert!(found[0].hint.as_deref().unwrap().starts_with("did you mean `"), "{found:?}");
    }
}

#[test]
fn what_aws_does_not_have_is_found_once_for_all_machines_of_a_set_and_where_it_is_asked_for() {
    let (reading, files) = reading(&[machine("m", "worker"), set("c-worker", 3), secret()]);
    let fleet = reading.fleet.unwrap();
    let nothing = fleet.lookups().iter().map(|one| (one.key(), json!([]))).collect();
    let trouble = fleet.compile(&nothing, &nobody(), &files).unwrap_err();
    let paths: Vec<_> = trouble.findings[0].iter().map(|finding| finding.path.as_str()).collect();
    let field = "providerSpec.value.subnet.filters";
    assert_eq!(paths, [format!("spec.{field}"), format!("spec.template.spec.{field}")]);
    let text = files[0].text.expose_secret();
    let shown = |finding: &Finding| text[finding.place.unwrap().start..].lines().next();
    let shown: Vec<_> = trouble.findings[0].iter().map(shown).collect();
    assert_eq!(shown, [Some("filters:"); 2]);
    let trouble = fleet.compile(&BTreeMap::new(), &nobody(), &files).unwrap_err();
    assert_eq!(trouble.unanswered.len(), 2);
}

#[test]
fn a_list_and_several_files_are_read_and_what_makes_nothing_here_is_told() {
    let control_plane = json!({
        "apiVersion": "machine.openshift.io/v1",
        "kind": "ControlPlaneMachineSet",
        "metadata": {"name": "cluster"},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": labels("master")},
            "template": {
                "machineType": "machines_v1beta1_machine_openshift_io",
                "machines_v1beta1_machine_openshift_io": {
                    "metadata": {"labels": labels("master")},
                    "spec": {"providerSpec": {"value": config()}},
                },
            },
        },
    });
    let list =
        json!({"apiVersion": "v1", "kind": "List", "items": [secret(), machine("m", "worker")]});
    let files = [file("list.yaml", &[list]), file("masters.yaml", &[control_plane])];
    let reading = read(&files);
    assert!(
        reading.notes[0].starts_with("masters.yaml has a ControlPlaneMachineSet"),
        "{reading:?}"
    );
    assert_eq!(reading.fleet.unwrap().size(), 1);
}

#[test]
fn a_type_that_nobody_names_is_filled_in_and_said() {
    let config = "/spec/providerSpec/value/instanceType";
    let (reading, _) = reading(&[with(machine("m", "worker"), config, json!("")), secret()]);
    assert_eq!(reading.notes, ["m has no `instanceType`: m5.large is used, the default for amd64"]);
}

#[test]
fn a_machine_that_is_labelled_of_one_cluster_and_tagged_of_another_is_an_error() {
    let tag =
        |name: &str| json!([{"name": "team", "value": "a"}, {"name": name, "value": "owned"}]);
    let tagged = |name: &str| with(set("c-worker", 3), TAGS, tag(name));
    let errors = errors(&[tagged("kubernetes.io/cluster/d"), secret()]);
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error.path, "spec.template.spec.providerSpec.value.tags[1].name");
    assert!(error.place.is_some() && error.message == "is the tag of the cluster `d`", "{error:?}");
    compiled(&[tagged("kubernetes.io/cluster/c"), secret()]);
}

#[test]
fn a_set_that_says_no_number_is_one_machine_and_that_is_said() {
    let silent = with(set("c-worker", 3), "/spec/replicas", Value::Null);
    for (set, notes) in [(silent, 1), (set("c-worker", 3), 0)] {
        let (reading, _) = reading(&[set, secret()]);
        let said = reading.notes.iter().filter(|note| note.contains("has no `replicas`"));
        assert_eq!(said.count(), notes, "{:?}", reading.notes);
    }
}

/// Path of the tags of the machines of a set.
const TAGS: &str = "/spec/template/spec/providerSpec/value/tags";
