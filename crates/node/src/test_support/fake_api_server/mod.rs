//! A Kubernetes API server in memory, as strict as the real one in all behaviour that groundplan
//! relies on.
//!
//! The server keeps and compares resource versions, UIDs and generations. `/status` writes the
//! status and nothing else. An object with finalizers is deleted when the last finalizer is
//! removed. A watch begins at its resource version, or fails if that version is too old. The server
//! knows the resources that groundplan uses ([`RESOURCES`]). Injected failures are error statuses,
//! connections closed before or after a request takes effect, ended watches, and silence.
//!
//! Custom resources follow the CRDs in `deploy/`. Requests of service accounts and kubelets need
//! permissions. Other requests have all permissions. The list of behaviours, their comparison with a
//! real server and the parts that are missing are in `docs/dev/api-server.md`.
//!
//! No controllers run: no pod starts, and no owner deletion cascades. The server works without a
//! socket, so it works with Tokio's paused clock.

mod body;
#[cfg(test)]
mod conformance;
mod deletion;
mod disturbance;
mod error;
mod list;
mod patch;
mod permission;
mod request;
mod route;
mod schema;
mod select;
mod serve;
mod store;
mod validate;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt, Collected};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::time::sleep;

use self::body::{Bookmarks, ResponseBody};
use self::disturbance::RequestFate;
use self::error::ErrorResponse;
use self::permission::User;
pub use self::request::{ApiResource, RESOURCES};
use self::request::{ParsedRequest, SuccessResponse};
use self::store::ApiStore;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A Kubernetes API server in memory. Clones share their content.
#[derive(Clone, Default)]
pub struct FakeApiServer(Arc<Mutex<ApiStore>>);

impl std::fmt::Debug for FakeApiServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FakeCluster({})", self.server().len())
    }
}

impl FakeApiServer {
    fn server(&self) -> MutexGuard<'_, ApiStore> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a client of this server. The client has all permissions, unless
    /// [`Self::restrict_to_account`] was called.
    pub fn client(&self) -> Client {
        self.client_with(None)
    }

    /// Returns a client with a token of a service account. The client has the permissions of the
    /// stored roles.
    pub fn client_of_account(&self, namespace: &str, name: &str) -> Client {
        self.add_account(namespace, name);
        let token = self.server().new_token(namespace, name);
        let bearer = HeaderValue::try_from(format!("Bearer {token}")).expect("a token");
        self.client_with(Some(bearer))
    }

    fn client_with(&self, authorization: Option<HeaderValue>) -> Client {
        let fake = self.clone();
        let answer = move |request: Request<Body>| {
            let (fake, authorization) = (fake.clone(), authorization.clone());
            async move {
                let (mut head, body) = request.into_parts();
                if let Some(authorization) = authorization {
                    head.headers.insert(AUTHORIZATION, authorization);
                }
                let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                fake.answer(ParsedRequest::of(&head, body.to_vec())).await
            }
        };
        Client::new(tower::service_fn(answer), "default")
    }

    async fn answer(self, asked: ParsedRequest) -> Result<Response<ResponseBody>, Closed> {
        if self.server().troubles.silent {
            std::future::pending::<()>().await;
        }
        let fate = self.server().disturbances.fate(&asked);
        if fate.is_immediate() {
            return self.process(&asked, fate);
        }
        // A task of its own: the request is on its way, even if the client is dropped.
        let processed = tokio::spawn(async move {
            sleep(fate.before).await;
            let response = self.process(&asked, fate);
            sleep(fate.after).await;
            response
        });
        processed.await.unwrap_or(Err(Closed))
    }

    fn process(
        &self,
        asked: &ParsedRequest,
        fate: RequestFate,
    ) -> Result<Response<ResponseBody>, Closed> {
        let mut server = self.server();
        server.requests.push(asked.line());
        if fate.lost {
            return Err(Closed);
        }
        if server.troubles.cut_before > 0 {
            server.troubles.cut_before -= 1;
            return Err(Closed);
        }
        if let Some(status) = fate.rejected.or_else(|| server.troubles.statuses.pop()) {
            return Ok(refusal(&ErrorResponse::trouble(status)));
        }
        let done = server.route(asked);
        let changes = asked.method != "GET";
        if changes {
            server.note(asked, &done);
        }
        if changes && server.troubles.cut_after > 0 {
            server.troubles.cut_after -= 1;
            return Err(Closed);
        }
        let marks = asked.query.get("allowWatchBookmarks").is_some_and(|allowed| allowed == "true");
        drop(server);
        if fate.unanswered {
            return Err(Closed);
        }
        Ok(match done {
            Ok(SuccessResponse::Object(status, object)) => whole(status, &object),
            Ok(SuccessResponse::Watch(mut answer)) => {
                if let Some(place) = asked.place().filter(|_| marks) {
                    let (version, kind) = (place.resource.api_version(), place.resource.kind);
                    answer.send_bookmarks(Bookmarks::new(self.clone(), version, kind));
                }
                let mut response = Response::new(answer);
                response.headers_mut().insert(CONTENT_TYPE, JSON);
                response
            }
            Err(no) => refusal(&no),
        })
    }

