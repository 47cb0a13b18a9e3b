//! Changes of one Node: conditions, cordon, taints and Events.
//!
//! A change that is made is recorded in the same write ([`MarkRecord`]), and only recorded changes
//! are cleared. The status of a Node is written together with its metadata (Kubernetes,
//! pkg/registry/core/node/strategy.go), so a condition and its record are one request.
//!
//! Every change can be repeated. A change is computed from a fresh read and sent with the resource
//! version of that read. After a conflict it is computed again. An existing value is not written
//! again.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Node, NodeCondition, Taint};
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::Status;
use kube::{Client, ResourceExt};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio::time::timeout;

use crate::mark_record::{InvalidRecord, MarkRecord, RECORD, RecordedNotice};

/// Name of the writer in managed fields and Events.
const WRITER: &str = "groundplan-termination-handler";

/// Namespace of Events about cluster-scoped objects; the API server rejects all other namespaces.
const EVENTS: &str = "default";

/// Timeout of a request. The default of kube, five minutes, is too long for a notice of two
/// minutes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum number of attempts after conflicts.
const TRIES: u32 = 5;

/// Node with a given name.
#[derive(Clone)]
pub struct OwnNode {
    nodes: Api<Node>,
    events: Api<Event>,
    name: String,
}

/// Node condition. Its status is `True` when the Node is marked, and `False` when the mark is cleared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkCondition {
    /// Field `type`, which is unique within a Node.
    pub kind: &'static str,
    /// Reason for programs.
    pub reason: &'static str,
    /// Reason for people.
    pub message: &'static str,
    /// Reason for programs when the mark is cleared.
    pub cleared_reason: &'static str,
    /// Reason for people when the mark is cleared.
    pub cleared_message: &'static str,
}

/// Result of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeChange {
    /// The change was written.
    Made,
    /// The Node already had the value; no request was sent to change it.
    WasSo,
}

/// Result of setting the condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Marked {
    /// True if the Node was written: the condition or the record.
    pub change: NodeChange,
    /// True if the condition was `True` before.
    pub was_true: bool,
    /// UID of the Node.
    pub uid: Option<String>,
}

/// State of the mark on the Node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkState {
    /// UID of the Node. Another UID is another Node of the same name.
    pub uid: Option<String>,
    /// True if the record names the condition, and the condition is missing or not `True`.
    pub is_lost: bool,
}

/// Error of a change.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The API server rejected the request.
    #[error("{attempt} the Node {node}")]
    Refused {
        /// Attempted action, such as `read`.
        attempt: &'static str,
        /// Name of the Node.
        node: String,
        /// Status that the API server returned.
        source: Box<Status>,
    },
    /// The API server could not be reached.
    #[error("{attempt} the Node {node}")]
    Unreachable {
        /// Attempted action.
        attempt: &'static str,
        /// Name of the Node.
        node: String,
        /// Error of the connection.
        source: Box<kube::Error>,
    },
    /// No client of the API server can be made.
    #[error("configure access to the API server for the Node {node}")]
    NoClient {
        /// Name of the Node.
        node: String,
        /// Reason for the missing client.
        source: crate::kube_client::KubeClientError,
    },
    /// No response arrived in time.
    #[error("{attempt} the Node {node}: no response within {PATIENCE:?}")]
    Silence {
        /// Attempted action.
        attempt: &'static str,
        /// Name of the Node.
        node: String,
    },
}

