//! Parsed requests, and results for them.

use std::collections::HashMap;

use hyper::http::request::Parts;
use serde_json::Value;

use super::body::ResponseBody;
use super::error::ErrorResponse;
use super::permission::User;

/// A resource that the server knows.
#[derive(Debug)]
pub struct ApiResource {
    /// API group; empty for the core group.
    pub group: &'static str,
    /// API version.
    pub version: &'static str,
    /// Name in paths.
    pub plural: &'static str,
    /// Kind in objects.
    pub kind: &'static str,
    /// True if the resource is namespaced.
    pub namespaced: bool,
    /// True if the resource has a status subresource.
    pub status: bool,
}

const RBAC: &str = "rbac.authorization.k8s.io";
const CERTIFICATES: &str = "certificates.k8s.io";

/// All resources that the server knows.
pub const RESOURCES: &[ApiResource] = &[
    of("", "v1", "nodes", "Node", false, true),
    of("", "v1", "events", "Event", true, false),
    of("", "v1", "pods", "Pod", true, true),
    of("", "v1", "secrets", "Secret", true, false),
    of("", "v1", "configmaps", "ConfigMap", true, false),
    of("", "v1", "namespaces", "Namespace", false, true),
    of("", "v1", "serviceaccounts", "ServiceAccount", true, false),
    of("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", true, true),
    of(RBAC, "v1", "roles", "Role", true, false),
    of(RBAC, "v1", "rolebindings", "RoleBinding", true, false),
    of(RBAC, "v1", "clusterroles", "ClusterRole", false, false),
    of(RBAC, "v1", "clusterrolebindings", "ClusterRoleBinding", false, false),
    of("coordination.k8s.io", "v1", "leases", "Lease", true, false),
    of(CERTIFICATES, "v1", "certificatesigningrequests", "CertificateSigningRequest", false, true),
    of("config.openshift.io", "v1", "infrastructures", "Infrastructure", false, true),
    of("config.openshift.io", "v1", "clusterversions", "ClusterVersion", false, true),
    of("config.openshift.io", "v1", "clusteroperators", "ClusterOperator", false, true),
    of("operator.openshift.io", "v1", "etcds", "Etcd", false, true),
    of("route.openshift.io", "v1", "routes", "Route", true, true),
    of("machine.openshift.io", "v1beta1", "machines", "Machine", true, true),
    of("machine.openshift.io", "v1beta1", "machinesets", "MachineSet", true, true),
];

const fn of(
    group: &'static str,
    version: &'static str,
    plural: &'static str,
    kind: &'static str,
    namespaced: bool,
    status: bool,
) -> ApiResource {
    ApiResource { group, version, plural, kind, namespaced, status }
}

