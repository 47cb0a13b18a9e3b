//! Tests of the local backend: writes are read back in order, durably, with one writer at a time.

mod damage;
mod migration;
mod relocation;

use std::os::unix::fs::{FileExt, PermissionsExt};
use std::process::Command;

use proptest::prelude::*;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;

use super::*;
use crate::state::RecordStatus;
use crate::state::tests::{address, create, created, history, legal_history, told};

/// Returns a folder that does not exist yet, with a space in its name.
fn place() -> (TempDir, PathBuf) {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("my states").join("prod");
    (root, dir)
}

fn open(dir: &Path) -> OpenedLocal {
    LocalBackend::open(dir).unwrap()
}

/// Returns the state of a folder that contains only this journal. Asserts that there are no
/// warnings.
fn read_back(dir: &Path) -> State {
    let OpenedLocal { state, warnings, .. } = open(dir);
    assert_eq!(warnings, [""; 0]);
    state
}

/// Appends entries one by one, as an apply does, and returns the opened state.
fn write(dir: &Path, entries: &[Entry]) -> OpenedLocal {
    let mut opened = open(dir);
    for entry in entries {
        opened.state.record(entry).unwrap();
        opened.backend.append(std::slice::from_ref(entry)).unwrap();
    }
    opened
}

fn bytes(dir: &Path, name: &str) -> Vec<u8> {
    fs::read(dir.join(name)).unwrap()
}

fn put(dir: &Path, name: &str, content: &[u8]) {
    fs::create_dir_all(dir).unwrap();
    fs::write(dir.join(name), content).unwrap();
}

fn copy(from: &Path, to: &Path) {
    for file in fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        put(to, file.file_name().to_str().unwrap(), &fs::read(file.path()).unwrap());
    }
}

/// Asserts that a failing attempt to open the folder changes no file.
#[track_caller]
fn refusal(dir: &Path) -> StateError {
    let content = |name| fs::read(dir.join(name)).ok();
    let before = [SNAPSHOT, JOURNAL].map(content);
    let error = LocalBackend::open(dir).expect_err("it was opened");
    assert_eq!([SNAPSHOT, JOURNAL].map(content), before);
    error
}

/// Returns the state after each number of entries, from none to all.
fn once_true(lineage: &str, entries: &[Entry]) -> Vec<State> {
    let start = State::new(lineage.to_owned());
    (0..=entries.len()).map(|n| told(start.clone(), &entries[..n])).collect()
}

#[test]
fn a_missing_folder_is_a_new_state_and_stays_missing_until_something_is_recorded() {
    let (_root, dir) = place();
    let mut opened = open(&dir);
    assert_eq!(opened.state, State::new(opened.state.lineage.clone()));
    assert!(Uuid::parse_str(&opened.state.lineage).is_ok());
    assert_ne!(open(&dir).state.lineage, opened.state.lineage);
    opened.backend.append(&[]).unwrap();
    opened.backend.close(&opened.state).unwrap();
    opened.backend.compact(&opened.state).unwrap();
    assert!(!dir.exists());
    assert_eq!(opened.backend.bytes_written(), 0);
}

#[test]
fn what_was_appended_is_read_back() {
    let (_root, dir) = place();
    let opened = write(&dir, &history());
    assert_eq!(read_back(&dir), opened.state);
    assert_eq!(opened.backend.bytes_written(), bytes(&dir, JOURNAL).len() as u64);
}

#[test]
fn many_entries_at_once_are_what_they_are_one_by_one() {
    let (_root, dir) = place();
    let entries = history();
    let mut opened = open(&dir);
    opened.backend.append(&entries[..20]).unwrap();
    opened.backend.append(&entries[20..]).unwrap();
    assert_eq!(read_back(&dir), told(opened.state, &entries));
}

