//! After an apply: outputs, the command that gathers logs, and waits for the installation against an API
//! server behind TLS.

use std::process::{Child, Stdio};

use groundplan_node::test_support::fake_api_server::FakeApiServer;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::trouble::{Printed, end, signal};
use super::{Desk, Ran};
use crate::support::api_server::{CA, EXPIRED, OTHER_CA, SERVER, client_key, kubeconfig, serve};

const CLUSTER: &str = "config.openshift.io/v1";

fn condition(kind: &str, status: &str, message: &str) -> Value {
    json!({"type": kind, "status": status, "message": message, "reason": "R",
           "lastTransitionTime": "2026-01-01T00:00:00Z"})
}

fn put(
    cluster: &FakeApiServer,
    kind: &str,
    name: &str,
    [available, failing, progressing]: [&str; 3],
) {
    let failure = if kind == "ClusterVersion" { "Failing" } else { "Degraded" };
    let conditions = json!([
        condition("Available", available, ""),
        condition(failure, failing, "the pod of dns crashes"),
        condition("Progressing", progressing, "99% complete, waiting on dns"),
    ]);
    cluster.put(json!({"apiVersion": CLUSTER, "kind": kind, "metadata": {"name": name},
                       "status": {"conditions": conditions}}));
}

fn put_bootstrap(cluster: &FakeApiServer, status: &str) {
    let metadata = json!({"name": "bootstrap", "namespace": "kube-system"});
    cluster.put(json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
                       "data": {"status": status}}));
}

fn put_console(cluster: &FakeApiServer) {
    let ingress = json!([{"host": "console.apps.demo.example.com",
                          "conditions": [{"type": "Admitted", "status": "True"}]}]);
    cluster.put(json!({"apiVersion": "route.openshift.io/v1", "kind": "Route",
                       "metadata": {"name": "console", "namespace": "openshift-console"},
                       "status": {"ingress": ingress}}));
}

fn start(desk: &Desk, arguments: &[&str]) -> (Child, Printed) {
    let arguments = [&["wait-for"], arguments].concat();
    let mut command = desk.command(&arguments);
    let mut child = command.stderr(Stdio::null()).spawn().expect("it starts");
    let printed = Printed::by(&mut child);
    (child, printed)
}

/// Writes the kubeconfig into the assets of the desk.
fn write_kubeconfig(desk: &Desk, address: std::net::SocketAddr, authority: &str) {
    std::fs::create_dir_all(desk.path("assets/auth")).expect("created");
    std::fs::write(desk.path("assets/auth/kubeconfig"), kubeconfig(address, authority))
        .expect("written");
}

async fn listen() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

impl Desk {
    /// Returns the roles of the running machines.
    async fn running(&self) -> Vec<String> {
        self.tokens().await.into_iter().map(|(role, _)| role).collect()
    }
}

