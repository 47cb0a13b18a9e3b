//! Simulation of engines with kills, suspensions, lost responses and different clocks, against one
//! bucket.
//!
//! Properties that the bucket checks at every write and the engines at every response:
//!
//! 1. The accepted journal objects form one legal history: no gap, and no object at another's key.
//!    After a holder's first record there is no object of another holder.
//! 2. An acknowledged entry is in that history, and every later reader reads it.
//! 3. When the lock is taken, only the taker's fence is open.
//!
//! The third property requires that no clock runs 5/3 as fast as another: a lease and a quarter
//! against three quarters of one. The difference among the server's own clocks reduces that limit;
//! the storm has clocks at 5/4 and three seconds. The property also requires that no user has
//! force-unlocked the state. The first two properties hold without these conditions.

use proptest::prelude::*;
use serde_json::Value;
use tokio::task::JoinSet;

use super::*;
use crate::test_support::fake_object_store::AppliedWrite;

const LASTS: Duration = Duration::from_secs(1200);

/// Accepted writes, and all lock holders so far.
#[derive(Default)]
struct Chronicle {
    state: Option<State>,
    /// State after each record.
    history: Vec<State>,
    /// Writers of the journal objects, by first serial.
    groups: BTreeMap<u64, usize>,
    /// Engine that may continue to write.
    writer: Option<usize>,
    holder: Option<String>,
    fences: Vec<(usize, Fence)>,
    acknowledged: u64,
    /// True after a force-unlock.
    broken: bool,
    takeovers: u64,
    opened: u64,
    violations: Vec<String>,
}

impl Chronicle {
    fn see(&mut self, done: &AppliedWrite) {
        let Some(bytes) = &done.bytes else { return };
        if let Some(first) = place().first_of(&done.key) {
            self.see_group(done.by, first, bytes);
        } else if done.key == place().lock() {
            self.see_lock(done.by, bytes);
        }
    }

    fn see_group(&mut self, by: usize, first: u64, bytes: &[u8]) {
        if self.groups.contains_key(&first) {
            // The attempt arrived after a compaction had deleted the object at its key. No process
            // reads the new object, and no response may report it as durable.
            return;
        }
        self.groups.insert(first, by);
        let mut reader = JournalReader::new(bytes).unwrap();
        let lineage = reader.header().lineage.clone();
        let state = self.state.get_or_insert_with(|| State::new(lineage));
        if state.serial + 1 != first {
            self.violations.push(format!("record {first} after {}", state.serial));
        }
        let mut is_first = true;
        while let Some(line) = reader.next_record().unwrap() {
            if is_first && matches!(line.entry, Entry::RunStarted { .. }) {
                self.writer = Some(by);
            }
            is_first = false;
            if let Err(illegal) = state.record(&line.entry) {
                self.violations.push(illegal.to_string());
            }
            self.history.push(state.clone());
        }
        if self.writer != Some(by) {
            self.violations.push(format!("process {by} wrote {first} after another process began"));
        }
    }

    fn see_lock(&mut self, by: usize, bytes: &[u8]) {
        let lock: Value = serde_json::from_slice(bytes).unwrap();
        let holder = lock["holder"]["id"].as_str().map(str::to_owned);
        if holder.is_some() && holder != self.holder {
            self.takeovers += u64::from(self.holder.is_some());
            let open = self.fences.iter().filter(|(who, fence)| *who != by && fence.pass().is_ok());
            let open: Vec<_> = open.map(|(who, _)| *who).collect();
            if !open.is_empty() && !self.broken {
                self.violations.push(format!("{by} took the lock while {open:?} held it"));
            }
        }
        self.holder = holder;
    }

    fn opened(&mut self, known: u64, state: &State) {
        self.opened += 1;
        if state.serial < known {
            self.violations.push(format!("{} was read and {known} acknowledged", state.serial));
        }
        let true_then = match state.serial {
            0 => state.resources.is_empty() && state.lookup_cache.is_empty(),
            serial => self.history[usize::try_from(serial).unwrap() - 1] == *state,
        };
        if !true_then {
            self.violations.push(format!("what was read at {} was never true", state.serial));
        }
    }

    fn acknowledged(&mut self, by: usize, first: u64, serial: u64) {
        if self.groups.get(&first) != Some(&by) || (self.history.len() as u64) < serial {
            self.violations.push(format!("{serial} was acknowledged and not accepted"));
        }
        self.acknowledged = self.acknowledged.max(serial);
    }
}

/// Parameters of a storm.
#[derive(Clone, Copy, Debug)]
struct Weather {
    seed: u64,
    engines: u64,
    unlucky: f64,
    /// Rate of the bucket's clock relative to the engines' clock.
    rate: f64,
    /// Number of suspensions and kills in a thousand steps.
    violence: u32,
    /// True if users force-unlock holders that may be alive.
    people: bool,
}

struct Storm {
    weather: Weather,
    bucket: FakeObjectStore,
    chronicle: Mutex<Chronicle>,
    processes: Mutex<Vec<Arc<Process>>>,
}

