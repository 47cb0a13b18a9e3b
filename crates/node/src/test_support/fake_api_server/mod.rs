//! An API server of Kubernetes in memory, as strict as the real one where we rely on it.
//!
//! Resource versions, UIDs and generations are kept and compared; a status is written through
//! `/status` and nothing else is; what has finalizers is deleted once they are gone; watches begin
//! where they are told to, or say that it is too long ago. It knows the resources that groundplan
//! uses ([`RESOURCES`]), and may fail in every way that a server may: with statuses, by closing
//! connections before or after a request took effect, by ending watches, by silence.
//!
//! What it does not do: nobody is authorised here, no object is held to a schema, and nothing
//! follows from anything: no pods run, no owner takes what it owns along. Serves without a socket,
//! so that it works under tokio's paused clock.

mod body;
mod patch;
mod request;
mod route;
mod select;
mod serve;
mod store;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http_body_util::{BodyExt, Collected};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use self::body::Answer;
use self::request::{Asked, No, Reply};
pub use self::request::{RESOURCES, Resource};
use self::store::Store;

/// An API server in memory.
#[derive(Clone, Default)]
pub struct FakeCluster(Arc<Mutex<Store>>);

impl std::fmt::Debug for FakeCluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeCluster({})", self.server().len())
    }
}

impl FakeCluster {
    fn server(&self) -> MutexGuard<'_, Store> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client that reaches this server and no other.
    pub fn client(&self) -> Client {
        let fake = self.clone();
        let answer = move |request: Request<Body>| {
            let fake = fake.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                fake.answer(Asked::of(&head, body.to_vec())).await
            }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    async fn answer(self, asked: Asked) -> Result<Response<Answer>, Closed> {
        if self.server().troubles.silent {
            std::future::pending::<()>().await;
        }
        let mut server = self.server();
        server.requests.push(asked.line());
        if server.troubles.cut_before > 0 {
            server.troubles.cut_before -= 1;
            return Err(Closed);
        }
        if let Some(status) = server.troubles.statuses.pop() {
            return Ok(refusal(&No::trouble(status)));
        }
        let done = server.route(&asked);
        let changes = asked.method != "GET";
        if changes && server.troubles.cut_after > 0 {
            server.troubles.cut_after -= 1;
            return Err(Closed);
        }
        Ok(match done {
            Ok(Reply::Object(status, object)) => whole(status, &object),
            Ok(Reply::Watch(answer)) => Response::new(answer),
            Err(no) => refusal(&no),
        })
    }

    /// Puts an object there, as somebody else would: what it lacks is filled in.
    ///
    /// # Panics
    /// When it is of no resource that is known here.
    pub fn put(&self, object: Value) -> Value {
        self.server().put(object)
    }

    /// An object, if it is there: `get("machines", "openshift-machine-api", "m")`; what is in no
    /// namespace is in `""`.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.server().get(plural, namespace, name).cloned()
    }

    /// All objects of a resource.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.server().all(plural).cloned().collect()
    }

    /// Somebody else changes an object: a merge patch, its status included.
    ///
    /// # Panics
    /// When it is not there.
    pub fn change(&self, plural: &str, namespace: &str, name: &str, patch: &Value) -> Value {
        self.server().change(plural, namespace, name, patch)
    }

    /// Somebody else deletes an object, as `kubectl delete` does.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        self.server().delete_by_name(plural, namespace, name);
    }

    /// What was asked, in its order: `PATCH /apis/…/machines/m/status`.
    pub fn requests(&self) -> Vec<String> {
        self.server().requests.clone()
    }

    /// Forgets what was asked.
    pub fn forget_requests(&self) {
        self.server().requests.clear();
    }

    /// A Node that is well.
    pub fn add_node(&self, name: &str) {
        let time = "2026-01-01T00:00:00Z";
        self.put(json!({
            "apiVersion": "v1", "kind": "Node",
            "metadata": {"name": name, "uid": format!("uid-of-{name}"), "creationTimestamp": time},
            "spec": {"providerID": "aws:///us-west-2a/i-0123456789abcdef0"},
            "status": {"conditions": [{
                "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "it is",
                "lastHeartbeatTime": time, "lastTransitionTime": time,
            }]},
        }));
    }

    /// What somebody else made of a condition of a Node.
    pub fn set_condition(&self, name: &str, kind: &str, status: &str) {
        let time = "2026-01-01T00:00:00Z";
        let condition = json!({"type": kind, "status": status, "reason": "Somebody",
                               "message": "said so", "lastHeartbeatTime": time,
                               "lastTransitionTime": time});
        self.server().write_condition(name, &condition);
    }

    /// The kubelet, say, writes to the Node between the reading and the writing of the next changes.
    pub fn somebody_writes_before_the_next(&self, changes: u32) {
        self.server().troubles.quicker = changes;
    }

    /// As the admission plugin NodeRestriction does for a kubelet.
    pub fn restrict_nodes(&self) {
        self.server().kubelet = true;
    }

    /// Nobody is answered any more.
    pub fn fall_silent(&self) {
        self.server().troubles.silent = true;
    }

    /// Everybody is answered again, and nothing goes wrong.
    pub fn heal(&self) {
        self.server().troubles = store::Troubles::default();
    }

    /// The next requests get these statuses.
    pub fn trouble(&self, statuses: &[u16]) {
        self.server().troubles.statuses.extend(statuses.iter().rev());
    }

    /// The connections of the next requests are closed before anything is done.
    pub fn cut(&self, requests: u32) {
        self.server().troubles.cut_before = requests;
    }

    /// The connections of the next changes are closed after they took effect.
    pub fn cut_answers(&self, changes: u32) {
        self.server().troubles.cut_after = changes;
    }

    /// All watches end in the middle of things.
    pub fn cut_watches(&self) {
        self.server().cut_watches();
    }

    /// What was before now is forgotten: who watches from then is told so.
    pub fn compact(&self) {
        self.server().compact();
    }

    /// No pod of this label `app` may be evicted now: a PodDisruptionBudget says so.
    pub fn protect_pods(&self, app: Option<&str>) {
        self.server().protected = app.map(str::to_owned);
    }

    /// A Node.
    ///
    /// # Panics
    /// When it is not there.
    pub fn node(&self, name: &str) -> Value {
        self.get("nodes", "", name).expect("a Node")
    }

    /// All Events.
    pub fn events(&self) -> Vec<Value> {
        self.all("events")
    }

    /// How often a Node was written through the API.
    pub fn writes(&self) -> usize {
        self.server().writes
    }

    /// How many writes met another one.
    pub fn conflicts(&self) -> usize {
        self.server().conflicts
    }
}

/// The connection was closed.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection closed before message completed")
    }
}

impl std::error::Error for Closed {}

impl From<Infallible> for Closed {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn refusal(No { code, reason, message }: &No) -> Response<Answer> {
    whole(
        *code,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                "message": message, "reason": reason, "code": code}),
    )
}

fn whole(status: u16, object: &Value) -> Response<Answer> {
    let mut response = Response::new(Answer::whole(object));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(hyper::header::CONTENT_TYPE, json);
    response
}

#[cfg(test)]
mod tests;
