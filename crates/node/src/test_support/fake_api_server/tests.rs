//! Tests of the server's strictness through the real client.

use futures_util::{StreamExt, TryStreamExt};
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch,
    PatchParams, PostParams,
};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

use super::*;

const SPACE: &str = "openshift-machine-api";

fn machines(cluster: &FakeApiServer) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("machine.openshift.io", "v1beta1", "Machine");
    let resource = ApiResource::from_gvk_with_plural(&kind, "machines");
    Api::namespaced_with(cluster.client(), SPACE, &resource)
}

fn machine(name: &str) -> DynamicObject {
    serde_json::from_value(json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
        "metadata": {"name": name, "labels": {"app": "a"}},
        "spec": {"providerID": "1"}, "status": {"phase": "never taken at creation"},
    }))
    .unwrap()
}

fn code(error: &kube::Error) -> u16 {
    match error {
        kube::Error::Api(status) => status.code,
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn an_object_is_made_once_with_what_it_needs() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    let made = api.create(&PostParams::default(), &machine("m")).await.unwrap();
    assert!(made.metadata.uid.is_some() && made.metadata.creation_timestamp.is_some());
    assert_eq!(made.metadata.generation, Some(1));
    assert!(made.data.get("status").is_none(), "a status is written apart");
    let again = api.create(&PostParams::default(), &machine("m")).await.unwrap_err();
    assert_eq!(code(&again), 409);
    assert!(again.to_string().contains("machines.machine.openshift.io \"m\" already exists"));
    let mut nameless = machine("");
    nameless.metadata.name = None;
    assert_eq!(code(&api.create(&PostParams::default(), &nameless).await.unwrap_err()), 422);
    nameless.metadata.generate_name = Some("m-".into());
    let named = api.create(&PostParams::default(), &nameless).await.unwrap();
    assert_eq!(named.metadata.name.unwrap().len(), "m-".len() + 5);
}

#[tokio::test]
async fn spec_and_status_are_written_apart_and_the_outdated_is_refused() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    let made = api.create(&PostParams::default(), &machine("m")).await.unwrap();
    let both = json!({"spec": {"providerID": "2"}, "status": {"phase": "Running"}});
    let by = PatchParams::default();
    let after = api.patch_status("m", &by, &Patch::Merge(&both)).await.unwrap();
    assert_eq!(
        (&after.data["spec"]["providerID"], &after.data["status"]["phase"]),
        (&json!("1"), &json!("Running"))
    );
    assert_eq!(after.metadata.generation, Some(1));
    let after = api
        .patch("m", &by, &Patch::Merge(&json!({"spec": {"providerID": "2"}, "status": null})))
        .await
        .unwrap();
    assert_eq!(
        (&after.data["spec"]["providerID"], &after.data["status"]["phase"]),
        (&json!("2"), &json!("Running"))
    );
    assert_eq!(after.metadata.generation, Some(2));
    let late = json!({"metadata": {"resourceVersion": made.metadata.resource_version}, "spec": {"providerID": "3"}});
    assert_eq!(code(&api.patch("m", &by, &Patch::Merge(&late)).await.unwrap_err()), 409);
    let same =
        api.patch("m", &by, &Patch::Merge(&json!({"spec": {"providerID": "2"}}))).await.unwrap();
    assert_eq!(same.metadata.resource_version, after.metadata.resource_version);
    let mut versionless = after.clone();
    versionless.metadata.resource_version = None;
    let refused = api.replace("m", &PostParams::default(), &versionless).await.unwrap_err();
    assert_eq!(code(&refused), 422);
    let strategic = api.patch("m", &by, &Patch::Strategic(&json!({"spec": {}}))).await.unwrap_err();
    assert_eq!(code(&strategic), 415, "there is no strategy for a custom resource");
}

