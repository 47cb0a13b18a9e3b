//! Tests of migrations: older states are read, migrated at the first write, and kept as copies.

use super::*;
use crate::state::tests::update;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/state/migrate/fixtures");

/// Returns all stored states, with their majors.
fn yesterday() -> Vec<(u32, PathBuf)> {
    let majors = 1..FORMAT.major;
    let cases = majors.flat_map(|major| {
        let folder = Path::new(FIXTURES).join(format!("v{major}"));
        let cases = fs::read_dir(folder).expect("every older major has its fixtures");
        cases.map(move |case| (major, case.unwrap().path()))
    });
    let mut cases: Vec<_> = cases.collect();
    cases.sort();
    cases
}

/// Returns a copy of the files of an older program.
fn left_behind(case: &Path) -> (TempDir, PathBuf) {
    let (root, dir) = place();
    copy(&case.join("before"), &dir);
    (root, dir)
}

fn v1(name: &str) -> PathBuf {
    Path::new(FIXTURES).join("v1").join(name)
}

fn original(name: &str) -> String {
    original_of(1, name)
}

fn original_of(major: u32, name: &str) -> String {
    format!("{name}.v{major}.backup")
}

fn maybe(dir: &Path, name: &str) -> Option<Vec<u8>> {
    fs::read(dir.join(name)).ok()
}

fn files(dir: &Path) -> Vec<String> {
    let files = fs::read_dir(dir).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<_> = files.map(|name| name.into_string().unwrap()).collect();
    files.sort();
    files
}

/// Returns an entry that every stored state accepts.
fn news() -> Entry {
    Entry::LookupRecorded { lookup: "image".to_owned(), answer: json!("ami-1") }
}

/// Asserts that no journal has records of one format after the header of another.
#[track_caller]
fn assert_unmixed(dir: &Path, before: &Path) {
    let Some(journal) = maybe(dir, JOURNAL) else { return };
    if maybe(before, JOURNAL).is_some_and(|before| before == journal) {
        return;
    }
    let header = journal.split(|&byte| byte == b'\n').next().unwrap();
    let expected = format!("\"format\":{{\"major\":{},", FORMAT.major);
    let header = String::from_utf8_lossy(header);
    assert!(header.contains(&expected), "{header}");
}

#[test]
fn every_state_of_an_older_program_becomes_what_is_kept_beside_it() {
    let cases = yesterday();
    assert!(cases.len() >= 5, "{cases:?}");
    for (major, case) in cases {
        let name = case.display();
        let (_root, dir) = left_behind(&case);
        let before = files(&dir);
        let mut opened = open(&dir);
        assert_eq!(opened.older.map(|format| format.major), Some(major), "{name}");
        assert_eq!(opened.state.format, FORMAT, "{name}");
        opened.backend.compact(&opened.state).unwrap();
        for file in [SNAPSHOT, JOURNAL] {
            let kept = case.join("after").join(file);
            let found = bytes(&dir, file);
            if std::env::var_os("GROUNDPLAN_BLESS").is_some() {
                put(&case.join("after"), file, &found);
            }
            let (found, kept) = (String::from_utf8(found), fs::read_to_string(kept));
            assert_eq!(found.unwrap(), kept.unwrap_or_default(), "{name}/after/{file}");
        }
        for file in before {
            let original = original_of(major, &file);
            assert_eq!(bytes(&dir, &original), bytes(&case.join("before"), &file), "{name}");
        }
        let again = open(&dir);
        assert_eq!((again.state, again.older), (opened.state, None), "{name}");
    }
}

/// A minor is written with the first entry. Older programs keep the new keys as lookup results.
#[test]
fn a_state_of_an_older_minor_gets_the_current_one_and_both_keep_a_retired_part() {
    let (_root, dir) = place();
    let older = Format { major: 4, minor: 1 };
    let state = State { format: older, serial: 3, ..State::new("lineage".to_owned()) };
    put(&dir, SNAPSHOT, &snapshot::write_unsealed(&state));
    let mut opened = open(&dir);
    assert_eq!(opened.state.format, FORMAT);
    let retired = opened.state.lookup_cache.retired_entry("bootstrap", Some("today".to_owned()));
    opened.state.record(&retired).unwrap();
    opened.backend.append(&[retired]).unwrap();
    opened.backend.compact(&opened.state).unwrap();
    let text: Value = serde_json::from_slice(&bytes(&dir, SNAPSHOT)).unwrap();
    assert_eq!(text["format"], json!(FORMAT));
    assert_eq!(text["facts"], json!({ "retired": { "bootstrap": "today" } }));
    assert_eq!(open(&dir).state.lookup_cache.retired["bootstrap"], "today");
}

