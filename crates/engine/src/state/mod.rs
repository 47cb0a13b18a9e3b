//! Recorded state: the resources that exist, as far as providers have confirmed them.
//!
//! A state is a snapshot plus the journal written since. Only [`State::record`] changes a state. A
//! live apply and the recovery after a crash use the same function, which rejects impossible
//! histories. The module calls no cloud and makes no decisions.
//!
//! - [`Entry`]: the changes of a state.
//! - [`location`]: location of a state, as text. [`backend`]: an opened state backend. [`local`]: the
//!   backend in a folder. [`remote`]: the backend in a bucket.
//! - [`lock`]: the state lock. [`fence`]: the check that the lock is still held. [`error`]: all
//!   errors.
//! - [`regular_file`]: opening of files that must not be pipes or devices.
//! - [`snapshot`], [`journal`]: the two text formats, without I/O. `migrate`: the formats of older
//!   programs.

pub mod backend;
mod durable_files;
mod entry;
pub mod error;
pub mod fence;
pub mod journal;
pub mod local;
pub mod location;
pub mod lock;
mod lookup_cache;
mod migrate;
pub mod regular_file;
pub mod remote;
pub mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use self::entry::{Entry, IllegalEntry};
pub use self::lookup_cache::LookupCache;
use crate::drift::UnmanagedDrift;
use crate::graph::{Address, Ref};

/// Format of the states that this program writes. Newer majors are rejected and older ones are
/// migrated; unknown fields of newer minors survive a round trip.
///
/// A minor may add fields to the state and to a [`Record`], and keys of fixed meaning to the
/// [`LookupCache`], which older programs keep as results. A field that a minor adds to an [`Entry`]
/// belongs to the record that the entry is about. Every other change requires a new major.
pub const FORMAT: Format = Format { major: 4, minor: 3 };

/// Version of the state format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Format {
    /// Grows when older programs would misread the state.
    pub major: u32,
    /// Grows when the format has new fields that older programs can ignore.
    pub minor: u32,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Recorded state of one cluster's infrastructure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of the format.
    pub format: Format,
    /// Random UUID that a state gets once. States with different lineages are unrelated.
    pub lineage: String,
    /// Number of journal entries since the beginning. A plan that was made at another serial is
    /// stale.
    pub serial: u64,
    /// Highest generation of all creations so far. The creations of the next run get the next one.
    pub generation: u64,
    /// Identity of the cluster. Binding while a resource is recorded; see [`State::fixed_cluster`].
    pub cluster: Option<Cluster>,
    /// Lookup cache: results of queries that the graph was compiled with, by query. The same
    /// configuration compiles to the same graph later.
    #[serde(rename = "facts")]
    pub lookup_cache: LookupCache,
    /// Last runs that recorded entries, oldest first, with user, time and epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<RunRecord>,
    /// Recorded resources by address.
    pub resources: BTreeMap<Address, Record>,
    /// Deposed objects: replaced and not deleted yet, oldest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deposed: BTreeMap<Address, Vec<Record>>,
    /// Addresses that no run may delete or replace until the user removes the protection. The
    /// protection of an address stays when its resource is lost and created again.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub protected: BTreeSet<Address>,
    /// Fields of a newer minor version, kept.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Identity of the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// Name of the cluster in the configuration.
    pub name: String,
    /// Infra ID: the name and five random characters. Starts every resource name and is part of the
    /// cluster tag's key.
    pub infra_id: String,
    /// Random UUID of the cluster; empty if only manifests of machines describe the cluster.
    pub cluster_id: String,
    /// Region of all resources.
    pub region: String,
}

impl Cluster {
    /// Returns true if only manifests of machines describe the cluster, so that the state records
    /// machines.
    pub fn is_of_machines(&self) -> bool {
        self.cluster_id.is_empty()
    }
}

