//! An API server under test, and raw requests to it.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{HeaderMap, Request};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::super::FakeApiServer;
use super::manifests;

/// Group and version of Machines and MachineSets.
pub(super) const MACHINE_API: &str = "machine.openshift.io/v1beta1";
/// Maximum duration of one request that is not a watch.
const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const MERGE: &str = "application/merge-patch+json";
pub(super) const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// An API server, with a namespace for the objects of the suite.
#[derive(Clone)]
pub(super) struct Target {
    client: Client,
    /// Connection to a real server, or `None` for the server in this process.
    config: Option<Config>,
    fake: Option<FakeApiServer>,
    /// Namespace of the suite. Names of cluster-scoped objects begin with it, too.
    pub(super) namespace: String,
    headers: Vec<(&'static str, String)>,
}

/// A response.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Value,
}

impl Target {
    /// Returns a new server in this process.
    pub(super) fn in_process() -> Self {
        let fake = FakeApiServer::default();
        fake.stop_kubelets();
        Self {
            client: fake.client(),
            config: None,
            fake: Some(fake),
            namespace: "conformance".to_owned(),
            headers: Vec::new(),
        }
    }

    /// Returns the server of a kubeconfig.
    pub(super) async fn of_kubeconfig(path: &str) -> Self {
        let kubeconfig = Kubeconfig::read_from(path).expect("a kubeconfig");
        let options = KubeConfigOptions::default();
        let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.expect(path);
        config.default_retry = false;
        let client = Client::try_from(config.clone()).expect("a client");
        let namespace = format!("conformance-{}", &uuid::Uuid::new_v4().to_string()[..8]);
        Self { client, config: Some(config), fake: None, namespace, headers: Vec::new() }
    }

    /// Returns the server in this process, for actions that no client of a real server has.
    pub(super) fn fake(&self) -> Option<&FakeApiServer> {
        self.fake.as_ref()
    }

    /// Impersonates a user in these groups.
    pub(super) fn as_user(&self, user: &str, groups: &[&str]) -> Self {
        let mut target = self.clone();
        target.headers.push(("Impersonate-User", user.to_owned()));
        let groups = groups.iter().map(|group| ("Impersonate-Group", (*group).to_owned()));
        target.headers.extend(groups);
        target
    }

    /// Impersonates a kubelet.
    pub(super) fn as_kubelet(&self, node: &str) -> Self {
        self.as_user(&format!("system:node:{node}"), &["system:nodes", "system:authenticated"])
    }

    /// Authenticates with a bearer token.
    pub(super) fn with_token(&self, token: &str) -> Self {
        let mut target = self.clone();
        match &self.config {
            Some(config) => {
                let mut config = config.clone();
                config.auth_info = kube::config::AuthInfo {
                    token: Some(token.to_owned().into()),
                    ..Default::default()
                };
                target.client = Client::try_from(config).expect("a client");
            }
            None => target.headers.push(("Authorization", format!("Bearer {token}"))),
        }
        target
    }

