//! Authentication, RBAC by the stored roles, and admission by NodeRestriction and
//! OwnerReferencesPermissionEnforcement.
//!
//! A request without a token and without impersonation has all permissions, unless a test restricts
//! such requests to a user. Impersonation needs no permission.

use serde_json::{Value, json};

use super::error::ErrorResponse;
use super::request::{ApiResource, ParsedRequest, RESOURCES, RequestTarget};
use super::store::ApiStore;

/// Label prefix that no kubelet may set.
const RESTRICTED: &str = "node-restriction.kubernetes.io/";
/// Permissions of kubelets for objects without further rules, as verbs and resources.
const KUBELETS: [(&str, &[&str]); 4] = [
    ("nodes", &["get", "list", "watch", "create", "update", "patch"]),
    ("nodes/status", &["update", "patch"]),
    ("events", &["create", "update", "patch"]),
    ("pods", &["get", "list", "watch"]),
];

/// Identity of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct User {
    pub(super) name: String,
    pub(super) groups: Vec<String>,
}

/// Action that a user wants to do.
#[derive(Debug)]
pub(super) struct Action<'a> {
    pub(super) verb: &'a str,
    pub(super) resource: &'static ApiResource,
    /// Subresource, or empty.
    pub(super) part: &'a str,
    pub(super) namespace: &'a str,
    pub(super) name: &'a str,
}

impl Action<'_> {
    /// Returns the resource in the form of a role, such as `machines/status`.
    fn path(&self) -> String {
        match self.part {
            "" => self.resource.plural.to_owned(),
            part => format!("{}/{part}", self.resource.plural),
        }
    }

    fn is_in(&self, rule: &Value) -> bool {
        let path = self.path();
        let has = |field: &str, wanted: &str| {
            let values = rule[field].as_array().into_iter().flatten().filter_map(Value::as_str);
            values.into_iter().any(|value| value == wanted || value == "*")
        };
        let names = rule["resourceNames"].as_array().filter(|names| !names.is_empty());
        has("verbs", self.verb)
            && has("apiGroups", self.resource.group)
            && has("resources", &path)
            && names.is_none_or(|names| names.contains(&json!(self.name)))
    }
}

impl User {
    /// Returns the name of the Node, if the user is a kubelet.
    pub(super) fn node(&self) -> Option<&str> {
        let is_kubelet = self.groups.iter().any(|group| group == "system:nodes");
        self.name.strip_prefix("system:node:").filter(|_| is_kubelet)
    }

    pub(super) fn kubelet(node: &str) -> Self {
        Self {
            name: format!("system:node:{node}"),
            groups: vec!["system:nodes".to_owned(), "system:authenticated".to_owned()],
        }
    }

    pub(super) fn service_account(namespace: &str, name: &str) -> Self {
        Self {
            name: format!("system:serviceaccount:{namespace}:{name}"),
            groups: vec![
                "system:serviceaccounts".to_owned(),
                format!("system:serviceaccounts:{namespace}"),
                "system:authenticated".to_owned(),
            ],
        }
    }

    fn is(&self, subject: &Value) -> bool {
        let name = subject["name"].as_str().unwrap_or_default();
        let namespace = subject["namespace"].as_str().unwrap_or_default();
        match subject["kind"].as_str().unwrap_or_default() {
            "ServiceAccount" => self.name == Self::service_account(namespace, name).name,
            "Group" => self.groups.iter().any(|group| group == name),
            _ => self.name == name,
        }
    }
}

impl ApiStore {
    /// Returns the user of a request, or `None` for a request with all permissions.
    pub(super) fn authenticate(
        &self,
        asked: &ParsedRequest,
    ) -> Result<Option<User>, ErrorResponse> {
        if let Some(user) = &asked.impersonated {
            return Ok(Some(user.clone()));
        }
        let Some(token) = &asked.token else { return Ok(self.user.clone()) };
        let account = self
            .tokens
            .get(token)
            .filter(|(namespace, name)| self.get("serviceaccounts", namespace, name).is_some());
        match account {
            Some((namespace, name)) => Ok(Some(User::service_account(namespace, name))),
            None => Err(ErrorResponse::new(401, "Unauthorized", "Unauthorized")),
        }
    }

    /// Rejects a request that the user has no permission for.
    pub(super) fn authorize(
        &self,
        user: Option<&User>,
        asked: &ParsedRequest,
        place: &RequestTarget,
    ) -> Result<(), ErrorResponse> {
        let Some(user) = user else { return Ok(()) };
        let selected =
            asked.query.get("fieldSelector").and_then(|one| one.strip_prefix("metadata.name="));
        let name = place.name.as_deref().or(selected).unwrap_or_default();
        let verb = match (&*asked.method, place.name.is_some()) {
            ("GET", _) if asked.is_watch() => "watch",
            ("GET", true) => "get",
            ("GET", false) => "list",
            ("POST", _) => "create",
            ("PUT", _) => "update",
            ("PATCH", _) => "patch",
            ("DELETE", true) => "delete",
            ("DELETE", false) => "deletecollection",
            _ => "",
        };
        let action = Action {
            verb,
            resource: place.resource,
            part: &place.part,
            namespace: &place.namespace,
            name,
        };
        if self.permits(user, &action) {
            return Ok(());
        }
        let scope = match &*place.namespace {
            "" => "at the cluster scope".to_owned(),
            namespace => format!("in the namespace \"{namespace}\""),
        };
        let why = format!(
            "User \"{}\" cannot {verb} resource \"{}\" in API group \"{}\" {scope}",
            user.name,
            action.path(),
            place.resource.group
        );
        Err(ErrorResponse::forbidden(place.resource, name, &why))
    }

