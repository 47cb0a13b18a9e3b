use std::sync::{Arc, Mutex};

use groundplan_node::test_support::fake_api_server::FakeApiServer;
use groundplan_openshift::machine_api::types::{NAMESPACE, read};
use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use serde_json::Value;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::driver::*;
use super::*;
use crate::health::ControllerHealth;
use crate::reflector::Reflector;
use crate::report::{Log, LogLevel};

/// Cluster with one set and its controller.
struct SetHarness {
    cluster: FakeApiServer,
    stop: CancellationToken,
    told: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

impl SetHarness {
    fn new(replicas: i32) -> Self {
        let cluster = FakeApiServer::default();
        cluster.put(json!({
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet",
            "metadata": {"name": "demo-a", "namespace": NAMESPACE},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": {"pool": "a"}},
                "template": {
                    "metadata": {"labels": {"pool": "a"}, "annotations": {"note": "1"}},
                    "spec": {"providerSpec": {"value": {"instanceType": "m6i.large",
                                                        "unknownHere": {"kept": true}}}},
                },
            },
        }));
        Self { cluster, stop: CancellationToken::new(), told: Arc::default(), tasks: Vec::new() }
    }

    /// Starts the controller, or restarts it after the previous process was killed.
    fn start(&mut self) {
        let client = self.cluster.client();
        let sets = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
        let machines = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
        let nodes = Reflector::new(Api::all(client.clone()));
        let feeds = Reflectors { sets: &sets, machines: &machines, nodes: &nodes };
        let told = Arc::clone(&self.told);
        let log = Log::new(move |line| {
            if line.level == LogLevel::Error {
                told.lock().unwrap().push(format!("{}: {}", line.object, line.message));
            }
        });
        let health = Arc::<ControllerHealth>::default();
        let stop = self.stop.clone();
        let driver = MachineSetController::run(&client, NAMESPACE, &feeds, (health, log), stop);
        self.tasks.push(tokio::spawn(driver));
        self.tasks.push(tokio::spawn(sets.run(|_| ())));
        self.tasks.push(tokio::spawn(machines.run(|_| ())));
        self.tasks.push(tokio::spawn(nodes.run(|_| ())));
    }

