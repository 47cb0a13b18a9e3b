//! Watches.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::target::{Target, lines, version};

super::behaviours! {
    from_version: "A watch from a version sends all later changes in order.",
    from_zero: "A watch from 0 or without a version begins with the existing objects as ADDED.",
    deleted: "The object of a DELETED event has the version of the deletion.",
    leaves: "An object that begins to match a selector is ADDED, and one that no longer matches is DELETED as it last matched.",
    by_field: "A watch with a field selector sends events of matching objects alone.",
    timed: "A watch ends after `timeoutSeconds` without an error.",
    compacted: "A watch from a compacted version gets one ERROR event with the Status 410 `Expired`, and ends.",
    future: "A watch from a version that does not exist yet gets no events before that version.",
    bad_version: "A watch from a version that is no number is rejected with status 500 and without a reason.",
    marked: "With `allowWatchBookmarks`, a BOOKMARK with a version comes two seconds before the timeout, and none without.",
    streamed: "With `sendInitialEvents`, or from 0 with bookmarks, existing objects are followed by a BOOKMARK with the annotation `k8s.io/initial-events-end`.",
    streamed_wrongly: "`sendInitialEvents` needs `resourceVersionMatch=NotOlderThan` (422).",
    marked_for_deletion: "Deletion of an object with finalizers is MODIFIED, and removal of the last finalizer is DELETED.",
    pods_of_a_node: "A watch of Pods with `spec.nodeName` follows a graceful deletion: MODIFIED with the grace period, MODIFIED with a grace period of 0, DELETED.",
    one: "A watch of one object is a field selector on its name.",
    unknown_type: "Events have the content type `application/json`, and one line each.",
}

/// Time in which a busy server opens a watch.
const BUSY: Duration = Duration::from_secs(22);

async fn now(t: &Target) -> String {
    version(&t.get(&t.machines()).await.is(200)).to_owned()
}

fn of(app: &str) -> String {
    format!("labelSelector=watch%3D{app}")
}

async fn labelled(t: &Target, name: &str, app: &str) -> Value {
    t.made_with(name, &json!({"labels": {"watch": app}})).await
}

async fn from_version(t: Target) {
    labelled(&t, "from-version-a", "from-version").await;
    let since = now(&t).await;
    labelled(&t, "from-version-b", "from-version").await;
    let path = format!("{}/from-version-a", t.machines());
    t.merge(&path, &json!({"spec": {"providerID": "b"}})).await.is(200);
    t.merge(&format!("{path}/status"), &json!({"status": {"phase": "x"}})).await.is(200);
    t.delete(&path, &json!(null)).await.is(200);
    let (path, query) = (t.machines(), format!("resourceVersion={since}&{}", of("from-version")));
    let watch = t.watch(&path, &query, 2);
    let late = async {
        sleep(Duration::from_millis(500)).await;
        labelled(&t, "from-version-c", "from-version").await
    };
    let (events, _) = tokio::join!(watch, late);
    assert_eq!(
        lines(&events),
        [
            "ADDED from-version-b",
            "MODIFIED from-version-a",
            "MODIFIED from-version-a",
            "DELETED from-version-a",
            "ADDED from-version-c"
        ]
    );
    let versions: Vec<u64> =
        events.iter().map(|one| version(&one["object"]).parse().unwrap()).collect();
    assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
    assert_eq!(events[0]["object"]["kind"], "Machine");
}

async fn from_zero(t: Target) {
    labelled(&t, "from-zero-a", "from-zero").await;
    labelled(&t, "from-zero-b", "from-zero").await;
    for query in ["resourceVersion=0&", ""] {
        let events = t.watch(&t.machines(), &format!("{query}{}", of("from-zero")), 1).await;
        let mut found = lines(&events);
        found.sort();
        assert_eq!(found, ["ADDED from-zero-a", "ADDED from-zero-b"]);
    }
}

async fn deleted(t: Target) {
    let made = labelled(&t, "deleted", "deleted").await;
    t.delete(&format!("{}/deleted", t.machines()), &json!(null)).await.is(200);
    let query = format!("resourceVersion={}&{}", version(&made), of("deleted"));
    let events = t.watch(&t.machines(), &query, 1).await;
    assert_eq!(lines(&events), ["DELETED deleted"]);
    let number = |object: &Value| version(object).parse::<u64>().unwrap();
    assert!(number(&events[0]["object"]) > number(&made));
    assert_eq!(events[0]["object"]["spec"]["providerID"], "aws:///a/i-1");
}

