//! The home of a state in a local folder.
//!
//! ```text
//! state/<cluster>/state.json           the snapshot
//!                 journal              what was recorded since
//!                 state.json.backup    the snapshot before, and
//!                 journal.backup       what led from it to this one
//!                 *.v1.backup          what it was before its format became another
//!                 moved-to             the home to go on in, where it was moved
//!                 lock, lock.json      who works on it (see `lock`)
//! ```
//!
//! Nothing is ever changed in place: the journal grows at its end, and whole files are replaced
//! (temporary file, fsync, rename, fsync of the folder). Take the lock, then open: what is appended
//! to a state that somebody else has moved on is refused. Only reads until the first append; that
//! makes a state of an older format one of ours before it adds to it, so that no journal is ever of
//! two formats.

mod load;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::load::{Files, Loaded, Older};
use super::durable_files::{keep_original, make_folder, read_file, remove_file, replace_file};
use super::error::HomeError;
use super::fence::Fence;
use super::journal::{self, Header};
use super::lock::{self, Guard, LockError};
use super::snapshot;
use super::{Entry, FORMAT, Format, State};

const SNAPSHOT: &str = "state.json";
const JOURNAL: &str = "journal";
const MOVED: &str = "moved-to";

/// A state and where it lives.
#[derive(Debug)]
pub struct Opened {
    /// Where it lives.
    pub home: LocalHome,
    /// The state.
    pub state: State,
    /// What a person should know of how it was read.
    pub warnings: Vec<String>,
    /// The format of what was read, where it is older than ours. The first write keeps the files as
    /// they are beside the new ones.
    pub older: Option<Format>,
}

/// Makes what is recorded durable in a folder.
#[derive(Debug)]
pub struct LocalHome {
    dir: PathBuf,
    lineage: String,
    format: Format,
    /// The serial of the last record on disk.
    serial: u64,
    /// The journal as it was read or last written.
    journal: Option<Stamp>,
    /// Where the next record goes; `None` where a journal has yet to be begun.
    end: Option<u64>,
    file: Option<File>,
    snapshot_bytes: u64,
    bytes_written: u64,
    /// Whether a write failed so that nobody knows what the disk has.
    unsure: bool,
    /// The formats of the files that are yet to be kept as they are.
    older: Older,
    /// The state that the files stand for, as long as their formats are not ours.
    unmigrated: Option<Box<State>>,
    /// Held as long as the home is, where it was given.
    guard: Option<Guard>,
}

impl LocalHome {
    /// Reads the state in this folder. A folder that is missing or empty is a new state, and
    /// nothing is written until the first [`append`](Self::append).
    ///
    /// # Errors
    /// When something cannot be read or is not what was written, or the state was moved elsewhere.
    /// Nothing is changed then.
    pub fn open(dir: &Path) -> Result<Opened, HomeError> {
        match Self::moved_to(dir)? {
            Some(to) => Err(HomeError::Moved { path: dir.to_owned(), to }),
            None => Self::open_even_if_moved(dir),
        }
    }

    /// The home that the state of this folder was moved to, if it was.
    ///
    /// # Errors
    /// When that cannot be read.
    pub fn moved_to(dir: &Path) -> Result<Option<String>, HomeError> {
        let text = read_file(&dir.join(MOVED))?;
        Ok(text.map(|text| String::from_utf8_lossy(&text).trim().to_owned()))
    }

