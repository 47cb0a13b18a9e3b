//! Reads a state from the objects of a bucket. Never writes and never guesses: damage is an error
//! with the object's key and a way to repair it.
//!
//! The snapshot is read first, then the journal after it. A compaction in between may delete those
//! journal objects; then the snapshot has changed as well, and reading begins again. No lock is
//! needed.

use uuid::Uuid;

use super::conditional_write::{RetryBudget, retry_idempotent};
use super::layout::Layout;
use super::lease::not_read;
use super::object_store::{Etag, ObjectStore, StoredObject};
use crate::provider::{ProviderError, all};
use crate::state::error::{Damage, FormatError, StateError};
use crate::state::journal::{JournalHeader, JournalReader};
use crate::state::{FORMAT, State, snapshot};

/// Number of objects read concurrently.
const AT_ONCE: usize = 16;
/// Number of attempts before reading fails.
const TRIES: usize = 8;

/// State as it was read.
#[derive(Debug)]
pub(super) struct LoadedRemote {
    pub(super) state: State,
    pub(super) snapshot: Option<StoredSnapshot>,
    /// Size of the journal after the snapshot.
    pub(super) journal_bytes: u64,
    /// Number of journal objects after the snapshot.
    pub(super) journal_objects: u64,
    pub(super) warnings: Vec<String>,
}

impl LoadedRemote {
    /// Returns true if no entry was ever recorded.
    pub(super) fn is_new(&self) -> bool {
        self.snapshot.is_none() && self.journal_objects == 0
    }
}

/// Snapshot as stored in the bucket.
#[derive(Clone, Debug)]
pub(super) struct StoredSnapshot {
    pub(super) bytes: Vec<u8>,
    pub(super) etag: Etag,
    pub(super) serial: u64,
}

/// Reads the state at this location. An empty location is a new state.
pub(super) async fn load(
    bucket: &dyn ObjectStore,
    place: &Layout,
    patience: RetryBudget,
) -> Result<LoadedRemote, StateError> {
    let reading = RemoteReader { bucket, place, patience };
    let key = place.snapshot();
    let mut snapshot = reading.get(&key).await?;
    for _ in 0..TRIES {
        let error = match reading.state_from(snapshot.as_ref()).await {
            Ok(loaded) => return Ok(loaded),
            Err(AttemptError::Final(error)) => return Err(error),
            Err(AttemptError::Gap(error)) => error,
        };
        let now = reading.get(&key).await?;
        if now.as_ref().map(|object| &object.etag) == snapshot.as_ref().map(|object| &object.etag) {
            return Err(error);
        }
        snapshot = now;
    }
    Err(StateError::Changed { path: place.address(&key) })
}

/// Returns true if the location contains any object of a state.
pub(super) async fn is_there(
    bucket: &dyn ObjectStore,
    place: &Layout,
    patience: RetryBudget,
) -> Result<bool, StateError> {
    let reading = RemoteReader { bucket, place, patience };
    // A new run may have only a lock so far. A lone backup is no new state either; reading it
    // reports the missing snapshot.
    for key in [place.snapshot(), place.lock(), place.backup()] {
        if reading.get(&key).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(!reading.list("").await?.is_empty())
}

/// Returns the keys of all objects in a location of several clusters.
pub(super) async fn keys(
    bucket: &dyn ObjectStore,
    place: &Layout,
    patience: RetryBudget,
) -> Result<Vec<String>, StateError> {
    RemoteReader { bucket, place, patience }.list_below(place.prefix(), "").await
}

/// Error of one attempt to read a state.
enum AttemptError {
    /// An object is missing, possibly because of a concurrent compaction.
    Gap(StateError),
    Final(StateError),
}

impl From<StateError> for AttemptError {
    fn from(error: StateError) -> Self {
        AttemptError::Final(error)
    }
}

/// Error of a journal.
enum JournalError {
    /// The journal begins after this serial, and there is no snapshot.
    BeginsAfter(u64),
    /// An object is missing.
    Missing { key: String, because: String },
    /// An object is damaged or belongs to another state.
    Group { key: String, error: GroupError },
    /// An object cannot be read.
    Unread(StateError),
}

#[derive(Clone, Copy)]
struct RemoteReader<'a> {
    bucket: &'a dyn ObjectStore,
    place: &'a Layout,
    patience: RetryBudget,
}

