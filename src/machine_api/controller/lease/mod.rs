//! Who acts, of several that could: the holder of a Lease.
//!
//! Others' clocks are not trusted. Whoever does not hold a Lease takes it once it has stood unchanged for
//! as long as it is good for, by their own clock; whoever holds it acts for less than that after the
//! last renewal was *sent*. Between the two there is time for a call that has left to come to an end.
//! What is written is written upon what was read, so that of two who take it one is refused.
//!
//! The holder acts through a [`Leadership`], which lets nothing pass any more, from one request to the
//! next, when the Lease is another's or may be. Source of the times: openshift/library-go,
//! `pkg/config/leaderelection`; an API server may be away for a minute without anybody noticing.

mod leadership;
mod record;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use leadership::{Leadership, NotLeading};

use super::health::Health;
use record::{Verdict, holder, verdict};

/// How long an answer is waited for.
const PATIENCE: Duration = Duration::from_secs(10);

/// The times of a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How long others leave a Lease alone that nobody renews.
    pub good_for: Duration,
    /// How long its holder acts without having renewed it. Less than that.
    pub act_for: Duration,
    /// How often it is looked at.
    pub retry: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        let [good_for, act_for, retry] = [137, 107, 26].map(Duration::from_secs);
        Self { good_for, act_for, retry }
    }
}

/// Why a leader leads no longer.
#[derive(Debug, thiserror::Error)]
pub enum Lost {
    /// Somebody else has the Lease.
    #[error("the Lease {lease} is held by {holder} now")]
    Taken {
        /// Which one.
        lease: String,
        /// By whom.
        holder: String,
    },
    /// It could not be renewed in time.
    #[error("the Lease {lease} could not be renewed for {for_long:?}, so others may take it")]
    NotRenewed {
        /// Which one.
        lease: String,
        /// For how long.
        for_long: Duration,
        /// What went wrong the last time.
        source: Trouble,
    },
}

/// Why a Lease could not be looked at or written.
#[derive(Debug, thiserror::Error)]
pub enum Trouble {
    /// The API server said no, or could not be reached.
    #[error("the API server was asked")]
    Api(#[from] Box<kube::Error>),
    /// No answer came.
    #[error("no answer within {PATIENCE:?}")]
    Silence,
}

/// Somebody who would act.
pub struct Candidate {
    leases: Api<Lease>,
    lease: String,
    identity: String,
    terms: Terms,
    health: Arc<Health>,
    /// Which version was seen, and since when it has been that one.
    seen: Mutex<Option<(Option<String>, Instant)>>,
}

/// How an attempt to hold the Lease came out.
#[derive(Debug, PartialEq, Eq)]
enum Held {
    /// It is ours, by what was sent at this time.
    Ours(Instant),
    /// It is this one's.
    Theirs(String),
    /// Somebody else wrote at the same time.
    Beaten,
}

impl Candidate {
    /// A candidate that has not asked anybody yet. `name` says where it runs; what is added to it says
    /// which run of it, since a restarted one must not take itself for the one before.
    pub fn new(
        client: Client,
        (namespace, lease): (&str, &str),
        name: &str,
        terms: Terms,
        health: Arc<Health>,
    ) -> Self {
        let identity = format!("{name}_{}", uuid::Uuid::new_v4());
        let (leases, lease) = (Api::namespaced(client, namespace), lease.to_owned());
        Self { leases, lease, identity, terms, health, seen: Mutex::default() }
    }

