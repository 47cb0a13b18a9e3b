//! Events about Machines and MachineSets.
//!
//! Events are combined as the recorder of client-go does (k8s.io/client-go
//! `tools/record/events_cache.go`): a repeated Event increases the count of the first one, and an
//! object with many Events gets fewer from then on.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, DynamicObject, Patch, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;
use tokio::time::Instant;

use super::api_server::{WRITER, by};
use super::clock::Clock;

/// Maximum length of the message of an Event (k8s.io/kubernetes
/// `pkg/apis/core/validation/events.go`).
const LONGEST: usize = 1024;
/// Time during which an Event is repeated by its count, as long as the API server keeps Events.
const KEPT: Duration = Duration::from_secs(60 * 60);
/// Maximum number of remembered Events.
const REMEMBERED: usize = 4096;
/// Number of Events that an object may have at once.
const BURST: f64 = 25.0;
/// Interval after which an object may have one more Event.
const REFILL: Duration = Duration::from_secs(5 * 60);

/// Recorder of Events for the objects of a namespace.
#[derive(Clone)]
pub struct EventRecorder {
    events: Api<Event>,
    clock: Clock,
    known: Arc<Mutex<KnownEvents>>,
}

/// Type of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Expected result.
    Normal,
    /// Problem that a user should examine.
    Warning,
}

/// Recorded Events, and the number of Events that each object may still have.
#[derive(Debug, Default)]
struct KnownEvents {
    events: HashMap<u64, KnownEvent>,
    budgets: HashMap<String, (f64, Instant)>,
}

#[derive(Clone, Debug)]
struct KnownEvent {
    name: String,
    count: i32,
    at: Instant,
}

impl EventRecorder {
    /// Returns a recorder for this namespace.
    pub fn new(client: Client, namespace: &str, clock: Clock) -> Self {
        Self { events: Api::namespaced(client, namespace), clock, known: Arc::default() }
    }

    fn known(&self) -> MutexGuard<'_, KnownEvents> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records an Event about an object. A repeated Event increases the count of the first one. A
    /// failed request is ignored, because an Event only informs people.
    pub async fn record_event(
        &self,
        object: &DynamicObject,
        kind: EventType,
        reason: &str,
        message: &str,
    ) {
        let uid = object.uid().unwrap_or_default();
        let message: String = message.chars().take(LONGEST).collect();
        let mut hasher = DefaultHasher::new();
        (&uid, kind == EventType::Warning, reason, &message).hash(&mut hasher);
        let key = hasher.finish();
        let known = {
            let mut known = self.known();
            if !known.admits(&uid) {
                return;
            }
            known.repeated(key)
        };
        if let Some(repeated) = known
            && self.repeat(&repeated).await
        {
            return;
        }
        if let Some(name) = self.create(object, kind, reason, &message).await {
            self.known().insert(key, name);
        }
    }

    /// Increases the count of an Event. Returns false if the Event no longer exists.
    async fn repeat(&self, event: &KnownEvent) -> bool {
        let patch = json!({"count": event.count, "lastTimestamp": self.now()});
        match self.events.patch(&event.name, &by(), &Patch::Merge(patch)).await {
            Err(kube::Error::Api(status)) => status.code != 404,
            _ => true,
        }
    }

    async fn create(
        &self,
        object: &DynamicObject,
        kind: EventType,
        reason: &str,
        message: &str,
    ) -> Option<String> {
        let now = self.now();
        let types = object.types.clone().unwrap_or_default();
        let (name, namespace) = (object.name_any(), object.namespace());
        let event = json!({
            "metadata": {"generateName": format!("{name}."), "namespace": namespace},
            "involvedObject": {
                "apiVersion": types.api_version, "kind": types.kind, "name": name,
                "namespace": namespace, "uid": object.uid(),
                "resourceVersion": object.resource_version(),
            },
            "reason": reason,
            "message": message,
            "type": match kind { EventType::Normal => "Normal", EventType::Warning => "Warning" },
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": WRITER},
            "reportingComponent": WRITER,
            "reportingInstance": WRITER,
        });
        let event: Event =
            serde_json::from_value(event).expect("BUG: this is the shape of an Event");
        self.events.create(&PostParams::default(), &event).await.ok()?.metadata.name
    }