impl Storm {
    fn chronicle(&self) -> MutexGuard<'_, Chronicle> {
        self.chronicle.lock().unwrap()
    }

    /// Runs one process after the other; each is a run of the program.
    async fn engine(self: Arc<Self>, seed: u64) {
        let mut dice = fastrand::Rng::with_seed(seed);
        loop {
            let process = self.bucket.process();
            process.inject_random_faults(self.weather.unlucky);
            self.processes.lock().unwrap().push(Arc::clone(&process));
            tokio::select! {
                _ = self.run(&process, &mut dice) => (),
                () = killed(&process) => (),
            }
            sleep(Duration::from_millis(dice.u64(..20_000))).await;
        }
    }

    /// Runs until the first error, as the program does.
    async fn run(
        &self,
        process: &Arc<Process>,
        dice: &mut fastrand::Rng,
    ) -> Result<(), Box<dyn std::error::Error>> {
        let wait = Duration::from_secs(dice.u64(..120));
        let guard = RemoteBackend::lock(&way(process), &place(), "apply", wait, LEASE).await?;
        self.chronicle().fences.push((process.number(), guard.fence()));
        let known = self.chronicle().acknowledged;
        let OpenedRemote { mut backend, mut state, .. } = RemoteBackend::open(&guard).await?;
        self.chronicle().opened(known, &state);
        let mut entries = vec![run_of(&backend, &state)];
        for step in 0..dice.u64(1..40) {
            process.awake().await;
            let first = state.serial + 1;
            for entry in &entries {
                state.record(entry).unwrap();
            }
            backend.append(&entries).await?;
            self.chronicle().acknowledged(process.number(), first, state.serial);
            if dice.u8(..10) == 0 {
                backend.compact(&state).await?;
            }
            sleep(Duration::from_millis(dice.u64(..2_000))).await;
            let lookup = format!("{}", dice.u8(..20));
            let answer = Value::from(format!("{} {step}", process.number()));
            entries = vec![Entry::LookupRecorded { lookup, answer }; dice.usize(1..4)];
        }
        backend.close(&state).await?;
        if dice.bool() {
            guard.release().await?;
        }
        Ok(())
    }

    /// Suspends, resumes and kills engines.
    async fn violence(self: Arc<Self>) {
        let mut dice = fastrand::Rng::with_seed(self.weather.seed);
        loop {
            sleep(Duration::from_millis(500)).await;
            if dice.u32(..1000) >= self.weather.violence {
                continue;
            }
            if self.weather.people && dice.bool() {
                self.take_the_lock_away().await;
                continue;
            }
            let living: Vec<_> =
                self.processes.lock().unwrap().iter().rev().take(6).cloned().collect();
            let Some(process) = dice.choice(living) else { continue };
            if dice.u8(..4) == 0 {
                process.kill();
            } else {
                process.stop();
                let wakes = Duration::from_millis(dice.u64(..150_000));
                tokio::spawn(async move {
                    sleep(wakes).await;
                    process.resume();
                });
            }
        }
    }
}

impl Storm {
    async fn take_the_lock_away(&self) {
        let holder = self.chronicle().holder.clone();
        let Some(id) = holder else { return };
        self.chronicle().broken = true;
        // The lock may have been released meanwhile.
        let _ = break_open(&way(&self.bucket.process()), &place(), &id, true).await;
    }
}

async fn killed(process: &Process) {
    while !process.is_killed() {
        sleep(Duration::from_millis(250)).await;
    }
}

/// Runs a storm and returns its record.
async fn storm(weather: Weather) -> Chronicle {
    let behaviour = StoreBehaviour {
        rate: weather.rate,
        wobble: Duration::from_secs(3),
        seed: weather.seed,
        ..StoreBehaviour::default()
    };
    let storm = Arc::new(Storm {
        weather,
        bucket: FakeObjectStore::new(behaviour),
        chronicle: Mutex::default(),
        processes: Mutex::default(),
    });
    let seeing = Arc::downgrade(&storm);
    storm.bucket.on_done(move |done| {
        if let Some(storm) = seeing.upgrade() {
            storm.chronicle().see(done);
        }
    });
    let mut tasks = JoinSet::new();
    for engine in 0..weather.engines {
        tasks.spawn(Arc::clone(&storm).engine(weather.seed ^ (engine + 1)));
    }
    tasks.spawn(Arc::clone(&storm).violence());
    if let Ok(Some(ended)) = tokio::time::timeout(LASTS, tasks.join_next()).await {
        ended.unwrap(); // engines do not end
    }
    tasks.shutdown().await;
    sleep(2 * LEASE).await; // until late writes have arrived
    let state = read(&way(&storm.bucket.process()), &place()).await.unwrap();
    let mut chronicle = std::mem::take(&mut *storm.chronicle());
    if state.map(|glance| glance.state) != chronicle.state {
        chronicle.violations.push("what is left is not what was accepted".to_owned());
    }
    chronicle
}

fn weather() -> impl Strategy<Value = Weather> {
    let rates = prop::sample::select(vec![0.8, 1.0, 1.25]);
    (any::<u64>(), 1..4u64, 0.0..0.3f64, rates, 0..60u32, any::<bool>()).prop_map(
        |(seed, engines, unlucky, rate, violence, people)| Weather {
            seed,
            engines,
            unlucky,
            rate,
            violence,
            people,
        },
    )
}

fn run_paused<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn a_storm_leaves_one_history_and_loses_nothing_of_it(weather in weather()) {
        let chronicle = run_paused(storm(weather));
        prop_assert_eq!(&chronicle.violations, &[""; 0]);
    }
}

/// A storm without any events would prove nothing.
#[test]
fn in_a_storm_holders_are_taken_over_and_go_on() {
    for people in [false, true] {
        let weather =
            Weather { seed: 7, engines: 3, unlucky: 0.1, rate: 1.0, violence: 30, people };
        let chronicle = run_paused(storm(weather));
        assert_eq!(chronicle.violations, [""; 0]);
        assert_eq!(chronicle.broken, people);
        assert!(chronicle.takeovers > 3 || people, "{}", chronicle.takeovers);
        assert!(chronicle.opened > 10, "{}", chronicle.opened);
        assert!(chronicle.acknowledged > 100, "{}", chronicle.acknowledged);
    }
}
