//! Leader election: of several processes that could act, only the holder of a Lease acts.
//!
//! The clocks of other processes are not trusted. A process takes a Lease after the Lease has
//! stayed unchanged for its whole duration, by the clock of that process. The holder acts for less
//! than that duration after it *sent* its last renewal. The difference leaves time for calls in
//! flight to end. Each write is conditional on the version that was read, so of two processes that
//! take the Lease one is rejected.
//!
//! The holder acts through a [`Leadership`]. A leadership rejects every further request once
//! another process holds the Lease or may hold it.
//!
//! After the end of a leader without a release, another process leads within 30 seconds. The times
//! of OpenShift (openshift/library-go `pkg/config/leaderelection`: 137, 107 and 26 seconds) let an
//! API server be down for a minute without effect, but a cluster without a leader for more than two
//! minutes. Without an API server the leader can do nothing in any case.

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

use super::health::ControllerHealth;
use record::{LeaseDecision, holder, verdict};

/// Maximum wait for a response. Several attempts fit into the time during which a holder acts.
const PATIENCE: Duration = Duration::from_secs(5);

/// Timing of a Lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeaseTerms {
    /// Time during which other processes respect a Lease without renewal.
    pub good_for: Duration,
    /// Time during which the holder acts without renewal. Shorter than `good_for`.
    pub act_for: Duration,
    /// Interval between attempts to acquire or renew the Lease.
    pub retry: Duration,
}

impl Default for LeaseTerms {
    fn default() -> Self {
        let [good_for, act_for, retry] = [24, 16, 2].map(Duration::from_secs);
        Self { good_for, act_for, retry }
    }
}

/// Reason of a lost leadership.
#[derive(Debug, thiserror::Error)]
pub enum LeadershipLost {
    /// Another process holds the Lease.
    #[error("the Lease {lease} is now held by {holder}")]
    Taken {
        /// Name of the Lease.
        lease: String,
        /// Identity of the new holder.
        holder: String,
    },
    /// The Lease could not be renewed in time.
    #[error(
        "the Lease {lease} could not be renewed for {for_long:?}, so another process may take \
         it"
    )]
    NotRenewed {
        /// Name of the Lease.
        lease: String,
        /// Time since the last renewal.
        for_long: Duration,
        /// Error of the last attempt.
        source: LeaseError,
    },
}

/// Error of reading or writing a Lease.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError {
    /// The API server rejected the request, or could not be reached.
    #[error("the request to the API server failed")]
    Api(#[from] Box<kube::Error>),
    /// No response arrived in time.
    #[error("no response within {PATIENCE:?}")]
    Silence,
}

/// Process that takes part in the leader election.
pub struct LeaderCandidate {
    leases: Api<Lease>,
    lease: String,
    identity: String,
    terms: LeaseTerms,
    health: Arc<ControllerHealth>,
    /// Last observed version of the Lease, and the time since when it is unchanged.
    seen: Mutex<Option<(Option<String>, Instant)>>,
}

/// Result of an attempt to hold the Lease.
#[derive(Debug, PartialEq, Eq)]
enum LeaseAttempt {
    /// Lease held by this process. The renewal was sent at this time.
    Ours(Instant),
    /// Lease held by the process with this identity.
    Theirs(String),
    /// Conflict with a write of another process.
    Beaten,
}

impl LeaderCandidate {
    /// Returns a candidate that has sent no request yet. `name` is the place where the process
    /// runs, such as a pod. The identity also has a random part, so that a restarted process does
    /// not mistake the Lease of its predecessor for its own.
    pub fn new(
        client: Client,
        (namespace, lease): (&str, &str),
        name: &str,
        terms: LeaseTerms,
        health: Arc<ControllerHealth>,
    ) -> Self {
        let identity = format!("{name}_{}", uuid::Uuid::new_v4());
        let (leases, lease) = (Api::namespaced(client, namespace), lease.to_owned());
        Self { leases, lease, identity, terms, health, seen: Mutex::default() }
    }

    /// Returns the identity of the candidate in the Lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this process leads, and runs `work` while it leads. The work must end by itself
    /// on shutdown. The work is dropped at any point when the Lease is lost. Returns `None` if the
    /// shutdown came before this process led.
    ///
    /// # Errors
    /// Fails if the Lease was lost. A process whose work was dropped should exit and start again.
    pub async fn lead<T, F: Future<Output = T>>(
        &self,
        stop: &CancellationToken,
        work: impl FnOnce(Leadership) -> F,
    ) -> Result<Option<T>, LeadershipLost> {
        let led_from = tokio::select! {
            sent = self.acquire() => sent,
            () = stop.cancelled() => return Ok(None),
        };
        let leadership = Leadership::new(&self.lease, led_from + self.terms.act_for);
        self.health.metrics.leads(true);
        let ended = tokio::select! {
            biased;
            lost = self.renew_until_lost(&leadership) => Err(lost),
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
            if let Ok(LeaseAttempt::Ours(sent)) = self.attempt().await {
                return sent;
            }
            sleep(jittered(self.terms.retry)).await;
        }
    }

    /// Renews the Lease until that is no longer possible, and returns the reason.
    async fn renew_until_lost(&self, leadership: &Leadership) -> LeadershipLost {
        let mut last = LeaseError::Silence;
        loop {
            sleep(jittered(self.terms.retry).min(leadership.remaining())).await;
            match timeout(leadership.remaining(), self.attempt()).await {
                Ok(Ok(LeaseAttempt::Ours(sent))) => leadership.extend(sent + self.terms.act_for),
                Ok(Ok(LeaseAttempt::Theirs(holder))) => {
                    return LeadershipLost::Taken { lease: self.lease.clone(), holder };
                }
                Ok(Err(trouble)) => last = trouble,
                Ok(Ok(LeaseAttempt::Beaten)) | Err(_) => (),
            }
            if !leadership.is_held() {
                let (lease, for_long) = (self.lease.clone(), self.terms.act_for);
                return LeadershipLost::NotRenewed { lease, for_long, source: last };
            }
        }
    }

    async fn attempt(&self) -> Result<LeaseAttempt, LeaseError> {
        let held = match timeout(PATIENCE, self.try_to_hold()).await {
            Ok(held) => held.map_err(|error| LeaseError::Api(Box::new(error))),
            Err(_) => Err(LeaseError::Silence),
        };
        self.health.record_response(held.is_ok());
        held
    }

    async fn try_to_hold(&self) -> kube::Result<LeaseAttempt> {
        let found = self.leases.get_opt(&self.lease).await?;
        let unchanged_for = self.unchanged_for(found.as_ref()).await;
        let wanted = match verdict(found.as_ref(), &self.identity, unchanged_for, self.terms) {
            LeaseDecision::Wait => {
                return Ok(LeaseAttempt::Theirs(holder(found.as_ref()).to_owned()));
            }
            LeaseDecision::Hold => {
                record::held_by(found.as_ref(), (&self.lease, &self.identity), self.terms, now())
            }
        };
        let sent = Instant::now();
        match self.write(found.is_some(), &wanted).await {
            Ok(_) => Ok(LeaseAttempt::Ours(sent)),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(LeaseAttempt::Beaten)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the Lease on the condition that nothing changed since the read: the API server
    /// compares the resource version.
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

    /// Releases the Lease, so that other processes need not wait until it expires. If the release
    /// fails, they wait.
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

/// Returns the pause plus up to 20 %, so that the candidates do not send requests at the same time.
fn jittered(pause: Duration) -> Duration {
    pause.mul_f64(1.0 + fastrand::f64() / 5.0)
}
