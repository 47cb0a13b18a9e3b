//! Text of a snapshot: JSON with one line per resource, and a seal. Performs no I/O.
//!
//! ```text
//! {"checksum":"sha256:..",
//! "format":{"major":3,"minor":0},
//! "lineage":"0d1f..",
//! "serial":41,
//! ..
//! "resources":{
//! "subnet.private-a":{"generation":1,"status":"ready",..},
//! "vpc.main":{..}}}
//! ```
//!
//! Pretty-printed JSON would be half as large again and show less on a screen. The checksum covers
//! all text after the first line. A text without a checksum is accepted unchecked: a person wrote
//! it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::{Damage, FormatError};
use super::{FORMAT, Format, State, migrate};
use crate::secret::hex;

const SEAL: &str = "checksum";
const ALGORITHM: &str = "sha256:";

/// State read from a text.
#[derive(Debug)]
pub struct Snapshot {
    /// Recorded state.
    pub state: State,
    /// True if the text has a valid checksum.
    pub sealed: bool,
    /// Format of the text. The state itself has been migrated.
    pub format: Format,
}

/// Returns the text of a state, with a seal.
pub fn write(state: &State) -> Vec<u8> {
    let body = body(state);
    [seal(&body).as_bytes(), &body].concat()
}

/// Returns the text of a state without a seal, as a person would write it. Such a snapshot is valid
/// without a journal.
pub(super) fn write_unsealed(state: &State) -> Vec<u8> {
    [b"{\n", &*body(state)].concat()
}

fn body(state: &State) -> Vec<u8> {
    let mut body = Body(Vec::new());
    body.field("format", &state.format);
    body.field("lineage", &state.lineage);
    body.field("serial", &state.serial);
    body.field("generation", &state.generation);
    body.field("cluster", &state.cluster);
    body.lines("facts", &BTreeMap::from(state.lookup_cache.clone()));
    if !state.runs.is_empty() {
        body.field("runs", &state.runs);
    }
    body.lines("resources", &state.resources);
    if !state.deposed.is_empty() {
        body.lines("deposed", &state.deposed);
    }
    if !state.protected.is_empty() {
        body.field("protected", &state.protected);
    }
    for (field, value) in state.unknown.iter().filter(|(field, _)| *field != SEAL) {
        body.field(field, value);
    }
    body.finish()
}

/// Parses a snapshot. The content of `text` is undefined afterwards.
///
/// # Errors
/// Returns an error if the text is damaged or has an unknown major.
pub fn read(text: &mut [u8]) -> Result<Snapshot, FormatError> {
    let sealed = unseal(text).map_err(|why| probed(text, Damage::at_start(why)))?;
    let damaged = |error: serde_json::Error| FormatError::Damaged(Damage::of_json(text, &error));
    let SnapshotFormat { format } = serde_json::from_slice(text).map_err(damaged)?;
    if format.major > FORMAT.major {
        return Err(FormatError::NewerFormat(format));
    }
    if !migrate::is_known(format) {
        return Err(Damage::at_start(&format!("unknown format {format}")).into());
    }
    let state = if format.major < FORMAT.major { migrated(text, format) } else { plain(text) };
    Ok(Snapshot { state: state.map_err(damaged)?, sealed, format })
}

fn plain(text: &[u8]) -> serde_json::Result<State> {
    serde_json::from_slice(text)
}

fn migrated(text: &[u8], from: Format) -> serde_json::Result<State> {
    let mut fields: Map<String, Value> = serde_json::from_slice(text)?;
    migrate::snapshot(&mut fields, from);
    serde_json::from_value(Value::Object(fields))
}

/// Fields that every format has.
#[derive(Deserialize)]
struct SnapshotFormat {
    format: Format,
}

/// Checks the seal in the first line and overwrites it with spaces, so that the text parses as JSON
/// with unchanged positions. Returns true if there was a seal.
fn unseal(text: &mut [u8]) -> Result<bool, &'static str> {
    let end = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
    let (first, body) = text.split_at_mut(end);
    // One of the two words suffices. A damaged seal must not pass for a text without one.
    if !contains(first, SEAL) && !contains(first, ALGORITHM) {
        return Ok(false);
    }
    if first != seal(body).as_bytes() {
        return Err("the checksum does not match the content");
    }
    first[1..end - 1].fill(b' ');
    Ok(true)
}