async fn leaves(t: Target) {
    let made = labelled(&t, "leaves", "leaves").await;
    let path = format!("{}/leaves", t.machines());
    for value in ["other", "leaves"] {
        t.merge(&path, &json!({"metadata": {"labels": {"watch": value}}})).await.is(200);
    }
    let query = format!("resourceVersion={}&{}", version(&made), of("leaves"));
    let events = t.watch(&t.machines(), &query, 1).await;
    assert_eq!(lines(&events), ["DELETED leaves", "ADDED leaves"]);
    // The object is as it last matched, with the version of the change.
    assert_eq!(events[0]["object"]["metadata"]["labels"]["watch"], "leaves");
    let number = |object: &Value| version(object).parse::<u64>().unwrap();
    assert!(number(&events[0]["object"]) > number(&made));
}

async fn by_field(t: Target) {
    let since = now(&t).await;
    t.made("by-field-one").await;
    t.made("by-field-other").await;
    let query = format!("resourceVersion={since}&fieldSelector=metadata.name%3Dby-field-one");
    assert_eq!(lines(&t.watch(&t.machines(), &query, 1).await), ["ADDED by-field-one"]);
}

async fn timed(t: Target) {
    let began = Instant::now();
    let query = format!("resourceVersion={}&{}", now(&t).await, of("timed"));
    assert!(t.watch(&t.machines(), &query, 2).await.is_empty());
    let took = began.elapsed();
    assert!((Duration::from_millis(1900)..BUSY).contains(&took), "{took:?}");
}

async fn compacted(t: Target) {
    if let Some(fake) = t.fake() {
        t.made("compacted").await;
        fake.compact();
    }
    let began = Instant::now();
    let events = t.watch(&t.machines(), "resourceVersion=1", 25).await;
    assert!(began.elapsed() < BUSY, "{:?}", began.elapsed());
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0]["type"], "ERROR");
    let status = &events[0]["object"];
    assert_eq!(
        (&status["kind"], &status["code"], &status["reason"]),
        (&json!("Status"), &json!(410), &json!("Expired"))
    );
    assert!(
        status["message"].as_str().unwrap().starts_with("too old resource version: 1 ("),
        "{status}"
    );
}

async fn future(t: Target) {
    let version = now(&t).await.parse::<u64>().unwrap() + 1_000_000;
    labelled(&t, "future", "future").await;
    let query = format!("resourceVersion={version}&{}", of("future"));
    let path = format!("{}?watch=true&timeoutSeconds=1&{query}", t.machines());
    let answer = t.get(&path).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let text = answer.body.to_string();
    assert!(!text.contains("ADDED"), "{text}");
}

async fn bad_version(t: Target) {
    let path = format!("{}?watch=true&resourceVersion=x&timeoutSeconds=1", t.machines());
    let body = t.get(&path).await.is(500);
    assert_eq!(
        body["message"],
        "resourceVersion: Invalid value: \"x\": strconv.ParseUint: parsing \"x\": invalid syntax"
    );
}

async fn marked(t: Target) {
    let since = now(&t).await;
    let query = format!("resourceVersion={since}&{}", of("marked"));
    let (with, without) = (format!("{query}&allowWatchBookmarks=true"), query);
    let path = t.machines();
    let (with, without) = tokio::join!(t.watch(&path, &with, 12), t.watch(&path, &without, 12));
    assert!(without.is_empty(), "{without:?}");
    let last = with.last().expect("a bookmark");
    assert_eq!(last["type"], "BOOKMARK");
    assert_eq!(
        (&last["object"]["kind"], &last["object"]["apiVersion"]),
        (&json!("Machine"), &json!("machine.openshift.io/v1beta1"))
    );
    assert!(version(&last["object"]).parse::<u64>().unwrap() >= since.parse().unwrap());
    let meta = last["object"]["metadata"].as_object().unwrap();
    assert_eq!(meta.keys().filter(|key| *key != "creationTimestamp").count(), 1, "{meta:?}");
}

