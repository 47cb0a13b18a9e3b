//! Deletion and finalizers.

use serde_json::json;

use super::target::{Target, version};

super::behaviours! {
    gone: "A deletion without finalizers responds with a Status of success and the object's UID, and the object is gone.",
    held: "An object with finalizers is marked with a time, a grace period of 0 and a new generation, and stays.",
    held_twice: "A second deletion of a marked object changes nothing.",
    released: "The removal of the last finalizer of a marked object deletes it, also by PUT.",
    no_new_finalizers: "A marked object gets no new finalizers (422), and may lose some.",
    other_changes: "A marked object can be changed otherwise.",
    unmarked: "The deletion time cannot be set or removed by an update.",
    preconditions: "A UID or resource version in the preconditions of a deletion that differs is a conflict (409).",
    foreground: "Foreground deletion adds the finalizer `foregroundDeletion`, and deletion that orphans adds `orphan`.",
    policies: "An unknown propagation policy is invalid (422).",
    all: "A deletion of a collection deletes the selected objects.",
    bad_finalizer: "A finalizer without a domain is accepted for custom resources, and one that is no qualified name is rejected (422).",
    conditional_release: "A patch that removes a finalizer with an old resource version is a conflict (409), and the object stays.",
    recreated: "An object of the same name after a deletion has another UID and generation 1.",
}

async fn gone(t: Target) {
    let made = t.made("gone").await;
    let path = format!("{}/gone", t.machines());
    let body = t.delete(&path, &json!(null)).await.is(200);
    assert_eq!((&body["kind"], &body["status"]), (&json!("Status"), &json!("Success")));
    let details = json!({"name": "gone", "group": "machine.openshift.io", "kind": "machines", "uid": made["metadata"]["uid"]});
    assert_eq!(body["details"], details);
    let answer = t.get(&path).await;
    assert_eq!(answer.refused(404, "NotFound"), "machines.machine.openshift.io \"gone\" not found");
    let details = json!({"name": "gone", "group": "machine.openshift.io", "kind": "machines"});
    assert_eq!(answer.body["details"], details);
    assert_eq!(answer.body["metadata"], json!({}));
}

async fn held(t: Target) {
    t.made_with("held", &json!({"finalizers": ["a.b/c"]})).await;
    let path = format!("{}/held", t.machines());
    let marked = t.delete(&path, &json!(null)).await.is(200);
    assert_eq!(marked["kind"], "Machine");
    let meta = &marked["metadata"];
    assert!(meta["deletionTimestamp"].is_string());
    assert_eq!((&meta["deletionGracePeriodSeconds"], &meta["generation"]), (&json!(0), &json!(2)));
    let read = t.get(&path).await.is(200);
    assert_eq!(read["metadata"]["deletionTimestamp"], meta["deletionTimestamp"]);
    assert_eq!(read["metadata"]["finalizers"], json!(["a.b/c"]));
}

async fn held_twice(t: Target) {
    t.made_with("held-twice", &json!({"finalizers": ["a.b/c"]})).await;
    let path = format!("{}/held-twice", t.machines());
    let first = t.delete(&path, &json!(null)).await.is(200);
    let second = t.delete(&path, &json!(null)).await.is(200);
    assert_eq!(version(&first), version(&second));
    assert_eq!(first["metadata"]["deletionTimestamp"], second["metadata"]["deletionTimestamp"]);
}

async fn released(t: Target) {
    for name in ["released-by-patch", "released-by-put"] {
        t.made_with(name, &json!({"finalizers": ["a.b/c"]})).await;
        let path = format!("{}/{name}", t.machines());
        let mut marked = t.delete(&path, &json!(null)).await.is(200);
        let last = if name == "released-by-put" {
            marked["metadata"]["finalizers"] = json!([]);
            t.put(&path, &marked).await.is(200)
        } else {
            t.merge(&path, &json!({"metadata": {"finalizers": []}})).await.is(200)
        };
        assert_eq!(last["metadata"]["name"], name);
        t.get(&path).await.refused(404, "NotFound");
    }
}

async fn no_new_finalizers(t: Target) {
    t.made_with("no-new", &json!({"finalizers": ["a.b/c", "a.b/d"]})).await;
    let path = format!("{}/no-new", t.machines());
    t.delete(&path, &json!(null)).await.is(200);
    let more = json!({"metadata": {"finalizers": ["a.b/c", "a.b/d", "a.b/e"]}});
    let message = t.merge(&path, &more).await.refused(422, "Invalid");
    assert_eq!(
        message,
        "Machine.machine.openshift.io \"no-new\" is invalid: metadata.finalizers: Forbidden: no \
         new finalizers can be added if the object is being deleted, found new finalizers \
         []string{\"a.b/e\"}"
    );
    let less = t.merge(&path, &json!({"metadata": {"finalizers": ["a.b/d"]}})).await.is(200);
    assert_eq!(less["metadata"]["finalizers"], json!(["a.b/d"]));
    t.merge(&path, &json!({"metadata": {"finalizers": []}})).await.is(200);
}

