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
//! While this process leads, it also holds the Leases of the controllers that it replaces, so that of
//! two providers one acts ([`ORIGINALS`]).
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
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

pub use leadership::{Leadership, NotLeading};

use super::health::ControllerHealth;
use crate::report::{Log, LogLevel, with_causes};
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
    /// The ServiceAccount has no permission.
    #[error(
        "RBAC does not allow access to the Lease {lease}: apply the Role in \
         deploy/machine-controller/base/role.yaml"
    )]
    Forbidden {
        /// Name of the Lease.
        lease: String,
    },
    /// The credentials of this process are not valid, or not any more.
    #[error("{UNAUTHORIZED}")]
    Unauthorized,
    /// The API server rejected the request, or could not be reached.
    #[error("the request to the API server failed")]
    Api(#[from] Box<kube::Error>),
    /// No response arrived in time.
    #[error("no response within {PATIENCE:?}")]
    Silence,
}

/// Lease of an original controller of OpenShift. While another process renews it, this process does
/// not act. This process holds it while it acts, so that an original waits.
#[derive(Clone, Copy, Debug)]
pub struct ProviderLease {
    /// Name of the Lease.
    pub name: &'static str,
    /// Reason for not being ready while another process holds the Lease.
    pub reason: &'static str,
    /// Reason for not being ready without permission for the Lease.
    pub forbidden: &'static str,
}

/// Leases of the original controllers (openshift/machine-api-provider-aws `cmd/manager/main.go`,
/// openshift/machine-api-operator `cmd/machineset/main.go` and `cmd/nodelink-controller/main.go`).
pub const ORIGINALS: [ProviderLease; 3] = [
    ProviderLease {
        name: "cluster-api-provider-aws-leader",
        reason: "another provider holds the Lease cluster-api-provider-aws-leader",
        forbidden: "RBAC does not allow access to the Lease cluster-api-provider-aws-leader: \
                    apply deploy/machine-controller/base/role.yaml",
    },
    ProviderLease {
        name: "cluster-api-provider-machineset-leader",
        reason: "another provider holds the Lease cluster-api-provider-machineset-leader",
        forbidden: "RBAC does not allow access to the Lease cluster-api-provider-machineset-leader: \
                    apply deploy/machine-controller/base/role.yaml",
    },
    ProviderLease {
        name: "cluster-api-provider-nodelink-leader",
        reason: "another provider holds the Lease cluster-api-provider-nodelink-leader",
        forbidden: "RBAC does not allow access to the Lease cluster-api-provider-nodelink-leader: \
                    apply deploy/machine-controller/base/role.yaml",
    },
];

/// Reason for not being ready without permission for the controller's own Lease.
const FORBIDDEN: &str = "RBAC does not allow access to the Lease groundplan-machine-controller: \
                         apply deploy/machine-controller/base/role.yaml";

/// Reason for not being ready without valid credentials.
const UNAUTHORIZED: &str = "the API server rejects the credentials of this process (401): check the \
                            token of the ServiceAccount, or the kubeconfig";

/// Returns the reason for not being ready without permission for a Lease.
fn forbidden_reason(lease: &str) -> &'static str {
    let original = ORIGINALS.iter().find(|one| one.name == lease);
    original.map_or(FORBIDDEN, |one| one.forbidden)
}

/// Name in log lines.
const LOGGED_AS: &str = "leader_election";

/// Lease that this process holds while it acts.
struct HeldLease {
    name: String,
    /// Last observed version of the Lease, and the time since when it is unchanged.
    seen: Mutex<Option<(Option<String>, Instant)>>,
    /// Last own write of the Lease, as the API server returned it. A renewal replaces this version
    /// without another read. `None` if the write may be outdated, and while a renewal is in flight.
    written: Mutex<Option<Lease>>,
    /// True if this process has written itself as the holder.
    is_held: AtomicBool,
}

