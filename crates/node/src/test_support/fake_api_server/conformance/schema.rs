//! Pruning, defaults and validation by the schemas of CRDs.

use serde_json::json;

use super::target::{MACHINE_API, Target};

super::behaviours! {
    pruned: "Unknown fields of spec and status are dropped in creations, updates and patches, and are no change.",
    preserved: "Fields under `x-kubernetes-preserve-unknown-fields` are kept, such as `providerSpec.value`.",
    metadata_pruned: "Unknown fields of the metadata are dropped.",
    defaulted: "Absent fields get the defaults of the schema, also after a null.",
    wrong_type: "A value of a wrong type is invalid (422), with a cause that names the field.",
    not_in_enum: "A value outside of an enumeration is invalid (422), with a cause that lists the values.",
    invalid_status: "A status of a wrong type is invalid (422), and an update of the spec is not.",
    strict: "With `fieldValidation=Strict`, unknown fields are rejected.",
    labels: "Labels and annotations that are no strings are rejected (400), and label values that are invalid, too (422).",
}

async fn pruned(t: Target) {
    let mut machine = t.machine("pruned");
    machine["spec"]["unknown"] = json!(1);
    machine["spec"]["lifecycleHooks"] =
        json!({"unknown": {}, "preDrain": [{"name": "abc", "owner": "abc", "x": 1}]});
    machine["top"] = json!(1);
    let made = t.post(&t.machines(), &machine).await.is(201);
    assert!(made["spec"].get("unknown").is_none() && made.get("top").is_none(), "{made}");
    let hooks = json!({"preDrain": [{"name": "abc", "owner": "abc"}]});
    assert_eq!(made["spec"]["lifecycleHooks"], hooks);
    let path = format!("{}/pruned", t.machines());
    let answer = t.merge(&path, &json!({"spec": {"unknown": 1}})).await;
    let patched = answer.is(200);
    assert!(patched["spec"].get("unknown").is_none());
    assert_eq!(patched["metadata"]["generation"], 1);
    let status = json!({"status": {"phase": "Running", "unknown": 1}});
    let patched = t.merge(&format!("{path}/status"), &status).await.is(200);
    assert_eq!(patched["status"], json!({"phase": "Running"}));
    let mut put = patched.clone();
    put["spec"]["unknown"] = json!(1);
    assert!(t.put(&path, &put).await.is(200)["spec"].get("unknown").is_none());
}

async fn preserved(t: Target) {
    let mut machine = t.machine("preserved");
    let value = json!({"any": {"depth": [1, "a", null, {"b": {}}]}});
    machine["spec"]["providerSpec"]["value"] = value.clone();
    machine["spec"]["providerSpec"]["other"] = json!(1);
    let made = t.post(&t.machines(), &machine).await.is(201);
    assert_eq!(made["spec"]["providerSpec"], json!({"value": value}));
    let path = format!("{}/preserved/status", t.machines());
    let status = json!({"status": {"providerStatus": {"any": {"x": 1}}}});
    assert_eq!(t.merge(&path, &status).await.is(200)["status"], status["status"]);
}

async fn metadata_pruned(t: Target) {
    let made = t.made_with("metadata-pruned", &json!({"unknown": 1})).await;
    assert!(made["metadata"].get("unknown").is_none(), "{made}");
}

async fn defaulted(t: Target) {
    let set = json!({"apiVersion": MACHINE_API, "kind": "MachineSet",
                     "metadata": {"name": "defaulted"}, "spec": {"minReadySeconds": 1}});
    let made = t.post(&t.machine_sets(), &set).await.is(201);
    assert_eq!(made["spec"]["replicas"], 1, "{made}");
    let path = format!("{}/defaulted", t.machine_sets());
    let patched = t.merge(&path, &json!({"spec": {"replicas": 3}})).await.is(200);
    assert_eq!(patched["spec"]["replicas"], 3);
    let patched = t.merge(&path, &json!({"spec": {"replicas": null}})).await.is(200);
    assert_eq!(patched["spec"]["replicas"], 1);
    let bare =
        json!({"apiVersion": MACHINE_API, "kind": "MachineSet", "metadata": {"name": "bare"}});
    assert!(t.post(&t.machine_sets(), &bare).await.is(201).get("spec").is_none());
}

