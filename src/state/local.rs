//! The home of a state in a local folder.
//!
//! ```text
//! state/<cluster>/state.json           the snapshot
//!                 journal              what was recorded since
//!                 state.json.backup    the snapshot before, and
//!                 journal.backup       what led from it to this one
//!                 lock, lock.json      who works on it (see `lock`)
//! ```
//!
//! Nothing is ever changed in place: the journal grows at its end, and whole files are replaced
//! (temporary file, fsync, rename, fsync of the folder). Take the lock, then open: what is appended
//! to a state that somebody else has moved on is refused. Only reads until the first append.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::NamedTempFile;
use uuid::Uuid;

use super::error::{Damage, HomeError, Place, Unusable};
use super::journal::{self, Header, Reader};
use super::lock::{self, Guard, LockError};
use super::snapshot::{self, Snapshot};
use super::{Entry, FORMAT, Format, State};

#[cfg(test)]
mod tests;

const SNAPSHOT: &str = "state.json";
const JOURNAL: &str = "journal";
const BACKUP: &str = ".backup";
/// Prefixes of what only exists for a moment.
pub(super) const NEW: &str = ".new-";
const OLD: &str = ".old-";

/// A state and where it lives.
#[derive(Debug)]
pub struct Opened {
    /// Where it lives.
    pub home: LocalHome,
    /// The state.
    pub state: State,
    /// What a person should know of how it was read.
    pub warnings: Vec<String>,
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
}

impl LocalHome {
    /// Reads the state in this folder. A folder that is missing or empty is a new state, and
    /// nothing is written until the first [`append`](Self::append).
    ///
    /// # Errors
    /// When something cannot be read or is not what was written. Nothing is changed then.
    pub fn open(dir: &Path) -> Result<Opened, HomeError> {
        let files = Files::read(dir)?;
        let journal = files.journal.as_ref().map(|journal| journal.stamp);
        let snapshot_bytes = files.snapshot.as_ref().map_or(0, |text| text.len() as u64);
        let Loaded { mut state, end, warnings } = files.load()?;
        state.format.minor = state.format.minor.max(FORMAT.minor);
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
        };
        Ok(Opened { home, state, warnings })
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

