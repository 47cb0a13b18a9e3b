//! State backend in a local folder.
//!
//! ```text
//! state/<cluster>/state.json           the snapshot
//!                 journal              the records since the snapshot
//!                 state.json.backup    the previous snapshot, and
//!                 journal.backup       the records from it to the current one
//!                 *.v1.backup          a file before its format was migrated
//!                 moved-to             the new location of a moved state
//!                 lock, lock.json      the state lock (see `lock`)
//! ```
//!
//! No file is ever changed in place. The journal grows at its end, and whole files are replaced
//! (temporary file, fsync, rename, fsync of the folder). Take the lock first, then open: an append
//! to a state that another process has changed is rejected.
//!
//! The backend only reads until the first append. The first append migrates a state of an older
//! format, so that no journal ever has two formats.

mod load;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::load::{Files, LoadedLocal, Older};
use super::durable_files::{keep_original, make_folder, read_file, remove_file, replace_file};
use super::error::StateError;
use super::fence::Fence;
use super::journal::{self, JournalHeader};
use super::lock::{self, LocalLockGuard, LockError};
use super::regular_file;
use super::snapshot;
use super::{Entry, FORMAT, Format, State};

const SNAPSHOT: &str = "state.json";
const JOURNAL: &str = "journal";
const MOVED: &str = "moved-to";

/// Opened state and its backend.
#[derive(Debug)]
pub struct OpenedLocal {
    /// State backend.
    pub backend: LocalBackend,
    /// Recorded state.
    pub state: State,
    /// Warnings about the files, for the user.
    pub warnings: Vec<String>,
    /// Format of the files if it is older than the current one. The first write keeps copies of the
    /// old files.
    pub older: Option<Format>,
}

/// Local state backend. Makes entries durable in a folder.
#[derive(Debug)]
pub struct LocalBackend {
    dir: PathBuf,
    lineage: String,
    format: Format,
    /// Serial of the last record on disk.
    serial: u64,
    /// Identity of the journal when it was last read or written.
    journal: Option<Stamp>,
    /// Offset of the next record; `None` if a new journal must be begun.
    end: Option<u64>,
    file: Option<File>,
    snapshot_bytes: u64,
    bytes_written: u64,
    /// True after a write with an unknown effect on the disk.
    unsure: bool,
    /// Formats of the files whose copies are still to be made.
    older: Older,
    /// State in the files, while the files have an older format.
    unmigrated: Option<Box<State>>,
    /// State lock, if the backend holds it.
    guard: Option<LocalLockGuard>,
}

impl LocalBackend {
    /// Reads the state in this folder. A missing or empty folder is a new state, and the backend
    /// writes no file until the first [`append`](Self::append).
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or is damaged, or if the state was moved. No file
    /// is changed then.
    pub fn open(dir: &Path) -> Result<OpenedLocal, StateError> {
        match Self::moved_to(dir)? {
            Some(to) => Err(StateError::Moved { path: dir.to_owned(), to }),
            None => Self::open_even_if_moved(dir),
        }
    }

    /// Returns true if the folder has a file of a state, valid or not.
    pub fn is_state(dir: &Path) -> bool {
        [SNAPSHOT, JOURNAL, MOVED].iter().any(|name| dir.join(name).is_file())
    }

    /// Returns the location that the state of this folder was moved to; `None` if it was not moved.
    ///
    /// # Errors
    /// Returns an error if the mark cannot be read.
    pub fn moved_to(dir: &Path) -> Result<Option<String>, StateError> {
        let text = read_file(&dir.join(MOVED))?;
        Ok(text.map(|text| String::from_utf8_lossy(&text).trim().to_owned()))
    }

