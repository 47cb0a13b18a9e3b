//! Tests of lock holders, leases and takeovers.

use std::process::Command;

use serde_json::Value;

use super::*;
use crate::state::lock::{LockError, UnlockError};

async fn lock(bucket: &FakeObjectStore, wait: Duration) -> Result<RemoteLockGuard, LockError> {
    RemoteBackend::lock(&way(&bucket.process()), &place(), "apply", wait, LEASE).await
}

fn is_fenced<T: std::fmt::Debug>(result: Result<T, StateError>) -> String {
    match result {
        Err(StateError::Fenced { why, .. }) => why,
        other => panic!("not fenced: {other:?}"),
    }
}

fn lock_of(bucket: &FakeObjectStore) -> Value {
    serde_json::from_slice(&bucket.objects()[&place().lock()]).unwrap()
}

/// Changes the recorded holder, for example to one of another host or to a process that has ended.
fn pretend(bucket: &FakeObjectStore, change: impl FnOnce(&mut Value)) {
    let mut lock = lock_of(bucket);
    change(&mut lock["holder"]);
    bucket.plant(&place().lock(), lock.to_string());
}

/// Returns the process ID of a process that has ended.
fn ended() -> u32 {
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    child.id()
}

#[tokio::test(start_paused = true)]
async fn l1_a_killed_holder_on_the_same_host_is_taken_over_at_once() {
    let bucket = FakeObjectStore::default();
    let first = Engine::start(&bucket).await;
    first.process.kill();
    pretend(&bucket, |holder| holder["pid"] = ended().into());
    let began = Instant::now();
    let guard = lock(&bucket, NOW).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));
    assert_eq!(guard.epoch(), 2);
    assert_eq!(guard.taken_from().unwrap().id, first.guard.holder().id);
}

#[tokio::test(start_paused = true)]
async fn l2_a_holder_whose_host_is_gone_is_taken_over_when_its_lease_has_ended() {
    let bucket = FakeObjectStore::default();
    let first = Engine::start(&bucket).await;
    first.process.kill();
    pretend(&bucket, |holder| holder["host"] = "gone".into());
    let (began, limit) = (Instant::now(), LEASE + LEASE / 4);
    let error = lock(&bucket, NOW).await.unwrap_err();
    assert!(error.is_held());
    assert!(error.to_string().contains("@gone for apply"), "{error}");
    let guard = lock(&bucket, 2 * LEASE).await.unwrap();
    assert!(
        began.elapsed() > limit && began.elapsed() < limit + LEASE / 8,
        "{:?}",
        began.elapsed()
    );
    assert_eq!((guard.epoch(), guard.taken_from().unwrap().host.as_str()), (2, "gone"));
}