/// Run that records entries: an apply, a destroy, or a manual change of the state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Fencing token: one more than the epoch of the previous run. The state rejects a former
    /// holder of the lock, because its epoch is older.
    pub epoch: u64,
    /// Operation: `apply`, `destroy`.
    pub operation: String,
    /// Start time (RFC 3339).
    pub at: String,
    /// User, as `user@host`.
    pub by: String,
    /// Version of the program.
    pub version: String,
    /// Serial before the first entry of the run.
    pub after: u64,
    /// Infra ID of the cluster that the run was for. `None` in runs of format 4.0 or older, and before
    /// an identity is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub infra_id: Option<String>,
    /// Fields of a newer minor version, kept.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Maximum number of runs in a state. The oldest runs are dropped.
pub const RUNS: usize = 100;

/// Record of one resource.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Generation: distinguishes the objects that the address has had.
    pub generation: u64,
    /// Progress of the resource.
    pub status: RecordStatus,
    /// Last announced inputs, with all references resolved and secrets as digests.
    pub inputs: Value,
    /// Identity and outputs; `null` while the creation has no result.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub outputs: Value,
    /// Direct dependencies, which determine the order of a destroy without a configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Address>,
    /// Inputs before each update since the resource was last ready, oldest first. The cloud may have
    /// parts of these inputs while an update is not finished. Empty without such an update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prior_inputs: Vec<Value>,
    /// Unmanaged drift that an unfinished update was to revert. Empty without such an update.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revert: Vec<UnmanagedDrift>,
    /// Fields of a newer minor version, kept.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Progress of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordStatus {
    /// The creation is announced and has no result: in doubt. The token finds the resource, if it
    /// exists.
    Creating,
    /// The resource exists. Calls after the create call may be missing.
    Created,
    /// All calls are done. The resource may not be ready yet.
    Configured,
    /// The resource is ready.
    Ready,
    /// A change in place is announced; it may have taken effect.
    Updating,
    /// The deletion is announced.
    Deleting,
}

impl Default for State {
    fn default() -> Self {
        Self::new(String::new())
    }
}

