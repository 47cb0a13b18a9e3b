//! Authentication, RBAC with the roles in `deploy/`, and admission of owner references.

use serde_json::{Value, json};

use super::manifests;
use super::target::{MACHINE_API, Target};

super::behaviours! {
    bad_token: "An invalid token is 401 `Unauthorized`.",
    expired_token: "A token of a service account that no longer exists is 401.",
    own_token: "A token of a service account has the permissions of the account.",
    nothing: "A service account without a role is rejected (403), and the message names the user, verb, resource, group and namespace.",
    granted: "The roles in `deploy/` permit the requests of the controller.",
    refused: "The roles in `deploy/` permit nothing else: no Secrets in lists, no other Leases, no update of Machines.",
    before_absence: "A request without permission is 403, whether or not the object exists.",
    subresources: "Permission for a resource is none for its subresources.",
    named: "A rule with resource names permits these objects alone, and lists and watches of one by field selector.",
    blocking_owner: "An owner reference with `blockOwnerDeletion` needs the update permission for the owner's finalizers (403).",
    blocking_owner_allowed: "With that permission, or without `blockOwnerDeletion`, the owner reference is accepted.",
    owner_fields: "An owner reference needs an API version, kind, name and UID (422), and one controller at most.",
}

const NAME: &str = "groundplan-machine-controller";

/// Returns a service account without any role.
async fn account(t: &Target, name: &str) -> Target {
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let answer = t.post(&t.core("serviceaccounts"), &account).await;
    assert!(matches!(answer.status, 201 | 409), "{}", answer.body);
    let space = &t.namespace;
    t.as_user(
        &format!("system:serviceaccount:{space}:{name}"),
        &[
            "system:serviceaccounts",
            &format!("system:serviceaccounts:{space}"),
            "system:authenticated",
        ],
    )
}

/// Returns the controller's service account with exactly the roles in `deploy/`.
async fn controller(t: &Target) -> Target {
    for (path, object) in manifests::roles(&t.namespace) {
        let answer = t.post(&path, &object).await;
        assert!(matches!(answer.status, 201 | 409), "{}", answer.body);
    }
    let controller = account(t, NAME).await;
    // The authorizer reads roles from a watch.
    let path = t.machines();
    t.until(async || controller.get(&path).await.status, |status| *status == 200).await;
    let nodes = "/api/v1/nodes?limit=1";
    t.until(async || controller.get(nodes).await.status, |status| *status == 200).await;
    controller
}

async fn token(t: &Target, name: &str) -> String {
    account(t, name).await;
    let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}});
    let made =
        t.post(&format!("{}/{name}/token", t.core("serviceaccounts")), &request).await.is(201);
    made["status"]["token"].as_str().expect("a token").to_owned()
}

async fn bad_token(t: Target) {
    let answer = t.with_token("not.a.token").get(&t.machines()).await;
    assert_eq!(answer.refused(401, "Unauthorized"), "Unauthorized");
    t.with_token("not.a.token")
        .post(&t.machines(), &t.machine("unauthorized"))
        .await
        .refused(401, "Unauthorized");
}

async fn expired_token(t: Target) {
    let token = token(&t, "expired").await;
    let path = format!("{}/expired", t.core("serviceaccounts"));
    t.with_token(&token).get(&t.machines()).await.refused(403, "Forbidden");
    t.delete(&path, &json!(null)).await.is(200);
    // Responses of the authenticator are cached for ten seconds.
    let read = async || t.with_token(&token).get(&t.machines()).await.status;
    t.until(read, |status| *status == 401).await;
}

async fn own_token(t: Target) {
    controller(&t).await;
    let own = t.with_token(&token(&t, NAME).await);
    own.get(&t.machines()).await.is(200);
    own.get(&t.core("secrets")).await.refused(403, "Forbidden");
}

