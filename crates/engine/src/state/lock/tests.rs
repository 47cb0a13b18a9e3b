//! Tests of the lock: one holder at a time, killed holders, and descriptions of holders.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use super::*;

#[test]
fn the_second_is_told_who_is_first() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("not there yet");
    let first = acquire(&dir, "apply").unwrap();
    let error = acquire(&dir, "destroy").unwrap_err();
    assert!(error.is_held());
    let LockError::Held(holder) = &error else { panic!("{error}") };
    assert_eq!(**holder, *first.holder());
    assert_eq!(holder.is_alive(), Some(true));
    let message = error.to_string();
    for part in [&holder.user, &holder.host, "apply", &holder.since] {
        assert!(message.contains(part), "{message} lacks {part}");
    }
    assert!(message.contains(&format!("process {}", std::process::id())), "{message}");
    assert!(message.contains(&holder.id), "{message}");
}

#[test]
fn what_is_let_go_can_be_taken() {
    let dir = tempfile::tempdir().unwrap();
    let first = acquire(dir.path(), "apply").unwrap();
    let id = first.holder().id.clone();
    drop(first);
    assert!(!dir.path().join(HOLDER).exists());
    assert_ne!(acquire(dir.path(), "apply").unwrap().holder().id, id);
}

#[test]
fn whoever_waits_gets_it_when_it_is_let_go() {
    let dir = tempfile::tempdir().unwrap();
    let first = acquire(dir.path(), "apply").unwrap();
    let waiter = {
        let dir = dir.path().to_owned();
        thread::spawn(move || acquire_within(&dir, "plan", Duration::from_secs(120)).map(drop))
    };
    thread::sleep(Duration::from_millis(50));
    drop(first);
    waiter.join().unwrap().unwrap();
}

#[test]
fn waiting_ends() {
    let dir = tempfile::tempdir().unwrap();
    let _first = acquire(dir.path(), "apply").unwrap();
    let began = Instant::now();
    let wait = Duration::from_millis(250);
    assert!(acquire_within(dir.path(), "plan", wait).unwrap_err().is_held());
    assert!(began.elapsed() >= wait);
}

#[test]
fn a_holder_that_has_not_said_who_it_is_is_a_holder() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join(LOCK)).unwrap();
    file.lock().unwrap();
    let error = acquire(dir.path(), "plan").unwrap_err();
    assert!(matches!(error, LockError::HeldUnnamed(_)), "{error}");
    assert!(error.is_held());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a file");
    fs::write(&file, "").unwrap();
    let error = acquire(&file.join("prod"), "plan").unwrap_err();
    assert!(!error.is_held());
    assert!(error.to_string().contains("a file/prod"), "{error}");
}

/// Returns a lock whose description names another host. The lock itself is held here.
fn elsewhere(dir: &Path) -> (LocalLockGuard, LockHolder) {
    let guard = acquire(dir, "apply").unwrap();
    let boot = Some("another boot".to_owned());
    let holder = LockHolder { host: "far-away".to_owned(), boot, ..guard.holder().clone() };
    write_holder(dir, &dir.join(HOLDER), &holder).unwrap();
    (guard, holder)
}

#[test]
fn a_holder_out_of_reach_loses_the_lock_and_finds_itself_fenced_off() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, holder) = elsewhere(dir.path());
    let fence = theirs.fence();
    fence.pass().unwrap();
    let error = acquire(dir.path(), "plan").unwrap_err();
    assert!(matches!(error, LockError::Held(other) if *other == holder));

    let broken = break_open(dir.path(), &holder.id, false).unwrap().unwrap();
    assert_eq!(broken.holder.as_deref(), Some(&holder));
    assert!(matches!(fence.pass(), Err(StateError::Fenced { .. })), "no one has it yet");
    let ours = acquire(dir.path(), "plan").unwrap();
    assert!(matches!(fence.pass(), Err(StateError::Fenced { .. })), "we have it");
    ours.fence().pass().unwrap();
    drop(theirs);
    ours.fence().pass().unwrap();
    assert_eq!(read_holder(&dir.path().join(HOLDER)).as_ref(), Some(ours.holder()));
}

/// Case L4 of the reviewers' list.
#[test]
fn l4_a_lock_is_not_taken_away_by_a_wrong_id() {
    let dir = tempfile::tempdir().unwrap();
    let (theirs, holder) = elsewhere(dir.path());
    for wrong in ["", "another", UNNAMED, &holder.id[1..]] {
        for even_alive in [false, true] {
            let error = break_open(dir.path(), wrong, even_alive).unwrap_err();
            assert!(matches!(error, UnlockError::Another { .. }), "{error}");
            assert!(error.to_string().contains(&holder.id), "{error}");
        }
    }
    theirs.fence().pass().unwrap();
    assert!(acquire(dir.path(), "plan").unwrap_err().is_held());
}

