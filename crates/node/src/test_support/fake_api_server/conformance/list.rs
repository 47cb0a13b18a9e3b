//! Lists: selectors, pages and versions.

use serde_json::{Value, json};

use super::target::{Target, names, version};

super::behaviours! {
    listed: "A list has a kind, an API version and a resource version, and its items are ordered by namespace and name.",
    item_types: "Items of custom resources have a kind and an API version, and items of core resources have none.",
    by_label: "Label selectors know `=`, `==`, `!=`, `in`, `notin`, presence and absence.",
    bad_label: "An invalid label selector is rejected (400).",
    by_field: "Custom resources are selected by `metadata.name` and `metadata.namespace`, and other fields are rejected (400).",
    pods_by_field: "Pods are selected by `spec.nodeName` and `status.phase`.",
    paged: "Pages have the version of the first page, and `remainingItemCount` unless a selector is used.",
    last_page: "A page has a `continue` if an object follows, whether or not the selector matches it, so the last page may be empty.",
    bad_continue: "An invalid `continue` is rejected (400).",
    continue_and_version: "`continue` with a resource version is rejected (400).",
    expired_continue: "An expired `continue` is 410 `Expired`, with a token for the rest of the list at a newer version.",
    any_version: "A list of resource version 0 ignores the limit.",
    future: "A list of a version that does not exist yet is 504 `Timeout`, with cause `ResourceVersionTooLarge`.",
    exact: "`resourceVersionMatch=Exact` returns the list as it was at that version.",
    not_older: "`resourceVersionMatch=NotOlderThan` returns a list of that version or a newer one.",
    match_without_version: "`resourceVersionMatch` without a resource version is rejected, and unknown values, too.",
    bad_version: "A resource version that is no number is rejected (400).",
    consistent: "A list without a version has every earlier write, and a watch from its version repeats none of its objects.",
    everywhere: "A list without a namespace has the objects of all namespaces.",
}

async fn three(t: &Target, prefix: &str) -> (String, Vec<String>) {
    let labels = json!({"labels": {"list": prefix}});
    let all: Vec<String> = ["a", "b", "c"].iter().map(|one| format!("{prefix}-{one}")).collect();
    for name in &all {
        t.made_with(name, &labels).await;
    }
    (format!("{}?labelSelector=list%3D{prefix}", t.machines()), all)
}

/// Returns the token for the next page.
fn more(list: &Value) -> Option<&str> {
    list["metadata"]["continue"].as_str().filter(|token| !token.is_empty())
}

async fn listed(t: Target) {
    t.made("listed-b").await;
    t.made("listed-a").await;
    let list = t.get(&t.machines()).await.is(200);
    assert_eq!(
        (&list["kind"], &list["apiVersion"]),
        (&json!("MachineList"), &json!("machine.openshift.io/v1beta1"))
    );
    assert!(version(&list).parse::<u64>().unwrap() > 0);
    let found = names(&list);
    assert!(found.is_sorted(), "not sorted: {found:?}");
    assert!(found.contains(&"listed-a") && found.contains(&"listed-b"), "absent: {found:?}");
    assert_eq!(more(&list), None);
}

async fn item_types(t: Target) {
    t.made("item-types").await;
    let list = t.get(&t.machines()).await.is(200);
    assert_eq!(list["items"][0]["kind"], "Machine");
    assert_eq!(list["items"][0]["apiVersion"], "machine.openshift.io/v1beta1");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "item-types"}});
    t.post(&t.core("secrets"), &secret).await.is(201);
    let list = t.get(&t.core("secrets")).await.is(200);
    assert!(list["items"][0].get("kind").is_none() && list["items"][0].get("apiVersion").is_none());
}

async fn selected(t: &Target, selector: &str) -> Vec<String> {
    let encoded: String = url::form_urlencoded::byte_serialize(selector.as_bytes()).collect();
    let list = t.get(&format!("{}?labelSelector={encoded}", t.machines())).await.is(200);
    names(&list).into_iter().map(str::to_owned).collect()
}

async fn by_label(t: Target) {
    for (name, labels) in [
        ("by-label-a", json!({"by": "label", "x": "1"})),
        ("by-label-b", json!({"by": "label", "x": "2"})),
        ("by-label-c", json!({"by": "label"})),
    ] {
        t.made_with(name, &json!({"labels": labels})).await;
    }
    let cases: [(&str, &[&str]); 8] = [
        ("by=label,x=1", &["a"]),
        ("by==label,x==2", &["b"]),
        ("by=label,x!=1", &["b", "c"]),
        ("by=label,x in (1,2)", &["a", "b"]),
        ("by=label,x notin (1)", &["b", "c"]),
        ("by=label,x", &["a", "b"]),
        ("by=label,!x", &["c"]),
        ("by in (label),x in (3)", &[]),
    ];
    for (selector, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|one| format!("by-label-{one}")).collect();
        assert_eq!(selected(&t, selector).await, expected, "{selector}");
    }
}

