//! The machine controller as a process: killed at mutating calls while a set grows and shrinks,
//! shut down, and probed.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use groundplan_node::test_support::fake_api_server::FakeApiServer;
use groundplan_openshift::machine_api::types::NAMESPACE;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::Desk;
use super::machines::{CANARY, INFRA_ID, SET, WORKERS, up};
use super::trouble::{end, signal};
use crate::support::cloud::{Cloud, PATIENCE};

const MACHINES: usize = 20;
/// Number of kills. The next run is not killed. Requests of a killed run may still be in the
/// server's sockets and arrive after the next run has read. Only a run without a kill corrects
/// that.
const DEATHS: usize = 8;

/// Returns the API server of a cluster with its infrastructure and a set of workers.
async fn cluster_of(desk: &Desk) -> FakeApiServer {
    let cluster = FakeApiServer::default();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    std::fs::write(desk.path("kubeconfig"), FakeApiServer::kubeconfig(address)).expect("written");
    tokio::spawn(cluster.clone().serve(listener));
    for file in ["role.yaml", "cluster-role.yaml"] {
        let path = format!("{}/deploy/machine-controller/base/{file}", env!("CARGO_MANIFEST_DIR"));
        cluster.apply(&std::fs::read_to_string(path).expect("a manifest"));
    }
    cluster.restrict_to_account(NAMESPACE, "groundplan-machine-controller");
    cluster.put(json!({
        "apiVersion": "config.openshift.io/v1", "kind": "Infrastructure",
        "metadata": {"name": "cluster"},
        "status": {"infrastructureName": INFRA_ID,
                   "platformStatus": {"type": "AWS", "aws": {"region": "us-west-2"}}},
    }));
    cluster.put(json!({
        "apiVersion": "v1", "kind": "Secret",
        "metadata": {"name": "worker-user-data", "namespace": NAMESPACE},
        "data": {"userData": "Y2FuYXJ5LW9mLXRoZS1pZ25pdGlvbg=="},
    }));
    let text = std::fs::read_to_string(desk.path(WORKERS)).expect("the manifest");
    let mut set: Value = serde_saphyr::from_str(&text).expect("YAML");
    set["metadata"]["creationTimestamp"] = Value::Null;
    set["spec"]["replicas"] = json!(0);
    let config = &mut set["spec"]["template"]["spec"]["providerSpec"]["value"];
    config["metadataServiceOptions"]["authentication"] = json!("Required");
    cluster.put(set);
    cluster
}

fn scale(cluster: &FakeApiServer, replicas: usize) {
    cluster.change("machinesets", NAMESPACE, SET, &json!({"spec": {"replicas": replicas}}));
}

fn controller(desk: &Desk, more: &[&str]) -> Child {
    let mut command =
        desk.command(&[&["machine-controller", "--no-leader-election"], more].concat());
    command.env("KUBECONFIG", desk.path("kubeconfig"));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts")
}

/// Starts the controller with its log in the file `log` of the desk.
fn logging_controller(desk: &Desk, more: &[&str]) -> Child {
    let mut command =
        desk.command(&[&["machine-controller", "--no-leader-election"], more].concat());
    command.env("KUBECONFIG", desk.path("kubeconfig"));
    let log = std::fs::File::create(desk.path("log")).expect("a file");
    command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts")
}