#[test]
fn a_state_goes_on_where_it_was_left() {
    let (_root, dir) = place();
    let entries = history();
    write(&dir, &entries[..15]);
    let mut second = write(&dir, &entries[15..30]);
    second.backend.compact(&second.state).unwrap();
    let third = write(&dir, &entries[30..]);
    assert_eq!(third.state, told(State::new(third.state.lineage.clone()), &entries));
    assert_eq!(read_back(&dir), third.state);
}

#[test]
fn folder_and_files_are_for_the_owner_alone() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history());
    opened.backend.compact(&opened.state).unwrap();
    let _guard = opened.backend.lock("apply").unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&dir), 0o700);
    let files: Vec<_> = fs::read_dir(&dir).unwrap().map(|file| file.unwrap().path()).collect();
    assert_eq!(files.len(), 5, "{files:?}");
    for file in files {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
    }
}

/// Checks the folder at every kill point of a compaction, distinguished by the renamed files.
#[test]
fn a_crash_anywhere_in_a_compaction_is_harmless() {
    let entries = history();
    let (_root, dir) = place();
    let mut opened = write(&dir, &entries[..20]);
    opened.backend.compact(&opened.state).unwrap();
    let state = write(&dir, &entries[20..]).state;
    let (_root, before) = place();
    copy(&dir, &before);
    let mut opened = open(&dir);
    opened.backend.compact(&opened.state).unwrap();
    let after = |name| bytes(&dir, name);

    let steps: [(&str, &str, Vec<u8>); 6] = [
        (".new-abc", "half a snapshot", after(SNAPSHOT)[..99].to_vec()),
        ("state.json.backup", "the backup of the snapshot", after("state.json.backup")),
        (SNAPSHOT, "the snapshot", after(SNAPSHOT)),
        (".new-xyz", "half a journal", after(JOURNAL)[..9].to_vec()),
        ("journal.backup", "the backup of the journal", after("journal.backup")),
        (JOURNAL, "the journal", after(JOURNAL)),
    ];
    for (name, what, content) in steps {
        put(&before, name, &content);
        assert_eq!(read_back(&before), state, "after {what}");
        let (_root, resumed) = place();
        copy(&before, &resumed);
        let mut opened = write(&resumed, &[create("late", 3)]);
        assert_eq!(read_back(&resumed), opened.state, "going on after {what}");
        opened.backend.compact(&opened.state).unwrap();
        assert_eq!(read_back(&resumed), opened.state, "compacting after {what}");
    }
}

#[test]
fn closing_compacts_when_the_journal_has_outgrown_the_snapshot() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history());
    opened.backend.close(&opened.state).unwrap();
    let snapshot = bytes(&dir, SNAPSHOT);
    assert!(bytes(&dir, JOURNAL).len() < 200, "nothing but a header");
    let mut opened = write(&dir, &[create("late", 3)]);
    opened.backend.close(&opened.state).unwrap();
    assert_eq!(bytes(&dir, SNAPSHOT), snapshot, "one more record is not worth a snapshot");
    assert_eq!(read_back(&dir), opened.state);
}

#[test]
fn what_is_written_grows_with_the_changes_and_not_with_their_square() {
    let written = |nodes: u64| {
        let (_root, dir) = place();
        let mut opened = open(&dir);
        for n in 0..nodes {
            let name = format!("n{n:06}");
            let entries = [create(&name, 1), created(&name, RecordStatus::Ready)];
            opened.state = told(opened.state, &entries);
            opened.backend.append(&entries).unwrap();
            if n % 10 == 9 {
                opened.backend.close(&opened.state).unwrap();
            }
        }
        opened.backend.bytes_written()
    };
    // A snapshot at every close would write fifty times as much for ten times the nodes.
    let (few, many) = (written(40), written(400));
    assert!(many < few * 15, "{few} bytes for 40, {many} for 400");
}

#[test]
fn every_resource_has_a_line_of_its_own() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history());
    opened.backend.compact(&opened.state).unwrap();
    let text = String::from_utf8(bytes(&dir, SNAPSHOT)).unwrap();
    let lines = text.lines().filter(|line| line.starts_with("\"node.")).count();
    assert_eq!(lines, opened.state.resources.len() + opened.state.deposed.len());
    assert!(serde_json::from_str::<Value>(&text).is_ok());
}

