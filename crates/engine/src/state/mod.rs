//! What exists, as far as we have been told.
//!
//! A state is a snapshot plus the journal written since. [`State::record`] is the only way to
//! change one; it is the same function for a live apply and for recovery after a crash, and it
//! rejects histories that cannot have happened. Never talks to a cloud and never decides.
//!
//! - [`Entry`]: what can be recorded.
//! - [`location`]: where a state lives, as it is typed; [`backend`]: the same, opened; [`local`]: in a
//!   folder; [`remote`]: in a bucket; [`lock`]: who works on it; [`fence`]: whether it still does;
//!   [`error`]: what fails.
//! - [`snapshot`], [`journal`]: the text of the two halves, pure; `migrate`: of older programs.

pub mod backend;
mod durable_files;
mod entry;
pub mod error;
pub mod fence;
pub mod journal;
pub mod local;
pub mod location;
pub mod lock;
mod migrate;
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
use crate::graph::{Address, Ref};

/// Newer majors are refused, older ones are migrated; unknown fields of newer minors survive a round
/// trip.
///
/// A minor may add fields to the state and to a [`Record`]; a field it adds to an [`Entry`] is one
/// of the record that the entry is about. Everything else it takes a major for.
pub const FORMAT: Format = Format { major: 3, minor: 0 };

/// The version of the state format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Format {
    /// Grows when older programs would misread the state.
    pub major: u32,
    /// Grows when older programs would merely not know a field.
    pub minor: u32,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// Everything known about one cluster's infrastructure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// The version of the format.
    pub format: Format,
    /// Made once; two states with different lineages have nothing to do with each other.
    pub lineage: String,
    /// Grows by one with every journal entry. A plan made at another serial is stale.
    pub serial: u64,
    /// The highest generation any creation has had. The next run's creations have the next one.
    pub generation: u64,
    /// Who the cluster is; chosen once.
    pub cluster: Option<Cluster>,
    /// Answers of the cloud that the topology was compiled with, by question, so that the same
    /// config compiles to the same graph tomorrow.
    pub facts: BTreeMap<String, Value>,
    /// The last runs that recorded anything, oldest first: who, when, and in which epoch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub runs: Vec<Run>,
    /// What exists, by address.
    pub resources: BTreeMap<Address, Record>,
    /// What has been superseded by a replacement and not been deleted yet, oldest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub deposed: BTreeMap<Address, Vec<Record>>,
    /// What no run may delete or replace until somebody says otherwise. It stays said when something
    /// is lost and made anew.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub protected: BTreeSet<Address>,
    /// Fields of a newer minor version, kept.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// Who the cluster is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cluster {
    /// `metadata.name` of the install-config.
    pub name: String,
    /// The name and five random characters: prefix of every name and key of the cluster tag.
    pub infra_id: String,
    /// A random UUID; empty where only the manifests of its machines tell of it.
    pub cluster_id: String,
    /// The region everything is in.
    pub region: String,
}

impl Cluster {
    /// Whether only manifests of machines tell of it, so that what is recorded are machines.
    pub fn is_of_machines(&self) -> bool {
        self.cluster_id.is_empty()
    }
}

/// One run that records something: an apply, a destroy, a change of the state by hand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Which holding of the lock it is: one more than the last. A holder that was taken for dead and
    /// comes back has an older one, and nothing it says is recorded.
    pub epoch: u64,
    /// What it does: `apply`, `destroy`.
    pub operation: String,
    /// When it began (RFC 3339).
    pub at: String,
    /// Who runs it: `user@host`.
    pub by: String,
    /// The version of the program.
    pub version: String,
    /// The serial before its first entry.
    pub after: u64,
    /// Fields of a newer minor version, kept.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How many of the last runs a state remembers.
pub const RUNS: usize = 100;

/// One resource that was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Which of the resources that ever had this address.
    pub generation: u64,
    /// How far it has come.
    pub status: Status,
    /// The inputs it was last given, every reference resolved, secrets as digests.
    pub inputs: Value,
    /// Identity and outputs; `null` until the creating call has been answered.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub outputs: Value,
    /// What it refers to directly; the order of a destroy when the config is gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Address>,
    /// Fields of a newer minor version, kept.
    #[serde(flatten)]
    pub unknown: BTreeMap<String, Value>,
}

