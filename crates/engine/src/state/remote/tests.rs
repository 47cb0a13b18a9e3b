//! Tests of the remote backend: writes are read back in order, with one writer at a time, despite
//! lost responses.

mod damage;
mod holders;
mod storm;

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::{Instant, sleep};

use super::*;
use crate::state::journal::JournalReader;
use crate::state::tests::{cluster, create, created, history, told};
use crate::state::{RecordStatus, RunRecord};
use crate::test_support::FakeObjectStore;
use crate::test_support::fake_object_store::{Process, RequestFault, StoreBehaviour};

fn place() -> Layout {
    Layout::new("acme", "states/prod")
}

fn way(process: &Arc<Process>) -> Arc<dyn ObjectStore> {
    process.clone()
}

const NOW: Duration = Duration::ZERO;

/// Run of the program that has the lock. The run is recorded unless stated otherwise.
struct Engine {
    process: Arc<Process>,
    guard: RemoteLockGuard,
    backend: RemoteBackend,
    state: State,
}

impl Engine {
    /// Starts a process that takes the lock and begins its run.
    async fn start(bucket: &FakeObjectStore) -> Self {
        let mut engine = Self::open(bucket).await;
        engine.begin().await.unwrap();
        engine
    }

    /// Starts a process that takes the lock and reads the state.
    async fn open(bucket: &FakeObjectStore) -> Self {
        let process = bucket.process();
        let guard =
            RemoteBackend::lock(&way(&process), &place(), "apply", NOW, LEASE).await.unwrap();
        let OpenedRemote { backend, state, warnings } = RemoteBackend::open(&guard).await.unwrap();
        assert_eq!(warnings.len(), usize::from(guard.taken_from().is_some()), "{warnings:?}");
        Self { process, guard, backend, state }
    }

    async fn begin(&mut self) -> Result<(), StateError> {
        let run = run_of(&self.backend, &self.state);
        self.record(&[run]).await
    }

    async fn record(&mut self, entries: &[Entry]) -> Result<(), StateError> {
        for entry in entries {
            self.state.record(entry).unwrap();
        }
        self.backend.append(entries).await
    }

    async fn compact(&mut self) -> Result<(), StateError> {
        self.backend.compact(&self.state).await
    }

    async fn end(self) -> State {
        self.guard.release().await.unwrap();
        self.state
    }
}

/// Returns the first entry of a holder.
fn run_of(backend: &RemoteBackend, state: &State) -> Entry {
    Entry::RunStarted {
        run: RunRecord {
            epoch: backend.epoch(),
            operation: "apply".to_owned(),
            at: "2026-11-25T12:00:00Z".to_owned(),
            by: "dev@host".to_owned(),
            version: "0.1.0".to_owned(),
            after: state.serial,
            infra_id: None,
            unknown: BTreeMap::new(),
        },
    }
}

/// Returns the sample history without its runs.
fn entries() -> Vec<Entry> {
    let mut entries = history();
    entries.retain(|entry| !matches!(entry, Entry::RunStarted { .. }));
    entries
}

/// Returns the state as a reader without the lock sees it.
async fn seen(bucket: &FakeObjectStore) -> State {
    let glance = read(&way(&bucket.process()), &place()).await.unwrap().unwrap();
    assert_eq!(glance.warnings, [""; 0]);
    glance.state
}

fn journal_of(bucket: &FakeObjectStore) -> BTreeMap<u64, Vec<u8>> {
    let objects = bucket.objects().into_iter();
    objects.filter_map(|(key, bytes)| Some((place().first_of(&key)?, bytes))).collect()
}

