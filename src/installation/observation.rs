//! Observations of a new cluster: the parts of its objects that show how far the installation is.
//!
//! Parses JSON objects of the API server. Sends no request and has no clock.

use jiff::Timestamp;
use serde_json::Value;

/// State of a new cluster at one moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Observation {
    /// The API server.
    pub api: ApiStatus,
    /// Status of the bootstrap.
    pub bootstrap: Reading<BootstrapStatus>,
    /// Status of the ClusterVersion. `None` until the object exists.
    pub version: Reading<Option<VersionStatus>>,
    /// Operators of the cluster.
    pub operators: Reading<Vec<OperatorStatus>>,
    /// Route of the console.
    pub console: Reading<ConsoleRoute>,
    /// Nodes of the cluster.
    pub nodes: Reading<Vec<NodeStatus>>,
    /// Machines whose instance could not be launched.
    pub failed_machines: Reading<Vec<FailedMachine>>,
    /// Certificate signing requests that are neither approved nor denied.
    pub pending_requests: Reading<Vec<PendingRequest>>,
}

impl Observation {
    /// Returns the observation of a cluster whose API server does not answer.
    pub fn of_api(api: ApiStatus) -> Self {
        Self {
            api,
            bootstrap: Reading::Unread,
            version: Reading::Unread,
            operators: Reading::Unread,
            console: Reading::Unread,
            nodes: Reading::Unread,
            failed_machines: Reading::Unread,
            pending_requests: Reading::Unread,
        }
    }
}

/// Result of one read. A failed read says nothing about the object.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading<T> {
    /// The object was not read: the read failed, or the stage does not need it.
    Unread,
    /// The object as the API server has it.
    Read(T),
}

impl<T> Reading<T> {
    /// Returns the value, if it was read.
    pub fn value(&self) -> Option<&T> {
        match self {
            Reading::Unread => None,
            Reading::Read(value) => Some(value),
        }
    }
}

/// Answer of the API server to a request for its version.
#[derive(Clone, Debug, PartialEq)]
pub enum ApiStatus {
    /// The API server answers, with this version of Kubernetes.
    Ready(String),
    /// The API server does not answer.
    Down(ApiProblem),
}

/// Cause of a missing answer, as measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApiProblem {
    /// The name of the API server has no address.
    NoAddress {
        /// Host name.
        host: String,
    },
    /// No connection to the API server.
    NoConnection {
        /// Host and port.
        address: String,
        /// Error of the operating system, such as `connection refused`.
        why: String,
    },
    /// The TLS handshake failed.
    Tls(String),
    /// The certificate of the API server has expired.
    CertificateExpired,
    /// The API server rejects the credentials of the kubeconfig (401).
    Unauthorized,
    /// The API server answers with another status.
    Status {
        /// HTTP status code.
        code: u16,
        /// Message of the API server.
        message: String,
    },
    /// An answer that is not JSON, such as a page of a proxy or of a login portal.
    NotJson {
        /// HTTP status code. `None` for a success.
        code: Option<u16>,
    },
    /// No complete answer in time.
    Silence,
    /// Another error.
    Other(String),
}

impl ApiProblem {
    /// Returns the cause on one line.
    pub fn message(&self) -> String {
        match self {
            ApiProblem::NoAddress { host } => format!("{host} does not resolve"),
            ApiProblem::NoConnection { address, why } => {
                format!("no connection to {address}: {why}")
            }
            ApiProblem::Tls(why) => format!("TLS fails: {why}"),
            ApiProblem::CertificateExpired => "its certificate has expired".to_owned(),
            ApiProblem::Unauthorized => {
                "it rejects the credentials of the kubeconfig (401)".to_owned()
            }
            ApiProblem::Status { code, message } => format!("it answers {code}: {message}"),
            ApiProblem::NotJson { code: Some(code) } => {
                format!("the answer ({code}) is a web page or text, not that of an API server")
            }
            ApiProblem::NotJson { code: None } => {
                "the answer is a web page or text, not that of an API server".to_owned()
            }
            ApiProblem::Silence => "it does not answer in time".to_owned(),
            ApiProblem::Other(why) => why.clone(),
        }
    }