#[test]
fn a_holder_that_runs_here_is_spared_unless_it_is_meant() {
    let dir = tempfile::tempdir().unwrap();
    let guard = acquire(dir.path(), "apply").unwrap();
    let id = guard.holder().id.clone();
    let error = break_open(dir.path(), &id, false).unwrap_err();
    assert!(matches!(error, UnlockError::Alive(_)), "{error}");
    guard.fence().pass().unwrap();
    assert!(break_open(dir.path(), &id, true).unwrap().is_some());
    assert!(guard.fence().pass().is_err());
}

#[test]
fn a_holder_without_a_name_is_meant_by_none() {
    let dir = tempfile::tempdir().unwrap();
    let file = File::create(dir.path().join(LOCK)).unwrap();
    file.lock().unwrap();
    let error = break_open(dir.path(), "7b0c", false).unwrap_err();
    assert!(matches!(error, UnlockError::Another { holder: None, .. }), "{error}");
    assert!(break_open(dir.path(), UNNAMED, false).unwrap().unwrap().holder.is_none());
    acquire(dir.path(), "plan").unwrap();
}

#[test]
fn a_lock_that_nobody_holds_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let id = acquire(dir.path(), "apply").unwrap().holder().id.clone();
    assert!(break_open(dir.path(), &id, false).unwrap().is_none());
    acquire(dir.path(), "plan").unwrap();
}

#[test]
fn a_lock_that_is_removed_by_hand_fences_its_holder_off() {
    let dir = tempfile::tempdir().unwrap();
    let guard = acquire(dir.path(), "apply").unwrap();
    fs::remove_file(dir.path().join(LOCK)).unwrap();
    let error = guard.fence().pass().unwrap_err();
    assert!(error.to_string().ends_with("the lock of this run was force-released"), "{error}");
}

#[test]
fn what_a_killed_writer_left_is_tidied_up() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join(".new-abc"), "half").unwrap();
    fs::write(dir.path().join(".old-abc"), "half").unwrap();
    fs::write(dir.path().join("notes"), "mine").unwrap();
    drop(acquire(dir.path(), "plan").unwrap());
    let left = fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap().file_name());
    let mut left: Vec<_> = left.collect();
    left.sort();
    assert_eq!(left, ["lock", "notes"]);
}

#[test]
fn the_lock_of_a_killed_holder_is_taken_over_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = child_that_holds(dir.path());
    let LockError::Held(holder) = acquire(dir.path(), "plan").unwrap_err() else {
        panic!("the holder is unnamed")
    };
    assert_eq!(holder.pid, child.id());
    child.kill().unwrap(); // SIGKILL
    child.wait().unwrap();
    assert_eq!(holder.is_alive(), Some(false));
    assert!(dir.path().join(HOLDER).exists(), "it should have had no time to tidy up");
    let guard = acquire(dir.path(), "plan").unwrap();
    let written: LockHolder =
        serde_json::from_slice(&fs::read(dir.path().join(HOLDER)).unwrap()).unwrap();
    assert_eq!(written, *guard.holder());
}

const CHILD: &str = "GROUNDPLAN_TEST_LOCK_DIR";

/// Starts this test program, limited to [`holds_until_it_is_killed`].
fn child_that_holds(dir: &Path) -> Child {
    let test = "state::lock::tests::holds_until_it_is_killed";
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--include-ignored"])
        .env(CHILD, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    let holds = said.lines().any(|line| line.unwrap().contains("it holds the lock"));
    assert!(holds, "the child ended early");
    child
}

#[test]
#[ignore = "the other half of the_lock_of_a_killed_holder_is_taken_over_at_once"]
#[expect(clippy::print_stdout, reason = "how the child tells its parent")]
fn holds_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD) else { return };
    let _guard = acquire(Path::new(&dir), "apply").unwrap();
    println!("it holds the lock");
    let _ = io::stdin().read_line(&mut String::new()); // ends with its parent at the latest
}

#[test]
fn a_reader_finds_the_holder_and_writes_nothing() {
    let place = tempfile::tempdir().unwrap();
    let dir = place.path().join("prod");
    assert_eq!(holder(&dir), None);
    assert!(!dir.exists());
    let guard = acquire(&dir, "apply").unwrap();
    assert_eq!(holder(&dir).as_ref(), Some(guard.holder()));
    let left_behind = fs::read(dir.join(HOLDER)).unwrap();
    drop(guard);
    assert_eq!(holder(&dir), None);
    // A killed process leaves its description.
    let mut ended: LockHolder = serde_json::from_slice(&left_behind).unwrap();
    ended.started = Some(0);
    fs::write(dir.join(HOLDER), serde_json::to_vec(&ended).unwrap()).unwrap();
    assert_eq!(holder(&dir), None);
}
