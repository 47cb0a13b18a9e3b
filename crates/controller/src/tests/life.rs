//! Tests of a Machine from its creation to its deletion.

use std::time::Duration;

use groundplan_aws::lookups::lookup::{FilterBy, Lookup};
use groundplan_aws::model::metadata_options::HttpTokens;
use groundplan_engine::provider::ErrorClass;
use groundplan_engine::test_support::When;
use groundplan_openshift::machine_api::types::{Condition, NAMESPACE};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::bench::{Bench, CANARY, REGION};
use crate::machine::{FINALIZER, INSTANCE_STATE, instance_id};

#[tokio::test(start_paused = true)]
async fn a_machine_gets_an_instance_that_has_what_was_asked_for() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let inputs = bench.ec2.inputs("m").unwrap();
    assert_eq!(inputs.metadata_options.http_tokens, Some(HttpTokens::Required));
    bench
        .until("running", |bench| {
            bench.machine("m").unwrap().metadata.annotations[INSTANCE_STATE] == "running"
        })
        .await;
    let machine = bench.machine("m").unwrap();
    assert_eq!(machine.metadata.finalizers, [FINALIZER]);
    let id = instance_id(&machine).unwrap();
    assert_eq!(machine.spec.provider_id, Some(format!("aws:///us-west-2a/{id}")));
    assert_eq!(machine.metadata.labels["machine.openshift.io/zone"], "us-west-2a");
    assert!(!machine.status.addresses.is_empty());
    assert_eq!(bench.ec2.launches(), 1);
    assert!(bench.told().contains(&"Create".to_owned()));
    controller.abort();
}

/// Returns the requests about the Machine `m` since the last call: method and last part of the path,
/// without the name of the Machine.
fn requests_of_machine(bench: &Bench) -> Vec<String> {
    let requests = bench.cluster.requests();
    bench.cluster.forget_requests();
    let of_machine = requests.iter().filter_map(|line| {
        let (method, path) = line.split_once(' ').unwrap();
        let is_of_list = method == "WATCH" || (method == "GET" && path.ends_with("/machines"));
        let part = path.trim_end_matches("/m").rsplit('/').next().unwrap();
        (!is_of_list).then(|| format!("{method} {part}"))
    });
    of_machine.collect()
}

/// Each request counts: a set of a thousand Machines sends all of them a thousand times.
#[tokio::test(start_paused = true)]
async fn a_machine_costs_nine_requests_until_it_runs_and_four_until_it_is_gone() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    sleep(Duration::from_secs(20 * 60)).await;
    let expected = [
        "PATCH machines",       // finalizer
        "GET worker-user-data", // before the announcement, which is of a launch that can be sent
        "PATCH status",         // phase, conditions and announcement of the launch
        "PATCH machines",       // labels, state of the instance
        "PATCH status",         // its ID
        "POST events",          // Create
        "PATCH machines",       // provider ID, state of the instance
        "PATCH status",         // addresses, phase
        "POST events",          // Update
    ];
    assert_eq!(requests_of_machine(&bench), expected);
    bench.delete("m");
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    sleep(Duration::from_secs(60)).await;
    let expected = [
        "PATCH status",   // phase, and the skipped drain: there is no Node
        "POST events",    // DrainSkipped
        "PATCH machines", // finalizer
        "POST events",    // Delete
    ];
    assert_eq!(requests_of_machine(&bench), expected);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c44_what_is_deleted_goes_instance_first_then_node_then_machine() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.cluster.add_node("n");
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
    bench.cluster.change("machines", NAMESPACE, "m", &node);
    bench.until("running", |bench| bench.phase("m") == "Running").await;
    bench.delete("m");
    bench.until("deleting", |bench| bench.ec2.names().is_empty()).await;
    assert!(bench.machine("m").is_some(), "the instance shuts down");
    assert_eq!(bench.phase("m"), "Deleting");
    assert!(bench.cluster.get("nodes", "", "n").is_some());
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    assert!(bench.cluster.get("nodes", "", "n").is_none());
    assert_eq!(bench.ec2.count("delete machine.m"), 1);
    let requests = bench.cluster.requests();
    let place = |line: &str| requests.iter().rposition(|one| one.contains(line)).unwrap();
    assert!(
        place("DELETE /api/v1/nodes/n")
            < place(
                "PATCH /apis/machine.openshift.io/v1beta1/namespaces/openshift-machine-api/machines/m"
            )
    );
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c45_a_hook_keeps_the_instance_until_it_is_taken_away() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let hook = json!({"spec": {"lifecycleHooks": {"preTerminate": [{"name": "h", "owner": "o"}]}}});
    bench.cluster.change("machines", NAMESPACE, "m", &hook);
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    bench.delete("m");
    sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.ec2.count("delete"), 0);
    let machine = bench.machine("m").unwrap();
    let held = machine.status.conditions.iter().find(|one| one.kind == "Terminable").unwrap();
    assert_eq!((&*held.status, &*held.reason), ("False", "HookPresent"));
    let free = json!({"spec": {"lifecycleHooks": {"preTerminate": null}}});
    bench.cluster.change("machines", NAMESPACE, "m", &free);
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    assert!(bench.ec2.names().is_empty());
    controller.abort();
}

