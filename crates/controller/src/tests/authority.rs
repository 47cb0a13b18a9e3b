//! Tests of Machines and MachineSets that take part in a migration to the Cluster API.

use std::time::Duration;

use groundplan_openshift::machine_api::types::NAMESPACE;
use http_body_util::BodyExt as _;
use hyper::Request;
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::bench::Bench;
use crate::machine::FINALIZER;

const SETS: &str = "machinesets";
const MACHINES: &str = "machines";

fn paused(object: &Value) -> Option<(String, String)> {
    let conditions = object["status"]["conditions"].as_array()?;
    let paused = conditions.iter().find(|one| one["type"] == "Paused")?;
    let text = |field: &str| paused[field].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("reason")))
}

fn given(status: &str, reason: &str) -> Option<(String, String)> {
    Some((status.to_owned(), reason.to_owned()))
}

fn authority(bench: &Bench, plural: &str, name: &str, api: &Value) {
    bench.cluster.change(plural, NAMESPACE, name, api);
}

fn object(bench: &Bench, plural: &str, name: &str) -> Value {
    bench.cluster.get(plural, NAMESPACE, name).unwrap()
}

async fn settle() {
    sleep(Duration::from_secs(90)).await;
}

#[tokio::test(start_paused = true)]
async fn what_the_cluster_api_has_is_paused_and_left_alone() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.want_set("s");
    bench.scale("s", 2);
    let spec = json!({"spec": {"authoritativeAPI": "ClusterAPI"}});
    authority(&bench, MACHINES, "m", &spec);
    authority(&bench, SETS, "s", &spec);
    let controllers = bench.start_all();
    settle().await;
    let mut logged = bench.logged();
    logged.sort();
    let paused_by =
        "paused: status.authoritativeAPI is ClusterAPI, and this controller changes nothing";
    assert_eq!(logged, [format!("Machine m: {paused_by}"), format!("MachineSet s: {paused_by}")]);
    assert!(bench.ec2.names().is_empty() && bench.ec2.launches() == 0);
    assert_eq!(bench.cluster.all(MACHINES).len(), 1);
    for (plural, name) in [(MACHINES, "m"), (SETS, "s")] {
        let object = object(&bench, plural, name);
        assert_eq!(object["status"]["authoritativeAPI"], "ClusterAPI");
        assert_eq!(paused(&object), given("True", "AuthoritativeAPINotMachineAPI"));
        assert_eq!(object["metadata"]["finalizers"], Value::Null);
        assert_eq!(object["metadata"]["annotations"], Value::Null, "capacity");
    }
    bench.cluster.forget_requests();
    settle().await;
    let writes = bench.cluster.requests();
    assert!(!writes.iter().any(|line| line.starts_with("PATCH")), "{writes:?}");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_migration_pauses_and_resumes_and_keeps_what_is_synchronised() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let ours = json!({"spec": {"authoritativeAPI": "MachineAPI"},
                      "status": {"synchronizedGeneration": 4, "synchronizedAPI": "MachineAPI"}});
    authority(&bench, MACHINES, "m", &ours);
    let controllers = bench.start_all();
    bench.until("provisioned", |bench| bench.phase("m") == "Provisioned").await;
    let machine = object(&bench, MACHINES, "m");
    assert_eq!(machine["status"]["authoritativeAPI"], "MachineAPI");
    assert_eq!(paused(&machine), given("False", "AuthoritativeAPIMachineAPI"));
    authority(&bench, MACHINES, "m", &json!({"status": {"authoritativeAPI": "Migrating"}}));
    settle().await;
    let machine = object(&bench, MACHINES, "m");
    assert_eq!(paused(&machine), given("True", "AuthoritativeAPINotMachineAPI"));
    bench.delete("m");
    settle().await;
    assert_eq!(bench.ec2.names().len(), 1, "the deletion is the Cluster API's");
    authority(&bench, MACHINES, "m", &json!({"status": {"authoritativeAPI": "MachineAPI"}}));
    bench.until("gone", |bench| bench.machine("m").is_none()).await;
    let logged = bench.logged();
    let of_pauses: Vec<_> =
        logged.iter().filter(|line| line.contains("authoritativeAPI")).collect();
    let expected = [
        "Machine m: paused: status.authoritativeAPI is Migrating, and this controller \
                     changes nothing",
        "Machine m: resumed: status.authoritativeAPI is MachineAPI",
    ];
    assert_eq!(of_pauses, expected);
    assert_eq!(machine["metadata"]["finalizers"], json!([FINALIZER]));
    assert_eq!(machine["status"]["synchronizedGeneration"], 4);
    assert_eq!(machine["status"]["synchronizedAPI"], "MachineAPI");
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn a_node_of_a_paused_machine_is_not_changed() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    let theirs = json!({"spec": {"providerID": "aws:///z/i-1", "authoritativeAPI": "ClusterAPI",
                                 "metadata": {"labels": {"a": "b"}}}});
    authority(&bench, MACHINES, "m", &theirs);
    bench.cluster.add_node("n");
    bench.cluster.change("nodes", "", "n", &json!({"spec": {"providerID": "aws:///z/i-1"}}));
    let controllers = bench.start_all();
    settle().await;
    assert_eq!(bench.cluster.node("n")["metadata"]["labels"]["a"], Value::Null);
    assert_eq!(object(&bench, MACHINES, "m")["status"]["nodeRef"], Value::Null);
    controllers.abort();
}