    /// Returns what the user can check; `None` if only time helps.
    pub fn advice(&self) -> Option<&'static str> {
        match self {
            ApiProblem::NoAddress { .. } => Some(
                "the record of the API may be visible in the VPC only (publish: Internal), or the \
                 base domain is not delegated",
            ),
            ApiProblem::NoConnection { .. } | ApiProblem::Silence => {
                Some("the API server may not run yet, or a firewall is in between")
            }
            ApiProblem::Tls(_) => Some(
                "the kubeconfig may be of another cluster, or a proxy answers instead of the API \
                 server",
            ),
            ApiProblem::NotJson { .. } => Some(
                "a proxy, a login portal of the network or another server answers: check \
                 HTTPS_PROXY, NO_PROXY and the server in the kubeconfig",
            ),
            ApiProblem::Unauthorized => Some("the kubeconfig may be of another cluster"),
            ApiProblem::CertificateExpired | ApiProblem::Status { .. } | ApiProblem::Other(_) => {
                None
            }
        }
    }
}

/// Status of the bootstrap, from the ConfigMap `kube-system/bootstrap` and the etcd operator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BootstrapStatus {
    /// `data.status` of the ConfigMap. `None` until the bootstrap machine writes it.
    pub status: Option<String>,
    /// True if the etcd operator reports that etcd still has the member of the bootstrap machine. A
    /// cluster may lose its quorum if the machine ends before.
    pub has_etcd_member: bool,
}

impl BootstrapStatus {
    /// Returns the status from both objects; `None` for an object that does not exist.
    pub fn of(config_map: Option<&Value>, etcd: Option<&Value>) -> Self {
        let status = config_map.and_then(|map| map["data"]["status"].as_str());
        let removed = etcd.and_then(|etcd| Condition::find(etcd, "EtcdBootstrapMemberRemoved"));
        Self {
            status: status.map(str::to_owned),
            has_etcd_member: removed.is_some_and(|one| !one.is("True")),
        }
    }

    /// Returns true if the control plane no longer needs the bootstrap machine.
    pub fn is_complete(&self) -> bool {
        self.status.as_deref() == Some("complete") && !self.has_etcd_member
    }
}

/// A condition of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Message for people; can be empty.
    pub message: String,
    /// Time of the last change of the status.
    pub since: Option<Timestamp>,
}

impl Condition {
    /// Returns a condition of an object; `None` if it has none of this type.
    pub fn find(object: &Value, kind: &str) -> Option<Self> {
        let conditions = object["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|one| one["type"] == kind)?;
        let text = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
        Some(Self {
            status: text("status"),
            message: text("message"),
            since: text("lastTransitionTime").parse().ok(),
        })
    }

    fn is(&self, status: &str) -> bool {
        self.status == status
    }
}

/// Status of the ClusterVersion `version`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VersionStatus {
    /// `Available`.
    pub available: Option<Condition>,
    /// `Failing`.
    pub failing: Option<Condition>,
    /// `Progressing`.
    pub progressing: Option<Condition>,
    /// True if the installation includes the capability `Console`. `None` if the object does not say,
    /// as before 4.11.
    pub has_console: Option<bool>,
}

impl VersionStatus {
    /// Returns the status of a ClusterVersion.
    pub fn of(version: &Value) -> Self {
        Self {
            available: Condition::find(version, "Available"),
            failing: Condition::find(version, "Failing"),
            progressing: Condition::find(version, "Progressing"),
            has_console: version["status"]["capabilities"]["enabledCapabilities"]
                .as_array()
                .map(|enabled| enabled.iter().any(|one| one == "Console")),
        }
    }

    /// Returns true if all of the release is there. A missing condition is no answer.
    pub fn is_complete(&self) -> bool {
        let is = |condition: &Option<Condition>, status| {
            condition.as_ref().is_some_and(|one| one.is(status))
        };
        is(&self.available, "True") && is(&self.failing, "False") && is(&self.progressing, "False")
    }

