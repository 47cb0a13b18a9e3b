//! Controller of Machines: carries out the decisions for each Machine.
//!
//! - `launching`: launches an instance; `taking_away`: deletes a Machine without leaving anything
//!   behind.
//!
//! Each write is decided on a certain version of the object. A write to an outdated version is
//! rejected, and the controller decides again. Each launch carries the token of the Machine, so
//! repeated launches by any number of processes make one instance.

mod launching;
mod taking_away;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream::{Stream, StreamExt, iter};
use groundplan_aws::Tags;
use groundplan_aws::kinds::load_balancer_attachment::LoadBalancerAttachment;
use groundplan_aws::kinds::machine::MachineOutputs;
use groundplan_aws::machine_calls::Ec2;
use groundplan_engine::graph::Input;
use groundplan_engine::provider::{BoxFuture, ProviderError, ProviderFuture};
use groundplan_openshift::install_config::Architecture;
use groundplan_openshift::machine_api::launch_spec::{self, ClusterDefaults};
use groundplan_openshift::machine_api::types::{
    AwsMachineProviderConfig, MACHINE_API, Machine, read,
};
use groundplan_openshift::machine_api::validation::{
    Defaults, ObjectFinding, unexpected_kind, unknown_fields, with_defaults,
};
use kube::api::{Api, ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams};
use kube::core::TypeMeta;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Client, Resource, ResourceExt};
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::schedule::{Conflicts, NextLook, Schedule};
use super::status::FIELDS_KNOWN;
use super::{
    FINALIZER, InstanceState, MachineAction, MachineChange, MachineFailure, decide, failed,
    in_sync, instance_id, is_absent, known_fields, missing, not_found_out, paused, running,
};
use crate::authority::Authority;
use crate::client_timeout::patient;
use crate::clock::Clock;
use crate::drain::Turn;
use crate::ec2_batcher::{Ec2Batcher, FoundInstance};
use crate::event_recorder::{EventRecorder, EventType};
use crate::health::ControllerHealth;
use crate::metrics::InstanceOperation;
use crate::reflector::{FeedEvent, Reflector, View, WatchedObject, all_in, log_result, reference};
use crate::report::{Log, LogLevel, ReconcileFailure, plain};

/// Maximum number of concurrent AWS calls that change something. Queries are batched for all
/// Machines, and requests to the API server have their own limits.
const CHANGES_AT_ONCE: usize = 64;
/// Maximum time for work in progress after a shutdown request. The next process resumes dropped
/// work, as after a crash.
const GRACE: Duration = Duration::from_secs(5);

/// Facts about the cluster that the controller needs.
#[derive(Clone, Debug)]
pub struct ControllerSettings {
    /// Namespace of the Machines.
    pub namespace: String,
    /// Region of the cluster.
    pub region: String,
    /// Architecture of the control plane.
    pub architecture: Architecture,
    /// Defaults that machines take from the cluster.
    pub site: ClusterDefaults,
}

/// Controller of Machines.
pub struct MachineController {
    client: Client,
    api: Api<DynamicObject>,
    watcher: Client,
    batcher: Ec2Batcher,
    settings: ControllerSettings,
    health: Arc<ControllerHealth>,
    event_recorder: EventRecorder,
    clock: Clock,
    schedule: Mutex<Schedule>,
    conflicts: Mutex<Conflicts>,
    /// Time when this process observed the deletion of a Machine, by UID.
    deleted: Mutex<HashMap<String, Instant>>,
    /// Time since which each query has proven the instance of a Machine absent, by UID.
    absent: Mutex<HashMap<String, Instant>>,
    /// Last log line about a deletion that waits, by UID.
    waits: Mutex<HashMap<String, LoggedWait>>,
    changes: Semaphore,
    turn: Turn,
    log: Log,
}

/// Error of one reconcile.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The API server rejected a request or could not be reached.
    #[error("the API server: {}", plain(.0))]
    Cluster(#[from] kube::Error),
    /// AWS rejected a call or could not be reached. Has no request ID: a text with an ID differs at each
    /// attempt, and would be news each time.
    #[error("{0}")]
    Aws(ProviderError),
    /// The authority over the Machine is unknown.
    #[error("{0}")]
    Authority(String),
    /// A required object does not exist, or EC2 does not show it yet.
    #[error("{0}")]
    DependencyNotReady(String),
}