async fn nothing(t: Target) {
    let bare = account(&t, "nothing").await;
    let user = format!("system:serviceaccount:{}:nothing", t.namespace);
    let space = &t.namespace;
    let answer = bare.get(&format!("{}/m", t.machines())).await;
    assert_eq!(
        answer.refused(403, "Forbidden"),
        format!(
            "machines.machine.openshift.io \"m\" is forbidden: User \"{user}\" cannot get resource \
             \"machines\" in API group \"machine.openshift.io\" in the namespace \"{space}\""
        )
    );
    let details = json!({"name": "m", "group": "machine.openshift.io", "kind": "machines"});
    assert_eq!(answer.body["details"], details);
    let message = bare.get("/api/v1/nodes").await.refused(403, "Forbidden");
    assert_eq!(
        message,
        format!(
            "nodes is forbidden: User \"{user}\" cannot list resource \"nodes\" in API group \"\" \
             at the cluster scope"
        )
    );
    let path = format!("{}/m/status", t.machines());
    let message = bare.merge(&path, &json!({"status": {}})).await.refused(403, "Forbidden");
    assert_eq!(
        message,
        format!(
            "machines.machine.openshift.io \"m\" is forbidden: User \"{user}\" cannot patch resource \
             \"machines/status\" in API group \"machine.openshift.io\" in the namespace \"{space}\""
        )
    );
    let message = bare.post(&t.machines(), &t.machine("m")).await.refused(403, "Forbidden");
    assert!(message.starts_with("machines.machine.openshift.io is forbidden: User "), "{message}");
    let watch = format!("{}?watch=true&timeoutSeconds=1", t.machines());
    let message = bare.get(&watch).await.refused(403, "Forbidden");
    assert!(message.contains("cannot watch resource \"machines\""), "{message}");
}

async fn granted(t: Target) {
    let own = controller(&t).await;
    own.made("granted").await;
    let path = format!("{}/granted", t.machines());
    own.get(&path).await.is(200);
    own.merge(&path, &json!({"spec": {"providerID": "b"}})).await.is(200);
    own.merge(&format!("{path}/status"), &json!({"status": {"phase": "x"}})).await.is(200);
    own.watch(&t.machines(), "resourceVersion=0", 1).await;
    own.delete(&path, &json!(null)).await.is(200);
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": NAME}});
    let made = own.post(&t.leases(), &lease).await.is(201);
    own.put(&format!("{}/{NAME}", t.leases()), &made).await.is(200);
    t.delete(&format!("{}/{NAME}", t.leases()), &json!(null)).await.is(200);
    own.get("/api/v1/pods?limit=1").await.is(200);
    own.get(&format!("{}/missing", t.core("secrets"))).await.refused(404, "NotFound");
}

async fn refused(t: Target) {
    let own = controller(&t).await;
    own.get(&t.core("secrets")).await.refused(403, "Forbidden");
    own.get(&t.core("pods/x")).await.refused(403, "Forbidden");
    own.get(&format!("{}/other", t.leases())).await.refused(403, "Forbidden");
    own.get(&t.leases()).await.refused(403, "Forbidden");
    let made = own.made("refused").await;
    own.put(&format!("{}/refused", t.machines()), &made).await.refused(403, "Forbidden");
    own.delete(&t.machines(), &json!(null)).await.refused(403, "Forbidden");
    let set = json!({"apiVersion": MACHINE_API, "kind": "MachineSet", "metadata": {"name": "s"}});
    own.post(&t.machine_sets(), &set).await.refused(403, "Forbidden");
    own.get("/apis/machine.openshift.io/v1beta1/machines").await.refused(403, "Forbidden");
    own.get("/api/v1/namespaces/default/secrets/x").await.refused(403, "Forbidden");
}

async fn before_absence(t: Target) {
    let bare = account(&t, "before").await;
    t.made("before").await;
    for name in ["before", "missing"] {
        bare.get(&format!("{}/{name}", t.machines())).await.refused(403, "Forbidden");
        bare.delete(&format!("{}/{name}", t.machines()), &json!(null))
            .await
            .refused(403, "Forbidden");
    }
}

async fn subresources(t: Target) {
    let own = controller(&t).await;
    let path = format!("{}/x", t.machine_sets());
    own.get(&format!("{path}/scale")).await.refused(403, "Forbidden");
    own.merge(&format!("{path}/scale"), &json!({"spec": {"replicas": 1}}))
        .await
        .refused(403, "Forbidden");
    own.get(&format!("{}/x/status", t.machines())).await.refused(403, "Forbidden");
}