async fn bad_label(t: Target) {
    for selector in ["a+in", "a%3D%3D%3Db", "%26", "a%3D(b)"] {
        let path = format!("{}?labelSelector={selector}", t.machines());
        t.get(&path).await.refused(400, "BadRequest");
    }
}

async fn by_field(t: Target) {
    t.made("by-field").await;
    let found = async |selector: &str| {
        let path = format!("{}?fieldSelector={selector}", t.machines());
        t.get(&path).await
    };
    assert_eq!(names(&found("metadata.name%3Dby-field").await.is(200)), ["by-field"]);
    assert_eq!(
        names(&found("metadata.name%3D%3Dby-field,metadata.namespace!%3Dx").await.is(200)),
        ["by-field"]
    );
    assert!(!names(&found("metadata.name!%3Dby-field").await.is(200)).contains(&"by-field"));
    let message = found("spec.providerID%3Dx").await.refused(400, "BadRequest");
    assert_eq!(message, "field label not supported: spec.providerID");
}

async fn pods_by_field(t: Target) {
    for (name, node) in [("by-field-a", "node-of-a"), ("by-field-b", "node-of-b")] {
        t.post(&t.core("pods"), &super::pods::pod(name, Some(node))).await.is(201);
    }
    let path = format!(
        "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode-of-a,metadata.namespace%3D{}",
        t.namespace
    );
    assert_eq!(names(&t.get(&path).await.is(200)), ["by-field-a"]);
    let path = format!(
        "{}?fieldSelector=spec.nodeName%3Dnode-of-a,status.phase%3DPending",
        t.core("pods")
    );
    assert_eq!(names(&t.get(&path).await.is(200)), ["by-field-a"]);
    let message = t
        .get(&format!("{}?fieldSelector=spec.x%3Dy", t.core("pods")))
        .await
        .refused(400, "BadRequest");
    assert!(message.contains("field label not supported: spec.x"), "{message}");
}

async fn paged(t: Target) {
    let (path, _) = three(&t, "paged").await;
    let first = t.get(&format!("{path}&limit=2")).await.is(200);
    assert_eq!(names(&first), ["paged-a", "paged-b"]);
    assert!(first["metadata"].get("remainingItemCount").is_none(), "{}", first["metadata"]);
    let token = first["metadata"]["continue"].as_str().unwrap();
    t.delete(&format!("{}/paged-c", t.machines()), &json!(null)).await.is(200);
    t.made_with("paged-d", &json!({"labels": {"list": "paged"}})).await;
    let second = t.get(&format!("{path}&limit=2&continue={token}")).await.is(200);
    assert_eq!(names(&second), ["paged-c"]);
    assert_eq!(version(&second), version(&first));
    let secret =
        |name: &str| json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}});
    for name in ["paged-a", "paged-b"] {
        t.post(&t.core("secrets"), &secret(name)).await.is(201);
    }
    let first = t.get(&format!("{}?limit=1", t.core("secrets"))).await.is(200);
    assert!(
        first["metadata"]["remainingItemCount"].as_u64().unwrap() >= 1,
        "{}",
        first["metadata"]
    );
}

async fn last_page(t: Target) {
    let (path, all) = three(&t, "last-page").await;
    t.made("last-page-z").await;
    let list = t.get(&format!("{path}&limit=3")).await.is(200);
    assert_eq!(names(&list), all);
    let token = list["metadata"]["continue"].as_str().expect("a token");
    let rest = t.get(&format!("{path}&limit=3&continue={token}")).await.is(200);
    assert!(names(&rest).is_empty() && more(&rest).is_none(), "{rest}");
    let list = t.get(&format!("{path}&limit=4")).await.is(200);
    assert_eq!(more(&list), None);
}

async fn bad_continue(t: Target) {
    let answer = t.get(&format!("{}?limit=1&continue=garbage", t.machines())).await;
    let message = answer.refused(400, "BadRequest");
    assert!(message.starts_with("invalid continue token: continue key is not valid"), "{message}");
}

async fn continue_and_version(t: Target) {
    let (path, _) = three(&t, "continued").await;
    let first = t.get(&format!("{path}&limit=1")).await.is(200);
    let token = first["metadata"]["continue"].as_str().unwrap();
    let both = format!("{path}&limit=1&continue={token}&resourceVersion={}", version(&first));
    t.get(&both).await.refused(400, "BadRequest");
}

