//! Batching of EC2 queries for all machines. A query waits a moment for other queries, so that a
//! thousand Machines cost as many calls as one, apart from pages.
//!
//! Lookup results that launch specs are made from (images, subnets, groups) are cached for a
//! minute.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use groundplan_aws::kinds::machine::MachineOutputs;
use groundplan_aws::lookups::lookup::Lookup;
use groundplan_aws::machine_calls::{Ec2, InstanceById, LiveMachine};
use groundplan_aws::model::ids::InstanceId;
use groundplan_aws::model::metadata_options::MetadataOptions;
use groundplan_engine::provider::{ErrorClass, Poll, ProviderError};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

type Result<T> = std::result::Result<T, ProviderError>;

/// Time that a query waits for other queries.
const GATHER: Duration = Duration::from_millis(100);
/// Validity of a cached lookup result.
const KEPT: Duration = Duration::from_secs(60);

/// State of the instance of a Machine in EC2.
#[derive(Clone, Debug, PartialEq)]
pub enum InstanceState {
    /// The instance exists: pending, running, stopping or stopped.
    There(Box<MachineOutputs>),
    /// The instance is being terminated.
    Going {
        /// State in the words of EC2.
        state: String,
    },
    /// The instance is terminated.
    Terminated {
        /// Reason in the words of EC2.
        why: String,
    },
    /// The instance has an ID, and EC2 neither shows it nor rejects the ID. This proves nothing.
    Invisible,
    /// The instance has an ID, and EC2 rejects the ID: `InvalidInstanceID.NotFound`. EC2 also rejects
    /// the ID of an instance that was launched a moment ago.
    NotFound,
    /// No ID is known, and no instance has the name.
    Nothing,
}

/// Instance, and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct FoundInstance {
    /// State of the instance in EC2.
    pub seen: InstanceState,
    /// Live metadata options. `None` if no describe call shows the instance.
    pub metadata_options: Option<MetadataOptions>,
    /// ID of the instance, if known.
    pub id: Option<InstanceId>,
}

/// Batcher of EC2 queries for all Machines.
pub struct Ec2Batcher {
    ec2: Arc<dyn Ec2>,
    region: String,
    cluster_tag: String,
    machines: BatchQueue<InstanceId, Option<LiveMachine>>,
    waited_for: BatchQueue<InstanceId, Poll<MachineOutputs>>,
    going: BatchQueue<InstanceId, Poll<()>>,
    by_id: BatchQueue<InstanceId, InstanceById>,
    names: BatchQueue<String, Vec<InstanceId>>,
    answers: tokio::sync::Mutex<HashMap<String, (Instant, Value)>>,
}

impl Ec2Batcher {
    /// Returns a batcher for the machines of the cluster with this tag, in this region.
    pub fn new(ec2: Arc<dyn Ec2>, region: &str, cluster_tag: &str) -> Self {
        Self {
            ec2,
            region: region.to_owned(),
            cluster_tag: cluster_tag.to_owned(),
            machines: BatchQueue::default(),
            waited_for: BatchQueue::default(),
            going: BatchQueue::default(),
            by_id: BatchQueue::default(),
            names: BatchQueue::default(),
            answers: tokio::sync::Mutex::default(),
        }
    }

    /// Returns the EC2 client.
    pub fn ec2(&self) -> &Arc<dyn Ec2> {
        &self.ec2
    }

    /// Finds the instance of a machine by its ID, or by its name if the ID is unknown. groundplan
    /// never makes several instances of one name. Of several, the one that was launched last
    /// counts.
    ///
    /// # Errors
    /// Fails if the query fails. A failed query never means that no instance exists.
    pub async fn find(&self, name: &str, id: Option<&str>) -> Result<FoundInstance> {
        let ids = match id {
            Some(id) => vec![InstanceId::from(id)],
            None => self.named(name).await?,
        };
        let mut found =
            FoundInstance { seen: InstanceState::Nothing, metadata_options: None, id: None };
        for id in ids {
            let next = self.one(id).await?;
            if launched(&next) >= launched(&found) {
                found = next;
            }
        }
        Ok(found)
    }

    /// Returns all instances with the name of a machine, no matter which program launched them.
    ///
    /// # Errors
    /// Fails if the query fails.
    pub async fn named(&self, name: &str) -> Result<Vec<InstanceId>> {
        self.names.ask(name.to_owned(), |names| self.all_named(names)).await
    }

    async fn all_named(&self, names: Vec<String>) -> Result<Vec<Vec<InstanceId>>> {
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        let (region, cluster_tag) = (self.region.clone(), self.cluster_tag.clone());
        let found = self.ec2.instances_named(region, cluster_tag, sorted).await?;
        Ok(names.iter().map(|name| found.get(name).cloned().unwrap_or_default()).collect())
    }