    /// Returns true if a role of the user has the permission.
    fn permits(&self, user: &User, action: &Action<'_>) -> bool {
        if user.node().is_some() {
            let path = action.path();
            return KUBELETS.iter().any(|(resource, verbs)| {
                action.resource.group.is_empty()
                    && *resource == path
                    && verbs.contains(&action.verb)
            });
        }
        let everywhere = self.within("clusterrolebindings", "");
        let here = self.within("rolebindings", action.namespace);
        let here = here.filter(|_| !action.namespace.is_empty());
        let mut bindings = everywhere.chain(here).filter(|binding| {
            binding["subjects"].as_array().into_iter().flatten().any(|subject| user.is(subject))
        });
        bindings.any(|binding| {
            let role = &binding["roleRef"];
            let name = role["name"].as_str().unwrap_or_default();
            let role = match role["kind"].as_str() {
                Some("ClusterRole") => self.get("clusterroles", "", name),
                _ => self.get("roles", action.namespace, name),
            };
            let rules = role.and_then(|role| role["rules"].as_array());
            rules.into_iter().flatten().any(|rule| action.is_in(rule))
        })
    }

    /// Admits a write of an object, or rejects it as admission plugins do.
    pub(super) fn admit(
        &self,
        user: Option<&User>,
        place: &RequestTarget,
        old: Option<&Value>,
        new: &Value,
    ) -> Result<(), ErrorResponse> {
        if place.resource.kind == "Node"
            && let Some(old) = old
        {
            Self::admit_node(user, place, old, new)?;
        }
        let Some(user) = user else { return Ok(()) };
        let none = json!([]);
        let before = old.map_or(&none, |old| &old["metadata"]["ownerReferences"]);
        let after = &new["metadata"]["ownerReferences"];
        if before == after || after.is_null() && before.as_array().is_none_or(Vec::is_empty) {
            return Ok(());
        }
        let name = new["metadata"]["name"].as_str().unwrap_or_default();
        let action = Action {
            verb: "delete",
            resource: place.resource,
            part: "",
            namespace: &place.namespace,
            name,
        };
        if old.is_some() && !self.permits(user, &action) {
            let why = "cannot set an ownerRef on a resource you can't delete: , <nil>";
            return Err(ErrorResponse::forbidden(place.resource, name, why));
        }
        let known = before.as_array().cloned().unwrap_or_default();
        let added = after.as_array().into_iter().flatten().filter(|owner| !known.contains(owner));
        for owner in added.filter(|owner| owner["blockOwnerDeletion"] == true) {
            if !self.may_finalize(user, owner, &place.namespace) {
                let why = "cannot set blockOwnerDeletion if an ownerReference refers to a resource \
                           you can't set finalizers on: , <nil>";
                return Err(ErrorResponse::forbidden(place.resource, name, why));
            }
        }
        Ok(())
    }

    fn may_finalize(&self, user: &User, owner: &Value, namespace: &str) -> bool {
        let Some(resource) = RESOURCES.iter().find(|one| owner["kind"] == one.kind) else {
            return false;
        };
        let name = owner["name"].as_str().unwrap_or_default();
        let action = Action { verb: "update", resource, part: "finalizers", namespace, name };
        self.permits(user, &action)
    }

    fn admit_node(
        user: Option<&User>,
        place: &RequestTarget,
        old: &Value,
        new: &Value,
    ) -> Result<(), ErrorResponse> {
        let name = place.name.as_deref().unwrap_or_default();
        let Some(node) = user.and_then(User::node) else { return Ok(()) };
        let no = |why: &str| Err(ErrorResponse::forbidden(place.resource, name, why));
        if node != name {
            return no(&format!("node \"{node}\" is not allowed to modify node \"{name}\""));
        }
        if new["spec"]["taints"] != old["spec"]["taints"] {
            return no(&format!("node \"{name}\" is not allowed to modify taints"));
        }
        let (before, after) = (&old["metadata"]["labels"], &new["metadata"]["labels"]);
        let labels = after.as_object().into_iter().flatten();
        let changed = labels.filter(|(label, value)| before.get(label) != Some(value));
        let denied: Vec<&str> = changed
            .map(|(label, _)| label.as_str())
            .filter(|label| label.starts_with(RESTRICTED))
            .collect();
        if !denied.is_empty() {
            return no(&format!("is not allowed to modify labels: {}", denied.join(", ")));
        }
        Ok(())
    }
}