impl HeldLease {
    fn new(name: &str) -> Self {
        let (name, seen, written) = (name.to_owned(), Mutex::default(), Mutex::default());
        Self { name, seen, written, is_held: AtomicBool::new(false) }
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
}

/// Process that takes part in the leader election.
pub struct LeaderCandidate {
    leases: Api<Lease>,
    own: HeldLease,
    originals: Vec<(HeldLease, ProviderLease)>,
    identity: String,
    terms: LeaseTerms,
    health: Arc<ControllerHealth>,
    log: Log,
    /// Last other holder of the own Lease. It is no other provider.
    before: Mutex<String>,
    /// True if the last attempt was rejected for a missing permission.
    was_forbidden: AtomicBool,
}

/// Result of an attempt to hold a Lease.
#[derive(Debug, PartialEq, Eq)]
enum LeaseAttempt {
    /// Lease held by this process. The renewal was sent at this time.
    Ours(Instant),
    /// Lease that this process may hold. Nothing was written.
    Free,
    /// Lease held by the process with this identity.
    Theirs(String),
    /// Conflict with a write of another process.
    Beaten,
}

type Attempted = Result<LeaseAttempt, LeaseError>;

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
        let (leases, own) = (Api::namespaced(client, namespace), HeldLease::new(lease));
        let (originals, log, before) = (Vec::new(), Log::default(), Mutex::default());
        let was_forbidden = AtomicBool::new(false);
        Self { leases, own, originals, identity, terms, health, log, before, was_forbidden }
    }

    /// Returns a candidate that also holds the Leases of other providers while it leads, and does
    /// not lead while another process holds one of them.
    #[must_use]
    pub fn in_place_of(mut self, providers: &[ProviderLease]) -> Self {
        let held = providers.iter().map(|provider| (HeldLease::new(provider.name), *provider));
        self.originals = held.collect();
        self
    }

    /// Returns a candidate that logs its state.
    #[must_use]
    pub fn logging(mut self, log: Log) -> Self {
        self.log = log;
        self
    }

    /// Returns the identity of the candidate in the Lease.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// Waits until this process leads, and runs `work` while it leads. The work must end by itself
    /// on shutdown. The work is dropped at any point when one of the Leases is lost. Returns `None`
    /// if the shutdown came before this process led.
    ///
    /// # Errors
    /// Fails if a Lease was lost. A process whose work was dropped should exit and start again.
    pub async fn lead<T, F: Future<Output = T>>(
        &self,
        stop: &CancellationToken,
        work: impl FnOnce(Leadership) -> F,
    ) -> Result<Option<T>, LeadershipLost> {
        let led_from = tokio::select! {
            sent = self.acquire() => sent,
            () = stop.cancelled() => {
                self.release_all().await;
                return Ok(None);
            }
        };
        let leadership = Leadership::new(&self.own.name, led_from + self.terms.act_for);
        self.health.metrics.leads(true);
        let ended = tokio::select! {
            biased;
            lost = self.renew_until_lost(&leadership, led_from) => Err(lost),
            done = work(leadership.clone()) => Ok(Some(done)),
        };
        leadership.end();
        self.health.metrics.leads(false);
        if ended.is_ok() {
            self.release_all().await;
        }
        ended
    }

    fn all(&self) -> impl Iterator<Item = &HeldLease> {
        std::iter::once(&self.own).chain(self.originals.iter().map(|(held, _)| held))
    }

    /// Waits until this process holds all Leases. Returns the time of the oldest renewal.
    async fn acquire(&self) -> Instant {
        loop {
            if let Some(sent) = self.try_to_lead().await {
                self.log.solved(LOGGED_AS, &self.object());
                return sent;
            }
            sleep(jittered(self.terms.retry)).await;
        }
    }

    /// Takes the own Lease, then the Leases of the other providers if all of them are free. Of a
    /// provider that runs, no Lease is taken: it would act in part only.
    async fn try_to_lead(&self) -> Option<Instant> {
        let own = self.attempt(&self.own, true).await;
        let looks = self.originals.iter().map(|(held, _)| self.attempt(held, false));
        let mut looked: Vec<Attempted> = join_all(looks).await;
        let holds_own = match &own {
            Ok(LeaseAttempt::Ours(sent)) => Some(*sent),
            _ => None,
        };
        let is_free = |one: &Attempted| matches!(one, Ok(LeaseAttempt::Free));
        let mut held = holds_own;
        if holds_own.is_some() && looked.iter().all(is_free) {
            let takes = self.originals.iter().map(|(held, _)| self.attempt(held, true));
            looked = join_all(takes).await;
            for one in &looked {
                held = match (one, held) {
                    (Ok(LeaseAttempt::Ours(sent)), Some(before)) => Some(before.min(*sent)),
                    _ => None,
                };
            }
        } else {
            held = None;
        }
        self.tell(&own, &looked).await;
        if held.is_none() && looked.iter().any(|one| matches!(one, Ok(LeaseAttempt::Theirs(_)))) {
            join_all(self.originals.iter().map(|(held, _)| self.release(held))).await;
        }
        held
    }

    /// Records and logs why this process does not lead.
    async fn tell(&self, own: &Attempted, looked: &[Attempted]) {
        let failed = std::iter::once(own).chain(looked).find_map(|one| one.as_ref().err());
        // In its first second, an API server has not read the roles yet and rejects everything.
        let is_forbidden = matches!(failed, Some(LeaseError::Forbidden { .. }));
        if is_forbidden && !self.was_forbidden.swap(true, Relaxed) {
            return;
        }
        self.was_forbidden.store(is_forbidden, Relaxed);
        self.record(failed);
        let mut before = self.before.lock().await;
        let mut blocking = Vec::new();
        let (level, message) = match (failed, own) {
            (Some(error), _) => (LogLevel::Error, with_causes(error)),
            (_, Ok(LeaseAttempt::Theirs(holder))) => {
                before.clone_from(holder);
                (LogLevel::Info, format!("standby: {holder} holds the Lease {}", self.own.name))
            }
            _ => {
                let mut who = Vec::new();
                for ((held, provider), one) in self.originals.iter().zip(looked) {
                    if let Ok(LeaseAttempt::Theirs(holder)) = one
                        && *holder != *before
                    {
                        who.push(format!("{holder} holds the Lease {}", held.name));
                        blocking.push(*provider);
                    }
                }
                let message = format!(
                    "another provider is active, and this process does not act until that provider \
                     is stopped: {}",
                    who.join(", ")
                );
                (LogLevel::Warning, message)
            }
        };
        self.health.metrics.blocked_by(blocking.iter().map(|one| one.name).collect());
        self.health.other_provider(blocking.first().map(|one| one.reason));
        if level != LogLevel::Warning || !blocking.is_empty() {
            self.log.state(level, LOGGED_AS, &self.object(), &message);
        }
    }

    fn object(&self) -> String {
        format!("Lease {}", self.own.name)
    }

    fn record(&self, failed: Option<&LeaseError>) {
        let forbidden = match failed {
            Some(LeaseError::Forbidden { lease }) => Some(forbidden_reason(lease)),
            Some(LeaseError::Unauthorized) => Some(UNAUTHORIZED),
            _ => None,
        };
        self.health.record_response(failed.is_none() || forbidden.is_some());
        self.health.forbidden(forbidden);
    }

    /// Renews all Leases until that is no longer possible, and returns the reason.
    async fn renew_until_lost(&self, leadership: &Leadership, since: Instant) -> LeadershipLost {
        let mut renewed: Vec<(Instant, Option<LeaseError>)> =
            self.all().map(|_| (since, None)).collect();
        loop {
            sleep(jittered(self.terms.retry).min(leadership.remaining())).await;
            let attempts = join_all(self.all().map(|one| async {
                let attempt = timeout(leadership.remaining(), self.attempt(one, true));
                attempt.await.unwrap_or(Err(LeaseError::Silence))
            }));
            let mut failed = false;
            for ((one, attempt), renewed) in self.all().zip(attempts.await).zip(&mut renewed) {
                match attempt {
                    Ok(LeaseAttempt::Ours(sent)) => *renewed = (sent, None),
                    Ok(LeaseAttempt::Theirs(holder)) => {
                        return LeadershipLost::Taken { lease: one.name.clone(), holder };
                    }
                    Err(error) => {
                        failed = true;
                        self.record(Some(&error));
                        // The end of the leadership cuts the last attempt short, which says less than
                        // the error before.
                        let told = match (renewed.1.take(), error) {
                            (Some(before), LeaseError::Silence) => before,
                            (_, error) => error,
                        };
                        renewed.1 = Some(told);
                    }
                    Ok(LeaseAttempt::Beaten | LeaseAttempt::Free) => (),
                }
            }
            if !failed {
                self.record(None);
            }
            let oldest = renewed.iter().map(|(sent, _)| *sent).min().unwrap_or(since);
            leadership.extend(oldest + self.terms.act_for);
            if !leadership.is_held() {
                let late = renewed.iter().position(|(sent, _)| *sent == oldest).unwrap_or(0);
                let lease = self.all().nth(late).unwrap_or(&self.own).name.clone();
                let source = renewed.swap_remove(late).1.unwrap_or(LeaseError::Silence);
                return LeadershipLost::NotRenewed { lease, for_long: self.terms.act_for, source };
            }
        }
    }

    async fn attempt(&self, lease: &HeldLease, take: bool) -> Attempted {
        match timeout(PATIENCE, self.try_to_hold(lease, take)).await {
            Ok(Ok(held)) => Ok(held),
            Ok(Err(kube::Error::Api(status))) if status.code == 403 => {
                Err(LeaseError::Forbidden { lease: lease.name.clone() })
            }
            Ok(Err(kube::Error::Api(status))) if status.code == 401 => {
                Err(LeaseError::Unauthorized)
            }
            Ok(Err(error)) => Err(LeaseError::Api(Box::new(error))),
            Err(_) => Err(LeaseError::Silence),
        }
    }

    /// Renews a Lease that this process wrote last, or reads the Lease and takes it if that is
    /// permitted. The result of the last own write is enough for a renewal, because the API server
    /// rejects a write to another version: after a conflict the Lease is read.
    async fn try_to_hold(&self, lease: &HeldLease, take: bool) -> kube::Result<LeaseAttempt> {
        if take {
            // Without a response the version is unknown, so the next attempt reads the Lease.
            let written = lease.written.lock().await.take();
            if written.is_some()
                && let LeaseAttempt::Ours(sent) = self.take(lease, written.as_ref()).await?
            {
                return Ok(LeaseAttempt::Ours(sent));
            }
        }
        let found = self.leases.get_opt(&lease.name).await?;
        let unchanged_for = lease.unchanged_for(found.as_ref()).await;
        match verdict(found.as_ref(), &self.identity, unchanged_for, self.terms) {
            LeaseDecision::Wait => Ok(LeaseAttempt::Theirs(holder(found.as_ref()).to_owned())),
            LeaseDecision::Hold if !take => Ok(LeaseAttempt::Free),
            LeaseDecision::Hold => self.take(lease, found.as_ref()).await,
        }
    }

    /// Writes this process as the holder, on the condition that the Lease is still as `known`.
    async fn take(&self, lease: &HeldLease, known: Option<&Lease>) -> kube::Result<LeaseAttempt> {
        let wanted = record::held_by(known, (&lease.name, &self.identity), self.terms, now());
        let sent = Instant::now();
        match self.write(known.is_some(), &wanted).await {
            Ok(written) => {
                *lease.written.lock().await = Some(written);
                lease.is_held.store(true, Relaxed);
                Ok(LeaseAttempt::Ours(sent))
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_already_exists() => {
                Ok(LeaseAttempt::Beaten)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the Lease on the condition that nothing changed since the known version: the API server
    /// compares the resource version.
    async fn write(&self, exists: bool, lease: &Lease) -> kube::Result<Lease> {
        let by = PostParams::default();
        let name = lease.name_any();
        match exists {
            true => self.leases.replace(&name, &by, lease).await,
            false => self.leases.create(&by, lease).await,
        }
    }

    /// Releases all Leases, so that other processes need not wait until they expire. The own Lease
    /// is the last one, so that the next process finds the others free.
    async fn release_all(&self) {
        join_all(self.originals.iter().map(|(held, _)| self.release(held))).await;
        self.release(&self.own).await;
    }

    /// Releases a Lease that this process holds. If the release fails, other processes wait.
    async fn release(&self, lease: &HeldLease) {
        if !lease.is_held.swap(false, Relaxed) {
            return;
        }
        lease.written.lock().await.take();
        let _ = timeout(PATIENCE, async {
            let found = self.leases.get_opt(&lease.name).await?;
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