    /// Delays requests of a verb (`LIST`, `WATCH`, `GET`, `POST`, `PATCH`, `PUT`, `DELETE`) for a
    /// resource, from now on.
    pub fn delay(&self, verb: &'static str, plural: &'static str, by: Duration) {
        self.server().disturbances.delay(verb, plural, by);
    }

    /// Disturbs all clients from now on, as the seed says: late requests and responses, closed
    /// connections, rejections, small pages, old lists, late, repeated, ended and expired watches.
    /// UIDs and times depend on the seed, too, so equal seeds make equal histories.
    pub fn disturb(&self, seed: u64) {
        let mut server = self.server();
        server.seed(seed);
        server.page = 2;
    }

    /// Ends all disturbances.
    pub fn calm(&self) {
        self.server().disturbances = disturbance::Disturbances::default();
    }

    /// Limits the number of objects in a response to a LIST, as the server may do.
    pub fn limit_pages(&self, objects: usize) {
        self.server().page = objects;
    }

    /// Returns all changing requests in order, each with its time and its result, such as `1200
    /// DELETE /apis/…/machines/m 200 OK`.
    pub fn audit(&self) -> Vec<String> {
        self.server().audit.clone()
    }

    /// Writes an object as another client would. Fills in missing metadata.
    ///
    /// # Panics
    /// Panics if the server does not know the resource.
    pub fn put(&self, object: Value) -> Value {
        self.server().put(object)
    }

    /// Writes an object that violates the schema of its CRD, as an older schema may have allowed.
    ///
    /// # Panics
    /// Panics if the server does not know the resource.
    pub fn put_unchecked(&self, object: Value) -> Value {
        self.server().put_unchecked(object)
    }

    /// Writes the objects of a YAML file as another client would.
    ///
    /// # Panics
    /// Panics if the text is no YAML, or if the server does not know a kind.
    pub fn apply(&self, manifests: &str) {
        for object in schema::documents(manifests) {
            self.put(object);
        }
    }

    /// Gives clients without a token the permissions of a service account: those of the stored
    /// roles. They had all permissions before.
    pub fn restrict_to_account(&self, namespace: &str, name: &str) {
        self.add_account(namespace, name);
        self.server().user = Some(User::service_account(namespace, name));
    }

    fn add_account(&self, namespace: &str, name: &str) {
        if self.get("serviceaccounts", namespace, name).is_none() {
            self.put(json!({"apiVersion": "v1", "kind": "ServiceAccount",
                            "metadata": {"name": name, "namespace": namespace}}));
        }
    }

    /// Makes all tokens invalid. Requests with them get 401, and tokens issued later are valid.
    pub fn expire_tokens(&self) {
        self.server().tokens.clear();
    }