impl State {
    /// Returns an empty state.
    pub fn new(lineage: String) -> Self {
        Self {
            format: FORMAT,
            lineage,
            serial: 0,
            generation: 0,
            cluster: None,
            lookup_cache: LookupCache::default(),
            runs: Vec::new(),
            resources: BTreeMap::new(),
            deposed: BTreeMap::new(),
            protected: BTreeSet::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Returns true if the state records no object in the cloud.
    pub fn has_nothing(&self) -> bool {
        self.resources.is_empty() && self.deposed.is_empty()
    }

    /// Returns the identity that every run must have, because recorded resources carry it. `None`
    /// while no resource is recorded: before the first creation, and after a complete destroy.
    pub fn fixed_cluster(&self) -> Option<&Cluster> {
        self.cluster.as_ref().filter(|_| !self.has_nothing())
    }

    /// Returns true if these entries replace the recorded identity by another one.
    pub fn is_identified_anew(&self, entries: &[Entry]) -> bool {
        let recorded = self.cluster.as_ref();
        entries.iter().any(|entry| match entry {
            Entry::ClusterIdentified { cluster } => recorded.is_some_and(|known| known != cluster),
            _ => false,
        })
    }

    /// Returns the state after entries that are not recorded yet. The serial stays that of the
    /// recorded state.
    ///
    /// A state that [has nothing](Self::has_nothing) can get another identity, and then loses the
    /// lookup cache of the previous cluster. The token salt and the generation stay, so that no
    /// creation token is used twice.
    ///
    /// # Errors
    /// Returns the reason if an entry cannot follow the recorded history.
    pub fn projected(&self, entries: &[Entry]) -> Result<Self, IllegalEntry> {
        let mut state = self.clone();
        if self.has_nothing() && self.is_identified_anew(entries) {
            let token_salt = self.lookup_cache.token_salt.clone();
            state.cluster = None;
            state.lookup_cache = LookupCache { token_salt, ..LookupCache::default() };
        }
        for entry in entries {
            state.record(entry)?;
        }
        state.serial = self.serial;
        Ok(state)
    }

    /// Applies one entry. An illegal entry leaves the state unchanged.
    ///
    /// # Errors
    /// Returns the reason if the entry cannot follow the recorded history.
    pub fn record(&mut self, entry: &Entry) -> Result<(), IllegalEntry> {
        let serial = self.serial + 1;
        self.apply(entry).map_err(|why| IllegalEntry { serial, entry: entry.to_string(), why })?;
        self.serial = serial;
        Ok(())
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), &'static str> {
        match entry {
            Entry::ClusterIdentified { cluster } => match &self.cluster {
                Some(known) if known != cluster => return Err("the cluster is already recorded"),
                _ => self.cluster = Some(cluster.clone()),
            },
            Entry::RunStarted { run } => {
                if run.epoch <= self.epoch() {
                    return Err("its epoch is not higher than the last one");
                }
                self.runs.push(run.clone());
                let forgotten = self.runs.len().saturating_sub(RUNS);
                self.runs.drain(..forgotten);
            }
            Entry::LookupRecorded { lookup, answer } => self.lookup_cache.record(lookup, answer),
            Entry::CreateStarted { address, generation, inputs, after } => {
                let unknown = self.room_for(address, *generation)?;
                self.generation = self.generation.max(*generation);
                let record = Record {
                    generation: *generation,
                    status: RecordStatus::Creating,
                    inputs: inputs.clone(),
                    outputs: Value::Null,
                    after: after.clone(),
                    prior_inputs: Vec::new(),
                    revert: Vec::new(),
                    unknown,
                };
                self.resources.insert(address.clone(), record);
            }
            Entry::CreateRefused { address } => {
                self.known(address, &[RecordStatus::Creating])?;
                self.resources.remove(address);
                self.restore(address);
            }
            Entry::Created { address, outputs, status } => {
                if !status.is_made() {
                    return Err("expected the status created, configured or ready");
                }
                let record = self.known(address, &[RecordStatus::Creating])?;
                record.outputs = outputs.clone();
                record.status = *status;
            }
            Entry::Advanced { address, status, outputs } => {
                let record = self.known(
                    address,
                    &[
                        RecordStatus::Created,
                        RecordStatus::Configured,
                        RecordStatus::Updating,
                        RecordStatus::Ready,
                    ],
                )?;
                if !record.status.leads_to(*status) {
                    return Err("the status would go back");
                }
                record.status = *status;
                if *status == RecordStatus::Ready {
                    record.prior_inputs.clear();
                    record.revert.clear();
                }
                if let Some(outputs) = outputs {
                    record.outputs = outputs.clone();
                }
            }
            Entry::UpdateStarted { address, inputs, after, revert } => {
                let record = self.known(
                    address,
                    &[
                        RecordStatus::Created,
                        RecordStatus::Configured,
                        RecordStatus::Updating,
                        RecordStatus::Ready,
                    ],
                )?;
                record.status = RecordStatus::Updating;
                let prior = std::mem::replace(&mut record.inputs, inputs.clone());
                if prior != *inputs && !record.prior_inputs.contains(&prior) {
                    record.prior_inputs.push(prior);
                }
                record.after = after.clone();
                record.revert.clone_from(revert);
            }
            Entry::DependenciesUpdated { address, after } => {
                let record =
                    self.resources.get_mut(address).ok_or("the address has no such record")?;
                record.after = after.clone();
            }
            Entry::Deposed { address } => {
                let record = self.take_answered(address)?;
                self.deposed.entry(address.clone()).or_default().push(record);
            }
            Entry::DeleteStarted { address, generation } => {
                let record =
                    self.life(address, *generation).ok_or("the address has no such record")?;
                record.status = RecordStatus::Deleting;
            }
            Entry::Deleted { address, generation } => {
                let record =
                    self.life(address, *generation).ok_or("the address has no such record")?;
                if record.status != RecordStatus::Deleting {
                    return Err("the deletion has no intent");
                }
                self.forget(address, *generation);
            }
            Entry::Vanished { address } => {
                self.resources.remove(address).ok_or("the address has no such record")?;
            }
            Entry::Forgotten { address, generation } => {
                self.life(address, *generation).ok_or("the address has no such record")?;
                self.forget(address, *generation);
            }
            Entry::Moved { address, to } => self.move_to(address, to)?,
            Entry::Protected { address } => {
                self.protected.insert(address.clone());
            }
            Entry::Unprotected { address } => {
                self.protected.remove(address);
            }
        }
        Ok(())
    }

    /// Checks that a creation may take the address, and returns the record fields to keep.
    ///
    /// The address must be free, or the same creation must have it already and be repeated after a
    /// crash. No generation is used twice at one address, because its token would return the
    /// earlier object.
    fn room_for(
        &self,
        address: &Address,
        generation: u64,
    ) -> Result<BTreeMap<String, Value>, &'static str> {
        match self.resources.get(address) {
            Some(record) if record.status != RecordStatus::Creating => Err("the address already \
                 has a record"),
            Some(record) if record.generation != generation => Err("another generation is being \
                 created"),
            Some(record) => Ok(record.unknown.clone()),
            None if generation < self.generation => {
                Err("the generation is older than the current \
                 one")
            }
            None if self.record_of(address, generation).is_some() => {
                Err("a deposed record has the same generation")
            }
            None => Ok(BTreeMap::new()),
        }
    }

