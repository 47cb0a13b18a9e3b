//! Updates with PUT.

use serde_json::json;

use super::target::{Target, version};

super::behaviours! {
    missing: "An update of a missing object is 404.",
    versionless: "An update without a resource version is invalid for custom resources (422).",
    versionless_core: "An update without a resource version is unconditional for Secrets, and invalid for Leases (422).",
    outdated: "An update with an old resource version is a conflict (409).",
    other_uid: "An update with another UID is a conflict (409).",
    other_name: "An update whose object has another name than the path is rejected (400).",
    spec_only: "An update of an object with a status subresource ignores the status.",
    status_only: "An update of `/status` changes the status and ignores the spec, labels and annotations.",
    generations: "The generation changes with the spec, and neither with metadata nor with the status.",
    unchanged: "A write without a change keeps the resource version and sends no event.",
    kept_metadata: "An update cannot change the UID, the creation time or the generation.",
    scaled: "`/scale` reads and writes the replicas of a MachineSet, with a resource version as precondition.",
}

async fn missing(t: Target) {
    let path = format!("{}/missing", t.machines());
    let mut machine = t.machine("missing");
    machine["metadata"]["resourceVersion"] = json!("1");
    let message = t.put(&path, &machine).await.refused(404, "NotFound");
    assert_eq!(message, "machines.machine.openshift.io \"missing\" not found");
    t.merge(&path, &json!({"spec": {}})).await.refused(404, "NotFound");
    t.delete(&path, &json!(null)).await.refused(404, "NotFound");
    t.merge(&format!("{path}/status"), &json!({"status": {}})).await.refused(404, "NotFound");
}

async fn versionless(t: Target) {
    t.made("versionless").await;
    let path = format!("{}/versionless", t.machines());
    let answer = t.put(&path, &t.machine("versionless")).await;
    assert_eq!(
        answer.refused(422, "Invalid"),
        "machines.machine.openshift.io \"versionless\" is invalid: metadata.resourceVersion: \
         Invalid value: 0: must be specified for an update"
    );
}

async fn versionless_core(t: Target) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret",
                        "metadata": {"name": "versionless"}, "data": {"a": "Yg=="}});
    t.post(&t.core("secrets"), &secret).await.is(201);
    let path = format!("{}/versionless", t.core("secrets"));
    t.put(&path, &secret).await.is(200);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                       "metadata": {"name": "versionless"}, "spec": {"holderIdentity": "a"}});
    t.post(&t.leases(), &lease).await.is(201);
    let answer = t.put(&format!("{}/versionless", t.leases()), &lease).await;
    let message = answer.refused(422, "Invalid");
    assert!(message.contains("metadata.resourceVersion: Invalid value: 0"), "{message}");
}

async fn outdated(t: Target) {
    let old = t.made("outdated").await;
    let path = format!("{}/outdated", t.machines());
    t.merge(&path, &json!({"spec": {"providerID": "b"}})).await.is(200);
    let answer = t.put(&path, &old).await;
    assert_eq!(
        answer.refused(409, "Conflict"),
        "Operation cannot be fulfilled on machines.machine.openshift.io \"outdated\": the object \
         has been modified; please apply your changes to the latest version and try again"
    );
    let details = json!({"name": "outdated", "group": "machine.openshift.io", "kind": "machines"});
    assert_eq!(answer.body["details"], details);
    t.put(&format!("{path}/status"), &old).await.refused(409, "Conflict");
}

async fn other_uid(t: Target) {
    let mut machine = t.made("other-uid").await;
    machine["metadata"]["uid"] = json!("11111111-1111-1111-1111-111111111111");
    let path = format!("{}/other-uid", t.machines());
    let message = t.put(&path, &machine).await.refused(409, "Conflict");
    assert!(message.contains("Precondition failed: UID in precondition: "), "{message}");
}

async fn other_name(t: Target) {
    let mut machine = t.made("other-name").await;
    machine["metadata"]["name"] = json!("another");
    let message =
        t.put(&format!("{}/other-name", t.machines()), &machine).await.refused(400, "BadRequest");
    assert_eq!(
        message,
        "the name of the object (another) does not match the name on the URL (other-name)"
    );
}

async fn spec_only(t: Target) {
    let mut machine = t.made("spec-only").await;
    let path = format!("{}/spec-only", t.machines());
    machine["status"] = json!({"phase": "Running"});
    machine["spec"]["providerID"] = json!("b");
    let put = t.put(&path, &machine).await.is(200);
    assert!(put.get("status").is_none(), "{put}");
    let status = json!({"status": {"phase": "Running"}, "spec": {"providerID": "c"}});
    assert!(t.merge(&path, &status).await.is(200).get("status").is_none());
    t.merge(&format!("{path}/status"), &status).await.is(200);
    let nulled = json!({"status": null, "spec": {"providerID": "d"}});
    let kept = t.merge(&path, &nulled).await.is(200);
    assert_eq!(
        (&kept["status"]["phase"], &kept["spec"]["providerID"]),
        (&json!("Running"), &json!("d"))
    );
}

