//! Events about Machines and MachineSets.

use k8s_openapi::api::core::v1::Event;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};
use serde_json::json;

use super::clock::Clock;

const WRITER: &str = "groundplan-machine-controller";

/// Recorder of Events for the objects of a namespace.
#[derive(Clone)]
pub struct EventRecorder {
    events: Api<Event>,
    clock: Clock,
}

/// Type of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Expected result.
    Normal,
    /// Problem that a user should examine.
    Warning,
}

impl EventRecorder {
    /// Returns a recorder for this namespace.
    pub fn new(client: Client, namespace: &str, clock: Clock) -> Self {
        Self { events: Api::namespaced(client, namespace), clock }
    }

    /// Creates an Event about an object. A failed creation is ignored, because an Event only
    /// informs people.
    pub async fn record_event(
        &self,
        object: &kube::api::DynamicObject,
        kind: EventType,
        reason: &str,
        message: &str,
    ) {
        let now = self.clock.now();
        let now = jiff::Timestamp::from_second(now.as_second()).unwrap_or(now);
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
            "message": message.chars().take(LONGEST).collect::<String>(),
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
        let _ = self.events.create(&PostParams::default(), &event).await;
    }
}

/// Maximum length of the message of an Event (k8s.io/kubernetes
/// `pkg/apis/core/validation/events.go`).
const LONGEST: usize = 1024;