#[test]
fn what_somebody_else_has_moved_on_is_not_continued() {
    let (_root, dir) = place();
    let entries = history();
    write(&dir, &entries[..5]);
    let mut late = open(&dir);
    write(&dir, &entries[5..6]);
    let error = late.backend.append(&entries[5..6]).unwrap_err();
    assert!(matches!(error, StateError::Changed { .. }), "{error}");
    assert_eq!(read_back(&dir).serial, 6);

    let mut late = open(&dir);
    let mut other = open(&dir);
    other.backend.compact(&other.state).unwrap();
    assert!(matches!(late.backend.append(&entries[6..7]), Err(StateError::Changed { .. })));
    assert!(matches!(late.backend.compact(&late.state), Err(StateError::Changed { .. })));
}

#[test]
fn two_new_states_do_not_overwrite_each_other() {
    let (_root, dir) = place();
    let mut late = open(&dir);
    let first = write(&dir, &history());
    assert!(matches!(late.backend.append(&history()[..1]), Err(StateError::Changed { .. })));
    assert_eq!(read_back(&dir), first.state);
}

#[test]
fn only_the_state_that_was_recorded_is_written() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history()[..4]);
    let earlier = told(State::new(opened.state.lineage.clone()), &history()[..3]);
    assert!(matches!(
        opened.backend.compact(&earlier),
        Err(StateError::OutOfStep { given: 3, recorded: 4, .. })
    ));
    let foreign = told(State::new("another".to_owned()), &history()[..4]);
    assert!(matches!(opened.backend.close(&foreign), Err(StateError::OutOfStep { .. })));
    assert!(!dir.join(SNAPSHOT).exists());
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a file", b"");
    let dir = root.path().join("a file/prod");
    let error = LocalBackend::open(&dir).unwrap_err(); // not missing: it cannot be there
    assert!(error.to_string().starts_with("read "), "{error}");
    let error = make_folder(&dir).unwrap_err();
    assert_eq!(error.to_string(), format!("create {}", dir.display()));
}

#[test]
fn a_read_only_folder_is_named_and_nothing_counts_as_recorded() {
    let (_root, dir) = place();
    fs::create_dir_all(&dir).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o500)).unwrap();
    let for_root = File::create(dir.join("probe")).is_ok(); // root may write everywhere
    let mut opened = open(&dir);
    let appended = opened.backend.append(&history()[..1]);
    assert_eq!(appended.is_ok(), for_root);
    if let Err(error) = appended {
        assert_eq!(error.to_string(), format!("write {}", dir.join(JOURNAL).display()));
        assert!(error.hint().unwrap().contains("--state"));
        assert_eq!(opened.backend.serial, 0);
    }
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn the_lock_of_a_home_names_its_holder() {
    let (_root, dir) = place();
    let opened = open(&dir);
    let guard = opened.backend.lock("apply").unwrap();
    let LockError::Held(holder) = open(&dir).backend.lock("destroy").unwrap_err() else {
        panic!("the holder is unnamed")
    };
    assert_eq!(&*holder, guard.holder());
    assert_eq!(read_back(&dir).serial, 0, "a locked folder can be read, and is new");
}

#[test]
fn nothing_is_written_once_the_lock_is_lost() {
    let (_root, dir) = place();
    let entries = history();
    write(&dir, &entries[..5]);
    let guard = lock::acquire(&dir, "apply").unwrap();
    let (fence, id) = (guard.fence(), guard.holder().id.clone());
    let mut opened = open(&dir);
    opened.backend.hold(guard);
    opened.backend.append(&entries[5..6]).unwrap();
    let state = told(opened.state, &entries[5..6]);

    lock::break_open(&dir, &id, true).unwrap();
    for written in [opened.backend.append(&entries[6..7]), opened.backend.compact(&state)] {
        let error = written.unwrap_err();
        assert!(matches!(error, StateError::Fenced { .. }), "{error}");
    }
    assert!(fence.pass().is_err() && opened.backend.fence().pass().is_err());
    assert_eq!(read_back(&dir), state);
    let _next = lock::acquire(&dir, "plan").unwrap();
}

