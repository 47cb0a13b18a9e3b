//! Measures the engine without a cloud, with the real local state backend.
//!
//! Plans, applies, plans again and destroys flat and layered graphs of FakeProvider nodes. Prints a
//! table and one JSON line per figure.
//!
//! Each shape and size runs in its own process, so that memory figures are independent. The peak is
//! reset before each phase. `cargo bench -p groundplan-engine --features test-support --bench engine -- 1000` measures one
//! size.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, process};

use groundplan_engine::apply::{ApplySettings, Observer, Shutdown, apply};
use groundplan_engine::event::Event;
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{Plan, PlanOptions, plan, plan_destroy};
use groundplan_engine::provider::Provider;
use groundplan_engine::refresh::read_live_state;
use groundplan_engine::state::backend::DurableWrite;
use groundplan_engine::state::local::LocalBackend;
use groundplan_engine::state::{Entry, State};
use groundplan_engine::test_support::FakeProvider;
use groundplan_engine::test_support::harness::{KINDS, node};
use serde_json::{Value, json};

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
/// Width and references of a layer, equal to the graphs that Terraform was measured with.
const LAYER: usize = 50;
const NEEDS: usize = 3;

fn main() {
    let words: Vec<String> = env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["run", shape, nodes] = words[..] {
        return measure(shape, nodes.parse().expect("a number of nodes"));
    }
    let mut sizes: Vec<usize> = words.iter().filter_map(|word| word.parse().ok()).collect();
    if sizes.is_empty() {
        sizes.extend(SIZES);
    }
    let mut figures = Vec::new();
    for (shape, nodes) in ["flat", "layered"].iter().flat_map(|s| sizes.iter().map(move |n| (s, n)))
    {
        figures.extend(in_its_own_process(shape, *nodes));
    }
    table(&figures);
    growth(&figures);
    figures.iter().for_each(|figure| println!("{figure}"));
}

fn in_its_own_process(shape: &str, nodes: usize) -> Vec<Value> {
    let this = env::current_exe().expect("this program has a path");
    let run = process::Command::new(this).args(["run", shape, &nodes.to_string()]).output();
    let run = run.expect("this program runs itself");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let lines = String::from_utf8_lossy(&run.stdout);
    lines.lines().map(|line| serde_json::from_str(line).expect("a figure")).collect()
}

fn table(figures: &[Value]) {
    println!(
        "{:<8} {:>7} {:<10} {:>9} {:>9} {:>12} {:>14} {:>8}",
        "shape", "nodes", "phase", "wall s", "cpu s", "peak RSS MB", "bytes written", "/ state"
    );
    for figure in figures {
        let number = |name: &str| figure[name].as_f64().unwrap_or_default();
        println!(
            "{:<8} {:>7} {:<10} {:>9.3} {:>9.3} {:>12.1} {:>14} {:>8.2}",
            figure["shape"].as_str().unwrap_or_default(),
            figure["nodes"],
            figure["phase"].as_str().unwrap_or_default(),
            number("wall_s"),
            number("cpu_s"),
            number("peak_rss_mb"),
            figure["bytes_written"],
            number("bytes_per_state_byte"),
        );
    }
}

/// Prints how figures grow from one size to the next.
fn growth(figures: &[Value]) {
    println!(
        "\n{:<8} {:<10} {:>18} {:>7} {:>7} {:>9}",
        "shape", "phase", "nodes", "wall", "cpu", "peak RSS"
    );
    for (n, figure) in figures.iter().enumerate() {
        let is_next =
            |other: &&Value| other["shape"] == figure["shape"] && other["phase"] == figure["phase"];
        let Some(next) = figures[n + 1..].iter().find(is_next) else { continue };
        let factor = |name: &str| {
            let number = |figure: &Value| figure[name].as_f64().unwrap_or_default();
            let (before, after) = (number(figure), number(next));
            // CPU time is counted in hundredths of a second, so smaller values have no factor.
            if before > 0.0 { format!("{:.1}x", after / before) } else { "-".to_owned() }
        };
        println!(
            "{:<8} {:<10} {:>18} {:>7} {:>7} {:>9}",
            figure["shape"].as_str().unwrap_or_default(),
            figure["phase"].as_str().unwrap_or_default(),
            format!("{} -> {}", figure["nodes"], next["nodes"]),
            factor("wall_s"),
            factor("cpu_s"),
            factor("peak_rss_mb"),
        );
    }
}