impl RemoteReader<'_> {
    async fn get(&self, key: &str) -> Result<Option<StoredObject>, StateError> {
        let answer = retry_idempotent(self.patience, "GetObject", || self.bucket.get(key)).await;
        answer.map_err(|source| not_read(self.place, key, source))
    }

    async fn list(&self, after: &str) -> Result<Vec<String>, StateError> {
        self.list_below(&self.place.journal(), after).await
    }

    async fn list_below(&self, prefix: &str, after: &str) -> Result<Vec<String>, StateError> {
        let answer: Result<_, ProviderError> =
            retry_idempotent(self.patience, "ListObjectsV2", || self.bucket.list(prefix, after))
                .await;
        answer.map_err(|source| not_read(self.place, prefix, source))
    }

    async fn state_from(
        &self,
        snapshot: Option<&StoredObject>,
    ) -> Result<LoadedRemote, AttemptError> {
        let (state, snapshot) = match snapshot {
            Some(object) => {
                let state = self.snapshot(object).await?;
                let StoredObject { bytes, etag, .. } = object.clone();
                let serial = state.serial;
                (Some(state), Some(StoredSnapshot { bytes, etag, serial }))
            }
            None => (None, None),
        };
        if snapshot.is_none() && self.get(&self.place.backup()).await?.is_some() {
            return Err(AttemptError::Gap(self.missing_snapshot("its backup exists").await));
        }
        let journal = self.journal(state).await;
        let mut journal = match journal {
            Ok(journal) => journal,
            Err(trouble) => return Err(self.explained(trouble).await),
        };
        let mut state =
            journal.state.take().unwrap_or_else(|| State::new(Uuid::new_v4().to_string()));
        state.format.minor = latest(state.format.minor);
        let JournalReplay { bytes, objects, warnings, .. } = journal;
        Ok(LoadedRemote {
            state,
            snapshot,
            journal_bytes: bytes,
            journal_objects: objects,
            warnings,
        })
    }

    async fn snapshot(&self, object: &StoredObject) -> Result<State, StateError> {
        let key = self.place.snapshot();
        let path = self.place.address(&key);
        if object.bytes.is_empty() {
            return Err(StateError::Empty { path, hint: self.rebuild_hint().await });
        }
        match snapshot::read(&mut object.bytes.clone()) {
            Ok(snapshot) => Ok(snapshot.state),
            Err(FormatError::NewerFormat(found)) => Err(StateError::NewerFormat { path, found }),
            Err(FormatError::Damaged(damage)) => {
                let hint = format!(
                    "{}; to accept a manual change of the file, replace its first line with `{{`",
                    self.rebuild_hint().await
                );
                Err(StateError::Damaged { path, damage, hint })
            }
        }
    }

    /// Replays the journal after this state.
    async fn journal(&self, state: Option<State>) -> Result<JournalReplay, JournalError> {
        let serial = state.as_ref().map_or(0, |state| state.serial);
        let keys = self.list(&self.place.group(serial)).await.map_err(JournalError::Unread)?;
        let mut journal = JournalReplay { state, bytes: 0, objects: 0, warnings: Vec::new() };
        let (ours, others): (Vec<_>, Vec<_>) =
            keys.into_iter().partition(|key| self.place.first_of(key).is_some());
        journal.warnings.extend(others.iter().map(|key| {
            let address = self.place.address(key);
            format!("{}: not a part of the journal; the object is ignored", address.display())
        }));
        for keys in ours.chunks(AT_ONCE) {
            let objects = all(keys.iter().map(|key| self.get(key)).collect()).await;
            for (key, object) in keys.iter().zip(objects) {
                let object = object.map_err(JournalError::Unread)?;
                self.replay(&mut journal, key, object.as_ref())?;
            }
        }
        Ok(journal)
    }

    /// Replays one object of the journal.
    fn replay(
        &self,
        journal: &mut JournalReplay,
        key: &str,
        object: Option<&StoredObject>,
    ) -> Result<(), JournalError> {
        let first = self.place.first_of(key).expect("BUG: the others were set apart");
        let serial = journal.serial();
        if first > serial + 1 {
            if journal.state.is_none() {
                return Err(JournalError::BeginsAfter(first - 1));
            }
            let because = format!("the journal continues with entry {first}");
            return Err(JournalError::Missing { key: self.place.group(serial + 1), because });
        }
        let key = key.to_owned();
        let Some(object) = object else {
            return Err(JournalError::Missing {
                key,
                because: "an earlier read found it".to_owned(),
            });
        };
        journal.replay(first, &object.bytes).map_err(|error| JournalError::Group { key, error })
    }

    async fn explained(&self, trouble: JournalError) -> AttemptError {
        match trouble {
            JournalError::BeginsAfter(record) => {
                let because = format!("the journal begins after entry {record}");
                AttemptError::Gap(self.missing_snapshot(&because).await)
            }
            JournalError::Missing { key, because } => {
                let (path, hint) = (self.place.address(&key), self.restore(&key));
                AttemptError::Gap(StateError::Missing { path, because, hint })
            }
            JournalError::Group { key, error } => AttemptError::Final(self.unusable(&key, error)),
            JournalError::Unread(error) => AttemptError::Final(error),
        }
    }

    fn unusable(&self, key: &str, error: GroupError) -> StateError {
        let path = self.place.address(key);
        match error {
            GroupError::Empty => StateError::Empty { path, hint: self.restore(key) },
            GroupError::Foreign { found, expected } => {
                StateError::ForeignLineage { path, found, expected }
            }
            GroupError::Unusable(FormatError::NewerFormat(found)) => {
                StateError::NewerFormat { path, found }
            }
            GroupError::Unusable(FormatError::Damaged(damage)) => {
                let hint = format!(
                    "{}; to drop the entries of this object and of all later ones instead, move \
                         these objects to another prefix with `aws s3 mv`",
                    self.restore(key)
                );
                StateError::Damaged { path, damage, hint }
            }
        }
    }

    async fn missing_snapshot(&self, because: &str) -> StateError {
        let path = self.place.address(&self.place.snapshot());
        let hint = self.rebuild_hint().await;
        StateError::Missing { path, because: because.to_owned(), hint }
    }

    fn restore(&self, key: &str) -> String {
        restore_hint(self.place, key)
    }

    /// Returns advice to restore the snapshot. The backup is named only if it really suffices.
    async fn rebuild_hint(&self) -> String {
        let key = self.place.snapshot();
        let Some((serial, from_backup)) = self.rebuilt().await else { return self.restore(&key) };
        let snapshot = self.place.address(&key);
        let backup = self.place.address(&self.place.backup());
        let (snapshot, backup) = (snapshot.display(), backup.display());
        if from_backup {
            format!(
                "restore all entries up to {serial} from the backup and the journal: aws s3 cp \
                 {backup} {snapshot}"
            )
        } else {
            format!(
                "remove the snapshot to use the journal, which has all entries up to {serial}: \
                 aws s3 rm {snapshot}"
            )
        }
    }

    /// Returns the last serial that the backup and the journal lead to, and true if a backup is
    /// part of them.
    async fn rebuilt(&self) -> Option<(u64, bool)> {
        let backup = self.get(&self.place.backup()).await.ok()?;
        let state = match backup {
            Some(mut backup) => Some(snapshot::read(&mut backup.bytes).ok()?.state),
            None => None,
        };
        let from_backup = state.is_some();
        let journal = self.journal(state).await.ok()?;
        (journal.objects > 0 || from_backup).then(|| (journal.serial(), from_backup))
    }
}