    async fn one(&self, id: InstanceId) -> Result<FoundInstance> {
        let describe = |ids| self.ec2.describe(ids);
        let (seen, metadata_options) = match self.machines.ask(id.clone(), describe).await? {
            Some(LiveMachine { outputs, metadata_options }) => {
                (InstanceState::There(Box::new(outputs)), Some(metadata_options))
            }
            None => (self.what_became_of(&id).await?, None),
        };
        if seen != InstanceState::Invisible {
            return Ok(FoundInstance { seen, metadata_options, id: Some(id) });
        }
        let by_id = |ids| self.ec2.by_id(ids);
        let answer = self.by_id.ask(id.clone(), by_id).await?;
        let (seen, metadata_options) = match answer {
            InstanceById::NotShown => (InstanceState::Invisible, None),
            InstanceById::NotFound => (InstanceState::NotFound, None),
            InstanceById::Shown(live) => {
                let LiveMachine { outputs, metadata_options } = *live;
                match &*outputs.seen.state {
                    "terminated" => {
                        let why = format!("{id} was terminated");
                        (InstanceState::Terminated { why }, None)
                    }
                    "shutting-down" => {
                        (InstanceState::Going { state: outputs.seen.state.clone() }, None)
                    }
                    _ => (InstanceState::There(Box::new(outputs)), Some(metadata_options)),
                }
            }
        };
        Ok(FoundInstance { seen, metadata_options, id: Some(id) })
    }

    /// Returns the state of an instance that is not found: terminating, terminated, or not visible
    /// yet.
    async fn what_became_of(&self, id: &InstanceId) -> Result<InstanceState> {
        let running = |ids| self.ec2.poll_running(ids);
        let why = match self.waited_for.ask(id.clone(), running).await? {
            Poll::Failed(error) => error.message,
            Poll::Ready(outputs) => return Ok(InstanceState::There(Box::new(outputs))),
            Poll::Pending(_) => return Ok(InstanceState::Invisible),
        };
        let terminated = |ids| self.ec2.poll_terminated(ids);
        Ok(match self.going.ask(id.clone(), terminated).await? {
            Poll::Pending(state) => InstanceState::Going { state },
            Poll::Ready(()) | Poll::Failed(_) => InstanceState::Terminated { why },
        })
    }

    /// Returns the results of lookups, from the cache if possible.
    ///
    /// # Errors
    /// Fails if one of the lookups fails.
    pub async fn answers(&self, lookups: Vec<Lookup>) -> Result<BTreeMap<String, Value>> {
        let mut answers = BTreeMap::new();
        for lookup in lookups {
            let key = lookup.key();
            // The lock is held during the lookup: a second caller with the same lookup waits for
            // the result.
            let mut kept = self.answers.lock().await;
            kept.retain(|_, (at, _)| at.elapsed() < KEPT);
            if !kept.contains_key(&key) {
                let answer = self.ec2.answer(lookup).await?;
                kept.insert(key.clone(), (Instant::now(), answer));
            }
            answers.insert(key.clone(), kept[&key].1.clone());
        }
        Ok(answers)
    }
}

fn launched(found: &FoundInstance) -> i64 {
    match &found.seen {
        InstanceState::There(instance) => instance.seen.launched,
        _ => -1,
    }
}

type QueuedQuery<T, A> = (T, oneshot::Sender<Result<A>>);

/// Queue that combines individual queries into one call.
struct BatchQueue<T, A> {
    open: Mutex<Vec<QueuedQuery<T, A>>>,
    turn: tokio::sync::Mutex<()>,
}

impl<T, A> Default for BatchQueue<T, A> {
    fn default() -> Self {
        Self { open: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<T, A> BatchQueue<T, A> {
    /// Adds a query to the next batch: queries that arrive now, or while the previous batch waits
    /// for its result.
    async fn ask<F>(&self, one: T, ask_all: impl FnOnce(Vec<T>) -> F) -> Result<A>
    where
        F: Future<Output = Result<Vec<A>>>,
    {
        let (event_recorder, mut told) = oneshot::channel();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push((one, event_recorder));
        let turn = tokio::select! {
            biased;
            answer = &mut told => return answer.unwrap_or_else(|_| Err(interrupted())),
            turn = self.turn.lock() => turn,
        };
        if let Ok(answer) = told.try_recv() {
            return answer;
        }
        sleep(GATHER).await;
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let (asked, tellers): (Vec<T>, Vec<_>) = open.into_iter().unzip();
        match ask_all(asked).await {
            Ok(answers) => {
                for (event_recorder, answer) in tellers.into_iter().zip(answers) {
                    let _ = event_recorder.send(Ok(answer)); // who no longer listens no longer wants it
                }
            }
            Err(error) => {
                for event_recorder in tellers {
                    let _ = event_recorder.send(Err(error.clone()));
                }
            }
        }
        drop(turn);
        told.await.unwrap_or_else(|_| Err(interrupted()))
    }
}

/// Returns the error of a query whose batch was cancelled.
fn interrupted() -> ProviderError {
    ProviderError::new(ErrorClass::Retryable, "look", "the request was interrupted")
}