    fn now(&self) -> jiff::Timestamp {
        let now = self.clock.now();
        jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)
    }
}

impl KnownEvents {
    /// Returns true if the object may have another Event, and counts it.
    fn admits(&mut self, uid: &str) -> bool {
        let now = Instant::now();
        if self.budgets.len() > REMEMBERED {
            self.budgets.retain(|_, (_, since)| now.duration_since(*since) < REFILL);
        }
        let (left, since) = self.budgets.entry(uid.to_owned()).or_insert((BURST, now));
        let refilled = now.duration_since(*since).as_secs_f64() / REFILL.as_secs_f64();
        *left = (*left + refilled).min(BURST);
        *since = now;
        let admitted = *left >= 1.0;
        if admitted {
            *left -= 1.0;
        }
        admitted
    }

    /// Counts a repetition, and returns the Event with its new count. `None` for a new Event.
    fn repeated(&mut self, key: u64) -> Option<KnownEvent> {
        let known = self.events.get_mut(&key).filter(|known| known.at.elapsed() < KEPT)?;
        known.count = known.count.saturating_add(1);
        known.at = Instant::now();
        Some(known.clone())
    }

    fn insert(&mut self, key: u64, name: String) {
        if self.events.len() >= REMEMBERED {
            let oldest = self.events.iter().min_by_key(|(_, known)| known.at).map(|(key, _)| *key);
            oldest.map(|oldest| self.events.remove(&oldest));
        }
        self.events.insert(key, KnownEvent { name, count: 1, at: Instant::now() });
    }
}

#[cfg(test)]
mod tests {
    use groundplan_node::test_support::fake_api_server::FakeApiServer;
    use groundplan_openshift::machine_api::types::NAMESPACE;
    use tokio::time::advance;

    use super::*;

    fn world() -> (FakeApiServer, EventRecorder, DynamicObject) {
        let cluster = FakeApiServer::default();
        let recorder = EventRecorder::new(cluster.client(), NAMESPACE, Clock::default());
        let object = json!({"apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
                            "metadata": {"name": "m", "namespace": NAMESPACE, "uid": "u"}});
        (cluster, recorder, serde_json::from_value(object).unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_repeated_event_is_one_object_with_a_count() {
        let (cluster, recorder, object) = world();
        for _ in 0..5 {
            recorder.record_event(&object, EventType::Warning, "FailedCreate", "no capacity").await;
            advance(Duration::from_secs(2)).await;
        }
        recorder.record_event(&object, EventType::Warning, "FailedCreate", "no quota").await;
        let events = cluster.events();
        let counts: Vec<_> = events.iter().map(|event| event["count"].clone()).collect();
        assert_eq!(counts, [5, 1]);
        assert_ne!(events[0]["firstTimestamp"], events[0]["lastTimestamp"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_that_the_server_has_dropped_is_created_again() {
        let (cluster, recorder, object) = world();
        recorder.record_event(&object, EventType::Normal, "Created", "it is").await;
        let name = cluster.events()[0]["metadata"]["name"].as_str().unwrap().to_owned();
        cluster.delete("events", NAMESPACE, &name);
        recorder.record_event(&object, EventType::Normal, "Created", "it is").await;
        assert_eq!(cluster.events().len(), 1);
        advance(KEPT).await;
        recorder.record_event(&object, EventType::Normal, "Created", "it is").await;
        assert_eq!(cluster.events().len(), 2, "the first one may be gone");
    }

    #[tokio::test(start_paused = true)]
    async fn an_object_with_many_events_gets_fewer() {
        let (cluster, recorder, object) = world();
        for number in 0..60 {
            let message = format!("failure {number}");
            recorder.record_event(&object, EventType::Warning, "FailedUpdate", &message).await;
        }
        assert_eq!(cluster.events().len(), 25);
        advance(REFILL * 2).await;
        for number in 60..70 {
            let message = format!("failure {number}");
            recorder.record_event(&object, EventType::Warning, "FailedUpdate", &message).await;
        }
        assert_eq!(cluster.events().len(), 27);
    }
}