async fn wrong_type(t: Target) {
    let mut machine = t.machine("wrong-type");
    machine["spec"]["providerID"] = json!(1);
    let answer = t.post(&t.machines(), &machine).await;
    let cause = "spec.providerID FieldValueTypeInvalid Invalid value: \"integer\": spec.providerID in body must be of type string: \"integer\"";
    assert_eq!(answer.causes(), [cause]);
    assert_eq!(
        answer.refused(422, "Invalid"),
        "Machine.machine.openshift.io \"wrong-type\" is invalid: spec.providerID: Invalid value: \
         \"integer\": spec.providerID in body must be of type string: \"integer\""
    );
    machine["spec"]["providerID"] = json!("b");
    machine["spec"]["taints"] = json!({"a": "b"});
    let answer = t.post(&t.machines(), &machine).await;
    answer.refused(422, "Invalid");
    assert_eq!(answer.causes().len(), 1, "{:?}", answer.causes());
    machine["spec"] = json!("text");
    t.post(&t.machines(), &machine).await.refused(422, "Invalid");
    t.made("wrong-patch").await;
    let path = format!("{}/wrong-patch", t.machines());
    t.merge(&path, &json!({"spec": {"providerID": 1}})).await.refused(422, "Invalid");
    assert_eq!(t.get(&path).await.is(200)["spec"]["providerID"], "aws:///a/i-1");
}

async fn not_in_enum(t: Target) {
    let set = json!({"apiVersion": MACHINE_API, "kind": "MachineSet",
                     "metadata": {"name": "not-in-enum"},
                     "spec": {"deletePolicy": "Any", "replicas": 1}});
    let answer = t.post(&t.machine_sets(), &set).await;
    let cause = "spec.deletePolicy FieldValueNotSupported Unsupported value: \"Any\": supported values: \"Random\", \"Newest\", \"Oldest\"";
    assert_eq!(answer.causes(), [cause]);
    let message = answer.refused(422, "Invalid");
    assert!(message.ends_with("spec.deletePolicy: Unsupported value: \"Any\": supported values: \"Random\", \"Newest\", \"Oldest\""), "{message}");
}

async fn invalid_status(t: Target) {
    t.made("invalid-status").await;
    let path = format!("{}/invalid-status", t.machines());
    let wrong = json!({"status": {"phase": 1}});
    let answer = t.merge(&format!("{path}/status"), &wrong).await;
    let message = answer.refused(422, "Invalid");
    assert!(message.ends_with("status.phase: Invalid value: \"integer\": phase in body must be of type string: \"integer\""), "{message}");
    t.merge(&path, &wrong).await.is(200);
}

async fn strict(t: Target) {
    let mut machine = t.machine("strict");
    machine["spec"]["unknown"] = json!(1);
    let path = format!("{}?fieldValidation=Strict", t.machines());
    let message = t.post(&path, &machine).await.refused(400, "BadRequest");
    assert_eq!(
        message,
        "Machine in version \"v1beta1\" cannot be handled as a Machine: strict decoding error: \
         unknown field \"spec.unknown\""
    );
    t.made("strict").await;
    let path = format!("{}/strict?fieldValidation=Strict", t.machines());
    let answer = t.merge(&path, &json!({"spec": {"unknown": 1}})).await;
    assert!(answer.body["message"].as_str().unwrap().contains("unknown field \"spec.unknown\""));
    assert!(matches!(answer.status, 400 | 422), "{}", answer.body);
}

async fn labels(t: Target) {
    let mut machine = t.machine("labels");
    machine["metadata"]["labels"] = json!({"a": 1});
    t.post(&t.machines(), &machine).await.refused(400, "BadRequest");
    machine["metadata"]["labels"] = json!({"a": "no spaces"});
    let message = t.post(&t.machines(), &machine).await.refused(422, "Invalid");
    assert!(
        message.contains("metadata.labels: Invalid value: \"no spaces\": a valid label must be"),
        "{message}"
    );
}