    /// Returns the message of the first condition that keeps the installation from its end: of a
    /// failure, or else of the progress.
    pub fn message(&self) -> Option<&str> {
        let failing = self.failing.as_ref().filter(|one| one.is("True"));
        let progressing = || self.progressing.as_ref().filter(|one| one.is("True"));
        let condition = failing.or_else(progressing)?;
        Some(condition.message.as_str()).filter(|message| !message.is_empty())
    }
}

/// Time without progress after which an operator counts as stable.
const STABLE: i64 = 30;

/// Status of a ClusterOperator.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OperatorStatus {
    /// Name.
    pub name: String,
    /// `Available`.
    pub available: Option<Condition>,
    /// `Degraded`.
    pub degraded: Option<Condition>,
    /// `Progressing`.
    pub progressing: Option<Condition>,
}

impl OperatorStatus {
    /// Returns the status of a ClusterOperator with this name.
    pub fn of(name: &str, operator: &Value) -> Self {
        Self {
            name: name.to_owned(),
            available: Condition::find(operator, "Available"),
            degraded: Condition::find(operator, "Degraded"),
            progressing: Condition::find(operator, "Progressing"),
        }
    }

    /// Returns true if the operator serves.
    pub fn is_available(&self) -> bool {
        self.available.as_ref().is_some_and(|one| one.is("True"))
    }

    /// Returns true if the operator has not progressed for 30 seconds. An operator without the
    /// condition, or without its time, is not stable.
    pub fn is_stable(&self, now: Timestamp) -> bool {
        let Some(one) = self.progressing.as_ref().filter(|one| one.is("False")) else {
            return false;
        };
        one.since.is_some_and(|since| now.as_second() - since.as_second() > STABLE)
    }

    /// Returns what is wrong with the operator, on one line: not available, or degraded.
    pub fn problem(&self) -> Option<String> {
        let degraded = self.degraded.as_ref().filter(|one| one.is("True"));
        let (word, message) = match (self.is_available(), degraded) {
            (true, None) => return None,
            (true, Some(degraded)) => ("degraded", degraded.message.as_str()),
            (false, Some(degraded)) => ("not available and degraded", degraded.message.as_str()),
            (false, None) => {
                let message = self.available.as_ref().map_or("", |one| one.message.as_str());
                ("not available", message)
            }
        };
        let colon = if message.is_empty() { "" } else { ": " };
        Some(format!("operator {} is {word}{colon}{message}", self.name))
    }
}

/// Route of the console.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConsoleRoute {
    /// No route `openshift-console/console`: not yet, or the console is disabled.
    Missing,
    /// No router has admitted the route.
    NotAdmitted,
    /// Host of the console.
    Host(String),
}

impl ConsoleRoute {
    /// Returns the state of the route; `None` for a route that does not exist.
    pub fn of(route: Option<&Value>) -> Self {
        let Some(route) = route else { return ConsoleRoute::Missing };
        let ingresses = route["status"]["ingress"].as_array().into_iter().flatten();
        let mut admitted = ingresses.filter(|ingress| {
            let conditions = ingress["conditions"].as_array().into_iter().flatten();
            conditions.clone().any(|one| one["type"] == "Admitted" && one["status"] == "True")
        });
        match admitted.find_map(|ingress| ingress["host"].as_str()) {
            Some(host) => ConsoleRoute::Host(host.to_owned()),
            None => ConsoleRoute::NotAdmitted,
        }
    }
}

/// A Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeStatus {
    /// Name.
    pub name: String,
    /// True for a Node of the control plane.
    pub is_master: bool,
    /// Condition `Ready`.
    pub ready: Option<Condition>,
}

impl NodeStatus {
    /// Returns true if the kubelet reports that pods can run.
    pub fn is_ready(&self) -> bool {
        self.ready.as_ref().is_some_and(|one| one.is("True"))
    }