async fn other_changes(t: Target) {
    t.made_with("other-changes", &json!({"finalizers": ["a.b/c"]})).await;
    let path = format!("{}/other-changes", t.machines());
    t.delete(&path, &json!(null)).await.is(200);
    let patched = t
        .merge(&path, &json!({"spec": {"providerID": "b"}, "metadata": {"labels": {"x": "y"}}}))
        .await
        .is(200);
    assert_eq!(
        (&patched["spec"]["providerID"], &patched["metadata"]["generation"]),
        (&json!("b"), &json!(3))
    );
    t.merge(&format!("{path}/status"), &json!({"status": {"phase": "Deleting"}})).await.is(200);
}

async fn unmarked(t: Target) {
    t.made_with("unmarked", &json!({"finalizers": ["a.b/c"]})).await;
    let path = format!("{}/unmarked", t.machines());
    let time = json!({"metadata": {"deletionTimestamp": "2030-01-01T00:00:00Z"}});
    let patched = t.merge(&path, &time).await;
    assert!(patched.status == 422 || patched.body["metadata"].get("deletionTimestamp").is_none());
    t.delete(&path, &json!(null)).await.is(200);
    let patched = t.merge(&path, &json!({"metadata": {"deletionTimestamp": null}})).await;
    assert!(patched.status == 422 || patched.body["metadata"]["deletionTimestamp"].is_string());
}

async fn preconditions(t: Target) {
    let made = t.made("preconditions").await;
    let path = format!("{}/preconditions", t.machines());
    let options = |preconditions| json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
    let other = "11111111-1111-1111-1111-111111111111";
    let uid = made["metadata"]["uid"].as_str().unwrap();
    let message = t.delete(&path, &options(json!({"uid": other}))).await.refused(409, "Conflict");
    assert_eq!(
        message,
        format!(
            "Operation cannot be fulfilled on Machine.machine.openshift.io \"preconditions\": the \
             UID in the precondition ({other}) does not match the UID in record ({uid}). The object \
             might have been deleted and then recreated"
        )
    );
    t.merge(&path, &json!({"spec": {"providerID": "b"}})).await.is(200);
    let old = options(json!({"uid": uid, "resourceVersion": version(&made)}));
    let message = t.delete(&path, &old).await.refused(409, "Conflict");
    assert!(message.contains("the ResourceVersion in the precondition ("), "{message}");
    t.delete(&path, &options(json!({"uid": uid}))).await.is(200);
}

async fn foreground(t: Target) {
    for (policy, finalizer) in [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")] {
        let name = policy.to_lowercase();
        t.made(&name).await;
        let path = format!("{}/{name}", t.machines());
        let marked = t.delete(&path, &json!({"propagationPolicy": policy})).await.is(200);
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]), "{marked}");
        assert!(marked["metadata"]["deletionTimestamp"].is_string());
    }
    t.made("background").await;
    let body = t
        .delete(
            &format!("{}/background", t.machines()),
            &json!({"propagationPolicy": "Background"}),
        )
        .await
        .is(200);
    assert_eq!(body["kind"], "Status");
}

async fn policies(t: Target) {
    t.made("policies").await;
    let path = format!("{}/policies", t.machines());
    t.delete(&path, &json!({"propagationPolicy": "Sideways"})).await.refused(422, "Invalid");
    t.delete(&path, &json!({"propagationPolicy": "Orphan", "orphanDependents": true}))
        .await
        .refused(422, "Invalid");
}

async fn all(t: Target) {
    for name in ["all-a", "all-b"] {
        t.made_with(name, &json!({"labels": {"delete": "all"}})).await;
    }
    let path = format!("{}?labelSelector=delete%3Dall", t.machines());
    t.delete(&path, &json!(null)).await.is(200);
    assert!(t.get(&path).await.is(200)["items"].as_array().unwrap().is_empty());
}

async fn bad_finalizer(t: Target) {
    let mut machine = t.machine("bad-finalizer");
    machine["metadata"]["finalizers"] = json!(["no spaces"]);
    let message = t.post(&t.machines(), &machine).await.refused(422, "Invalid");
    assert!(
        message.contains(
            "metadata.finalizers: Invalid value: \"no spaces\": name part must consist of"
        ),
        "{message}"
    );
    machine["metadata"]["finalizers"] = json!(["plain"]);
    t.post(&t.machines(), &machine).await.is(201);
    t.merge(&format!("{}/bad-finalizer", t.machines()), &json!({"metadata": {"finalizers": null}}))
        .await
        .is(200);
}

async fn recreated(t: Target) {
    let first = t.made("recreated").await;
    let path = format!("{}/recreated", t.machines());
    t.merge(&path, &json!({"spec": {"providerID": "b"}})).await.is(200);
    t.delete(&path, &json!(null)).await.is(200);
    let second = t.made("recreated").await;
    assert_ne!(first["metadata"]["uid"], second["metadata"]["uid"]);
    assert_eq!(second["metadata"]["generation"], 1);
}

async fn conditional_release(t: Target) {
    let made = t.made_with("conditional-release", &json!({"finalizers": ["a.b/c"]})).await;
    let path = format!("{}/conditional-release", t.machines());
    t.delete(&path, &json!(null)).await.is(200);
    let patch = json!({"metadata": {"finalizers": null, "resourceVersion": version(&made)}});
    t.merge(&path, &patch).await.refused(409, "Conflict");
    assert_eq!(t.get(&path).await.is(200)["metadata"]["finalizers"], json!(["a.b/c"]));
    t.merge(&path, &json!({"metadata": {"finalizers": null}})).await.is(200);
}
