//! List and watch of one kind: a stream of events that says what the local copy is worth.
//!
//! A list is a quorum read: it has no resource version, so it is not older than its request. Its
//! pages are of one version. A watch that ends is opened again from the last version that it
//! delivered; a version that the API server no longer has needs a new list.

use std::fmt::Debug;
use std::time::Duration;

use futures_util::StreamExt;
use kube::api::{Api, ListParams, WatchEvent, WatchParams};
use kube::{Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::time::{Instant, sleep, timeout};

use super::view::ViewState;

/// Maximum number of objects in one response.
const PAGE: u32 = 500;
/// Maximum wait for one page of a list.
const LISTED_WITHIN: Duration = Duration::from_secs(30);
/// Maximum wait for the response to a watch request.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
/// Maximum time without any event. The API server sends a bookmark each minute.
const QUIET: Duration = Duration::from_secs(90);
/// Time after which the API server ends a watch, in seconds.
const WATCHED_FOR: u32 = 290;
/// First pause after an error. Each further pause is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
/// Maximum pause after an error.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Error of a list or a watch. Both are repeated.
#[derive(Debug, thiserror::Error)]
pub enum ListWatchError {
    /// The list failed.
    #[error("the list failed")]
    List(#[source] Box<kube::Error>),
    /// No response to a request arrived in time.
    #[error("no response within {0:?}")]
    Silence(Duration),
    /// The list has no resource version, from which a watch could begin.
    #[error("the list has no resource version")]
    NoVersion,
    /// The watch failed.
    #[error("the watch failed")]
    Watch(#[source] Box<kube::Error>),
    /// The API server ended the watch with an error.
    #[error("the API server ended the watch: {0}")]
    Ended(String),
}

/// Event of a list or a watch.
#[derive(Debug)]
pub(super) enum ListWatchEvent<K> {
    /// The state of the copy has changed.
    State(ViewState),
    /// A new list is complete. It replaces the copy.
    Listed(Vec<K>),
    /// An object was added or changed.
    Changed(K),
    /// An object was deleted.
    Deleted(K),
    /// A request failed, and is repeated after a pause.
    Failed(ListWatchError),
}

/// Reason for the end of a watch.
enum WatchEnd {
    /// The watch goes on from the last version.
    Again,
    /// The watch goes on from the last version, after a pause.
    Failed(ListWatchError),
    /// The API server no longer has the last version.
    Expired,
}

/// Lists and watches without end, and passes each event to `sink`.
pub(super) async fn list_and_watch<K>(api: &Api<K>, mut sink: impl FnMut(ListWatchEvent<K>))
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut pause = FIRST_PAUSE;
    let mut pause_before_list = FIRST_PAUSE;
    loop {
        sink(ListWatchEvent::State(ViewState::Unlisted));
        let (mut version, objects) = match list(api).await {
            Ok(list) => list,
            Err(error) => {
                sink(ListWatchEvent::Failed(error));
                wait(&mut pause).await;
                continue;
            }
        };
        sink(ListWatchEvent::Listed(objects));
        loop {
            sink(ListWatchEvent::State(ViewState::Unwatched));
            let began = Instant::now();
            let end = watch(api, &mut version, &mut pause, &mut sink).await;
            if began.elapsed() >= QUIET {
                pause_before_list = FIRST_PAUSE;
            }
            match end {
                WatchEnd::Again if began.elapsed() >= FIRST_PAUSE => (),
                // The server closes each watch at once.
                WatchEnd::Again => {
                    sink(ListWatchEvent::State(ViewState::Unwatched));
                    wait(&mut pause).await;
                }
                WatchEnd::Failed(error) => {
                    sink(ListWatchEvent::State(ViewState::Unwatched));
                    sink(ListWatchEvent::Failed(error));
                    wait(&mut pause).await;
                }
                // Usual after a restart of the API server, whose cache begins at the current version.
                // The server responds, so the pause after errors does not apply.
                WatchEnd::Expired => {
                    sink(ListWatchEvent::State(ViewState::Unlisted));
                    wait(&mut pause_before_list).await;
                    break;
                }
            }
        }
    }
}

async fn wait(pause: &mut Duration) {
    sleep(pause.mul_f64(1.0 + fastrand::f64())).await;
    *pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
}

/// Returns all objects, and the version of the list.
async fn list<K>(api: &Api<K>) -> Result<(String, Vec<K>), ListWatchError>
where
    K: Clone + DeserializeOwned + Debug,
{
    let (mut objects, mut page) = (Vec::new(), ListParams::default().limit(PAGE));
    loop {
        let Ok(listed) = timeout(LISTED_WITHIN, api.list(&page)).await else {
            return Err(ListWatchError::Silence(LISTED_WITHIN));
        };
        let listed = listed.map_err(|error| ListWatchError::List(Box::new(error)))?;
        objects.extend(listed.items);
        match listed.metadata.continue_.filter(|token| !token.is_empty()) {
            Some(token) => page.continue_token = Some(token),
            None => {
                let version =
                    listed.metadata.resource_version.filter(|version| !version.is_empty());
                return Ok((version.ok_or(ListWatchError::NoVersion)?, objects));
            }
        }
    }
}

/// Watches from `version` until the watch ends.
async fn watch<K>(
    api: &Api<K>,
    version: &mut String,
    pause: &mut Duration,
    sink: &mut impl FnMut(ListWatchEvent<K>),
) -> WatchEnd
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let params = WatchParams::default().timeout(WATCHED_FOR);
    let Ok(opened) = timeout(OPENED_WITHIN, api.watch(&params, version)).await else {
        return WatchEnd::Failed(ListWatchError::Silence(OPENED_WITHIN));
    };
    let events = match opened {
        Ok(events) => events,
        Err(kube::Error::Api(status)) if status.code == 410 => return WatchEnd::Expired,
        Err(error) => return WatchEnd::Failed(ListWatchError::Watch(Box::new(error))),
    };
    let mut events = std::pin::pin!(events);
    sink(ListWatchEvent::State(ViewState::Current));
    loop {
        let Ok(event) = timeout(QUIET, events.next()).await else { return WatchEnd::Again };
        let passed = match event {
            None => return WatchEnd::Again,
            Some(Err(error)) => return WatchEnd::Failed(ListWatchError::Watch(Box::new(error))),
            Some(Ok(WatchEvent::Error(status))) if status.code == 410 => return WatchEnd::Expired,
            Some(Ok(WatchEvent::Error(status))) => {
                return WatchEnd::Failed(ListWatchError::Ended(status.message));
            }
            Some(Ok(WatchEvent::Bookmark(mark))) => {
                *version = mark.metadata.resource_version;
                continue;
            }
            Some(Ok(WatchEvent::Added(object) | WatchEvent::Modified(object))) => {
                (object.resource_version(), ListWatchEvent::Changed(object))
            }
            Some(Ok(WatchEvent::Deleted(object))) => {
                (object.resource_version(), ListWatchEvent::Deleted(object))
            }
        };
        *pause = FIRST_PAUSE;
        let (at, event) = passed;
        // Without a version the watch could not go on, and changes would be lost.
        let Some(at) = at.filter(|at| !at.is_empty()) else { return WatchEnd::Expired };
        *version = at;
        sink(event);
    }
}