async fn expired_continue(t: Target) {
    let (path, _) = three(&t, "expired").await;
    let token = match t.fake() {
        Some(fake) => {
            let first = t.get(&format!("{path}&limit=1")).await.is(200);
            t.made("expired-d").await;
            fake.compact();
            first["metadata"]["continue"].as_str().unwrap().to_owned()
        }
        // Version 2 of etcd, which is compacted once the server is ten minutes old.
        None => {
            let token = json!({"v": "meta.k8s.io/v1", "rv": 2, "start": "expired-a\u{0}"});
            let token = token.to_string();
            base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, token)
        }
    };
    let answer = t.get(&format!("{path}&limit=1&continue={token}")).await;
    if t.fake().is_none() && answer.status == 200 {
        return; // not yet compacted
    }
    let message = answer.refused(410, "Expired");
    assert!(
        message.starts_with(
            "The provided continue parameter is too old to display a consistent list result."
        ),
        "{message}"
    );
    let token = answer.body["metadata"]["continue"].as_str().expect("a token");
    let rest = t.get(&format!("{path}&limit=1&continue={token}")).await.is(200);
    assert_eq!(names(&rest), ["expired-b"]);
}

async fn any_version(t: Target) {
    let (path, all) = three(&t, "any-version").await;
    let list = t.get(&format!("{path}&resourceVersion=0")).await.is(200);
    assert!(names(&list).iter().all(|name| all.iter().any(|one| one == name)), "names: {list}");
    let limited = t.get(&format!("{path}&resourceVersion=0&limit=1")).await.is(200);
    assert_eq!(more(&limited), None);
}

async fn future(t: Target) {
    let now = version(&t.get(&t.machines()).await.is(200)).parse::<u64>().unwrap();
    let path = format!("{}?resourceVersion={}", t.machines(), now + 1_000_000);
    let answer = t.get(&path).await;
    let message = answer.refused(504, "Timeout");
    assert!(message.starts_with("Timeout: Too large resource version: "), "{message}");
    assert_eq!(answer.causes(), ["- ResourceVersionTooLarge Too large resource version"]);
    assert_eq!(answer.body["details"]["retryAfterSeconds"], 1);
    let path = format!("{}/x?resourceVersion={}", t.machines(), now + 1_000_000);
    t.get(&path).await.refused(504, "Timeout");
}

async fn exact(t: Target) {
    let (path, _) = three(&t, "exact").await;
    let then = t.get(&path).await.is(200);
    t.delete(&format!("{}/exact-a", t.machines()), &json!(null)).await.is(200);
    let path = format!("{path}&resourceVersionMatch=Exact&resourceVersion={}", version(&then));
    let list = t.get(&path).await.is(200);
    assert_eq!((names(&list).len(), version(&list)), (3, version(&then)));
    let paged = t.get(&format!("{path}&limit=1")).await.is(200);
    assert_eq!(names(&paged), ["exact-a"]);
    let zero = format!("{}?resourceVersionMatch=Exact&resourceVersion=0", t.machines());
    t.get(&zero).await.refused(422, "Invalid");
}

async fn not_older(t: Target) {
    let (path, _) = three(&t, "not-older").await;
    let then = t.get(&path).await.is(200);
    let path =
        format!("{path}&resourceVersionMatch=NotOlderThan&resourceVersion={}", version(&then));
    let list = t.get(&path).await.is(200);
    assert_eq!(names(&list).len(), 3);
    let number = |list: &Value| version(list).parse::<u64>().unwrap();
    assert!(number(&list) >= number(&then));
}

async fn match_without_version(t: Target) {
    for query in ["resourceVersionMatch=Exact", "resourceVersionMatch=X&resourceVersion=1"] {
        t.get(&format!("{}?{query}", t.machines())).await.refused(422, "Invalid");
    }
}

async fn bad_version(t: Target) {
    let message =
        t.get(&format!("{}?resourceVersion=x", t.machines())).await.refused(400, "BadRequest");
    assert!(message.contains("x"), "{message}");
}

async fn everywhere(t: Target) {
    t.made("everywhere").await;
    let list = t.get("/apis/machine.openshift.io/v1beta1/machines").await.is(200);
    assert!(names(&list).contains(&"everywhere"));
}

async fn consistent(t: Target) {
    for number in 0..5 {
        let name = format!("consistent-{number}");
        let made = t.made_with(&name, &json!({"labels": {"list": "consistent"}})).await;
        let path = format!("{}?labelSelector=list%3Dconsistent", t.machines());
        let list = t.get(&path).await.is(200);
        assert!(names(&list).contains(&&*name), "{name} is missing");
        let number = |object: &Value| version(object).parse::<u64>().unwrap();
        assert!(number(&list) >= number(&made));
    }
    let path = format!("{}?labelSelector=list%3Dconsistent", t.machines());
    let list = t.get(&path).await.is(200);
    let query = format!("resourceVersion={}&labelSelector=list%3Dconsistent", version(&list));
    assert!(t.watch(&t.machines(), &query, 1).await.is_empty());
}
