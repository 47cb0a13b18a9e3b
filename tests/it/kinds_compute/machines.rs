//! Machines of the Machine API, and their load balancer registrations.

use aws_sdk_elasticloadbalancingv2::types::{
    LoadBalancerTypeEnum, ProtocolEnum, TargetDescription, TargetTypeEnum,
};
use groundplan_aws::kinds::load_balancer_attachment::LoadBalancerAttachment;
use groundplan_aws::kinds::machine::Machine;
use groundplan_aws::model::launch_errors::is_final;
use groundplan_aws::model::metadata_options::{Authentication, metadata_options};
use groundplan_engine::graph::ComparisonRules;
use groundplan_engine::plan::diff::diff;
use groundplan_engine::provider::{ErrorClass, Observed, Poll, Provider, RecordedResource};
use groundplan_engine::secret::Secret;
use serde_json::{Value, json};

use super::{CLUSTER_TAG, IMAGE, USER_DATA, World};
use crate::support::kinds::{Contract, contract, kind_contract};

const MACHINE: &str = "machine.demo-worker-a";

impl World {
    fn worker(&self, asked: Option<Authentication>) -> Value {
        json!({
            "image": IMAGE,
            "instance_type": "m6i.xlarge",
            "profile": "demo-master",
            "key_name": null,
            "interface": {
                "device_index": 0, "subnet": self.subnet, "groups": [self.groups[1], self.groups[0]],
                "public_address": null, "interface_type": null, "dual_stack": null,
            },
            "block_devices": [{
                "device": "/dev/xvda", "volume_type": "gp3", "size": 120, "iops": null,
                "throughput": null, "encrypted": true, "kms_key": null,
            }],
            "user_data": Secret::of(USER_DATA),
            "metadata_options": metadata_options(asked),
            "placement": {
                "zone": null, "tenancy": null, "group": null, "partition": null, "host": null,
                "affinity": null,
            },
            "market": null,
            "capacity_reservation": null,
            "confidential_compute": null,
            "tags": { CLUSTER_TAG: "owned", "Name": "demo-worker-a", "env": "p" },
        })
    }

    async fn balancer_with(&self, groups: &[(&str, TargetTypeEnum)]) -> (String, Vec<String>) {
        let elb = aws_sdk_elasticloadbalancingv2::Client::new(&self.cloud.sdk_config());
        let balancer = elb.create_load_balancer().name("demo-int").subnets(&self.subnet);
        let made = balancer.r#type(LoadBalancerTypeEnum::Network).send().await.expect("a balancer");
        let arn = made.load_balancers()[0].load_balancer_arn().expect("an ARN").to_owned();
        let mut arns = Vec::new();
        for (port, (name, kind)) in (6443..).zip(groups) {
            let group = elb.create_target_group().name(*name).vpc_id(&self.vpc).port(port);
            let group = group.protocol(ProtocolEnum::Tcp).target_type(kind.clone());
            let made = group.send().await.expect("a group");
            let group = made.target_groups()[0].target_group_arn().expect("an ARN").to_owned();
            let forward = aws_sdk_elasticloadbalancingv2::types::Action::builder()
                .r#type(aws_sdk_elasticloadbalancingv2::types::ActionTypeEnum::Forward)
                .target_group_arn(&group);
            let listener = elb.create_listener().load_balancer_arn(&arn).port(port);
            let listener = listener.protocol(ProtocolEnum::Tcp).default_actions(forward.build());
            listener.send().await.expect("a listener");
            arns.push(group);
        }
        (arn, arns)
    }

    async fn targets(&self, group: &str) -> Vec<String> {
        let elb = aws_sdk_elasticloadbalancingv2::Client::new(&self.cloud.sdk_config());
        let answer = elb.describe_target_health().target_group_arn(group).send().await;
        let answer = answer.expect("targets");
        let staying = answer.target_health_descriptions().iter().filter(|one| {
            one.target_health()
                .and_then(|health| health.state())
                .map(aws_sdk_elasticloadbalancingv2::types::TargetHealthStateEnum::as_str)
                != Some("draining")
        });
        let id = |one: &TargetDescription| one.id().expect("an id").to_owned();
        staying.filter_map(|one| one.target()).map(id).collect()
    }
}