    /// Returns what is wrong with the Node, on one line.
    pub fn problem(&self) -> Option<String> {
        if self.is_ready() {
            return None;
        }
        let message = self.ready.as_ref().map_or("", |one| one.message.as_str());
        let colon = if message.is_empty() { "" } else { ": " };
        Some(format!("Node {} is not ready{colon}{message}", self.name))
    }
}

/// Machine of the Machine API whose instance could not be launched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedMachine {
    /// Name.
    pub name: String,
    /// Message of the Machine, in which AWS's code is quoted.
    pub message: String,
}

impl FailedMachine {
    /// Returns the failure of a Machine; `None` for a Machine with an instance, or without a failure. The
    /// message is `status.errorMessage`, or that of the condition `MachineCreation` of the provider.
    pub fn of(name: &str, machine: &Value) -> Option<Self> {
        let status = &machine["status"];
        if status["providerStatus"]["instanceId"].as_str().is_some_and(|id| !id.is_empty()) {
            return None;
        }
        let creation = || {
            let conditions = status["providerStatus"]["conditions"].as_array()?;
            let failed =
                |one: &&Value| one["type"] == "MachineCreation" && one["status"] == "False";
            conditions.iter().find(failed)?["message"].as_str()
        };
        let message = status["errorMessage"].as_str().or_else(creation)?;
        let is_said = !message.trim().is_empty();
        is_said.then(|| Self { name: name.to_owned(), message: message.to_owned() })
    }
}

/// Certificate signing request without a decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PendingRequest {
    /// Name.
    pub name: String,
    /// Time of the request.
    pub since: Option<Timestamp>,
}

