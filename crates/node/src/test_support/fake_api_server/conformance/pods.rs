//! Pods: graceful deletion and eviction.

use serde_json::{Value, json};

use super::target::{Target, version};

super::behaviours! {
    graceful: "Deletion of a pod on a node sets a deletion time in the future and the grace period, and the pod stays until its kubelet deletes it.",
    forced: "Deletion of a pod with a grace period of 0 removes it, and responds with the pod.",
    shorter: "A second deletion can shorten the grace period.",
    unscheduled: "A pod without a node is deleted at once.",
    evicted: "An eviction responds with 201 and a Status of success, and is a graceful deletion.",
    evicted_with_options: "An eviction obeys the grace period and the preconditions in its delete options.",
    evicted_twice: "An eviction of a terminating pod is 201.",
    missing: "An eviction of a missing pod is 404, and one whose name differs from the path is 400.",
    unprocessed: "While the status of a PodDisruptionBudget is older than its spec, an eviction is 429 with `Retry-After: 10`.",
    protected: "An eviction against a PodDisruptionBudget is 429 with a cause `DisruptionBudget` and without `Retry-After`, and the pod stays.",
    shared: "A PodDisruptionBudget of two pods that needs one allows one eviction, and rejects the next while the first pod terminates.",
    not_running: "A PodDisruptionBudget does not protect a pod that is pending.",
    unready: "A PodDisruptionBudget protects a running pod that is not ready.",
    two_budgets: "An eviction of a pod with more than one PodDisruptionBudget is 500.",
    dry: "A dry-run eviction removes nothing.",
    bound: "The node of a pod cannot be changed (422).",
}

/// Returns a pod, on a node if given.
pub(super) fn pod(name: &str, node: Option<&str>) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "c", "image": "i"}], "terminationGracePeriodSeconds": 20,
                 "automountServiceAccountToken": false},
    });
    if let Some(node) = node {
        pod["spec"]["nodeName"] = json!(node);
    }
    pod
}

async fn made(t: &Target, name: &str) -> (String, Value) {
    let made = t.post(&t.core("pods"), &pod(name, Some("pod-node"))).await.is(201);
    (format!("{}/{name}", t.core("pods")), made)
}

fn eviction(name: &str, options: &Value) -> Value {
    json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name},
           "deleteOptions": options})
}

fn seconds(time: &Value) -> i64 {
    time.as_str().expect("a time").parse::<jiff::Timestamp>().expect("a time").as_second()
}

async fn graceful(t: Target) {
    let (path, _) = made(&t, "graceful").await;
    let marked = t.delete(&path, &json!(null)).await.is(200);
    let meta = &marked["metadata"];
    assert_eq!(marked["kind"], "Pod");
    assert_eq!(meta["deletionGracePeriodSeconds"], 20);
    let ahead = seconds(&meta["deletionTimestamp"]) - jiff::Timestamp::now().as_second();
    assert!((15..=21).contains(&ahead), "{ahead}");
    assert_eq!(
        t.get(&path).await.is(200)["metadata"]["deletionTimestamp"],
        meta["deletionTimestamp"]
    );
    t.delete(&path, &json!({"gracePeriodSeconds": 0})).await.is(200);
    t.get(&path).await.refused(404, "NotFound");
}

async fn forced(t: Target) {
    let (path, _) = made(&t, "forced").await;
    let gone = t.delete(&path, &json!({"gracePeriodSeconds": 0})).await.is(200);
    assert_eq!((&gone["kind"], &gone["metadata"]["name"]), (&json!("Pod"), &json!("forced")));
    t.get(&path).await.refused(404, "NotFound");
}

async fn shorter(t: Target) {
    let (path, _) = made(&t, "shorter").await;
    let first = t.delete(&path, &json!(null)).await.is(200);
    let same = t.delete(&path, &json!(null)).await.is(200);
    assert_eq!(version(&first), version(&same));
    let sooner = t.delete(&path, &json!({"gracePeriodSeconds": 5})).await.is(200);
    assert_eq!(sooner["metadata"]["deletionGracePeriodSeconds"], 5);
    let time = |pod: &Value| seconds(&pod["metadata"]["deletionTimestamp"]);
    assert!(time(&sooner) < time(&first));
    let later = t.delete(&path, &json!({"gracePeriodSeconds": 50})).await.is(200);
    assert_eq!(later["metadata"]["deletionGracePeriodSeconds"], 5);
}