/// Returns advice with the command that lists the stored versions of an object.
pub(super) fn restore_hint(place: &Layout, key: &str) -> String {
    let bucket = place.bucket();
    format!(
        "restore the last valid version of the object: choose its version ID with `aws s3api \
         list-object-versions --bucket {bucket} --prefix {key}`, then run `aws s3api copy-object \
         --bucket {bucket} --key {key} --copy-source '{bucket}/{key}?versionId=ID'`"
    )
}

/// Journal that is being read.
struct JournalReplay {
    /// State so far; `None` before the first record without a snapshot.
    state: Option<State>,
    bytes: u64,
    objects: u64,
    warnings: Vec<String>,
}

enum GroupError {
    Empty,
    Foreign { found: String, expected: String },
    Unusable(FormatError),
}

impl From<FormatError> for GroupError {
    fn from(unusable: FormatError) -> Self {
        GroupError::Unusable(unusable)
    }
}

impl JournalReplay {
    fn serial(&self) -> u64 {
        self.state.as_ref().map_or(0, |state| state.serial)
    }

    /// Replays the records of one object, which must be the next ones and complete.
    fn replay(&mut self, first: u64, text: &[u8]) -> Result<(), GroupError> {
        if text.is_empty() {
            return Err(GroupError::Empty);
        }
        let mut reader = JournalReader::new(text)?;
        let header = reader.header().clone();
        let state = self.state.get_or_insert_with(|| begun(&header));
        if header.lineage != state.lineage {
            let (found, expected) = (header.lineage, state.lineage.clone());
            return Err(GroupError::Foreign { found, expected });
        }
        let begins = |why| FormatError::Damaged(Damage { line: 1, offset: 0, serial: None, why });
        if header.base + 1 != first {
            return Err(begins(format!("the object begins after entry {}", header.base)).into());
        }
        if header.base != state.serial {
            let why = format!("the objects before it have the entries up to {}", state.serial);
            return Err(begins(why).into());
        }
        while let Some(line) = reader.next_record()? {
            state.replay(line).map_err(FormatError::from)?;
        }
        if let Some((place, _)) = reader.torn() {
            let why = "the last line is incomplete".to_owned();
            let damage = Damage { line: place.line, offset: place.offset, serial: None, why };
            return Err(FormatError::Damaged(damage).into());
        }
        if reader.serial() == header.base {
            return Err(begins("the object has no entry".to_owned()).into());
        }
        self.bytes += text.len() as u64;
        self.objects += 1;
        Ok(())
    }
}

/// Returns the initial state of a journal without a snapshot.
fn begun(header: &JournalHeader) -> State {
    let format = if header.format.major == FORMAT.major { header.format } else { FORMAT };
    State { format, ..State::new(header.lineage.clone()) }
}

#[allow(clippy::unnecessary_min_or_max, reason = "nothing is below 0, but a minor is not always 0")]
fn latest(minor: u32) -> u32 {
    minor.max(FORMAT.minor)
}