#[tokio::test(start_paused = true)]
async fn where_nothing_was_recorded_there_is_nothing_but_the_lock() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::open(&bucket).await;
    assert_eq!(engine.state, State::new(engine.state.lineage.clone()));
    engine.backend.append(&[]).await.unwrap();
    engine.backend.close(&engine.state).await.unwrap();
    engine.compact().await.unwrap();
    assert_eq!((engine.backend.puts(), engine.backend.bytes_written()), (0, 0));
    engine.end().await;
    assert_eq!(bucket.objects().into_keys().collect::<Vec<_>>(), [place().lock()]);
    assert!(read(&way(&bucket.process()), &place()).await.unwrap().is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_read_back_after_every_step() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    for entry in entries() {
        engine.record(&[entry]).await.unwrap();
        assert_eq!(seen(&bucket).await, engine.state);
    }
    let written: usize = journal_of(&bucket).values().map(Vec::len).sum();
    assert_eq!(engine.backend.bytes_written(), written as u64);
    assert_eq!(engine.backend.puts(), engine.state.serial);
    let state = engine.end().await;
    assert_eq!(Engine::open(&bucket).await.state, state);
}

#[tokio::test(start_paused = true)]
async fn a_group_is_one_object_and_the_objects_are_one_journal() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    for group in entries().chunks(7) {
        engine.record(group).await.unwrap();
    }
    let journal = journal_of(&bucket);
    assert_eq!(journal.keys().copied().collect::<Vec<_>>(), [1, 2, 9, 16, 23, 30, 37, 44]);
    let joined = journal.into_values().collect::<Vec<_>>().concat();
    let mut reader = JournalReader::new(&joined).unwrap();
    let mut state = State::new(engine.state.lineage.clone());
    while let Some(line) = reader.next_record().unwrap() {
        state.record(&line.entry).unwrap();
    }
    assert_eq!(state, engine.state);
}

#[tokio::test(start_paused = true)]
async fn a_state_goes_on_where_it_was_left() {
    let bucket = FakeObjectStore::default();
    let mut before = State::default();
    for (number, part) in entries().chunks(9).enumerate() {
        let mut engine = Engine::start(&bucket).await;
        assert_eq!(engine.state.epoch(), number as u64 + 1);
        assert!(number == 0 || engine.state.lineage == before.lineage);
        engine.record(part).await.unwrap();
        if number % 2 == 0 {
            engine.compact().await.unwrap();
        }
        before = engine.end().await;
        assert_eq!(seen(&bucket).await, before);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_never_recorded_twice_and_never_forgotten() {
    let late = RequestFault::Late(Duration::from_secs(20));
    let mishaps = [
        RequestFault::LostAnswer,
        RequestFault::LostRequest,
        RequestFault::Silence,
        RequestFault::Busy,
        late,
    ];
    for mishap in mishaps {
        let bucket = FakeObjectStore::default();
        let mut engine = Engine::start(&bucket).await;
        for entry in &entries()[..6] {
            engine.process.plan("PutObject", "journal/", mishap);
            engine.record(std::slice::from_ref(entry)).await.unwrap();
        }
        sleep(Duration::from_secs(60)).await; // until late writes have arrived
        let written = bucket.done().into_iter().filter(|done| done.key.contains("journal/"));
        let keys: Vec<_> = written.map(|done| done.key).collect();
        assert_eq!(
            keys,
            (1..=7).map(|first| place().group(first)).collect::<Vec<_>>(),
            "{mishap:?}"
        );
        assert_eq!(seen(&bucket).await, engine.state);
    }
}

#[tokio::test(start_paused = true)]
async fn what_nobody_waits_for_becomes_durable_all_the_same() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    let entry = create("base", 1);
    engine.state.record(&entry).unwrap();
    drop(engine.backend.append(&[entry]));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(seen(&bucket).await, engine.state);
    engine.record(&[created("base", RecordStatus::Ready)]).await.unwrap();
    assert_eq!(seen(&bucket).await, engine.state);
}

#[tokio::test(start_paused = true)]
async fn one_group_at_a_time_and_the_run_first() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::open(&bucket).await;
    let error = engine.backend.append(&[create("base", 1)]).await.unwrap_err();
    assert!(matches!(error, StateError::NoRun { epoch: 1, after: 0, .. }), "{error}");
    let run = run_of(&engine.backend, &engine.state);
    let first = engine.backend.append(std::slice::from_ref(&run));
    let error = engine.backend.append(&[create("base", 1)]).await.unwrap_err();
    assert!(matches!(error, StateError::OutOfStep { given: 1, recorded: 0, .. }), "{error}");
    assert!(engine.compact().await.is_err(), "what it would compact is on its way");
    first.await.unwrap();
    engine.state.record(&run).unwrap();
    engine.record(&[create("base", 1)]).await.unwrap();
    engine.compact().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_certainly_not_written_may_be_tried_again() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    let entry = create("base", 1);
    engine.process.plan("PutObject", "journal/", RequestFault::Denied("AccessDenied"));
    let error = engine.backend.append(std::slice::from_ref(&entry)).await.unwrap_err();
    assert!(matches!(error, StateError::Bucket { action: "write", .. }), "{error}");
    assert!(error.to_string().contains("s3://acme/states/prod/journal/00000000000000000002"));
    engine.record(&[entry]).await.unwrap();
    assert_eq!(seen(&bucket).await, engine.state);
}