#[tokio::test(start_paused = true)]
async fn a_lease_that_ended_while_nobody_looked_is_not_waited_for() {
    let bucket = FakeObjectStore::default();
    Engine::start(&bucket).await.process.kill();
    sleep(2 * LEASE).await;
    assert_eq!(lock(&bucket, NOW).await.unwrap().epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn l3_a_holder_that_was_stopped_is_fenced_off_before_and_refused_after_the_takeover() {
    let bucket = FakeObjectStore::default();
    let mut first = Engine::start(&bucket).await;
    first.process.stop();
    let fence = first.backend.fence();
    let passed = Arc::new(Mutex::new(None));
    let seen_at_takeover = Arc::clone(&passed);
    bucket.on_done(move |done| {
        if done.key.ends_with("lock.json") {
            seen_at_takeover.lock().unwrap().get_or_insert(fence.pass().is_ok());
        }
    });
    let guard = lock(&bucket, 2 * LEASE).await.unwrap();
    assert_eq!(guard.taken_from().unwrap().id, first.guard.holder().id);
    assert_eq!(*passed.lock().unwrap(), Some(false), "both could have called at once");

    let OpenedRemote { mut backend, mut state, .. } = RemoteBackend::open(&guard).await.unwrap();
    let run = run_of(&backend, &state);
    state.record(&run).unwrap();
    backend.append(&[run]).await.unwrap();
    first.process.resume();
    let why = is_fenced(first.record(&[create("base", 1)]).await);
    assert!(
        why.contains("was not renewed") || why.contains("another process took the lock"),
        "{why}"
    );
    sleep(LEASE / 2).await;
    let why = is_fenced(first.backend.fence().pass());
    assert!(why.contains("another process took the lock: "), "{why}");
    assert_eq!(seen(&bucket).await, state);
}

/// The fence alone cannot stop this write, because it was sent before the holder was suspended.
#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_after_the_takeover_finds_its_place_taken() {
    for compactions in 0..4 {
        let bucket = FakeObjectStore::default();
        let mut first = Engine::start(&bucket).await;
        first.record(&entries()[..3]).await.unwrap();
        let arrives = Duration::from_secs(200);
        first.process.plan("PutObject", "journal/", RequestFault::Late(arrives));
        let late = first.backend.append(&entries()[3..4]);
        sleep(Duration::from_millis(5)).await;
        first.process.kill();
        drop(late);
        sleep(2 * LEASE).await;
        let mut second = Engine::start(&bucket).await;
        for part in entries()[3..].chunks(5).take(compactions) {
            second.record(part).await.unwrap();
            second.compact().await.unwrap();
        }
        sleep(arrives).await;
        assert!(
            bucket
                .done()
                .iter()
                .filter(|done| done.key.contains("journal/"))
                .all(|done| { done.by != first.process.number() || done.key <= place().group(2) })
        );
        assert_eq!(seen(&bucket).await, second.state, "{compactions} compactions");
    }
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_that_arrives_after_the_takeover_becomes_the_backup_of_the_next() {
    let bucket = FakeObjectStore::default();
    let mut first = Engine::start(&bucket).await;
    first.compact().await.unwrap();
    first.record(&entries()[..3]).await.unwrap();
    first.process.plan("PutObject", "state.json", RequestFault::Late(Duration::from_secs(100)));
    let late = first.state.serial;
    let _ = tokio::time::timeout(Duration::from_millis(5), first.compact()).await;
    first.process.kill();
    sleep(Duration::from_secs(80)).await;
    let mut second = Engine::start(&bucket).await;
    second.record(&entries()[3..]).await.unwrap();
    sleep(Duration::from_secs(30)).await;
    second.compact().await.unwrap();
    let backup = &mut bucket.objects()[&place().backup()].clone();
    assert_eq!(crate::state::snapshot::read(backup).unwrap().state.serial, late);
    assert_eq!(seen(&bucket).await, second.state);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_arrives_before_the_first_of_the_next_holder_is_kept_and_that_one_reads_again()
{
    let bucket = FakeObjectStore::default();
    let mut first = Engine::start(&bucket).await;
    first.process.plan("PutObject", "journal/", RequestFault::Late(Duration::from_secs(100)));
    drop(first.backend.append(&[create("base", 1)]));
    sleep(Duration::from_millis(5)).await;
    first.process.kill();
    sleep(Duration::from_secs(90)).await;
    let mut second = Engine::open(&bucket).await;
    assert_eq!(second.state.serial, 1);
    sleep(Duration::from_secs(20)).await;
    let error = second.begin().await.unwrap_err();
    assert!(matches!(error, StateError::Changed { .. }), "{error}");
    assert!(error.hint().unwrap().contains("run the same command again"));
    second.guard.release().await.unwrap();
    assert_eq!(Engine::start(&bucket).await.state.serial, 3);
}

/// The object at the key of a new holder may be a late write of the previous one, in the middle of
/// a run. A compaction deletes that object, and the key is free again.
#[tokio::test(start_paused = true)]
async fn who_begins_at_a_place_that_a_compaction_has_emptied_is_told_so() {
    let bucket = FakeObjectStore::default();
    let take_away = async |guard: &RemoteLockGuard| {
        let (somebody, id) = (way(&bucket.process()), &guard.holder().id);
        break_open(&somebody, &place(), id, true).await.unwrap();
    };
    let mut first = Engine::start(&bucket).await;
    first.compact().await.unwrap();
    first.process.plan("PutObject", "journal/", RequestFault::Late(Duration::from_secs(3)));
    drop(first.backend.append(&[create("base", 1)]));
    sleep(Duration::from_millis(5)).await;
    first.process.kill();
    take_away(&first.guard).await;
    let mut second = Engine::open(&bucket).await;
    assert_eq!(second.state.serial, 1);
    take_away(&second.guard).await;
    sleep(Duration::from_secs(3)).await;
    let mut third = Engine::start(&bucket).await;
    assert_eq!(third.state.serial, 3);
    for entry in [created("base", RecordStatus::Created), create("a", 1)] {
        third.compact().await.unwrap();
        third.record(&[entry]).await.unwrap();
    }
    third.compact().await.unwrap();
    assert!(!journal_of(&bucket).contains_key(&2), "it is not empty, so this shows nothing");
    second.backend.fence().pass().expect("its clock says that it still has the lock");
    let error = second.begin().await.unwrap_err();
    assert!(matches!(error, StateError::Changed { .. }), "{error}");
    let error = second.backend.append(&[create("b", 1)]).await.unwrap_err();
    assert!(matches!(error, StateError::Unsure { .. }), "{error}");
    assert_eq!(seen(&bucket).await, third.state);
}

#[tokio::test(start_paused = true)]
async fn who_was_taken_over_before_it_read_anything_does_not_begin() {
    let bucket = FakeObjectStore::default();
    let process = bucket.process();
    let guard = RemoteBackend::lock(&way(&process), &place(), "apply", NOW, LEASE).await.unwrap();
    process.stop();
    sleep(2 * LEASE).await;
    Engine::start(&bucket).await.end().await;
    process.resume();
    let why = is_fenced(RemoteBackend::open(&guard).await);
    assert!(why.contains("the lock of this run was force-released"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn l4_a_lock_is_taken_away_by_the_id_of_its_holder_only() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    let (somebody, id) = (way(&bucket.process()), engine.guard.holder().id.clone());
    let error = break_open(&somebody, &place(), "another", true).await.unwrap_err();
    let UnlockError::Another { given, holder: Some(holder) } = &error else { panic!("{error}") };
    assert_eq!((given.as_str(), &holder.id), ("another", &id));
    assert!(error.to_string().contains(&id), "{error}");
    let error = break_open(&somebody, &place(), &id, false).await.unwrap_err();
    assert!(matches!(error, UnlockError::Alive(_)), "this process runs: {error}");
    engine.record(&[create("base", 1)]).await.unwrap();
    assert!(lock(&bucket, NOW).await.unwrap_err().is_held());

    let broken = break_open(&somebody, &place(), &id, true).await.unwrap().unwrap();
    assert_eq!(broken.holder.unwrap().id, id);
    assert!(break_open(&somebody, &place(), &id, true).await.unwrap().is_none());
    let second = Engine::start(&bucket).await;
    assert_eq!(second.guard.epoch(), 2);
    is_fenced(engine.record(&[created("base", RecordStatus::Ready)]).await);
    is_fenced(engine.backend.fence().pass());
    assert_eq!(seen(&bucket).await, second.state);
}

#[tokio::test(start_paused = true)]
async fn one_that_nobody_can_see_is_taken_to_be_gone_by_whoever_says_so() {
    let bucket = FakeObjectStore::default();
    let engine = Engine::start(&bucket).await;
    pretend(&bucket, |holder| holder["host"] = "elsewhere".into());
    let id = &engine.guard.holder().id;
    break_open(&way(&bucket.process()), &place(), id, false).await.unwrap().unwrap();
    lock(&bucket, NOW).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_holder_whose_lock_was_taken_away_notices_at_its_next_renewal() {
    let bucket = FakeObjectStore::default();
    let engine = Engine::start(&bucket).await;
    let id = &engine.guard.holder().id;
    break_open(&way(&bucket.process()), &place(), id, true).await.unwrap();
    sleep(LEASE / 4 + Duration::from_secs(1)).await;
    let why = is_fenced(engine.backend.fence().pass());
    assert!(why.contains("the lock of this run was force-released"), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_taken_away_once_though_the_answer_is_lost_or_it_is_renewed_meanwhile() {
    let bucket = FakeObjectStore::default();
    let engine = Engine::start(&bucket).await;
    let (id, process) = (&engine.guard.holder().id, bucket.process());
    process.plan("PutObject", "lock.json", RequestFault::LostAnswer);
    break_open(&way(&process), &place(), id, true).await.unwrap().unwrap();
    let second = Engine::start(&bucket).await;
    let id = second.guard.holder().id.clone();
    let (somebody, moment) = (way(&process), Duration::from_secs(1));
    sleep(LEASE / 4 - moment).await;
    let breaking = tokio::spawn(async move { break_open(&somebody, &place(), &id, true).await });
    sleep(Duration::from_millis(15)).await; // it has looked, and is on its way back
    process.stop();
    sleep(2 * moment).await;
    process.resume();
    breaking.await.unwrap().unwrap().unwrap();
    assert_eq!(process.requests()["PutObject"], 2 + 2, "renewed meanwhile, done");
}

#[tokio::test(start_paused = true)]
async fn of_many_who_want_it_one_has_it_at_a_time_and_in_the_end_all_have_had_it() {
    let bucket = FakeObjectStore::default();
    let holding = Arc::new(Mutex::new(0));
    let mut turns = Vec::new();
    for _ in 0..8 {
        let (bucket, holding) = (bucket.clone(), Arc::clone(&holding));
        turns.push(tokio::spawn(async move {
            let guard = lock(&bucket, 10 * LEASE).await.unwrap();
            *holding.lock().unwrap() += 1;
            assert_eq!(*holding.lock().unwrap(), 1);
            sleep(LEASE / 2).await;
            *holding.lock().unwrap() -= 1;
            let epoch = guard.epoch();
            guard.release().await.unwrap();
            epoch
        }));
    }
    let mut epochs = BTreeSet::new();
    for turn in turns {
        epochs.insert(turn.await.unwrap());
    }
    assert_eq!(epochs, (1..=8).collect());
}

#[tokio::test(start_paused = true)]
async fn waiting_ends() {
    let bucket = FakeObjectStore::default();
    let _engine = Engine::start(&bucket).await;
    let began = Instant::now();
    let wait = Duration::from_secs(7);
    assert!(lock(&bucket, wait).await.unwrap_err().is_held());
    assert!(began.elapsed() >= wait && began.elapsed() < wait + Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_renewed_as_long_as_it_is_held_whatever_gets_lost() {
    for unlucky in [0.0, 0.3] {
        let bucket = FakeObjectStore::default();
        let mut engine = Engine::start(&bucket).await;
        engine.process.inject_random_faults(unlucky);
        for _ in 0..60 {
            assert!(lock(&bucket, NOW).await.unwrap_err().is_held());
            sleep(LEASE / 3).await;
        }
        engine.process.inject_random_faults(0.0);
        sleep(LEASE).await;
        engine.backend.fence().pass().unwrap();
        engine.record(&[create("base", 1)]).await.unwrap();
        engine.end().await;
        assert_eq!(lock_of(&bucket)["holder"], Value::Null);
        assert_eq!(
            (&lock_of(&bucket)["epoch"], &lock_of(&bucket)["recorded"]),
            (&1.into(), &2.into())
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_taken_with_a_lost_answer_is_taken_once() {
    for mishap in [
        RequestFault::LostAnswer,
        RequestFault::LostRequest,
        RequestFault::Busy,
        RequestFault::Silence,
    ] {
        let (bucket, lease) = (FakeObjectStore::default(), LEASE);
        let process = bucket.process();
        process.plan("PutObject", "lock.json", mishap);
        let guard =
            RemoteBackend::lock(&way(&process), &place(), "apply", NOW, lease).await.unwrap();
        assert_eq!(guard.epoch(), 1, "{mishap:?}");
        assert_eq!(lock_of(&bucket)["holder"]["id"], guard.holder().id);
        guard.fence().pass().unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_fence_shuts_at_three_quarters_and_opens_when_nobody_came_in_between() {
    let bucket = FakeObjectStore::default();
    let mut engine = Engine::start(&bucket).await;
    let fence = engine.backend.fence();
    sleep(LEASE / 4 * 5).await;
    for _ in 0..200 {
        engine.process.plan("PutObject", "lock.json", RequestFault::Denied("ExpiredToken"));
    }
    sleep(LEASE / 8 * 4).await;
    fence.pass().unwrap();
    sleep(LEASE / 8 * 2).await;
    let why = is_fenced(fence.pass());
    assert!(why.contains("was not renewed for") && why.contains("ExpiredToken"), "{why}");
    is_fenced(engine.backend.append(&[create("base", 1)]).await);
    sleep(20 * LEASE).await; // the tests' denials run out
    fence.pass().unwrap();
    engine.record(&[create("base", 1)]).await.unwrap();
    assert_eq!(seen(&bucket).await, engine.state);
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_dropped_lets_nothing_pass_and_others_wait_for_the_lease() {
    let bucket = FakeObjectStore::default();
    let Engine { guard, mut backend, .. } = Engine::start(&bucket).await;
    drop(guard);
    is_fenced(backend.append(&[create("base", 1)]).await);
    assert!(lock(&bucket, LEASE).await.unwrap_err().is_held());
    assert_eq!(lock(&bucket, LEASE).await.unwrap().epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_was_given_back_lets_nothing_pass_and_is_free_at_once() {
    let bucket = FakeObjectStore::default();
    let Engine { guard, mut backend, .. } = Engine::start(&bucket).await;
    guard.release().await.unwrap();
    is_fenced(backend.append(&[create("base", 1)]).await);
    assert_eq!(lock(&bucket, NOW).await.unwrap().epoch(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_home_that_holds_its_lock_gives_it_back_when_it_is_left() {
    let bucket = FakeObjectStore::default();
    let Engine { guard, mut backend, .. } = Engine::start(&bucket).await;
    backend.hold(guard);
    backend.append(&[create("base", 1)]).await.unwrap();
    backend.leave().await.unwrap();
    is_fenced(backend.append(&[created("base", RecordStatus::Ready)]).await);
    assert_eq!(lock(&bucket, NOW).await.unwrap().epoch(), 2);
    backend.leave().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn giving_back_what_somebody_else_has_is_no_failure() {
    let bucket = FakeObjectStore::default();
    let first = Engine::start(&bucket).await;
    first.process.stop();
    let second = lock(&bucket, 2 * LEASE).await.unwrap();
    first.process.resume();
    first.guard.release().await.unwrap();
    assert_eq!(lock_of(&bucket)["holder"]["id"], second.holder().id);
}

#[tokio::test(start_paused = true)]
async fn a_state_that_had_more_holders_than_its_lock_is_ahead_of_no_holder() {
    let bucket = FakeObjectStore::default();
    let brought = told(State::new("brought".to_owned()), &[crate::state::tests::run_started(7)]);
    bucket.plant(&place().snapshot(), crate::state::snapshot::write(&brought));
    let mut engine = Engine::start(&bucket).await;
    assert_eq!((engine.guard.epoch(), engine.state.epoch()), (8, 8));
    assert_eq!(lock_of(&bucket)["epoch"], 8);
    engine.record(&[create("base", 1)]).await.unwrap();
    assert_eq!(engine.end().await.lineage, "brought");
    assert_eq!(lock(&bucket, NOW).await.unwrap().epoch(), 9);
}

/// The renewal succeeded long ago, and only its response was late. A late response proves nothing
/// about the present.
#[tokio::test(start_paused = true)]
async fn a_renewal_counts_from_when_it_was_begun() {
    let bucket = FakeObjectStore::default();
    let engine = Engine::start(&bucket).await;
    let (renewals, fence) = (bucket.done().len() + 1, engine.backend.fence());
    while bucket.done().len() < renewals {
        sleep(Duration::from_millis(1)).await;
    }
    engine.process.stop();
    let passed = Arc::new(Mutex::new(Vec::new()));
    let (at_each_renewal, watched) = (Arc::clone(&passed), fence.clone());
    bucket.on_done(move |_| at_each_renewal.lock().unwrap().push(watched.pass().is_ok()));
    sleep(LEASE / 6 * 5).await;
    engine.process.resume();
    sleep(LEASE / 6).await;
    assert_eq!(*passed.lock().unwrap(), [false], "it was open before the next one went through");
    fence.pass().unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_finds_the_holder_and_writes_nothing() {
    let bucket = FakeObjectStore::default();
    let process = bucket.process();
    assert_eq!(remote_holder(&way(&process)).await, None);
    assert!(bucket.objects().is_empty());
    let guard = lock(&bucket, Duration::ZERO).await.unwrap();
    assert_eq!(remote_holder(&way(&process)).await.as_ref(), Some(guard.holder()));
    guard.release().await.unwrap();
    assert_eq!(remote_holder(&way(&process)).await, None);
}

async fn remote_holder(bucket: &Arc<dyn ObjectStore>) -> Option<LockHolder> {
    holder(bucket, &place()).await.unwrap()
}