async fn status_only(t: Target) {
    let mut machine = t.made("status-only").await;
    let path = format!("{}/status-only/status", t.machines());
    machine["status"] = json!({"phase": "Running"});
    machine["spec"]["providerID"] = json!("b");
    machine["metadata"]["labels"] = json!({"app": "b"});
    machine["metadata"]["annotations"] = json!({"a": "b"});
    let put = t.put(&path, &machine).await.is(200);
    assert_eq!(
        (&put["status"]["phase"], &put["spec"]["providerID"]),
        (&json!("Running"), &json!("aws:///a/i-1"))
    );
    assert_eq!(put["metadata"]["labels"], json!({"app": "status-only"}), "{put}");
    assert!(put["metadata"].get("annotations").is_none(), "{put}");
    let patch = json!({"metadata": {"labels": {"app": "c"}, "finalizers": ["a.b/c"]}, "status": {"phase": "Failed"}});
    let patched = t.merge(&path, &patch).await.is(200);
    assert_eq!(patched["status"]["phase"], "Failed");
    assert_eq!(patched["metadata"]["labels"], json!({"app": "status-only"}), "{patched}");
    assert!(patched["metadata"].get("finalizers").is_none(), "{patched}");
    assert_eq!(t.get(&path).await.is(200)["status"]["phase"], "Failed");
}

async fn generations(t: Target) {
    t.made("generations").await;
    let path = format!("{}/generations", t.machines());
    let after = async |part: &str, patch| {
        let path = format!("{path}{part}");
        t.merge(&path, &patch).await.is(200)["metadata"]["generation"].as_i64().unwrap()
    };
    assert_eq!(after("", json!({"metadata": {"labels": {"x": "y"}}})).await, 1);
    assert_eq!(after("/status", json!({"status": {"phase": "Running"}})).await, 1);
    assert_eq!(after("", json!({"spec": {"providerID": "b"}})).await, 2);
    assert_eq!(after("", json!({"spec": {"providerID": "b"}})).await, 2);
    assert_eq!(after("", json!({"metadata": {"generation": 9}})).await, 2);
}

async fn unchanged(t: Target) {
    let made = t.made("unchanged").await;
    let path = format!("{}/unchanged", t.machines());
    assert_eq!(version(&t.put(&path, &made).await.is(200)), version(&made));
    let patched = t.merge(&path, &json!({"spec": {"providerID": "aws:///a/i-1"}})).await.is(200);
    assert_eq!(version(&patched), version(&made));
    let query =
        format!("resourceVersion={}&fieldSelector=metadata.name%3Dunchanged", version(&made));
    assert_eq!(t.watch(&t.machines(), &query, 1).await.len(), 0);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                       "metadata": {"name": "unchanged"}, "spec": {"holderIdentity": "a"}});
    let made = t.post(&t.leases(), &lease).await.is(201);
    let put = t.put(&format!("{}/unchanged", t.leases()), &made).await.is(200);
    assert_eq!(version(&put), version(&made));
}

async fn kept_metadata(t: Target) {
    let made = t.made("kept-metadata").await;
    let path = format!("{}/kept-metadata", t.machines());
    let mut changed = made.clone();
    changed["metadata"]["generation"] = json!(9);
    let put = t.put(&path, &changed).await.is(200);
    assert_eq!(put["metadata"]["generation"], made["metadata"]["generation"]);
    let patch = json!({"metadata": {"creationTimestamp": "2000-01-01T00:00:00Z"}});
    let patched = t.merge(&path, &patch).await.is(200);
    assert_eq!(patched["metadata"]["creationTimestamp"], made["metadata"]["creationTimestamp"]);
}

async fn scaled(t: Target) {
    let set = json!({"apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet",
                     "metadata": {"name": "scaled"}, "spec": {"replicas": 3}});
    let made = t.post(&t.machine_sets(), &set).await.is(201);
    let path = format!("{}/scaled/scale", t.machine_sets());
    let mut scale = t.get(&path).await.is(200);
    assert_eq!((&scale["kind"], &scale["apiVersion"]), (&json!("Scale"), &json!("autoscaling/v1")));
    assert_eq!(
        (&scale["spec"], &scale["status"]["replicas"]),
        (&json!({"replicas": 3}), &json!(0))
    );
    assert_eq!(version(&scale), version(&made));
    let patched = t.merge(&path, &json!({"spec": {"replicas": 6}})).await.is(200);
    assert_eq!(patched["spec"]["replicas"], 6);
    t.put(&path, &scale).await.refused(409, "Conflict");
    scale["metadata"]["resourceVersion"] = patched["metadata"]["resourceVersion"].clone();
    scale["spec"]["replicas"] = json!(2);
    t.put(&path, &scale).await.is(200);
    let set = t.get(&format!("{}/scaled", t.machine_sets())).await.is(200);
    assert_eq!((&set["spec"]["replicas"], &set["metadata"]["generation"]), (&json!(2), &json!(3)));
    t.get(&format!("{}/missing/scale", t.machine_sets())).await.refused(404, "NotFound");
    t.get(&format!("{}/missing/scale", t.machines())).await.refused(404, "NotFound");
}