fn sdk_tag(key: &str, value: &str) -> aws_sdk_ec2::types::Tag {
    aws_sdk_ec2::types::Tag::builder().key(key).value(value).build()
}

kind_contract! {
    async fn a_machine_keeps_its_promises(world = World::new().await) -> Machine {
        for (delay, seconds) in [
            ("instance_pending", 0.3),
            ("metadata_options_pending", 0.2),
            ("instance_shutting_down", 0.3),
        ] {
            world.cloud.delay(delay, seconds);
        }
        let inputs = world.worker(Some(Authentication::Optional));
        let required = world.worker(Some(Authentication::Required));
        let mut retagged = required.clone();
        retagged["tags"] = json!({ CLUSTER_TAG: "owned", "Name": "demo-worker-a", "team": "a" });
        (inputs, [required, retagged])
    }
}

#[tokio::test]
async fn c31_the_same_token_launches_once_however_often_it_is_sent() {
    let world = World::new().await;
    let request = world.request("machine.demo-worker-a", &world.worker(None));
    let first = world.aws.create(request.clone()).await.expect("a machine");
    let second = world.aws.create(request).await.expect("the same");
    assert_eq!(first["id"], second["id"]);
    let tokens: Vec<_> =
        world.sent("RunInstances").into_iter().map(|sent| sent["ClientToken"].clone()).collect();
    assert_eq!(tokens, [json!("gp-machine.demo-worker-a-1"), json!("gp-machine.demo-worker-a-1")]);
}

#[tokio::test]
async fn c40_what_a_cluster_wants_to_know_of_a_machine_is_there() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make("machine.demo-worker-a", &world.worker(None)).await;
    let Observed::Present { outputs, .. } = bench.refresh(&made).await else {
        panic!("it is there")
    };
    assert_eq!(outputs["state"], "running");
    assert_eq!(outputs["zone"], "us-west-2a");
    assert_eq!(outputs["instance_type"], "m6i.xlarge");
    assert_eq!(outputs["spot"], false);
    let kinds: Vec<&str> = outputs["addresses"]
        .as_array()
        .expect("addresses")
        .iter()
        .filter_map(|one| one[0].as_str())
        .collect();
    assert!(kinds.starts_with(&["InternalIP"]), "{kinds:?}");
    assert!(kinds.contains(&"InternalDNS") && kinds.contains(&"Hostname"), "{kinds:?}");
    assert_eq!(outputs["addresses"][0][1], outputs["private_ip"]);
}

#[tokio::test]
async fn c42_a_tag_that_differs_is_set_by_one_call_and_others_are_left_alone() {
    let world = World::new().await;
    let bench = world.bench();
    let wanted = world.worker(None);
    let made = bench.make("machine.demo-worker-a", &wanted).await;
    let id = made.outputs["id"].as_str().expect("an id");
    let by_hand = world.ec2.create_tags().resources(id);
    let by_hand = by_hand.tags(sdk_tag("env", "q")).tags(sdk_tag("theirs", "1"));
    by_hand.send().await.expect("tags");
    let Observed::Present { inputs, .. } = bench.refresh(&made).await else {
        panic!("it is there")
    };
    world.cloud.clear_requests();
    let mended = bench.change(RecordedResource { inputs, ..made.clone() }, &wanted).await;
    let sent = world.sent("CreateTags");
    assert!(!sent.is_empty());
    for sent in sent {
        assert_eq!((&sent["Tag.1.Key"], &sent["Tag.1.Value"]), (&json!("env"), &json!("p")));
        assert_eq!(sent["Tag.2.Key"], Value::Null, "nothing else");
    }
    assert_eq!(world.cloud.calls("DeleteTags"), 0);
    world.cloud.clear_requests();
    bench.change(mended, &wanted).await;
    assert_eq!(world.cloud.mutating_calls(), 0, "what is right is not set again");
}

