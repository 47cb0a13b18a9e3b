//! Measures the cost of the state backend for an apply: journal in memory, in a folder, and in fake
//! S3 buckets with latency. The fake cloud responds after 50 ms, about as fast as EC2. Prints a
//! table and one JSON line per figure.
//!
//! *one by one* is the cost if every entry were a separate write, awaited in turn.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::future::ready;
use std::sync::Arc;
use std::time::{Duration, Instant};

use groundplan_engine::apply::{Observer, Settings, Stop, apply};
use groundplan_engine::event::Event;
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{Observations, Options, plan};
use groundplan_engine::provider::Provider;
use groundplan_engine::state::backend::{Home, Written};
use groundplan_engine::state::local::LocalHome;
use groundplan_engine::state::remote::layout::Layout;
use groundplan_engine::state::remote::{Bucket, LEASE, RemoteHome};
use groundplan_engine::state::{Entry, Run, State};
use groundplan_engine::test_support::FakeCloud;
use groundplan_engine::test_support::fake_object_store::{FakeBucket, Manners};
use groundplan_engine::test_support::harness::{KINDS, node};
use serde_json::json;

const ANSWER: Duration = Duration::from_millis(50);
const LAYERS: usize = 12;
const WIDE: usize = 25;

#[tokio::main]
async fn main() {
    let plain = measure("memory", Duration::ZERO, None).await;
    let folder = tempfile::tempdir().expect("a folder for the state");
    let local = LocalHome::open(&folder.path().join("bench")).expect("the state opens");
    let folder =
        measure("folder", Duration::ZERO, Some((Home::Local(local.home), local.state))).await;
    let mut figures = vec![plain, folder];
    for latency in [30, 100] {
        let latency = Duration::from_millis(latency);
        let home = bucket(latency).await;
        let name = format!("bucket, {} ms", latency.as_millis());
        figures.push(measure(&name, latency, Some(home)).await);
    }
    println!(
        "{:<16} {:>8} {:>8} {:>8} {:>10} {:>12}",
        "home", "wall s", "entries", "writes", "more s", "one by one s"
    );
    for figure in &figures {
        println!(
            "{:<16} {:>8.2} {:>8} {:>8} {:>10.2} {:>12.2}",
            figure.home,
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
            json!({"home": figure.home, "wall_s": figure.wall, "entries": figure.entries,
                   "writes": figure.writes, "latency_s": figure.latency})
        );
    }
}

struct Figure {
    home: String,
    wall: f64,
    entries: usize,
    writes: usize,
    latency: f64,
}

async fn bucket(latency: Duration) -> (Home, State) {
    let bucket = FakeBucket::new(Manners { latency, ..Manners::default() });
    let way: Arc<dyn Bucket> = bucket.process();
    let place = Layout::new("bench", "demo");
    let guard = RemoteHome::lock(&way, &place, "apply", Duration::ZERO, LEASE).await;
    let guard = guard.expect("nobody else is there");
    let opened = RemoteHome::open(&guard).await.expect("the state opens");
    let mut home = opened.home;
    home.hold(guard);
    (Home::Remote(home), opened.state)
}

async fn measure(name: &str, latency: Duration, home: Option<(Home, State)>) -> Figure {
    let (home, mut state) = match home {
        Some((home, state)) => (Some(home), state),
        None => (None, State::new("bench".to_owned())),
    };
    let mut journal = Journal { home, entries: 0, writes: 0 };
    let run = Run {
        epoch: journal.home.as_ref().map_or(1, |home| home.epoch(&state)),
        operation: "apply".to_owned(),
        at: "2026-11-25T12:00:00Z".to_owned(),
        by: "bench@here".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        after: state.serial,
        unknown: Default::default(),
    };
    let started = Entry::RunStarted { run };
    state.record(&started).expect("it is the first");
    journal.journal(vec![started]).await.expect("it is written");

    let cloud = Arc::new(FakeCloud::new(KINDS, ANSWER).silent());
    let plan = plan(&layers(), &state, &Observations::new(), &*cloud, &Options::default());
    let provider: Arc<dyn Provider> = cloud;
    let (settings, stop, secrets) = (Settings::default(), Stop::default(), Arc::default());
    let began = Instant::now();
    let outcome = apply(&plan, state, provider, secrets, &settings, &stop, &mut journal).await;
    assert!(outcome.summary.complete(), "{:?}", outcome.summary);
    Figure {
        home: name.to_owned(),
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

struct Journal {
    home: Option<Home>,
    entries: usize,
    writes: usize,
}

impl Observer for Journal {
    fn journal(&mut self, entries: Vec<Entry>) -> Written {
        self.entries += entries.len();
        self.writes += 1;
        match &mut self.home {
            Some(home) => home.append(&entries),
            None => Box::pin(ready(Ok(()))),
        }
    }

    fn event(&mut self, _: &Event) {}
}