const FULL: &str = "GROUNDPLAN_TEST_FULL_DIR";

/// Runs the test below with files limited to 8 blocks, as on a full disk.
#[test]
fn a_full_disk_leaves_the_journal_as_it_was() {
    let (_root, dir) = place();
    let limited = "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\"";
    let test = "state::local::tests::appends_until_the_disk_is_full";
    let output = Command::new("sh")
        .args(["-c", limited])
        .arg(std::env::current_exe().unwrap())
        .args([test, "--exact", "--include-ignored", "--nocapture"])
        .env(FULL, &dir)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let OpenedLocal { mut backend, state, warnings, .. } = open(&dir);
    assert_eq!(warnings, [""; 0]);
    assert!(state.serial > 4, "{}", state.serial);
    backend.append(&[create("again", 1)]).unwrap();
    assert_eq!(read_back(&dir), told(state, &[create("again", 1)]));
}

#[test]
#[ignore = "the other half of a_full_disk_leaves_the_journal_as_it_was"]
fn appends_until_the_disk_is_full() {
    let Some(dir) = std::env::var_os(FULL).map(PathBuf::from) else { return };
    let mut opened = open(&dir);
    for n in 0..1000 {
        let entries = [create(&format!("n{n}"), 1), created(&format!("n{n}"), RecordStatus::Ready)];
        let before = fs::read(dir.join(JOURNAL)).ok();
        if let Err(error) = opened.backend.append(&entries) {
            assert!(matches!(error, StateError::Unwritable { action: "write", .. }), "{error}");
            assert_eq!(fs::read(dir.join(JOURNAL)).ok(), before);
            assert_eq!(read_back(&dir), opened.state);
            let small = Entry::LookupRecorded { lookup: "q".into(), answer: Value::Null };
            opened.state.record(&small).unwrap();
            opened.backend.append(&[small]).unwrap(); // there is room for this one
            assert_eq!(read_back(&dir), opened.state);
            return;
        }
        opened.state = told(opened.state, &entries);
    }
    panic!("the disk was never full");
}

proptest! {
    // Each case waits for the disk many times.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn any_history_is_read_back_however_it_was_written(
        entries in legal_history(),
        groups in prop::collection::vec((1..9usize, 0..6u8), 60),
    ) {
        let (_root, dir) = place();
        let mut opened = open(&dir);
        let start = opened.state.clone();
        let mut left = &entries[..];
        for (size, then) in groups {
            let (group, rest) = left.split_at(size.min(left.len()));
            left = rest;
            opened.backend.append(group).unwrap();
            opened.state = told(opened.state, group);
            match then {
                0 => opened.backend.compact(&opened.state).unwrap(),
                1 => opened.backend.close(&opened.state).unwrap(),
                2 if opened.state.serial > 0 => opened = open(&dir),
                _ => (),
            }
        }
        prop_assert_eq!(&opened.state.resources, &told(start, &entries).resources);
        if opened.state.serial > 0 {
            prop_assert_eq!(read_back(&dir), opened.state);
        }
    }
}

#[test]
fn an_idle_lock_is_known_beside_a_state_and_alone() {
    let (_root, dir) = place();
    write(&dir, &history());
    fs::write(dir.join("lock"), "").unwrap();
    assert!(is_lock_of_state(&dir.join("lock")) && !is_lock_of_state(&dir.join("journal")));
    let other = dir.join("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("lock"), "").unwrap();
    assert!(is_lock_of_state(&other.join("lock")), "no run has recorded anything");
    fs::write(other.join("notes"), "").unwrap();
    assert!(!is_lock_of_state(&other.join("lock")), "another file of that name");
}
