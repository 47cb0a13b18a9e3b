//! Text of a journal: one line per record, each with a proof of its position. Performs no I/O.
//!
//! ```text
//! 93a3c1f0e2b47d58 journal {"format":{"major":3,"minor":0},"lineage":"0d1f..","base":12}
//! 5be0a8c14f7d2936 13 {"entry":"create_started","address":"vpc.main",..}
//! ```
//!
//! A record's checksum covers lineage, serial and content, and serials have no gaps. A changed,
//! lost, repeated, moved or foreign record is therefore detected. Only the text after the last line
//! break can be arbitrary, because an interrupted write ends there.
//!
//! Journals of one state may be joined (`cat earlier later`). A header inside the text must begin
//! at the end of the records before it, and contains the format of the records after it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::{Damage, FormatError, LinePosition};
use super::{Entry, FORMAT, Format, State, migrate};
use crate::secret::hex;

/// First line. Newer majors keep its structure, so that older programs can reject them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalHeader {
    /// Format of the records that follow.
    pub format: Format,
    /// Lineage of the state.
    pub lineage: String,
    /// Serial before the first record.
    pub base: u64,
}

/// Record of a journal.
#[derive(Clone, Debug, PartialEq)]
pub struct JournalLine {
    /// Serial of the record.
    pub serial: u64,
    /// Entry of the record.
    pub entry: Entry,
    /// Fields of a newer minor version; they belong to the record that the entry is about.
    pub unknown: BTreeMap<String, Value>,
    /// Position of the line.
    pub place: LinePosition,
}

const LABEL: &str = "journal";
const CHECKSUM: usize = 16;

/// Appends the first line to `text`.
pub fn push_header(text: &mut Vec<u8>, header: &JournalHeader) {
    push(text, "", LABEL, header);
}

/// Appends one record to `text`.
pub fn push_record(text: &mut Vec<u8>, lineage: &str, serial: u64, entry: &Entry) {
    push(text, lineage, &serial.to_string(), entry);
}

pub(super) fn push<T: Serialize>(text: &mut Vec<u8>, lineage: &str, label: &str, content: &T) {
    let begin = text.len();
    text.extend_from_slice(&[b'-'; CHECKSUM]);
    text.push(b' ');
    text.extend_from_slice(label.as_bytes());
    text.push(b' ');
    let content_begin = text.len();
    serde_json::to_writer(&mut *text, content).expect("BUG: plain data into memory");
    let checksum = checksum(lineage, label, &text[content_begin..]);
    text[begin..begin + CHECKSUM].copy_from_slice(checksum.as_bytes());
    text.push(b'\n');
}

fn checksum(lineage: &str, label: &str, content: &[u8]) -> String {
    let digest = Sha256::new()
        .chain_update(lineage)
        .chain_update(b"\n")
        .chain_update(label)
        .chain_update(b"\n")
        .chain_update(content);
    hex(&digest.finalize()[..CHECKSUM / 2])
}

/// Reader of the records of a journal, in order.
#[derive(Debug)]
pub struct JournalReader<'a> {
    text: &'a [u8],
    next: LinePosition,
    header: JournalHeader,
    /// Serial of the last record read.
    serial: u64,
    /// Format of the records that come next.
    format: Format,
    /// Oldest format of all parts.
    oldest: Format,
}

impl<'a> JournalReader<'a> {
    /// Reads the first line.
    ///
    /// # Errors
    /// Returns an error if the line is damaged, incomplete, or of an unknown major.
    pub fn new(text: &'a [u8]) -> Result<Self, FormatError> {
        let place = LinePosition { line: 1, offset: 0 };
        let broken = |why: &str| damage(place, None, why);
        let end = line_end(text, 0).ok_or_else(|| broken("the first line is incomplete"))?;
        let frame = Frame::parse(&text[..end]).ok_or_else(|| broken("not a journal"))?;
        let header = frame.header(place)?;
        let (format, serial) = (header.format, header.base);
        let next = LinePosition { line: 2, offset: end + 1 };
        Ok(Self { text, next, serial, header, format, oldest: format })
    }

    /// Returns the first line.
    pub fn header(&self) -> &JournalHeader {
        &self.header
    }

    /// Returns the serial of the last record read.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// Returns the oldest format of the text read. A journal is extended only if all of it has the
    /// current format.
    pub fn oldest(&self) -> Format {
        self.oldest
    }

    /// Returns the number of bytes in complete lines. After the last record, the rest is torn.
    pub fn end(&self) -> usize {
        self.next.offset
    }

    /// Returns the position and length of an interrupted write; `None` if there is none. Valid
    /// after the last record.
    pub fn torn(&self) -> Option<(LinePosition, usize)> {
        let length = self.text.len() - self.next.offset;
        (length > 0).then_some((self.next, length))
    }

