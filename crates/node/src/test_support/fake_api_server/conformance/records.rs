//! Events and Leases.

use serde_json::{Value, json};

use super::target::{Target, version};

super::behaviours! {
    event_namespace: "An Event is in the namespace of its object, and in `default` for cluster-scoped objects, or it is invalid (422).",
    event_twice: "A second Event of the same name is 409 `AlreadyExists`.",
    event_count: "The count, message and last time of an Event can be patched.",
    event_core_fields: "An Event of `v1` needs neither a reporting controller nor an event time, and both are null or empty by default.",
    event_time: "An Event with an event time needs `reportingController`, `reportingInstance`, `action`, `reason` and a type (422).",
    lease_conflict: "Of two updates of a Lease from the same version, the second is a conflict (409).",
    lease_versionless: "An update of a Lease without a resource version is rejected, as with custom resources (422).",
    lease_duration: "A Lease with a duration that is not positive or with negative transitions is invalid (422).",
    lease_times: "Times of a Lease have microseconds, and other forms are rejected (400).",
    lease_created_twice: "Of two creations of a Lease, the second is 409 `AlreadyExists`.",
    lease_deleted: "An update of a Lease that does not exist creates it, but with a UID it is a conflict (409).",
}

fn event(t: &Target, name: &str, namespace: &str, involved: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": name, "namespace": namespace},
           "involvedObject": {"kind": "Machine", "name": "m", "namespace": involved, "uid": t.namespace},
           "reason": "Tested", "message": "m", "type": "Warning", "count": 1,
           "firstTimestamp": "2026-01-01T00:00:00Z", "lastTimestamp": "2026-01-01T00:00:00Z",
           "source": {"component": "groundplan"}})
}

async fn event_namespace(t: Target) {
    let own = event(&t, "own", &t.namespace, &t.namespace);
    t.post(&t.core("events"), &own).await.is(201);
    for involved in ["default", ""] {
        let wrong = event(&t, "wrong", &t.namespace, involved);
        let answer = t.post(&t.core("events"), &wrong).await;
        let message = answer.refused(422, "Invalid");
        assert_eq!(
            message,
            format!(
                "Event \"wrong\" is invalid: involvedObject.namespace: Invalid value: \
                 \"{involved}\": does not match event.namespace"
            )
        );
    }
    let name = format!("{}-node", t.namespace);
    let mut node = event(&t, &name, "default", "");
    node["involvedObject"]["kind"] = json!("Node");
    node["involvedObject"].as_object_mut().unwrap().remove("namespace");
    t.post("/api/v1/namespaces/default/events", &node).await.is(201);
    t.delete(&format!("/api/v1/namespaces/default/events/{name}"), &json!(null)).await.is(200);
}

async fn event_count(t: Target) {
    let own = event(&t, "counted", &t.namespace, &t.namespace);
    t.post(&t.core("events"), &own).await.is(201);
    let patch = json!({"count": 2, "message": "n", "lastTimestamp": "2026-01-02T00:00:00Z"});
    let patched = t.merge(&format!("{}/counted", t.core("events")), &patch).await.is(200);
    for (field, value) in patch.as_object().unwrap() {
        assert_eq!(&patched[field], value);
    }
    let missing = t.merge(&format!("{}/missing", t.core("events")), &patch).await;
    assert_eq!(missing.refused(404, "NotFound"), "events \"missing\" not found");
}

async fn event_core_fields(t: Target) {
    let own = event(&t, "plain", &t.namespace, &t.namespace);
    let made = t.post(&t.core("events"), &own).await.is(201);
    assert_eq!(
        (&made["eventTime"], &made["reportingComponent"]),
        (&json!(null), &json!("")),
        "{made}"
    );
}

async fn event_time(t: Target) {
    let mut own = event(&t, "timed", &t.namespace, &t.namespace);
    own["eventTime"] = json!("2026-01-01T00:00:00.000000Z");
    let answer = t.post(&t.core("events"), &own).await;
    let message = answer.refused(422, "Invalid");
    assert!(message.contains("reportingInstance: Required value"), "{message}");
}

fn lease(name: &str, holder: &str) -> Value {
    json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name},
           "spec": {"holderIdentity": holder, "leaseDurationSeconds": 24, "leaseTransitions": 0,
                    "acquireTime": "2026-01-01T00:00:00.000000Z",
                    "renewTime": "2026-01-01T00:00:00.123456Z"}})
}

async fn lease_conflict(t: Target) {
    let mut made = t.post(&t.leases(), &lease("conflict", "a")).await.is(201);
    let path = format!("{}/conflict", t.leases());
    made["spec"]["holderIdentity"] = json!("b");
    let taken = t.put(&path, &made).await.is(200);
    assert_ne!(version(&taken), version(&made));
    made["spec"]["holderIdentity"] = json!("c");
    let message = t.put(&path, &made).await.refused(409, "Conflict");
    assert_eq!(
        message,
        "Operation cannot be fulfilled on leases.coordination.k8s.io \"conflict\": the object has \
         been modified; please apply your changes to the latest version and try again"
    );
    assert_eq!(t.get(&path).await.is(200)["spec"]["holderIdentity"], "b");
}

async fn lease_versionless(t: Target) {
    t.post(&t.leases(), &lease("versionless-lease", "a")).await.is(201);
    let path = format!("{}/versionless-lease", t.leases());
    t.put(&path, &lease("versionless-lease", "b")).await.refused(422, "Invalid");
}

async fn lease_duration(t: Target) {
    let mut wrong = lease("duration", "a");
    wrong["spec"]["leaseDurationSeconds"] = json!(0);
    let message = t.post(&t.leases(), &wrong).await.refused(422, "Invalid");
    assert!(
        message.contains("spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0"),
        "{message}"
    );
}

async fn lease_times(t: Target) {
    let made = t.post(&t.leases(), &lease("times", "a")).await.is(201);
    assert_eq!(made["spec"]["renewTime"], "2026-01-01T00:00:00.123456Z");
    let mut wrong = lease("wrong-times", "a");
    wrong["spec"]["renewTime"] = json!("yesterday");
    t.post(&t.leases(), &wrong).await.refused(400, "BadRequest");
}

async fn lease_created_twice(t: Target) {
    t.post(&t.leases(), &lease("twice", "a")).await.is(201);
    let message = t.post(&t.leases(), &lease("twice", "b")).await.refused(409, "AlreadyExists");
    assert_eq!(message, "leases.coordination.k8s.io \"twice\" already exists");
}

async fn lease_deleted(t: Target) {
    let made = t.post(&t.leases(), &lease("deleted", "a")).await.is(201);
    let path = format!("{}/deleted", t.leases());
    t.delete(&path, &json!(null)).await.is(200);
    let message = t.put(&path, &made).await.refused(409, "Conflict");
    assert!(message.contains("Precondition failed: UID in precondition: "), "{message}");
    t.put(&path, &lease("deleted", "b")).await.is(201);
}

async fn event_twice(t: Target) {
    let own = event(&t, "twice", &t.namespace, &t.namespace);
    t.post(&t.core("events"), &own).await.is(201);
    t.post(&t.core("events"), &own).await.refused(409, "AlreadyExists");
}