/// Starts and kills the controller repeatedly until `done`. Returns the number of kills.
async fn killed_until(desk: &Desk, cluster: &FakeApiServer, done: impl Fn() -> bool) -> usize {
    let began = Instant::now();
    let mut deaths = 0;
    loop {
        let mut child = controller(desk, &[]);
        let when = if deaths % 2 == 0 { "after" } else { "before" };
        if deaths < DEATHS {
            desk.cloud.kill_at(child.id(), 1 + deaths % 4, when);
        }
        loop {
            let machines = || cluster.all("machines").iter().map(status).collect::<Vec<_>>();
            assert!(
                began.elapsed() < PATIENCE * 5,
                "after {deaths} deaths it does not come to an end: {:#?}",
                machines()
            );
            if child.try_wait().expect("waited for").is_some() {
                deaths += 1;
                break;
            }
            if done() {
                signal(&child, "-TERM");
                assert_eq!(end(&mut child), Some(0), "what is told to stop ends well");
                return deaths;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

fn status(machine: &Value) -> String {
    let meta = &machine["metadata"];
    format!("{} {} {}", meta["name"], meta["finalizers"], machine["status"])
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_a_set_grows_to_twenty_and_shrinks_to_none() {
    let desk = up();
    let before = desk.cloud.inventory();
    let cluster = cluster_of(&desk).await;
    scale(&cluster, MACHINES);
    let provisioned = || {
        let machines = cluster.all("machines");
        let done = machines.iter().filter(|one| one["status"]["phase"] == "Provisioned");
        machines.len() == MACHINES && done.count() == MACHINES
    };
    let deaths = killed_until(&desk, &cluster, provisioned).await;
    assert!(deaths > 0, "no process was killed");

    let mut wanted: Vec<String> = cluster
        .all("machines")
        .iter()
        .map(|one| one["metadata"]["name"].as_str().expect("a name").replace("demo-abcde-", ""))
        .collect();
    wanted.sort_unstable();
    let workers = desk.tokens().await.into_iter().filter(|(role, _)| role.starts_with("worker"));
    let mut workers: Vec<(String, String)> = workers.collect();
    workers.sort_unstable();
    assert!(workers.iter().all(|(_, tokens)| tokens == "required"), "{workers:?}");
    let names: Vec<String> = workers.into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, wanted, "after {deaths} deaths: one instance for each, and no other");
    let objects = format!("{:?} {:?}", cluster.all("machines"), cluster.events());
    assert!(!objects.contains(CANARY) && !objects.contains("Y2FuYXJ5"), "no secret");

    scale(&cluster, 0);
    killed_until(&desk, &cluster, || cluster.all("machines").is_empty()).await;
    assert_eq!(desk.cloud.inventory(), before, "nothing is left behind");
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_says_how_it_is_and_ends_when_it_is_told() {
    let desk = up();
    let cluster = cluster_of(&desk).await;
    let policy = super::policies::policy(&desk, "controller", INFRA_ID);
    desk.cloud.allow_only(&policy);
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = port.expect("a free port").to_string();
    let mut child = logging_controller(&desk, &["--listen", &address]);
    let probe = |path: &str| {
        let text = super::trouble::get(&address, path);
        text.unwrap_or_default()
    };
    super::trouble::until("it is ready", || probe("/readyz").contains("200 OK"));
    scale(&cluster, 1);
    super::trouble::until("a machine is provisioned", || {
        cluster.all("machines").iter().any(|one| one["status"]["phase"] == "Provisioned")
    });
    let metrics = probe("/metrics");
    assert!(metrics.contains("mapi_machine_phase_transition_seconds"), "{metrics}");
    assert!(metrics.contains("RunInstances"), "{metrics}");
    scale(&cluster, 0);
    super::trouble::until("the machine is gone", || cluster.all("machines").is_empty());
    let events = format!("{:?}", cluster.events());
    assert!(!events.contains("not authorized"), "{events}");
    signal(&child, "-TERM");
    assert_eq!(end(&mut child), Some(0));
    let log = std::fs::read_to_string(desk.path("log")).expect("the log");
    let [.., began, ended] = log.lines().collect::<Vec<_>>()[..] else { panic!("{log}") };
    assert!(began.contains(" info manager shutdown began after SIGTERM: "), "{log}");
    assert!(ended.contains(" info manager shutdown ended after "), "{log}");
    for change in [": created Machine ", ": deleted Machine "] {
        assert_eq!(log.matches(change).count(), 1, "{change}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_list_it_is_not_ready_and_ends_when_it_is_told() {
    let desk = up();
    let cluster = cluster_of(&desk).await;
    cluster.delay("LIST", "machines", Duration::from_secs(3600));
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = port.expect("a free port").to_string();
    let mut child = controller(&desk, &["--listen", &address]);
    let probe = || super::trouble::get(&address, "/readyz").unwrap_or_default();
    super::trouble::until("it names the list", || {
        let readyz = probe();
        readyz.contains(" 503 ") && readyz.contains("the list of machines has not succeeded")
    });
    signal(&child, "-TERM");
    assert_eq!(end(&mut child), Some(0));
}

/// Writes a file of credentials for an account.
fn write_credentials(desk: &Desk, cloud: &Cloud) {
    let (key, secret) = (cloud.access_key(), cloud.secret_key());
    let text = format!("[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n");
    std::fs::write(desk.path("credentials"), text).expect("written");
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_of_another_account_change_nothing_until_the_right_ones_are_back() {
    let desk = up();
    let cluster = cluster_of(&desk).await;
    let elsewhere = desk.cloud.another_account();
    write_credentials(&desk, &desk.cloud);
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
    let address = port.expect("a free port").to_string();
    let mut command =
        desk.command(&["machine-controller", "--no-leader-election", "--listen", &address]);
    command.env("KUBECONFIG", desk.path("kubeconfig"));
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    command.env("AWS_SHARED_CREDENTIALS_FILE", desk.path("credentials"));
    let log = std::fs::File::create(desk.path("log")).expect("a file");
    let mut child = command.stdout(Stdio::null()).stderr(log).spawn().expect("it starts");
    let readyz = || super::trouble::get(&address, "/readyz").unwrap_or_default();
    let in_phase = |phase: &str| {
        let machines = cluster.all("machines");
        machines.iter().filter(|one| one["status"]["phase"] == phase).count()
    };
    scale(&cluster, 3);
    super::trouble::until("all are provisioned", || in_phase("Provisioned") == 3);

    write_credentials(&desk, &elsewhere);
    super::trouble::until("it notices the account", || {
        readyz().contains(" 503 ") && readyz().contains("another account")
    });
    let launches = desk.cloud.calls("RunInstances");
    let deleted = cluster.all("machines")[0]["metadata"]["name"].clone();
    let deleted = deleted.as_str().expect("a name");
    cluster.delete("machines", NAMESPACE, deleted);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert!(cluster.get("machines", NAMESPACE, deleted).is_some(), "its instance is there");
    assert_eq!((in_phase("Failed"), cluster.all("machines").len()), (0, 4), "with its successor");
    assert_eq!(desk.cloud.calls("TerminateInstances"), 0);
    assert_eq!(desk.cloud.calls("RunInstances"), launches);
    let there = elsewhere.requests();
    assert!(!there.is_empty(), "the account was checked");
    assert!(there.iter().all(|call| call["action"] == "GetCallerIdentity"), "{there:?}");
    assert!(readyz().contains(" 503 "), "{}", readyz());

    write_credentials(&desk, &desk.cloud);
    super::trouble::until("the deleted machine is gone, and its successor is there", || {
        cluster.get("machines", NAMESPACE, deleted).is_none() && in_phase("Provisioned") == 3
    });
    super::trouble::until("it is ready", || readyz().contains("200 OK"));
    let workers = desk.tokens().await.into_iter().filter(|(role, _)| role.starts_with("worker"));
    assert_eq!((workers.count(), desk.cloud.calls("RunInstances")), (3, launches + 1));
    signal(&child, "-TERM");
    assert_eq!(end(&mut child), Some(0));
    let log = std::fs::read_to_string(desk.path("log")).expect("the log");
    assert_eq!(
        log.matches("hint: set the credentials of the cluster's account").count(),
        1,
        "{log}"
    );
    assert_eq!(log.matches("belong to the account of the start again").count(), 1, "{log}");
}

#[test]
fn where_there_is_no_cluster_it_says_so_at_once() {
    let desk = Desk::new();
    std::fs::write(desk.path("kubeconfig"), FakeApiServer::kubeconfig(([127, 0, 0, 1], 1).into()))
        .expect("written");
    let mut command = desk.command(&["machine-controller"]);
    let ran = command.env("KUBECONFIG", desk.path("kubeconfig")).output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stderr);
    assert_eq!(ran.status.code(), Some(1), "{said}");
    assert!(said.contains(" error manager could not read the Infrastructure `cluster`"), "{said}");
    assert!(
        said.trim_end().ends_with("; see `groundplan explain api-server-unreachable`"),
        "{said}"
    );
    assert!(said.lines().count() == 1 && ran.stdout.is_empty(), "{said}");
    let mut command = desk.command(&["machine-controller", "--json"]);
    let ran = command.env("KUBECONFIG", desk.path("kubeconfig")).output().expect("it runs");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.code() == Some(1) && ran.stderr.is_empty(), "{ran:?}");
    let lines: Vec<Value> =
        said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [version, line] = lines.as_slice() else { panic!("{said}") };
    assert_eq!(version["type"], "version");
    assert_eq!((&line["type"], &line["level"]), (&json!("log"), &json!("error")));
    assert_eq!(line["code"], "api-server-unreachable");
    assert!(line["time"].is_string(), "{line}");
}
