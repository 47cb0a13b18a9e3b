//! An API server in memory that knows Nodes and Events, as strict with them as the real one: resource
//! versions and UIDs are compared, a status is written through `/status` and nothing else is, lists
//! are merged as the types say.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Collected, Full};
use hyper::body::Bytes;
use hyper::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Map, Value, json};

#[derive(Default)]
struct Server {
    version: u64,
    nodes: BTreeMap<String, Value>,
    events: BTreeMap<String, Value>,
    writes: usize,
    conflicts: usize,
    /// How many of the next changes somebody else is quicker than.
    quicker: u32,
    /// Whether whoever asks is a kubelet.
    kubelet: bool,
    silent: bool,
    /// Statuses that the next requests get.
    troubles: Vec<u16>,
}

/// An API server in memory.
#[derive(Clone, Default)]
pub(crate) struct FakeApi(Arc<Mutex<Server>>);

/// A refusal: status, reason, message.
struct No(u16, &'static str, String);

impl FakeApi {
    fn server(&self) -> MutexGuard<'_, Server> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that reaches this server and no other.
    pub(crate) fn client(&self) -> Client {
        let fake = self.clone();
        let answer = move |request| {
            let fake = fake.clone();
            async move { Ok::<_, Infallible>(fake.answer(request).await) }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    /// A Node that is well.
    pub(crate) fn add_node(&self, name: &str) {
        let time = "2026-01-01T00:00:00Z";
        let mut server = self.server();
        server.version += 1;
        let node = json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "uid": format!("uid-of-{name}"), "creationTimestamp": time,
                         "resourceVersion": server.version.to_string()},
            "spec": {"providerID": "aws:///us-west-2a/i-0123456789abcdef0"},
            "status": {"conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is",
                "lastHeartbeatTime": time, "lastTransitionTime": time,
            }]},
        });
        server.nodes.insert(name.to_owned(), node);
    }

    /// What somebody else made of a condition.
    pub(crate) fn set_condition(&self, name: &str, kind: &str, status: &str) {
        let time = "2026-01-01T00:00:00Z";
        let condition = json!({"type": kind, "status": status, "reason": "Somebody", "message": "said so",
                               "lastHeartbeatTime": time, "lastTransitionTime": time});
        self.server().write_condition(name, &condition);
    }

    /// The kubelet, say, writes between the reading and the writing of the next changes.
    pub(crate) fn somebody_writes_before_the_next(&self, changes: u32) {
        self.server().quicker = changes;
    }

    /// As the admission plugin NodeRestriction does for a kubelet.
    pub(crate) fn restrict_nodes(&self) {
        self.server().kubelet = true;
    }

    /// Nobody is answered any more.
    pub(crate) fn fall_silent(&self) {
        self.server().silent = true;
    }

    /// The next requests get these statuses.
    pub(crate) fn trouble(&self, statuses: &[u16]) {
        self.server().troubles.extend(statuses.iter().rev());
    }

    pub(crate) fn node(&self, name: &str) -> Value {
        self.server().nodes[name].clone()
    }

    pub(crate) fn events(&self) -> Vec<Value> {
        self.server().events.values().cloned().collect()
    }

    /// How often a Node was written through the API.
    pub(crate) fn writes(&self) -> usize {
        self.server().writes
    }

    pub(crate) fn conflicts(&self) -> usize {
        self.server().conflicts
    }

    async fn answer(self, request: Request<Body>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
        if self.server().silent {
            std::future::pending::<()>().await;
        }
        let header = head.headers.get("content-type").and_then(|value| value.to_str().ok());
        let mut server = self.server();
        let done = match server.troubles.pop() {
            Some(status) => Err(No(status, "InternalError", "trouble".to_owned())),
            None => server.route(&head.method, head.uri.path(), header.unwrap_or_default(), &body),
        };
        match done {
            Ok((status, object)) => reply(status, &object),
            Err(No(code, reason, message)) => reply(
                code,
                &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": message, "reason": reason, "code": code}),
            ),
        }
    }
}

impl Server {
    fn route(
        &mut self,
        method: &Method,
        path: &str,
        content: &str,
        body: &[u8],
    ) -> Result<(u16, Value), No> {
        let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
        let parse = || {
            serde_json::from_slice::<Value>(body)
                .map_err(|error| No(400, "BadRequest", error.to_string()))
        };
        match (method.as_str(), parts.as_slice()) {
            ("GET", ["api", "v1", "nodes", name]) => Ok((200, self.known(name)?)),
            ("PATCH", ["api", "v1", "nodes", name, rest @ ..]) if content == STRATEGIC => {
                self.patch(name, rest, parse()?).map(|node| (200, node))
            }
            ("PATCH", _) => Err(No(415, "UnsupportedMediaType", content.to_owned())),
            ("POST", ["api", "v1", "namespaces", namespace, "events"]) => {
                self.post_event(namespace, parse()?).map(|event| (201, event))
            }
            _ => {
                Err(No(404, "NotFound", "the server could not find the requested resource".into()))
            }
        }
    }

