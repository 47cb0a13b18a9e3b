//! HTTP: methods, bodies, dry runs and headers.

use serde_json::json;

use super::target::{Target, version};

super::behaviours! {
    unknown_resource: "A path that names no resource is 404.",
    method: "A method that a resource does not have is 405 `MethodNotAllowed`.",
    malformed: "A body that is no JSON is rejected (400).",
    empty: "An empty body is rejected (400), except for deletions.",
    too_large: "A body of more than 3 MiB is 413 `RequestEntityTooLarge`.",
    content_type: "A body of an unknown content type is 415.",
    dry_creation: "`dryRun=All` of a creation responds with the object and stores nothing.",
    dry_changes: "`dryRun=All` of updates, patches and deletions changes nothing and sends no event.",
    bad_dry_run: "An unknown value of `dryRun` is invalid (422).",
    yaml: "Bodies may be YAML.",
    get_version: "A GET of one object with `resourceVersion=0` returns the object.",
    health: "`/readyz`, `/livez` and `/version` respond with 200.",
    unknown_query: "Unknown query parameters are ignored.",
    status_body: "A missing subresource is 404.",
}

async fn unknown_resource(t: Target) {
    for path in [
        "/apis/machine.openshift.io/v1beta1/unknowns",
        "/apis/unknown.io/v1/x",
        "/api/v1/namespaces/default/unknowns",
    ] {
        assert_eq!(t.get(path).await.status, 404, "{path}");
    }
}

async fn method(t: Target) {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "method"}});
    let answer = t.post(&format!("{}/method", t.core("secrets")), &secret).await;
    let message = answer.refused(405, "MethodNotAllowed");
    assert_eq!(message, "the server does not allow this method on the requested resource");
    t.put(&t.core("secrets"), &secret).await.refused(405, "MethodNotAllowed");
}

async fn malformed(t: Target) {
    let answer = t.send("POST", &t.machines(), "application/json", b"{".to_vec()).await;
    answer.refused(400, "BadRequest");
    let answer = t.send("POST", &t.core("secrets"), "application/json", b"[]".to_vec()).await;
    answer.refused(400, "BadRequest");
}

async fn empty(t: Target) {
    t.send("POST", &t.machines(), "application/json", Vec::new()).await.refused(400, "BadRequest");
}

async fn too_large(t: Target) {
    let mut machine = t.machine("too-large");
    machine["spec"]["providerSpec"]["value"]["x"] = json!("x".repeat(3 * 1024 * 1024 + 1));
    let answer = t.post(&t.machines(), &machine).await;
    let message = answer.refused(413, "RequestEntityTooLarge");
    assert_eq!(message, "Request entity too large: limit is 3145728");
}

async fn content_type(t: Target) {
    let body = t.machine("content-type").to_string();
    let answer = t.send("POST", &t.machines(), "text/plain", body.into()).await;
    answer.refused(415, "UnsupportedMediaType");
}

async fn dry_creation(t: Target) {
    let path = format!("{}?dryRun=All", t.machines());
    let made = t.post(&path, &t.machine("dry")).await.is(201);
    assert!(made["metadata"]["uid"].is_string());
    assert!(made["metadata"].get("resourceVersion").is_none(), "{made}");
    t.get(&format!("{}/dry", t.machines())).await.refused(404, "NotFound");
    t.made("dry-twice").await;
    t.post(&path, &t.machine("dry-twice")).await.refused(409, "AlreadyExists");
}

async fn dry_changes(t: Target) {
    let made = t.made("dry-changes").await;
    let path = format!("{}/dry-changes", t.machines());
    let patch = json!({"spec": {"providerID": "b"}});
    let patched = t.merge(&format!("{path}?dryRun=All"), &patch).await.is(200);
    assert_eq!(patched["spec"]["providerID"], "b");
    let mut put = made.clone();
    put["spec"]["providerID"] = json!("c");
    assert_eq!(t.put(&format!("{path}?dryRun=All"), &put).await.is(200)["spec"]["providerID"], "c");
    t.delete(&format!("{path}?dryRun=All"), &json!(null)).await.is(200);
    t.delete(&path, &json!({"dryRun": ["All"]})).await.is(200);
    let read = t.get(&path).await.is(200);
    assert_eq!(version(&read), version(&made));
}

async fn bad_dry_run(t: Target) {
    let path = format!("{}?dryRun=Some", t.machines());
    t.post(&path, &t.machine("bad-dry-run")).await.refused(422, "Invalid");
}

async fn yaml(t: Target) {
    let body = "apiVersion: machine.openshift.io/v1beta1\nkind: Machine\nmetadata: {name: yaml}\nspec: {providerID: x}\n";
    let answer = t.send("POST", &t.machines(), "application/yaml", body.into()).await;
    assert_eq!(answer.is(201)["spec"]["providerID"], "x");
}

async fn get_version(t: Target) {
    let made = t.made("get-version").await;
    let path = format!("{}/get-version", t.machines());
    // A cache may be behind for a moment.
    let read = async || t.get(&format!("{path}?resourceVersion=0")).await.status;
    t.until(read, |status| *status == 200).await;
    let read = t.get(&format!("{path}?resourceVersion={}", version(&made))).await.is(200);
    assert_eq!(read["metadata"]["uid"], made["metadata"]["uid"]);
}

async fn health(t: Target) {
    for path in ["/readyz", "/livez", "/version"] {
        assert_eq!(t.get(path).await.status, 200, "{path}");
    }
    assert!(t.get("/version").await.body["gitVersion"].is_string());
}

async fn unknown_query(t: Target) {
    t.get(&format!("{}?unknown=x", t.machines())).await.is(200);
}

async fn status_body(t: Target) {
    t.made("subresource").await;
    assert_eq!(t.get(&format!("{}/subresource/unknown", t.machines())).await.status, 404);
    assert_eq!(t.get(&format!("{}/x/status", t.core("secrets"))).await.status, 404);
}