/// Case R7 of the reviewers' list.
#[test]
fn r7_a_state_of_an_older_format_is_migrated_and_its_original_is_kept() {
    let case = v1("both");
    let (_root, dir) = left_behind(&case);
    let OpenedLocal { mut backend, state, warnings, older } = open(&dir);
    assert_eq!((warnings.len(), older), (0, Some(Format { major: 1, minor: 0 })));
    assert_eq!(state.resources.len(), 2);
    assert_eq!(state.resources["instance.master-0"].outputs, json!({ "id": "i-02" }));

    backend.append(&[news()]).unwrap();
    assert_eq!(read_back(&dir), told(state, &[news()]));
    for file in [SNAPSHOT, JOURNAL] {
        assert_eq!(bytes(&dir, &original(file)), bytes(&case.join("before"), file));
        let ours = format!("\"format\":{{\"major\":{}", FORMAT.major);
        let text = String::from_utf8(bytes(&dir, file)).unwrap();
        assert!(text.contains(&ours) && !text.contains("\"major\":1"), "{text}");
    }
    backend.append(&[update_of("vpc.main")]).unwrap();
    assert!(open(&dir).older.is_none(), "it is migrated once");
}

fn update_of(address: &str) -> Entry {
    let Entry::UpdateStarted { inputs, after, .. } = update("a") else { unreachable!() };
    Entry::UpdateStarted { address: address.into(), inputs, after, revert: Vec::new() }
}

#[test]
fn whoever_records_nothing_migrates_nothing() {
    for (_, case) in yesterday() {
        let (_root, dir) = left_behind(&case);
        let mut opened = open(&dir);
        opened.backend.append(&[]).unwrap();
        opened.backend.close(&opened.state).unwrap();
        assert_eq!(files(&dir), files(&case.join("before")));
        for file in files(&dir) {
            assert_eq!(bytes(&dir, &file), bytes(&case.join("before"), &file));
        }
    }
}

#[test]
fn what_an_older_program_did_not_know_is_kept() {
    let (_root, dir) = left_behind(&v1("by-hand"));
    let mut opened = open(&dir);
    assert_eq!(opened.older, Some(Format { major: 1, minor: 3 }));
    opened.backend.append(&[news()]).unwrap();
    let state = read_back(&dir);
    assert_eq!(state.unknown["policy"], json!({ "protect": ["vpc.main"] }));
    assert_eq!(state.resources["vpc.main"].unknown["protected"], json!(true));
}

/// Checks the folder at every kill point of a migration, distinguished by the renamed files.
#[test]
fn a_crash_anywhere_in_a_migration_leaves_the_old_or_the_new() {
    for (major, case) in yesterday() {
        let original = |name: &str| original_of(major, name);
        let (_root, after) = left_behind(&case);
        let mut opened = open(&after);
        let state = opened.state.clone();
        opened.backend.compact(&state).unwrap();
        let (_root, dir) = left_behind(&case);
        let (snapshot, journal) = (original(SNAPSHOT), original(JOURNAL));
        let order: &[&str] = match dir.join(JOURNAL).exists() {
            true => {
                &[&snapshot, &journal, "state.json.backup", SNAPSHOT, "journal.backup", JOURNAL]
            }
            false => &[&snapshot, JOURNAL, "state.json.backup", SNAPSHOT],
        };
        for name in order.iter().copied().filter(|name| after.join(name).exists()) {
            let whole = bytes(&after, name);
            for (name, content) in [(".new-abc", &whole[..whole.len() / 2]), (name, &whole)] {
                put(&dir, name, content);
                let what = format!("{}, after {name}", case.display());
                assert_eq!(open(&dir).state, state, "{what}");
                let (_root, resumed) = place();
                copy(&dir, &resumed);
                open(&resumed).backend.append(&[news()]).unwrap();
                assert_unmixed(&resumed, &case.join("before"));
                let state = told(state.clone(), &[news()]);
                assert_eq!(open(&resumed).state, state, "going on: {what}");
                for file in files(&case.join("before")) {
                    let kept = bytes(&resumed, &original(&file));
                    assert_eq!(kept, bytes(&case.join("before"), &file), "{what}");
                }
                assert!(!resumed.join(format!("state.json.v{major}-2.backup")).exists(), "{what}");
            }
        }
        assert_eq!(open(&dir).older, None);
    }
}

