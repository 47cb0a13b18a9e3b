//! Manifests in `deploy/`, as the suite applies them.

use serde_json::{Value, json};

use super::super::schema::documents;

const CRDS: [&str; 2] = [
    include_str!("../../../../../../deploy/machine-controller/crds/machine.yaml"),
    include_str!("../../../../../../deploy/machine-controller/crds/machine-set.yaml"),
];
const ROLES: [&str; 2] = [
    include_str!("../../../../../../deploy/machine-controller/base/role.yaml"),
    include_str!("../../../../../../deploy/machine-controller/base/cluster-role.yaml"),
];

/// Returns the CRDs.
pub(super) fn crds() -> Vec<Value> {
    CRDS.iter().flat_map(|text| documents(text)).collect()
}

/// Returns the paths and objects of the controller's roles and bindings. They are in this
/// namespace, and cluster-scoped objects have its name.
pub(super) fn roles(namespace: &str) -> Vec<(String, Value)> {
    let all = ROLES.iter().flat_map(|text| documents(text));
    all.map(|mut object| {
        let api = "/apis/rbac.authorization.k8s.io/v1";
        let kind = object["kind"].as_str().unwrap_or_default().to_lowercase();
        let path = if kind.starts_with("cluster") {
            object["metadata"]["name"] = json!(namespace);
            format!("{api}/{kind}s")
        } else {
            object["metadata"]["namespace"] = json!(namespace);
            format!("{api}/namespaces/{namespace}/{kind}s")
        };
        if object["roleRef"]["kind"] == "ClusterRole" {
            object["roleRef"]["name"] = json!(namespace);
        }
        for subject in object["subjects"].as_array_mut().into_iter().flatten() {
            subject["namespace"] = json!(namespace);
        }
        (path, object)
    })
    .collect()
}