/// How far a resource has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Asked for, not answered: it may or may not exist. The token finds out.
    Creating,
    /// It exists; the calls after the creating one may be missing.
    Created,
    /// All calls are made; it may not be ready yet.
    Configured,
    /// As it should be.
    Ready,
    /// A change in place was announced; it may or may not have been made.
    Updating,
    /// Its deletion was announced.
    Deleting,
}

impl Default for State {
    fn default() -> Self {
        Self::new(String::new())
    }
}

impl State {
    /// A state of nothing.
    pub fn new(lineage: String) -> Self {
        Self {
            format: FORMAT,
            lineage,
            serial: 0,
            generation: 0,
            cluster: None,
            facts: BTreeMap::new(),
            runs: Vec::new(),
            resources: BTreeMap::new(),
            deposed: BTreeMap::new(),
            protected: BTreeSet::new(),
            unknown: BTreeMap::new(),
        }
    }

    /// Whether there is nothing in the cloud that only this state knows of.
    pub fn has_nothing(&self) -> bool {
        self.resources.is_empty() && self.deposed.is_empty()
    }

    /// Moves the state by one entry, or leaves it untouched and says why the entry is impossible.
    pub fn record(&mut self, entry: &Entry) -> Result<(), IllegalEntry> {
        let serial = self.serial + 1;
        self.apply(entry).map_err(|why| IllegalEntry { serial, entry: entry.to_string(), why })?;
        self.serial = serial;
        Ok(())
    }

    fn apply(&mut self, entry: &Entry) -> Result<(), &'static str> {
        match entry {
            Entry::Identified { cluster } => match &self.cluster {
                Some(known) if known != cluster => return Err("the cluster is known already"),
                _ => self.cluster = Some(cluster.clone()),
            },
            Entry::RunStarted { run } => {
                if run.epoch <= self.epoch() {
                    return Err("its epoch is over");
                }
                self.runs.push(run.clone());
                let forgotten = self.runs.len().saturating_sub(RUNS);
                self.runs.drain(..forgotten);
            }
            Entry::Learnt { question, answer: Value::Null } => {
                self.facts.remove(question);
            }
            Entry::Learnt { question, answer } => {
                self.facts.insert(question.clone(), answer.clone());
            }
            Entry::CreateStarted { address, generation, inputs, after } => {
                let unknown = self.room_for(address, *generation)?;
                self.generation = self.generation.max(*generation);
                let record = Record {
                    generation: *generation,
                    status: Status::Creating,
                    inputs: inputs.clone(),
                    outputs: Value::Null,
                    after: after.clone(),
                    unknown,
                };
                self.resources.insert(address.clone(), record);
            }
            Entry::CreateRefused { address } => {
                self.known(address, &[Status::Creating])?;
                self.resources.remove(address);
                self.restore(address);
            }
            Entry::Created { address, outputs, status } => {
                if !status.is_made() {
                    return Err("an answered creation is created, configured or ready");
                }
                let record = self.known(address, &[Status::Creating])?;
                record.outputs = outputs.clone();
                record.status = *status;
            }
            Entry::Advanced { address, status, outputs } => {
                let record = self.known(
                    address,
                    &[Status::Created, Status::Configured, Status::Updating, Status::Ready],
                )?;
                if !record.status.leads_to(*status) {
                    return Err("it would move back");
                }
                record.status = *status;
                if let Some(outputs) = outputs {
                    record.outputs = outputs.clone();
                }
            }
            Entry::UpdateStarted { address, inputs, after } => {
                let record = self.known(
                    address,
                    &[Status::Created, Status::Configured, Status::Updating, Status::Ready],
                )?;
                record.status = Status::Updating;
                record.inputs = inputs.clone();
                record.after = after.clone();
            }
            Entry::Relinked { address, after } => {
                let record = self.resources.get_mut(address).ok_or("nothing is known by it")?;
                record.after = after.clone();
            }
            Entry::Deposed { address } => {
                let record = self.take_answered(address)?;
                self.deposed.entry(address.clone()).or_default().push(record);
            }
            Entry::DeleteStarted { address, generation } => {
                let record = self.life(address, *generation).ok_or("nothing is known by it")?;
                record.status = Status::Deleting;
            }
            Entry::Deleted { address, generation } => {
                let record = self.life(address, *generation).ok_or("nothing is known by it")?;
                if record.status != Status::Deleting {
                    return Err("its deletion was not announced");
                }
                self.forget(address, *generation);
            }
            Entry::Vanished { address } => {
                self.resources.remove(address).ok_or("nothing is known by it")?;
            }
            Entry::Forgotten { address, generation } => {
                self.life(address, *generation).ok_or("nothing is known by it")?;
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

    /// Whether a creation may take the address: it is free, or this very creation has it already
    /// and is asked for again after a crash. A generation is never used twice at one address: its
    /// token would answer with the object of the earlier life.
    fn room_for(
        &self,
        address: &Address,
        generation: u64,
    ) -> Result<BTreeMap<String, Value>, &'static str> {
        match self.resources.get(address) {
            Some(record) if record.status != Status::Creating => Err("the address is taken"),
            Some(record) if record.generation != generation => Err("another life is being made"),
            Some(record) => Ok(record.unknown.clone()),
            None if generation < self.generation => Err("its generation is in the past"),
            None if self.record_of(address, generation).is_some() => {
                Err("its generation is that of a deposed one")
            }
            None => Ok(BTreeMap::new()),
        }
    }

    /// Takes a resource from its address; not one that may or may not exist.
    fn take_answered(&mut self, address: &Address) -> Result<Record, &'static str> {
        match self.resources.get(address) {
            None => Err("nothing is known by it"),
            Some(record) if record.status == Status::Creating => {
                Err("its creation has not been answered")
            }
            Some(_) => Ok(self.resources.remove(address).expect("BUG: it was there just now")),
        }
    }

