//! Record of the changes that the termination handler made to a Node, in an annotation of that Node.
//! Pure.
//!
//! The annotation is written in the same request as each change. After a stop and start of the
//! machine, another process of the handler reads from it what to clear. A change that is missing in
//! the record was made by another program or a person, and stays.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::ResourceExt;
use serde::{Deserialize, Serialize};

/// Key of the annotation.
pub const RECORD: &str = "groundplan.dev/termination-handler";

/// Changes of a Node, and the notices that caused them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarkRecord {
    /// Notices that caused the changes. A record without notices is invalid.
    pub notices: Vec<RecordedNotice>,
    /// Transition time of the condition that the handler set; `None` if the handler did not set it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Timestamp>,
    /// True if the handler cordoned the Node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cordon: bool,
    /// True if the handler tainted the Node.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub taint: bool,
}

/// Notice in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedNotice {
    /// IMDS path of the notice.
    pub source: String,
    /// Short description.
    pub what: String,
    /// Time of the action.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// ID of the event of scheduled maintenance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
}

/// Annotation that is no record of this version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("annotation {RECORD} has {found:?}: expected a record of the termination handler")]
pub struct InvalidRecord {
    /// Text of the annotation.
    pub found: String,
}

impl MarkRecord {
    /// Returns the record of a Node; `None` if the Node has none.
    ///
    /// # Errors
    /// Returns an error if the annotation is no record.
    pub fn of(node: &Node) -> Result<Option<Self>, InvalidRecord> {
        let Some(text) = node.annotations().get(RECORD) else { return Ok(None) };
        let record: Option<Self> = serde_json::from_str(text).ok();
        match record.filter(|record| !record.notices.is_empty()) {
            Some(record) => Ok(Some(record)),
            None => Err(InvalidRecord { found: text.clone() }),
        }
    }

    /// Adds notices. A notice about the same maintenance event replaces the earlier one.
    pub fn add(&mut self, notices: &[RecordedNotice]) {
        for notice in notices {
            if self.notices.contains(notice) {
                continue;
            }
            self.notices.retain(|old| old.event.is_none() || old.event != notice.event);
            self.notices.push(notice.clone());
        }
    }

    /// Returns the text of the annotation.
    pub fn text(&self) -> String {
        serde_json::to_string(self).expect("BUG: a record has no key that is not text")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn node(annotation: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"annotations": {RECORD: annotation}}})).unwrap()
    }

    fn notice(event: Option<&str>, at: &str) -> RecordedNotice {
        RecordedNotice {
            source: "events/maintenance/scheduled".to_owned(),
            what: "instance-stop".to_owned(),
            at: at.parse().ok(),
            event: event.map(str::to_owned),
        }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = MarkRecord {
            notices: vec![notice(Some("e-1"), "2026-01-02T03:04:05Z")],
            condition: "2026-01-01T00:00:00Z".parse().ok(),
            cordon: true,
            taint: false,
        };
        let expected = r#"{"notices":[{"source":"events/maintenance/scheduled","what":"instance-stop","at":"2026-01-02T03:04:05Z","event":"e-1"}],"condition":"2026-01-01T00:00:00Z","cordon":true}"#;
        assert_eq!(record.text(), expected);
        assert_eq!(MarkRecord::of(&node(expected)), Ok(Some(record)));
        assert_eq!(MarkRecord::of(&Node::default()), Ok(None));
    }

    #[test]
    fn an_annotation_without_notices_is_no_record() {
        for text in ["", "{}", "null", r#"{"notices":[]}"#, r#"{"notices":["x"],"cordon":true}"#] {
            let error = MarkRecord::of(&node(text)).unwrap_err();
            assert_eq!(error, InvalidRecord { found: text.to_owned() });
        }
    }

    #[test]
    fn a_moved_event_replaces_itself_and_other_notices_are_added() {
        let (first, moved) = (notice(Some("e-1"), "2026-01-02T00:00:00Z"), notice(Some("e-1"), ""));
        let (other, spot) = (notice(Some("e-2"), ""), notice(None, ""));
        let mut record = MarkRecord::default();
        record.add(&[first.clone(), first, other.clone(), spot.clone(), moved.clone()]);
        assert_eq!(record.notices, [other, spot, moved]);
    }
}
