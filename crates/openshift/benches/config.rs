//! Measures the path from an install-config to a plan, without a network: read (parse and
//! validate), compile, plan. Also measures the rejection of the most expensive file that the
//! program reads.
//!
//! Prints a table and one JSON line per figure. Fails if the path takes longer than [`BAR`].
//! Figures are medians of many rounds, because one round is shorter than a scheduling delay of the
//! machine.

#![expect(clippy::print_stdout, reason = "a benchmark prints")]

use std::collections::BTreeMap;
use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use groundplan_aws::schemas;
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{self, LiveState};
use groundplan_engine::state::{Cluster, State};
use groundplan_openshift::install_config::{self, InstallConfig};
use groundplan_openshift::topology::{self, Assets, compile};
use serde_json::{Value, json};

const ROUNDS: usize = 200;
/// Limit for the whole path, too short to notice, with a margin for slow machines.
const BAR: Duration = Duration::from_millis(10);
/// Standard cluster: External, four zones, three masters.
const CASE: &str = "plans/authentication-optional";

fn main() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(CASE);
    let text = fs::read(folder.join("install-config.yaml")).expect("the case has a config");
    let lookup_cache = fs::read(folder.join("facts.json")).expect("the case has facts");
    let lookup_cache = serde_json::from_slice(&lookup_cache).expect("facts are JSON");

    let config = read(&text);
    let graph = compiled(&config, &lookup_cache);
    let state = state(&config);
    let schemas = schemas();
    let planned =
        || plan::plan(&graph, &state, &LiveState::new(), &schemas, &plan::PlanOptions::default());
    let steps = planned().changes.len();
    let phases = [
        ("read", median(|| read(&text))),
        ("compile", median(|| compiled(&config, &lookup_cache))),
        ("plan", median(planned)),
    ];
    let whole: Duration = phases.iter().map(|(_, time)| *time).sum();
    let bomb = bomb();
    let refused = median_of(10, || install_config::read_bytes(bomb.as_bytes()).0.findings.len());

    println!("{:<14} {:>9}", "phase", "median ms");
    let last = [("all three", whole), ("worst refusal", refused)];
    let lines: Vec<_> = phases.into_iter().chain(last).collect();
    lines.iter().for_each(|(phase, time)| println!("{phase:<14} {:>9.3}", milliseconds(*time)));
    for (phase, time) in lines {
        println!(
            "{}",
            json!({"phase": phase, "median_ms": milliseconds(time), "resources": steps})
        );
    }
    assert!(whole < BAR, "{whole:?} is over the bar of {BAR:?}");
}

fn read(text: &[u8]) -> InstallConfig {
    install_config::read_bytes(text).0.config.expect("the case is valid")
}

fn compiled(config: &InstallConfig, lookup_cache: &BTreeMap<String, Value>) -> Graph {
    let options =
        topology::CompileOptions { bootstrap: true, ..topology::CompileOptions::default() };
    let compiled = compile(config, &cluster(config), lookup_cache, &Assets::none(), &options);
    compiled.expect("the case compiles").graph
}

fn cluster(config: &InstallConfig) -> Cluster {
    Cluster {
        name: config.name.clone(),
        infra_id: format!("{}-x7k2p", config.name),
        cluster_id: "00000000-0000-4000-8000-000000000000".into(),
        region: config.aws.region.clone(),
    }
}

fn state(config: &InstallConfig) -> State {
    let mut state = State::new("bench".into());
    state.cluster = Some(cluster(config));
    state
}

/// Returns a file of maximum size whose aliases expand to the limit before rejection.
fn bomb() -> String {
    let mut bomb = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let uses = vec![format!("*a{}", level - 1); 10].join(",");
        bomb += &format!("a{level}: &a{level} [{uses}]\n");
    }
    let comment = "#".repeat((1 << 20) - bomb.len());
    bomb + &comment
}

fn median<T>(work: impl FnMut() -> T) -> Duration {
    median_of(ROUNDS, work)
}

fn median_of<T>(rounds: usize, mut work: impl FnMut() -> T) -> Duration {
    let mut times: Vec<Duration> = (0..rounds)
        .map(|_| {
            let began = Instant::now();
            black_box(work());
            began.elapsed()
        })
        .collect();
    times.sort();
    times[rounds / 2]
}

fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}
