//! Tests of damaged files, and of files of other versions and states.

use super::*;

#[test]
fn every_prefix_of_a_journal_is_a_state_that_was_once_true() {
    let (_root, dir) = place();
    let entries = history();
    let lineage = write(&dir, &entries).state.lineage;
    let journal = bytes(&dir, JOURNAL);
    let states = once_true(&lineage, &entries);
    let header = journal.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let file = OpenOptions::new().write(true).open(dir.join(JOURNAL)).unwrap();
    for length in (header..=journal.len()).rev() {
        file.set_len(length as u64).unwrap();
        let OpenedLocal { state, warnings, .. } = open(&dir);
        let whole = journal[header..length].iter().filter(|&&byte| byte == b'\n').count();
        assert_eq!(state, states[whole], "after {length} bytes");
        assert_eq!(warnings.len(), usize::from(journal[length - 1] != b'\n'));
    }
    // A journal never appears without a complete header: the file gets its name when the header
    // exists.
    for length in (0..header).rev() {
        file.set_len(length as u64).unwrap();
        refusal(&dir);
    }
}

#[test]
fn no_changed_byte_of_a_journal_goes_unnoticed() {
    let (_root, dir) = place();
    let entries = &history()[..12];
    write(&dir, entries);
    let journal = bytes(&dir, JOURNAL);
    let before_last = told(State::new(read_back(&dir).lineage), &entries[..11]);
    let mut cut = 0;
    let file = OpenOptions::new().write(true).open(dir.join(JOURNAL)).unwrap();
    for (place, &byte) in journal.iter().enumerate() {
        for other in [byte ^ 0x01, byte ^ 0x02, byte ^ 0x20, byte ^ 0x80, !byte, b'\n', b' '] {
            if other == byte {
                continue;
            }
            file.write_all_at(&[other], place as u64).unwrap();
            match LocalBackend::open(&dir) {
                Err(error) => assert!(error.hint().is_some(), "{error}"),
                // Without its line break the last line reads as an interrupted write.
                Ok(OpenedLocal { state, warnings, .. }) => {
                    assert_eq!(place, journal.len() - 1);
                    assert_eq!(state, before_last);
                    assert_eq!(warnings.len(), 1);
                    cut += 1;
                }
            }
        }
        file.write_all_at(&[byte], place as u64).unwrap();
    }
    assert_eq!(cut, 6);
}

#[test]
fn a_damaged_record_is_named_and_can_be_cut_as_the_hint_says() {
    let (_root, dir) = place();
    let entries = history();
    let lineage = write(&dir, &entries).state.lineage;
    let mut journal = bytes(&dir, JOURNAL);
    let line = journal.split_inclusive(|&byte| byte == b'\n').take(8);
    let offset: usize = line.map(<[u8]>::len).sum();
    journal[offset + 30] ^= 1;
    put(&dir, JOURNAL, &journal);
    let error = refusal(&dir);
    let message = error.to_string();
    let named = format!("line 9, entry 8, byte {offset}: the checksum does not match");
    assert!(message.contains(&named), "{message}");
    assert!(message.contains("my states/prod/journal"), "{message}");
    let hint = error.hint().unwrap();
    let command = &hint[hint.find("cp ").unwrap()..];
    assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
    assert_eq!(bytes(&dir, "journal.damaged"), journal, "what is cut off is kept");
    assert_eq!(read_back(&dir), once_true(&lineage, &entries)[7]);
}

fn lines_of(text: &[u8]) -> Vec<Vec<u8>> {
    text.split_inclusive(|&byte| byte == b'\n').map(<[u8]>::to_vec).collect()
}

