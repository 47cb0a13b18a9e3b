use std::time::Duration;

use groundplan_node::test_support::fake_api_server::FakeApiServer;
use groundplan_openshift::machine_api::types::NAMESPACE;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::*;

struct World {
    cluster: FakeApiServer,
    store: Store<WatchedObject<Machine>>,
    view: View,
    running: JoinHandle<()>,
}

fn put(cluster: &FakeApiServer, name: &str) {
    cluster.put(json!({
        "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
        "metadata": {"name": name, "namespace": NAMESPACE},
    }));
}

fn start(cluster: &FakeApiServer) -> World {
    let reflector = Reflector::<Machine>::new(Api::namespaced(cluster.client(), NAMESPACE));
    let (store, view) = (reflector.store(), reflector.view());
    let running = tokio::spawn(reflector.run(|_| ()));
    World { cluster: cluster.clone(), store, view, running }
}

impl World {
    fn names(&self) -> Vec<String> {
        let mut names: Vec<String> =
            self.store.state().iter().map(|one| one.meta_name().to_owned()).collect();
        names.sort();
        names
    }

    async fn after(&self, seconds: u64) -> (Vec<String>, ViewState) {
        sleep(Duration::from_secs(seconds)).await;
        (self.names(), self.view.state())
    }

    fn count(&self, line: &str) -> usize {
        self.cluster.requests().iter().filter(|one| one.starts_with(line)).count()
    }
}

fn names(all: &[&str]) -> Vec<String> {
    all.iter().map(|&name| name.to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn a_copy_is_current_once_the_list_is_complete_and_the_watch_is_open() {
    let cluster = FakeApiServer::default();
    for name in ["a", "b", "c"] {
        put(&cluster, name);
    }
    cluster.limit_pages(1);
    cluster.delay("LIST", "machines", Duration::from_secs(5));
    cluster.delay("WATCH", "machines", Duration::from_secs(5));
    let world = start(&cluster);
    assert_eq!(world.after(11).await, (vec![], ViewState::Unlisted), "two of three pages");
    assert_eq!(world.after(6).await, (names(&["a", "b", "c"]), ViewState::Unwatched));
    put(&cluster, "d");
    assert_eq!(world.after(5).await, (names(&["a", "b", "c", "d"]), ViewState::Current));
    world.running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_is_listed_again_and_the_copy_is_not_current_meanwhile() {
    let cluster = FakeApiServer::default();
    put(&cluster, "a");
    let world = start(&cluster);
    assert_eq!(world.after(1).await.1, ViewState::Current);
    cluster.cut_watches();
    cluster.delete("machines", NAMESPACE, "a");
    put(&cluster, "b");
    cluster.compact();
    cluster.delay("LIST", "machines", Duration::from_secs(10));
    assert_eq!(world.after(5).await, (names(&["a"]), ViewState::Unlisted), "the old copy");
    assert_eq!(world.after(10).await, (names(&["b"]), ViewState::Current));
    world.running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_ends_goes_on_without_a_list() {
    let cluster = FakeApiServer::default();
    put(&cluster, "a");
    let world = start(&cluster);
    for name in ["b", "c", "d"] {
        world.after(400).await;
        cluster.cut_watches();
        put(&cluster, name);
    }
    assert_eq!(world.after(5).await, (names(&["a", "b", "c", "d"]), ViewState::Current));
    assert_eq!(world.count("GET"), 1, "one list");
    world.running.abort();
}

#[tokio::test(start_paused = true)]
async fn a_disturbed_server_is_followed_in_the_end() {
    for seed in 0..50 {
        fastrand::seed(seed);
        let cluster = FakeApiServer::default();
        cluster.disturb(seed);
        let world = start(&cluster);
        for number in 0..10 {
            put(&cluster, &format!("m-{number}"));
            sleep(Duration::from_secs(7)).await;
            if number % 3 == 0 {
                cluster.delete("machines", NAMESPACE, &format!("m-{number}"));
            }
        }
        cluster.calm();
        let (seen, state) = world.after(120).await;
        assert_eq!((seen.len(), state), (6, ViewState::Current), "seed {seed}: {seen:?}");
        world.running.abort();
    }
}

/// After a restart of kube-apiserver, requests fail for seconds, and then the version is gone.
#[tokio::test(start_paused = true)]
async fn a_version_that_is_gone_after_an_outage_is_listed_again_at_once() {
    let cluster = FakeApiServer::default();
    put(&cluster, "a");
    let world = start(&cluster);
    assert_eq!(world.after(1).await.1, ViewState::Current);
    let before = world.count("WATCH");
    cluster.inject_faults(&[500; 5]);
    cluster.cut_watches();
    put(&cluster, "b");
    cluster.compact();
    while world.count("WATCH") < before + 6 {
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(world.after(2).await, (names(&["a", "b"]), ViewState::Current));
    for _ in 0..6 {
        cluster.cut_watches();
        put(&cluster, "c");
        cluster.compact();
        sleep(Duration::from_secs(5)).await;
    }
    let lists = world.count("LIST");
    assert!(lists < 7, "lists of a server that always says so are rare: {lists}");
    world.running.abort();
}
