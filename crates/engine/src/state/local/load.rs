//! Reads a state from the files of a folder. Never writes and never guesses: damage is an error
//! with its position and a way to repair it.

use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::{JOURNAL, SNAPSHOT, Stamp};
use crate::state::durable_files::{backup_of, original_of, read_file};
use crate::state::error::{Damage, FormatError, LinePosition, StateError};
use crate::state::journal::{JournalHeader, JournalReader};
use crate::state::regular_file;
use crate::state::snapshot::{self, Snapshot};
use crate::state::{FORMAT, Format, State};

const RESTORE: &str = "restore state.json and journal from a backup of this folder";
const JOURNAL_LOST: &str = "restore the journal from a backup of this folder; to continue without \
     its entries, remove the journal and replace the first line of state.json with `{`";

/// Files of a folder, read in an order that is safe while another process writes.
pub(super) struct Files {
    dir: PathBuf,
    pub(super) snapshot: Option<Vec<u8>>,
    pub(super) journal: Option<JournalFile>,
}

pub(super) struct JournalFile {
    text: Vec<u8>,
    pub(super) stamp: Stamp,
}

pub(super) struct LoadedLocal {
    pub(super) state: State,
    pub(super) end: Option<u64>,
    pub(super) warnings: Vec<String>,
    pub(super) older: Older,
}

/// Formats of the two files, if older than the current one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Older {
    pub(super) snapshot: Option<Format>,
    pub(super) journal: Option<Format>,
}

impl Older {
    /// Returns the older of the two formats.
    pub(super) fn oldest(self) -> Option<Format> {
        self.snapshot.into_iter().chain(self.journal).min()
    }
}

fn if_older(format: Format) -> Option<Format> {
    (format < FORMAT).then_some(format)
}

impl Files {
    /// Reads the journal first. A compaction in between then leaves a snapshot that contains the
    /// journal.
    pub(super) fn read(dir: &Path) -> Result<Self, StateError> {
        let journal = read_journal(&dir.join(JOURNAL))?;
        let snapshot = read_file(&dir.join(SNAPSHOT))?;
        let journal = match journal {
            // Another process began both files between the two reads.
            None if snapshot.is_some() => read_journal(&dir.join(JOURNAL))?,
            journal => journal,
        };
        Ok(Self { dir: dir.to_owned(), snapshot, journal })
    }

    pub(super) fn load(mut self) -> Result<LoadedLocal, StateError> {
        let snapshot = self.snapshot.take();
        let snapshot = snapshot.map(|text| self.load_snapshot(text)).transpose()?;
        let Some(journal) = self.journal.take() else { return self.without_journal(snapshot) };
        self.replay(snapshot, &journal.text)
    }

    fn load_snapshot(&self, mut text: Vec<u8>) -> Result<Snapshot, StateError> {
        let path = self.dir.join(SNAPSHOT);
        if text.is_empty() {
            return Err(StateError::Empty { path, hint: self.rebuild_hint() });
        }
        snapshot::read(&mut text).map_err(|unusable| match unusable {
            FormatError::NewerFormat(found) => StateError::NewerFormat { path, found },
            FormatError::Damaged(damage) => {
                let hint = format!(
                    "{}; to accept a manual change of the file, replace its first line with `{{`",
                    self.rebuild_hint()
                );
                StateError::Damaged { path, damage, hint }
            }
        })
    }

    /// Handles a folder without a journal. An empty folder is a new state. A lone snapshot is valid
    /// only without a seal, as a person writes it.
    fn without_journal(&self, snapshot: Option<Snapshot>) -> Result<LoadedLocal, StateError> {
        let (path, because, hint) = match snapshot {
            Some(Snapshot { state, sealed: false, format }) => {
                let older = Older { snapshot: if_older(format), journal: None };
                return Ok(LoadedLocal { state, end: None, warnings: Vec::new(), older });
            }
            Some(_) => (
                self.dir.join(JOURNAL),
                "state.json does not have the entries after it",
                JOURNAL_LOST,
            ),
            None if !self.has_backups() => {
                let state = State::new(Uuid::new_v4().to_string());
                let older = Older::default();
                return Ok(LoadedLocal { state, end: None, warnings: Vec::new(), older });
            }
            None => (
                self.dir.join(SNAPSHOT),
                "its backup exists",
                "restore state.json and journal from a backup, or use another folder for a new \
                 cluster",
            ),
        };
        Err(StateError::Missing { path, because: because.to_owned(), hint: hint.to_owned() })
    }

    fn has_backups(&self) -> bool {
        let kept = |name| {
            let path = self.dir.join(name);
            let mut originals = (1..FORMAT.major).map(|major| original_of(&path, major, 1));
            backup_of(&path).exists() || originals.any(|original| original.exists())
        };
        kept(SNAPSHOT) || kept(JOURNAL)
    }

