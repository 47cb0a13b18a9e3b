//! Readers of a state: a snapshot, a blank line, and journal entries, one per line.
//!
//! The target frames the entries itself, because no fuzzer finds a checksum. The unframed bytes
//! test the reader of frames.
#![no_main]

use groundplan_engine::state::journal::{JournalHeader, JournalReader, push_header, push_record};
use groundplan_engine::state::{Entry, FORMAT, State, snapshot};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    drain(bytes);
    let (first, second) = halves(bytes);
    let mut state = match snapshot::read(&mut first.to_vec()) {
        Ok(read) => read.state,
        Err(_) => State::new("lineage".to_owned()),
    };
    read_back(&state);
    let entries = second.split(|&byte| byte == b'\n').filter_map(|line| {
        serde_json::from_slice::<Entry>(line).ok()
    });
    let base = state.serial;
    let recorded: Vec<Entry> = entries.filter(|entry| state.record(entry).is_ok()).collect();
    read_back(&state);
    let mut text = Vec::new();
    let lineage = state.lineage.clone();
    push_header(&mut text, &JournalHeader { format: FORMAT, lineage: lineage.clone(), base });
    for (serial, entry) in (base + 1..).zip(&recorded) {
        push_record(&mut text, &lineage, serial, entry);
    }
    assert_eq!(drain(&text), Some(recorded.len()), "a journal is read as it was written");
});

/// The snapshot and the entries of an input.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    match bytes.windows(2).position(|pair| pair == b"\n\n") {
        Some(blank) => (&bytes[..blank + 1], &bytes[blank + 2..]),
        None => (bytes, bytes),
    }
}

/// Checks that a state is read as it was written.
fn read_back(state: &State) {
    let again = snapshot::read(&mut snapshot::write(state)).expect("a snapshot is a snapshot");
    assert!(again.sealed && again.state == *state, "a snapshot is read as it was written");
}

/// Returns the number of records in a journal; `None` if it cannot be read to its end.
fn drain(text: &[u8]) -> Option<usize> {
    let mut reader = JournalReader::new(text).ok()?;
    let mut records = 0;
    while reader.next_record().ok()?.is_some() {
        records += 1;
    }
    Some(records)
}