    /// Sends a request and returns its response without any interpretation.
    pub(super) async fn send(&self, method: &str, path: &str, kind: &str, body: Vec<u8>) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        if !kind.is_empty() {
            request = request.header("Content-Type", kind);
        }
        for (name, value) in &self.headers {
            request = request.header(*name, value);
        }
        let request = request.body(Body::from(body)).expect("a request");
        let work = async {
            let response = self.client.send(request).await.expect("a response");
            let (head, body) = response.into_parts();
            let bytes = body.collect().await.expect("a body").to_bytes();
            let body = serde_json::from_slice(&bytes)
                .unwrap_or_else(|_| Value::String(String::from_utf8_lossy(&bytes).into_owned()));
            Answer { status: head.status.as_u16(), headers: head.headers, body }
        };
        timeout(PATIENCE, work).await.unwrap_or_else(|_| panic!("{method} {path}: no response"))
    }

    pub(super) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", Vec::new()).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string().into()).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send("PUT", path, "application/json", body.to_string().into()).await
    }

    pub(super) async fn merge(&self, path: &str, body: &Value) -> Answer {
        self.send("PATCH", path, MERGE, body.to_string().into()).await
    }

    pub(super) async fn delete(&self, path: &str, options: &Value) -> Answer {
        let kind = if options.is_null() { "" } else { "application/json" };
        let body = if options.is_null() { String::new() } else { options.to_string() };
        self.send("DELETE", path, kind, body.into()).await
    }

    /// Returns all events of a watch, which ends after `seconds`.
    pub(super) async fn watch(&self, path: &str, query: &str, seconds: u32) -> Vec<Value> {
        let path = format!("{path}?watch=true&timeoutSeconds={seconds}&{query}");
        let answer = self.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        match answer.body {
            Value::String(lines) => lines
                .lines()
                .map(|line| serde_json::from_str(line).expect("an event in a line"))
                .collect(),
            event => vec![event],
        }
    }

    pub(super) fn machines(&self) -> String {
        format!("/apis/{MACHINE_API}/namespaces/{}/machines", self.namespace)
    }

    pub(super) fn machine_sets(&self) -> String {
        format!("/apis/{MACHINE_API}/namespaces/{}/machinesets", self.namespace)
    }

    /// Returns the path of a core resource in the namespace of the suite.
    pub(super) fn core(&self, plural: &str) -> String {
        format!("/api/v1/namespaces/{}/{plural}", self.namespace)
    }

    pub(super) fn leases(&self) -> String {
        format!("/apis/coordination.k8s.io/v1/namespaces/{}/leases", self.namespace)
    }

    /// Returns a Machine with one known field, `spec.providerID`.
    pub(super) fn machine(&self, name: &str) -> Value {
        json!({"apiVersion": MACHINE_API, "kind": "Machine",
               "metadata": {"name": name, "labels": {"app": name}},
               "spec": {"providerID": "aws:///a/i-1", "providerSpec": {"value": {"x": 1}}}})
    }

    /// Creates a Machine.
    pub(super) async fn made(&self, name: &str) -> Value {
        self.post(&self.machines(), &self.machine(name)).await.is(201)
    }

    /// Creates a Machine with these metadata.
    pub(super) async fn made_with(&self, name: &str, meta: &Value) -> Value {
        let mut machine = self.machine(name);
        for (field, value) in meta.as_object().expect("metadata") {
            machine["metadata"][field] = value.clone();
        }
        self.post(&self.machines(), &machine).await.is(201)
    }

    /// Repeats an action until its result fits, for at most 30 seconds.
    pub(super) async fn until<T: std::fmt::Debug>(
        &self,
        action: impl AsyncFn() -> T,
        fits: impl Fn(&T) -> bool,
    ) -> T {
        let began = Instant::now();
        loop {
            let result = action().await;
            if fits(&result) {
                return result;
            }
            assert!(began.elapsed() < PATIENCE, "still {result:?}");
            sleep(Duration::from_millis(200)).await;
        }
    }

    /// Deletes what the suite made. Ends when the namespace is gone.
    pub(super) async fn clean_up(&self, made: Vec<String>) {
        let api = "/apis/rbac.authorization.k8s.io/v1";
        for kind in ["clusterrolebindings", "clusterroles"] {
            self.delete(&format!("{api}/{kind}/{}", self.namespace), &json!(null)).await;
        }
        let nodes = self.get("/api/v1/nodes").await.is(200);
        let own = names(&nodes).into_iter().filter(|name| name.starts_with(&self.namespace));
        for name in own {
            self.delete(&format!("/api/v1/nodes/{name}"), &json!(null)).await;
        }
        for plural in [self.core("pods"), self.machines(), self.machine_sets()] {
            self.release_all(&plural).await;
        }
        for path in made.iter().rev() {
            self.delete(path, &json!(null)).await;
            self.until(async || self.get(path).await.status, |status| *status == 404).await;
        }
    }

    /// Deletes all objects of a resource in the namespace, without grace and finalizers.
    async fn release_all(&self, path: &str) {
        let all = self.get(path).await.is(200);
        for name in names(&all) {
            let path = format!("{path}/{name}");
            self.merge(&path, &json!({"metadata": {"finalizers": null}})).await;
            self.delete(&path, &json!({"gracePeriodSeconds": 0})).await;
        }
    }

    /// Creates the namespace, and the CRDs of the project unless they exist. Returns the paths of
    /// what it made.
    pub(super) async fn prepare(&self) -> Vec<String> {
        let mut made = Vec::new();
        let crds = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
        for definition in manifests::crds() {
            let path = format!("{crds}/{}", definition["metadata"]["name"].as_str().unwrap());
            if self.fake.is_none() && self.get(&path).await.status == 404 {
                self.post(crds, &definition).await.is(201);
                made.push(path);
            }
        }
        let space = json!({"apiVersion": "v1", "kind": "Namespace",
                           "metadata": {"name": self.namespace}});
        self.post("/api/v1/namespaces", &space).await.is(201);
        made.push(format!("/api/v1/namespaces/{}", self.namespace));
        if self.fake.is_none() {
            for path in [self.machines(), self.machine_sets(), self.core("serviceaccounts/default")]
            {
                self.until(async || self.get(&path).await.status, |status| *status == 200).await;
            }
        }
        made
    }
}

impl Answer {
    /// Returns the body of a response with this status.
    #[track_caller]
    pub(super) fn is(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    /// Checks the Status of a rejection, and returns its message.
    #[track_caller]
    pub(super) fn refused(&self, code: u16, reason: &str) -> String {
        assert_eq!((self.status, &self.body["reason"]), (code, &json!(reason)), "{}", self.body);
        assert_eq!(self.body["kind"], "Status", "{}", self.body);
        assert_eq!(self.body["apiVersion"], "v1", "{}", self.body);
        assert_eq!(self.body["status"], "Failure", "{}", self.body);
        assert_eq!(self.body["code"], code, "{}", self.body);
        self.body["message"].as_str().expect("a message").to_owned()
    }

    /// Returns the causes of a rejection as `field reason message`.
    pub(super) fn causes(&self) -> Vec<String> {
        let text = |cause: &Value, field: &str| cause[field].as_str().unwrap_or("-").to_owned();
        let causes = self.body["details"]["causes"].as_array().cloned().unwrap_or_default();
        let line = |cause: &Value| {
            format!("{} {} {}", text(cause, "field"), text(cause, "reason"), text(cause, "message"))
        };
        causes.iter().map(line).collect()
    }
}

/// Returns the resource version of an object or a list.
pub(super) fn version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().expect("a resource version")
}

/// Returns the names of the objects of a list.
pub(super) fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().filter_map(|item| item["metadata"]["name"].as_str()).collect()
}

/// Returns events as `TYPE name`.
pub(super) fn lines(events: &[Value]) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
    let line = |event: &Value| {
        format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    };
    events.iter().map(line).collect()
}