    fn replay(&self, snapshot: Option<Snapshot>, text: &[u8]) -> Result<LoadedLocal, StateError> {
        let path = self.dir.join(JOURNAL);
        if text.is_empty() {
            let hint = if snapshot.is_some() { JOURNAL_LOST } else { RESTORE };
            return Err(StateError::Empty { path, hint: hint.to_owned() });
        }
        let unusable = |unusable| self.journal_error(unusable);
        let mut reader = JournalReader::new(text).map_err(unusable)?;
        let older_snapshot = snapshot.as_ref().and_then(|snapshot| if_older(snapshot.format));
        let mut state = match snapshot {
            Some(snapshot) => self.fits(snapshot.state, reader.header())?,
            None if reader.header().base > 0 => {
                let base = reader.header().base;
                return Err(StateError::Missing {
                    path: self.dir.join(SNAPSHOT),
                    because: format!("the journal begins after entry {base}"),
                    hint: self.rebuild_hint(),
                });
            }
            None => {
                let JournalHeader { format, lineage, .. } = reader.header().clone();
                let format = if format.major == FORMAT.major { format } else { FORMAT };
                State { format, ..State::new(lineage) }
            }
        };
        while let Some(line) = reader.next_record().map_err(unusable)? {
            state.replay(line).map_err(|damage| unusable(damage.into()))?;
        }
        let end = (reader.serial() == state.serial).then_some(reader.end() as u64);
        let torn = reader.torn().map(|(place, length)| torn_warning(&path, place, length));
        let older = Older { snapshot: older_snapshot, journal: if_older(reader.oldest()) };
        Ok(LoadedLocal { state, end, warnings: torn.into_iter().collect(), older })
    }

    fn fits(&self, state: State, header: &JournalHeader) -> Result<State, StateError> {
        let path = self.dir.join(JOURNAL);
        if header.lineage != state.lineage {
            let (found, expected) = (header.lineage.clone(), state.lineage);
            return Err(StateError::ForeignLineage { path, found, expected });
        }
        if header.base > state.serial {
            let why = format!(
                "the journal begins after entry {}, but state.json ends with entry {}",
                header.base, state.serial
            );
            let damage = Damage { line: 1, offset: 0, serial: None, why };
            return Err(StateError::Damaged { path, damage, hint: self.rebuild_hint() });
        }
        Ok(state)
    }

    fn journal_error(&self, unusable: FormatError) -> StateError {
        let path = self.dir.join(JOURNAL);
        let damage = match unusable {
            FormatError::NewerFormat(found) => return StateError::NewerFormat { path, found },
            FormatError::Damaged(damage) => damage,
        };
        let restore = "restore the journal from a backup of this folder";
        let (journal, copy) = (quoted(&path), quoted(&path.with_extension("damaged")));
        let hint = match damage.serial {
            Some(serial) => format!(
                "{restore}; to drop entry {serial} and all later entries instead: cp {journal} \
                 {copy} && truncate -s {} {journal}",
                damage.offset,
            ),
            None => restore.to_owned(),
        };
        StateError::Damaged { path, damage, hint }
    }

    /// Returns advice to restore the snapshot. The backups are named only if they really suffice.
    fn rebuild_hint(&self) -> String {
        let Some((serial, snapshot)) = self.rebuilt() else {
            return RESTORE.to_owned();
        };
        let first = if snapshot { "mv state.json.backup state.json" } else { "rm -f state.json" };
        format!(
            "restore all entries up to {serial} from the backups: cd {} && {first} && cat \
             journal.backup journal > joined && mv joined journal",
            quoted(&self.dir)
        )
    }

    /// Returns the last serial that the backups and the journal lead to, and true if a snapshot is
    /// part of them.
    fn rebuilt(&self) -> Option<(u64, bool)> {
        let backup = |name| read_file(&backup_of(&self.dir.join(name))).ok().flatten();
        let mut text = backup(JOURNAL)?;
        text.extend(read_file(&self.dir.join(JOURNAL)).ok()??);
        let snapshot = backup(SNAPSHOT).map(|mut text| snapshot::read(&mut text));
        let mut reader = JournalReader::new(&text).ok()?;
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

fn torn_warning(path: &Path, place: LinePosition, length: usize) -> String {
    format!(
        "{}: the last write is incomplete and ignored (line {}, {length} bytes at byte {}); no \
         call had been sent for it",
        path.display(),
        place.line,
        place.offset
    )
}

/// Quotes a path for a shell.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', r"'\''"))
}

/// Reads the journal with the identity of the same open file.
fn read_journal(path: &Path) -> Result<Option<JournalFile>, StateError> {
    let unreadable = |source| StateError::Unreadable { path: path.to_owned(), source };
    let mut file = match regular_file::open(path) {
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