#[tokio::test(start_paused = true)]
async fn after_a_write_of_which_nobody_knows_nothing_is_written() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    let began = Instant::now();
    engine.process.plan("PutObject", "journal/", RequestFault::LostRequest);
    engine.process.plan("PutObject", "journal/", RequestFault::Denied("ExpiredToken"));
    engine.backend.append(&[create("base", 1)]).await.unwrap_err();
    assert!(began.elapsed() < LEASE / 2, "{:?}", began.elapsed());
    let error = engine.backend.append(&[create("base", 1)]).await.unwrap_err();
    assert!(matches!(error, StateError::Unsure { .. }), "{error}");
}

/// Kills the process at each write and deletion of a compaction.
#[tokio::test(start_paused = true)]
async fn a_crash_anywhere_in_a_compaction_is_harmless() {
    let mut steps = 0;
    loop {
        let bucket = FakeObjectStore::default();
        let mut engine = Engine::start(&bucket).await;
        for part in entries()[..20].chunks(3) {
            engine.record(part).await.unwrap();
        }
        engine.compact().await.unwrap();
        engine.record(&entries()[20..]).await.unwrap();
        let (state, before) = (engine.state.clone(), bucket.done().len());
        let (process, counted) = (Arc::clone(&engine.process), Mutex::new(before));
        bucket.on_done(move |_| {
            let mut done = counted.lock().unwrap();
            *done += 1;
            if *done == before + steps {
                process.kill();
            }
        });
        if steps == 0 {
            engine.process.kill();
        }
        let compaction = tokio::time::timeout(LEASE / 8, engine.compact()).await;
        assert_eq!(seen(&bucket).await, state, "after {steps} steps");
        if compaction.is_ok() {
            break;
        }
        sleep(2 * LEASE).await;
        let mut next = Engine::start(&bucket).await;
        next.compact().await.unwrap();
        assert_eq!(seen(&bucket).await, next.state);
        steps += 1;
    }
    assert!(steps > 4, "the snapshot, its backup, and some of the journal: {steps}");
}

#[tokio::test(start_paused = true)]
async fn a_compaction_keeps_the_backups_half_and_the_first_object_of_each_run() {
    let bucket = FakeObjectStore::default();
    let mut snapshots = Vec::new();
    for part in entries()[..36].chunks(9) {
        let mut engine = Engine::start(&bucket).await;
        for group in part.chunks(3) {
            engine.record(group).await.unwrap();
        }
        engine.compact().await.unwrap();
        snapshots.push(engine.state.serial);
        engine.end().await;
    }
    assert_eq!(snapshots, [10, 20, 30, 40]);
    let kept: Vec<_> = journal_of(&bucket).into_keys().collect();
    assert_eq!(kept, [1, 11, 21, 31, 32, 35, 38]);
    let objects = bucket.objects();
    let backup = crate::state::snapshot::read(&mut objects[&place().backup()].clone()).unwrap();
    assert_eq!(backup.state.serial, 30);
}