impl Error {
    /// Returns advice for the user.
    pub fn hint(&self) -> Option<&'static str> {
        let Error::Refused { attempt, source: status, .. } = self else { return None };
        match *attempt {
            TAINT | UNTAINT if status.is_forbidden() => Some(
                "use the credentials of a ServiceAccount for --taint: a kubelet must not taint its \
                 own Node (admission plugin NodeRestriction)",
            ),
            _ if status.is_forbidden() => Some(
                "check that --node-name is the name of this Node: a kubelet must not change \
                     other Nodes",
            ),
            _ if status.is_not_found() => {
                Some("pass --node-name with a name from `kubectl get nodes`")
            }
            _ => None,
        }
    }

    fn is_conflict(&self) -> bool {
        matches!(self, Error::Refused { source, .. } if source.is_conflict())
    }

    fn is_already_there(&self) -> bool {
        matches!(self, Error::Refused { source, .. } if source.is_already_exists())
    }
}

const READ: &str = "read";
const MARK: &str = "mark";
const CORDON: &str = "cordon";
const TAINT: &str = "taint";
const UNMARK: &str = "clear the mark of";
const UNCORDON: &str = "uncordon";
const UNTAINT: &str = "remove the taint of";
const FORGET: &str = "remove the record of";
const TELL: &str = "emit an Event about";

/// Type of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventType {
    /// Event about a normal course.
    Normal,
    /// Event about a problem.
    Warning,
}

/// Part of the Node that a change is written to.
#[derive(Clone, Copy)]
enum NodePart {
    Status,
    Spec,
}

impl OwnNode {
    /// Returns the Node with this name. Sends no request yet.
    pub fn new(client: Client, name: &str) -> Self {
        let events = Api::namespaced(client.clone(), EVENTS);
        Self { nodes: Api::all(client), events, name: name.to_owned() }
    }

    /// Returns the name of the Node.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the record of earlier changes; `None` if the Node has none.
    ///
    /// # Errors
    /// The outer error is that of the API server. The inner error is an annotation of another form.
    pub async fn record(&self) -> Result<Result<Option<MarkRecord>, InvalidRecord>, Error> {
        Ok(MarkRecord::of(&self.read().await?))
    }

