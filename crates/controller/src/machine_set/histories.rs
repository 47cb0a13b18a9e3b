//! Random histories of one set: replicas change, the process is killed and started again, and the
//! API server is disturbed. Each history depends on its seed alone.
//!
//! In all histories:
//! - The set creates at most as many machines as its replicas grew and machines were lost.
//! - The set deletes at most as many machines as its replicas shrank.
//! - No creation exceeds the highest number of replicas that a decision could have read.
//! - In the end the set has its replicas.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use fastrand::Rng;
use groundplan_node::test_support::fake_api_server::FakeApiServer;
use groundplan_openshift::machine_api::types::NAMESPACE;
use kube::Api;
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::driver::{MachineSetController, Reflectors};
use crate::health::ControllerHealth;
use crate::reflector::Reflector;
use crate::report::Log;

/// Number of histories in a test run. `GROUNDPLAN_HISTORIES` sets another one: `make histories` runs
/// ten thousand, with optimizations.
const HISTORIES: u64 = 200;
/// Time limit of a test run, in real time. Ten thousand histories take two minutes on two idle cores.
const LIMIT: Duration = Duration::from_secs(15 * 60);
/// Time after a change of the replicas in which a decision may still be based on the old number.
const LATE: Duration = Duration::from_secs(30);
/// Finalizer that makes a deletion take its time.
const HELD: &str = "test/held";

/// State of one history.
struct History {
    seed: u64,
    rng: Rng,
    cluster: FakeApiServer,
    tasks: Vec<JoinHandle<()>>,
    replicas: u64,
    /// Numbers of replicas, each with the time until which a decision may be based on it.
    valid: Vec<(u64, Option<Instant>)>,
    grown: u64,
    shrunk: u64,
    lost: u64,
    /// Number of creations at the last check.
    made: u64,
    log: Vec<String>,
}

/// Counts of a finished history.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    log: Vec<String>,
    restarts: usize,
    creations: u64,
    deletions: u64,
}

impl History {
    fn new(seed: u64) -> Self {
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let replicas = rng.u64(0..=4);
        let policy = rng.choice(["Random", "Oldest", "Newest"]).expect("BUG: not empty");
        let cluster = FakeApiServer::default();
        cluster.disturb(seed);
        cluster.put(json!({
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "MachineSet",
            "metadata": {"name": "s", "namespace": NAMESPACE},
            "spec": {
                "replicas": replicas, "deletePolicy": policy,
                "selector": {"matchLabels": {"pool": "a"}},
                "template": {"metadata": {"labels": {"pool": "a"}}, "spec": {}},
            },
        }));
        let (tasks, log, valid) = (Vec::new(), Vec::new(), vec![(replicas, None)]);
        let (grown, shrunk, lost, made) = (replicas, 0, 0, 0);
        Self { seed, rng, cluster, tasks, replicas, valid, grown, shrunk, lost, made, log }
    }

    /// Starts the process.
    fn start(&mut self) {
        let client = self.cluster.client();
        let sets = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
        let machines = Reflector::new(Api::namespaced(client.clone(), NAMESPACE));
        let nodes = Reflector::new(Api::all(client.clone()));
        let feeds = Reflectors { sets: &sets, machines: &machines, nodes: &nodes };
        let (health, stop) = (Arc::<ControllerHealth>::default(), CancellationToken::new());
        let run =
            MachineSetController::run(&client, NAMESPACE, &feeds, (health, Log::default()), stop);
        self.tasks.push(tokio::spawn(run));
        self.tasks.push(tokio::spawn(sets.run(|_| ())));
        self.tasks.push(tokio::spawn(machines.run(|_| ())));
        self.tasks.push(tokio::spawn(nodes.run(|_| ())));
    }

    /// Ends the process without a warning. Its requests are still on their way.
    fn kill(&mut self) {
        self.tasks.drain(..).for_each(|task| task.abort());
    }

    fn note(&mut self, what: &str) {
        self.log.push(what.to_owned());
    }

    fn scale(&mut self) {
        let now = self.rng.u64(0..=6);
        self.grown += now.saturating_sub(self.replicas);
        self.shrunk += self.replicas.saturating_sub(now);
        if let Some(last) = self.valid.last_mut() {
            last.1 = Some(Instant::now() + LATE);
        }
        self.valid.push((now, None));
        self.note(&format!("replicas {} to {now}", self.replicas));
        self.replicas = now;
        let patch = json!({"spec": {"replicas": now}});
        self.cluster.change("machinesets", NAMESPACE, "s", &patch);
    }

    /// Acts as the other parts of a cluster: machines get a finalizer and a Node, deleted ones lose
    /// the finalizer, and sometimes a user deletes one.
    fn look_after_machines(&mut self) {
        for machine in self.cluster.all("machines") {
            let meta = &machine["metadata"];
            let name = meta["name"].as_str().unwrap_or_default();
            let is_going = !meta["deletionTimestamp"].is_null();
            let is_held = !meta["finalizers"].is_null();
            let patch = match self.rng.u8(..10) {
                0..3 if is_going => {
                    self.cluster.drop_finalizers("machines", NAMESPACE, name);
                    continue;
                }
                0..4 if !is_held && !is_going => json!({"metadata": {"finalizers": [HELD]}}),
                4..7 if !is_going => {
                    json!({"status": {"phase": "Running", "nodeRef": {"name": name}}})
                }
                _ => continue,
            };
            self.cluster.change("machines", NAMESPACE, name, &patch);
        }
    }

    fn lose_a_machine(&mut self) {
        let names: Vec<String> = self.live();
        if let Some(name) = self.rng.choice(&names) {
            self.log.push("a user deletes a machine".to_owned());
            self.cluster.delete("machines", NAMESPACE, name);
            self.lost += 1;
        }
    }