impl PendingRequest {
    /// Returns true if a request has no decision: neither approved, denied nor failed.
    pub fn is_pending(request: &Value) -> bool {
        request["status"]["conditions"].as_array().is_none_or(Vec::is_empty)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn with(conditions: &[(&str, &str, &str)]) -> Value {
        let time = "2026-01-01T00:00:00Z";
        let conditions = conditions.iter().map(|(kind, status, message)| {
            json!({"type": kind, "status": status, "message": message, "lastTransitionTime": time})
        });
        json!({"status": {"conditions": conditions.collect::<Vec<_>>()}})
    }

    #[test]
    fn a_bootstrap_is_complete_when_its_config_map_says_so_and_etcd_has_let_it_go() {
        let map = |status: &str| json!({"data": {"status": status}});
        let complete = |map: Option<&Value>, etcd: Option<&Value>| {
            BootstrapStatus::of(map, etcd).is_complete()
        };
        assert!(!complete(None, None) && !complete(Some(&json!({})), None));
        assert!(!complete(Some(&map("in progress")), None));
        assert!(complete(Some(&map("complete")), None));
        let member = |removed: &str| with(&[("EtcdBootstrapMemberRemoved", removed, "")]);
        assert!(!complete(Some(&map("complete")), Some(&member("False"))));
        assert!(complete(Some(&map("complete")), Some(&member("True"))));
        // Before 4.4, the operator has no such condition.
        assert!(complete(Some(&map("complete")), Some(&with(&[]))));
    }

    #[test]
    fn a_machine_without_an_instance_has_the_message_of_its_launch() {
        let failed = |status: Value| FailedMachine::of("w-0", &json!({"status": status}));
        let creation = |status: &str, message: &str| {
            json!({"conditions": [
                {"type": "MachineCreation", "status": status, "message": message}
            ]})
        };
        let of = |message: &str| {
            Some(FailedMachine { name: "w-0".to_owned(), message: message.to_owned() })
        };
        assert_eq!(failed(json!({"errorMessage": "no capacity"})), of("no capacity"));
        let condition =
            json!({"providerStatus": creation("False", "InsufficientInstanceCapacity")});
        assert_eq!(failed(condition), of("InsufficientInstanceCapacity"));
        let mut launched = creation("False", "an earlier attempt");
        launched["instanceId"] = json!("i-1");
        for status in [
            json!({"providerStatus": launched, "errorMessage": "stopped later"}),
            json!({"providerStatus": creation("True", "created")}),
            json!({"providerStatus": creation("False", " ")}),
            json!({"phase": "Provisioning"}),
        ] {
            assert_eq!(failed(status.clone()), None, "{status}");
        }
    }

    #[test]
    fn a_version_is_complete_when_it_is_available_and_neither_fails_nor_progresses() {
        let status = |available: &str, failing: &str, progressing: &str| {
            VersionStatus::of(&with(&[
                ("Available", available, "done"),
                ("Failing", failing, "operator a is broken"),
                ("Progressing", progressing, "99% complete"),
            ]))
        };
        assert!(status("True", "False", "False").is_complete());
        for (available, failing, progressing) in
            [("False", "False", "False"), ("True", "True", "False"), ("True", "False", "True")]
        {
            assert!(!status(available, failing, progressing).is_complete());
        }
        assert!(!VersionStatus::of(&json!({})).is_complete(), "no condition is no answer");
        assert_eq!(status("False", "True", "True").message(), Some("operator a is broken"));
        assert_eq!(status("False", "False", "True").message(), Some("99% complete"));
        assert_eq!(status("True", "False", "False").message(), None);
    }

    #[test]
    fn a_version_says_whether_a_console_is_installed() {
        let has_console = |capabilities: Value| {
            VersionStatus::of(&json!({"status": {"capabilities": capabilities}})).has_console
        };
        assert_eq!(
            has_console(json!({"enabledCapabilities": ["Insights", "Console"]})),
            Some(true)
        );
        assert_eq!(has_console(json!({"enabledCapabilities": []})), Some(false));
        assert_eq!(has_console(json!({})), None);
    }

    #[test]
    fn an_operator_is_stable_after_thirty_seconds_without_progress() {
        let operator =
            |status: &str| OperatorStatus::of("dns", &with(&[("Progressing", status, "")]));
        let at = |seconds: i64| {
            let time: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            Timestamp::from_second(time.as_second() + seconds).unwrap()
        };
        assert!(!operator("False").is_stable(at(30)) && operator("False").is_stable(at(31)));
        assert!(!operator("True").is_stable(at(3600)));
        assert!(!OperatorStatus::of("dns", &json!({})).is_stable(at(3600)));
    }

    #[test]
    fn an_operator_is_named_with_its_message() {
        let problem = |conditions: &[(&str, &str, &str)]| {
            OperatorStatus::of("dns", &with(conditions)).problem().unwrap_or_default()
        };
        let available = ("Available", "True", "");
        assert_eq!(problem(&[available, ("Degraded", "False", "")]), "");
        let degraded = ("Degraded", "True", "pod crashes");
        assert_eq!(problem(&[available, degraded]), "operator dns is degraded: pod crashes");
        let unavailable = ("Available", "False", "no pod");
        assert_eq!(problem(&[unavailable]), "operator dns is not available: no pod");
        let both = "operator dns is not available and degraded: pod crashes";
        assert_eq!(problem(&[unavailable, degraded]), both);
        assert_eq!(problem(&[]), "operator dns is not available");
    }

    #[test]
    fn a_console_has_the_host_that_a_router_has_admitted() {
        let route = |admitted: &str| {
            let conditions = json!([{"type": "Admitted", "status": admitted}]);
            json!({"status": {"ingress": [{"host": "console.apps", "conditions": conditions}]}})
        };
        assert_eq!(ConsoleRoute::of(None), ConsoleRoute::Missing);
        assert_eq!(ConsoleRoute::of(Some(&json!({}))), ConsoleRoute::NotAdmitted);
        assert_eq!(ConsoleRoute::of(Some(&route("False"))), ConsoleRoute::NotAdmitted);
        let host = ConsoleRoute::Host("console.apps".into());
        assert_eq!(ConsoleRoute::of(Some(&route("True"))), host);
    }

    #[test]
    fn a_request_is_pending_until_it_has_a_condition() {
        assert!(PendingRequest::is_pending(&json!({})));
        assert!(PendingRequest::is_pending(&json!({"status": {"conditions": []}})));
        assert!(!PendingRequest::is_pending(&with(&[("Approved", "True", "")])));
    }
}