    fn kill(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    async fn started(replicas: i32) -> Self {
        let mut world = Self::new(replicas);
        world.start();
        world.settle().await;
        world
    }

    async fn settle(&self) {
        sleep(Duration::from_secs(60)).await;
    }

    /// Scales the set like `kubectl scale`.
    async fn scale(&self, replicas: i32) {
        let resource = ApiResource {
            group: "machine.openshift.io".into(),
            version: "v1beta1".into(),
            api_version: "machine.openshift.io/v1beta1".into(),
            kind: "MachineSet".into(),
            plural: "machinesets".into(),
        };
        let sets =
            Api::<DynamicObject>::namespaced_with(self.cluster.client(), NAMESPACE, &resource);
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        sets.patch_scale("demo-a", &PatchParams::default(), &patch).await.unwrap();
    }

    fn machines(&self) -> Vec<Value> {
        self.cluster.all("machines")
    }

    fn set(&self) -> Value {
        self.cluster.get("machinesets", NAMESPACE, "demo-a").unwrap()
    }

    fn creations(&self) -> usize {
        self.cluster.requests().iter().filter(|line| line.starts_with("POST")).count()
    }
}

#[tokio::test(start_paused = true)]
async fn c50_what_is_missing_is_made_with_the_set_s_name_labels_and_ownership() {
    let world = SetHarness::started(3).await;
    let (machines, set) = (world.machines(), world.set());
    assert_eq!((machines.len(), world.creations()), (3, 3));
    for machine in machines {
        let meta = &machine["metadata"];
        let letters = meta["name"].as_str().unwrap().strip_prefix("demo-a-").unwrap();
        assert_eq!((letters.len(), &meta["generateName"]), (5, &json!("demo-a-")));
        assert_eq!(
            (&meta["labels"]["pool"], &meta["annotations"]["note"]),
            (&json!("a"), &json!("1"))
        );
        let owner = json!([{
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet", "name": "demo-a",
            "uid": set["metadata"]["uid"], "controller": true, "blockOwnerDeletion": true,
        }]);
        assert_eq!(meta["ownerReferences"], owner);
        assert_eq!(machine["spec"], set["spec"]["template"]["spec"], "fields of others are kept");
    }
    assert_eq!(set["status"]["replicas"], 3);
    assert_eq!(set["status"]["labelSelector"], "pool=a");
    assert_eq!(set["status"]["observedGeneration"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_set_is_scaled_up_and_down_through_its_subresource() {
    let world = SetHarness::started(3).await;
    world.scale(6).await;
    world.settle().await;
    assert_eq!((world.machines().len(), &world.set()["status"]["replicas"]), (6, &json!(6)));
    world.scale(2).await;
    world.settle().await;
    assert_eq!((world.machines().len(), &world.set()["status"]["replicas"]), (2, &json!(2)));
    world.scale(0).await;
    world.settle().await;
    assert_eq!((world.machines().len(), &world.set()["status"]["replicas"]), (0, &json!(0)));
    assert_eq!(world.creations(), 6);
    assert!(world.told.lock().unwrap().is_empty(), "{:?}", world.told);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_somebody_deletes_is_made_anew() {
    let world = SetHarness::started(2).await;
    let name = world.machines()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    world.cluster.delete("machines", NAMESPACE, &name);
    world.settle().await;
    assert_eq!((world.machines().len(), world.creations()), (2, 3));
    assert!(world.cluster.get("machines", NAMESPACE, &name).is_none());
}

#[tokio::test(start_paused = true)]
async fn another_template_is_for_machines_to_come() {
    let world = SetHarness::started(2).await;
    let before = world.machines();
    let template = json!({"spec": {"template": {"spec": {"providerSpec": {"value": {
        "metadataServiceOptions": {"authentication": "Required"}}}}}}});
    world.cluster.change("machinesets", NAMESPACE, "demo-a", &template);
    world.settle().await;
    assert_eq!(world.machines(), before);
    world.scale(3).await;
    world.settle().await;
    let asked = |machine: &&Value| {
        machine["spec"]["providerSpec"]["value"]["metadataServiceOptions"]["authentication"]
            == "Required"
    };
    assert_eq!(world.machines().iter().filter(asked).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn c50_an_orphan_gets_an_owner_and_is_one_of_those_that_are_wanted() {
    let mut world = SetHarness::new(2);
    world.cluster.put(json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
        "metadata": {"name": "orphan", "namespace": NAMESPACE, "labels": {"pool": "a"},
                     "ownerReferences": [{"apiVersion": "v1", "kind": "Auditor", "name": "x", "uid": "x"}]},
        "spec": {},
    }));
    world.start();
    world.settle().await;
    let orphan = world.cluster.get("machines", NAMESPACE, "orphan").unwrap();
    let owners = orphan["metadata"]["ownerReferences"].as_array().unwrap();
    assert_eq!((owners.len(), &owners[1]["name"]), (2, &json!("demo-a")), "nobody is put out");
    assert_eq!((world.machines().len(), world.creations()), (2, 1));
}

fn copy_of(set: &Value) -> SetCopy {
    SetCopy::new(&read(set).unwrap(), set["metadata"]["resourceVersion"].as_str())
}

/// Decides ten times on the same outdated data, without any watch events.
#[tokio::test(start_paused = true)]
async fn a_picture_that_is_old_has_nothing_made_or_deleted_twice() {
    let world = SetHarness::new(5);
    let client = world.cluster.client();
    let sets = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
    let machines = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
    let nodes = Reflector::new(Api::all(client.clone()));
    let feeds = Reflectors { sets: &sets, machines: &machines, nodes: &nodes };
    let driver = MachineSetController::new(&client, NAMESPACE, &feeds, Arc::default());
    for _ in 0..10 {
        driver.reconcile_replicas(copy_of(&world.set())).await.unwrap();
    }
    assert_eq!((world.machines().len(), world.creations()), (5, 5));
    sleep(Duration::from_secs(20)).await; // requests of an earlier process could arrive until then
    world.scale(2).await;
    for _ in 0..10 {
        driver.reconcile_replicas(copy_of(&world.set())).await.unwrap();
    }
    assert_eq!((world.machines().len(), world.creations()), (2, 5));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_make_no_machine_twice_and_delete_none_too_many() {
    let mut world = SetHarness::new(8);
    world.cluster.cut_answers(5);
    world.start();
    world.settle().await;
    assert_eq!(world.machines().len(), 8);
    assert!(!world.told.lock().unwrap().is_empty(), "it was told");
    world.cluster.cut_answers(3);
    let fewer = json!({"spec": {"replicas": 3}});
    world.cluster.change("machinesets", NAMESPACE, "demo-a", &fewer);
    world.settle().await;
    assert_eq!(world.machines().len(), 3);
    let deletions =
        world.cluster.requests().iter().filter(|line| line.starts_with("DELETE")).count();
    assert!((5..=8).contains(&deletions), "{deletions}");
}

#[tokio::test(start_paused = true)]
async fn an_api_server_in_every_kind_of_trouble_ends_with_as_many_as_are_wanted() {
    let mut world = SetHarness::new(12);
    world.start();
    for round in 0..20_u32 {
        world.cluster.inject_faults(&[500, 429, 503]);
        world.cluster.close_connections(round % 3);
        world.cluster.cut_answers(round % 4);
        world.cluster.cut_watches();
        if round % 5 == 0 {
            world.cluster.compact();
        }
        sleep(Duration::from_secs(3)).await;
    }
    world.cluster.clear_faults();
    sleep(Duration::from_secs(300)).await;
    assert_eq!(world.machines().len(), 12, "{:?}", world.told);
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_request_it_ends_with_as_many_as_are_wanted() {
    for requests in 1..40 {
        let mut world = SetHarness::new(6);
        world.start();
        while world.cluster.requests().len() < requests && world.machines().len() < 6 {
            tokio::task::yield_now().await;
        }
        world.kill();
        world.start();
        world.settle().await;
        assert_eq!(world.machines().len(), 6, "killed after {requests} requests");
        world.kill();
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_follows_nodes_and_machines_become_available_by_waiting() {
    let world = SetHarness::started(1).await;
    let wait = json!({"spec": {"minReadySeconds": 90}});
    world.cluster.change("machinesets", NAMESPACE, "demo-a", &wait);
    let name = world.machines()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let now = Timestamp::now().to_string();
    world.cluster.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "status": {"conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": now}]},
    }));
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
    world.cluster.change("machines", NAMESPACE, &name, &node);
    sleep(Duration::from_secs(5)).await;
    let counts = || {
        let status = world.set()["status"].clone();
        [status["readyReplicas"].clone(), status["availableReplicas"].clone()]
    };
    assert_eq!(counts(), [0, 0]);
    let ready = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": Timestamp::now().to_string()}]}});
    world.cluster.change("nodes", "", "n", &ready);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(counts(), [1, 0]);
    // The wall clock does not advance in this test, so the transition time is moved back instead.
    let long_ago = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    world.cluster.change("nodes", "", "n", &long_ago);
    sleep(Duration::from_secs(5)).await;
    assert_eq!(counts(), [1, 1]);
    world.cluster.delete("nodes", "", "n");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(counts(), [0, 0]);
}

/// Starts a set with one machine that becomes ready. The report of that is on its way for eight
/// seconds.
async fn set_with_a_report_on_its_way() -> SetHarness {
    let world = SetHarness::started(1).await;
    let now = Timestamp::now().to_string();
    world.cluster.put(json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"},
        "status": {"conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": now}]},
    }));
    world.cluster.delay("PATCH", "machinesets", Duration::from_secs(8));
    let name = world.machines()[0]["metadata"]["name"].as_str().unwrap().to_owned();
    let node = json!({"status": {"nodeRef": {"kind": "Node", "name": "n"}}});
    world.cluster.change("machines", NAMESPACE, &name, &node);
    sleep(Duration::from_secs(5)).await;
    assert_ne!(world.set()["status"]["readyReplicas"], 1, "the patch is on its way");
    world
}

