//! Controller that annotates each MachineSet with the capacity of its instance type. Existing
//! annotations with the same value are not written again.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use groundplan_aws::lookups::lookup::InstanceTypeFact;
use groundplan_aws::machine_calls::Ec2;
use groundplan_engine::provider::{BoxFuture, ProviderError};
use groundplan_openshift::machine_api::types::MachineSet;
use kube::api::{DynamicObject, Patch};
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource};
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{instance_type, missing_annotations};
use crate::api_server::{ApiServerError, answer, by};
use crate::authority::Authority;
use crate::clock::Clock;
use crate::event_recorder::{EventRecorder, EventType};
use crate::health::ControllerHealth;
use crate::reflector::{FeedEvent, Reflector, View, WatchedObject, all_in, log_result, reference};
use crate::report::{Log, ReconcileFailure};

/// Validity of an instance type lookup.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// Delay before the next lookup after a failed one.
const UNANSWERED: Duration = Duration::from_secs(60);

/// Source of instance type data.
#[derive(Clone)]
pub struct InstanceTypeSource {
    /// Client for EC2.
    pub ec2: Arc<dyn Ec2>,
    /// Region of the instance types.
    pub region: String,
}

/// Error while annotating a MachineSet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lookup in EC2 failed.
    #[error("look up the instance type: {0}")]
    Ec2(ProviderError),
    /// The request to the API server failed.
    #[error(transparent)]
    Unanswered(#[from] ApiServerError),
}

impl From<ProviderError> for Error {
    fn from(error: ProviderError) -> Self {
        // A text with a request ID differs at each attempt, and would be news each time.
        Self::Ec2(ProviderError { request_id: None, ..error })
    }
}

impl ReconcileFailure for Error {
    fn is_conflict(&self) -> bool {
        matches!(self, Self::Unanswered(error) if error.is_conflict())
    }
}

/// Dependencies and caches of the controller.
pub struct CapacityController {
    sets: Store<WatchedObject<MachineSet>>,
    set_api: Api<WatchedObject<MachineSet>>,
    event_recorder: EventRecorder,
    types: InstanceTypeSource,
    /// Lookup results by instance type. `None` stands for a type that EC2 does not know.
    known: Mutex<HashMap<String, (Instant, Option<InstanceTypeFact>)>>,
    /// Unknown instance type that was last reported for a MachineSet, by the UID of the set.
    told: Mutex<HashMap<String, String>>,
    view: View,
    health: Arc<ControllerHealth>,
}