impl ApiResource {
    pub(super) fn api_version(&self) -> String {
        match self.group {
            "" => self.version.to_owned(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// Returns the name in messages, such as `machines.machine.openshift.io`.
    pub(super) fn qualified(&self) -> String {
        match self.group {
            "" => self.plural.to_owned(),
            group => format!("{}.{group}", self.plural),
        }
    }

    /// Returns the kind in messages, such as `Machine.machine.openshift.io`.
    pub(super) fn qualified_kind(&self) -> String {
        match self.group {
            "" => self.kind.to_owned(),
            group => format!("{}.{group}", self.kind),
        }
    }

    /// Returns true if the resource has this subresource, or if `part` is empty.
    pub(super) fn has(&self, part: &str) -> bool {
        match part {
            "" => true,
            "status" => self.status,
            "scale" => self.kind == "MachineSet",
            "eviction" => self.kind == "Pod",
            "token" => self.kind == "ServiceAccount",
            _ => false,
        }
    }

    /// Returns an object as an item of a list. Items of built-in kinds have no kind.
    pub(super) fn in_a_list(&self, mut object: Value) -> Value {
        if let Some(fields) = object.as_object_mut().filter(|_| !self.is_custom()) {
            fields.remove("kind");
            fields.remove("apiVersion");
        }
        object
    }

    /// Returns true if new objects have a generation.
    pub(super) fn has_generation(&self) -> bool {
        self.is_custom() || matches!(self.kind, "Pod" | "PodDisruptionBudget")
    }

    /// Returns true for a resource defined by a CRD. A PUT of these requires a resource version,
    /// and their objects have generations.
    pub(super) fn is_custom(&self) -> bool {
        self.group.ends_with("openshift.io")
    }
}

/// A parsed request.
#[derive(Debug)]
pub(super) struct ParsedRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) query: HashMap<String, String>,
    pub(super) content: String,
    pub(super) body: Vec<u8>,
    /// Bearer token.
    pub(super) token: Option<String>,
    /// User that the client impersonates.
    pub(super) impersonated: Option<User>,
}

/// The target of a path.
#[derive(Clone, Debug)]
pub(super) struct RequestTarget {
    pub(super) resource: &'static ApiResource,
    pub(super) namespace: String,
    pub(super) name: Option<String>,
    /// Subresource: `status`, `scale`, `eviction`, `token`, or empty.
    pub(super) part: String,
}

/// A successful response.
pub(super) enum SuccessResponse {
    Object(u16, Value),
    Watch(ResponseBody),
}

impl ParsedRequest {
    pub(super) fn of(head: &Parts, body: Vec<u8>) -> Self {
        let header = |name: &str| head.headers.get(name).and_then(|value| value.to_str().ok());
        let groups = head.headers.get_all("impersonate-group").iter();
        let impersonated = header("impersonate-user").map(|name| User {
            name: name.to_owned(),
            groups: groups.filter_map(|group| group.to_str().ok()).map(str::to_owned).collect(),
        });
        let token = header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        let query = head.uri.query().unwrap_or_default().as_bytes();
        Self {
            method: head.method.to_string(),
            path: head.uri.path().to_owned(),
            query: url::form_urlencoded::parse(query).into_owned().collect(),
            content: header("content-type").unwrap_or_default().to_owned(),
            token: token.map(str::to_owned),
            impersonated,
            body,
        }
    }

    /// Returns the entry for the list of requests.
    pub(super) fn line(&self) -> String {
        let verb = if self.is_watch() { "WATCH" } else { &self.method };
        format!("{verb} {}", self.path)
    }

    /// Returns the verb in the terms of RBAC, in capitals.
    pub(super) fn verb(&self) -> &str {
        match &*self.method {
            "GET" if self.is_watch() => "WATCH",
            "GET" if self.place().is_some_and(|place| place.name.is_none()) => "LIST",
            method => method,
        }
    }

    /// Returns the plural name of the resource, or an empty string if the path is unknown.
    pub(super) fn plural(&self) -> &'static str {
        self.place().map_or("", |place| place.resource.plural)
    }

    pub(super) fn is_watch(&self) -> bool {
        self.query.get("watch").is_some_and(|watch| watch == "true" || watch == "1")
    }

    pub(super) fn object(&self) -> Result<Value, ErrorResponse> {
        if self.content == "application/yaml" {
            let text = String::from_utf8_lossy(&self.body);
            return serde_saphyr::from_str(&text)
                .map_err(|error| ErrorResponse::bad_request(error.to_string()));
        }
        serde_json::from_slice(&self.body)
            .map_err(|error| ErrorResponse::bad_request(error.to_string()))
    }

    pub(super) fn place(&self) -> Option<RequestTarget> {
        let parts: Vec<&str> = self.path.trim_matches('/').split('/').collect();
        let (group, version, rest) = match parts.as_slice() {
            ["api", version, rest @ ..] => ("", *version, rest),
            ["apis", group, version, rest @ ..] => (*group, *version, rest),
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
            rest => ("", rest),
        };
        let (plural, name, part) = match rest {
            [plural] => (plural, None, ""),
            [plural, name] => (plural, Some((*name).to_owned()), ""),
            [plural, name, part] => (plural, Some((*name).to_owned()), *part),
            _ => return None,
        };
        let resource = RESOURCES
            .iter()
            .find(|one| one.group == group && one.version == version && one.plural == *plural)?;
        let (namespace, part) = (namespace.to_owned(), part.to_owned());
        Some(RequestTarget { resource, namespace, name, part })
    }
}