#[tokio::test(start_paused = true)]
async fn a_state_compacts_when_its_journal_outgrows_it_or_has_many_objects() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    engine.record(&entries()).await.unwrap();
    engine.backend.close(&engine.state).await.unwrap();
    let compacted = |bucket: &FakeObjectStore, state: &State| {
        let mut text = bucket.objects()[&place().snapshot()].clone();
        crate::state::snapshot::read(&mut text).unwrap().state.serial == state.serial
    };
    assert!(compacted(&bucket, &engine.state));
    engine.record(&[Entry::ClusterIdentified { cluster: cluster() }]).await.unwrap();
    engine.backend.close(&engine.state).await.unwrap();
    assert!(!compacted(&bucket, &engine.state), "it is not worth it");
    let mut state = engine.end().await;

    let mut bulk = Engine::start(&bucket).await;
    let lookup_cache: Vec<_> = (0..200)
        .map(|n| Entry::LookupRecorded {
            lookup: format!("question {n}"),
            answer: "long ".repeat(99).into(),
        })
        .collect();
    bulk.record(&lookup_cache).await.unwrap();
    bulk.compact().await.unwrap();
    for objects in 0..70 {
        bulk.backend.close(&bulk.state).await.unwrap();
        assert_eq!(compacted(&bucket, &bulk.state), objects == 0 || objects == 65, "{objects}");
        if objects < 65 {
            bulk.record(&[Entry::ClusterIdentified { cluster: cluster() }]).await.unwrap();
        } else {
            state = bulk.end().await;
            break;
        }
    }
    assert_eq!(seen(&bucket).await, state);
}

/// Delays a reader between any two of its requests, while a holder compacts twice.
#[tokio::test(start_paused = true)]
async fn who_reads_without_the_lock_sees_a_state_that_was_once_true() {
    let mut began_again = 0;
    for step in 0..60 {
        let bucket = FakeObjectStore::default();
        let mut engine = Engine::start(&bucket).await;
        engine.compact().await.unwrap();
        for part in entries()[..20].chunks(2) {
            engine.record(part).await.unwrap();
        }
        let mut true_once = BTreeSet::from([engine.state.serial]);
        let reader = bucket.process();
        let (bucket_of_reader, place) = (way(&reader), place());
        let reading = tokio::spawn(async move { read(&bucket_of_reader, &place).await });
        sleep(Duration::from_millis(2 * step)).await;
        reader.stop();
        for part in [&entries()[20..30], &entries()[30..]] {
            engine.record(part).await.unwrap();
            engine.compact().await.unwrap();
            true_once.insert(engine.state.serial);
        }
        reader.resume();
        let state = reading.await.unwrap().unwrap().unwrap().state;
        assert!(true_once.contains(&state.serial), "{}", state.serial);
        let lineage = State::new(state.lineage.clone());
        let run = run_of_epoch_1();
        let all = [&[run][..], &entries()[..]].concat();
        assert_eq!(state, told(lineage, &all[..usize::try_from(state.serial).unwrap()]));
        began_again += u64::from(reader.requests()["ListObjectsV2"] > 1);
    }
    assert!(began_again > 0, "no reader was ever overtaken");
}

fn run_of_epoch_1() -> Entry {
    let Entry::RunStarted { run } = crate::state::tests::run_started(1) else { unreachable!() };
    Entry::RunStarted { run: RunRecord { after: 0, ..run } }
}