    /// The same as [`open`](Self::open) for whoever moves states.
    ///
    /// # Errors
    /// When something cannot be read or is not what was written.
    pub fn open_even_if_moved(dir: &Path) -> Result<Opened, HomeError> {
        let files = Files::read(dir)?;
        let journal = files.journal.as_ref().map(|journal| journal.stamp);
        let snapshot_bytes = files.snapshot.as_ref().map_or(0, |text| text.len() as u64);
        let Loaded { mut state, end, warnings, older } = files.load()?;
        state.format.minor = latest(state.format.minor);
        let format = older.oldest();
        let home = Self {
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
        Ok(Opened { home, state, warnings, older: format })
    }

    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bytes of journal and snapshots written by this home so far.
    pub fn bytes_written(&self) -> u64 {
        self.bytes_written
    }

    /// Takes the lock of the folder, or says who has it. See [`lock::acquire`].
    ///
    /// # Errors
    /// When somebody has it or it cannot be taken.
    pub fn lock(&self, operation: &str) -> Result<Guard, LockError> {
        lock::acquire(&self.dir, operation)
    }

    /// The same, waiting so long for whoever has it.
    ///
    /// # Errors
    /// When somebody still has it then, or it cannot be taken.
    pub fn lock_within(&self, operation: &str, wait: Duration) -> Result<Guard, LockError> {
        lock::acquire_within(&self.dir, operation, wait)
    }

    /// Keeps the lock, which must be of this folder and have been taken before it was read, until the
    /// home is dropped. From now on nothing is written once it is lost.
    pub fn hold(&mut self, guard: Guard) {
        self.guard = Some(guard);
    }

    /// What stands between us, should we have lost the lock, and the cloud.
    pub fn fence(&self) -> Fence {
        self.guard.as_ref().map_or_else(Fence::open, Guard::fence)
    }

    /// Makes the entries durable, in one write and one fsync: they are on disk, all of them, when
    /// this returns. They must be what [`State::record`] has accepted. Files of an older format are
    /// made ours first.
    ///
    /// # Errors
    /// When the disk refuses, or the lock is lost. What is recorded is then as it was before.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), HomeError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.ours()?;
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

    /// Replaces the snapshot by this state and begins a new journal. The two that are replaced are
    /// kept as backups. A crash in between is harmless: what a journal says that its snapshot
    /// knows already is skipped.
    ///
    /// # Errors
    /// When the disk refuses; the state on disk is complete nevertheless.
    pub fn compact(&mut self, state: &State) -> Result<(), HomeError> {
        self.in_step(state)?;
        if self.serial == 0 {
            return Ok(()); // nothing was ever recorded
        }
        self.ours()?;
        self.rewrite(state)
    }

    fn rewrite(&mut self, state: &State) -> Result<(), HomeError> {
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

    /// Keeps the files of an older major as they are, before anything takes their place.
    fn keep_originals(&mut self) -> Result<(), HomeError> {
        let older = [(SNAPSHOT, self.older.snapshot), (JOURNAL, self.older.journal)];
        for (name, format) in older {
            let Some(Format { major, .. }) = format.filter(|format| format.major < FORMAT.major)
            else {
                continue;
            };
            let path = self.dir.join(name);
            keep_original(&self.dir, &path, major).map_err(|source| HomeError::Unwritable {
                action: "keep the original of",
                path,
                source,
            })?;
        }
        self.older = Older::default();
        Ok(())
    }

    /// Puts another state in the place of this one, as it is, and keeps what is replaced as backups.
    /// Its serial must not be smaller than what is recorded: what the journal says must be in the
    /// past of the new snapshot, should we not get as far as to replace both.
    ///
    /// # Errors
    /// When the disk refuses, the lock is lost, or the serial is too small. What is there then is the
    /// one state or the other.
    pub fn install(&mut self, state: &State) -> Result<(), HomeError> {
        if state.serial < self.serial || (self.serial > 0 && state.lineage != self.lineage) {
            let path = self.dir.clone();
            return Err(HomeError::OutOfStep { path, given: state.serial, recorded: self.serial });
        }
        self.ours()?;
        self.keep_originals()?;
        if self.journal.is_none() {
            // A state that is sealed is never without its journal, and this one has none yet.
            self.replace(SNAPSHOT, &snapshot::write_unsealed(state))?;
        }
        self.lineage.clone_from(&state.lineage);
        self.format = state.format;
        self.serial = state.serial;
        let done = self.rewrite(state);
        self.unsure |= done.is_err();
        done
    }

    /// See [`Home::give_way`](super::backend::Home::give_way). At every moment the files are a state
    /// that has nothing.
    ///
    /// # Errors
    /// When the disk refuses, or the lock is lost.
    pub fn give_way(&mut self) -> Result<(), HomeError> {
        self.ours()?;
        self.keep_originals()?;
        let nothing = State { serial: self.serial, ..State::new(self.lineage.clone()) };
        self.replace(SNAPSHOT, &snapshot::write_unsealed(&nothing))?;
        let path = self.dir.join(JOURNAL);
        remove_file(&self.dir, &path).map_err(|source| HomeError::Unwritable {
            action: "remove",
            path,
            source,
        })?;
        (self.journal, self.end, self.file, self.unmigrated) = (None, None, None, None);
        self.serial = 0;
        Ok(())
    }

    /// See [`Home::retire`](super::backend::Home::retire). The files stay as they are.
    ///
    /// # Errors
    /// When the disk refuses, or the lock is lost.
    pub fn retire(&mut self, to: &str) -> Result<(), HomeError> {
        self.ours()?;
        if let Some(state) = self.unmigrated.clone() {
            self.rewrite(&state)?; // an older program does not know what it means to be moved
        }
        self.replace(MOVED, format!("{to}\n").as_bytes()).map(|_| ())
    }

    /// See [`Home::welcome`](super::backend::Home::welcome).
    ///
    /// # Errors
    /// When the disk refuses, or the lock is lost.
    pub fn welcome(&mut self) -> Result<(), HomeError> {
        self.ours()?;
        let path = self.dir.join(MOVED);
        remove_file(&self.dir, &path).map_err(|source| HomeError::Unwritable {
            action: "remove",
            path,
            source,
        })
    }

    /// Compacts where the journal has outgrown the snapshot, so that all the snapshots of a
    /// state's life cost no more than its journals did. Nothing is migrated for this alone.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn close(&mut self, state: &State) -> Result<(), HomeError> {
        self.in_step(state)?;
        let migrated = self.unmigrated.is_none();
        if migrated && self.end.is_some_and(|journal| journal > self.snapshot_bytes) {
            self.compact(state)?;
        }
        Ok(())
    }

    fn in_step(&self, state: &State) -> Result<(), HomeError> {
        if state.serial == self.serial && state.lineage == self.lineage {
            return Ok(());
        }
        let path = self.dir.clone();
        Err(HomeError::OutOfStep { path, given: state.serial, recorded: self.serial })
    }

    /// Whether the lock is still ours where we had it, and the journal still the one that this home
    /// has read or written.
    fn ours(&self) -> Result<(), HomeError> {
        self.fence().pass()?;
        let path = self.dir.join(JOURNAL);
        if self.unsure {
            return Err(HomeError::Unsure { path });
        }
        let now = match fs::metadata(&path) {
            Ok(metadata) => Some(Stamp::of(&metadata)),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(source) => return Err(HomeError::Unreadable { path, source }),
        };
        if now == self.journal { Ok(()) } else { Err(HomeError::Changed { path }) }
    }

    /// Appends to the journal. What stands after `end` is a write that was cut off.
    fn grow(&mut self, end: u64, text: &[u8]) -> Result<(), HomeError> {
        let path = self.dir.join(JOURNAL);
        let refused =
            |source| HomeError::Unwritable { action: "write", path: path.clone(), source };
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(OpenOptions::new().append(true).open(&path).map_err(refused)?),
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
                // After a failed fsync nobody can say what the disk has, whatever is cut.
                self.unsure = file.set_len(end).is_err() || !matches!(synced, None | Some(Ok(())));
                self.journal = file.metadata().ok().map(|metadata| Stamp::of(&metadata));
                let error = written.err().or_else(|| synced.and_then(Result::err));
                Err(refused(error.unwrap_or_else(|| io::Error::other("its size is unknown"))))
            }
        }
    }

    /// Begins a journal at the current serial, with these records in it.
    fn begin(&mut self, records: &[u8]) -> Result<(), HomeError> {
        let (format, lineage) = (self.format, self.lineage.clone());
        let mut text = Vec::new();
        journal::push_header(&mut text, &Header { format, lineage, base: self.serial });
        text.extend_from_slice(records);
        self.file = None;
        let stamp = self.replace(JOURNAL, &text)?;
        self.journal = Some(stamp);
        self.end = Some(text.len() as u64);
        Ok(())
    }

    /// Puts a file in the place of the one with this name, which becomes its backup.
    fn replace(&mut self, name: &str, text: &[u8]) -> Result<Stamp, HomeError> {
        let path = self.dir.join(name);
        let refused =
            |source| HomeError::Unwritable { action: "write", path: path.clone(), source };
        make_folder(&self.dir)?;
        let file = replace_file(&self.dir, &path, text).map_err(refused)?;
        let stamp = file.metadata().map(|metadata| Stamp::of(&metadata)).map_err(refused)?;
        self.bytes_written += text.len() as u64;
        Ok(stamp)
    }
}

#[allow(clippy::unnecessary_min_or_max, reason = "nothing is below 0, but a minor is not always 0")]
fn latest(minor: u32) -> u32 {
    minor.max(FORMAT.minor)
}

/// What tells one content of the journal from another, without reading it.
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
