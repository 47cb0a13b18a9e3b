//! Tests of installed states and of moved states.

use super::*;

/// Returns a state with so many entries and a given lineage.
fn given(lineage: &str, entries: usize) -> State {
    told(State::new(lineage.to_owned()), &history()[..entries])
}

#[test]
fn a_state_is_installed_in_an_empty_folder_and_goes_on_there() {
    let (_root, dir) = place();
    let mut opened = open(&dir);
    let state = given("theirs", 20);
    opened.backend.install(&state).unwrap();
    assert_eq!(read_back(&dir), state);
    opened.backend.append(&history()[20..21]).unwrap();
    assert_eq!(read_back(&dir), given("theirs", 21));
}

#[test]
fn an_installed_state_replaces_what_was_there_and_keeps_it_as_a_backup() {
    let (_root, dir) = place();
    let OpenedLocal { mut backend, state, .. } = write(&dir, &history()[..10]);
    let journal = bytes(&dir, JOURNAL);
    let other = given(&state.lineage, 15);
    backend.install(&other).unwrap();
    assert_eq!(read_back(&dir), other);
    assert_eq!(bytes(&dir, "journal.backup"), journal);
}

#[test]
fn neither_an_older_state_nor_that_of_another_lineage_is_installed_over_one() {
    let (_root, dir) = place();
    let OpenedLocal { mut backend, state, .. } = write(&dir, &history()[..10]);
    for other in [given(&state.lineage, 9), given("theirs", 20)] {
        let error = backend.install(&other).unwrap_err();
        assert!(matches!(error, StateError::OutOfStep { .. }), "{error}");
    }
    assert_eq!(read_back(&dir), state);
}

/// Checks the folder at every kill point of an installation.
#[test]
fn a_crash_anywhere_in_an_installation_leaves_the_one_state_or_the_other() {
    for before in [0, 10] {
        let (_root, dir) = place();
        let lineage = match before {
            0 => "theirs".to_owned(),
            some => write(&dir, &history()[..some]).state.lineage,
        };
        fs::create_dir_all(&dir).unwrap();
        let (_root, after) = place();
        copy(&dir, &after);
        let state = given(&lineage, 20);
        open(&after).backend.install(&state).unwrap();
        let unsealed = snapshot::write_unsealed(&state);
        let sealed = bytes(&after, SNAPSHOT);
        let journal = bytes(&after, JOURNAL);
        let steps: &[(&str, &[u8])] = match before {
            0 => &[(SNAPSHOT, &unsealed), (JOURNAL, &journal), (SNAPSHOT, &sealed)],
            _ => &[(SNAPSHOT, &sealed), (JOURNAL, &journal)],
        };
        for (name, content) in steps {
            put(&dir, ".new-abc", &content[..content.len() / 2]);
            put(&dir, name, content);
            assert_eq!(read_back(&dir), state, "after {name}");
            let (_root, resumed) = place();
            copy(&dir, &resumed);
            open(&resumed).backend.append(&history()[20..21]).unwrap();
            assert_eq!(read_back(&resumed), given(&lineage, 21), "going on after {name}");
        }
    }
}

#[test]
fn a_state_that_has_moved_is_not_gone_on_with_until_it_is_at_home_again() {
    let (_root, dir) = place();
    let OpenedLocal { mut backend, state, .. } = write(&dir, &history()[..10]);
    backend.mark_moved("s3://states/prod").unwrap();
    let error = refusal(&dir);
    assert!(error.to_string().ends_with("the state was moved to s3://states/prod"), "{error}");
    assert!(error.hint().unwrap().contains("--state s3://states/prod"), "{:?}", error.hint());
    assert_eq!(LocalBackend::open_even_if_moved(&dir).unwrap().state, state);
    for _ in 0..2 {
        backend.unmark_moved().unwrap();
        assert_eq!(read_back(&dir), state);
    }
}

#[test]
fn an_older_program_does_not_go_on_with_what_has_moved_either() {
    let (_root, dir) = place();
    let old = concat!(env!("CARGO_MANIFEST_DIR"), "/src/state/migrate/fixtures/v1/young/before");
    copy(Path::new(old), &dir);
    let OpenedLocal { mut backend, state, .. } = open(&dir);
    backend.mark_moved("elsewhere").unwrap();
    let newer = format!("\"major\":{}", FORMAT.major);
    assert!(String::from_utf8(bytes(&dir, JOURNAL)).unwrap().contains(&newer));
    assert_eq!(LocalBackend::open_even_if_moved(&dir).unwrap().state, state);
}