#[tokio::test(start_paused = true)]
async fn an_unknown_authority_is_reported_and_nothing_is_done() {
    let bench = Bench::new();
    bench.want("m", &json!({}));
    bench.want_set("s");
    bench.scale("s", 1);
    let odd = json!({"status": {"authoritativeAPI": "Someone"}});
    authority(&bench, MACHINES, "m", &odd);
    authority(&bench, SETS, "s", &odd);
    let controllers = bench.start_all();
    settle().await;
    assert_eq!((bench.ec2.launches(), bench.cluster.all(MACHINES).len()), (0, 1));
    let told = bench.reported().join("\n");
    for object in ["Machine m", "MachineSet s"] {
        let problem = format!("{object}: status.authoritativeAPI: expected MachineAPI, ClusterAPI");
        assert!(told.contains(&problem), "{told}");
    }
    controllers.abort();
}

/// Returns a client of an API server whose definitions do not have the field in the status.
fn without_the_field(client: Client) -> Client {
    let namespace = client.default_namespace().to_owned();
    let send = move |request: Request<Body>| {
        let client = client.clone();
        async move {
            let (parts, body) = request.into_parts();
            let bytes = body.collect().await?.to_bytes();
            let body = match serde_json::from_slice::<Value>(&bytes) {
                Ok(mut value) if value["status"].is_object() => {
                    value["status"].as_object_mut().unwrap().remove("authoritativeAPI");
                    value.to_string().into_bytes()
                }
                _ => bytes.to_vec(),
            };
            client.send(Request::from_parts(parts, Body::from(body))).await
        }
    };
    Client::new(tower::service_fn(send), namespace)
}

#[tokio::test(start_paused = true)]
async fn a_definition_that_drops_the_field_makes_no_loop_and_the_spec_decides() {
    let bench = Bench::new().with_client(without_the_field);
    for (name, api) in [("ours", "MachineAPI"), ("theirs", "ClusterAPI")] {
        bench.want(name, &json!({}));
        bench.want_set(name);
        bench.scale(name, 1);
        let spec = json!({"spec": {"authoritativeAPI": api}});
        authority(&bench, MACHINES, name, &spec);
        authority(&bench, SETS, name, &spec);
    }
    let controllers = bench.start_all();
    bench.until("two", |bench| bench.ec2.names().len() == 2).await;
    bench.until("provisioned", |bench| bench.in_phase("Provisioned") == 2).await;
    bench.cluster.forget_requests();
    sleep(Duration::from_secs(30)).await;
    let requests = bench.cluster.requests();
    let writes = requests.iter().filter(|line| line.contains("theirs/status")).count();
    assert!(writes <= 1, "{requests:?}");
    assert_eq!(bench.cluster.all(MACHINES).len(), 3);
    controllers.abort();
}