/// Returns the line of the stream with this type and value.
fn line<'a>(ran: &'a [Value], kind: &str, key: &str, value: &str) -> &'a Value {
    let found = ran.iter().find(|one| one["type"] == kind && one[key] == value);
    found.unwrap_or_else(|| panic!("no {kind} with {key} {value} in {ran:#?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_applied_cluster_has_outputs_and_a_late_one_its_causes_in_aws() {
    let desk = Desk::new();
    desk.apply();
    let bootstrap = desk.machine_running("bootstrap").await;

    let out = |name: &str| desk.expect(0, &["output", name]).out.trim_end().to_owned();
    assert_eq!(out("api_url"), "https://api.demo.example.com:6443");
    assert_eq!(out("bootstrap_id"), bootstrap);
    let all: Value =
        serde_json::from_str(&desk.expect(0, &["output", "--json"]).out).expect("JSON");
    let ips = (&all["outputs"]["bootstrap_ip"], &all["outputs"]["master_ips"][0]);
    let (Value::String(ip), Value::String(master)) = ips else { panic!("{all}") };
    let unknown = desk.expect(64, &["output", "bootstrap-ip"]);
    assert!(unknown.err.contains("did you mean `bootstrap_ip`?"), "{}", unknown.err);

    let gather = desk.expect(0, &["gather", "bootstrap", "--assets", "assets"]).out;
    let expected = format!(
        "openshift-install gather bootstrap --dir assets --bootstrap {ip} --master {master}\n"
    );
    assert_eq!(gather, expected);

    // Nothing listens, and everything is late at once.
    let (listener, address) = listen().await;
    drop(listener);
    write_kubeconfig(&desk, address, CA);
    let wait =
        ["wait-for", "bootstrap-complete", "--assets", "assets", "--late-after", "0", "--json"];
    let policy = super::policies::policy(&desk, "wait", "demo-x7k2p");
    desk.cloud.allow_only(&policy);
    let ran = desk.expect(1, &[&wait[..], &["--timeout", "3s"]].concat());
    desk.cloud.allow_only(&Value::Null);
    let ran = ran.lines();
    let reasons = line(&ran, "wait_stage", "status", "late")["reasons"].to_string();
    for cause in [
        "refused",
        "-aint: 2 of 2 targets are healthy",
        "console of the bootstrap machine",
        "Enabling fast FPU",
    ] {
        assert!(reasons.contains(cause), "{cause}: {reasons}");
    }
    assert!(!reasons.contains("not allowed"), "{reasons}");
    let warning = line(&ran, "diagnostic", "severity", "warning")["summary"].to_string();
    assert!(warning.contains("the state records https://api.demo.example.com:6443"), "{warning}");
    assert_eq!(line(&ran, "wait_finished", "goal", "bootstrap-complete")["complete"], false);

    desk.expect(0, &["bootstrap", "destroy", "--auto-approve"]);
    let gone = desk.expect(1, &["gather", "bootstrap"]);
    assert!(
        gone.err.contains("has no bootstrap machine") && gone.err.contains(master),
        "{}",
        gone.err
    );
    desk.expect(1, &["output", "bootstrap_ip"]);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wait_that_is_stopped_goes_on_where_the_cluster_is() {
    let desk = Desk::new(); // and no state
    let cluster = FakeApiServer::default();
    let (listener, address) = listen().await;
    write_kubeconfig(&desk, address, CA);
    serve(&cluster, listener, SERVER);
    let bootstrap = ["bootstrap-complete", "--assets", "assets"];
    let (mut child, mut printed) = start(&desk, &bootstrap);
    printed.up_to("API server: answers, Kubernetes v1.36.2");
    printed.up_to("bootstrap: no master has joined yet");
    signal(&child, "-INT");
    assert_eq!(end(&mut child), Some(6));

    put_bootstrap(&cluster, "complete");
    let (mut child, printed) = start(&desk, &bootstrap);
    assert_eq!(end(&mut child), Some(0));
    let text = printed.all();
    assert!(text.contains("bootstrap-complete after 0s."), "{text}");

    put(&cluster, "ClusterVersion", "version", ["False", "True", "True"]);
    put(&cluster, "ClusterOperator", "dns", ["True", "True", "False"]);
    let (mut child, mut printed) =
        start(&desk, &["install-complete", "--assets", "assets", "--late-after", "0"]);
    printed.up_to("cluster version: the pod of dns crashes");
    printed.up_to("operator dns is degraded: the pod of dns crashes");
    put(&cluster, "ClusterVersion", "version", ["True", "False", "False"]);
    put(&cluster, "ClusterOperator", "dns", ["True", "False", "False"]);
    put_console(&cluster);
    printed.up_to("install-complete after ");
    printed.up_to("console     https://console.apps.demo.example.com");
    assert_eq!(end(&mut child), Some(0));
    let kubeconfig = printed.up_to("kubeconfig  export KUBECONFIG=");
    assert!(kubeconfig.ends_with("assets/auth/kubeconfig"), "{kubeconfig}");
    let changes = cluster.requests().into_iter().filter(|one| !one.starts_with("GET "));
    assert_eq!(changes.collect::<Vec<_>>(), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_that_waits_goes_from_nothing_to_an_installed_cluster_also_after_a_kill() {
    let desk = Desk::new();
    super::policies::write_assets(&desk, "demo-w4a2t");
    let apply = ["apply", "--assets", "assets", "--auto-approve", "--wait"];
    desk.expect(64, &["apply", "--auto-approve", "--wait"]);
    let none = desk.expect(3, &apply);
    assert!(none.err.contains("could not use the kubeconfig"), "{}", none.err);
    assert!(!desk.path("state").exists(), "nothing is begun without a kubeconfig");

    let cluster = FakeApiServer::default();
    let (listener, address) = listen().await;
    write_kubeconfig(&desk, address, CA);
    serve(&cluster, listener, SERVER);
    let mut child = desk.start(&apply);
    let mut printed = Printed::by(&mut child);
    printed.up_to("bootstrap: no master has joined yet");
    child.kill().expect("killed");
    child.wait().expect("waited for");
    desk.machine_running("bootstrap").await;

    put_bootstrap(&cluster, "complete");
    let mut child = desk.start(&apply);
    let mut printed = Printed::by(&mut child);
    printed.up_to("bootstrap-complete after ");
    printed.up_to("cluster version: no ClusterVersion yet");
    assert!(desk.running().await.iter().all(|role| role != "bootstrap"), "it is removed");
    signal(&child, "-INT");
    let stopped = child.wait_with_output().expect("it ends");
    assert_eq!(stopped.status.code(), Some(6));
    let said = String::from_utf8_lossy(&stopped.stderr);
    assert!(said.contains("all changes before it are recorded"), "{said}");

    put(&cluster, "ClusterVersion", "version", ["True", "False", "False"]);
    put(&cluster, "ClusterOperator", "dns", ["True", "False", "False"]);
    put_console(&cluster);
    let ran = desk.expect(0, &apply);
    assert!(ran.out.contains("install-complete after "), "{}", ran.out);
    assert!(!ran.out.contains("bootstrap-complete"), "the bootstrap stays removed: {}", ran.out);
    desk.expect(0, &["destroy", "--auto-approve"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_checked_against_the_authority_of_the_kubeconfig() {
    let desk = Desk::new();
    let cluster = FakeApiServer::default();
    put_bootstrap(&cluster, "complete");
    let wait = ["wait-for", "bootstrap-complete", "--assets", "assets", "--timeout"];
    let said = |ran: &Ran| format!("{}{}", ran.out, ran.err);

    let (listener, address) = listen().await;
    serve(&cluster, listener, EXPIRED);
    write_kubeconfig(&desk, address, CA);
    let expired = desk.expect(1, &[&wait[..], &["1m"]].concat());
    assert!(
        expired.err.contains("the certificate of the API server has expired"),
        "{}",
        said(&expired)
    );

    let (listener, address) = listen().await;
    serve(&cluster, listener, SERVER);
    write_kubeconfig(&desk, address, OTHER_CA);
    let foreign = desk.expect(1, &[&wait[..], &["1s"]].concat());
    assert!(
        foreign.err.contains("API server: TLS fails: invalid peer certificate"),
        "{}",
        said(&foreign)
    );

    write_kubeconfig(&desk, address, CA);
    let ran = desk.expect(0, &[&wait[..], &["1m"]].concat());
    // A proxy is used unless NO_PROXY has the server; nothing listens at this one.
    let proxied = |no_proxy: &str| {
        let mut command = desk.command(&[&wait[..], &["1s"]].concat());
        command.env("HTTPS_PROXY", "http://127.0.0.1:1").env("NO_PROXY", no_proxy);
        Ran::from(command.output().expect("it runs")).code
    };
    assert_eq!([proxied("127.0.0.1"), proxied("example.com")], [Some(0), Some(1)]);
    for ran in [expired, foreign, ran] {
        assert!(!said(&ran).contains(&client_key()[..40]), "{}", said(&ran));
    }
    assert!(cluster.requests().iter().any(|one| one == "GET /version"));
}