#[tokio::test]
async fn c43_a_machine_is_registered_as_each_group_has_it_and_leaves_by_its_address() {
    let world = World::new().await;
    let bench = world.bench();
    let groups = [("demo-by-id", TargetTypeEnum::Instance), ("demo-by-ip", TargetTypeEnum::Ip)];
    let (_, groups) = world.balancer_with(&groups).await;
    let machine = bench.make("machine.demo-master-0", &world.worker(None)).await;
    let (id, ip) = (&machine.outputs["id"], &machine.outputs["private_ip"]);
    let inputs = json!({"load_balancer": "demo-int", "kind": "network", "instance": id, "ip": ip});
    world.cloud.clear_requests();
    let attached = bench.make("load_balancer_attachment.demo-master-0-int", &inputs).await;
    assert_eq!(world.cloud.calls("RegisterTargets"), 2);
    assert_eq!(world.targets(&groups[0]).await, [id.as_str().expect("an id")]);
    assert_eq!(world.targets(&groups[1]).await, [ip.as_str().expect("an address")]);
    assert!(
        world.sent("RegisterTargets").iter().all(|sent| sent["Targets.member.1.Port"].is_null())
    );
    world.cloud.clear_requests();
    let again = world.request("load_balancer_attachment.demo-master-0-int", &inputs);
    world.aws.create(again).await.expect("it is there");
    assert_eq!(world.cloud.calls("RegisterTargets"), 0, "who is there is not registered again");
    world.aws.delete(attached).await.expect("it leaves");
    assert_eq!(world.cloud.calls("DeregisterTargets"), 1, "by its address alone");
    assert!(world.targets(&groups[1]).await.is_empty());
}

#[tokio::test]
async fn c31_a_lost_answer_launches_one_machine_and_tells_no_secret() {
    let world = World::new().await;
    let fault = json!({ "action": "RunInstances", "when": "after", "kind": "drop", "times": 9 });
    world.cloud.fault(&fault);
    let request = world.request(MACHINE, &world.worker(None));
    let error = world.aws.create(request.clone()).await.expect_err("a lost answer");
    assert_eq!(error.class, ErrorClass::Ambiguous, "{error:?}");
    assert!(!is_final(&error));
    assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    world.cloud.clear_faults();
    let found = world.aws.find(request.clone()).await.expect("a look").expect("it was made");
    assert_eq!(world.aws.create(request).await.expect("the same launch")["id"], found["id"]);
    assert_eq!(world.cloud.ids()["instance"].as_array().map(Vec::len), Some(1));
    assert!(!found.to_string().contains("canary"), "{found}");
}

