//! Measures the cost of the state backend for an apply: journal in memory, in a folder, and in fake
//! S3 buckets with latency. The fake cloud responds after 50 ms, about as fast as EC2. Prints a
//! table and one JSON line per figure.
//!
//! *one by one* is the cost if every entry were a separate write, awaited in turn.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use groundplan_engine::apply::{ApplySettings, Observer, Shutdown, apply};
use groundplan_engine::event::Event;
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{LiveState, PlanOptions, plan};
use groundplan_engine::provider::Provider;
use groundplan_engine::state::backend::{DurableWrite, StateBackend};
use groundplan_engine::state::local::LocalBackend;
use groundplan_engine::state::remote::layout::Layout;
use groundplan_engine::state::remote::{LEASE, ObjectStore, RemoteBackend};
use groundplan_engine::state::{Entry, RunRecord, State};
use groundplan_engine::test_support::FakeProvider;
use groundplan_engine::test_support::fake_object_store::{FakeObjectStore, StoreBehaviour};
use groundplan_engine::test_support::harness::{KINDS, node};
use serde_json::json;

const ANSWER: Duration = Duration::from_millis(50);
const LAYERS: usize = 12;
const WIDE: usize = 25;

#[tokio::main]
async fn main() {
    let plain = measure("memory", Duration::ZERO, None).await;
    let folder = tempfile::tempdir().expect("a folder for the state");
    let local = LocalBackend::open(&folder.path().join("bench")).expect("the state opens");
    let folder =
        measure("folder", Duration::ZERO, Some((StateBackend::Local(local.backend), local.state)))
            .await;
    let mut figures = vec![plain, folder];
    for latency in [30, 100] {
        let latency = Duration::from_millis(latency);
        let backend = bucket(latency).await;
        let name = format!("bucket, {} ms", latency.as_millis());
        figures.push(measure(&name, latency, Some(backend)).await);
    }
    println!(
        "{:<16} {:>8} {:>8} {:>8} {:>10} {:>12}",
        "home", "wall s", "entries", "writes", "more s", "one by one s"
    );
    for figure in &figures {
        println!(
            "{:<16} {:>8.2} {:>8} {:>8} {:>10.2} {:>12.2}",
            figure.backend,
            figure.wall,
            figure.entries,
            figure.writes,
            figure.wall - figures[0].wall,
            figure.latency * figure.entries as f64,
        );
    }
    for figure in &figures {
        println!(
            "{}",
            json!({"home": figure.backend, "wall_s": figure.wall, "entries": figure.entries,
                   "writes": figure.writes, "latency_s": figure.latency})
        );
    }
}

struct Figure {
    backend: String,
    wall: f64,
    entries: usize,
    writes: usize,
    latency: f64,
}

async fn bucket(latency: Duration) -> (StateBackend, State) {
    let bucket = FakeObjectStore::new(StoreBehaviour { latency, ..StoreBehaviour::default() });
    let way: Arc<dyn ObjectStore> = bucket.process();
    let place = Layout::new("bench", "demo");
    let guard = RemoteBackend::lock(&way, &place, "apply", Duration::ZERO, LEASE).await;
    let guard = guard.expect("no other process locks it");
    let opened = RemoteBackend::open(&guard).await.expect("the state opens");
    let mut backend = opened.backend;
    backend.hold(guard);
    (StateBackend::Remote(backend), opened.state)
}

async fn measure(name: &str, latency: Duration, backend: Option<(StateBackend, State)>) -> Figure {
    let (backend, mut state) = match backend {
        Some((backend, state)) => (Some(backend), state),
        None => (None, State::new("bench".to_owned())),
    };
    let mut journal = JournalBench { backend, entries: 0, writes: 0 };
    let run = RunRecord {
        epoch: journal.backend.as_ref().map_or(1, |backend| backend.epoch(&state)),
        operation: "apply".to_owned(),
        at: "2026-11-25T12:00:00Z".to_owned(),
        by: "bench@here".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        after: state.serial,
        infra_id: None,
        unknown: Default::default(),
    };
    let started = Entry::RunStarted { run };
    state.record(&started).expect("it is the first");
    journal.journal(vec![started]).await.expect("it is written");

    let cloud = Arc::new(FakeProvider::new(KINDS, ANSWER).silent());
    let plan = plan(&layers(), &state, &LiveState::new(), &*cloud, &PlanOptions::default());
    let provider: Arc<dyn Provider> = cloud;
    let (settings, stop, secrets) = (ApplySettings::default(), Shutdown::default(), Arc::default());
    let began = Instant::now();
    let outcome = apply(&plan, state, provider, secrets, &settings, &stop, &mut journal).await;
    assert!(outcome.summary.complete(), "{:?}", outcome.summary);
    Figure {
        backend: name.to_owned(),
        wall: began.elapsed().as_secs_f64(),
        entries: journal.entries,
        writes: journal.writes,
        latency: latency.as_secs_f64(),
    }
}

fn layers() -> Graph {
    let mut graph = Graph::default();
    for layer in 0..LAYERS {
        for i in 0..WIDE {
            let needs: Vec<String> = match layer {
                0 => Vec::new(),
                _ => vec![format!("node.n{}-{}", layer - 1, i), format!("node.n{}-0", layer - 1)],
            };
            let mut needs: Vec<&str> = needs.iter().map(String::as_str).collect();
            needs.dedup();
            node(&mut graph, &format!("node.n{layer}-{i}"), json!({ "size": i }), &needs);
        }
    }
    graph
}

struct JournalBench {
    backend: Option<StateBackend>,
    entries: usize,
    writes: usize,
}

impl Observer for JournalBench {
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite {
        self.entries += entries.len();
        self.writes += 1;
        match &mut self.backend {
            Some(backend) => backend.append(&entries),
            None => Box::pin(ready(Ok(()))),
        }
    }

    fn event(&mut self, _: &Event) {}
}