    /// Returns the names of the machines that are not being deleted.
    fn live(&self) -> Vec<String> {
        let machines = self.cluster.all("machines").into_iter();
        let live = machines.filter(|one| one["metadata"]["deletionTimestamp"].is_null());
        live.filter_map(|one| one["metadata"]["name"].as_str().map(str::to_owned)).collect()
    }

    fn creations(&self) -> u64 {
        self.cluster.creations("machines")
    }

    fn deletions(&self) -> u64 {
        let deletions = self.cluster.deletions("machines");
        deletions.saturating_sub(self.lost)
    }

    fn check(&mut self) {
        let now = Instant::now();
        self.valid.retain(|(_, until)| until.is_none_or(|until| until > now));
        let most = self.valid.iter().map(|(replicas, _)| *replicas).max().unwrap_or_default();
        let (live, audit) = (self.live().len() as u64, || self.cluster.audit().join("\n"));
        let (seed, made) = (self.seed, self.creations());
        let grew = made > std::mem::replace(&mut self.made, made);
        assert!(!grew || live <= most, "seed {seed}: {live} machines, at most {most}\n{}", audit());
        let may = self.grown + self.lost;
        assert!(made <= may, "seed {seed}: {made} created, at most {may} wanted\n{}", audit());
        let (deleted, may) = (self.deletions(), self.shrunk);
        assert!(deleted <= may, "seed {seed}: {deleted} deleted, at most {may}\n{}", audit());
    }

    async fn run(mut self) -> Outcome {
        self.start();
        let mut restarts = 0;
        for _ in 0..self.rng.u8(5..15) {
            match self.rng.u8(..10) {
                0..3 => self.scale(),
                3..6 => {
                    self.note("killed");
                    self.kill();
                    restarts += 1;
                    if self.rng.bool() {
                        sleep(Duration::from_millis(self.rng.u64(..3_000))).await;
                    }
                    self.start();
                }
                6 => self.lose_a_machine(),
                7 => {
                    self.note("history compacted");
                    self.cluster.compact();
                }
                _ => self.cluster.cut_watches(),
            }
            for _ in 0..self.rng.u8(1..6) {
                sleep(Duration::from_millis(self.rng.u64(..4_000))).await;
                self.look_after_machines();
                self.check();
            }
        }
        self.cluster.calm();
        for _ in 0..30 {
            sleep(Duration::from_secs(6)).await;
            self.look_after_machines();
            self.check();
        }
        assert_eq!(
            self.live().len() as u64,
            self.replicas,
            "seed {}: {:#?}\n{}",
            self.seed,
            self.log,
            self.cluster.audit().join("\n")
        );
        self.kill();
        let (creations, deletions) = (self.creations(), self.deletions());
        let mut log = self.log;
        log.extend(self.cluster.audit());
        Outcome { log, restarts, creations, deletions }
    }
}

/// Runs the history of a seed on a runtime of its own, whose clock is paused.
fn history(seed: u64) -> Outcome {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().expect("a runtime");
    runtime.block_on(async { History::new(seed).run().await })
}

fn wanted() -> u64 {
    let wanted = std::env::var("GROUNDPLAN_HISTORIES").ok();
    wanted.and_then(|number| number.parse().ok()).unwrap_or(HISTORIES)
}

#[test]
fn equal_seeds_make_equal_bytes() {
    for seed in 0..20 {
        assert_eq!(history(seed), history(seed), "seed {seed}");
    }
}

/// Progress of one thread: the seed of its history, and sums of finished histories.
#[derive(Default)]
struct Progress {
    seed: AtomicU64,
    /// Histories, restarts, creations and deletions.
    sums: [AtomicU64; 4],
}

impl Progress {
    fn add(&self, done: &Outcome) {
        let added = [1, done.restarts as u64, done.creations, done.deletions];
        for (sum, one) in self.sums.iter().zip(added) {
            sum.fetch_add(one, SeqCst);
        }
    }
}

/// The histories run in threads that are not joined at the time limit, because a history in which time
/// stands still does not end.
#[test]
fn no_history_creates_or_deletes_too_many() {
    let (began, all) = (std::time::Instant::now(), wanted());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let start = |worker: usize| {
        let progress = Arc::<Progress>::default();
        let own = Arc::clone(&progress);
        let work = move || {
            for seed in (worker as u64..all).step_by(workers) {
                own.seed.store(seed, SeqCst);
                own.add(&history(seed));
            }
        };
        (std::thread::spawn(work), progress)
    };
    let mut running: Vec<_> = (0..workers).map(start).collect();
    let seeds: Vec<_> = running.iter().map(|(_, progress)| Arc::clone(progress)).collect();
    while let Some((thread, progress)) = running.pop() {
        while !thread.is_finished() {
            std::thread::sleep(Duration::from_millis(20));
            let now: Vec<_> = seeds.iter().map(|one| one.seed.load(SeqCst)).collect();
            assert!(began.elapsed() < LIMIT, "not done after {LIMIT:?}: at the seeds {now:?}");
        }
        let seed = progress.seed.load(SeqCst);
        assert!(thread.join().is_ok(), "the history of the seed {seed} fails");
    }
    let sum = |index: usize| seeds.iter().map(|one| one.sums[index].load(SeqCst)).sum::<u64>();
    let sums: [u64; 4] = std::array::from_fn(sum);
    let [histories, restarts, creations, deletions] = sums;
    assert_eq!(histories, all);
    assert!(restarts > all && creations > all && deletions > all / 2, "{sums:?} is too quiet");
}