#[tokio::test]
async fn c31_a_token_that_comes_with_other_words_is_answered_with_what_it_launched() {
    let world = World::new().await;
    let first = world.aws.create(world.request(MACHINE, &world.worker(None))).await;
    let first = first.expect("a machine");
    let mut otherwise = world.worker(None);
    otherwise["instance_type"] = json!("m6i.2xlarge");
    let again = world.aws.create(world.request(MACHINE, &otherwise)).await;
    assert_eq!(again.expect("what there is")["id"], first["id"]);
    assert_eq!(world.cloud.ids()["instance"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn c33_a_token_whose_machine_was_terminated_launches_nothing_any_more() {
    let world = World::new().await;
    let request = world.request(MACHINE, &world.worker(None));
    let first = world.aws.create(request.clone()).await.expect("a machine");
    let id = first["id"].as_str().expect("an id");
    world.ec2.terminate_instances().instance_ids(id).send().await.expect("terminated");
    let again = world.aws.create(request.clone()).await.expect_err("the token is used up");
    assert_eq!(again.class, ErrorClass::TokenConsumed, "{again:?}");
    assert!(is_final(&again));
    // The same machine with other parameters, as after a change of the instance type.
    let mut otherwise = world.worker(None);
    otherwise["instance_type"] = json!("m6i.2xlarge");
    let again = world.aws.create(world.request(MACHINE, &otherwise)).await;
    assert_eq!(again.expect_err("the token is used up").class, ErrorClass::TokenConsumed);
    assert_eq!(world.cloud.ids()["instance"], Value::Null);
}

#[tokio::test]
async fn c35_what_shuts_down_is_missed_and_not_gone() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make(MACHINE, &world.worker(None)).await;
    let id = made.outputs["id"].as_str().expect("an id").to_owned();
    world.ec2.stop_instances().instance_ids(&id).send().await.expect("stopped");
    let Observed::Present { outputs, .. } = bench.refresh(&made).await else {
        panic!("a stopped machine is there")
    };
    assert!(matches!(outputs["state"].as_str(), Some("stopping" | "stopped")), "{outputs}");

    world.cloud.delay("instance_shutting_down", 600.0);
    world.aws.delete(made.clone()).await.expect("a termination");
    assert_eq!(bench.refresh(&made).await, Observed::Missing);
    let gone = async || world.aws.gone("machine".to_owned(), vec![made.clone()]).await;
    assert_eq!(gone().await, Ok(vec![Poll::Pending("shutting-down".to_owned())]));
    let looks = world.aws.ready("machine".to_owned(), vec![made.clone()]).await.expect("a look");
    let [Poll::Failed(error)] = looks.as_slice() else { panic!("{looks:?}") };
    assert!(error.message.contains(&id), "{error}");
    world.cloud.advance(601.0);
    assert_eq!(gone().await, Ok(vec![Poll::Ready(Value::Null)]));
}

#[tokio::test]
async fn c38_a_full_zone_is_waited_for_whatever_its_status() {
    let world = World::new().await;
    let codes = ["InsufficientInstanceCapacity", "InsufficientReservedInstanceCapacity"];
    for (status, code) in [(500, codes[0]), (400, codes[0]), (500, codes[1]), (400, codes[1])] {
        let fault = json!({
            "action": "RunInstances", "status": status, "code": code, "message": "no more", "times": 9,
        });
        world.cloud.fault(&fault);
        let asked = world.aws.create(world.request(MACHINE, &world.worker(None))).await;
        let error = asked.expect_err("no capacity");
        assert_eq!((error.class, error.code.as_deref()), (ErrorClass::Retryable, Some(code)));
        assert!(!is_final(&error), "{error:?}");
        world.cloud.clear_faults();
    }
}

#[tokio::test]
async fn c39_an_account_that_enforces_tokens_names_the_field_of_the_manifest() {
    let world = World::new().await;
    world.cloud.fault(&json!({
        "action": "RunInstances", "status": 400, "code": "UnsupportedOperation",
        "message": "httpTokensEnforced is enabled for this account",
    }));
    let asked = world.aws.create(world.request(MACHINE, &world.worker(None))).await;
    let error = asked.expect_err("a refusal");
    assert!(is_final(&error));
    let hint = error.hint.expect("a hint");
    assert!(hint.contains("`metadataServiceOptions.authentication: Required`"), "{hint}");
}

#[tokio::test]
async fn c42_what_names_a_machine_is_put_back_by_one_call_with_each_key_once() {
    let world = World::new().await;
    let bench = world.bench();
    let wanted = world.worker(None);
    let made = bench.make(MACHINE, &wanted).await;
    let id = made.outputs["id"].as_str().expect("an id");
    let gone = [sdk_tag(CLUSTER_TAG, "owned"), sdk_tag("Name", "demo-worker-a")];
    let by_hand = world.ec2.delete_tags().resources(id).set_tags(Some(gone.to_vec()));
    by_hand.send().await.expect("tags are gone");
    let Observed::Present { inputs, .. } = bench.refresh(&made).await else {
        panic!("it is known by its id")
    };
    world.cloud.clear_requests();
    let request = world.request(MACHINE, &wanted);
    world
        .aws
        .update(request, RecordedResource { inputs, ..made.clone() })
        .await
        .expect("an update");
    let [sent] = world.sent("CreateTags").try_into().expect("one call");
    let keys: Vec<_> = (1..4).map(|n| sent[format!("Tag.{n}.Key")].clone()).collect();
    assert_eq!(keys, [json!("Name"), json!(CLUSTER_TAG), Value::Null]);
    assert_eq!(world.cloud.mutating_calls(), 1);
    let Observed::Present { outputs, .. } = bench.refresh(&made).await else { panic!("there") };
    assert_eq!(outputs["tags"]["Name"], "demo-worker-a");
}

#[tokio::test]
async fn c47_another_authentication_is_one_call_and_the_machine_stays() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make(MACHINE, &world.worker(Some(Authentication::Optional))).await;
    world.cloud.clear_requests();
    let changed = bench.change(made.clone(), &world.worker(Some(Authentication::Required))).await;
    assert_eq!(changed.outputs["id"], made.outputs["id"]);
    assert_eq!(world.cloud.calls("ModifyInstanceMetadataOptions"), 1);
    assert_eq!(world.cloud.mutating_calls(), 1, "{:#?}", world.cloud.requests());
}

/// Outputs are the current state of a machine. The configuration has no opinion on them. A machine
/// that does not run is unmanaged drift, which no plan reverts by itself.
#[tokio::test]
async fn r3_a_machine_that_was_stopped_or_got_a_tag_has_its_inputs_unchanged() {
    let world = World::new().await;
    let bench = world.bench();
    let made = bench.make(MACHINE, &world.worker(None)).await;
    let id = made.outputs["id"].as_str().expect("an id");
    world.ec2.stop_instances().instance_ids(id).send().await.expect("stopped");
    let theirs = world.ec2.create_tags().resources(id).tags(sdk_tag("theirs", "1"));
    theirs.send().await.expect("a tag");
    let Observed::Present { inputs, outputs, unmanaged } = bench.refresh(&made).await else {
        panic!("it is there")
    };
    let paths: Vec<&str> = unmanaged.iter().map(|drift| drift.field.path.as_str()).collect();
    assert_eq!(paths, ["state"]);
    assert_ne!(outputs, made.outputs);
    assert_eq!(diff(ComparisonRules::default(), Some(&inputs), Some(&made.inputs)), []);
}

#[tokio::test]
async fn r1_many_machines_and_their_registrations_take_a_few_looks() {
    let world = World::new().await;
    let groups = [("demo-by-id", TargetTypeEnum::Instance), ("demo-by-ip", TargetTypeEnum::Ip)];
    world.balancer_with(&groups).await;
    let bench = world.bench();
    let (mut machines, mut attached) = (Vec::new(), Vec::new());
    for number in 0..3 {
        let machine = bench.make(&format!("machine.m{number}"), &world.worker(None)).await;
        let (id, ip) = (&machine.outputs["id"], &machine.outputs["private_ip"]);
        let inputs =
            json!({"load_balancer": "demo-int", "kind": "network", "instance": id, "ip": ip});
        let address = format!("load_balancer_attachment.m{number}");
        attached.push(bench.make(&address, &inputs).await);
        machines.push(machine);
    }
    world.cloud.clear_requests();
    let seen = world.aws.refresh("machine".to_owned(), machines).await.expect("a look");
    assert!(seen.iter().all(|one| matches!(one, Observed::Present { .. })), "{seen:#?}");
    assert_eq!(world.cloud.requests().len(), 1);
    let kind = "load_balancer_attachment".to_owned();
    let seen = world.aws.refresh(kind, attached).await.expect("a look");
    assert!(seen.iter().all(|one| matches!(one, Observed::Present { .. })), "{seen:#?}");
    // Calls: the load balancer, its target groups, and the targets of both groups.
    assert_eq!(world.cloud.requests().len(), 1 + 4);
}

impl Contract for LoadBalancerAttachment {}

#[tokio::test]
async fn c43_a_registration_by_address_keeps_its_promises() {
    let world = World::new().await;
    let bench = world.bench();
    world.balancer_with(&[("demo-by-ip", TargetTypeEnum::Ip)]).await;
    let machine = bench.make(MACHINE, &world.worker(None)).await;
    let (id, ip) = (&machine.outputs["id"], &machine.outputs["private_ip"]);
    let wanted = json!({
        "load_balancer": "demo-int", "kind": "network", "instance": id, "ip": ip,
    });
    contract::<LoadBalancerAttachment>(&world, &wanted, &[] as &[Value; 0]).await;
}

#[tokio::test]
async fn an_address_that_another_machine_has_by_now_stays_registered() {
    let world = World::new().await;
    let bench = world.bench();
    let (_, groups) = world.balancer_with(&[("demo-by-ip", TargetTypeEnum::Ip)]).await;
    let machine = bench.make(MACHINE, &world.worker(None)).await;
    let (id, ip) = (&machine.outputs["id"], &machine.outputs["private_ip"]);
    let inputs = json!({"load_balancer": "demo-int", "kind": "network", "instance": id, "ip": ip});
    let attached = bench.make("load_balancer_attachment.a", &inputs).await;
    // The record of the machine that had this address before.
    let mut outlived = attached.clone();
    outlived.outputs["instance"] = json!("i-0123456789abcdef0");
    world.aws.delete(outlived).await.expect("nothing to do");
    assert_eq!(world.targets(&groups[0]).await, [ip.as_str().expect("an address")]);
    world.aws.delete(attached).await.expect("it leaves");
    assert!(world.targets(&groups[0]).await.is_empty());
}

#[tokio::test]
async fn c43_half_a_registration_is_finished_and_a_balancer_that_is_gone_is_no_trouble() {
    let world = World::new().await;
    let bench = world.bench();
    let groups = [("demo-by-id", TargetTypeEnum::Instance), ("demo-by-ip", TargetTypeEnum::Ip)];
    let (balancer, groups) = world.balancer_with(&groups).await;
    let machine = bench.make(MACHINE, &world.worker(None)).await;
    let (id, ip) = (&machine.outputs["id"], &machine.outputs["private_ip"]);
    let inputs = json!({"load_balancer": "demo-int", "kind": "network", "instance": id, "ip": ip});
    let request = world.request("load_balancer_attachment.a", &inputs);
    let attached = bench.make("load_balancer_attachment.a", &inputs).await;
    let elb = aws_sdk_elasticloadbalancingv2::Client::new(&world.cloud.sdk_config());
    let target = TargetDescription::builder().id(ip.as_str().expect("an address")).build();
    let out = elb.deregister_targets().target_group_arn(&groups[1]).targets(target);
    out.send().await.expect("out of one group");
    assert_eq!(bench.refresh(&attached).await, Observed::Missing);
    assert_eq!(world.aws.find(request.clone()).await, Ok(None));
    assert!(world.aws.find_any_part(request.clone()).await.expect("a look").is_some());
    world.cloud.clear_requests();
    world.aws.create(request.clone()).await.expect("the other half");
    assert_eq!(world.cloud.calls("RegisterTargets"), 1);

    elb.delete_load_balancer().load_balancer_arn(balancer).send().await.expect("gone");
    assert_eq!(bench.refresh(&attached).await, Observed::Missing);
    world.aws.delete(attached).await.expect("there is nothing to leave");
    let error = world.aws.create(request).await.expect_err("there is no such balancer");
    assert!(error.message.contains("demo-int") && error.hint.is_some(), "{error:?}");
}

#[tokio::test]
async fn c43_a_classic_balancer_has_the_machine_until_it_is_terminated() {
    let world = World::new().await;
    let bench = world.bench();
    let elb = aws_sdk_elasticloadbalancing::Client::new(&world.cloud.sdk_config());
    let listener = aws_sdk_elasticloadbalancing::types::Listener::builder()
        .protocol("TCP")
        .load_balancer_port(80)
        .instance_port(80)
        .build()
        .expect("a listener");
    let made = elb.create_load_balancer().load_balancer_name("demo-old").subnets(&world.subnet);
    made.listeners(listener).send().await.expect("a classic balancer");
    let machine = bench.make(MACHINE, &world.worker(None)).await;
    let (id, ip) = (&machine.outputs["id"], &machine.outputs["private_ip"]);
    let inputs = json!({"load_balancer": "demo-old", "kind": "classic", "instance": id, "ip": ip});
    let request = world.request("load_balancer_attachment.old", &inputs);
    assert_eq!(world.aws.find(request.clone()).await, Ok(None));
    let attached = bench.make("load_balancer_attachment.old", &inputs).await;
    world.aws.create(request.clone()).await.expect("twice is once");
    assert!(world.aws.find(request.clone()).await.expect("a look").is_some());
    bench.is_as_recorded(&attached).await;

    world.cloud.clear_requests();
    world.aws.delete(attached.clone()).await.expect("it leaves with its machine");
    assert_eq!(world.cloud.requests().len(), 0);
    bench.unmake(&machine).await;
    assert_eq!(bench.refresh(&attached).await, Observed::Missing);

    let mut elsewhere = inputs;
    elsewhere["load_balancer"] = json!("nobody");
    let asked = world.aws.create(world.request("load_balancer_attachment.x", &elsewhere)).await;
    assert!(asked.expect_err("no such balancer").is(&["LoadBalancerNotFound"]));
}