impl From<ProviderError> for ReconcileError {
    fn from(error: ProviderError) -> Self {
        Self::Aws(ProviderError { request_id: None, ..error })
    }
}

impl ReconcileError {
    fn unreadable(why: impl std::fmt::Display) -> Self {
        Self::DependencyNotReady(format!("the Machine cannot be read: {why}"))
    }

    /// Returns the code for the metrics.
    fn code(&self) -> &str {
        match self {
            Self::Cluster(_) => "ApiServer",
            Self::Aws(error) => error.code.as_deref().unwrap_or(&error.call),
            Self::Authority(_) => "UnknownAuthority",
            Self::DependencyNotReady(_) => "DependencyNotReady",
        }
    }

    /// Returns the delay that AWS requested.
    fn after(&self) -> Option<Duration> {
        let Self::Aws(error) = self else { return None };
        error.after
    }
}

impl ReconcileFailure for ReconcileError {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Cluster(kube::Error::Api(status)) if status.code == 409)
    }
}

type Result<T> = std::result::Result<T, ReconcileError>;

/// Log line about a deletion that waits.
enum LoggedWait {
    /// Wait for these lifecycle hooks.
    Hooks(String),
    /// Wait for the drain, logged at this time.
    Drain(Instant),
}

/// Reflector state that a run of the controller reads.
struct Watched {
    store: Store<WatchedObject<Machine>>,
    view: View,
}

/// Returns the API resource of Machines.
pub fn resource() -> ApiResource {
    let kind = GroupVersionKind::gvk("machine.openshift.io", "v1beta1", "Machine");
    ApiResource::from_gvk_with_plural(&kind, "machines")
}

impl MachineController {
    /// Returns the controller of the Machines in a namespace.
    pub fn new(
        client: Client,
        batcher: Ec2Batcher,
        settings: ControllerSettings,
        health: Arc<ControllerHealth>,
    ) -> Self {
        let (clock, watcher) = (Clock::default(), client);
        let client = patient(&watcher);
        Self {
            watcher,
            api: Api::namespaced_with(client.clone(), &settings.namespace, &resource()),
            event_recorder: EventRecorder::new(client.clone(), &settings.namespace, clock),
            client,
            batcher,
            settings,
            health,
            clock,
            schedule: Mutex::default(),
            conflicts: Mutex::default(),
            deleted: Mutex::default(),
            absent: Mutex::default(),
            waits: Mutex::default(),
            changes: Semaphore::new(CHANGES_AT_ONCE),
            turn: Turn::default(),
            log: Log::default(),
        }
    }

    /// Reconciles Machines until shutdown, on a reflector of its own. Then no new work starts, and
    /// work in progress has a few seconds to end.
    pub async fn run(self, stop: impl Future<Output = ()> + Send + 'static) {
        let machines =
            Reflector::new(Api::namespaced(self.watcher.clone(), &self.settings.namespace));
        let stopped = CancellationToken::new();
        let reconciling = self.run_on(&machines, stopped.clone(), Log::default());
        let mut reconciling = std::pin::pin!(reconciling);
        tokio::select! {
            biased;
            () = async { stop.await; stopped.cancel(); std::future::pending().await } => (),
            () = &mut reconciling => (),
            () = machines.run(|_| ()) => (),
        }
    }