#[tokio::test]
async fn what_has_finalizers_goes_once_they_are_gone() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    let mut held = machine("m");
    held.metadata.finalizers = Some(vec!["f".into()]);
    api.create(&PostParams::default(), &held).await.unwrap();
    api.delete("m", &DeleteParams::default()).await.unwrap();
    let marked = api.get("m").await.unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    let nothing = json!({"metadata": {"finalizers": null}});
    api.patch("m", &PatchParams::default(), &Patch::Merge(&nothing)).await.unwrap();
    assert!(api.get_opt("m").await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn a_watcher_sees_everything_whatever_is_cut_or_forgotten() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    api.create(&PostParams::default(), &machine("a")).await.unwrap();
    let mut events = watcher(api.clone(), watcher::Config::default().labels("app=a")).boxed();
    let mut next = async || loop {
        match events.next().await.expect("a watch never ends") {
            Ok(Event::Apply(object)) => return format!("{} is", object.metadata.name.unwrap()),
            Ok(Event::Delete(object)) => {
                return format!("{} is gone", object.metadata.name.unwrap());
            }
            Ok(Event::InitApply(object)) => {
                return format!("{} was", object.metadata.name.unwrap());
            }
            Ok(Event::Init | Event::InitDone) => (),
            Err(_) => sleep(Duration::from_secs(1)).await,
        }
    };
    assert_eq!(next().await, "a was");
    api.create(&PostParams::default(), &machine("b")).await.unwrap();
    assert_eq!(next().await, "b is");
    cluster.cut_watches();
    api.create(&PostParams::default(), &machine("c")).await.unwrap();
    assert_eq!(next().await, "c is");
    let elsewhere = json!({"metadata": {"labels": {"app": "z"}}});
    api.patch("a", &PatchParams::default(), &Patch::Merge(&elsewhere)).await.unwrap();
    assert_eq!(next().await, "a is gone", "it no longer fits the selector");
    cluster.cut_watches();
    api.delete("b", &DeleteParams::default()).await.unwrap();
    cluster.compact();
    assert_eq!(next().await, "c was", "what is too long ago is listed anew");
}

#[tokio::test]
async fn lists_are_of_what_is_selected() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    for name in ["a", "b"] {
        api.create(&PostParams::default(), &machine(name)).await.unwrap();
    }
    let names = async |by: ListParams| -> Vec<String> {
        api.list(&by).await.unwrap().items.into_iter().filter_map(|one| one.metadata.name).collect()
    };
    let all = ListParams::default();
    assert_eq!(names(all.clone()).await, ["a", "b"]);
    assert_eq!(names(all.clone().fields("metadata.name=b")).await, ["b"]);
    assert_eq!(names(all.clone().labels("app in (a,z),!role")).await, ["a", "b"]);
    assert!(names(all.clone().labels("app!=a")).await.is_empty());
    assert!(api.list(&all.fields("spec.x=1")).await.is_err());
}

#[tokio::test]
async fn a_set_is_scaled_without_being_known() {
    let cluster = FakeApiServer::default();
    cluster.put(json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet",
        "metadata": {"name": "s", "namespace": SPACE}, "spec": {"replicas": 3},
    }));
    let kind = GroupVersionKind::gvk("machine.openshift.io", "v1beta1", "MachineSet");
    let resource = ApiResource::from_gvk_with_plural(&kind, "machinesets");
    let api: Api<DynamicObject> = Api::namespaced_with(cluster.client(), SPACE, &resource);
    let six = json!({"spec": {"replicas": 6}});
    let scale = api.patch_scale("s", &PatchParams::default(), &Patch::Merge(&six)).await.unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(6));
    assert_eq!(cluster.get("machinesets", SPACE, "s").unwrap()["spec"]["replicas"], 6);
}

#[tokio::test]
async fn connections_are_cut_before_and_after() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    cluster.close_connections(1);
    assert!(api.create(&PostParams::default(), &machine("m")).await.is_err());
    assert!(cluster.get("machines", SPACE, "m").is_none());
    cluster.cut_answers(1);
    assert!(api.create(&PostParams::default(), &machine("m")).await.is_err());
    assert!(cluster.get("machines", SPACE, "m").is_some(), "it was created without a response");
    cluster.inject_faults(&[503]);
    assert_eq!(code(&api.get("m").await.unwrap_err()), 503);
    assert_eq!(cluster.requests().len(), 3);
    let _ = api.list(&ListParams::default()).await.map(|list| list.items.len());
    let stream = api.watch(&kube::api::WatchParams::default().timeout(1), "0").await.unwrap();
    let seen: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(seen.len(), 2, "from nowhere, a watch begins with what there is, and a bookmark");
}

