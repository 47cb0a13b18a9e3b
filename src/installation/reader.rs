//! Reads of a new cluster through its API server, and measurements where it does not answer. Changes
//! nothing and sends each request once.

use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, ListParams};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::observation::{
    ApiProblem, ApiStatus, BootstrapStatus, Condition, ConsoleRoute, FailedMachine, NodeStatus,
    Observation, OperatorStatus, PendingRequest, Reading, VersionStatus,
};
use super::stages::Goal;
use super::wait::ClusterReader;

/// Maximum wait for an answer of the API server.
const ANSWER: Duration = Duration::from_secs(10);
/// Maximum wait for a connection, for the measurement of its cause.
const CONNECTION: Duration = Duration::from_secs(5);
/// Labels of Nodes of the control plane; releases before 4.12 have the first alone.
const MASTER_LABELS: [&str; 2] =
    ["node-role.kubernetes.io/master", "node-role.kubernetes.io/control-plane"];

/// Host and port of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// Reader of a cluster through a kube client.
pub struct KubeReader {
    client: Client,
    /// Endpoint to measure; `None` if connections go through a proxy.
    endpoint: Option<Endpoint>,
    goal: Goal,
}

impl Debug for KubeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KubeReader").field("endpoint", &self.endpoint).finish_non_exhaustive()
    }
}

impl ClusterReader for KubeReader {
    async fn observe(&self) -> Observation {
        let version = match timeout(ANSWER, self.client.apiserver_version()).await {
            Ok(Ok(version)) => version.git_version,
            Ok(Err(error)) => return self.without_answer(Some(&error)).await,
            Err(_) => return self.without_answer(None).await,
        };
        let seen = Observation::of_api(ApiStatus::Ready(version));
        let (nodes, pending_requests) = tokio::join!(self.nodes(), self.pending_requests());
        let seen = Observation { nodes, pending_requests, ..seen };
        match self.goal {
            Goal::BootstrapComplete => Observation { bootstrap: self.bootstrap().await, ..seen },
            Goal::InstallComplete => {
                let (version, operators, console, failed_machines) = tokio::join!(
                    self.version(),
                    self.operators(),
                    self.console(),
                    self.failed_machines()
                );
                Observation { version, operators, console, failed_machines, ..seen }
            }
        }
    }
}

impl KubeReader {
    /// Returns a reader for a goal. It reads only what the goal needs.
    pub fn new(client: Client, endpoint: Option<Endpoint>, goal: Goal) -> Self {
        Self { client, endpoint, goal }
    }

    async fn without_answer(&self, error: Option<&kube::Error>) -> Observation {
        let problem = match error.and_then(problem_of) {
            Some(problem) => problem,
            None => self.measured(error).await,
        };
        Observation::of_api(ApiStatus::Down(problem))
    }

    /// Returns the cause of a missing answer: name, connection, or else the error itself.
    async fn measured(&self, error: Option<&kube::Error>) -> ApiProblem {
        if let Some(Endpoint { host, port }) = &self.endpoint {
            let address = format!("{host}:{port}");
            let found = lookup_host((host.as_str(), *port)).await;
            let Ok(Some(first)) = found.map(|mut addresses| addresses.next()) else {
                return ApiProblem::NoAddress { host: host.clone() };
            };
            let why = match timeout(CONNECTION, TcpStream::connect(first)).await {
                Ok(Ok(_)) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some(format!("no answer within {}s", CONNECTION.as_secs())),
            };
            if let Some(why) = why {
                return ApiProblem::NoConnection { address, why };
            }
        }
        error.map_or(ApiProblem::Silence, |error| ApiProblem::Other(last_cause(error)))
    }