    /// Returns the state of the mark. A Node without a record has no lost mark: removing the record
    /// is how a person takes the Node over.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn mark_state(&self, condition: MarkCondition) -> Result<MarkState, Error> {
        let node = self.read().await?;
        let record = MarkRecord::of(&node).unwrap_or_default();
        let is_ours = record.is_some_and(|record| record.condition.is_some());
        Ok(MarkState { uid: node.uid(), is_lost: is_ours && !is_true(&node, condition) })
    }

    /// Sets a condition to `True` again if [`mark`](Self::mark) set it and the record still says so.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn mark_again(
        &self,
        condition: MarkCondition,
        now: Timestamp,
    ) -> Result<NodeChange, Error> {
        self.change(MARK, NodePart::Status, |node, record| {
            let since = record.as_mut()?.condition.as_mut()?;
            if is_true(node, condition) {
                return None;
            }
            *since = truncated(now);
            Some(status(condition, "True", now))
        })
        .await
    }

    /// Sets a condition to `True`. A condition that is already `True` keeps its times and its owner.
    /// Other conditions stay unchanged. If the Node has a record, the notices are added to it.
    ///
    /// # Errors
    /// Returns an error if the API server does not make the change.
    pub async fn mark(
        &self,
        condition: MarkCondition,
        notices: &[RecordedNotice],
        now: Timestamp,
    ) -> Result<Marked, Error> {
        let was_true = AtomicBool::new(false);
        let marked = self.change_with_uid(MARK, NodePart::Status, |node, record| {
            was_true.store(is_true(node, condition), Relaxed);
            if is_true(node, condition) {
                return record
                    .as_mut()
                    .is_some_and(|record| add(record, notices))
                    .then(|| json!({}));
            }
            let record = record.get_or_insert_default();
            record.add(notices);
            record.condition = Some(truncated(now));
            Some(status(condition, "True", now))
        });
        let (change, uid) = marked.await?;
        Ok(Marked { change, was_true: was_true.into_inner(), uid })
    }

    /// Sets a condition to `False` if [`mark`](Self::mark) set it, and no other program since.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn unmark(
        &self,
        condition: MarkCondition,
        now: Timestamp,
    ) -> Result<NodeChange, Error> {
        self.change(UNMARK, NodePart::Status, |node, record| {
            let since = record.as_mut()?.condition.take()?;
            let known = find(node, condition.kind).filter(|known| known.status == "True")?;
            let time = known.last_transition_time.as_ref().map(|time| truncated(time.0));
            (time == Some(since)).then(|| status(condition, "False", now))
        })
        .await
    }

    /// Marks the Node as unschedulable. A Node that is already unschedulable keeps its owner. A Node
    /// that was cordoned according to its record, and is schedulable, was uncordoned by a person and
    /// stays so.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn cordon(&self, notices: &[RecordedNotice]) -> Result<NodeChange, Error> {
        self.change(CORDON, NodePart::Spec, |node, record| {
            if is_cordoned(node) || record.as_ref().is_some_and(|record| record.cordon) {
                return None;
            }
            let record = record.get_or_insert_default();
            record.add(notices);
            record.cordon = true;
            Some(json!({"spec": {"unschedulable": true}}))
        })
        .await
    }

    /// Marks the Node as schedulable if [`cordon`](Self::cordon) marked it as unschedulable.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn uncordon(&self) -> Result<NodeChange, Error> {
        self.change(UNCORDON, NodePart::Spec, |node, record| {
            let recorded = std::mem::take(&mut record.as_mut()?.cordon);
            (recorded && is_cordoned(node)).then(|| json!({"spec": {"unschedulable": null}}))
        })
        .await
    }

    /// Adds a taint, unless the Node has one with the same key and effect, or had it according to its
    /// record.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn taint(
        &self,
        taint: &Taint,
        notices: &[RecordedNotice],
    ) -> Result<NodeChange, Error> {
        self.change(TAINT, NodePart::Spec, |node, record| {
            let mut taints = taints(node);
            let has = taints.iter().any(|one| one.key == taint.key && one.effect == taint.effect);
            if has || record.as_ref().is_some_and(|record| record.taint) {
                return None;
            }
            let record = record.get_or_insert_default();
            record.add(notices);
            record.taint = true;
            taints.push(taint.clone());
            // The list of taints is written as a whole.
            Some(json!({"spec": {"taints": taints}}))
        })
        .await
    }

    /// Removes a taint if [`taint`](Self::taint) added it.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn untaint(&self, taint: &Taint) -> Result<NodeChange, Error> {
        self.change(UNTAINT, NodePart::Spec, |node, record| {
            let recorded = std::mem::take(&mut record.as_mut()?.taint);
            let (gone, kept): (Vec<_>, Vec<_>) = taints(node)
                .into_iter()
                .partition(|one| one.key == taint.key && one.effect == taint.effect);
            (recorded && !gone.is_empty()).then(|| json!({"spec": {"taints": kept}}))
        })
        .await
    }

    /// Removes the record. The last step of clearing: a run that is interrupted before it is
    /// continued by the next one.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn forget(&self) -> Result<NodeChange, Error> {
        self.change(FORGET, NodePart::Spec, |_, record| record.take().map(|_| json!({}))).await
    }

    /// Creates an Event about the Node. An equal Event, also of another run, is created only once.
    ///
    /// # Errors
    /// Same as [`mark`](Self::mark).
    pub async fn create_event(
        &self,
        kind: EventType,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Result<NodeChange, Error> {
        let node = self.read().await?;
        let event = self.event(&node, kind, reason, message, now);
        let by = PostParams::default();
        match self.answer(TELL, self.events.create(&by, &event)).await {
            Ok(_) => Ok(NodeChange::Made),
            Err(error) if error.is_already_there() => Ok(NodeChange::WasSo),
            Err(error) => Err(error),
        }
    }

    fn event(
        &self,
        node: &Node,
        kind: EventType,
        reason: &str,
        message: &str,
        now: Timestamp,
    ) -> Event {
        let uid = node.uid().unwrap_or_default();
        let digest = Sha256::digest(format!("{uid}\n{reason}\n{message}"));
        let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        let now = whole_seconds(now);
        serde_json::from_value(json!({
            "metadata": {"name": format!("{}.{digest}", self.name), "namespace": EVENTS},
            "involvedObject": {"apiVersion": "v1", "kind": "Node", "name": self.name, "uid": uid},
            "reason": reason,
            "message": message,
            "type": format!("{kind:?}"),
            "count": 1,
            "firstTimestamp": now,
            "lastTimestamp": now,
            "source": {"component": WRITER, "host": self.name},
            "reportingComponent": WRITER,
            "reportingInstance": self.name,
        }))
        .expect("BUG: this is the shape of an Event")
    }

    async fn read(&self) -> Result<Node, Error> {
        self.answer(READ, self.nodes.get(&self.name)).await
    }

    /// Reads the Node, decides and writes. Repeats all of it after a conflict. `decide` returns the
    /// change of the Node, or `None` if there is none, and updates the record. The record is written
    /// with the change, and alone only if the change is empty.
    async fn change(
        &self,
        attempt: &'static str,
        part: NodePart,
        decide: impl Fn(&Node, &mut Option<MarkRecord>) -> Option<Value>,
    ) -> Result<NodeChange, Error> {
        Ok(self.change_with_uid(attempt, part, decide).await?.0)
    }

    /// Same as [`change`](Self::change), and returns the UID of the Node.
    async fn change_with_uid(
        &self,
        attempt: &'static str,
        part: NodePart,
        decide: impl Fn(&Node, &mut Option<MarkRecord>) -> Option<Value>,
    ) -> Result<(NodeChange, Option<String>), Error> {
        let mut tried = 0;
        loop {
            tried += 1;
            let node = self.read().await?;
            // An invalid record is replaced: what it says cannot be cleared in any case.
            let old = MarkRecord::of(&node).unwrap_or_default();
            let mut record = old.clone();
            let Some(mut change) = decide(&node, &mut record) else {
                return Ok((NodeChange::WasSo, node.uid()));
            };
            if record != old {
                let text = record.map(|record| record.text());
                change["metadata"]["annotations"] = json!({ RECORD: text });
            }
            match self.write(attempt, part, change, &node).await {
                Ok(node) => return Ok((NodeChange::Made, node.uid())),
                Err(error) if error.is_conflict() && tried < TRIES => (),
                Err(error) => return Err(error),
            }
        }
    }

    async fn write(
        &self,
        attempt: &'static str,
        part: NodePart,
        mut change: Value,
        read: &Node,
    ) -> Result<Node, Error> {
        // The UID is included because another machine may have a Node of the same name by now.
        change["metadata"]["resourceVersion"] = json!(read.resource_version());
        change["metadata"]["uid"] = json!(read.uid());
        let by = PatchParams { field_manager: Some(WRITER.to_owned()), ..PatchParams::default() };
        let patch = Patch::Strategic(change);
        match part {
            NodePart::Status => {
                self.answer(attempt, self.nodes.patch_status(&self.name, &by, &patch)).await
            }
            NodePart::Spec => self.answer(attempt, self.nodes.patch(&self.name, &by, &patch)).await,
        }
    }

    async fn answer<T>(
        &self,
        attempt: &'static str,
        asked: impl Future<Output = kube::Result<T>>,
    ) -> Result<T, Error> {
        let node = self.name.clone();
        match timeout(PATIENCE, asked).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(kube::Error::Api(source))) => Err(Error::Refused { attempt, node, source }),
            Ok(Err(error)) => Err(Error::Unreachable { attempt, node, source: Box::new(error) }),
            Err(_) => Err(Error::Silence { attempt, node }),
        }
    }
}