    /// Reconciles the Machines of a reflector until shutdown. Then no new work starts, and work in
    /// progress has a few seconds to end. Errors are logged, and retried.
    pub fn run_on(
        mut self,
        machines: &Reflector<Machine>,
        stop: CancellationToken,
        log: Log,
    ) -> impl Future<Output = ()> + Send + 'static {
        let watched = Arc::new(Watched { store: machines.store(), view: machines.view() });
        self.log = log;
        let driver = Arc::new(self);
        let queue = driver.queue(machines).map(Ok::<_, Infallible>);
        let queue = Box::pin(queue.take_until(stop.clone().cancelled_owned()));
        let store = machines.store();
        type Reconciled = BoxFuture<'static, std::result::Result<Action, Infallible>>;
        let one = move |machine: Arc<WatchedObject<Machine>>, driver: Arc<Self>| -> Reconciled {
            let watched = Arc::clone(&watched);
            Box::pin(async move {
                let reconcile = driver.reconcile(&watched, &machine);
                Ok(driver.health.reconciles.during(reconcile).await)
            })
        };
        let never =
            |_: Arc<WatchedObject<Machine>>, error: &Infallible, _: Arc<Self>| match *error {};
        let all = applier(one, never, driver, store, queue, Config::default());
        async move {
            tokio::select! {
                () = all.for_each(|_| std::future::ready(())) => (),
                () = async { stop.cancelled().await; sleep(GRACE).await } => (),
            }
        }
    }

    /// Returns the stream of Machines to reconcile.
    fn queue(
        self: &Arc<Self>,
        machines: &Reflector<Machine>,
    ) -> impl Stream<Item = ObjectRef<WatchedObject<Machine>>> + Send + use<> {
        let (driver, store, known) = (Arc::clone(self), machines.store(), machines.store());
        let touched = machines.events().map(move |touched| match touched {
            FeedEvent::One(machine) => {
                let reference = reference(&machine);
                if known.get(&reference).is_none() {
                    driver.forget(&machine.meta_uid().unwrap_or_default());
                    let (namespace, name) = (&driver.settings.namespace, machine.meta_name());
                    driver.health.metrics.forget(namespace, name);
                }
                vec![reference]
            }
            FeedEvent::All => all_in(&known),
        });
        touched
            .flat_map(iter)
            .filter(move |machine| std::future::ready(store.get(machine).is_some()))
    }

    /// Makes an AWS call that changes something, within the limit of concurrent calls.
    async fn change<T>(&self, call: impl FnOnce(&dyn Ec2) -> ProviderFuture<'_, T>) -> Result<T> {
        let _permit = self.changes.acquire().await;
        call(&**self.batcher.ec2()).await.map_err(|error| self.noted(error))
    }

    /// Logs an error of AWS with its request ID, for the support of AWS.
    fn noted(&self, error: ProviderError) -> ReconcileError {
        if error.request_id.is_some() {
            self.log.line(LogLevel::Debug, "machine", "AWS", &error.to_string());
        }
        error.into()
    }

    /// Reconciles a Machine, unless the schedule says later. Returns the time of the next look.
    async fn reconcile(&self, watched: &Watched, seen: &WatchedObject<Machine>) -> Action {
        if !watched.view.is_current() {
            return Action::await_change(); // an event follows once the copy is current
        }
        let Some(seen) = watched.store.get(&reference(seen)) else { return Action::await_change() };
        let target = ReconcileTarget::of(&seen);
        let Ok(mut one) = target else {
            log_result(&self.log, "machine", (&watched.store, &seen), &target);
            return Action::await_change();
        };
        let (uid, version) = (one.machine.metadata.uid.clone(), one.object.resource_version());
        let version = version.as_deref();
        if let Some(left) = self.conflicts().wait(&uid) {
            return Action::requeue(left);
        }
        let is_read = self.conflicts().needs_read(&uid);
        let read = match is_read {
            true => self.live(&one).await,
            false => Ok(None),
        };
        let read = match read {
            Ok(None) if is_read => return Action::await_change(),
            Ok(Some(live)) => {
                one = live;
                Ok(())
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        let waits = self.schedule().wait(&one.machine);
        if let Some(next) = waits {
            return action(next);
        }
        let done = match read {
            Ok(()) => self.look_after(&mut one).await,
            Err(error) => Err(error),
        };
        let failed = log_result(&self.log, "machine", (&watched.store, &seen), &done);
        if failed || done.is_ok() {
            self.health.metrics.reconciled("machine", !failed);
        }
        match done {
            Ok(next) => {
                self.conflicts().ended(&uid, version);
                self.schedule().looked(&one.machine, next);
                action(next)
            }
            // A conflict means that the object has changed: the next decision follows soon, and after
            // several conflicts on the object as the API server has it.
            Err(error) if error.is_conflict() => {
                let (pause, logged) = self.conflicts().occurred(&uid, version);
                if let Some(times) = logged {
                    let message = format!(
                        "{times} writes in a row had conflicts with writes of other clients; the \
                         next attempt is in {pause:?}"
                    );
                    self.log(LogLevel::Warning, &one, &message);
                }
                self.schedule().overtaken(&one.machine, pause);
                Action::requeue(pause)
            }
            Err(error) => Action::requeue(self.schedule().failed(&one.machine, error.after())),
        }
    }

    fn schedule(&self) -> std::sync::MutexGuard<'_, Schedule> {
        self.schedule.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn conflicts(&self) -> std::sync::MutexGuard<'_, Conflicts> {
        self.conflicts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the Machine from the API server. `None` if it no longer exists.
    async fn live(&self, of: &ReconcileTarget) -> Result<Option<ReconcileTarget>> {
        let Some(object) = self.api.get_opt(&of.name).await? else { return Ok(None) };
        if object.uid() != of.object.uid() {
            return Ok(None);
        }
        let machine = machine_of(&object)?;
        Ok(Some(ReconcileTarget { name: of.name.clone(), object, machine }))
    }

    /// Forgets a Machine that no longer exists.
    fn forget(&self, uid: &str) {
        self.schedule().forget(uid);
        self.conflicts().forget(uid);
        self.deleted().remove(uid);
        self.absent().remove(uid);
        self.waits().remove(uid);
    }

    fn waits(&self) -> std::sync::MutexGuard<'_, HashMap<String, LoggedWait>> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn absent(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.absent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time during which each query has proven the instance of a Machine absent. `seen`
    /// is the result of the last query.
    fn absent_for(&self, uid: &str, seen: &InstanceState) -> Duration {
        if !is_absent(seen) {
            self.absent().remove(uid);
            return Duration::ZERO;
        }
        self.absent().entry(uid.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    fn deleted(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.deleted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the time since this process observed the deletion of a Machine.
    fn deleted_for(&self, uid: &str) -> Duration {
        self.deleted().entry(uid.to_owned()).or_insert_with(Instant::now).elapsed()
    }

    async fn look_after(&self, one: &mut ReconcileTarget) -> Result<NextLook> {
        if !self.has_authority(one).await? {
            return Ok(NextLook::OnChange); // another controller reconciles the Machine
        }
        if one.is_deleted() {
            return self.take_away(one).await;
        }
        if !one.machine.metadata.finalizers.iter().any(|held| held == FINALIZER) {
            let mut finalizers = one.machine.metadata.finalizers.clone();
            finalizers.push(FINALIZER.to_owned());
            self.patch(one, &json!({"metadata": {"finalizers": finalizers}})).await?;
        }
        if one.machine.status.phase.as_deref() == Some("Failed") {
            return Ok(NextLook::OnChange);
        }
        let found = self.find(one).await?;
        let now = self.clock.now();
        let absent_for = self.absent_for(&one.machine.metadata.uid, &found.seen);
        match decide(&one.machine, &found.seen, absent_for, now) {
            MachineAction::Nothing => Ok(NextLook::OnChange),
            MachineAction::Wait(after) => Ok(NextLook::After(after)),
            MachineAction::Keep(after) => {
                self.update_existing(one, &found).await.map(|()| NextLook::After(after))
            }
            MachineAction::Launch => self.launch(one).await,
            MachineAction::Fail(failure) if failure.reason.is_empty() => {
                let changes = missing(&one.machine, &failure, now);
                self.fail(one, &failure, changes, InstanceOperation::Update).await
            }
            MachineAction::Fail(failure) => self.give_up(one, &failure).await,
            MachineAction::Retry(message) => {
                let unseen = ReconcileError::DependencyNotReady(message);
                self.tell_failed(one, InstanceOperation::Create, &unseen).await;
                Err(unseen)
            }
            MachineAction::Unseen(message) => {
                self.write(one, not_found_out(&one.machine, &message, now)).await?;
                let unseen = ReconcileError::DependencyNotReady(message);
                self.tell_failed(one, InstanceOperation::Update, &unseen).await;
                Err(unseen)
            }
        }
    }

    /// Returns true if the controller may change the Machine. Sets the authority in the status, if it
    /// is not set yet, and the condition `Paused`.
    async fn has_authority(&self, one: &mut ReconcileTarget) -> Result<bool> {
        if let Some(problem) = one.authority().problem() {
            return Err(ReconcileError::Authority(problem));
        }
        if let Authority::Unset(api) = one.authority() {
            let mut patch = json!({"status": {"authoritativeAPI": api}});
            versioned(&mut patch, &one.object);
            let by = PatchParams::default();
            one.object = self.api.patch_status(&one.name, &by, &Patch::Merge(patch)).await?;
            // A CRD that does not have the field drops the value. Then the spec alone decides.
            one.machine = machine_of(&one.object)?;
        }
        if let Some(problem) = one.authority().problem() {
            return Err(ReconcileError::Authority(problem));
        }
        let now = self.clock.now();
        let message = one.authority().pause_message(&one.machine.status.conditions);
        self.write(one, paused(&one.machine, now)).await?;
        if let Some(message) = message {
            self.log(LogLevel::Info, one, &message);
        }
        Ok(one.authority().allows_changes())
    }

    /// Returns the state of the instance in EC2. A failed query is recorded in the status.
    async fn find(&self, one: &mut ReconcileTarget) -> Result<FoundInstance> {
        let id = instance_id(&one.machine);
        match self.batcher.find(&one.name, id.as_deref()).await {
            Ok(found) => Ok(found),
            Err(error) => {
                self.absent().remove(&one.machine.metadata.uid);
                let error = self.noted(error);
                let changes = not_found_out(&one.machine, &error.to_string(), self.clock.now());
                self.write(one, changes).await?;
                // A deletion reports its own failures.
                if !one.is_deleted() {
                    self.tell_failed(one, InstanceOperation::Update, &error).await;
                }
                Err(error)
            }
        }
    }

    /// Updates the status of a Machine with an instance, and corrects tags and load balancer
    /// registrations.
    async fn update_existing(
        &self,
        one: &mut ReconcileTarget,
        found: &FoundInstance,
    ) -> Result<()> {
        let InstanceState::There(instance) = &found.seen else { return Ok(()) };
        let now = self.clock.now();
        let mut changes = running(&one.machine, instance, &self.settings.region, now);
        if let (Ok(config), Some(live)) = (self.config(&one.machine), &found.metadata_options)
            && let Ok(wanted) = launch_spec::options(&config)
        {
            changes = in_sync(changes, &wanted, live, now);
        }
        changes = self.with_known_fields(one, changes).await;
        let is_news = changes.object().is_some() || changes.status(now).is_some();
        self.write(one, changes).await?;
        let done = self.correct_drift(one, instance).await;
        if let Err(error) = &done {
            self.tell_failed(one, InstanceOperation::Update, error).await;
        } else if is_news {
            let message = format!("Updated Machine {}", one.name);
            let (recorder, kind) = (&self.event_recorder, EventType::Normal);
            recorder.record_event(&one.object, kind, "Update", &message).await;
        }
        done
    }

    async fn correct_drift(&self, one: &ReconcileTarget, instance: &MachineOutputs) -> Result<()> {
        let live = &instance.seen.tags;
        if let Some(wanted) = self.tags(&one.machine)
            && wanted.iter().any(|(key, value)| live.get(key) != Some(value))
        {
            let id = instance.id.clone();
            self.change(|ec2| ec2.retag(id, live.clone(), wanted)).await?;
        }
        if instance.seen.state == "running" {
            for attachment in self.attachments(one, instance) {
                // Registrations are queried individually, because few machines have one. A missing
                // load balancer must not affect machines that are registered with others.
                if !self.batcher.ec2().is_registered(attachment.clone()).await? {
                    self.change(|ec2| ec2.register(attachment)).await?;
                }
            }
        }
        Ok(())
    }

    /// Adds the condition about an unexpected kind and unknown fields of the provider config. The
    /// first time, it also records an Event.
    async fn with_known_fields(
        &self,
        one: &ReconcileTarget,
        changes: MachineChange,
    ) -> MachineChange {
        let Some(config) = &one.machine.spec.provider_spec.value else { return changes };
        let kind = unexpected_kind_of(config);
        let event = if kind.is_some() { "UnexpectedKind" } else { "UnknownField" };
        let fields = unknown_fields(config);
        let unknown: Vec<String> =
            kind.into_iter().chain(fields.iter().map(unknown_field)).collect();
        let message = unknown.join("; ");
        let mut conditions = one.machine.status.conditions.iter();
        let is_known = conditions.any(|known| {
            known.kind == FIELDS_KNOWN && known.status == "False" && known.message == message
        });
        if !unknown.is_empty() && !is_known {
            let (recorder, kind) = (&self.event_recorder, EventType::Warning);
            recorder.record_event(&one.object, kind, event, &message).await;
            self.log(LogLevel::Warning, one, &message);
        }
        known_fields(changes, &unknown, self.clock.now())
    }

    /// Returns the provider config with the defaults of the webhook, because the API server may
    /// have accepted the Machine without the webhook.
    fn config(
        &self,
        machine: &Machine,
    ) -> std::result::Result<AwsMachineProviderConfig, MachineFailure> {
        let value = machine.spec.provider_spec.value.as_ref();
        let value =
            value.ok_or_else(|| MachineFailure::invalid("spec.providerSpec.value is missing"))?;
        let config: AwsMachineProviderConfig = read(value).map_err(|error| {
            MachineFailure::invalid(format!("spec.providerSpec.value: {error}"))
        })?;
        let defaults = Defaults {
            region: Some(self.settings.region.clone()),
            architecture: self.settings.architecture,
        };
        let config = with_defaults(config, &defaults);
        let (asked, ours) = (&config.placement.region, &self.settings.region);
        if asked != ours {
            let message = format!(
                "spec.providerSpec.value.placement.region: found `{asked}`, but this cluster is in \
                 `{ours}`"
            );
            return Err(MachineFailure::invalid(message));
        }
        Ok(config)
    }

    /// Returns the tags of the instance. `None` if the config cannot be read.
    fn tags(&self, machine: &Machine) -> Option<Tags> {
        let config = self.config(machine).ok()?;
        let (name, labels) = (&machine.metadata.name, &machine.metadata.labels);
        launch_spec::tags(name, labels, &config, &self.settings.site).ok()
    }

    fn attachments(
        &self,
        one: &ReconcileTarget,
        instance: &MachineOutputs,
    ) -> Vec<LoadBalancerAttachment> {
        let Ok(config) = self.config(&one.machine) else { return Vec::new() };
        let Some(ip) = &instance.private_ip else { return Vec::new() };
        let attachments = launch_spec::attachments(&config).into_iter();
        let attachment = |(load_balancer, kind)| LoadBalancerAttachment {
            load_balancer,
            kind,
            instance: Input::Known(instance.id.clone()),
            ip: Input::Known(ip.clone()),
        };
        attachments.map(attachment).collect()
    }

    async fn give_up(
        &self,
        one: &mut ReconcileTarget,
        failure: &MachineFailure,
    ) -> Result<NextLook> {
        let changes = failed(&one.machine, failure, self.clock.now());
        self.fail(one, failure, changes, InstanceOperation::Create).await
    }

    async fn fail(
        &self,
        one: &mut ReconcileTarget,
        failure: &MachineFailure,
        changes: MachineChange,
        attempt: InstanceOperation,
    ) -> Result<NextLook> {
        self.write(one, changes).await?;
        self.log(LogLevel::Error, one, &failure.message);
        let code = if failure.reason.is_empty() { "InstanceMissing" } else { failure.reason };
        self.record_event(one, attempt, code, &failure.message).await;
        Ok(NextLook::OnChange)
    }

    async fn tell_failed(
        &self,
        one: &ReconcileTarget,
        attempt: InstanceOperation,
        trouble: &ReconcileError,
    ) {
        self.record_event(one, attempt, trouble.code(), &trouble.to_string()).await;
    }

    fn log(&self, level: LogLevel, one: &ReconcileTarget, message: &str) {
        self.log.line(level, "machine", &format!("Machine {}", one.name), message);
    }

    /// Counts a failure by its code, and records an Event.
    async fn record_event(
        &self,
        one: &ReconcileTarget,
        attempt: InstanceOperation,
        code: &str,
        message: &str,
    ) {
        let reason = match attempt {
            InstanceOperation::Create => "FailedCreate",
            InstanceOperation::Update => "FailedUpdate",
            InstanceOperation::Delete => "FailedDelete",
        };
        self.health.metrics.failed(attempt, &self.settings.namespace, &one.name, code);
        self.event_recorder.record_event(&one.object, EventType::Warning, reason, message).await;
    }

    /// Writes the changes: first the object, then its status.
    async fn write(&self, one: &mut ReconcileTarget, changes: MachineChange) -> Result<()> {
        let now = self.clock.now();
        if let Some(patch) = changes.object() {
            self.patch(one, &patch).await?;
        }
        if let Some(mut patch) = changes.status(now).map(|status| json!({"status": status})) {
            let entered = patch["status"]["phase"].as_str().map(str::to_owned);
            versioned(&mut patch, &one.object);
            let by = PatchParams::default();
            one.object = self.api.patch_status(&one.name, &by, &Patch::Merge(patch)).await?;
            if let Some(phase) = entered {
                self.health.metrics.entered(&phase, one.age(now));
            }
        }
        one.machine = changes.after;
        Ok(())
    }

    async fn patch(&self, one: &mut ReconcileTarget, patch: &Value) -> Result<()> {
        let mut patch = patch.clone();
        versioned(&mut patch, &one.object);
        let by = PatchParams::default();
        one.object = self.api.patch(&one.name, &by, &Patch::Merge(patch)).await?;
        one.machine = machine_of(&one.object)?;
        Ok(())
    }
}

fn action(next: NextLook) -> Action {
    match next {
        NextLook::After(after) => Action::requeue(after),
        NextLook::OnChange => Action::await_change(),
    }
}

/// Machine that is reconciled: the object of the API server, and its typed form.
struct ReconcileTarget {
    name: String,
    object: DynamicObject,
    machine: Machine,
}

impl ReconcileTarget {
    fn of(watched: &WatchedObject<Machine>) -> Result<Self> {
        let machine = watched.object.clone();
        let machine = machine.map_err(ReconcileError::unreadable)?;
        let types = TypeMeta { api_version: MACHINE_API.to_owned(), kind: "Machine".to_owned() };
        let (types, metadata) = (Some(types), watched.meta().clone());
        let object = DynamicObject { types, metadata, data: Value::Null };
        Ok(Self { name: watched.meta_name().to_owned(), object, machine })
    }

    fn authority(&self) -> Authority<'_> {
        let machine = &self.machine;
        Authority::of(&machine.spec.authoritative_api, &machine.status.authoritative_api)
    }

    fn is_deleted(&self) -> bool {
        self.object.metadata.deletion_timestamp.is_some()
    }

    fn age(&self, now: jiff::Timestamp) -> Duration {
        let made = self.object.metadata.creation_timestamp.as_ref().map_or(now, |time| time.0);
        Duration::try_from(now.duration_since(made)).unwrap_or_default()
    }
}

fn machine_of(object: &DynamicObject) -> Result<Machine> {
    let value = serde_json::to_value(object).and_then(|value| read(&value));
    value.map_err(ReconcileError::unreadable)
}

/// Returns the message about a provider config that does not name its type. `None` for an unreadable
/// config, which fails the Machine.
fn unexpected_kind_of(config: &Value) -> Option<String> {
    let finding = unexpected_kind(&read(config).ok()?)?;
    let expected = finding.expected.unwrap_or_default();
    Some(format!(
        "spec.providerSpec.value: expected {expected} as apiVersion and kind, {}; the controller \
         uses it as AWSMachineProviderConfig",
        finding.message
    ))
}

fn unknown_field(finding: &ObjectFinding) -> String {
    let ObjectFinding { path, message, hint, .. } = finding;
    let hint = hint.as_ref().map(|hint| format!("; {hint}")).unwrap_or_default();
    format!("spec.providerSpec.value.{path} {message}{hint}")
}

/// Makes a patch conditional on the version of the object that the decision is based on.
fn versioned(patch: &mut Value, object: &DynamicObject) {
    patch["metadata"]["resourceVersion"] = json!(object.resource_version());
    patch["metadata"]["uid"] = json!(object.uid());
}