impl CapacityController {
    /// Annotates sets until shutdown, and returns after the work in progress has ended. An error of
    /// a set is logged and retried.
    pub fn run(
        client: &Client,
        namespace: &str,
        sets: &Reflector<MachineSet>,
        types: InstanceTypeSource,
        (health, log): (Arc<ControllerHealth>, Log),
        stop: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let driver = Arc::new(Self {
            sets: sets.store(),
            set_api: Api::namespaced(client.clone(), namespace),
            event_recorder: EventRecorder::new(client.clone(), namespace, Clock::default()),
            types,
            known: Mutex::default(),
            told: Mutex::default(),
            view: sets.view(),
            health,
        });
        let of_all = Arc::clone(&driver);
        let touched = sets.events().map(move |touched| match touched {
            FeedEvent::One(set) => vec![reference(&set)],
            FeedEvent::All => all_in(&of_all.sets),
        });
        let known = Arc::clone(&driver);
        let there = move |set: &_| std::future::ready(known.sets.get(set).is_some());
        let queue = touched.flat_map(iter).filter(there).map(Ok::<_, std::convert::Infallible>);
        let queue = Box::pin(queue.take_until(stop.cancelled_owned()));
        let store = driver.sets.clone();
        let retry = |_: Arc<WatchedObject<MachineSet>>, error: &Error, _: Arc<Self>| {
            Action::requeue(match error {
                Error::Ec2(_) => UNANSWERED,
                Error::Unanswered(error) => error.retry_after(),
            })
        };
        let one = move |set: Arc<WatchedObject<MachineSet>>,
                        driver: Arc<Self>|
              -> BoxFuture<'static, Result<Action, Error>> {
            let log = log.clone();
            Box::pin(async move {
                let reconcile = Self::reconcile(Arc::clone(&set), Arc::clone(&driver));
                let done = driver.health.reconciles.during(reconcile).await;
                if log_result(&log, "capacity", (&driver.sets, &set), &done) {
                    driver.health.metrics.reconciled("capacity", false);
                }
                done
            })
        };
        // Sets are reconciled one at a time, so that a second set of the same type uses the result
        // of the first lookup.
        let all = applier(one, retry, driver, store, queue, Config::default().concurrency(1));
        all.for_each(|_| std::future::ready(()))
    }

    async fn reconcile(
        seen: Arc<WatchedObject<MachineSet>>,
        driver: Arc<Self>,
    ) -> Result<Action, Error> {
        if !driver.view.is_current() {
            return Ok(Action::await_change()); // an event follows once the copy is current
        }
        let Ok(set) = &seen.object else { return Ok(Action::await_change()) };
        let is_going = set.metadata.deletion_timestamp.is_some();
        let authority = Authority::of(&set.spec.authoritative_api, &set.status.authoritative_api);
        if is_going || !authority.allows_changes() {
            driver.told.lock().await.remove(&set.metadata.uid);
            return Ok(Action::await_change());
        }
        if let Some(name) = instance_type(set) {
            match driver.fact(name).await? {
                Some(fact) => {
                    driver.told.lock().await.remove(&set.metadata.uid);
                    let version = seen.meta().resource_version.as_deref();
                    driver.annotate(set, version, &fact).await?;
                }
                None => driver.tell_unknown(set, name).await,
            }
        }
        driver.health.metrics.reconciled("capacity", true);
        Ok(Action::requeue(KEPT))
    }

    async fn fact(&self, name: &str) -> Result<Option<InstanceTypeFact>, Error> {
        let mut known = self.known.lock().await;
        if let Some((_, fact)) = known.get(name).filter(|(at, _)| at.elapsed() < KEPT) {
            return Ok(fact.clone());
        }
        let (region, types) = (self.types.region.clone(), vec![name.to_owned()]);
        let fact = self.types.ec2.instance_types(region, types).await?.remove(name);
        known.insert(name.to_owned(), (Instant::now(), fact.clone()));
        Ok(fact)
    }

    async fn annotate(
        &self,
        set: &MachineSet,
        version: Option<&str>,
        fact: &InstanceTypeFact,
    ) -> Result<(), Error> {
        let news = missing_annotations(set, fact);
        if news.is_empty() {
            return Ok(());
        }
        // The patch contains labels that were read before. The resource version prevents the loss
        // of a later change by another client.
        let patch = Patch::Merge(json!({"metadata": {
            "uid": set.metadata.uid,
            "resourceVersion": version,
            "annotations": news,
        }}));
        let name = &set.metadata.name;
        answer(
            "annotate a MachineSet with its instance type",
            self.set_api.patch(name, &by(), &patch),
        )
        .await?;
        Ok(())
    }

    /// Records an Event for an unknown instance type. Each type of a set is reported once, because
    /// a retry does not make a type known.
    async fn tell_unknown(&self, set: &MachineSet, name: &str) {
        let before = self.told.lock().await.insert(set.metadata.uid.clone(), name.to_owned());
        if before.as_deref() == Some(name) {
            return;
        }
        let resource = ApiResource::erase::<WatchedObject<MachineSet>>(&());
        let mut object = DynamicObject::new(&set.metadata.name, &resource);
        object.metadata.namespace = Some(set.metadata.namespace.clone());
        object.metadata.uid = Some(set.metadata.uid.clone());
        let message = format!(
            "the autoscaler cannot scale this MachineSet from zero: {} has no instance type {name}",
            self.types.region
        );
        self.event_recorder
            .record_event(&object, EventType::Warning, "FailedUpdate", &message)
            .await;
    }
}