    /// Makes the entries durable, in one write and one fsync: they are on disk, all of them, when
    /// this returns. They must be what [`State::record`] has accepted.
    ///
    /// # Errors
    /// When the disk refuses. The journal is then as it was before.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), HomeError> {
        if entries.is_empty() {
            return Ok(());
        }
        self.ours()?;
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
        let text = snapshot::write(state);
        self.replace(SNAPSHOT, &text)?;
        self.snapshot_bytes = text.len() as u64;
        self.begin(&[])
    }

    /// Compacts where the journal has outgrown the snapshot, so that all the snapshots of a
    /// state's life cost no more than its journals did.
    ///
    /// # Errors
    /// As [`compact`](Self::compact).
    pub fn close(&mut self, state: &State) -> Result<(), HomeError> {
        self.in_step(state)?;
        if self.end.is_some_and(|journal| journal > self.snapshot_bytes) {
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

    /// Whether the journal is still the one that this home has read or written.
    fn ours(&self) -> Result<(), HomeError> {
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
        let stamp = replace_file(&self.dir, &path, text).map_err(refused)?;
        self.bytes_written += text.len() as u64;
        Ok(stamp)
    }
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

/// Makes the folder and what is missing above it, for the owner alone, durably.
pub(super) fn make_folder(dir: &Path) -> Result<(), HomeError> {
    if dir.is_dir() {
        return Ok(());
    }
    let refused = |source| HomeError::Unwritable { action: "create", path: dir.to_owned(), source };
    let missing = dir.ancestors().take_while(|above| !above.as_os_str().is_empty());
    let missing: Vec<_> = missing.take_while(|above| !above.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(refused)?;
    for made in missing {
        let above = made.parent().filter(|above| !above.as_os_str().is_empty());
        sync_folder(above.unwrap_or(Path::new("."))).map_err(refused)?;
    }
    Ok(())
}

fn sync_folder(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn replace_file(dir: &Path, path: &Path, text: &[u8]) -> io::Result<Stamp> {
    let mut file = NamedTempFile::with_prefix_in(NEW, dir)?; // for the owner alone: 0600
    file.write_all(text)?;
    file.as_file().sync_all()?;
    keep_backup(dir, path);
    let file = file.persist(path)?;
    sync_folder(dir)?;
    Ok(Stamp::of(&file.metadata()?))
}

/// Gives the file a second name, at no cost. There is always a file by the first. Where the file
/// system has no such links there is no backup, and nothing depends on one.
fn keep_backup(dir: &Path, path: &Path) {
    let backup = backup_of(path);
    let passing = dir.join(format!("{OLD}{}", Uuid::new_v4()));
    if fs::hard_link(path, &passing).is_ok() {
        let _ = fs::rename(&passing, backup);
        let _ = fs::remove_file(&passing); // where both were the same file, or it was refused
    }
}

/// Removes what writers that were killed have left. For whoever holds the lock.
pub(super) fn tidy(dir: &Path) {
    for file in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = file.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(NEW) || name.starts_with(OLD) {
            let _ = fs::remove_file(file.path()); // only untidy
        }
    }
}

fn backup_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(BACKUP);
    name.into()
}

const JOURNAL_LOST: &str = "restore the journal from a backup of this folder; to go on without what \
    was recorded in it, remove it and replace the first line of state.json by `{`";

/// The files of a folder, read in an order that makes sense while somebody else writes.
struct Files {
    dir: PathBuf,
    snapshot: Option<Vec<u8>>,
    journal: Option<JournalFile>,
}

struct JournalFile {
    text: Vec<u8>,
    stamp: Stamp,
}

struct Loaded {
    state: State,
    end: Option<u64>,
    warnings: Vec<String>,
}

impl Files {
    /// The journal first: a compaction in between leaves a snapshot that knows all of it.
    fn read(dir: &Path) -> Result<Self, HomeError> {
        let journal = read_journal(&dir.join(JOURNAL))?;
        let snapshot = read_file(&dir.join(SNAPSHOT))?;
        let journal = match journal {
            // Both were begun between the two looks.
            None if snapshot.is_some() => read_journal(&dir.join(JOURNAL))?,
            journal => journal,
        };
        Ok(Self { dir: dir.to_owned(), snapshot, journal })
    }

    fn load(mut self) -> Result<Loaded, HomeError> {
        let snapshot = self.snapshot.take();
        let snapshot = snapshot.map(|text| self.load_snapshot(text)).transpose()?;
        let Some(journal) = self.journal.take() else { return self.without_journal(snapshot) };
        self.replay(snapshot.map(|snapshot| snapshot.state), &journal.text)
    }

    fn load_snapshot(&self, mut text: Vec<u8>) -> Result<Snapshot, HomeError> {
        let path = self.dir.join(SNAPSHOT);
        if text.is_empty() {
            return Err(HomeError::Empty { path, hint: self.rebuild_hint() });
        }
        snapshot::read(&mut text).map_err(|unusable| match unusable {
            Unusable::NewerFormat(found) => HomeError::NewerFormat { path, found },
            Unusable::Damaged(damage) => {
                let hint = format!(
                    "{}; if it was changed by hand and is meant as it is, replace its first line by `{{`",
                    self.rebuild_hint()
                );
                HomeError::Damaged { path, damage, hint }
            }
        })
    }

    /// Nothing at all is a new state; a lone snapshot is one only if somebody wrote it by hand.
    fn without_journal(&self, snapshot: Option<Snapshot>) -> Result<Loaded, HomeError> {
        let (path, because, hint) = match snapshot {
            Some(Snapshot { state, sealed: false }) => {
                return Ok(Loaded { state, end: None, warnings: Vec::new() });
            }
            Some(_) => (
                self.dir.join(JOURNAL),
                "what was recorded after state.json was written would be forgotten",
                JOURNAL_LOST,
            ),
            None if !self.has_backups() => {
                let state = State::new(Uuid::new_v4().to_string());
                return Ok(Loaded { state, end: None, warnings: Vec::new() });
            }
            None => (
                self.dir.join(SNAPSHOT),
                "its backup says that it was there",
                "restore state.json and journal from a backup; for a new cluster use another \
                 folder",
            ),
        };
        Err(HomeError::Missing { path, because: because.to_owned(), hint: hint.to_owned() })
    }

    fn has_backups(&self) -> bool {
        let backup = |name| backup_of(&self.dir.join(name)).exists();
        backup(SNAPSHOT) || backup(JOURNAL)
    }

    fn replay(&self, snapshot: Option<State>, text: &[u8]) -> Result<Loaded, HomeError> {
        let path = self.dir.join(JOURNAL);
        if text.is_empty() {
            return Err(HomeError::Empty { path, hint: JOURNAL_LOST.to_owned() });
        }
        let unusable = |unusable| self.journal_error(unusable);
        let mut reader = Reader::new(text).map_err(unusable)?;
        let mut state = match snapshot {
            Some(state) => self.fits(state, reader.header())?,
            None if reader.header().base > 0 => {
                let base = reader.header().base;
                return Err(HomeError::Missing {
                    path: self.dir.join(SNAPSHOT),
                    because: format!("the journal beside it begins after record {base}"),
                    hint: self.rebuild_hint(),
                });
            }
            None => {
                let Header { format, lineage, .. } = reader.header().clone();
                State { format, ..State::new(lineage) }
            }
        };
        while let Some(line) = reader.next_record().map_err(unusable)? {
            state.replay(line).map_err(|damage| unusable(damage.into()))?;
        }
        let end = (reader.serial() == state.serial).then_some(reader.end() as u64);
        let torn = reader.torn().map(|(place, length)| torn_warning(&path, place, length));
        Ok(Loaded { state, end, warnings: torn.into_iter().collect() })
    }

    fn fits(&self, state: State, header: &Header) -> Result<State, HomeError> {
        let path = self.dir.join(JOURNAL);
        if header.lineage != state.lineage {
            let (found, expected) = (header.lineage.clone(), state.lineage);
            return Err(HomeError::ForeignLineage { path, found, expected });
        }
        if header.base > state.serial {
            let why = format!(
                "it begins after record {}, and state.json ends with record {}",
                header.base, state.serial
            );
            let damage = Damage { line: 1, offset: 0, serial: None, why };
            return Err(HomeError::Damaged { path, damage, hint: self.rebuild_hint() });
        }
        Ok(state)
    }

    fn journal_error(&self, unusable: Unusable) -> HomeError {
        let path = self.dir.join(JOURNAL);
        let damage = match unusable {
            Unusable::NewerFormat(found) => return HomeError::NewerFormat { path, found },
            Unusable::Damaged(damage) => damage,
        };
        let restore = "restore it from a backup of this folder";
        let hint = match damage.serial {
            Some(serial) => format!(
                "{restore}; or cut it there, which forgets record {serial} and all after it: \
                 truncate -s {} {}",
                damage.offset,
                quoted(&path)
            ),
            None => restore.to_owned(),
        };
        HomeError::Damaged { path, damage, hint }
    }

    /// What brings the snapshot back. The backups are only named where they really do.
    fn rebuild_hint(&self) -> String {
        let Some((serial, snapshot)) = self.rebuilt() else {
            return "restore state.json and journal from a backup of this folder".to_owned();
        };
        let first = if snapshot { "mv state.json.backup state.json" } else { "rm -f state.json" };
        format!(
            "the backups have everything up to record {serial}: cd {} && {first} && \
             cat journal.backup journal > joined && mv joined journal",
            quoted(&self.dir)
        )
    }

    /// How far the backups and the journal lead, and whether a snapshot is part of it.
    fn rebuilt(&self) -> Option<(u64, bool)> {
        let backup = |name| read_file(&backup_of(&self.dir.join(name))).ok().flatten();
        let mut text = backup(JOURNAL)?;
        text.extend(read_file(&self.dir.join(JOURNAL)).ok()??);
        let snapshot = backup(SNAPSHOT).map(|mut text| snapshot::read(&mut text));
        let mut reader = Reader::new(&text).ok()?;
        let mut state = match snapshot {
            Some(snapshot) => snapshot.ok()?.state,
            None => State::new(reader.header().lineage.clone()),
        };
        if reader.header().lineage != state.lineage || reader.header().base > state.serial {
            return None;
        }
        let has_snapshot = state.serial > 0;
        while let Some(line) = reader.next_record().ok()? {
            state.replay(line).ok()?;
        }
        Some((state.serial, has_snapshot))
    }
}

fn torn_warning(path: &Path, place: Place, length: usize) -> String {
    format!(
        "{}: the last write was cut off and is left out (line {}, {length} bytes from byte {}); \
         what it was to announce had not begun",
        path.display(),
        place.line,
        place.offset
    )
}

/// For a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, HomeError> {
    match fs::read(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(HomeError::Unreadable { path: path.to_owned(), source }),
    }
}

/// The text and the stamp of one and the same file.
fn read_journal(path: &Path) -> Result<Option<JournalFile>, HomeError> {
    use std::io::Read;
    let unreadable = |source| HomeError::Unreadable { path: path.to_owned(), source };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(unreadable(source)),
    };
    let mut text = Vec::new();
    file.read_to_end(&mut text).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    let stamp = Stamp { size: text.len() as u64, ..Stamp::of(&metadata) };
    Ok(Some(JournalFile { text, stamp }))
}
