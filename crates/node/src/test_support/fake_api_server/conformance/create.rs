//! Creation of objects.

use serde_json::json;

use super::target::Target;

super::behaviours! {
    created: "A created object has a UID, a creation time, a resource version, generation 1 for custom resources, and no status.",
    generated: "`generateName` gets five random characters, and a name wins over it.",
    nameless: "An object without a name and `generateName` is invalid (422).",
    bad_name: "A name that is no DNS subdomain is invalid (422).",
    twice: "A second object of the same name is rejected (409 `AlreadyExists`).",
    versioned: "A new object with a resource version is rejected with status 500 and without a reason.",
    elsewhere: "A namespace in the object that differs from the path is rejected (400).",
    no_namespace: "Objects in a namespace that does not exist are rejected (404).",
    server_fields: "UID, creation time, deletion time and generation of the request are ignored.",
    other_kind: "An object of another kind than the path is invalid for custom resources (422) and rejected for others (400).",
    status_dropped: "A status in a creation is dropped, also for Nodes and Pods.",
    secret_defaults: "Secrets have the type `Opaque` by default, and `stringData` is merged into `data`.",
}

async fn created(t: Target) {
    let made = t.made("created").await;
    let meta = &made["metadata"];
    assert_eq!(meta["namespace"], t.namespace);
    assert_eq!(meta["uid"].as_str().unwrap().len(), 36);
    let time = meta["creationTimestamp"].as_str().unwrap();
    assert_eq!(time.len(), "2026-01-01T00:00:00Z".len(), "{time}");
    assert!(meta["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap() > 0);
    assert_eq!(meta["generation"], 1);
    assert!(made.get("status").is_none(), "{made}");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "created"}});
    let made = t.post(&t.core("secrets"), &secret).await.is(201);
    assert!(made["metadata"].get("generation").is_none(), "{made}");
    assert_eq!((&made["kind"], &made["apiVersion"]), (&json!("Secret"), &json!("v1")));
}

async fn generated(t: Target) {
    let mut machine = t.machine("x");
    machine["metadata"] = json!({"generateName": "generated-"});
    let made = t.post(&t.machines(), &machine).await.is(201);
    let name = made["metadata"]["name"].as_str().unwrap();
    assert_eq!(name.len(), "generated-".len() + 5);
    assert_eq!(made["metadata"]["generateName"], "generated-");
    machine["metadata"] = json!({"generateName": "generated-", "name": "given"});
    let made = t.post(&t.machines(), &machine).await.is(201);
    assert_eq!(made["metadata"]["name"], "given");
}

async fn nameless(t: Target) {
    let mut machine = t.machine("x");
    machine["metadata"] = json!({});
    let answer = t.post(&t.machines(), &machine).await;
    let message = answer.refused(422, "Invalid");
    assert_eq!(
        message,
        "Machine.machine.openshift.io \"\" is invalid: metadata.name: Required value: name or \
         generateName is required"
    );
    let cause = "metadata.name FieldValueRequired Required value: name or generateName is required";
    assert_eq!(answer.causes(), [cause]);
    assert_eq!(answer.body["details"]["group"], "machine.openshift.io");
    assert_eq!(answer.body["details"]["kind"], "Machine");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {}});
    let message = t.post(&t.core("secrets"), &secret).await.refused(422, "Invalid");
    assert!(
        message.starts_with("Secret \"\" is invalid: metadata.name: Required value"),
        "{message}"
    );
}

async fn bad_name(t: Target) {
    for name in ["Upper", "under_score"] {
        let message = t.post(&t.machines(), &t.machine(name)).await.refused(422, "Invalid");
        let start = format!(
            "Machine.machine.openshift.io \"{name}\" is invalid: metadata.name: Invalid value: \
             \"{name}\": a lowercase RFC 1123 subdomain must consist of"
        );
        assert!(message.starts_with(&start), "{message}");
    }
}

async fn twice(t: Target) {
    t.made("twice").await;
    let answer = t.post(&t.machines(), &t.machine("twice")).await;
    let message = answer.refused(409, "AlreadyExists");
    assert_eq!(message, "machines.machine.openshift.io \"twice\" already exists");
    let details = json!({"name": "twice", "group": "machine.openshift.io", "kind": "machines"});
    assert_eq!(answer.body["details"], details);
}

async fn versioned(t: Target) {
    let mut machine = t.machine("versioned");
    machine["metadata"]["resourceVersion"] = json!("1");
    let body = t.post(&t.machines(), &machine).await.is(500);
    assert_eq!(body["message"], "resourceVersion should not be set on objects to be created");
    assert_eq!((&body["kind"], body.get("reason")), (&json!("Status"), None));
}

async fn elsewhere(t: Target) {
    let mut machine = t.machine("elsewhere");
    machine["metadata"]["namespace"] = json!("default");
    let message = t.post(&t.machines(), &machine).await.refused(400, "BadRequest");
    assert_eq!(
        message,
        "the namespace of the provided object does not match the namespace sent on the request"
    );
}

async fn no_namespace(t: Target) {
    let path = "/apis/machine.openshift.io/v1beta1/namespaces/missing/machines";
    let answer = t.post(path, &t.machine("m")).await;
    assert_eq!(answer.refused(404, "NotFound"), "namespaces \"missing\" not found");
    assert!(t.get(path).await.is(200)["items"].as_array().unwrap().is_empty());
}

async fn server_fields(t: Target) {
    let old = "2000-01-01T00:00:00Z";
    let made = t
        .made_with(
            "server-fields",
            &json!({"uid": "mine", "creationTimestamp": old, "deletionTimestamp": old,
                    "generation": 7}),
        )
        .await;
    assert_ne!(made["metadata"]["uid"], "mine");
    assert_ne!(made["metadata"]["creationTimestamp"], old);
    assert!(made["metadata"].get("deletionTimestamp").is_none());
    assert_eq!(made["metadata"]["generation"], 1);
}

async fn other_kind(t: Target) {
    let mut machine = t.machine("other-kind");
    machine["kind"] = json!("MachineSet");
    let answer = t.post(&t.machines(), &machine).await;
    answer.refused(422, "Invalid");
    assert_eq!(
        answer.causes(),
        ["kind FieldValueInvalid Invalid value: \"MachineSet\": must be Machine"]
    );
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "other-kind"}});
    let message = t.post(&t.core("secrets"), &pod).await.refused(400, "BadRequest");
    assert!(
        message.starts_with("Pod in version \"v1\" cannot be handled as a Secret"),
        "{message}"
    );
}

async fn status_dropped(t: Target) {
    let mut machine = t.machine("status-dropped");
    machine["status"] = json!({"phase": "Running"});
    assert!(t.post(&t.machines(), &machine).await.is(201).get("status").is_none());
    let read = t.get(&format!("{}/status-dropped", t.machines())).await.is(200);
    assert!(read.get("status").is_none());
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "status-dropped"},
        "spec": {"containers": [{"name": "c", "image": "i"}], "automountServiceAccountToken": false},
        "status": {"phase": "Running"},
    });
    let made = t.post(&t.core("pods"), &pod).await.is(201);
    assert_eq!(made["status"]["phase"], "Pending");
}

async fn secret_defaults(t: Target) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "kinds"},
                        "stringData": {"a": "b"}});
    let made = t.post(&t.core("secrets"), &secret).await.is(201);
    assert_eq!((&made["type"], &made["data"]), (&json!("Opaque"), &json!({"a": "Yg=="})));
    assert!(made.get("stringData").is_none());
}