    /// Like [`open`](Self::open), but also opens a moved state. Used to move states.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read or is damaged.
    pub fn open_even_if_moved(dir: &Path) -> Result<OpenedLocal, StateError> {
        let files = Files::read(dir)?;
        let journal = files.journal.as_ref().map(|journal| journal.stamp);
        let snapshot_bytes = files.snapshot.as_ref().map_or(0, |text| text.len() as u64);
        let LoadedLocal { mut state, end, warnings, older } = files.load()?;
        state.format.minor = latest(state.format.minor);
        let format = older.oldest();
        let backend = Self {
            dir: dir.to_owned(),
            lineage: state.lineage.clone(),
            format: state.format,
            serial: state.serial,
            journal,
            end,
            file: None,
            snapshot_bytes,
            bytes_written: 0,
            unsure: false,
            older,
            unmigrated: format.map(|_| Box::new(state.clone())),
            guard: None,
        };
        Ok(OpenedLocal { backend, state, warnings, older: format })
    }

    /// Returns the folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the number of journal and snapshot bytes that this backend has written.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Takes the lock of the folder. See [`lock::acquire`].
    ///
    /// # Errors
    /// Returns an error if another process has the lock, or if the lock cannot be taken.
    pub fn lock(&self, operation: &str) -> Result<LocalLockGuard, LockError> {
        lock::acquire(&self.dir, operation)
    }

    /// Like [`lock`](Self::lock), but waits for up to `wait` while another process has the lock.
    ///
    /// # Errors
    /// Returns an error if another process still has the lock then, or if the lock cannot be taken.
    pub fn lock_within(
        &self,
        operation: &str,
        wait: Duration,
    ) -> Result<LocalLockGuard, LockError> {
        lock::acquire_within(&self.dir, operation, wait)
    }

    /// Keeps the lock until the backend is dropped. The lock must be of this folder and older than
    /// the read of the state. Once the lock is lost, the backend rejects all writes.
    pub fn hold(&mut self, guard: LocalLockGuard) {
        self.guard = Some(guard);
    }

    /// Returns the fence that rejects mutating calls once the lock is lost.
    pub fn fence(&self) -> Fence {
        self.guard.as_ref().map_or_else(Fence::open, LocalLockGuard::fence)
    }