/// Returns the condition of a Node with this type.
fn find<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    let mut conditions = node.status.iter().flat_map(|status| &status.conditions).flatten();
    conditions.find(|one| one.type_ == kind)
}

fn is_true(node: &Node, condition: MarkCondition) -> bool {
    find(node, condition.kind).is_some_and(|known| known.status == "True")
}

fn is_cordoned(node: &Node) -> bool {
    node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true)
}

fn taints(node: &Node) -> Vec<Taint> {
    node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default()
}

/// Adds notices to a record. Returns true if the record changed.
fn add(record: &mut MarkRecord, notices: &[RecordedNotice]) -> bool {
    let old = record.notices.clone();
    record.add(notices);
    record.notices != old
}

/// Returns the patch that sets a condition. The API server merges conditions by type, so others stay
/// unchanged.
fn status(condition: MarkCondition, status: &str, now: Timestamp) -> Value {
    let (reason, message) = match status {
        "True" => (condition.reason, condition.message),
        _ => (condition.cleared_reason, condition.cleared_message),
    };
    let now = whole_seconds(now);
    json!({"status": {"conditions": [{
        "type": condition.kind,
        "status": status,
        "reason": reason,
        "message": message,
        "lastHeartbeatTime": now,
        "lastTransitionTime": now,
    }]}})
}

