//! Machines of the Machine API, and what they are registered with.

use aws_sdk_elasticloadbalancingv2::types::{
    LoadBalancerTypeEnum, ProtocolEnum, TargetDescription, TargetTypeEnum,
};
use groundplan::aws::metadata_options::{Authentication, metadata_options};
use groundplan::provider::{Known, Observed, Provider};
use groundplan::secret::Secret;
use serde_json::{Value, json};

use super::{CLUSTER_TAG, IMAGE, USER_DATA, World};
use crate::support::kinds::Trial;

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

#[tokio::test]
async fn a_machine_keeps_its_promises() {
    let world = World::new().await;
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
    world
        .bench()
        .keeps_its_promises(Trial {
            address: "machine.demo-worker-a",
            inputs,
            changes: vec![required, retagged],
            repeatable: true,
        })
        .await;
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
    let Observed::Present { outputs, .. } = bench.observe(&made).await else {
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
    let tag =
        |key: &str, value: &str| aws_sdk_ec2::types::Tag::builder().key(key).value(value).build();
    let by_hand = world.ec2.create_tags().resources(id);
    let by_hand = by_hand.tags(tag("env", "q")).tags(tag("theirs", "1"));
    by_hand.send().await.expect("tags");
    let Observed::Present { inputs, .. } = bench.observe(&made).await else {
        panic!("it is there")
    };
    world.cloud.clear_requests();
    let mended = bench.change(Known { inputs, ..made.clone() }, &wanted).await;
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