#[test]
fn an_original_that_is_kept_is_never_overwritten() {
    let (_root, dir) = left_behind(&v1("both"));
    open(&dir).backend.append(&[news()]).unwrap();
    // The user goes back to the older program, continues there, and returns.
    copy(&v1("compaction-cut-short").join("before"), &dir);
    open(&dir).backend.append(&[news()]).unwrap();
    for file in [SNAPSHOT, JOURNAL] {
        let first = bytes(&v1("both").join("before"), file);
        assert_eq!(bytes(&dir, &original(file)), first);
        let second = bytes(&v1("compaction-cut-short").join("before"), file);
        let same = first == second;
        assert_eq!(maybe(&dir, &format!("{file}.v1-2.backup")), (!same).then_some(second));
    }
}

#[test]
fn a_snapshot_that_is_lost_after_a_migration_comes_back_as_the_hint_says() {
    for case in ["young", "both"] {
        let (_root, dir) = left_behind(&v1(case));
        open(&dir).backend.append(&[news()]).unwrap();
        let state = read_back(&dir);
        put(&dir, SNAPSHOT, b"");
        let hint = refusal(&dir).hint().unwrap();
        assert!(hint.contains(&format!("up to {}", state.serial)), "{hint}");
        let command = &hint[hint.find("cd ").unwrap()..];
        assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
        // The joined journal has two formats; it is read and gets one format at the next write.
        assert_eq!(open(&dir).state, state, "{case}");
        open(&dir).backend.append(&[update_of("vpc.main")]).unwrap();
        assert_eq!(read_back(&dir), told(state, &[update_of("vpc.main")]), "{case}");
        assert!(open(&dir).older.is_none());
    }
}

#[test]
fn a_state_that_is_gone_but_for_its_originals_is_not_a_new_one() {
    let (_root, dir) = left_behind(&v1("both"));
    fs::rename(dir.join(SNAPSHOT), dir.join(original(SNAPSHOT))).unwrap();
    fs::remove_file(dir.join(JOURNAL)).unwrap();
    assert!(matches!(refusal(&dir), StateError::Missing { .. }));
}

#[test]
fn a_format_that_never_was_is_refused() {
    for (name, case) in [(JOURNAL, "young"), (SNAPSHOT, "by-hand")] {
        let (_root, dir) = left_behind(&v1(case));
        let text = String::from_utf8(bytes(&dir, name)).unwrap();
        let text = text.replacen("\"major\":1", "\"major\":0", 1);
        put(&dir, name, text.replacen("\"major\": 1", "\"major\": 0", 1).as_bytes());
        let message = refusal(&dir).to_string();
        assert!(message.contains("unknown format 0."), "{message}");
    }
}

#[test]
fn what_cannot_be_kept_is_not_replaced() {
    let (_root, dir) = left_behind(&v1("both"));
    let mut opened = open(&dir);
    let taken = dir.join(original(JOURNAL));
    std::os::unix::fs::symlink("nowhere", &taken).unwrap(); // a name that cannot be had
    let error = opened.backend.append(&[news()]).unwrap_err();
    assert!(error.to_string().starts_with("back up "), "{error}");
    assert_eq!(bytes(&dir, SNAPSHOT), bytes(&v1("both").join("before"), SNAPSHOT));
    fs::remove_file(taken).unwrap();
    opened.backend.append(&[news()]).unwrap();
    assert_eq!(read_back(&dir), told(opened.state, &[news()]));
}