/// Returns the time in whole seconds: times in the API have no fractions.
fn whole_seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// Returns the time without the fraction of its second.
fn truncated(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).expect("BUG: a whole second of a time is a time")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::fake_api_server::FakeApiServer as FakeApi;

    const TERMINATING: MarkCondition = MarkCondition {
        kind: "Terminating",
        reason: "TerminationRequested",
        message: "it goes",
        cleared_reason: "TerminationCleared",
        cleared_message: "it stays",
    };

    fn pair() -> (FakeApi, OwnNode) {
        let fake = FakeApi::default();
        fake.add_node("n1");
        let node = OwnNode::new(fake.client(), "n1");
        (fake, node)
    }

    fn notices() -> [RecordedNotice; 1] {
        let (source, what) = ("spot/instance-action".to_owned(), "it stops".to_owned());
        [RecordedNotice { source, what, at: None, event: None }]
    }

    fn record(fake: &FakeApi) -> Option<MarkRecord> {
        let node = serde_json::from_value(fake.node("n1")).unwrap();
        MarkRecord::of(&node).unwrap()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn conditions(fake: &FakeApi, kind: &str) -> Vec<Value> {
        let node = fake.node("n1");
        let all = node["status"]["conditions"].as_array().unwrap();
        all.iter().filter(|one| one["type"] == kind).cloned().collect()
    }

    #[tokio::test(start_paused = true)]
    async fn c62_the_condition_is_written_once_and_others_are_as_they_were() {
        let (fake, node) = pair();
        let ready = conditions(&fake, "Ready");
        let change = node
            .mark(TERMINATING, &notices(), at("2026-01-02T03:04:05.678Z"))
            .await
            .unwrap()
            .change;
        assert_eq!((change, fake.writes()), (NodeChange::Made, 1));
        let expected = json!({
            "type": "Terminating", "status": "True", "reason": "TerminationRequested",
            "message": "it goes", "lastHeartbeatTime": "2026-01-02T03:04:05Z",
            "lastTransitionTime": "2026-01-02T03:04:05Z",
        });
        assert_eq!(conditions(&fake, "Terminating"), [expected]);
        assert_eq!(conditions(&fake, "Ready"), ready);
    }

    #[tokio::test(start_paused = true)]
    async fn c64_what_is_true_keeps_its_times_and_what_is_false_becomes_true() {
        let (fake, node) = pair();
        fake.set_condition("n1", "Terminating", "False");
        let old = conditions(&fake, "Terminating");
        assert_eq!(
            node.mark(TERMINATING, &notices(), at("2026-01-02T03:04:05Z")).await.unwrap().change,
            NodeChange::Made
        );
        let new = conditions(&fake, "Terminating");
        assert_eq!((new.len(), &new[0]["status"]), (1, &json!("True")));
        assert_ne!(new[0]["lastTransitionTime"], old[0]["lastTransitionTime"]);

        assert_eq!(
            node.mark(TERMINATING, &notices(), at("2026-02-02T00:00:00Z")).await.unwrap().change,
            NodeChange::WasSo
        );
        assert_eq!((conditions(&fake, "Terminating"), fake.writes()), (new, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn c66_who_wrote_in_between_is_heard_and_the_third_try_succeeds() {
        let (fake, node) = pair();
        fake.somebody_writes_before_the_next(2);
        assert_eq!(
            node.mark(TERMINATING, &notices(), Timestamp::now()).await.unwrap().change,
            NodeChange::Made
        );
        assert_eq!(fake.conflicts(), 2);
        assert_eq!(conditions(&fake, "Heartbeats").len(), 1, "what they wrote is there");
        assert_eq!(conditions(&fake, "Terminating").len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn c66_conflicts_without_end_are_an_error() {
        let (fake, node) = pair();
        fake.somebody_writes_before_the_next(99);
        assert!(
            node.mark(TERMINATING, &notices(), Timestamp::now()).await.unwrap_err().is_conflict()
        );
        assert_eq!(fake.conflicts(), TRIES as usize);
    }

    #[tokio::test(start_paused = true)]
    async fn c66_a_node_that_is_not_there_is_an_error_that_says_which() {
        let (fake, _) = pair();
        let error = OwnNode::new(fake.client(), "n2").cordon(&notices()).await.unwrap_err();
        assert_eq!(error.to_string(), "read the Node n2");
        assert!(error.hint().unwrap().contains("--node-name"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_cordoned_once() {
        let (fake, node) = pair();
        assert_eq!(node.cordon(&notices()).await.unwrap(), NodeChange::Made);
        assert_eq!(node.cordon(&notices()).await.unwrap(), NodeChange::WasSo);
        assert_eq!((&fake.node("n1")["spec"]["unschedulable"], fake.writes()), (&json!(true), 1));
    }

    fn taint(key: &str) -> Taint {
        Taint { key: key.to_owned(), effect: "NoSchedule".to_owned(), ..Taint::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_taint_joins_those_that_are_there() {
        let (fake, node) = pair();
        fake.change("nodes", "", "n1", &json!({"spec": {"taints": [taint("a")]}}));
        assert_eq!(node.taint(&taint("a"), &notices()).await.unwrap(), NodeChange::WasSo);
        assert_eq!(node.taint(&taint("b"), &notices()).await.unwrap(), NodeChange::Made);
        assert_eq!(node.taint(&taint("b"), &notices()).await.unwrap(), NodeChange::WasSo);
        let taints = fake.node("n1")["spec"]["taints"].clone();
        let expected =
            json!([{"key": "a", "effect": "NoSchedule"}, {"key": "b", "effect": "NoSchedule"}]);
        assert_eq!(taints, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_kubelet_that_may_not_taint_is_told_what_may() {
        let (fake, node) = pair();
        fake.restrict_to_kubelet("n1");
        let error = node.taint(&taint("a"), &notices()).await.unwrap_err();
        assert!(error.hint().unwrap().contains("NodeRestriction"));
        assert_eq!(
            node.cordon(&notices()).await.unwrap(),
            NodeChange::Made,
            "cordoning is allowed"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_told_twice_is_one_event() {
        let (fake, node) = pair();
        let now = at("2026-01-02T03:04:05Z");
        assert_eq!(
            node.create_event(EventType::Warning, "SpotInterruption", "it goes", now)
                .await
                .unwrap(),
            NodeChange::Made
        );
        assert_eq!(
            node.create_event(EventType::Warning, "SpotInterruption", "it goes", now)
                .await
                .unwrap(),
            NodeChange::WasSo
        );
        let [event] = fake.events().try_into().unwrap();
        assert_eq!(event["involvedObject"]["uid"], fake.node("n1")["metadata"]["uid"]);
        assert_eq!(
            (&event["reason"], &event["type"]),
            (&json!("SpotInterruption"), &json!("Warning"))
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_api_server_that_does_not_answer_is_not_waited_for_long() {
        let (fake, node) = pair();
        fake.fall_silent();
        let began = tokio::time::Instant::now();
        assert!(matches!(
            node.cordon(&notices()).await,
            Err(Error::Silence { attempt: "read", .. })
        ));
        assert_eq!(began.elapsed(), PATIENCE);
    }

    const WHEN: &str = "2026-01-02T03:04:05Z";

    /// Clears the whole mark, as the handler does.
    async fn clear(node: &OwnNode) -> [NodeChange; 4] {
        [
            node.uncordon().await.unwrap(),
            node.untaint(&taint("a")).await.unwrap(),
            node.unmark(TERMINATING, at("2026-01-02T04:00:00Z")).await.unwrap(),
            node.forget().await.unwrap(),
        ]
    }

    #[tokio::test(start_paused = true)]
    async fn every_change_is_recorded_in_its_own_write_and_cleared_again() {
        let (fake, node) = pair();
        let before = fake.node("n1");
        node.mark(TERMINATING, &notices(), at(WHEN)).await.unwrap();
        let expected = MarkRecord {
            notices: notices().to_vec(),
            condition: Some(at(WHEN)),
            cordon: false,
            taint: false,
        };
        assert_eq!((record(&fake), fake.writes()), (Some(expected.clone()), 1));
        node.cordon(&notices()).await.unwrap();
        node.taint(&taint("a"), &notices()).await.unwrap();
        let expected = MarkRecord { cordon: true, taint: true, ..expected };
        assert_eq!((record(&fake), fake.writes()), (Some(expected), 3));

        assert_eq!(clear(&node).await, [NodeChange::Made; 4]);
        let after = fake.node("n1");
        assert_eq!(record(&fake), None);
        assert!(after["spec"]["unschedulable"].is_null(), "{after}");
        assert_eq!(after["spec"]["taints"], json!([]));
        assert_eq!(after["status"]["conditions"][0], before["status"]["conditions"][0]);
        let expected = json!({
            "type": "Terminating", "status": "False", "reason": "TerminationCleared",
            "message": "it stays", "lastHeartbeatTime": "2026-01-02T04:00:00Z",
            "lastTransitionTime": "2026-01-02T04:00:00Z",
        });
        assert_eq!(conditions(&fake, "Terminating"), [expected]);
        assert_eq!(clear(&node).await, [NodeChange::WasSo; 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn changes_of_others_are_not_recorded_and_not_cleared() {
        let (fake, node) = pair();
        fake.set_condition("n1", "Terminating", "True");
        let spec = json!({"spec": {"unschedulable": true, "taints": [taint("a"), taint("b")]}});
        fake.change("nodes", "", "n1", &spec);
        let before = fake.node("n1");
        node.mark(TERMINATING, &notices(), at(WHEN)).await.unwrap();
        node.cordon(&notices()).await.unwrap();
        node.taint(&taint("a"), &notices()).await.unwrap();
        assert_eq!(clear(&node).await, [NodeChange::WasSo; 4]);
        assert_eq!((fake.node("n1"), fake.writes()), (before, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_that_another_program_set_since_is_not_cleared() {
        let (fake, node) = pair();
        node.mark(TERMINATING, &notices(), at(WHEN)).await.unwrap();
        fake.set_condition("n1", "Terminating", "True");
        let theirs = conditions(&fake, "Terminating");
        assert_eq!(node.unmark(TERMINATING, at(WHEN)).await.unwrap(), NodeChange::WasSo);
        assert_eq!(node.forget().await.unwrap(), NodeChange::Made);
        assert_eq!((conditions(&fake, "Terminating"), record(&fake)), (theirs, None));
    }

    #[tokio::test(start_paused = true)]
    async fn a_taint_of_others_outlives_ours() {
        let (fake, node) = pair();
        node.taint(&taint("a"), &notices()).await.unwrap();
        fake.change("nodes", "", "n1", &json!({"spec": {"taints": [taint("a"), taint("b")]}}));
        assert_eq!(node.untaint(&taint("a")).await.unwrap(), NodeChange::Made);
        let left = fake.node("n1")["spec"]["taints"].clone();
        assert_eq!(left, json!([{"key": "b", "effect": "NoSchedule"}]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_notice_joins_the_record_of_the_first() {
        let (fake, node) = pair();
        node.mark(TERMINATING, &notices(), at(WHEN)).await.unwrap();
        let other = RecordedNotice { event: Some("e-1".to_owned()), ..notices()[0].clone() };
        let both = [notices()[0].clone(), other];
        let marked = node.mark(TERMINATING, &both, at(WHEN)).await.unwrap();
        assert_eq!((marked.change, marked.was_true), (NodeChange::Made, true));
        assert_eq!(
            node.mark(TERMINATING, &both, at(WHEN)).await.unwrap().change,
            NodeChange::WasSo
        );
        let record = record(&fake).unwrap();
        assert_eq!((record.notices.len(), record.condition), (2, Some(at(WHEN))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_annotation_that_is_no_record_clears_nothing() {
        let (fake, node) = pair();
        let odd = json!({"metadata": {"annotations": {RECORD: r#"{"cordon": true}"#}},
                         "spec": {"unschedulable": true}});
        fake.change("nodes", "", "n1", &odd);
        let before = fake.node("n1");
        assert!(node.record().await.unwrap().is_err());
        assert_eq!(clear(&node).await, [NodeChange::WasSo; 4]);
        assert_eq!(fake.node("n1"), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_condition_is_lost_only_while_the_record_says_that_it_was_set() {
        let (fake, node) = pair();
        let is_lost = async || node.mark_state(TERMINATING).await.unwrap().is_lost;
        assert!(!is_lost().await, "never marked");
        let uid = node.mark(TERMINATING, &notices(), at(WHEN)).await.unwrap().uid;
        let state = node.mark_state(TERMINATING).await.unwrap();
        assert_eq!(state, MarkState { uid, is_lost: false });
        fake.set_condition("n1", "Terminating", "False");
        assert!(is_lost().await);
        let later = at("2026-01-02T03:30:00Z");
        assert_eq!(node.mark_again(TERMINATING, later).await.unwrap(), NodeChange::Made);
        assert_eq!(node.mark_again(TERMINATING, later).await.unwrap(), NodeChange::WasSo);
        assert_eq!((is_lost().await, record(&fake).unwrap().condition), (false, Some(later)));
        // Without a record, the Node belongs to a person.
        node.forget().await.unwrap();
        fake.set_condition("n1", "Terminating", "False");
        assert!(!is_lost().await);
        assert_eq!(node.mark_again(TERMINATING, later).await.unwrap(), NodeChange::WasSo);
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_person_took_back_is_not_set_again() {
        let (fake, node) = pair();
        node.cordon(&notices()).await.unwrap();
        node.taint(&taint("a"), &notices()).await.unwrap();
        fake.change("nodes", "", "n1", &json!({"spec": {"unschedulable": null, "taints": []}}));
        let before = fake.node("n1");
        assert_eq!(node.cordon(&notices()).await.unwrap(), NodeChange::WasSo);
        assert_eq!(node.taint(&taint("a"), &notices()).await.unwrap(), NodeChange::WasSo);
        assert_eq!(fake.node("n1"), before);
    }
}
