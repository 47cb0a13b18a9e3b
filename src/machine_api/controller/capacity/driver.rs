//! Tells each MachineSet what its instance type is. Writes nothing that is so already.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{StreamExt, iter};
use kube::api::{DynamicObject, Patch};
use kube::core::ApiResource;
use kube::runtime::controller::{Action, Config, applier};
use kube::runtime::reflector::Store;
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{instance_type, news};
use crate::aws::questions::{InstanceTypeFact, InstanceTypes, Question};
use crate::machine_api::controller::asking::{Unanswered, answer, by};
use crate::machine_api::controller::clock::Clock;
use crate::machine_api::controller::health::Health;
use crate::machine_api::controller::is_machine_api_s;
use crate::machine_api::controller::looks::Ec2;
use crate::machine_api::controller::tell::{Kind, Teller};
use crate::machine_api::controller::watched::{Feed, Touched, Watched, all_in, reference};
use crate::machine_api::types::MachineSet;
use crate::provider::{BoxFuture, Class, ProviderError};

/// How long what EC2 says of a type is good.
const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// When EC2 is asked again after it has not answered.
const UNANSWERED: Duration = Duration::from_secs(60);

/// Who knows what a type is.
#[derive(Clone)]
pub struct Types {
    /// EC2.
    pub ec2: Arc<dyn Ec2>,
    /// The region, whose types are meant.
    pub region: String,
}

/// Why a set is not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// EC2 did not say.
    #[error("ask what its instance type is: {0}")]
    Ec2(#[from] ProviderError),
    /// The API server did not take it.
    #[error(transparent)]
    Unanswered(#[from] Unanswered),
}

/// What sets are told with.
pub struct Driver {
    sets: Store<Watched<MachineSet>>,
    set_api: Api<Watched<MachineSet>>,
    teller: Teller,
    types: Types,
    /// What EC2 has said, of types that it does not know, too.
    known: Mutex<HashMap<String, (Instant, Option<InstanceTypeFact>)>>,
    /// Which type a set was said to have wrongly, by its UID.
    told: Mutex<HashMap<String, String>>,
    health: Arc<Health>,
}

impl Driver {
    /// Tells until a stop is asked for, and ends when nothing is under way any more. What goes wrong with
    /// a set is told, and tried again.
    pub fn run(
        client: &Client,
        namespace: &str,
        sets: &Feed<MachineSet>,
        types: Types,
        health: Arc<Health>,
        stop: CancellationToken,
        tell: impl Fn(&str, &Error) + Send + Sync + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let driver = Arc::new(Self {
            sets: sets.store(),
            set_api: Api::namespaced(client.clone(), namespace),
            teller: Teller::new(client.clone(), namespace, Clock::default()),
            types,
            known: Mutex::default(),
            told: Mutex::default(),
            health,
        });
        let of_all = Arc::clone(&driver);
        let touched = sets.events().map(move |touched| match touched {
            Touched::One(set) => vec![reference(&set)],
            Touched::All => all_in(&of_all.sets),
        });
        let known = Arc::clone(&driver);
        let there = move |set: &_| std::future::ready(known.sets.get(set).is_some());
        let queue = touched.flat_map(iter).filter(there).map(Ok::<_, std::convert::Infallible>);
        let queue = Box::pin(queue.take_until(stop.cancelled_owned()));
        let store = driver.sets.clone();
        let retry = move |set: Arc<Watched<MachineSet>>, error: &Error, driver: Arc<Self>| {
            driver.health.metrics.reconciled("capacity", false);
            tell(set.meta_name(), error);
            Action::requeue(match error {
                Error::Ec2(_) => UNANSWERED,
                Error::Unanswered(error) => error.again_after(),
            })
        };
        let one = |set, driver| -> BoxFuture<'static, Result<Action, Error>> {
            Box::pin(Self::reconcile(set, driver))
        };
        // One at a time: who comes second finds the answer that the first has asked for.
        let all = applier(one, retry, driver, store, queue, Config::default().concurrency(1));
        all.for_each(|_| std::future::ready(()))
    }

    async fn reconcile(seen: Arc<Watched<MachineSet>>, driver: Arc<Self>) -> Result<Action, Error> {
        let Ok(set) = &seen.object else { return Ok(Action::await_change()) };
        let is_going = set.metadata.deletion_timestamp.is_some();
        if is_going || !is_machine_api_s(&set.status.authoritative_api) {
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
        let answer = self.types.ec2.answer(Question::InstanceTypes { region, types }).await?;
        let answer = InstanceTypes::deserialize(answer).map_err(|error| unreadable(&error))?;
        let fact = answer.get(name).cloned();
        known.insert(name.to_owned(), (Instant::now(), fact.clone()));
        Ok(fact)
    }

    async fn annotate(
        &self,
        set: &MachineSet,
        version: Option<&str>,
        fact: &InstanceTypeFact,
    ) -> Result<(), Error> {
        let news = news(set, fact);
        if news.is_empty() {
            return Ok(());
        }
        // The labels are read and written: what somebody has written since is not to be lost.
        let patch = Patch::Merge(json!({"metadata": {
            "uid": set.metadata.uid,
            "resourceVersion": version,
            "annotations": news,
        }}));
        let name = &set.metadata.name;
        answer("tell it what its instance type is", self.set_api.patch(name, &by(), &patch))
            .await?;
        Ok(())
    }

    /// Once for each type that it has: nothing that is tried again makes a type known.
    async fn tell_unknown(&self, set: &MachineSet, name: &str) {
        let before = self.told.lock().await.insert(set.metadata.uid.clone(), name.to_owned());
        if before.as_deref() == Some(name) {
            return;
        }
        let resource = ApiResource::erase::<Watched<MachineSet>>(&());
        let mut object = DynamicObject::new(&set.metadata.name, &resource);
        object.metadata.namespace = Some(set.metadata.namespace.clone());
        object.metadata.uid = Some(set.metadata.uid.clone());
        let message = format!(
            "the autoscaler cannot scale it from zero: {} has no instance type called {name}",
            self.types.region
        );
        self.teller.tell(&object, Kind::Warning, "FailedUpdate", &message).await;
    }
}

/// What cannot be read says nothing of a type; that there is none least of all.
fn unreadable(error: &serde_json::Error) -> ProviderError {
    ProviderError::new(Class::Unknown, "DescribeInstanceTypes", error.to_string())
}