async fn named(t: Target) {
    let api = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", t.namespace);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "named"},
        "rules": [{"apiGroups": ["machine.openshift.io"], "resources": ["machines"], "resourceNames": ["named"], "verbs": ["get", "list", "watch"]}]});
    t.post(&format!("{api}/roles"), &role).await.is(201);
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "named"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "named"},
        "subjects": [{"kind": "ServiceAccount", "name": "named", "namespace": t.namespace}]});
    t.post(&format!("{api}/rolebindings"), &binding).await.is(201);
    let own = account(&t, "named").await;
    t.made("named").await;
    let path = format!("{}/named", t.machines());
    t.until(async || own.get(&path).await.status, |status| *status == 200).await;
    own.get(&format!("{}/other", t.machines())).await.refused(403, "Forbidden");
    own.get(&t.machines()).await.refused(403, "Forbidden");
    own.get(&format!("{}?fieldSelector=metadata.name%3Dnamed", t.machines())).await.is(200);
}

/// Returns a Machine whose owner is a MachineSet.
async fn owned(t: &Target, name: &str, blocks: bool) -> Value {
    let set = json!({"apiVersion": MACHINE_API, "kind": "MachineSet", "metadata": {"name": name}});
    let set = t.post(&t.machine_sets(), &set).await.is(201);
    let mut machine = t.machine(name);
    machine["metadata"]["ownerReferences"] = json!([{
        "apiVersion": MACHINE_API, "kind": "MachineSet", "name": name, "uid": set["metadata"]["uid"],
        "controller": true, "blockOwnerDeletion": blocks,
    }]);
    machine
}

/// Returns a service account that can create and patch Machines and nothing else.
async fn creator(t: &Target) -> Target {
    let api = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/{}", t.namespace);
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "creator"},
        "rules": [{"apiGroups": ["machine.openshift.io"], "resources": ["machines"], "verbs": ["create", "get", "patch"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "creator"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "creator"},
        "subjects": [{"kind": "ServiceAccount", "name": "creator", "namespace": t.namespace}]});
    for (path, object) in [("roles", role), ("rolebindings", binding)] {
        let answer = t.post(&format!("{api}/{path}"), &object).await;
        assert!(matches!(answer.status, 201 | 409), "{}", answer.body);
    }
    let own = account(t, "creator").await;
    let path = format!("{}/missing", t.machines());
    t.until(async || own.get(&path).await.status, |status| *status == 404).await;
    own
}

async fn blocking_owner(t: Target) {
    let own = creator(&t).await;
    let machine = owned(&t, "blocking", true).await;
    let answer = own.post(&t.machines(), &machine).await;
    assert_eq!(
        answer.refused(403, "Forbidden"),
        "machines.machine.openshift.io \"blocking\" is forbidden: cannot set blockOwnerDeletion if \
         an ownerReference refers to a resource you can't set finalizers on: , <nil>"
    );
    t.made("adopted").await;
    let patch = json!({"metadata": {"ownerReferences": machine["metadata"]["ownerReferences"]}});
    own.merge(&format!("{}/adopted", t.machines()), &patch).await.refused(403, "Forbidden");
}

async fn blocking_owner_allowed(t: Target) {
    let own = creator(&t).await;
    let machine = owned(&t, "not-blocking", false).await;
    own.post(&t.machines(), &machine).await.is(201);
    let own = controller(&t).await;
    let machine = owned(&t, "blocking-allowed", true).await;
    own.post(&t.machines(), &machine).await.is(201);
}

async fn owner_fields(t: Target) {
    let mut machine = owned(&t, "owner-fields", true).await;
    machine["metadata"]["ownerReferences"][0]["uid"] = json!("");
    let message = t.post(&t.machines(), &machine).await.refused(422, "Invalid");
    assert!(
        message.contains("metadata.ownerReferences.uid: Invalid value: \"\": must not be empty"),
        "{message}"
    );
    let mut machine = owned(&t, "two-owners", true).await;
    let mut second = machine["metadata"]["ownerReferences"][0].clone();
    second["uid"] = json!("other");
    machine["metadata"]["ownerReferences"].as_array_mut().unwrap().push(second);
    let message = t.post(&t.machines(), &machine).await.refused(422, "Invalid");
    assert!(message.contains("metadata.ownerReferences: Invalid value"), "{message}");
    assert!(message.contains("Only one reference can have Controller set to true"), "{message}");
}