    /// Removes a record from its address. Rejects a creation in doubt.
    fn take_answered(&mut self, address: &Address) -> Result<Record, &'static str> {
        match self.resources.get(address) {
            None => Err("the address has no such record"),
            Some(record) if record.status == RecordStatus::Creating => {
                Err("the creation is in doubt")
            }
            Some(_) => Ok(self.resources.remove(address).expect("BUG: it was there just now")),
        }
    }

    /// Returns the record at an address if its status is one of `statuses`.
    fn known(
        &mut self,
        address: &Address,
        statuses: &[RecordStatus],
    ) -> Result<&mut Record, &'static str> {
        let record = self.resources.get_mut(address).ok_or("the address has no such record")?;
        if statuses.contains(&record.status) {
            Ok(record)
        } else {
            Err("the status of the record \
             does not allow it")
        }
    }

    /// Returns the record of one generation of an address, current or deposed.
    fn life(&mut self, address: &Address, generation: u64) -> Option<&mut Record> {
        let deposed = self.deposed.get_mut(address).into_iter().flatten();
        let current = self.resources.get_mut(address).into_iter();
        current.chain(deposed).find(|record| record.generation == generation)
    }

    fn forget(&mut self, address: &Address, generation: u64) {
        if self.resources.get(address).is_some_and(|record| record.generation == generation) {
            self.resources.remove(address);
        } else if let Some(lives) = self.deposed.get_mut(address) {
            lives.retain(|record| record.generation != generation);
            if lives.is_empty() {
                self.deposed.remove(address);
            }
        }
    }

    /// Changes the address of a record and of its deposed objects.
    fn move_to(&mut self, address: &Address, to: &Address) -> Result<(), &'static str> {
        if address.kind() != to.kind() {
            return Err("the kind would change");
        }
        if self.resources.contains_key(to) || self.deposed.contains_key(to) {
            return Err("the address already has a record");
        }
        let record = self.take_answered(address)?;
        self.resources.insert(to.clone(), record);
        if self.protected.remove(address) {
            self.protected.insert(to.clone());
        }
        if let Some(lives) = self.deposed.remove(address) {
            self.deposed.insert(to.clone(), lives);
        }
        let current = self.resources.values_mut();
        for record in current.chain(self.deposed.values_mut().flatten()) {
            let named = record.after.iter_mut().filter(|needed| *needed == address);
            named.for_each(|needed| needed.clone_from(to));
            record.after.sort();
        }
        Ok(())
    }

    /// Restores the deposed object at the address after a failed replacement.
    fn restore(&mut self, address: &Address) {
        let Some(lives) = self.deposed.get_mut(address) else { return };
        let standing = lives.iter().rposition(|record| record.status != RecordStatus::Deleting);
        if let Some(place) = standing {
            let record = lives.remove(place);
            self.resources.insert(address.clone(), record);
        }
        if lives.is_empty() {
            self.deposed.remove(address);
        }
    }

    /// Returns the epoch of the last recorded run; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.epoch)
    }

    /// Returns the record of one generation of an address, current or deposed.
    pub fn record_of(&self, address: &Address, generation: u64) -> Option<&Record> {
        let deposed = self.deposed.get(address).into_iter().flatten();
        let current = self.resources.get(address).into_iter();
        current.chain(deposed).find(|record| record.generation == generation)
    }

    /// Returns the value of a reference; `None` if the referenced resource has no outputs yet.
    ///
    /// An output that the record lacks is `null`, which means no opinion: a version of the program
    /// recorded the resource before its kind had this output.
    pub fn lookup(&self, r: &Ref) -> Option<&Value> {
        let outputs = self.resources.get(&r.address)?.outputs.as_object()?;
        Some(outputs.get(&r.output).unwrap_or(&Value::Null))
    }

    /// Returns the creation token of one generation. The token is known before the creation, is the
    /// same in every run, and has at most 64 ASCII characters (the limit of EC2's ClientToken).
    pub fn token(&self, address: &Address, generation: u64) -> String {
        let cluster = self.cluster.as_ref().map_or(&*self.lineage, |cluster| &*cluster.infra_id);
        token(self.lookup_cache.token_salt.as_deref(), cluster, address, generation)
    }

    /// Returns the salt that the creation tokens of a new state get. Without a salt, a second state
    /// of one cluster would use the tokens of the first one: AWS rejects a token whose resource is
    /// deleted, and returns the resource of the other state if it exists.
    pub fn new_token_salt(&self) -> String {
        crate::secret::hex(&Sha256::digest(&self.lineage)[..SALT_BYTES])
    }
}

