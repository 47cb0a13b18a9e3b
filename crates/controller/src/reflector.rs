//! Reflector: a local copy of all objects of one kind, kept up to date by one watch that all
//! controllers share.
//!
//! An unreadable object is kept as such, so that it does not hide the other objects.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{Stream, StreamExt, unfold};
use groundplan_openshift::machine_api::types::{Machine, MachineSet, read};
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

/// Number of changes that are buffered for a slow controller. A controller that falls further
/// behind reconciles all objects.
const REMEMBERED: usize = 4096;

/// Kind of object that is watched.
pub trait WatchedKind: DeserializeOwned + Clone + fmt::Debug + Send + Sync + 'static {
    /// Scope of the objects: namespace or cluster.
    type Scope;
    /// API group. Empty for the core group.
    const GROUP: &'static str;
    /// API version.
    const VERSION: &'static str;
    /// Kind, as objects name it.
    const KIND: &'static str;
    /// Plural name, as paths use it.
    const PLURAL: &'static str;
}

impl WatchedKind for Machine {
    type Scope = NamespaceResourceScope;
    const GROUP: &'static str = "machine.openshift.io";
    const VERSION: &'static str = "v1beta1";
    const KIND: &'static str = "Machine";
    const PLURAL: &'static str = "machines";
}

impl WatchedKind for MachineSet {
    type Scope = NamespaceResourceScope;
    const GROUP: &'static str = "machine.openshift.io";
    const VERSION: &'static str = "v1beta1";
    const KIND: &'static str = "MachineSet";
    const PLURAL: &'static str = "machinesets";
}

impl WatchedKind for Node {
    type Scope = ClusterResourceScope;
    const GROUP: &'static str = "";
    const VERSION: &'static str = "v1";
    const KIND: &'static str = "Node";
    const PLURAL: &'static str = "nodes";
}

/// Object of the API server.
#[derive(Clone, Debug)]
pub struct WatchedObject<T> {
    meta: ObjectMeta,
    /// Content of the object, or the reason why it is unreadable.
    pub object: Result<T, String>,
}

impl<'de, T: WatchedKind> Deserialize<'de> for WatchedObject<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let mut meta = ObjectMeta::deserialize(&value["metadata"]).map_err(D::Error::custom)?;
        meta.managed_fields = None; // half of the object, and unused
        let object = read(&value).map_err(|error| error.to_string());
        Ok(Self { meta, object })
    }
}

impl<T: WatchedKind> Resource for WatchedObject<T> {
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

impl<T> WatchedObject<T> {
    /// Returns the name of the object.
    pub fn meta_name(&self) -> &str {
        self.meta.name.as_deref().unwrap_or_default()
    }

    /// Returns the UID of the object.
    pub fn meta_uid(&self) -> Option<String> {
        self.meta.uid.clone()
    }
}

/// Change in a cluster.
#[derive(Clone, Debug)]
pub enum FeedEvent<T> {
    /// Object that was created, changed or deleted.
    One(Arc<WatchedObject<T>>),
    /// Any number of objects may have changed.
    All,
}

/// Reflector of one kind, with a stream of its changes.
pub struct Reflector<T: WatchedKind> {
    api: Api<WatchedObject<T>>,
    store: Store<WatchedObject<T>>,
    writer: Option<Writer<WatchedObject<T>>>,
    touched: broadcast::Sender<FeedEvent<T>>,
}

impl<T: WatchedKind> Reflector<T> {
    /// Returns a reflector of the objects that `api` covers. Sends no request before it runs.
    pub fn new(api: Api<WatchedObject<T>>) -> Self {
        let (store, writer) = store();
        let touched = broadcast::Sender::new(REMEMBERED);
        Self { api, store, writer: Some(writer), touched }
    }

    /// Returns the local copy of the objects.
    pub fn store(&self) -> Store<WatchedObject<T>> {
        self.store.clone()
    }

    /// Watches without end. Errors are reported to `tell`, and retried after a pause.
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

    /// Publishes a change. The objects of a new list are published together, once the list is
    /// complete and in the store.
    fn pass_on(&self, event: watcher::Event<WatchedObject<T>>) {
        use watcher::Event::{Apply, Delete, Init, InitApply, InitDone};
        let touched = match event {
            Apply(object) | Delete(object) => FeedEvent::One(Arc::new(object)),
            InitDone => FeedEvent::All,
            Init | InitApply(_) => return,
        };
        let _ = self.touched.send(touched); // no receiver is no error
    }

    /// Returns the stream of changes from now on. The first item is [`FeedEvent::All`].
    pub fn events(&self) -> impl Stream<Item = FeedEvent<T>> + Send + use<T> {
        let receiver = (self.touched.subscribe(), true);
        unfold(receiver, |(mut receiver, first)| async move {
            let touched = match first {
                true => FeedEvent::All,
                false => match receiver.recv().await {
                    Ok(touched) => touched,
                    Err(broadcast::error::RecvError::Lagged(_)) => FeedEvent::All,
                    Err(broadcast::error::RecvError::Closed) => return None,
                },
            };
            Some((touched, (receiver, false)))
        })
    }
}

/// Returns the readable objects of a store.
pub fn readable<T: WatchedKind>(store: &Store<WatchedObject<T>>) -> Vec<T> {
    store.state().iter().filter_map(|one| one.object.as_ref().ok().cloned()).collect()
}

/// Returns references to all objects of a store.
pub fn all_in<T: WatchedKind>(store: &Store<WatchedObject<T>>) -> Vec<ObjectRef<WatchedObject<T>>> {
    store.state().iter().map(|one| reference(one)).collect()
}

/// Returns the reference to an object.
pub fn reference<T: WatchedKind>(object: &WatchedObject<T>) -> ObjectRef<WatchedObject<T>> {
    let name = ObjectRef::new(&object.name_any());
    match object.namespace() {
        Some(namespace) => name.within(&namespace),
        None => name,
    }
}