    /// Returns an object, as in `get("machines", "openshift-machine-api", "m")`. The namespace of
    /// cluster-scoped objects is `""`.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        self.server().get(plural, namespace, name).cloned()
    }

    /// Returns all objects of a resource.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        self.server().all(plural).cloned().collect()
    }

    /// Changes an object, including the status, with a merge patch from another client.
    ///
    /// # Panics
    /// Panics if the object does not exist.
    pub fn change(&self, plural: &str, namespace: &str, name: &str, patch: &Value) -> Value {
        self.server().change(plural, namespace, name, patch)
    }

    /// Deletes an object as another client would with `kubectl delete`.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        self.server().delete_by_name(plural, namespace, name);
    }

    /// Removes the finalizers of an object as another client would.
    ///
    /// # Panics
    /// Panics if the object does not exist.
    pub fn drop_finalizers(&self, plural: &str, namespace: &str, name: &str) {
        self.server().drop_finalizers(plural, namespace, name);
    }

    /// Returns the number of objects of a resource that clients created.
    pub fn creations(&self, plural: &str) -> u64 {
        self.server().creations.get(plural).copied().unwrap_or_default()
    }

    /// Returns the number of objects of a resource that were deleted, or marked for deletion.
    pub fn deletions(&self, plural: &str) -> u64 {
        self.server().deletions.get(plural).copied().unwrap_or_default()
    }

    /// Returns all requests in order, such as `PATCH /apis/…/machines/m/status`.
    pub fn requests(&self) -> Vec<String> {
        self.server().requests.clone()
    }

    /// Clears the list of requests.
    pub fn forget_requests(&self) {
        self.server().requests.clear();
    }

    /// Adds a healthy Node.
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

    /// Sets a condition of a Node as another client would.
    pub fn set_condition(&self, name: &str, kind: &str, status: &str) {
        let time = "2026-01-01T00:00:00Z";
        let condition = json!({"type": kind, "status": status, "reason": "Somebody",
                               "message": "said so", "lastHeartbeatTime": time,
                               "lastTransitionTime": time});
        self.server().write_condition(name, &condition);
    }

    /// Simulates a concurrent client such as the kubelet. Before each of the next `changes` patches
    /// of a Node, that client writes to the Node.
    pub fn somebody_writes_before_the_next(&self, changes: u32) {
        self.server().troubles.quicker = changes;
    }

    /// Gives clients without a token the permissions of the kubelet of a Node. The admission plugin
    /// NodeRestriction rejects changes of taints and of other Nodes.
    pub fn restrict_to_kubelet(&self, node: &str) {
        self.server().user = Some(User::kubelet(node));
    }

    /// Stops the kubelets. A deleted pod then stays on its Node until it is deleted with a grace
    /// period of 0.
    pub fn stop_kubelets(&self) {
        self.server().kubelets = false;
    }

    /// Stops all responses.
    pub fn fall_silent(&self) {
        self.server().troubles.silent = true;
    }

    /// Resumes responses and removes all injected failures.
    pub fn clear_faults(&self) {
        self.server().troubles = store::InjectedFaults::default();
    }

    /// Responds to the next requests with these statuses.
    pub fn inject_faults(&self, statuses: &[u16]) {
        self.server().troubles.statuses.extend(statuses.iter().rev());
    }

    /// Closes the connections of the next requests before the requests take effect.
    pub fn close_connections(&self, requests: u32) {
        self.server().troubles.cut_before = requests;
    }

    /// Closes the connections of the next changes after the changes take effect.
    pub fn cut_answers(&self, changes: u32) {
        self.server().troubles.cut_after = changes;
    }

    /// Closes the connections of all watches.
    pub fn cut_watches(&self) {
        self.server().cut_watches();
    }

    /// Drops the history of changes. Later watches from an older version get `410 Expired`.
    pub fn compact(&self) {
        self.server().compact();
    }

    /// Rejects evictions of pods with this label `app`, as a PodDisruptionBudget does. `None`
    /// allows all.
    pub fn protect_pods(&self, app: Option<&str>) {
        self.server().protected = app.map(str::to_owned);
    }

    /// Returns a Node.
    ///
    /// # Panics
    /// Panics if the Node does not exist.
    pub fn node(&self, name: &str) -> Value {
        self.get("nodes", "", name).expect("a Node")
    }

    /// Returns all Events.
    pub fn events(&self) -> Vec<Value> {
        self.all("events")
    }

    /// Returns the number of Node changes through the API.
    pub fn writes(&self) -> usize {
        self.server().writes
    }

    /// Returns the number of writes that failed with a conflict.
    pub fn conflicts(&self) -> usize {
        self.server().conflicts
    }
}

/// Error: the connection was closed.
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

fn refusal(no: &ErrorResponse) -> Response<ResponseBody> {
    let ErrorResponse { code, reason, message, details, rest } = no;
    let mut status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {},
                            "status": "Failure", "message": message, "code": code});
    if !reason.is_empty() {
        status["reason"] = json!(reason);
    }
    if let Some(rest) = rest {
        status["metadata"]["continue"] = json!(rest);
    }
    if let Some(details) = details {
        status["details"] = details.clone();
    }
    let mut response = whole(*code, &status);
    let after = details.as_ref().and_then(|details| details["retryAfterSeconds"].as_u64());
    if let Some(after) = after {
        response.headers_mut().insert(RETRY_AFTER, after.into());
    }
    response
}

fn whole(status: u16, object: &Value) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::whole(object));
    *response.status_mut() = hyper::StatusCode::from_u16(status).expect("a status");
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

#[cfg(test)]
mod tests;