fn seal(body: &[u8]) -> String {
    format!("{{\"{SEAL}\":\"{ALGORITHM}{}\",\n", hex(&Sha256::digest(body)))
}

fn contains(text: &[u8], word: &str) -> bool {
    text.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Recognises a newer major in an otherwise unreadable text.
fn probed(text: &[u8], damage: Damage) -> FormatError {
    match serde_json::from_slice(text) {
        Ok(SnapshotFormat { format }) if format.major > FORMAT.major => {
            FormatError::NewerFormat(format)
        }
        _ => FormatError::Damaged(damage),
    }
}

impl Damage {
    fn at_start(why: &str) -> Self {
        Damage { line: 1, offset: 0, serial: None, why: why.to_owned() }
    }

    fn of_json(text: &[u8], error: &serde_json::Error) -> Self {
        let line = error.line().max(1);
        let before = text.split_inclusive(|&byte| byte == b'\n').take(line - 1);
        let offset = before.map(<[u8]>::len).sum();
        Damage { line, offset, serial: None, why: error.to_string() }
    }
}

/// JSON object without its opening brace, which is in the line of the checksum.
struct Body(Vec<u8>);

impl Body {
    fn field<T: Serialize>(&mut self, name: &str, value: &T) {
        self.name(name);
        self.value(value);
    }

    /// Writes a map with one line per member.
    fn lines<'a, K, V>(&mut self, name: &str, members: impl IntoIterator<Item = (&'a K, &'a V)>)
    where
        K: Serialize + 'a,
        V: Serialize + 'a,
    {
        self.name(name);
        self.0.push(b'{');
        for (index, (key, value)) in members.into_iter().enumerate() {
            self.0.extend_from_slice(if index == 0 { b"\n" } else { b",\n" });
            self.value(key);
            self.0.push(b':');
            self.value(value);
        }
        self.0.push(b'}');
    }

    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.extend_from_slice(b",\n");
        }
        self.value(&Value::from(name));
        self.0.push(b':');
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) {
        serde_json::to_writer(&mut self.0, value).expect("BUG: plain data into memory");
    }

    fn finish(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> State {
        let mut state = State::new("a lineage".to_owned());
        state.lookup_cache.results.insert("zones".to_owned(), serde_json::json!(["a", "b"]));
        state.unknown.insert("of tomorrow".to_owned(), Value::from(7));
        state
    }

    #[test]
    fn what_is_written_is_read_and_is_plain_json() {
        let mut text = write(&sample());
        let plain: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(plain["facts"]["zones"][1], "b");
        let snapshot = read(&mut text).unwrap();
        assert!(snapshot.sealed);
        assert_eq!(snapshot.state, sample());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let text = write(&sample());
        for place in 0..text.len() {
            for bit in 0..8 {
                let mut damaged = text.clone();
                damaged[place] ^= 1 << bit;
                assert!(read(&mut damaged).is_err(), "bit {bit} of byte {place}");
            }
            assert!(read(&mut text[..place].to_vec()).is_err(), "cut at byte {place}");
        }
    }

    #[test]
    fn a_text_by_hand_needs_no_checksum() {
        let text = write(&sample());
        let body = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let mut by_hand = [b"{", &text[body..]].concat();
        let snapshot = read(&mut by_hand).unwrap();
        assert!(!snapshot.sealed);
        assert_eq!(snapshot.state, sample());
    }

    #[test]
    fn a_newer_major_is_named_whatever_else_it_says() {
        let newer = Format { major: FORMAT.major + 1, minor: 3 };
        let mut sealed = write(&State { format: newer, ..sample() });
        assert_eq!(read(&mut sealed).unwrap_err(), FormatError::NewerFormat(newer));
        let mut strange = br#"{"format":{"major":5,"minor":3},"resources":"elsewhere"}"#.to_vec();
        assert_eq!(read(&mut strange).unwrap_err(), FormatError::NewerFormat(newer));
    }
}