    /// Makes the entries durable with one write and one fsync. All of them are on disk when this
    /// function returns. [`State::record`] must have accepted the entries. Files of an older format
    /// are migrated first.
    ///
    /// # Errors
    /// Returns an error if the disk rejects the write or the lock is lost. The recorded state is
    /// then unchanged.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), StateError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.check_ownership()?;
        if let Some(state) = self.unmigrated.clone() {
            self.rewrite(&state)?;
        }
        let mut text = Vec::new();
        for (serial, entry) in (self.serial + 1..).zip(entries) {
            journal::push_record(&mut text, &self.lineage, serial, entry);
        }
        match self.end {
            Some(end) => self.grow(end, &text)?,
            None => self.begin(&text)?,
        }
        self.serial += entries.len() as u64;
        Ok(())
    }

    /// Replaces the snapshot by this state and begins a new journal. The replaced files are kept as
    /// backups. A crash in between is harmless: journal records that the snapshot contains are
    /// skipped.
    ///
    /// # Errors
    /// Returns an error if the disk rejects a write. The state on disk is complete nevertheless.
    pub fn compact(&mut self, state: &State) -> Result<(), StateError> {
        self.in_step(state)?;
        if self.serial == 0 {
            return Ok(()); // nothing was ever recorded
        }
        self.check_ownership()?;
        self.rewrite(state)
    }

    fn rewrite(&mut self, state: &State) -> Result<(), StateError> {
        self.keep_originals()?;
        let alone = self.journal.is_none();
        if alone {
            self.begin(&[])?; // first: our snapshots are never without a journal
        }
        let text = snapshot::write(state);
        self.replace(SNAPSHOT, &text)?;
        self.snapshot_bytes = text.len() as u64;
        if !alone {
            self.begin(&[])?;
        }
        self.unmigrated = None;
        Ok(())
    }

    /// Copies the files of an older major before they are replaced.
    fn keep_originals(&mut self) -> Result<(), StateError> {
        let older = [(SNAPSHOT, self.older.snapshot), (JOURNAL, self.older.journal)];
        for (name, format) in older {
            let Some(Format { major, .. }) = format.filter(|format| format.major < FORMAT.major)
            else {
                continue;
            };
            let path = self.dir.join(name);
            keep_original(&self.dir, &path, major).map_err(|source| StateError::Unwritable {
                action: "back up",
                path,
                source,
            })?;
        }
        self.older = Older::default();
        Ok(())
    }

    /// Replaces the recorded state by `state`, and keeps the replaced files as backups.
    ///
    /// The serial of `state` must not be smaller than the recorded one. After a crash between the
    /// two replacements, the old journal must lie in the past of the new snapshot.
    ///
    /// # Errors
    /// Returns an error if the disk rejects a write, the lock is lost, or the serial is too small.
    /// The folder then contains one state or the other.
    pub fn install(&mut self, state: &State) -> Result<(), StateError> {
        if state.serial < self.serial || (self.serial > 0 && state.lineage != self.lineage) {
            let path = self.dir.clone();
            return Err(StateError::OutOfStep { path, given: state.serial, recorded: self.serial });
        }
        self.check_ownership()?;
        self.keep_originals()?;
        if self.journal.is_none() {
            // A sealed snapshot always has a journal beside it, and this state has none yet.
            self.replace(SNAPSHOT, &snapshot::write_unsealed(state))?;
        }
        self.lineage.clone_from(&state.lineage);
        self.format = state.format;
        self.serial = state.serial;
        let done = self.rewrite(state);
        self.unsure |= done.is_err();
        done
    }

    /// Allows another lineage; see [`StateBackend::accept_new_lineage`](super::backend::StateBackend::accept_new_lineage). At every moment
    /// the files form a state that has nothing.
    ///
    /// # Errors
    /// Returns an error if the disk rejects a write, or the lock is lost.
    pub fn accept_new_lineage(&mut self) -> Result<(), StateError> {
        self.check_ownership()?;
        self.keep_originals()?;
        let nothing = State { serial: self.serial, ..State::new(self.lineage.clone()) };
        self.replace(SNAPSHOT, &snapshot::write_unsealed(&nothing))?;
        let path = self.dir.join(JOURNAL);
        remove_file(&self.dir, &path).map_err(|source| StateError::Unwritable {
            action: "remove",
            path,
            source,
        })?;
        (self.journal, self.end, self.file, self.unmigrated) = (None, None, None, None);
        self.serial = 0;
        Ok(())
    }

    /// Marks the state as moved; see [`StateBackend::mark_moved`](super::backend::StateBackend::mark_moved). The other files
    /// stay unchanged, except that an older format is migrated.
    ///
    /// # Errors
    /// Returns an error if the disk rejects a write, or the lock is lost.
    pub fn mark_moved(&mut self, to: &str) -> Result<(), StateError> {
        self.check_ownership()?;
        if let Some(state) = self.unmigrated.clone() {
            self.rewrite(&state)?; // an older program does not know what it means to be moved
        }
        self.replace(MOVED, format!("{to}\n").as_bytes()).map(|_| ())
    }

    /// Removes the mark of a moved state; see [`StateBackend::unmark_moved`](super::backend::StateBackend::unmark_moved).
    ///
    /// # Errors
    /// Returns an error if the disk rejects the change, or the lock is lost.
    pub fn unmark_moved(&mut self) -> Result<(), StateError> {
        self.check_ownership()?;
        let path = self.dir.join(MOVED);
        remove_file(&self.dir, &path).map_err(|source| StateError::Unwritable {
            action: "remove",
            path,
            source,
        })
    }

    /// Compacts if the journal is larger than the snapshot. All snapshots of a state together then
    /// cost no more than its journals. Files of an older format are left alone.
    ///
    /// # Errors
    /// Same as [`compact`](Self::compact).
    pub fn close(&mut self, state: &State) -> Result<(), StateError> {
        self.in_step(state)?;
        let migrated = self.unmigrated.is_none();
        if migrated && self.end.is_some_and(|journal| journal > self.snapshot_bytes) {
            self.compact(state)?;
        }
        Ok(())
    }

    fn in_step(&self, state: &State) -> Result<(), StateError> {
        if state.serial == self.serial && state.lineage == self.lineage {
            return Ok(());
        }
        let path = self.dir.clone();
        Err(StateError::OutOfStep { path, given: state.serial, recorded: self.serial })
    }

    /// Checks that the lock is still held, and that the journal is still the one that this backend
    /// has read or written.
    fn check_ownership(&self) -> Result<(), StateError> {
        self.fence().pass()?;
        let path = self.dir.join(JOURNAL);
        if self.unsure {
            return Err(StateError::Unsure { path });
        }
        let now = match fs::metadata(&path) {
            Ok(metadata) => Some(Stamp::of(&metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(StateError::Unreadable { path, source }),
        };
        if now == self.journal { Ok(()) } else { Err(StateError::Changed { path }) }
    }

    /// Appends to the journal. Bytes after `end` belong to an interrupted write and are cut.
    fn grow(&mut self, end: u64, text: &[u8]) -> Result<(), StateError> {
        let path = self.dir.join(JOURNAL);
        let refused =
            |source| StateError::Unwritable { action: "write", path: path.clone(), source };
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let options = &mut OpenOptions::new();
                none.insert(regular_file::open_with(options.append(true), &path).map_err(refused)?)
            }
        };
        if self.journal.is_some_and(|stamp| stamp.size > end) {
            file.set_len(end).map_err(refused)?;
        }
        let written = file.write_all(text);
        let synced = written.is_ok().then(|| file.sync_data());
        let stamp = file.metadata().map(|metadata| Stamp::of(&metadata));
        match (written, synced, stamp) {
            (Ok(()), Some(Ok(())), Ok(stamp)) => {
                self.journal = Some(stamp);
                self.end = Some(end + text.len() as u64);
                self.bytes_written += text.len() as u64;
                Ok(())
            }
            (written, synced, _) => {
                // After a failed fsync the content of the disk is unknown, even if the file is cut.
                self.unsure = file.set_len(end).is_err() || !matches!(synced, None | Some(Ok(())));
                self.journal = file.metadata().ok().map(|metadata| Stamp::of(&metadata));
                let error = written.err().or_else(|| synced.and_then(Result::err));
                Err(refused(error.unwrap_or_else(|| {
                    io::Error::other(
                        "the size of the file is \
                     unknown",
                    )
                })))
            }
        }
    }

    /// Begins a journal at the current serial, with these records.
    fn begin(&mut self, records: &[u8]) -> Result<(), StateError> {
        let (format, lineage) = (self.format, self.lineage.clone());
        let mut text = Vec::new();
        journal::push_header(&mut text, &JournalHeader { format, lineage, base: self.serial });
        text.extend_from_slice(records);
        self.file = None;
        let stamp = self.replace(JOURNAL, &text)?;
        self.journal = Some(stamp);
        self.end = Some(text.len() as u64);
        Ok(())
    }

    /// Replaces the file with this name, which becomes the backup.
    fn replace(&mut self, name: &str, text: &[u8]) -> Result<Stamp, StateError> {
        let path = self.dir.join(name);
        let refused =
            |source| StateError::Unwritable { action: "write", path: path.clone(), source };
        make_folder(&self.dir)?;
        let file = replace_file(&self.dir, &path, text).map_err(refused)?;
        let stamp = file.metadata().map(|metadata| Stamp::of(&metadata)).map_err(refused)?;
        self.bytes_written += text.len() as u64;
        Ok(stamp)
    }
}

/// Returns true if the path is the lock of a state in a folder. The file is empty while no run holds
/// the lock. A folder in which no run has recorded anything has only the lock.
pub fn is_lock_of_state(path: &Path) -> bool {
    let is_beside = |name: &str| path.with_file_name(name).exists();
    let is_alone = || {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        fs::read_dir(folder).is_ok_and(|files| files.take(2).count() == 1)
    };
    path.file_name().is_some_and(|name| name == lock::LOCK)
        && (is_beside(SNAPSHOT) || is_beside(JOURNAL) || is_alone())
}

#[allow(clippy::unnecessary_min_or_max, reason = "nothing is below 0, but a minor is not always 0")]
fn latest(minor: u32) -> u32 {
    minor.max(FORMAT.minor)
}

/// Identity of the journal's content, known without reading it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
}

impl Stamp {
    fn of(metadata: &fs::Metadata) -> Self {
        Self { device: metadata.dev(), inode: metadata.ino(), size: metadata.size() }
    }
}