async fn unscheduled(t: Target) {
    t.post(&t.core("pods"), &pod("unscheduled", None)).await.is(201);
    let path = format!("{}/unscheduled", t.core("pods"));
    t.delete(&path, &json!(null)).await.is(200);
    t.get(&path).await.refused(404, "NotFound");
}

async fn evicted(t: Target) {
    let (path, _) = made(&t, "evicted").await;
    let body =
        t.post(&format!("{path}/eviction"), &eviction("evicted", &json!(null))).await.is(201);
    assert_eq!(
        (&body["kind"], &body["status"], &body["code"]),
        (&json!("Status"), &json!("Success"), &json!(201))
    );
    let marked = t.get(&path).await.is(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 20);
}

async fn evicted_with_options(t: Target) {
    let (path, pod) = made(&t, "options").await;
    let other = json!({"preconditions": {"uid": "11111111-1111-1111-1111-111111111111"}});
    t.post(&format!("{path}/eviction"), &eviction("options", &other))
        .await
        .refused(409, "Conflict");
    let own = json!({"gracePeriodSeconds": 1, "preconditions": {"uid": pod["metadata"]["uid"]}});
    t.post(&format!("{path}/eviction"), &eviction("options", &own)).await.is(201);
    assert_eq!(t.get(&path).await.is(200)["metadata"]["deletionGracePeriodSeconds"], 1);
}

async fn evicted_twice(t: Target) {
    let (path, _) = made(&t, "twice").await;
    for _ in 0..2 {
        t.post(&format!("{path}/eviction"), &eviction("twice", &json!(null))).await.is(201);
    }
}

async fn missing(t: Target) {
    let path = format!("{}/missing/eviction", t.core("pods"));
    let message = t.post(&path, &eviction("missing", &json!(null))).await.refused(404, "NotFound");
    assert_eq!(message, "pods \"missing\" not found");
    let (path, _) = made(&t, "misnamed").await;
    t.post(&format!("{path}/eviction"), &eviction("other", &json!(null)))
        .await
        .refused(400, "BadRequest");
}

/// Creates a running pod and budgets that require it.
async fn budgeted(t: &Target, name: &str, budgets: usize) -> String {
    let (path, _) = made(t, name).await;
    let status = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    t.merge(&format!("{path}/status"), &status).await.is(200);
    for number in 0..budgets {
        let budget = json!({
            "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
            "metadata": {"name": format!("{name}-{number}")},
            "spec": {"minAvailable": 1, "selector": {"matchLabels": {"app": name}}},
        });
        let budgets = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", t.namespace);
        t.post(&budgets, &budget).await.is(201);
    }
    path
}

async fn protected(t: Target) {
    let path = budgeted(&t, "protected", 1).await;
    let evict =
        async || t.post(&format!("{path}/eviction"), &eviction("protected", &json!(null))).await;
    // The controller of budgets counts the pod first.
    let counted = |answer: &super::target::Answer| {
        answer.causes().iter().any(|cause| cause.contains("needs 1 healthy pods"))
    };
    let answer = t.until(evict, counted).await;
    assert_eq!(
        answer.refused(429, "TooManyRequests"),
        "Cannot evict pod as it would violate the pod's disruption budget."
    );
    assert_eq!(
        answer.causes(),
        [
            "- DisruptionBudget The disruption budget protected-0 needs 1 healthy pods and has 1 currently"
        ]
    );
    assert!(answer.headers.get("retry-after").is_none(), "{:?}", answer.headers);
    assert!(answer.body["details"].get("retryAfterSeconds").is_none(), "{}", answer.body);
    assert!(t.get(&path).await.is(200)["metadata"].get("deletionTimestamp").is_none());
    let soon = json!({"gracePeriodSeconds": 0});
    t.delete(&path, &soon).await.is(200);
}