    /// Returns the next record; `None` at the end of the complete lines.
    ///
    /// # Errors
    /// Returns an error if the record has changed since it was written.
    pub fn next_record(&mut self) -> Result<Option<JournalLine>, FormatError> {
        while let Some(end) = line_end(self.text, self.next.offset) {
            let place = self.next;
            self.next = LinePosition { line: place.line + 1, offset: end + 1 };
            let broken = || damage(place, Some(self.serial + 1), "not a journal entry");
            let frame = Frame::parse(&self.text[place.offset..end]).ok_or_else(broken)?;
            if frame.label == LABEL {
                self.join(&frame.header(place)?, place)?;
            } else {
                return self.record(&frame, place).map(Some);
            }
        }
        Ok(None)
    }

    fn join(&mut self, header: &JournalHeader, place: LinePosition) -> Result<(), Damage> {
        if header.lineage != self.header.lineage {
            return Err(damage(place, None, "the next entries belong to another state"));
        }
        if header.base != self.serial {
            let why = format!("the next entries continue entry {}", header.base);
            return Err(damage(place, Some(self.serial + 1), &why));
        }
        self.format = header.format;
        self.oldest = self.oldest.min(header.format);
        Ok(())
    }

    fn record(
        &mut self,
        frame: &Frame<'_>,
        place: LinePosition,
    ) -> Result<JournalLine, FormatError> {
        let serial = self.serial + 1;
        let broken = |why: &str| damage(place, Some(serial), why);
        if !frame.is_intact(&self.header.lineage) {
            return Err(broken("the checksum does not match").into());
        }
        if frame.label != serial.to_string() {
            return Err(broken(&format!("found entry {} instead", frame.label)).into());
        }
        self.serial = serial;
        let parsed = match self.format {
            FORMAT => plain(frame.content),
            format => split(frame.content, format),
        };
        let (entry, unknown) = parsed.map_err(|error| broken(&error.to_string()))?;
        Ok(JournalLine { serial, entry, unknown, place })
    }
}

fn plain(content: &[u8]) -> serde_json::Result<(Entry, BTreeMap<String, Value>)> {
    Ok((serde_json::from_slice(content)?, BTreeMap::new()))
}

/// Returns the entry of a record of another format, and the fields that this program does not know.
fn split(content: &[u8], from: Format) -> serde_json::Result<(Entry, BTreeMap<String, Value>)> {
    let mut fields: Map<String, Value> = serde_json::from_slice(content)?;
    if from.major < FORMAT.major {
        migrate::entry(&mut fields, from);
    }
    let entry = Entry::deserialize(&fields)?;
    let optional = ["after", "outputs"]; // not written where empty
    let known = serde_json::to_value(&entry)?;
    let unknown = fields
        .into_iter()
        .filter(|(field, _)| known.get(field).is_none() && !optional.contains(&field.as_str()));
    Ok((entry, unknown.collect()))
}

impl State {
    /// Applies one record. A record that the state already contains is skipped.
    pub(super) fn replay(&mut self, line: JournalLine) -> Result<(), Damage> {
        if line.serial <= self.serial {
            return Ok(());
        }
        self.record(&line.entry).map_err(|illegal| Damage::from((&line.place, illegal)))?;
        let record = line.entry.address().and_then(|address| self.resources.get_mut(address));
        if let Some(record) = record {
            record.unknown.extend(line.unknown);
        }
        Ok(())
    }
}

/// Parts of a line.
struct Frame<'a> {
    checksum: &'a str,
    label: &'a str,
    content: &'a [u8],
}

impl<'a> Frame<'a> {
    fn parse(line: &'a [u8]) -> Option<Self> {
        let (checksum, rest) = line.split_at_checked(CHECKSUM)?;
        let rest = rest.strip_prefix(b" ")?;
        let space = rest.iter().position(|&byte| byte == b' ')?;
        Some(Self {
            checksum: str::from_utf8(checksum).ok()?,
            label: str::from_utf8(&rest[..space]).ok()?,
            content: &rest[space + 1..],
        })
    }

    fn is_intact(&self, lineage: &str) -> bool {
        checksum(lineage, self.label, self.content) == self.checksum
    }

    /// Parses a header. A newer major is recognised without a valid checksum.
    fn header(&self, place: LinePosition) -> Result<JournalHeader, FormatError> {
        #[derive(Deserialize)]
        struct JournalFormat {
            format: Format,
        }
        match serde_json::from_slice(self.content) {
            Ok(JournalFormat { format }) if format.major > FORMAT.major => {
                return Err(FormatError::NewerFormat(format));
            }
            Ok(JournalFormat { format }) if !migrate::is_known(format) => {
                let why = format!("unknown format {format}");
                return Err(damage(place, None, &why).into());
            }
            _ => (),
        }
        if self.label != LABEL || !self.is_intact("") {
            return Err(damage(place, None, "the checksum of the header does not match").into());
        }
        let header = serde_json::from_slice(self.content);
        header.map_err(|error| damage(place, None, &error.to_string()).into())
    }
}

fn line_end(text: &[u8], from: usize) -> Option<usize> {
    let length = text[from..].iter().position(|&byte| byte == b'\n')?;
    Some(from + length)
}

fn damage(place: LinePosition, serial: Option<u64>, why: &str) -> Damage {
    Damage { line: place.line, offset: place.offset, serial, why: why.to_owned() }
}