fn pod(name: &str, app: &str, owner: Option<&str>) -> Value {
    let owners = owner.map(|kind| {
        json!([{"apiVersion": "apps/v1", "kind": kind, "name": "o", "uid": "u", "controller": true}])
    });
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "apps", "labels": {"app": app},
                     "ownerReferences": owners},
        "spec": {"nodeName": "n", "containers": []},
    })
}

#[tokio::test(start_paused = true)]
async fn a_node_is_emptied_before_its_machine_goes_and_a_budget_is_honoured() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.cluster.add_node("n");
    for (name, owner) in
        [("web", Some("ReplicaSet")), ("db", Some("StatefulSet")), ("agent", Some("DaemonSet"))]
    {
        bench.cluster.put(pod(name, name, owner));
    }
    bench.cluster.protect_pods(Some("db"));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
    bench.cluster.change("machines", NAMESPACE, "m", &node);
    bench.delete("m");
    bench.until("the web to go", |bench| bench.cluster.get("pods", "apps", "web").is_none()).await;
    assert_eq!(bench.cluster.node("n")["spec"]["unschedulable"], true);
    sleep(Duration::from_secs(300)).await;
    assert!(bench.cluster.get("pods", "apps", "db").is_some());
    assert_eq!(bench.ec2.names(), ["m"], "nothing is terminated under a protected pod");
    let machine = bench.machine("m").unwrap();
    let drained = machine.status.conditions.iter().find(|one| one.kind == "Drained").unwrap();
    assert!(
        drained
            .message
            .contains("1 pod remains: apps/db is blocked by the PodDisruptionBudget protected"),
        "{drained:?}"
    );
    let evictions = bench.cluster.requests();
    let evictions = evictions.iter().filter(|line| line.ends_with("/pods/db/eviction")).count();
    assert!((50..=62).contains(&evictions), "every five seconds, not {evictions} in five minutes");
    let requeued: Vec<_> =
        bench.cluster.events().into_iter().filter(|one| one["reason"] == "DrainRequeued").collect();
    assert_eq!(requeued.len(), 1, "{requeued:#?}");
    assert!(requeued[0]["message"].as_str().unwrap().ends_with("the eviction of apps/db"));
    bench.cluster.protect_pods(None);
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    assert!(bench.cluster.get("pods", "apps", "agent").is_some(), "it goes with its Node");
    let told = bench.cluster.events();
    let told = |reason: &str| told.iter().find(|event| event["reason"] == reason).cloned();
    for reason in ["DrainProceeds", "DrainRequeued", "DrainSucceeded", "Delete"] {
        assert_eq!(told(reason).unwrap_or_default()["type"], "Normal", "{reason}");
    }
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c32_c37_an_instance_that_somebody_terminates_fails_its_machine_and_is_not_replaced() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    bench.ec2.terminate("m");
    bench.until("failed", |bench| bench.phase("m") == "Failed").await;
    let machine = bench.machine("m").unwrap();
    assert_eq!(machine.status.error_message.as_deref(), Some("can't find created instance"));
    assert_eq!(machine.metadata.annotations[INSTANCE_STATE], "Unknown");
    bench.ec2.forget_calls();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.ec2.calls(), Vec::<String>::new(), "nothing is asked of it any more");
    bench.delete("m");
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    assert_eq!(bench.ec2.launches(), 1);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn empty_answers_fail_no_machine_and_let_no_instance_go() {
    for by_id in [false, true] {
        let bench = Bench::new();
        bench.want("m", &json!({}));
        bench.want("kept", &json!({}));
        let controller = bench.start();
        bench.until("provisioned", |bench| bench.in_phase("Provisioned") == 2).await;
        bench.ec2.show_nothing(Duration::from_secs(900), by_id);
        sleep(Duration::from_secs(30)).await;
        bench.delete("m");
        sleep(Duration::from_secs(600)).await;
        assert_eq!(bench.phase("kept"), "Provisioned", "by ID: {by_id}");
        assert_eq!(bench.ec2.names(), ["kept"], "terminated by its ID");
        assert_eq!(bench.machine("m").is_some(), by_id, "without proof the finalizer stays");
        if by_id {
            let conditions = bench.machine("kept").unwrap().status.conditions;
            let exists = conditions.iter().find(|one| one.kind == "InstanceExists").unwrap();
            assert_eq!(exists.status, "Unknown");
            assert!(exists.message.contains("stays as it is"), "{}", exists.message);
        }
        bench.until("gone", |bench| bench.machine("m").is_none()).await;
        assert_eq!(bench.phase("kept"), "Provisioned");
        sleep(Duration::from_secs(900)).await;
        let conditions = bench.machine("kept").unwrap().status.conditions;
        let exists = conditions.iter().find(|one| one.kind == "InstanceExists").unwrap();
        assert_eq!(exists.status, "True");
        controller.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_ec2_has_forgotten_is_gone_after_a_minute() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.want("kept", &json!({}));
    let controller = bench.start_all();
    bench.until("provisioned", |bench| bench.in_phase("Provisioned") == 2).await;
    for name in ["m", "kept"] {
        bench.ec2.erase(name);
    }
    bench.delete("m");
    sleep(Duration::from_secs(50)).await;
    assert!(bench.machine("m").is_some() && bench.phase("kept") == "Provisioned");
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    bench.until("failed", |bench| bench.phase("kept") == "Failed").await;
    assert!(bench.reported().iter().any(|line| line.contains("EC2 does not know i-0")));
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c38_what_passes_is_tried_again_and_what_does_not_fails() {
    let bench = Bench::new();
    bench.ec2.fail(
        "create machine.full",
        5,
        When::Before,
        ErrorClass::Retryable,
        "InsufficientInstanceCapacity",
    );
    bench.ec2.fail(
        "create machine.slow",
        5,
        When::Before,
        ErrorClass::Retryable,
        "RequestLimitExceeded",
    );
    bench.ec2.fail(
        "create machine.barred",
        1,
        When::Before,
        ErrorClass::Permanent,
        "UnauthorizedOperation",
    );
    for name in ["full", "slow", "barred"] {
        bench.want(name, &json!({}));
    }
    let controller = bench.start();
    bench.until("failed", |bench| bench.phase("barred") == "Failed").await;
    assert_eq!(
        bench.machine("barred").unwrap().status.error_reason.as_deref(),
        Some("InvalidConfiguration")
    );
    assert_eq!(bench.phase("full"), "Provisioning");
    bench.until("all others", |bench| bench.in_phase("Provisioned") == 2).await;
    let machine = bench.machine("full").unwrap();
    assert_eq!((&machine.status.error_reason, &machine.status.error_message), (&None, &None));
    assert_eq!(bench.ec2.names(), ["full", "slow"]);
    assert!(bench.told().contains(&"FailedCreate".to_owned()));
    let counted = bench.health.metrics.text();
    let full = "{name=\"full\",namespace=\"openshift-machine-api\",reason=\"InsufficientInstanceCapacity\"} 5";
    assert!(counted.contains(&format!("mapi_instance_create_failed{full}")), "{counted}");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c38_a_throttled_look_up_never_fails_a_machine() {
    let bench = Bench::new();
    let filters = json!([{"name": "tag:Name", "values": ["image"]}]);
    bench.want("m", &json!({"ami": {"filters": filters}}));
    bench.ec2.fail("answer images", 4, When::Before, ErrorClass::Retryable, "RequestLimitExceeded");
    let lookup = Lookup::ImagesBy {
        region: REGION.into(),
        filters: vec![FilterBy { name: "tag:Name".into(), values: vec!["image".into()] }],
    };
    bench.ec2.answer_with(
        &lookup,
        json!([{"id": "ami-9", "created": "2026-01-01T00:00:00.000Z", "root_device": null}]),
    );
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    assert_eq!(bench.ec2.inputs("m").unwrap().image.get().as_str(), "ami-9");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_machine_in_another_zone_than_its_subnet_is_not_launched() {
    let bench = Bench::new();
    let subnet = FilterBy { name: "subnet-id".to_owned(), values: vec!["subnet-1".to_owned()] };
    let lookup = Lookup::SubnetsBy { region: REGION.to_owned(), filters: vec![subnet] };
    bench.ec2.answer_with(&lookup, json!([{"id": "subnet-1", "zone": "us-west-2a"}]));
    for (name, zone) in [("m", "us-west-2b"), ("fits", "us-west-2a")] {
        let placement = json!({"region": REGION, "availabilityZone": zone});
        bench.want(name, &json!({"placement": placement}));
    }
    let controller = bench.start();
    bench.until("failed", |bench| bench.phase("m") == "Failed").await;
    bench.until("provisioned", |bench| bench.phase("fits") == "Provisioned").await;
    let message = bench.machine("m").unwrap().status.error_message.unwrap();
    assert!(message.contains("found `us-west-2b`, but the subnet subnet-1 is in"), "{message}");
    assert_eq!(bench.ec2.names(), ["fits"]);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c30_user_data_that_are_not_there_yet_are_waited_for() {
    let bench = Bench::new();
    bench.want("m", &json!({"userDataSecret": {"name": "late"}}));
    let controller = bench.start();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(bench.phase("m"), "Provisioning");
    let conditions = bench.machine("m").unwrap().status.conditions;
    let is_known = |one: &Condition| one.kind == "InstanceExists" && one.status == "False";
    assert!(conditions.iter().any(is_known), "{conditions:?}");
    bench.cluster.put(json!({"apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "late", "namespace": NAMESPACE}, "data": {"other": "eA=="}}));
    sleep(Duration::from_secs(60)).await;
    let machine = bench.machine("m").unwrap();
    assert_ne!(machine.status.phase.as_deref(), Some("Failed"), "{machine:?}");
    bench.cluster.change("secrets", NAMESPACE, "late", &json!({"data": {"userData": ""}}));
    let is_empty = |event: &Value| {
        let message = event["message"].as_str().unwrap_or_default();
        event["reason"] == "FailedCreate" && message.contains("the user data is empty")
    };
    bench.until("told", |bench| bench.cluster.events().iter().any(is_empty)).await;
    assert_eq!((bench.phase("m").as_str(), bench.ec2.launches()), ("Provisioning", 0));
    bench.cluster.change("secrets", NAMESPACE, "late", &json!({"data": {"userData": "eA=="}}));
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c43_a_master_is_registered_with_its_balancers_and_taken_out_again() {
    let bench = Bench::new();
    let balancers =
        json!([{"name": "c-int", "type": "network"}, {"name": "c-ext", "type": "network"}]);
    bench.want("c-master-0", &json!({"loadBalancers": balancers}));
    let controller = bench.start();
    bench.until("registered", |bench| bench.ec2.targets().len() == 2).await;
    let creations = bench.ec2.count("create load_balancer_attachment");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.ec2.count("create load_balancer_attachment"), creations, "once is enough");
    bench.delete("c-master-0");
    bench.until("gone", |bench| bench.machine("c-master-0").is_none()).await;
    assert!(bench.ec2.targets().is_empty());
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c34_a_balancer_that_cannot_be_reached_costs_no_second_instance() {
    let bench = Bench::new();
    bench.want("m", &json!({"loadBalancers": [{"name": "c-int", "type": "network"}]}));
    bench.ec2.fail(
        "create load_balancer_attachment",
        3,
        When::Before,
        ErrorClass::Ambiguous,
        "InternalFailure",
    );
    let controller = bench.start();
    bench.until("registered", |bench| bench.ec2.targets().len() == 1).await;
    assert_eq!(bench.ec2.launches(), 1);
    assert!(bench.told().contains(&"FailedUpdate".to_owned()));
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c42_a_tag_that_somebody_changed_is_put_right() {
    let bench = Bench::new();
    bench.want("m", &json!({"tags": [{"name": "env", "value": "p"}]}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    bench.ec2.retag("m", "env", "q");
    bench.ec2.retag("m", "theirs", "1");
    bench.until("put right", |bench| bench.ec2.inputs("m").unwrap().tags["env"] == "p").await;
    assert_eq!(bench.ec2.inputs("m").unwrap().tags["theirs"], "1");
    let updates = bench.ec2.count("update");
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.ec2.count("update"), updates, "what is right is left alone");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c47_an_edit_of_a_running_machine_is_told_and_its_instance_left() {
    let bench = Bench::new();
    bench.want("m", &json!({"metadataServiceOptions": {"authentication": "Optional"}}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let edit = json!({"spec": {"providerSpec": {"value": {"metadataServiceOptions": {"authentication": "Required"}}}}});
    bench.cluster.change("machines", NAMESPACE, "m", &edit);
    let in_sync = |bench: &Bench| {
        let machine = bench.machine("m").unwrap();
        machine
            .status
            .conditions
            .iter()
            .any(|one| one.kind == "MetadataOptionsInSync" && one.status == "False")
    };
    bench.until("told", in_sync).await;
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(bench.ec2.count("update"), 0, "no running machine is changed");
    let live = bench.ec2.inputs("m").unwrap().metadata_options.http_tokens;
    assert_eq!(live, Some(HttpTokens::Optional));
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c46_a_machine_that_cannot_be_read_can_be_deleted_and_leaves_nothing() {
    let bench = Bench::new();
    bench.want("bad", &json!({}));
    let bad = json!({"spec": {"providerSpec": {"value": {"ami": "not an object"}}}});
    bench.cluster.change("machines", NAMESPACE, "bad", &bad);
    bench.want("good", &json!({}));
    let controller = bench.start();
    bench.until("failed", |bench| bench.phase("bad") == "Failed").await;
    bench.until("provisioned", |bench| bench.phase("good") == "Provisioned").await;
    // Unlike upstream, the controller needs no valid config to find and terminate an instance.
    bench.cluster.change("machines", NAMESPACE, "good", &bad);
    bench.delete("bad");
    bench.delete("good");
    bench.until("gone", |bench| bench.cluster.all("machines").is_empty()).await;
    assert!(bench.ec2.names().is_empty());
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_upstream_launched_is_taken_over_by_its_name() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let inputs = bench.ec2.inputs("m").unwrap();
    controller.abort();
    let mut other = inputs.clone();
    other.tags.insert("Name".into(), "old".into());
    let id = bench.ec2.launch_by_hand(&other);
    bench.want("old", &json!({}));
    let controller = bench.start();
    bench.until("taken over", |bench| bench.phase("old") == "Provisioned").await;
    assert_eq!(instance_id(&bench.machine("old").unwrap()), Some(id));
    assert_eq!(bench.ec2.launches(), 2);
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn what_another_api_looks_after_is_left_alone() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let elsewhere = json!({"status": {"authoritativeAPI": "ClusterAPI"}});
    bench.cluster.change("machines", NAMESPACE, "m", &elsewhere);
    let controller = bench.start();
    sleep(Duration::from_secs(600)).await;
    assert_eq!(bench.ec2.calls(), Vec::<String>::new());
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn no_secret_is_in_anything_that_is_written() {
    let bench = Bench::new();
    bench.ec2.fail(
        "create machine.bad",
        1,
        When::Before,
        ErrorClass::Permanent,
        "InvalidParameterValue",
    );
    bench.want("good", &json!({}));
    bench.want("bad", &json!({}));
    let controller = bench.start();
    bench
        .until("done", |bench| {
            bench.phase("good") == "Provisioned" && bench.phase("bad") == "Failed"
        })
        .await;
    let mut written = format!("{:?} {:?}", bench.cluster.all("machines"), bench.cluster.events());
    written.push_str(&bench.health.metrics.text());
    let encoded = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, CANARY);
    assert!(!written.contains(CANARY) && !written.contains(&encoded));
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn one_balancer_that_is_not_there_keeps_no_other_machine_from_its_own() {
    let bench = Bench::new();
    bench.ec2.without_balancer("missing");
    let balancer = |name: &str| json!({"loadBalancers": [{"name": name, "type": "network"}]});
    bench.want("bad", &balancer("missing"));
    bench.want("good", &balancer("c-int"));
    let controller = bench.start();
    bench.until("registered", |bench| bench.ec2.targets().len() == 1).await;
    bench.until("both", |bench| bench.in_phase("Provisioned") == 2).await;
    assert!(bench.told().contains(&"FailedUpdate".to_owned()));
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn c44_a_node_of_the_same_name_that_is_another_s_by_now_is_left() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let controller = bench.start();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n", "uid": "of-old"}}});
    bench.cluster.change("machines", NAMESPACE, "m", &node);
    bench.cluster.add_node("n");
    bench.delete("m");
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    assert_eq!(bench.cluster.node("n")["metadata"]["uid"], "uid-of-n");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn of_the_control_plane_one_node_at_a_time_is_emptied() {
    let bench = Bench::new();
    for number in 0..3 {
        let (machine, node) = (format!("c-master-{number}"), format!("n-{number}"));
        bench.want(&machine, &json!({}));
        bench.cluster.add_node(&node);
        let labels = json!({"metadata": {"labels": {"node-role.kubernetes.io/master": ""}}});
        bench.cluster.change("nodes", "", &node, &labels);
        let mut pod = pod(&format!("etcd-guard-{number}"), "guard", Some("ReplicaSet"));
        pod["spec"]["nodeName"] = json!(node);
        bench.cluster.put(pod);
        let node_ref = json!({"status": {"nodeRef": {"kind": "Node", "name": node}}});
        bench.cluster.change("machines", NAMESPACE, &machine, &node_ref);
    }
    bench.cluster.protect_pods(Some("guard"));
    let controller = bench.start();
    bench.until("running", |bench| bench.in_phase("Running") == 3).await;
    (0..3).for_each(|number| bench.delete(&format!("c-master-{number}")));
    let cordoned = |bench: &Bench| {
        let nodes = bench.cluster.all("nodes");
        nodes.iter().filter(|node| node["spec"]["unschedulable"] == true).count()
    };
    bench.until("one is cordoned", |bench| cordoned(bench) == 1).await;
    sleep(Duration::from_secs(1800)).await;
    assert_eq!((cordoned(&bench), bench.ec2.names().len()), (1, 3), "while a budget holds it");
    bench.cluster.protect_pods(None);
    bench.until("all gone", |bench| bench.cluster.all("machines").is_empty()).await;
    assert_eq!(bench.cluster.all("nodes"), Vec::<Value>::new());
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_that_nobody_hears_from_holds_its_machine_up_with_no_pod_that_was_told_to_end() {
    for reachable in [true, false] {
        let bench = Bench::new();
        bench.want("m", &json!({}));
        bench.cluster.add_node("n");
        let mut pod = pod("web", "web", Some("ReplicaSet"));
        // The test has no kubelet that would remove this finalizer, so the pod stays.
        pod["metadata"]["finalizers"] = json!(["kubelet"]);
        bench.cluster.put(pod);
        let controller = bench.start();
        bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
        let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
        bench.cluster.change("machines", NAMESPACE, "m", &node);
        if !reachable {
            bench.cluster.set_condition("n", "Ready", "Unknown");
        }
        bench.delete("m");
        sleep(Duration::from_secs(900)).await;
        assert_eq!(bench.machine("m").is_some(), reachable, "reachable: {reachable}");
        controller.abort();
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_of_no_machines_is_told_what_its_type_is_and_asks_once_for_all_of_a_type() {
    let bench = Bench::new();
    ["a", "b", "c"].iter().for_each(|name| bench.want_set(name));
    let mine = json!({"metadata": {"annotations": {
        "capacity.cluster-autoscaler.kubernetes.io/labels": "team=ml",
    }}});
    bench.cluster.change("machinesets", NAMESPACE, "b", &mine);
    let controller = bench.start_all();
    let annotations = |bench: &Bench, name: &str| -> Value {
        bench.cluster.get("machinesets", NAMESPACE, name).unwrap()["metadata"]["annotations"].take()
    };
    let told =
        |bench: &Bench, name: &str| annotations(bench, name)["machine.openshift.io/vCPU"] == "2";
    bench.until("told", |bench| ["a", "b", "c"].iter().all(|name| told(bench, name))).await;
    let b = annotations(&bench, "b");
    assert_eq!(b["machine.openshift.io/memoryMb"], "8192");
    assert_eq!(b["machine.openshift.io/GPU"], "0");
    assert_eq!(
        b["capacity.cluster-autoscaler.kubernetes.io/labels"],
        "kubernetes.io/arch=amd64,team=ml"
    );
    // The controller of the set writes its status at the same time, so one conflict and a second
    // attempt are possible. No further attempt follows.
    let patched = |line: &&String| {
        line.starts_with("PATCH") && line.split('?').next().unwrap().ends_with("/machinesets/a")
    };
    let patches = || bench.cluster.requests().iter().filter(patched).count();
    let before = patches();
    sleep(Duration::from_secs(3600)).await;
    assert_eq!(patches(), before);
    let asked = bench.ec2.calls().into_iter().filter(|call| call.contains("types")).count();
    assert_eq!(asked, 1, "{:?}", bench.ec2.calls());
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn a_type_that_there_is_not_is_one_event_and_no_storm() {
    let bench = Bench::new();
    bench.want_set("a");
    let wrong = json!({"spec": {"template": {"spec": {"providerSpec": {"value": {
        "instanceType": "m9.huge",
    }}}}}});
    bench.cluster.change("machinesets", NAMESPACE, "a", &wrong);
    let (region, types) = (REGION.to_owned(), vec!["m9.huge".to_owned()]);
    bench.ec2.answer_with(&Lookup::InstanceTypes { region, types }, json!({}));
    let controller = bench.start_all();
    bench.until("an event", |bench| !bench.cluster.events().is_empty()).await;
    bench.cluster.change("machinesets", NAMESPACE, "a", &json!({"spec": {"minReadySeconds": 9}}));
    sleep(Duration::from_secs(3600)).await;
    let events = bench.cluster.events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["reason"], "FailedUpdate");
    assert_eq!(events[0]["involvedObject"]["kind"], "MachineSet");
    let message = events[0]["message"].as_str().unwrap();
    assert!(message.ends_with("us-west-2 has no instance type m9.huge"), "{message}");
    controller.abort();
}

#[tokio::test(start_paused = true)]
async fn credentials_that_aws_refuses_are_visible_on_the_machine_and_in_the_metrics() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.ec2.fail(
        "answer instances_named",
        100,
        When::Before,
        ErrorClass::Permanent,
        "AuthFailure",
    );
    let controller = bench.start();
    sleep(Duration::from_secs(60)).await;
    let machine = bench.machine("m").unwrap();
    let seen = machine.status.conditions.iter().find(|one| one.kind == "InstanceExists").unwrap();
    assert_eq!((&*seen.status, &*seen.reason), ("Unknown", "ErrorCheckingProvider"));
    assert!(seen.message.contains("AuthFailure"), "{seen:?}");
    assert_eq!(bench.told(), ["FailedUpdate"], "one Event with a count");
    let metrics = bench.health.metrics.text();
    assert!(metrics.contains("mapi_instance_update_failed{name=\"m\""), "{metrics}");
    assert_ne!(machine.status.phase.as_deref(), Some("Failed"));
    bench.ec2.clear_faults();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    controller.abort();
}
