//! Errors of state backends, with hints for the user.
//!
//! Messages name files and positions in them, never contents.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::{FORMAT, Format, IllegalEntry};
use crate::provider::ProviderError;

/// Error of opening or writing a state.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// A file or the folder cannot be read.
    #[error("read {}", path.display())]
    Unreadable {
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file or the folder cannot be written.
    #[error("{action} {}", path.display())]
    Unwritable {
        /// Attempted action, such as `create`, `write` or `replace`.
        action: &'static str,
        /// Path of the file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: io::Error,
    },
    /// A file exists and is empty.
    #[error("use {}: the file is empty", path.display())]
    Empty {
        /// Path of the file.
        path: PathBuf,
        /// Advice for the user.
        hint: String,
    },
    /// A file is missing that must exist according to other files.
    #[error("use {}: the file is missing, but {because}", path.display())]
    Missing {
        /// Path of the file.
        path: PathBuf,
        /// Evidence that the file existed.
        because: String,
        /// Advice for the user.
        hint: String,
    },
    /// The content of a file has changed since it was written.
    #[error("use {}: {damage}", path.display())]
    Damaged {
        /// Path of the file.
        path: PathBuf,
        /// Position and kind of the damage.
        damage: Damage,
        /// Advice for the user.
        hint: String,
    },
    /// A newer program wrote the file.
    #[error("use {}: the file has format {found}, but this program reads up to {FORMAT}", path.display())]
    NewerFormat {
        /// Path of the file.
        path: PathBuf,
        /// Format of the file.
        found: Format,
    },
    /// Snapshot and journal belong to different states.
    #[error("use {}: expected lineage {expected}, found {found}", path.display())]
    ForeignLineage {
        /// Path of the file.
        path: PathBuf,
        /// Lineage of the file.
        found: String,
        /// Lineage of the snapshot beside it.
        expected: String,
    },
    /// The state was moved to another location.
    #[error("use {}: the state was moved to {to}", path.display())]
    Moved {
        /// Path of the folder.
        path: PathBuf,
        /// New location, as the user writes it.
        to: String,
    },
    /// Another process wrote to the state after this one read it.
    #[error("write {}: another process has changed the file since it was read", path.display())]
    Changed {
        /// Path of the journal.
        path: PathBuf,
    },
    /// The state lock is lost, or may be lost.
    #[error("continue with {place}: {why}")]
    Fenced {
        /// Location of the state.
        place: String,
        /// Evidence of the loss.
        why: String,
    },
    /// A shutdown was requested.
    #[error("shutting down: no new calls are sent")]
    Stopping,
    /// The command only reads.
    #[error("make a change: this command only reads")]
    ReadOnly,
    /// An earlier write failed, and its effect on the disk is unknown.
    #[error("write {}: an earlier write to the file failed", path.display())]
    Unsure {
        /// Path of the journal.
        path: PathBuf,
    },
    /// A call to the bucket failed.
    #[error("{action} {}", path.display())]
    Bucket {
        /// Attempted action: `read`, `write`, `delete`, `lock`, `renew`, `unlock`.
        action: &'static str,
        /// Path of the object or folder.
        path: PathBuf,
        /// Error of the bucket.
        source: ProviderError,
    },
    /// The store does not honour a condition of writes, so that a lock cannot work.
    #[error("use {}: the store does not honour the condition `{header}` of a write", path.display())]
    Unconditional {
        /// Path of the folder.
        path: PathBuf,
        /// Header of the condition.
        header: &'static str,
    },
    /// The first entry of a lock holder does not begin its run: a bug of the caller.
    #[error("write {}: expected the start of a run of epoch {epoch} after entry {after}", path.display())]
    NoRun {
        /// Path of the folder.
        path: PathBuf,
        /// Epoch of the holder.
        epoch: u64,
        /// Serial of the last entry.
        after: u64,
    },
    /// The state in memory differs from the appended entries: a bug of the caller.
    #[error("write {}: expected serial {recorded}, found {given}", path.display())]
    OutOfStep {
        /// Path of the folder.
        path: PathBuf,
        /// Serial of the given state.
        given: u64,
        /// Serial of the last entry.
        recorded: u64,
    },
}