#[tokio::test]
async fn a_list_has_pages_of_one_version() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    for name in ["a", "b", "c"] {
        api.create(&PostParams::default(), &machine(name)).await.unwrap();
    }
    let names = |list: &kube::api::ObjectList<DynamicObject>| -> Vec<String> {
        list.items.iter().filter_map(|one| one.metadata.name.clone()).collect()
    };
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(names(&first), ["a", "b"]);
    api.delete("c", &DeleteParams::default()).await.unwrap();
    api.create(&PostParams::default(), &machine("d")).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let more = ListParams::default().limit(2).continue_token(&token);
    let second = api.list(&more).await.unwrap();
    assert_eq!(names(&second), ["c"], "as it was when the first page was read");
    assert_eq!(second.metadata.resource_version, first.metadata.resource_version);
    cluster.compact();
    assert_eq!(code(&api.list(&more).await.unwrap_err()), 410);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_late_takes_effect_without_its_client() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    cluster.delay("POST", "machines", Duration::from_secs(5));
    let new = machine("a");
    let by = PostParams::default();
    let made = api.create(&by, &new);
    assert!(tokio::time::timeout(Duration::from_secs(1), made).await.is_err());
    assert!(cluster.get("machines", SPACE, "a").is_none());
    sleep(Duration::from_secs(5)).await;
    assert!(cluster.get("machines", SPACE, "a").is_some());
    cluster.delay("LIST", "machines", Duration::from_secs(7));
    let began = tokio::time::Instant::now();
    api.list(&ListParams::default()).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 7);
}

#[tokio::test(start_paused = true)]
async fn a_quiet_watch_gets_bookmarks() {
    let cluster = FakeApiServer::default();
    let api = machines(&cluster);
    api.create(&PostParams::default(), &machine("a")).await.unwrap();
    let events = api.watch(&kube::api::WatchParams::default().timeout(130), "1").await.unwrap();
    let events: Vec<_> = events.try_collect().await.unwrap();
    assert_eq!(events.len(), 3, "one is shortly before the end: {events:?}");
    assert!(matches!(&events[0], kube::api::WatchEvent::Bookmark(mark)
        if mark.metadata.resource_version == "1"));
}

#[tokio::test]
async fn a_service_account_has_the_permissions_of_its_roles_until_its_token_expires() {
    let cluster = FakeApiServer::default();
    cluster.apply(include_str!("../../../../../deploy/machine-controller/base/role.yaml"));
    let kind = GroupVersionKind::gvk("machine.openshift.io", "v1beta1", "Machine");
    let resource = ApiResource::from_gvk_with_plural(&kind, "machines");
    let of = |client| Api::<DynamicObject>::namespaced_with(client, SPACE, &resource);
    let account = || cluster.client_of_account(SPACE, "groundplan-machine-controller");
    let api = of(account());
    let made = api.create(&PostParams::default(), &machine("m")).await.unwrap();
    let put = api.replace("m", &PostParams::default(), &made).await.unwrap_err();
    assert_eq!(code(&put), 403);
    cluster.expire_tokens();
    assert_eq!(code(&api.get("m").await.unwrap_err()), 401);
    of(account()).get("m").await.unwrap();

    let without_token = machines(&cluster);
    without_token.get("m").await.unwrap();
    cluster.restrict_to_account(SPACE, "another");
    assert_eq!(code(&without_token.get("m").await.unwrap_err()), 403);
    cluster.restrict_to_account(SPACE, "groundplan-machine-controller");
    without_token.get("m").await.unwrap();
}

/// Runs a client against a disturbed server, and returns the requests with their times and results.
async fn disturbed(seed: u64) -> Vec<String> {
    let cluster = FakeApiServer::default();
    cluster.disturb(seed);
    let api = machines(&cluster);
    let mut events = watcher(api.clone(), watcher::Config::default()).boxed();
    let watching = tokio::spawn(async move { while events.next().await.is_some() {} });
    for number in 0..20 {
        let _ = api.create(&PostParams::default(), &machine(&format!("m-{number}"))).await;
        let _ = api.list(&ListParams::default()).await;
    }
    watching.abort();
    let mut all = cluster.requests();
    all.extend(cluster.audit());
    all
}

#[tokio::test(start_paused = true)]
async fn equal_seeds_make_equal_histories_and_others_make_others() {
    let first = disturbed(7).await;
    assert_eq!(first, disturbed(7).await);
    assert_ne!(first, disturbed(8).await);
    let failed = first.iter().filter(|line| line.contains("POST") && line.ends_with("Conflict"));
    assert_eq!(failed.count(), 0);
    assert!(first.iter().any(|line| line.contains("201 m-")), "{first:?}");
}