async fn unprocessed(t: Target) {
    let path = budgeted(&t, "unprocessed", 1).await;
    let name = "poddisruptionbudgets/unprocessed-0/status";
    let budget = format!("/apis/policy/v1/namespaces/{}/{name}", t.namespace);
    let evict = async || {
        // The controller of budgets may process the budget in between.
        t.merge(&budget, &json!({"status": {"observedGeneration": 0}})).await.is(200);
        t.post(&format!("{path}/eviction"), &eviction("unprocessed", &json!(null))).await
    };
    let is_early = |answer: &super::target::Answer| answer.headers.contains_key("retry-after");
    let answer = t.until(evict, is_early).await;
    answer.refused(429, "TooManyRequests");
    let cause = "- DisruptionBudget The disruption budget unprocessed-0 is still being processed by the server.";
    assert_eq!(answer.causes(), [cause]);
    assert_eq!(answer.headers["retry-after"], "10");
    assert_eq!(answer.body["details"]["retryAfterSeconds"], 10);
    t.delete(&path, &json!({"gracePeriodSeconds": 0})).await.is(200);
}

async fn two_budgets(t: Target) {
    let path = budgeted(&t, "two-budgets", 2).await;
    let answer = t.post(&format!("{path}/eviction"), &eviction("two-budgets", &json!(null))).await;
    assert_eq!(
        answer.is(500)["message"],
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
    );
}

async fn dry(t: Target) {
    let (path, _) = made(&t, "dry").await;
    let options = json!({"dryRun": ["All"]});
    t.post(&format!("{path}/eviction"), &eviction("dry", &options)).await.is(201);
    assert!(t.get(&path).await.is(200)["metadata"].get("deletionTimestamp").is_none());
}

async fn bound(t: Target) {
    let (path, _) = made(&t, "bound").await;
    let message =
        t.merge(&path, &json!({"spec": {"nodeName": "other"}})).await.refused(422, "Invalid");
    assert!(
        message.contains("spec: Forbidden: pod updates may not change fields other than"),
        "{message}"
    );
}

/// Creates pods with this label `app` that run and are ready, and a budget that needs `needed`.
async fn group(t: &Target, app: &str, names: &[&str], status: &Value, needed: usize) {
    for name in names {
        let mut pod = pod(name, Some("pod-node"));
        pod["metadata"]["labels"] = json!({"app": app});
        t.post(&t.core("pods"), &pod).await.is(201);
        let path = format!("{}/{name}/status", t.core("pods"));
        t.merge(&path, &json!({"status": status})).await.is(200);
    }
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": app},
        "spec": {"minAvailable": needed, "selector": {"matchLabels": {"app": app}}},
    });
    let budgets = format!("/apis/policy/v1/namespaces/{}/poddisruptionbudgets", t.namespace);
    t.post(&budgets, &budget).await.is(201);
}

async fn evict(t: &Target, name: &str) -> super::target::Answer {
    t.post(&format!("{}/{name}/eviction", t.core("pods")), &eviction(name, &json!(null))).await
}

fn running(ready: &str) -> Value {
    json!({"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]})
}

async fn shared(t: Target) {
    group(&t, "shared", &["shared-a", "shared-b"], &running("True"), 1).await;
    t.until(async || evict(&t, "shared-a").await, |answer| answer.status == 201).await;
    let second = t.until(
        async || evict(&t, "shared-b").await,
        |answer| {
            answer.causes().iter().any(|cause| cause.contains("needs 1 healthy pods and has 1"))
        },
    );
    second.await.refused(429, "TooManyRequests");
    assert!(
        t.get(&t.core("pods/shared-b")).await.is(200)["metadata"]
            .get("deletionTimestamp")
            .is_none()
    );
}

async fn not_running(t: Target) {
    group(&t, "not-running", &["not-running"], &json!({"phase": "Pending"}), 1).await;
    evict(&t, "not-running").await.is(201);
}

async fn unready(t: Target) {
    group(&t, "unready", &["unready"], &running("False"), 1).await;
    let answer = t.until(
        async || evict(&t, "unready").await,
        |answer| {
            answer.causes().iter().any(|cause| cause.contains("needs 1 healthy pods and has 0"))
        },
    );
    answer.await.refused(429, "TooManyRequests");
}