#[test]
fn lost_doubled_moved_and_foreign_records_are_noticed() {
    let (_root, dir) = place();
    write(&dir, &history());
    let journal = bytes(&dir, JOURNAL);
    let lines = lines_of(&journal);
    let (_other_root, other_dir) = place();
    write(&other_dir, &history());
    let other = lines_of(&bytes(&other_dir, JOURNAL));
    let try_with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        put(&dir, JOURNAL, &lines.concat());
        let StateError::Damaged { damage, .. } = refusal(&dir) else { panic!("not as damaged") };
        assert_eq!((damage.line, damage.serial), (6, Some(5)), "{damage}");
    };
    try_with(&|lines| drop(lines.remove(5)));
    try_with(&|lines| lines.insert(5, lines[4].clone()));
    try_with(&|lines| lines.swap(5, 6));
    try_with(&|lines| lines[5] = other[5].clone());
    try_with(&|lines| lines.insert(5, b"\n".to_vec()));
}

#[test]
fn a_cut_off_write_is_left_out_and_overwritten_by_the_next() {
    let (_root, dir) = place();
    let entries = history();
    write(&dir, &entries[..10]);
    let mut journal = bytes(&dir, JOURNAL);
    let whole = journal.len();
    journal.extend_from_slice(b"0123456789abcdef 11 {\"entry\":\"crea");
    put(&dir, JOURNAL, &journal);
    let mut opened = open(&dir);
    let expected = format!("incomplete and ignored (line 12, 34 bytes at byte {whole})");
    assert!(opened.warnings[0].contains(&expected), "{:?}", opened.warnings);
    assert_eq!(opened.state.serial, 10);
    assert_eq!(bytes(&dir, JOURNAL), journal, "opening changes nothing");
    opened.backend.append(&entries[10..11]).unwrap();
    assert_eq!(read_back(&dir), told(opened.state, &entries[10..11]));
}

#[test]
fn an_empty_file_is_never_a_new_state() {
    let (_root, dir) = place();
    write(&dir, &history());
    put(&dir, JOURNAL, b"");
    assert!(matches!(refusal(&dir), StateError::Empty { .. }), "the journal is all there was");
    fs::remove_file(dir.join(JOURNAL)).unwrap();
    let mut opened = write(&dir, &history());
    opened.backend.compact(&opened.state).unwrap();
    for name in [JOURNAL, SNAPSHOT] {
        let whole = bytes(&dir, name);
        put(&dir, name, b"");
        let error = refusal(&dir);
        assert!(matches!(error, StateError::Empty { .. }), "{error}");
        assert!(error.to_string().contains(name));
        assert!(error.hint().is_some());
        put(&dir, name, &whole);
    }
    assert_eq!(read_back(&dir), opened.state);
}

#[test]
fn a_missing_half_is_never_a_new_state() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history());
    opened.backend.compact(&opened.state).unwrap();
    let (snapshot, journal) = (bytes(&dir, SNAPSHOT), bytes(&dir, JOURNAL));
    for name in [SNAPSHOT, JOURNAL] {
        fs::remove_file(dir.join(name)).unwrap();
        let error = refusal(&dir);
        assert!(matches!(error, StateError::Missing { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
        put(&dir, SNAPSHOT, &snapshot);
        put(&dir, JOURNAL, &journal);
    }
    fs::remove_file(dir.join(SNAPSHOT)).unwrap();
    fs::remove_file(dir.join(JOURNAL)).unwrap();
    assert!(
        matches!(refusal(&dir), StateError::Missing { .. }),
        "the backups say that it was there"
    );
}

#[test]
fn a_damaged_snapshot_is_brought_back_from_the_backups_as_the_hint_says() {
    type Damaging = fn(&Path);
    let damage: [(&str, Damaging); 3] = [
        ("emptied", |dir| put(dir, SNAPSHOT, b"")),
        ("removed", |dir| fs::remove_file(dir.join(SNAPSHOT)).unwrap()),
        ("cut", |dir| put(dir, SNAPSHOT, &bytes(dir, SNAPSHOT)[..300])),
    ];
    for compactions in 1..=3 {
        for (how, damage) in damage {
            let (_root, dir) = place();
            let entries = history();
            for part in entries.chunks(entries.len() / compactions).take(compactions) {
                let mut opened = write(&dir, part);
                opened.backend.compact(&opened.state).unwrap();
            }
            let serial = open(&dir).state.serial;
            let lost = write(&dir, &[create("late", 3)]).state;
            damage(&dir);
            let hint = refusal(&dir).hint().unwrap();
            assert!(hint.contains(&format!("up to {}", serial + 1)), "{how}: {hint}");
            let command = &hint[hint.find("cd ").unwrap()..];
            let command = command.split("; to accept a manual change").next().unwrap();
            assert!(Command::new("sh").args(["-c", command]).status().unwrap().success());
            assert_eq!(read_back(&dir), lost, "{how}, {compactions} compactions");
        }
    }
}

#[test]
fn backups_that_do_not_help_are_not_recommended() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history());
    opened.backend.compact(&opened.state).unwrap();
    put(&dir, SNAPSHOT, b"{}");
    fs::remove_file(dir.join("journal.backup")).unwrap();
    let hint = refusal(&dir).hint().unwrap();
    assert!(hint.starts_with("restore state.json and journal from a backup"), "{hint}");
}