    fn known(&self, name: &str) -> Result<Value, No> {
        let missing = || No(404, "NotFound", format!("nodes \"{name}\" not found"));
        self.nodes.get(name).cloned().ok_or_else(missing)
    }

    fn patch(&mut self, name: &str, part: &[&str], patch: Value) -> Result<Value, No> {
        if self.quicker > 0 {
            self.quicker -= 1;
            let beat = format!("beat {}", self.version);
            self.write_condition(
                name,
                &json!({"type": "Heartbeats", "status": "True", "message": beat}),
            );
        }
        let old = self.known(name)?;
        self.compare(name, &old["metadata"], &patch["metadata"])?;
        let mut new = old.clone();
        merge(&mut new, patch, "");
        new["metadata"] = old["metadata"].clone();
        match part {
            ["status"] => new["spec"] = old["spec"].clone(),
            [] => new["status"] = old["status"].clone(),
            _ => return Err(No(404, "NotFound", part.join("/"))),
        }
        if self.kubelet && new["spec"]["taints"] != old["spec"]["taints"] {
            let message = format!(
                "nodes \"{name}\" is forbidden: node \"{name}\" is not allowed to modify taints"
            );
            return Err(No(403, "Forbidden", message));
        }
        if new != old {
            self.writes += 1;
            self.version += 1;
            new["metadata"]["resourceVersion"] = json!(self.version.to_string());
            self.nodes.insert(name.to_owned(), new.clone());
        }
        Ok(new)
    }

    fn compare(&mut self, name: &str, old: &Value, sent: &Value) -> Result<(), No> {
        for field in ["resourceVersion", "uid"] {
            if !sent[field].is_null() && sent[field] != old[field] {
                self.conflicts += 1;
                let message = format!(
                    "Operation cannot be fulfilled on nodes \"{name}\": the object has been modified; \
                     please apply your changes to the latest version and try again"
                );
                return Err(No(409, "Conflict", message));
            }
        }
        Ok(())
    }

    fn write_condition(&mut self, name: &str, condition: &Value) {
        self.version += 1;
        let version = self.version;
        let node = self.nodes.get_mut(name).expect("a Node");
        merge(node, json!({"status": {"conditions": [condition]}}), "");
        node["metadata"]["resourceVersion"] = json!(version.to_string());
    }

    fn post_event(&mut self, namespace: &str, mut event: Value) -> Result<Value, No> {
        let name = event["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let invalid =
            |what: &str| No(422, "Invalid", format!("Event \"{name}\" is invalid: {what}"));
        if name.is_empty() {
            return Err(invalid("metadata.name: Required value"));
        }
        // Of what is in no namespace, in the namespace `default`.
        if event["involvedObject"]["namespace"].is_null() && namespace != "default" {
            return Err(invalid("involvedObject.namespace: does not match event.namespace"));
        }
        if self.events.contains_key(&name) {
            let message = format!("events \"{name}\" already exists");
            return Err(No(409, "AlreadyExists", message));
        }
        self.version += 1;
        event["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.events.insert(name, event.clone());
        Ok(event)
    }
}

const STRATEGIC: &str = "application/strategic-merge-patch+json";

/// A strategic merge patch: as a merge patch, but conditions are merged by their type. Taints have no
/// merge key and are replaced.
fn merge(target: &mut Value, patch: Value, field: &str) {
    match patch {
        Value::Object(patch) => merge_fields(target, patch),
        Value::Array(patch) if field == "conditions" => merge_conditions(target, patch),
        patch => *target = patch,
    }
}

fn merge_fields(target: &mut Value, patch: Map<String, Value>) {
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (field, value) in patch {
        match value {
            Value::Null => drop(target.remove(&field)),
            value => merge(target.entry(&*field).or_insert(Value::Null), value, &field),
        }
    }
}

fn merge_conditions(target: &mut Value, patch: Vec<Value>) {
    if !target.is_array() {
        *target = json!([]);
    }
    let Value::Array(known) = target else { return };
    for condition in patch {
        match known.iter_mut().find(|one| one["type"] == condition["type"]) {
            Some(one) => merge(one, condition, ""),
            None => known.push(condition),
        }
    }
}

fn reply(status: u16, object: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(object.to_string())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}