/// Number of bytes of a salt. A token shows its salt, so that a recovery can use it.
const SALT_BYTES: usize = 4;

/// Returns a creation token; see [`State::token`].
pub fn token(salt: Option<&str>, cluster: &str, address: &Address, generation: u64) -> String {
    let of_cluster = format!("{cluster}\n{address}\n{generation}");
    match salt {
        Some(salt) => {
            let digest = Sha256::digest(format!("{salt}\n{of_cluster}"));
            format!("gp-{salt}-{}", crate::secret::hex(&digest[..16]))
        }
        None => format!("gp-{}", crate::secret::hex(&Sha256::digest(of_cluster)[..20])),
    }
}

/// Returns the salt of a creation token; `None` if the token has none.
pub fn salt_of(token: &str) -> Option<&str> {
    let (salt, digest) = token.strip_prefix("gp-")?.split_once('-')?;
    let is_hex = |text: &str| text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_salted = salt.len() == 2 * SALT_BYTES && digest.len() == 32;
    (is_salted && is_hex(salt) && is_hex(digest)).then_some(salt)
}

impl RecordStatus {
    /// Returns true if the create call has succeeded and no update or deletion is in progress.
    fn is_made(self) -> bool {
        matches!(self, RecordStatus::Created | RecordStatus::Configured | RecordStatus::Ready)
    }

    /// Returns true if a record may advance to `next`: only forwards, except that an update may end
    /// at any status of a creation.
    fn leads_to(self, next: RecordStatus) -> bool {
        match (self, next) {
            (RecordStatus::Updating, RecordStatus::Updating) => true,
            (RecordStatus::Updating, next) => next.is_made(),
            (RecordStatus::Created, next) => next.is_made(),
            (RecordStatus::Configured, next) => next.is_made() && next != RecordStatus::Created,
            (RecordStatus::Ready, next) => next == RecordStatus::Ready,
            (RecordStatus::Creating | RecordStatus::Deleting, _) => false,
        }
    }
}