#[test]
fn a_snapshot_changed_by_hand_is_taken_when_its_writer_says_so() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &history());
    opened.backend.compact(&opened.state).unwrap();
    let text = String::from_utf8(bytes(&dir, SNAPSHOT)).unwrap();
    let edited = text.replace("n-base", "n-other");
    assert_ne!(edited, text);
    put(&dir, SNAPSHOT, edited.as_bytes());
    let error = refusal(&dir);
    assert!(error.to_string().contains("the checksum does not match the content"), "{error}");
    assert!(error.hint().unwrap().contains("replace its first line with `{`"));
    let (_, body) = edited.split_once('\n').unwrap();
    put(&dir, SNAPSHOT, format!("{{\n{body}").as_bytes());
    let state = read_back(&dir);
    assert_eq!(state.resources[&address("base")].outputs, json!({ "id": "n-other" }));
    fs::remove_file(dir.join(JOURNAL)).unwrap();
    let after = write(&dir, &[create("late", 3)]).state;
    assert_eq!(read_back(&dir), after);
}

#[test]
fn r6_a_newer_major_is_refused_and_not_touched() {
    let (_root, dir) = place();
    write(&dir, &history());
    let newer = Format { major: FORMAT.major + 1, minor: FORMAT.minor };
    let is_newer = |error: &StateError| matches!(error, StateError::NewerFormat { found, .. } if *found == newer);
    let by_hand = |name: &str| {
        let text = String::from_utf8(bytes(&dir, name)).unwrap();
        put(&dir, name, text.replacen("\"major\":4", "\"major\":5", 1).as_bytes());
    };
    let journal = bytes(&dir, JOURNAL);
    by_hand(JOURNAL);
    let error = refusal(&dir);
    assert!(is_newer(&error), "{error}");
    let newest = "journal: the file has format 5.3, but this program reads up to 4.3";
    assert!(error.to_string().ends_with(newest), "{error}");
    put(&dir, JOURNAL, &journal);
    let mut opened = open(&dir);
    opened.backend.compact(&opened.state).unwrap();
    by_hand(SNAPSHOT);
    assert!(is_newer(&refusal(&dir)));
}

#[test]
fn r6_fields_of_a_newer_minor_survive() {
    let (_root, dir) = place();
    let mut opened = write(&dir, &[create("a", 1), created("a", RecordStatus::Ready)]);
    let later = json!({ "of": "tomorrow" });
    opened.state.format.minor = 9;
    opened.backend.format.minor = 9;
    opened.state.unknown.insert("policy".to_owned(), later.clone());
    let record = opened.state.resources.get_mut(&address("a")).unwrap();
    record.unknown.insert("protected".to_owned(), later.clone());
    opened.backend.compact(&opened.state).unwrap();

    let mut opened = write(&dir, &[create("b", 1), created("b", RecordStatus::Ready)]);
    opened.backend.compact(&opened.state).unwrap();
    let state = read_back(&dir);
    assert_eq!(state.format, Format { minor: 9, ..FORMAT });
    assert_eq!(state.unknown["policy"], later);
    assert_eq!(state.resources[&address("a")].unknown["protected"], later);
    let journal = String::from_utf8(bytes(&dir, JOURNAL)).unwrap();
    assert!(journal.contains("\"minor\":9"), "{journal}");
}