/// Position and kind of damage in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Line number, from 1.
    pub line: usize,
    /// Byte offset of the line, from 0.
    pub offset: usize,
    /// Serial that the entry should have, in a journal.
    pub serial: Option<u64>,
    /// Description of the damage.
    pub why: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(serial) = self.serial {
            write!(f, ", entry {serial}")?;
        }
        write!(f, ", byte {}: {}", self.offset, self.why)
    }
}

/// Error of the text of a snapshot or a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FormatError {
    /// A newer program wrote the text.
    NewerFormat(Format),
    /// The text has changed since it was written.
    Damaged(Damage),
}

impl From<Damage> for FormatError {
    fn from(damage: Damage) -> Self {
        FormatError::Damaged(damage)
    }
}

impl From<(&LinePosition, IllegalEntry)> for Damage {
    fn from((place, illegal): (&LinePosition, IllegalEntry)) -> Self {
        let why = format!("{} cannot follow: {}", illegal.entry, illegal.why);
        Damage { line: place.line, offset: place.offset, serial: Some(illegal.serial), why }
    }
}

/// Position of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinePosition {
    /// Line number, from 1.
    pub line: usize,
    /// Byte offset of the line, from 0.
    pub offset: usize,
}

impl StateError {
    /// Returns advice for the user.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            StateError::Unreadable { source, .. } => return read_hint(source),
            StateError::Stopping | StateError::ReadOnly => return None,
            StateError::OutOfStep { .. } | StateError::NoRun { .. } => {
                "run the same command again; if the error repeats, report it as a bug of groundplan"
            }
            StateError::Bucket { source, .. } => return source.hint.clone(),
            StateError::Unconditional { .. } => {
                "use a bucket of AWS S3, another store with conditional writes, or a folder with \
                 --state; without conditions two runs would work at the same time"
            }
            StateError::Unwritable { source, .. } => return write_hint(source),
            StateError::Moved { to, .. } => {
                return Some(format!(
                    "use the new location: --state {to}, or GROUNDPLAN_STATE={to}"
                ));
            }
            StateError::Empty { hint, .. }
            | StateError::Missing { hint, .. }
            | StateError::Damaged { hint, .. } => return Some(hint.clone()),
            StateError::NewerFormat { .. } => {
                "use the version of groundplan that wrote the file, or a newer one; nothing was \
                 changed"
            }
            StateError::ForeignLineage { .. } => {
                "restore state.json and journal from the same backup"
            }
            StateError::Changed { .. } | StateError::Unsure { .. } => "run the same command again",
            StateError::Fenced { .. } => {
                "wait until the other run has ended, then run the same command again; no call was \
                 sent after the lock was lost"
            }
        };
        Some(hint.to_owned())
    }
}

fn read_hint(source: &io::Error) -> Option<String> {
    let hint = match source.kind() {
        io::ErrorKind::PermissionDenied => {
            "run as the user that created the file, or change its permissions"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::NotADirectory => {
            "pass a folder with --state; if a folder has replaced a file of the state, restore \
             the state from a backup"
        }
        io::ErrorKind::InvalidInput => {
            "remove the pipe or device and restore the file from a backup, or use another folder \
             with --state"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}

fn write_hint(source: &io::Error) -> Option<String> {
    let hint = match source.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "make the folder writable, or use another one with --state"
        }
        io::ErrorKind::IsADirectory | io::ErrorKind::InvalidInput => {
            "remove what is there instead of the file, or use another folder with --state"
        }
        io::ErrorKind::NotFound => {
            "restore the folder of the state, or its name, and run the same command again"
        }
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "free some space and run the same command again; earlier entries are kept"
        }
        _ => return None,
    };
    Some(hint.to_owned())
}
