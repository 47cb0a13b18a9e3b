//! What can go wrong with the home of a state, and what a person can do about it.
//!
//! Messages name files and places in them, never a content.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{FORMAT, Format, IllegalEntry};
use crate::provider::ProviderError;

/// Why a state could not be opened or written.
#[derive(Debug, thiserror::Error)]
pub enum HomeError {
    /// A file or the folder cannot be read.
    #[error("read {}", path.display())]
    Unreadable {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file or the folder cannot be written.
    #[error("{action} {}", path.display())]
    Unwritable {
        /// What was tried: `create`, `write`, `replace`.
        action: &'static str,
        /// Which one.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is there and has no content.
    #[error("use {}: it is empty", path.display())]
    Empty {
        /// Which one.
        path: PathBuf,
        /// What a person can do.
        hint: String,
    },
    /// A file is missing although others say that it was there.
    #[error("use {}: it is missing, and {because}", path.display())]
    Missing {
        /// Which one.
        path: PathBuf,
        /// How we know.
        because: String,
        /// What a person can do.
        hint: String,
    },
    /// A file is not what was written to it.
    #[error("use {}: {damage}", path.display())]
    Damaged {
        /// Which one.
        path: PathBuf,
        /// Where, and what is wrong.
        damage: Damage,
        /// What a person can do.
        hint: String,
    },
    /// A newer program wrote it.
    #[error("use {}: its format is {found}, this program knows {FORMAT}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: Format,
    },
    /// The two halves of the state have nothing to do with each other.
    #[error("use {}: it belongs to the state {found}, its folder to {expected}", path.display())]
    ForeignLineage {
        /// The file.
        path: PathBuf,
        /// Its lineage.
        found: String,
        /// The lineage of the snapshot beside it.
        expected: String,
    },
    /// It was moved to another home.
    #[error("use {}: it was moved to {to}", path.display())]
    Moved {
        /// The folder.
        path: PathBuf,
        /// The home it was moved to, as it is typed.
        to: String,
    },
    /// Somebody else wrote to the state since it was read.
    #[error("continue {}: somebody else has written to it since it was read", path.display())]
    Changed {
        /// The journal.
        path: PathBuf,
    },
    /// The lock is not ours any more.
    #[error("continue {place}: {why}")]
    Fenced {
        /// Where the state lives.
        place: String,
        /// How we know.
        why: String,
    },
    /// A stop was asked for.
    #[error("begin anything new: a stop was asked for")]
    Stopping,
    /// An earlier write failed in a way that leaves open what the disk has.
    #[error("continue {}: an earlier write to it failed", path.display())]
    Unsure {
        /// The journal.
        path: PathBuf,
    },
    /// A bucket did not do what it was asked.
    #[error("{action} {}", path.display())]
    Bucket {
        /// What was tried: `read`, `write`, `delete`, `lock`, `renew`, `unlock`.
        action: &'static str,
        /// The object or folder.
        path: PathBuf,
        /// What the bucket said.
        source: ProviderError,
    },
    /// The first record of a holder is not its run's: a bug of the caller.
    #[error("write {}: the first record must be that of a run of epoch {epoch} after record {after}", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
        /// The epoch of the holder.
        epoch: u64,
        /// The last record.
        after: u64,
    },
    /// The state in memory is not what was appended: a bug of the caller.
    #[error("write {}: serial {given} was given and {recorded} is recorded", path.display())]
    OutOfStep {
        /// The folder.
        path: PathBuf,
        /// The serial of the state that was given.
        given: u64,
        /// The serial of the last record.
        recorded: u64,
    },
}

/// Where a file is damaged and how that shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The line, from 1.
    pub line: usize,
    /// The byte the line begins at, from 0.
    pub offset: usize,
    /// The serial the record should have, in a journal.
    pub serial: Option<u64>,
    /// What is wrong.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(serial) = self.serial {
            write!(f, ", record {serial}")?;
        }
        write!(f, ", from byte {}: {}", self.offset, self.why)
    }
}

/// Why the text of a snapshot or a journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// A newer program wrote it.
    NewerFormat(Format),
    /// It is not what was written.
    Damaged(Damage),
}

impl From<Damage> for Unusable {
    fn from(damage: Damage) -> Self {
        Unusable::Damaged(damage)
    }
}

impl From<(&Place, IllegalEntry)> for Damage {
    fn from((place, illegal): (&Place, IllegalEntry)) -> Self {
        let why = format!("{} cannot follow: {}", illegal.entry, illegal.why);
        Damage { line: place.line, offset: place.offset, serial: Some(illegal.serial), why }
    }
}

/// Where a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its number, from 1.
    pub line: usize,
    /// The byte it begins at, from 0.
    pub offset: usize,
}

impl HomeError {
    /// What a person can do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            HomeError::Unreadable { source, .. } => return read_hint(source),
            HomeError::OutOfStep { .. } | HomeError::NoRun { .. } | HomeError::Stopping => {
                return None;
            }
            HomeError::Bucket { source, .. } => return source.hint.clone(),
            HomeError::Unwritable { source, .. } => return write_hint(source),
            HomeError::Moved { to, .. } => {
                return Some(format!("go on there: --state {to}, or GROUNDPLAN_STATE"));
            }
            HomeError::Empty { hint, .. }
            | HomeError::Missing { hint, .. }
            | HomeError::Damaged { hint, .. } => return Some(hint.clone()),
            HomeError::NewerFormat { .. } => {
                "use the newer version of groundplan that wrote it; nothing was changed"
            }
            HomeError::ForeignLineage { .. } => {
                "state.json and journal belong together: restore both from the same backup"
            }
            HomeError::Changed { .. } | HomeError::Unsure { .. } => {
                "run it again: the state is read anew"
            }
            HomeError::Fenced { .. } => {
                "nothing was done after that: when the other run has ended, run it again"
            }
        };
        Some(hint.to_owned())
    }
}

fn read_hint(source: &io::Error) -> Option<String> {
    let hint = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "it may be there, and you may not look: run as whoever made it, or get its permissions"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            "a file and a folder have changed places: restore the folder of the state from a backup"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn write_hint(source: &io::Error) -> Option<String> {
    let hint = match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable, or name another one with --state"
        }
        io::ErrorKind::NotFound => {
            "the folder of the state is gone or has another name: bring it back, and run the same \
             command again"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run it again: what was recorded before is kept"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