async fn streamed(t: Target) {
    labelled(&t, "streamed-a", "streamed").await;
    labelled(&t, "streamed-b", "streamed").await;
    let query = format!(
        "sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&{}",
        of("streamed")
    );
    let events = t.watch(&t.machines(), &query, 2).await;
    assert!(events.len() >= 3, "{events:?}");
    let mut first = lines(&events[..2]);
    first.sort();
    assert_eq!(first, ["ADDED streamed-a", "ADDED streamed-b"]);
    assert_eq!(events[2]["type"], "BOOKMARK");
    assert_eq!(events[2]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let query = format!("resourceVersion=0&allowWatchBookmarks=true&{}", of("streamed"));
    let legacy = t.watch(&t.machines(), &query, 1).await;
    assert_eq!(legacy[2]["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let query = format!(
        "sendInitialEvents=false&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&{}",
        of("streamed")
    );
    let events = t.watch(&t.machines(), &query, 1).await;
    assert!(events.iter().all(|one| one["type"] == "BOOKMARK"), "{events:?}");
}

async fn streamed_wrongly(t: Target) {
    let path = format!("{}?watch=true&sendInitialEvents=true&timeoutSeconds=1", t.machines());
    t.get(&path).await.refused(422, "Invalid");
    let path =
        format!("{}?watch=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1", t.machines());
    t.get(&path).await.refused(422, "Invalid");
}

async fn marked_for_deletion(t: Target) {
    let meta = json!({"labels": {"watch": "marked-for-deletion"}, "finalizers": ["a.b/c"]});
    let made = t.made_with("marked-for-deletion", &meta).await;
    let path = format!("{}/marked-for-deletion", t.machines());
    t.delete(&path, &json!(null)).await.is(200);
    t.merge(&path, &json!({"metadata": {"finalizers": null}})).await.is(200);
    let query = format!("resourceVersion={}&{}", version(&made), of("marked-for-deletion"));
    let events = t.watch(&t.machines(), &query, 1).await;
    assert_eq!(lines(&events), ["MODIFIED marked-for-deletion", "DELETED marked-for-deletion"]);
    let number = |event: &Value| version(&event["object"]).parse::<u64>().unwrap();
    assert!(number(&events[1]) > number(&events[0]));
}

async fn one(t: Target) {
    let made = t.made("one").await;
    t.merge(&format!("{}/one", t.machines()), &json!({"spec": {"providerID": "b"}})).await.is(200);
    let path = format!("{}/one", t.machines());
    let answer = t
        .get(&format!("{path}?watch=true&timeoutSeconds=1&resourceVersion={}", version(&made)))
        .await;
    assert_eq!(answer.status, 200);
    let text = answer.body.to_string();
    assert!(text.contains("providerID"), "{text}");
}

async fn unknown_type(t: Target) {
    labelled(&t, "typed-a", "typed").await;
    labelled(&t, "typed-b", "typed").await;
    let path = format!("{}?watch=true&timeoutSeconds=1&{}", t.machines(), of("typed"));
    let answer = t.get(&path).await;
    assert_eq!(answer.headers["content-type"], "application/json");
    let text = answer.body.as_str().expect("lines");
    assert_eq!((text.lines().count(), text.ends_with('\n')), (2, true));
    let single = t.get(&format!("{}/typed-a", t.machines())).await;
    assert_eq!(single.headers["content-type"], "application/json");
}

async fn pods_of_a_node(t: Target) {
    let pod = |name: &str| super::pods::pod(name, Some("of-a-node"));
    let made = t.post(&t.core("pods"), &pod("on-it")).await.is(201);
    t.post(&t.core("pods"), &super::pods::pod("elsewhere", Some("of-another"))).await.is(201);
    t.post(&t.core("pods"), &pod("forced-on-it")).await.is(201);
    let now = json!({"gracePeriodSeconds": 0});
    t.delete(&t.core("pods/on-it"), &json!(null)).await.is(200);
    t.delete(&t.core("pods/on-it"), &now).await.is(200);
    t.delete(&t.core("pods/forced-on-it"), &now).await.is(200);
    let query =
        format!("resourceVersion={}&fieldSelector=spec.nodeName%3Dof-a-node", version(&made));
    let events = t.watch("/api/v1/pods", &query, 1).await;
    let grace =
        |event: &Value| event["object"]["metadata"]["deletionGracePeriodSeconds"].to_string();
    let seen: Vec<String> = lines(&events)
        .into_iter()
        .zip(&events)
        .map(|(line, event)| format!("{line} {}", grace(event)))
        .collect();
    assert_eq!(
        seen,
        [
            "ADDED forced-on-it null",
            "MODIFIED on-it 20",
            "MODIFIED on-it 0",
            "DELETED on-it 0",
            "MODIFIED forced-on-it 0",
            "DELETED forced-on-it 0"
        ]
    );
    assert_eq!(events[0]["object"]["kind"], "Pod");
}