    fn api(
        &self,
        (group, version, kind): Gvk,
        plural: &str,
        namespace: Option<&str>,
    ) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(group, version, kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, &resource),
            None => Api::all_with(self.client.clone(), &resource),
        }
    }

    async fn bootstrap(&self) -> Reading<BootstrapStatus> {
        let maps = self.api(("", "v1", "ConfigMap"), "configmaps", Some("kube-system"));
        let etcds = self.api(("operator.openshift.io", "v1", "Etcd"), "etcds", None);
        let (map, etcd) = tokio::join!(object(&maps, "bootstrap"), object(&etcds, "cluster"));
        let (Reading::Read(map), Reading::Read(etcd)) = (map, etcd) else { return Reading::Unread };
        Reading::Read(BootstrapStatus::of(map.as_ref(), etcd.as_ref()))
    }

    async fn version(&self) -> Reading<Option<VersionStatus>> {
        let kind = (OPENSHIFT_CONFIG, "v1", "ClusterVersion");
        match object(&self.api(kind, "clusterversions", None), "version").await {
            Reading::Read(version) => Reading::Read(version.as_ref().map(VersionStatus::of)),
            Reading::Unread => Reading::Unread,
        }
    }

    async fn operators(&self) -> Reading<Vec<OperatorStatus>> {
        let kind = (OPENSHIFT_CONFIG, "v1", "ClusterOperator");
        let all = list(&self.api(kind, "clusteroperators", None)).await;
        each(all, |one| Some(OperatorStatus::of(&one.name_any(), &one.data)))
    }

    async fn console(&self) -> Reading<ConsoleRoute> {
        let kind = ("route.openshift.io", "v1", "Route");
        match object(&self.api(kind, "routes", Some("openshift-console")), "console").await {
            Reading::Read(route) => Reading::Read(ConsoleRoute::of(route.as_ref())),
            Reading::Unread => Reading::Unread,
        }
    }

    async fn nodes(&self) -> Reading<Vec<NodeStatus>> {
        let all = list(&self.api(("", "v1", "Node"), "nodes", None)).await;
        each(all, |one| {
            Some(NodeStatus {
                name: one.name_any(),
                is_master: MASTER_LABELS.iter().any(|label| one.labels().contains_key(*label)),
                ready: Condition::find(&one.data, "Ready"),
            })
        })
    }

    async fn failed_machines(&self) -> Reading<Vec<FailedMachine>> {
        let kind = ("machine.openshift.io", "v1beta1", "Machine");
        let all = list(&self.api(kind, "machines", Some("openshift-machine-api"))).await;
        each(all, |one| FailedMachine::of(&one.name_any(), &one.data))
    }

    async fn pending_requests(&self) -> Reading<Vec<PendingRequest>> {
        let kind = ("certificates.k8s.io", "v1", "CertificateSigningRequest");
        let all = list(&self.api(kind, "certificatesigningrequests", None)).await;
        each(all, |one| {
            let since = one.creation_timestamp().map(|time| time.0.to_string());
            PendingRequest::is_pending(&one.data).then(|| PendingRequest {
                name: one.name_any(),
                since: since.and_then(|time| time.parse().ok()),
            })
        })
    }
}

/// API group of the objects that describe the cluster.
const OPENSHIFT_CONFIG: &str = "config.openshift.io";