/// Measures one shape and size: all phases, one JSON line each.
fn measure(shape: &str, nodes: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder for the state");
    let dir = folder.path().join("bench");
    let cloud = Arc::new(FakeProvider::new(KINDS, Duration::ZERO).silent());
    let graph = graph(shape, nodes);

    let mut bench = Bench { shape, nodes, dir: &dir, cloud, made: None };
    bench.phase("plan", |bench| bench.made = Some(runtime.block_on(bench.plan(&graph))));
    bench.phase("apply", |bench| runtime.block_on(bench.walk()));
    bench.phase("plan-noop", |bench| {
        let (plan, _) = runtime.block_on(bench.plan(&graph));
        assert!(plan.is_empty(), "a second plan changes nothing");
    });
    bench.phase("destroy", |bench| {
        bench.made = Some(runtime.block_on(bench.plan_destroy()));
        runtime.block_on(bench.walk());
    });
    assert!(bench.cloud.inventory().is_empty(), "a destroy leaves nothing");
}

fn graph(shape: &str, nodes: usize) -> Graph {
    let mut graph = Graph::default();
    for i in 0..nodes {
        let layer = i / LAYER;
        let needs: Vec<String> = match shape {
            "layered" if layer > 0 => (0..NEEDS)
                .map(|n| format!("node.n{}", (layer - 1) * LAYER + (i + n * 7) % LAYER))
                .collect(),
            _ => Vec::new(),
        };
        let needs: Vec<&str> = needs.iter().map(String::as_str).collect();
        let inputs = json!({
            "cidr": format!("10.{}.{}.0/24", i / 256 % 256, i % 256),
            "zone": "us-west-2a",
            "tags": { "Name": format!("bench-{i}"), "kubernetes.io/cluster/bench": "owned" },
        });
        node(&mut graph, &format!("node.n{i}"), inputs, &needs);
    }
    graph
}

struct Bench<'a> {
    shape: &'a str,
    nodes: usize,
    dir: &'a Path,
    cloud: Arc<FakeProvider>,
    made: Option<(Plan, State)>,
}

impl Bench<'_> {
    fn phase(&mut self, phase: &str, work: impl FnOnce(&mut Self)) {
        reset_peak();
        let (written, cpu, began) = (self.written(), cpu_seconds(), Instant::now());
        work(self);
        let (wall, cpu) = (began.elapsed().as_secs_f64(), cpu_seconds() - cpu);
        let written = self.written() - written;
        let state = fs::metadata(self.dir.join("state.json")).map_or(0, |file| file.len());
        let per_byte = if state > 1024 { written as f64 / state as f64 } else { 0.0 };
        println!(
            "{}",
            json!({
                "shape": self.shape, "nodes": self.nodes, "phase": phase, "wall_s": round(wall),
                "cpu_s": round(cpu), "peak_rss_mb": round(peak_megabytes()),
                "bytes_written": written, "bytes_per_state_byte": round(per_byte),
            })
        );
    }

    async fn plan(&self, graph: &Graph) -> (Plan, State) {
        let state = LocalBackend::open(self.dir).expect("the state opens").state;
        let observed = read_live_state(&state, &*self.cloud).await.expect("the cloud answers");
        (plan(graph, &state, &observed, &*self.cloud, &PlanOptions::default()), state)
    }

    async fn plan_destroy(&self) -> (Plan, State) {
        let state = LocalBackend::open(self.dir).expect("the state opens").state;
        let observed = read_live_state(&state, &*self.cloud).await.expect("the cloud answers");
        (plan_destroy(&state, &observed, &*self.cloud, &PlanOptions::default()), state)
    }

    async fn walk(&mut self) {
        let (plan, _) = self.made.take().expect("a plan was made");
        let opened = LocalBackend::open(self.dir).expect("the state opens");
        let mut journal = JournalBench(opened.backend);
        // The plan comes from the same folder, and a new folder has no lineage yet.
        let provider: Arc<dyn Provider> = self.cloud.clone();
        let (settings, stop) = (ApplySettings::default(), Shutdown::default());
        let secrets = Arc::default();
        let outcome =
            apply(&plan, opened.state, provider, secrets, &settings, &stop, &mut journal).await;
        assert!(outcome.summary.complete(), "{:?}", outcome.summary);
        journal.0.close(&outcome.state).expect("the state is written");
    }

    /// Returns the bytes that this process has written so far.
    fn written(&self) -> u64 {
        proc_field("io", "wchar:").unwrap_or_default()
    }
}

struct JournalBench(LocalBackend);

impl Observer for JournalBench {
    fn journal(&mut self, entries: Vec<Entry>) -> DurableWrite {
        Box::pin(std::future::ready(self.0.append(&entries)))
    }
    fn event(&mut self, _: &Event) {}
}

fn round(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

/// Resets the peak memory (Linux, `man proc_pid_clear_refs`).
fn reset_peak() {
    let _unless_forbidden = fs::write("/proc/self/clear_refs", "5");
}

fn peak_megabytes() -> f64 {
    proc_field("status", "VmHWM:").unwrap_or_default() as f64 / 1024.0
}

fn proc_field(file: &str, field: &str) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/self/{file}")).ok()?;
    let line = text.lines().find(|line| line.starts_with(field))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Returns user and system time of this process in seconds. Linux counts hundredths.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
    ticks as f64 / 100.0
}