    /// Who it is, as the Lease has it.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until it leads, and works for as long as it does. The work is to end by itself when a stop
    /// is asked for; it is dropped, wherever it is, when the Lease is lost. Answers with nothing when
    /// the stop came before it led.
    ///
    /// # Errors
    /// When the Lease was lost. Whoever was dropped in the middle had better begin as a new process.
    pub async fn lead<T, F: Future<Output = T>>(
        &self,
        stop: &CancellationToken,
        work: impl FnOnce(Leadership) -> F,
    ) -> Result<Option<T>, Lost> {
        let led_from = tokio::select! {
            sent = self.acquire() => sent,
            () = stop.cancelled() => return Ok(None),
        };
        let leadership = Leadership::new(&self.lease, led_from + self.terms.act_for);
        self.health.metrics.leads(true);
        let ended = tokio::select! {
            biased;
            lost = self.keep(&leadership) => Err(lost),
            done = work(leadership.clone()) => Ok(Some(done)),
        };
        leadership.end();
        self.health.metrics.leads(false);
        if ended.is_ok() {
            self.release().await;
        }
        ended
    }

    async fn acquire(&self) -> Instant {
        loop {
            if let Ok(Held::Ours(sent)) = self.attempt().await {
                return sent;
            }
            sleep(jittered(self.terms.retry)).await;
        }
    }

    /// Renews until that is no longer possible.
    async fn keep(&self, leadership: &Leadership) -> Lost {
        let mut last = Trouble::Silence;
        loop {
            sleep(jittered(self.terms.retry).min(leadership.remaining())).await;
            match timeout(leadership.remaining(), self.attempt()).await {
                Ok(Ok(Held::Ours(sent))) => leadership.extend(sent + self.terms.act_for),
                Ok(Ok(Held::Theirs(holder))) => {
                    return Lost::Taken { lease: self.lease.clone(), holder };
                }
                Ok(Err(trouble)) => last = trouble,
                Ok(Ok(Held::Beaten)) | Err(_) => (),
            }
            if !leadership.holds() {
                let (lease, for_long) = (self.lease.clone(), self.terms.act_for);
                return Lost::NotRenewed { lease, for_long, source: last };
            }
        }
    }

    async fn attempt(&self) -> Result<Held, Trouble> {
        let held = match timeout(PATIENCE, self.try_to_hold()).await {
            Ok(held) => held.map_err(|error| Trouble::Api(Box::new(error))),
            Err(_) => Err(Trouble::Silence),
        };
        self.health.asked(held.is_ok());
        held
    }

    async fn try_to_hold(&self) -> kube::Result<Held> {
        let found = self.leases.get_opt(&self.lease).await?;
        let unchanged_for = self.unchanged_for(found.as_ref()).await;
        let wanted = match verdict(found.as_ref(), &self.identity, unchanged_for, self.terms) {
            Verdict::Wait => return Ok(Held::Theirs(holder(found.as_ref()).to_owned())),
            Verdict::Hold => {
                record::held_by(found.as_ref(), (&self.lease, &self.identity), self.terms, now())
            }
        };
        let sent = Instant::now();
        match self.write(found.is_some(), &wanted).await {
            Ok(_) => Ok(Held::Ours(sent)),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(Held::Beaten)
            }
            Err(error) => Err(error),
        }
    }

    /// Upon what was read: the API server compares the resource version.
    async fn write(&self, exists: bool, lease: &Lease) -> kube::Result<Lease> {
        let by = PostParams::default();
        match exists {
            true => self.leases.replace(&self.lease, &by, lease).await,
            false => self.leases.create(&by, lease).await,
        }
    }

    async fn unchanged_for(&self, found: Option<&Lease>) -> Duration {
        let version = found.and_then(ResourceExt::resource_version);
        let mut seen = self.seen.lock().await;
        match &*seen {
            Some((before, since)) if *before == version => since.elapsed(),
            _ => {
                *seen = Some((version, Instant::now()));
                Duration::ZERO
            }
        }
    }

    /// Lets go of the Lease, so that nobody waits for it to run out. If that does not work, they wait.
    async fn release(&self) {
        let _ = timeout(PATIENCE, async {
            let found = self.leases.get_opt(&self.lease).await?;
            match record::released(found, &self.identity) {
                Some(free) => self.write(true, &free).await.map(drop),
                None => Ok(()),
            }
        })
        .await;
    }
}

fn now() -> Timestamp {
    Timestamp::now()
}

/// Up to a fifth more, so that candidates do not all ask at once.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 5.0)
}