/// Group, version and kind.
type Gvk = (&'static str, &'static str, &'static str);

/// Reads an object. `None` if it, or its kind, does not exist yet.
async fn object(api: &Api<DynamicObject>, name: &str) -> Reading<Option<Value>> {
    match timeout(ANSWER, api.get_opt(name)).await {
        Ok(Ok(object)) => Reading::Read(object.map(|one| one.data)),
        _ => Reading::Unread,
    }
}

async fn list(api: &Api<DynamicObject>) -> Reading<Vec<DynamicObject>> {
    match timeout(ANSWER, api.list(&ListParams::default())).await {
        Ok(Ok(all)) => Reading::Read(all.items),
        _ => Reading::Unread,
    }
}

fn each<T>(
    all: Reading<Vec<DynamicObject>>,
    read: impl Fn(&DynamicObject) -> Option<T>,
) -> Reading<Vec<T>> {
    match all {
        Reading::Read(all) => Reading::Read(all.iter().filter_map(read).collect()),
        Reading::Unread => Reading::Unread,
    }
}

/// Reason that kube gives an answer with an error status and without a Status object. The message is then
/// the whole answer.
const NO_STATUS: &str = "Failed to parse error data";

/// Returns the problem that an error shows by itself; `None` for an error of the connection.
fn problem_of(error: &kube::Error) -> Option<ApiProblem> {
    if let kube::Error::SerdeError(_) = error {
        return Some(ApiProblem::NotJson { code: None });
    }
    if let kube::Error::Api(status) = error {
        return Some(match status.code {
            code if status.reason == NO_STATUS => ApiProblem::NotJson { code: Some(code) },
            401 => ApiProblem::Unauthorized,
            code => ApiProblem::Status { code, message: status.message.clone() },
        });
    }
    tls_problem(&chain(error))
}

/// Returns the problem of a TLS handshake, from the messages of an error and its causes.
fn tls_problem(chain: &[String]) -> Option<ApiProblem> {
    let expired = ["certificate expired", "invalid peer certificate: Expired"];
    if chain.iter().any(|text| expired.iter().any(|expired| text.contains(expired))) {
        return Some(ApiProblem::CertificateExpired);
    }
    let marks = [
        "certificate",
        "handshake",
        "received fatal alert",
        "InvalidContentType",
        "corrupt message",
    ];
    let of_tls = chain.iter().rev().find(|text| marks.iter().any(|mark| text.contains(mark)))?;
    Some(ApiProblem::Tls(of_tls.clone()))
}

fn chain(error: &(dyn Error + 'static)) -> Vec<String> {
    let mut texts = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        texts.push(error.to_string());
        cause = error.source();
    }
    texts
}

fn last_cause(error: &(dyn Error + 'static)) -> String {
    chain(error).pop().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(text: &str) -> Option<ApiProblem> {
        tls_problem(&["ServiceError: client error (Connect)".to_owned(), text.to_owned()])
    }

    #[test]
    fn an_expired_certificate_is_told_from_other_failures_of_tls() {
        for text in [
            "invalid peer certificate: Expired",
            "invalid peer certificate: certificate expired: verification time 2 (UNIX), but \
             certificate is not valid after 1 (1 seconds ago)",
        ] {
            assert_eq!(tls(text), Some(ApiProblem::CertificateExpired));
        }
        for text in [
            "invalid peer certificate: UnknownIssuer",
            "received corrupt message of type \
                      InvalidContentType",
        ] {
            assert_eq!(tls(text), Some(ApiProblem::Tls(text.to_owned())));
        }
        assert_eq!(tls("connection refused"), None);
    }

    fn reader(host: &str, port: u16) -> KubeReader {
        let config = kube::Config::new(format!("http://{host}:{port}").parse().unwrap());
        let client = groundplan_node::kube_client::client(config).unwrap();
        let endpoint = Some(Endpoint { host: host.to_owned(), port });
        KubeReader::new(client, endpoint, Goal::BootstrapComplete)
    }

    #[tokio::test]
    async fn a_name_without_an_address_is_measured() {
        let api = reader("api.demo.invalid", 6443).observe().await.api;
        let problem = ApiProblem::NoAddress { host: "api.demo.invalid".to_owned() };
        assert_eq!(api, ApiStatus::Down(problem));
    }

    #[tokio::test]
    async fn a_refused_connection_is_measured() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        let ApiStatus::Down(problem) = reader("127.0.0.1", port).observe().await.api else {
            panic!("nothing listens")
        };
        let message = problem.message();
        assert!(message.starts_with(&format!("no connection to 127.0.0.1:{port}: ")), "{message}");
        assert!(message.to_lowercase().contains("refused"), "{message}");
    }

    /// Returns the problem that a server with this answer shows.
    async fn answered(status: &str, body: &str) -> ApiProblem {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let answer = format!(
            "HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        match reader("127.0.0.1", port).observe().await.api {
            ApiStatus::Down(problem) => problem,
            ApiStatus::Ready(version) => panic!("ready: {version}"),
        }
    }

    #[tokio::test]
    async fn a_page_in_place_of_an_answer_is_named_and_not_quoted() {
        let page = "<html><body>Sign in to canary-net</body></html>";
        assert_eq!(answered("200 OK", page).await, ApiProblem::NotJson { code: None });
        let refused = answered("403 Forbidden", page).await;
        assert_eq!(refused, ApiProblem::NotJson { code: Some(403) });
        assert!(!refused.message().contains("canary"), "{}", refused.message());
        assert!(refused.advice().unwrap().contains("HTTPS_PROXY"));
        let status = r#"{"kind":"Status","status":"Failure","message":"no","reason":"Forbidden","code":403}"#;
        let status = answered("403 Forbidden", status).await;
        assert_eq!(status, ApiProblem::Status { code: 403, message: "no".to_owned() });
    }

    #[tokio::test]
    async fn a_server_that_closes_the_connection_is_reached_and_down() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                drop(listener.accept().await);
            }
        });
        let api = reader("127.0.0.1", port).observe().await.api;
        assert!(matches!(api, ApiStatus::Down(ApiProblem::Other(_))), "{api:?}");
    }
}
