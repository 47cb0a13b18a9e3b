//! Nodes, and the admission plugin NodeRestriction.

use serde_json::{Value, json};

use super::target::{STRATEGIC, Target};

super::behaviours! {
    scoped: "Nodes have no namespace and no generation, and a status of their own.",
    status_with_labels: "A write of the status of a Node writes labels and annotations, too, and not the spec.",
    unconditional: "An update of a Node without a resource version is unconditional, and with an old one a conflict (409).",
    own_status: "A kubelet may change the status, labels and annotations of its own Node.",
    taints: "A kubelet may not change the taints of its Node (403).",
    cordoned: "A kubelet may cordon its own Node.",
    others: "A kubelet may not change another Node (403).",
    labels: "A kubelet may not set labels of `node-restriction.kubernetes.io` (403).",
    deleted: "A kubelet may not delete a Node (403).",
    bare: "A kubelet may read its own Node, and may not list Machines (403).",
    events: "A kubelet may create Events.",
}

async fn node(t: &Target, name: &str) -> (String, Target) {
    let name = format!("{}-{name}", t.namespace);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    t.post("/api/v1/nodes", &node).await.is(201);
    (name.clone(), t.as_kubelet(&name))
}

async fn removed(t: &Target, name: &str) {
    t.delete(&format!("/api/v1/nodes/{name}"), &json!(null)).await.is(200);
}

async fn strategic(t: &Target, path: &str, patch: &Value) -> super::target::Answer {
    t.send("PATCH", path, STRATEGIC, patch.to_string().into()).await
}

async fn scoped(t: Target) {
    let (name, _) = node(&t, "scoped").await;
    let path = format!("/api/v1/nodes/{name}");
    let read = t.get(&path).await.is(200);
    assert!(read["metadata"].get("namespace").is_none());
    assert!(read["metadata"].get("generation").is_none());
    let patched = t
        .merge(&path, &json!({"spec": {"unschedulable": true}, "status": {"phase": "x"}}))
        .await
        .is(200);
    assert_eq!(patched["spec"]["unschedulable"], true);
    assert!(patched["status"].get("phase").is_none(), "{patched}");
    removed(&t, &name).await;
}

async fn own_status(t: Target) {
    let (name, kubelet) = node(&t, "own-status").await;
    let path = format!("/api/v1/nodes/{name}");
    let condition = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    strategic(&kubelet, &format!("{path}/status"), &condition).await.is(200);
    let meta = json!({"metadata": {"labels": {"x": "y"}, "annotations": {"x": "y"}}});
    kubelet.merge(&path, &meta).await.is(200);
    assert_eq!(kubelet.get(&path).await.is(200)["metadata"]["labels"]["x"], "y");
    removed(&t, &name).await;
}

async fn taints(t: Target) {
    let (name, kubelet) = node(&t, "taints").await;
    let path = format!("/api/v1/nodes/{name}");
    let taint = json!({"spec": {"taints": [{"key": "a", "effect": "NoSchedule"}]}});
    let message = kubelet.merge(&path, &taint).await.refused(403, "Forbidden");
    assert_eq!(
        message,
        format!("nodes \"{name}\" is forbidden: node \"{name}\" is not allowed to modify taints")
    );
    t.merge(&path, &taint).await.is(200);
    removed(&t, &name).await;
}

async fn cordoned(t: Target) {
    let (name, kubelet) = node(&t, "cordoned").await;
    let path = format!("/api/v1/nodes/{name}");
    let cordon = json!({"spec": {"unschedulable": true}});
    assert_eq!(kubelet.merge(&path, &cordon).await.is(200)["spec"]["unschedulable"], true);
    removed(&t, &name).await;
}

async fn others(t: Target) {
    let (name, _) = node(&t, "others").await;
    let path = format!("/api/v1/nodes/{name}");
    let other = t.as_kubelet("another");
    let message = other
        .merge(&path, &json!({"metadata": {"labels": {"x": "y"}}}))
        .await
        .refused(403, "Forbidden");
    assert_eq!(
        message,
        format!(
            "nodes \"{name}\" is forbidden: node \"another\" is not allowed to modify node \"{name}\""
        )
    );
    let condition = json!({"status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    strategic(&other, &format!("{path}/status"), &condition).await.refused(403, "Forbidden");
    removed(&t, &name).await;
}

async fn labels(t: Target) {
    let (name, kubelet) = node(&t, "labels").await;
    let path = format!("/api/v1/nodes/{name}");
    let label = json!({"metadata": {"labels": {"node-restriction.kubernetes.io/x": "y"}}});
    let message = kubelet.merge(&path, &label).await.refused(403, "Forbidden");
    assert_eq!(
        message,
        format!(
            "nodes \"{name}\" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/x"
        )
    );
    removed(&t, &name).await;
}

async fn deleted(t: Target) {
    let (name, kubelet) = node(&t, "deleted").await;
    let path = format!("/api/v1/nodes/{name}");
    kubelet.delete(&path, &json!(null)).await.refused(403, "Forbidden");
    removed(&t, &name).await;
}

async fn bare(t: Target) {
    let (name, kubelet) = node(&t, "bare").await;
    kubelet.get(&format!("/api/v1/nodes/{name}")).await.is(200);
    kubelet.get(&t.machines()).await.refused(403, "Forbidden");
    removed(&t, &name).await;
}

async fn events(t: Target) {
    let (name, kubelet) = node(&t, "events").await;
    let event = json!({"apiVersion": "v1", "kind": "Event",
                       "metadata": {"name": format!("{name}.1"), "namespace": "default"},
                       "involvedObject": {"kind": "Node", "name": name, "uid": name},
                       "reason": "Tested", "type": "Normal"});
    kubelet.post("/api/v1/namespaces/default/events", &event).await.is(201);
    t.delete(&format!("/api/v1/namespaces/default/events/{name}.1"), &json!(null)).await.is(200);
    removed(&t, &name).await;
}

async fn status_with_labels(t: Target) {
    let (name, _) = node(&t, "status-with-labels").await;
    let path = format!("/api/v1/nodes/{name}");
    let patch = json!({"metadata": {"labels": {"x": "y"}, "annotations": {"x": "y"}},
                       "spec": {"unschedulable": true},
                       "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let patched = t.merge(&format!("{path}/status"), &patch).await.is(200);
    assert_eq!(
        (&patched["metadata"]["labels"]["x"], &patched["metadata"]["annotations"]["x"]),
        (&json!("y"), &json!("y"))
    );
    assert!(patched["spec"].get("unschedulable").is_none(), "{patched}");
    assert_eq!(patched["status"]["conditions"][0]["type"], "Ready");
    removed(&t, &name).await;
}

async fn unconditional(t: Target) {
    let (name, _) = node(&t, "unconditional").await;
    let path = format!("/api/v1/nodes/{name}");
    let old = t.get(&path).await.is(200);
    let mut new = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"x": "y"}}});
    t.put(&path, &new).await.is(200);
    new["metadata"]["resourceVersion"] = old["metadata"]["resourceVersion"].clone();
    t.put(&path, &new).await.refused(409, "Conflict");
    let patch = json!({"metadata": {"resourceVersion": new["metadata"]["resourceVersion"]}});
    strategic(&t, &path, &patch).await.refused(409, "Conflict");
    removed(&t, &name).await;
}