    /// The resource at an address, if it is in one of these statuses.
    fn known(
        &mut self,
        address: &Address,
        statuses: &[Status],
    ) -> Result<&mut Record, &'static str> {
        let record = self.resources.get_mut(address).ok_or("nothing is known by it")?;
        if statuses.contains(&record.status) { Ok(record) } else { Err("it is not that far") }
    }

    /// One life of an address, current or deposed.
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

    /// Gives a resource, with the lives of it that are yet to be deleted, another address.
    fn move_to(&mut self, address: &Address, to: &Address) -> Result<(), &'static str> {
        if address.kind() != to.kind() {
            return Err("it would become of another kind");
        }
        if self.resources.contains_key(to) || self.deposed.contains_key(to) {
            return Err("the address is taken");
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

    /// A replacement that could not be made gives the address back to the one it was to replace.
    fn restore(&mut self, address: &Address) {
        let Some(lives) = self.deposed.get_mut(address) else { return };
        let standing = lives.iter().rposition(|record| record.status != Status::Deleting);
        if let Some(place) = standing {
            let record = lives.remove(place);
            self.resources.insert(address.clone(), record);
        }
        if lives.is_empty() {
            self.deposed.remove(address);
        }
    }

    /// The epoch of the last run that recorded anything; 0 before the first.
    pub fn epoch(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.epoch)
    }

    /// One life of an address, current or deposed.
    pub fn record_of(&self, address: &Address, generation: u64) -> Option<&Record> {
        let deposed = self.deposed.get(address).into_iter().flatten();
        let current = self.resources.get(address).into_iter();
        current.chain(deposed).find(|record| record.generation == generation)
    }

    /// The value a reference stands for, once what it refers to exists.
    pub fn lookup(&self, r: &Ref) -> Option<&Value> {
        self.resources.get(&r.address)?.outputs.get(&r.output)
    }

    /// The identity of one life of a resource, decided before it is asked for: at most 64 ASCII
    /// characters (the limit of EC2's ClientToken), the same in every run.
    pub fn token(&self, address: &Address, generation: u64) -> String {
        let cluster = self.cluster.as_ref().map_or(&*self.lineage, |cluster| &*cluster.infra_id);
        token(cluster, address, generation)
    }
}

/// See [`State::token`].
pub fn token(cluster: &str, address: &Address, generation: u64) -> String {
    let digest = Sha256::digest(format!("{cluster}\n{address}\n{generation}"));
    format!("gp-{}", crate::secret::hex(&digest[..20]))
}

impl Status {
    /// Whether the creating call has been answered and nothing else is under way.
    fn is_made(self) -> bool {
        matches!(self, Status::Created | Status::Configured | Status::Ready)
    }

    /// Whether a resource may advance from here to there: never back, except that the end of an
    /// update may be any of the steps of a creation.
    fn leads_to(self, next: Status) -> bool {
        match (self, next) {
            (Status::Updating, Status::Updating) => true,
            (Status::Updating, next) => next.is_made(),
            (Status::Created, next) => next.is_made(),
            (Status::Configured, next) => next.is_made() && next != Status::Created,
            (Status::Ready, next) => next == Status::Ready,
            (Status::Creating | Status::Deleting, _) => false,
        }
    }
}
