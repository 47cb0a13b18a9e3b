//! What a cluster has of one kind of object, kept up to date by one watch that all controllers share.
//!
//! An object that cannot be read is kept as such: it keeps nobody from seeing the others.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{Stream, StreamExt, unfold};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::core::ObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;
use tokio::sync::broadcast;

use super::node::Node;
use crate::machine_api::types::{Machine, MachineSet, read};

/// How many touched objects are remembered for a controller that does not keep up. One that was left
/// behind looks at everything.
const REMEMBERED: usize = 4096;

/// A kind of object that is watched.
pub trait Kind: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether its objects are in namespaces.
    type Scope;
    /// Its group; empty for the core.
    const GROUP: &'static str;
    /// Its version.
    const VERSION: &'static str;
    /// What it is called in objects.
    const KIND: &'static str;
    /// What it is called in paths.
    const PLURAL: &'static str;
}

impl Kind for Machine {
    type Scope = NamespaceResourceScope;
    const GROUP: &'static str = "machine.openshift.io";
    const VERSION: &'static str = "v1beta1";
    const KIND: &'static str = "Machine";
    const PLURAL: &'static str = "machines";
}

impl Kind for MachineSet {
    type Scope = NamespaceResourceScope;
    const GROUP: &'static str = "machine.openshift.io";
    const VERSION: &'static str = "v1beta1";
    const KIND: &'static str = "MachineSet";
    const PLURAL: &'static str = "machinesets";
}

impl Kind for Node {
    type Scope = ClusterResourceScope;
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
    const PLURAL: &'static str = "nodes";
}

/// An object as the API server has it.
#[derive(Clone, Debug)]
pub struct Watched<T> {
    meta: ObjectMeta,
    /// What it says, or why it cannot be read.
    pub object: Result<T, String>,
}

impl<'de, T: Kind> Deserialize<'de> for Watched<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mut meta = ObjectMeta::deserialize(&value["metadata"]).map_err(D::Error::custom)?;
        meta.managed_fields = None; // half of what there is, and nobody here reads it
        let object = read(&value).map_err(|error| error.to_string());
        Ok(Self { meta, object })
    }
}

impl<T: Kind> Resource for Watched<T> {
    type DynamicType = ();
    type Scope = T::Scope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        T::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        T::VERSION.into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.meta
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.meta
    }
}

impl<T> Watched<T> {
    /// What it is called.
    pub fn meta_name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// What no other object ever has.
    pub fn meta_uid(&self) -> Option<String> {
        self.meta.uid.clone()
    }
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Touched<T> {
    /// This object was made, changed or deleted.
    One(Arc<Watched<T>>),
    /// Anything may have happened.
    All,
}

/// The objects of one kind, and what happens to them.
pub struct Feed<T: Kind> {
    api: Api<Watched<T>>,
    store: Store<Watched<T>>,
    writer: Option<Writer<Watched<T>>>,
    touched: broadcast::Sender<Touched<T>>,
}

impl<T: Kind> Feed<T> {
    /// Of what this reaches. Asks nobody before it runs.
    pub fn new(api: Api<Watched<T>>) -> Self {
        let (store, writer) = store();
        let touched = broadcast::Sender::new(REMEMBERED);
        Self { api, store, writer: Some(writer), touched }
    }

    /// What there is, as far as is known.
    pub fn store(&self) -> Store<Watched<T>> {
        self.store.clone()
    }

    /// Watches for ever. What goes wrong passes, with pauses, and is told.
    pub async fn run(mut self, tell: impl Fn(&watcher::Error)) {
        let Some(writer) = self.writer.take() else { return };
        let events = watcher(self.api.clone(), watcher::Config::default());
        let mut events = std::pin::pin!(events.default_backoff().reflect(writer));
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => self.pass_on(event),
                Err(error) => tell(&error),
            }
        }
    }

    /// What a new list has is in the store only when all of it has come.
    fn pass_on(&self, event: watcher::Event<Watched<T>>) {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let touched = match event {
            Apply(object) | Delete(object) => Touched::One(Arc::new(object)),
            InitDone => Touched::All,
            Init | InitApply(_) => return,
        };
        let _ = self.touched.send(touched); // that nobody listens is nothing to mind
    }

    /// What happens from now on; at first, anything may have.
    pub fn events(&self) -> impl Stream<Item = Touched<T>> + Send + use<T> {
        let receiver = (self.touched.subscribe(), true);
        unfold(receiver, |(mut receiver, first)| async move {
            let touched = match first {
                true => Touched::All,
                false => match receiver.recv().await {
                    Ok(touched) => touched,
                    Err(broadcast::error::RecvError::Lagged(_)) => Touched::All,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            };
            Some((touched, (receiver, false)))
        })
    }
}

/// The objects of a store that can be read.
pub fn readable<T: Kind>(store: &Store<Watched<T>>) -> Vec<T> {
    store.state().iter().filter_map(|one| one.object.as_ref().ok().cloned()).collect()
}

/// What all objects of a store are called.
pub fn all_in<T: Kind>(store: &Store<Watched<T>>) -> Vec<ObjectRef<Watched<T>>> {
    store.state().iter().map(|one| reference(one)).collect()
}

/// What an object is called.
pub fn reference<T: Kind>(object: &Watched<T>) -> ObjectRef<Watched<T>> {
    let name = ObjectRef::new(&object.name_any());
    match object.namespace() {
        Some(namespace) => name.within(&namespace),
        None => name,
    }
}