#[test]
fn fields_that_a_newer_minor_wrote_into_the_journal_survive() {
    #[derive(serde::Serialize)]
    struct Newer {
        #[serde(flatten)]
        entry: Entry,
        protected: bool,
    }
    let (_root, dir) = place();
    let (lineage, format) = ("lineage".to_owned(), Format { minor: 9, ..FORMAT });
    let mut text = Vec::new();
    journal::push_header(&mut text, &JournalHeader { format, lineage, base: 0 });
    let newer = Newer { entry: create("a", 1), protected: true };
    journal::push(&mut text, "lineage", "1", &newer);
    journal::push_record(&mut text, "lineage", 2, &created("a", RecordStatus::Ready));
    put(&dir, JOURNAL, &text);

    let OpenedLocal { mut backend, state, .. } = open(&dir);
    let unknown = &state.resources[&address("a")].unknown;
    assert_eq!(unknown.len(), 1, "{unknown:?}");
    assert_eq!(unknown["protected"], true);
    backend.compact(&state).unwrap();
    assert_eq!(read_back(&dir), state);
}

#[test]
fn a_journal_of_another_state_is_refused() {
    let ((_root, dir), (_other_root, other_dir)) = (place(), place());
    for dir in [&dir, &other_dir] {
        let mut opened = write(dir, &history());
        opened.backend.compact(&opened.state).unwrap();
    }
    put(&dir, JOURNAL, &bytes(&other_dir, JOURNAL));
    let error = refusal(&dir);
    assert!(matches!(error, StateError::ForeignLineage { .. }), "{error}");
}

#[test]
fn a_snapshot_older_than_its_journal_is_refused() {
    let (_root, dir) = place();
    let entries = history();
    let mut opened = write(&dir, &entries[..20]);
    opened.backend.compact(&opened.state).unwrap();
    let old = bytes(&dir, SNAPSHOT);
    let mut opened = write(&dir, &entries[20..]);
    opened.backend.compact(&opened.state).unwrap();
    put(&dir, SNAPSHOT, &old);
    let message = refusal(&dir).to_string();
    let expected = format!(
        "the journal begins after entry {}, but state.json ends with entry 20",
        entries.len()
    );
    assert!(message.ends_with(&expected), "{message}");
}

#[test]
fn a_history_that_cannot_have_happened_is_refused_with_its_place() {
    let (_root, dir) = place();
    let mut opened = open(&dir);
    opened.backend.append(&[create("a", 1), created("b", RecordStatus::Ready)]).unwrap();
    let message = refusal(&dir).to_string();
    assert!(message.contains("line 3, entry 2, byte"), "{message}");
    assert!(
        message.ends_with("created node.b cannot follow: the address has no such record"),
        "{message}"
    );
}

#[test]
fn journals_are_joined_only_where_one_continues_the_other() {
    let (_root, dir) = place();
    let entries = history();
    let mut opened = write(&dir, &entries[..20]);
    opened.backend.compact(&opened.state).unwrap();
    let state = write(&dir, &entries[20..]).state;
    let (_other_root, other_dir) = place();
    write(&other_dir, &entries);
    fs::remove_file(dir.join(SNAPSHOT)).unwrap();
    let (earlier, later) = (bytes(&dir, "journal.backup"), bytes(&dir, JOURNAL));
    let join = |first: &[u8], second: &[u8]| put(&dir, JOURNAL, &[first, second].concat());
    join(&earlier, &later);
    assert_eq!(read_back(&dir), state);
    join(&lines_of(&earlier)[..20].concat(), &later);
    let message = refusal(&dir).to_string();
    assert!(message.contains("line 21, entry 20,"), "{message}");
    assert!(message.ends_with("the next entries continue entry 20"), "{message}");
    join(&earlier, &bytes(&other_dir, JOURNAL));
    let message = refusal(&dir).to_string();
    assert!(message.ends_with("the next entries belong to another state"), "{message}");
}
