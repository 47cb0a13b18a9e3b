//! The text of a journal: a line per record, each provably in its place. Never touches a file.
//!
//! ```text
//! 93a3c1f0e2b47d58 journal {"format":{"major":3,"minor":0},"lineage":"0d1f..","base":12}
//! 5be0a8c14f7d2936 13 {"entry":"create_started","address":"vpc.main",..}
//! ```
//!
//! A record's checksum covers lineage, serial and content, and serials have no gaps: a record that
//! is changed, lost, doubled, moved or another state's is noticed. Only what follows the last line
//! break may be anything, since a write that was cut off ends there. Journals of one state may be
//! joined (`cat earlier later`): a header inside must begin where the records before it end, and
//! says the format of what follows it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::error::{Damage, Place, Unusable};
use super::{Entry, FORMAT, Format, State, migrate};
use crate::secret::hex;

/// The first line. Newer majors keep its framing, so that older programs can refuse them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// The version of what follows.
    pub format: Format,
    /// Whose journal it is.
    pub lineage: String,
    /// The serial that the first record follows.
    pub base: u64,
}

/// One record.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// Its serial.
    pub serial: u64,
    /// What it records.
    pub entry: Entry,
    /// Fields of a newer minor: the record's that the entry is about.
    pub unknown: BTreeMap<String, Value>,
    /// Where it stands.
    pub place: Place,
}

const LABEL: &str = "journal";
const CHECKSUM: usize = 16;

/// Writes the first line.
pub fn push_header(text: &mut Vec<u8>, header: &Header) {
    push(text, "", LABEL, header);
}

/// Writes one record.
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

/// The records of a journal, one after the other.
#[derive(Debug)]
pub struct Reader<'a> {
    text: &'a [u8],
    next: Place,
    header: Header,
    /// The serial of the last record read.
    serial: u64,
    /// The format of the records that come next.
    format: Format,
    /// The oldest format of any part.
    oldest: Format,
}

impl<'a> Reader<'a> {
    /// Reads the first line.
    ///
    /// # Errors
    /// When it is damaged, not finished, or of a major that is not known.
    pub fn new(text: &'a [u8]) -> Result<Self, Unusable> {
        let place = Place { line: 1, offset: 0 };
        let broken = |why: &str| damage(place, None, why);
        let end = line_end(text, 0).ok_or_else(|| broken("its first line is not finished"))?;
        let frame = Frame::parse(&text[..end]).ok_or_else(|| broken("it is not a journal"))?;
        let header = frame.header(place)?;
        let (format, serial) = (header.format, header.base);
        let next = Place { line: 2, offset: end + 1 };
        Ok(Self { text, next, serial, header, format, oldest: format })
    }

    /// The first line.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The serial of the last record read.
    pub fn serial(&self) -> u64 {
        self.serial
    }

    /// The oldest format of what was read: only what is all of ours is written to.
    pub fn oldest(&self) -> Format {
        self.oldest
    }

    /// How many bytes are finished lines; after the last record, what follows is torn.
    pub fn end(&self) -> usize {
        self.next.offset
    }

    /// The place and length of a write that was cut off, after the last record.
    pub fn torn(&self) -> Option<(Place, usize)> {
        let length = self.text.len() - self.next.offset;
        (length > 0).then_some((self.next, length))
    }

    /// The next record, or `None` where the finished lines end.
    ///
    /// # Errors
    /// When it is not what was written there.
    pub fn next_record(&mut self) -> Result<Option<Line>, Unusable> {
        while let Some(end) = line_end(self.text, self.next.offset) {
            let place = self.next;
            self.next = Place { line: place.line + 1, offset: end + 1 };
            let broken = || damage(place, Some(self.serial + 1), "it is not a record");
            let frame = Frame::parse(&self.text[place.offset..end]).ok_or_else(broken)?;
            if frame.label == LABEL {
                self.join(&frame.header(place)?, place)?;
            } else {
                return self.record(&frame, place).map(Some);
            }
        }
        Ok(None)
    }

    fn join(&mut self, header: &Header, place: Place) -> Result<(), Damage> {
        if header.lineage != self.header.lineage {
            return Err(damage(place, None, "what follows belongs to another state"));
        }
        if header.base != self.serial {
            let why = format!("what follows continues record {}", header.base);
            return Err(damage(place, Some(self.serial + 1), &why));
        }
        self.format = header.format;
        self.oldest = self.oldest.min(header.format);
        Ok(())
    }

    fn record(&mut self, frame: &Frame<'_>, place: Place) -> Result<Line, Unusable> {
        let serial = self.serial + 1;
        let broken = |why: &str| damage(place, Some(serial), why);
        if !frame.is_intact(&self.header.lineage) {
            return Err(broken("its checksum does not match").into());
        }
        if frame.label != serial.to_string() {
            return Err(broken(&format!("record {} stands here instead", frame.label)).into());
        }
        self.serial = serial;
        let parsed = match self.format {
            FORMAT => plain(frame.content),
            format => split(frame.content, format),
        };
        let (entry, unknown) = parsed.map_err(|error| broken(&error.to_string()))?;
        Ok(Line { serial, entry, unknown, place })
    }
}

fn plain(content: &[u8]) -> serde_json::Result<(Entry, BTreeMap<String, Value>)> {
    Ok((serde_json::from_slice(content)?, BTreeMap::new()))
}

/// The entry of a record of another format, and the fields that our version of it does not have.
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
    /// Moves the state by what a journal says; what it knows already is skipped.
    pub(super) fn replay(&mut self, line: Line) -> Result<(), Damage> {
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

/// A line taken apart.
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

    /// A newer major is recognised even where its checksum is not.
    fn header(&self, place: Place) -> Result<Header, Unusable> {
        #[derive(Deserialize)]
        struct Probe {
            format: Format,
        }
        match serde_json::from_slice(self.content) {
            Ok(Probe { format }) if format.major > FORMAT.major => {
                return Err(Unusable::NewerFormat(format));
            }
            Ok(Probe { format }) if !migrate::is_known(format) => {
                let why = format!("the format {format} is unknown");
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

fn damage(place: Place, serial: Option<u64>, why: &str) -> Damage {
    Damage { line: place.line, offset: place.offset, serial, why: why.to_owned() }
}