#[tokio::test(start_paused = true)]
async fn a_bucket_without_versions_is_warned_of_once() {
    let bucket =
        FakeObjectStore::new(StoreBehaviour { versions: Some(false), ..StoreBehaviour::default() });
    let process = bucket.process();
    for expected in [1, 0] {
        let guard =
            RemoteBackend::lock(&way(&process), &place(), "apply", NOW, LEASE).await.unwrap();
        let OpenedRemote { mut backend, state, warnings } =
            RemoteBackend::open(&guard).await.unwrap();
        assert_eq!(warnings.len(), expected, "{warnings:?}");
        assert!(warnings.iter().all(|warning| warning.contains("put-bucket-versioning")));
        backend.append(&[run_of(&backend, &state)]).await.unwrap();
        guard.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_run_costs_a_handful_of_requests() {
    let bucket = FakeObjectStore::default();
    let mut requests = Vec::new();
    for _ in 0..3 {
        let mut engine = Engine::start(&bucket).await;
        engine.record(&entries()[..1]).await.unwrap();
        engine.record(&entries()[1..2]).await.unwrap();
        engine.backend.close(&engine.state).await.unwrap();
        let process = Arc::clone(&engine.process);
        engine.end().await;
        requests.push(process.requests().into_values().sum::<u64>());
    }
    // Number of requests:
    //
    // - new state only: the proof that conditions are honoured (3 writes, 2 reads, 1 deletion), and
    //   the lock again (7 in all);
    // - lock: read and write (2);
    // - moved mark, snapshot and journal: read (3);
    // - new state only: backup and versioning (2);
    // - three groups, and a list after the first (4);
    // - compaction at the end: snapshot (1); with a previous one also backup (read, write) and
    //   journal (list, delete) (4);
    // - lock: release (1).
    assert_eq!(requests, [20, 15, 15]);
}

async fn lock_in(bucket: &FakeObjectStore) -> (Result<RemoteLockGuard, LockError>, Arc<Process>) {
    let process = bucket.process();
    let guard = RemoteBackend::lock(&way(&process), &place(), "apply", NOW, LEASE).await;
    (guard, process)
}

#[tokio::test(start_paused = true)]
async fn a_store_that_ignores_conditions_is_no_place_for_a_state() {
    use crate::test_support::fake_object_store::HonouredConditions::{Absence, Match, Nothing};
    for (conditions, header) in
        [(Nothing, "If-None-Match"), (Match, "If-None-Match"), (Absence, "If-Match")]
    {
        let behaviour = StoreBehaviour { conditions, ..StoreBehaviour::default() };
        let bucket = FakeObjectStore::new(behaviour);
        let (guard, _) = lock_in(&bucket).await;
        let error = guard.unwrap_err();
        assert!(!error.is_held(), "{error}");
        assert!(error.to_string().contains(header), "{conditions:?}: {error}");
        let LockError::Backend(error) = error else { panic!("{error}") };
        assert!(error.hint().unwrap().contains("--state"), "{error}");
        assert_eq!(bucket.objects().len(), 0, "nothing of a state, and no probe");
    }
}

#[tokio::test(start_paused = true)]
async fn the_proof_of_conditions_is_made_once() {
    let bucket = FakeObjectStore::default();
    let puts = |process: &Process| process.requests().get("PutObject").copied().unwrap_or_default();
    for lock_and_probes in [4, 1, 1] {
        let (guard, process) = lock_in(&bucket).await;
        let guard = guard.unwrap();
        assert_eq!(puts(&process), lock_and_probes);
        guard.release().await.unwrap();
    }
    // The lock came with its folder from another store.
    let text = String::from_utf8(bucket.objects()[&place().lock()].clone()).unwrap();
    bucket.plant(&place().lock(), text.replace("\"memory\"", "\"elsewhere\""));
    assert_eq!(puts(&lock_in(&bucket).await.1), 4);
    assert_eq!(bucket.objects().len(), 1, "only the lock: {bucket:?}");
}

#[tokio::test(start_paused = true)]
async fn lost_answers_spoil_no_proof() {
    for faults in 1..=4 {
        for mishap in [RequestFault::LostAnswer, RequestFault::LostRequest, RequestFault::Busy] {
            let bucket = FakeObjectStore::default();
            let process = bucket.process();
            for _ in 0..faults {
                process.plan("PutObject", "probe-", mishap);
            }
            let guard = RemoteBackend::lock(&way(&process), &place(), "apply", NOW, LEASE).await;
            assert!(guard.is_ok(), "{faults} x {mishap:?}");
        }
    }
}
