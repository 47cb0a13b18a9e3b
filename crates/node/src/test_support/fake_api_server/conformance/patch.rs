//! Patches.

use serde_json::json;

use super::target::{MERGE, STRATEGIC, Target, version};

super::behaviours! {
    merged: "A merge patch (RFC 7386) replaces lists, merges maps and removes fields that are null.",
    conditional: "A resource version in a patch is a precondition (409).",
    conditional_uid: "A UID in a patch that differs is invalid (422), but is ignored in a patch of the status of a custom resource. A resource version is compared first.",
    strategic_custom: "A strategic merge patch of a custom resource is 415, and the message names the supported types.",
    strategic_core: "A strategic merge patch of a core object merges conditions by type and replaces taints without a merge key.",
    unknown_type: "A patch of any other content type is 415.",
    no_object: "A patch that is no JSON object or whose result is no object of the kind is rejected.",
    other_name: "A patch cannot change the name.",
}

async fn merged(t: Target) {
    let taints =
        json!([{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}]);
    let mut machine = t.machine("merged");
    machine["spec"]["taints"] = taints;
    machine["metadata"]["annotations"] = json!({"a": "1", "b": "2"});
    t.post(&t.machines(), &machine).await.is(201);
    let patch = json!({"spec": {"taints": [{"key": "c", "effect": "NoExecute"}], "providerID": null},
                       "metadata": {"annotations": {"a": null, "c": "3"}}});
    let patched = t.merge(&format!("{}/merged", t.machines()), &patch).await.is(200);
    assert_eq!(patched["spec"]["taints"], json!([{"key": "c", "effect": "NoExecute"}]));
    assert_eq!(patched["metadata"]["annotations"], json!({"b": "2", "c": "3"}));
    assert!(patched["spec"].get("providerID").is_none());
}

async fn conditional(t: Target) {
    let made = t.made("conditional").await;
    let path = format!("{}/conditional", t.machines());
    let patch = |id: &str| json!({"metadata": {"resourceVersion": version(&made)}, "spec": {"providerID": id}});
    t.merge(&path, &patch("b")).await.is(200);
    let answer = t.merge(&path, &patch("c")).await;
    assert!(answer.refused(409, "Conflict").contains("the object has been modified"));
    let status = json!({"metadata": {"resourceVersion": version(&made)}, "status": {"phase": "x"}});
    t.merge(&format!("{path}/status"), &status).await.refused(409, "Conflict");
}

async fn conditional_uid(t: Target) {
    let made = t.made("conditional-uid").await;
    let path = format!("{}/conditional-uid", t.machines());
    let patch = |uid: &str| json!({"metadata": {"uid": uid}, "spec": {"providerID": "b"}});
    let other = "11111111-1111-1111-1111-111111111111";
    let own = made["metadata"]["uid"].as_str().unwrap();
    let answer = t.merge(&path, &patch(other)).await;
    assert_eq!(
        answer.refused(422, "Invalid"),
        format!(
            "Machine.machine.openshift.io \"conditional-uid\" is invalid: metadata.uid: Invalid \
             value: \"{other}\": field is immutable"
        )
    );
    let cause =
        format!("metadata.uid FieldValueInvalid Invalid value: \"{other}\": field is immutable");
    assert_eq!(answer.causes()[0], cause);
    let status = json!({"metadata": {"uid": other}, "status": {"phase": "x"}});
    t.merge(&format!("{path}/status"), &status).await.is(200);
    let old = json!({"metadata": {"uid": other, "resourceVersion": "1"}});
    t.merge(&path, &old).await.refused(409, "Conflict");
    t.merge(&path, &patch(own)).await.is(200);
    let secret =
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "conditional-uid"}});
    t.post(&t.core("secrets"), &secret).await.is(201);
    let patch = json!({"metadata": {"uid": other}, "data": {"a": "Yg=="}});
    let path = format!("{}/conditional-uid", t.core("secrets"));
    t.merge(&path, &patch).await.refused(422, "Invalid");
}

async fn strategic_custom(t: Target) {
    t.made("strategic").await;
    let path = format!("{}/strategic", t.machines());
    let answer = t.send("PATCH", &path, STRATEGIC, b"{\"spec\":{}}".to_vec()).await;
    assert_eq!(
        answer.refused(415, "UnsupportedMediaType"),
        "the body of the request was in an unknown format - accepted media types include: \
         application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
    );
}

async fn strategic_core(t: Target) {
    let name = format!("{}-strategic", t.namespace);
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
    t.post("/api/v1/nodes", &node).await.is(201);
    let path = format!("/api/v1/nodes/{name}");
    let condition = |kind: &str, status: &str| json!({"type": kind, "status": status});
    for (kind, status) in [("Ready", "True"), ("MemoryPressure", "False"), ("Ready", "False")] {
        let patch = json!({"status": {"conditions": [condition(kind, status)]}});
        t.send("PATCH", &format!("{path}/status"), STRATEGIC, patch.to_string().into())
            .await
            .is(200);
    }
    let taint = |key: &str| json!({"key": key, "effect": "NoSchedule"});
    for key in ["a", "b"] {
        let patch = json!({"spec": {"taints": [taint(key)]}});
        t.send("PATCH", &path, STRATEGIC, patch.to_string().into()).await.is(200);
    }
    let node = t.get(&path).await.is(200);
    let conditions = node["status"]["conditions"].as_array().unwrap();
    let seen: Vec<_> = conditions.iter().map(|one| (&one["type"], &one["status"])).collect();
    assert_eq!(seen.len(), 2, "{node}");
    assert!(seen.contains(&(&json!("Ready"), &json!("False"))), "{seen:?}");
    let keys: Vec<_> =
        node["spec"]["taints"].as_array().unwrap().iter().map(|one| &one["key"]).collect();
    assert_eq!(keys, [&json!("b")], "{node}");
    t.delete(&path, &json!(null)).await.is(200);
}

async fn unknown_type(t: Target) {
    t.made("unknown-type").await;
    let path = format!("{}/unknown-type", t.machines());
    for kind in ["application/json", "text/plain"] {
        let answer = t.send("PATCH", &path, kind, b"{}".to_vec()).await;
        answer.refused(415, "UnsupportedMediaType");
    }
}

async fn no_object(t: Target) {
    t.made("no-object").await;
    let path = format!("{}/no-object", t.machines());
    t.send("PATCH", &path, MERGE, b"{".to_vec()).await.refused(400, "BadRequest");
    t.merge(&path, &json!([1])).await.refused(400, "BadRequest");
    t.merge(&path, &json!({"kind": "MachineSet"})).await.refused(422, "Invalid");
}

async fn other_name(t: Target) {
    t.made("patched-name").await;
    let path = format!("{}/patched-name", t.machines());
    let message =
        t.merge(&path, &json!({"metadata": {"name": "x"}})).await.refused(400, "BadRequest");
    assert!(message.contains("does not match the name on the URL"), "{message}");
}
