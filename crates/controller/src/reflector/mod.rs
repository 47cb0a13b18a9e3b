//! Reflector: a local copy of all objects of one kind, kept up to date by one watch that all
//! controllers share.
//!
//! An unreadable object is kept as such, so that it does not hide the other objects. Each reader
//! can ask whether the copy is current ([`View`]): after a start, and while a list or a watch fails,
//! the copy is partial or old.

mod list_watch;
#[cfg(test)]
mod tests;
mod view;

use std::borrow::Cow;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

use futures_util::stream::{Stream, StreamExt, unfold};
use groundplan_openshift::machine_api::types::{Machine, MachineSet, read};
use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::core::ObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store, store};
use kube::runtime::watcher;
use kube::{Api, Resource, ResourceExt};
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::Value;
use tokio::sync::broadcast;

pub use list_watch::ListWatchError;
pub use view::{View, ViewState, are_current};

use super::node::Node;
use super::report::{Log, ReconcileFailure};
use list_watch::{ListWatchEvent, list_and_watch};
use view::ViewWriter;

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
    writer: Writer<WatchedObject<T>>,
    view: ViewWriter,
    touched: broadcast::Sender<FeedEvent<T>>,
}

impl<T: WatchedKind> Reflector<T> {
    /// Returns a reflector of the objects that `api` covers. Sends no request before it runs.
    pub fn new(api: Api<WatchedObject<T>>) -> Self {
        let (store, writer) = store();
        let touched = broadcast::Sender::new(REMEMBERED);
        Self { api, store, writer, view: ViewWriter::new(T::PLURAL), touched }
    }

    /// Returns the local copy of the objects.
    pub fn store(&self) -> Store<WatchedObject<T>> {
        self.store.clone()
    }

    /// Returns the state of the local copy.
    pub fn view(&self) -> View {
        self.view.view()
    }

    /// Watches without end. Errors are reported to `tell`, and retried after a pause. `Ok` is
    /// reported whenever the copy becomes current.
    pub async fn run(self, tell: impl Fn(Result<(), &ListWatchError>)) {
        let Self { api, store: _, mut writer, view, touched } = self;
        let publish = |event| drop(touched.send(event)); // no receiver is no error
        list_and_watch(&api, |event| match event {
            ListWatchEvent::State(state) => {
                if view.enter(state) {
                    publish(FeedEvent::All);
                }
                if state == ViewState::Current {
                    tell(Ok(()));
                }
            }
            ListWatchEvent::Listed(objects) => {
                writer.apply_watcher_event(&watcher::Event::Init);
                for object in objects {
                    writer.apply_watcher_event(&watcher::Event::InitApply(object));
                }
                writer.apply_watcher_event(&watcher::Event::InitDone);
                view.miss(); // the event follows once the watch is open
            }
            ListWatchEvent::Changed(object) => {
                let event = watcher::Event::Apply(object);
                writer.apply_watcher_event(&event);
                if let watcher::Event::Apply(object) = event {
                    publish(FeedEvent::One(Arc::new(object)));
                }
            }
            ListWatchEvent::Deleted(object) => {
                let event = watcher::Event::Delete(object);
                writer.apply_watcher_event(&event);
                if let watcher::Event::Delete(object) = event {
                    publish(FeedEvent::One(Arc::new(object)));
                }
            }
            ListWatchEvent::Failed(error) => tell(Err(&error)),
        })
        .await;
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

/// Logs the result of a reconcile of an object of this store ([`Log::result`]). The log remembers no
/// object that was deleted meanwhile. Returns true if the reconcile failed.
pub fn log_result<K: WatchedKind, T>(
    log: &Log,
    controller: &'static str,
    (store, object): (&Store<WatchedObject<K>>, &WatchedObject<K>),
    result: &Result<T, impl ReconcileFailure>,
) -> bool {
    let failed = log.result(controller, &logged_name(object), result);
    forget_if_deleted(log, store, object);
    failed
}

/// Forgets the logged problems of deleted objects. Ends with the reflector.
pub async fn forget_deleted<T: WatchedKind>(
    events: impl Stream<Item = FeedEvent<T>>,
    store: Store<WatchedObject<T>>,
    log: &Log,
) {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.next().await {
        match event {
            FeedEvent::One(object) => forget_if_deleted(log, &store, &object),
            FeedEvent::All => {
                let there = store.state();
                let names: HashSet<&str> = there.iter().map(|one| one.meta_name()).collect();
                log.retain(T::KIND, |name| names.contains(name));
            }
        }
    }
}

fn forget_if_deleted<T: WatchedKind>(
    log: &Log,
    store: &Store<WatchedObject<T>>,
    object: &WatchedObject<T>,
) {
    let there = store.get(&reference(object));
    if there.is_none_or(|there| there.meta_uid() != object.meta_uid()) {
        log.forget(&logged_name(object));
    }
}

fn logged_name<T: WatchedKind>(object: &WatchedObject<T>) -> String {
    format!("{} {}", T::KIND, object.meta_name())
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