#[tokio::test(start_paused = true)]
async fn a_status_that_is_late_is_not_written_to_another_set_of_the_same_name() {
    let world = set_with_a_report_on_its_way().await;
    let mut other = world.set();
    world.cluster.delete("machinesets", NAMESPACE, "demo-a");
    let selector = json!({"matchLabels": {"pool": "b"}});
    other["metadata"] = json!({"name": "demo-a", "namespace": NAMESPACE});
    other["spec"]["selector"] = selector;
    other["spec"]["template"]["metadata"]["labels"] = json!({"pool": "b"});
    other["spec"]["replicas"] = json!(0);
    other["status"] = json!({});
    world.cluster.put(other);
    sleep(Duration::from_secs(6)).await;
    assert_eq!(world.cluster.conflicts(), 1, "the patch has arrived");
    assert_eq!(world.set()["status"]["readyReplicas"], Value::Null);
    world.settle().await;
    let status = world.set()["status"].clone();
    assert_eq!((&status["readyReplicas"], &status["labelSelector"]), (&json!(0), &json!("pool=b")));
}

#[tokio::test(start_paused = true)]
async fn another_writer_of_a_set_delays_its_status_and_is_no_error() {
    let world = set_with_a_report_on_its_way().await;
    let note = json!({"metadata": {"annotations": {"note": "2"}}});
    world.cluster.change("machinesets", NAMESPACE, "demo-a", &note);
    world.settle().await;
    assert_eq!(world.cluster.conflicts(), 1);
    let set = world.set();
    assert_eq!(
        (&set["status"]["readyReplicas"], &set["metadata"]["annotations"]["note"]),
        (&json!(1), &json!("2"))
    );
    assert!(world.told.lock().unwrap().is_empty(), "{:?}", world.told);
    assert_eq!(world.cluster.events(), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn the_status_after_a_change_of_the_number_needs_no_second_attempt() {
    let world = SetHarness::started(3).await;
    world.scale(5).await;
    world.settle().await;
    assert_eq!(world.set()["status"]["replicas"], 5);
    assert_eq!(world.cluster.conflicts(), 0, "own writes of the set are known");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_asks_for_what_cannot_be_done_is_told_of_and_does_nothing() {
    let mut world = SetHarness::new(3);
    let other = json!({"spec": {"template": {"metadata": {"labels": {"pool": "b"}}}}});
    world.cluster.change("machinesets", NAMESPACE, "demo-a", &other);
    world.start();
    world.settle().await;
    assert_eq!(world.machines().len(), 0);
    let told = world.told.lock().unwrap().clone();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].starts_with("MachineSet demo-a: spec.template.metadata.labels"), "{told:?}");
}

#[tokio::test(start_paused = true)]
async fn a_set_that_goes_or_is_the_cluster_api_s_is_left_alone() {
    for change in [
        json!({"status": {"authoritativeAPI": "ClusterAPI"}}),
        json!({"status": {"authoritativeAPI": "Migrating"}}),
        json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"]}}),
    ] {
        let mut world = SetHarness::new(3);
        world.cluster.change("machinesets", NAMESPACE, "demo-a", &change);
        world.start();
        world.settle().await;
        assert_eq!((world.machines().len(), world.creations()), (0, 0), "{change}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_cannot_be_read_keeps_nobody_from_the_others() {
    let mut world = SetHarness::new(2);
    world.cluster.put_unchecked(json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
        "metadata": {"name": "odd", "namespace": NAMESPACE}, "spec": {"taints": "none"},
    }));
    world.start();
    world.settle().await;
    assert_eq!(world.machines().len(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_stop_lets_what_is_under_way_end_and_begins_nothing() {
    let mut world = SetHarness::started(2).await;
    world.stop.cancel();
    let driver = world.tasks.remove(0);
    tokio::time::timeout(Duration::from_secs(5), driver).await.unwrap().unwrap();
    world.scale(5).await;
    world.settle().await;
    assert_eq!(world.machines().len(), 2);
}

/// Restarts a set of eight with this kind listed five seconds late.
async fn restarted_with_a_late_list(kind: &'static str) -> SetHarness {
    let mut world = SetHarness::new(8);
    world.cluster.change(
        "machinesets",
        NAMESPACE,
        "demo-a",
        &json!({"spec": {"deletePolicy": "Oldest"}}),
    );
    world.start();
    world.settle().await;
    world.kill();
    world.cluster.delay("LIST", kind, Duration::from_secs(5));
    world.cluster.delay("WATCH", kind, Duration::from_secs(5));
    world.start();
    world.settle().await;
    world
}

#[tokio::test(start_paused = true)]
async fn a_restart_with_a_late_list_changes_nothing() {
    for kind in ["machines", "machinesets", "nodes"] {
        let world = restarted_with_a_late_list(kind).await;
        let changes =
            |verb: &str| world.cluster.audit().iter().filter(|line| line.contains(verb)).count();
        assert_eq!((changes("POST"), changes("DELETE")), (8, 0), "{kind}");
        let written: Vec<String> =
            world.cluster.audit().into_iter().filter(|line| line.contains("/status")).collect();
        assert!(written.len() <= 4, "the status is not written from a partial view: {written:#?}");
    }
}
