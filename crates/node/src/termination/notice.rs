//! Termination notices of the metadata service. Pure: the caller passes the body of a document.
//!
//! References for documents and wording:
//!
//! - Amazon EC2 User Guide: "Spot Instance interruption notices", "EC2 instance rebalance
//!   recommendations" and "Scheduled events for your instances".
//! - Amazon EC2 Auto Scaling User Guide: "Retrieve the target lifecycle state through instance
//!   metadata".

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// Document of the metadata service that may contain a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NoticeSource {
    /// Time of the termination of a spot instance. Absent if the instance is stopped or hibernated.
    SpotTerminationTime,
    /// Action on a spot instance, and its time.
    SpotInstanceAction,
    /// Recommendation that reports a higher risk of interruption for a spot instance.
    RebalanceRecommendation,
    /// Actions that AWS schedules for the machine.
    ScheduledMaintenance,
    /// Lifecycle state that the auto-scaling group requests for the machine.
    LifecycleState,
}

impl NoticeSource {
    /// All documents.
    pub const ALL: [Self; 5] = [
        NoticeSource::SpotTerminationTime,
        NoticeSource::SpotInstanceAction,
        NoticeSource::RebalanceRecommendation,
        NoticeSource::ScheduledMaintenance,
        NoticeSource::LifecycleState,
    ];

    /// Returns the document with this path; `None` if this version does not know the path.
    pub fn from_path(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.path() == path)
    }

    /// Returns the path below `/latest/meta-data/`.
    pub fn path(self) -> &'static str {
        match self {
            NoticeSource::SpotTerminationTime => "spot/termination-time",
            NoticeSource::SpotInstanceAction => "spot/instance-action",
            NoticeSource::RebalanceRecommendation => "events/recommendations/rebalance",
            NoticeSource::ScheduledMaintenance => "events/maintenance/scheduled",
            NoticeSource::LifecycleState => "autoscaling/target-lifecycle-state",
        }
    }

    /// Returns the reason of an Event about the document.
    pub fn reason(self) -> &'static str {
        match self {
            NoticeSource::SpotTerminationTime | NoticeSource::SpotInstanceAction => {
                "SpotInterruption"
            }
            NoticeSource::RebalanceRecommendation => "RebalanceRecommendation",
            NoticeSource::ScheduledMaintenance => "ScheduledMaintenance",
            NoticeSource::LifecycleState => "AutoScalingTermination",
        }
    }
}

/// Consequence of a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consequence {
    /// The machine is terminated, stopped or hibernated: its Node is marked.
    Ending,
    /// The machine may be terminated, or returns after an interruption. The handler creates an
    /// Event and leaves the Node unmarked, because a marked Node has its machine replaced.
    Warning,
}

/// Notice in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Document of the notice.
    pub source: NoticeSource,
    /// Consequence of the notice.
    pub verdict: Consequence,
    /// Short description, such as `the spot instance is terminated`.
    pub what: String,
    /// Time of the action; `None` if the document contains none.
    pub at: Option<Timestamp>,
    /// ID of the event of scheduled maintenance; `None` for other documents.
    pub event: Option<String>,
}

impl Notice {
    fn new(
        source: NoticeSource,
        verdict: Consequence,
        what: impl Into<String>,
        at: Timestamp,
    ) -> Self {
        Self { source, verdict, what: what.into(), at: Some(at), event: None }
    }

    /// Returns the time from which the notice ends the machine: the lead time before its action for
    /// scheduled maintenance. `None` means at once.
    pub fn ends_from(&self, lead: Duration) -> Option<Timestamp> {
        let at = self.at.filter(|_| self.source == NoticeSource::ScheduledMaintenance)?;
        Some(at.checked_sub(lead).unwrap_or(Timestamp::MIN))
    }

    /// Returns true if the Node of the machine must be marked at this time.
    pub fn ends(&self, now: Timestamp, lead: Duration) -> bool {
        self.verdict == Consequence::Ending && self.ends_from(lead).is_none_or(|from| from <= now)
    }
}

/// Content of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Document that was read.
    pub source: NoticeSource,
    /// False if the metadata service has no such document.
    pub exists: bool,
    /// Notices that are in effect.
    pub notices: Vec<Notice>,
    /// IDs of maintenance events that are completed or cancelled.
    pub over: Vec<String>,
    /// IDs of maintenance events in a state that AWS does not document.
    pub unclear: Vec<String>,
}

impl Document {
    fn new(source: NoticeSource, exists: bool) -> Self {
        let (notices, over, unclear) = (Vec::new(), Vec::new(), Vec::new());
        Self { source, exists, notices, over, unclear }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.at.map_or(Ok(()), |at| write!(f, ", at {at}"))
    }
}

/// Unexpected body of a document. Such a body is no notice: AWS documents that
/// `spot/termination-time` may have a value that is no time, while there is no notice.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} has {found:?}: expected {expected}", path = source_of.path())]
pub struct UnexpectedBody {
    /// Document of the body.
    pub source_of: NoticeSource,
    /// First characters of the body.
    pub found: String,
    /// Description of the expected body.
    pub expected: &'static str,
}

/// Reads a document. `None` as body means that the document does not exist.
///
/// # Errors
/// Returns an error if the body has not the form of the document.
pub fn read(source: NoticeSource, body: Option<&str>) -> Result<Document, UnexpectedBody> {
    let mut document = Document::new(source, body.is_some());
    let Some(body) = body.map(str::trim) else { return Ok(document) };
    document.notices = match source {
        NoticeSource::SpotTerminationTime => termination_time(body)?,
        NoticeSource::SpotInstanceAction => instance_action(body)?,
        NoticeSource::RebalanceRecommendation => rebalance(body)?,
        NoticeSource::ScheduledMaintenance => return maintenance(body, document),
        NoticeSource::LifecycleState => lifecycle(body)?,
    };
    Ok(document)
}

fn termination_time(body: &str) -> Result<Vec<Notice>, UnexpectedBody> {
    let source = NoticeSource::SpotTerminationTime;
    let at = body.parse().map_err(|_| strange(source, body, "a time"))?;
    Ok(vec![Notice::new(source, Consequence::Ending, "the spot instance is terminated", at)])
}

#[derive(Deserialize)]
struct InstanceAction {
    action: SpotAction,
    time: Timestamp,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum SpotAction {
    Terminate,
    Stop,
    Hibernate,
}

fn instance_action(body: &str) -> Result<Vec<Notice>, UnexpectedBody> {
    const EXPECTED: &str = "an object with `action` (terminate, stop or hibernate) and `time`";
    let source = NoticeSource::SpotInstanceAction;
    let read: InstanceAction =
        serde_json::from_str(body).map_err(|_| strange(source, body, EXPECTED))?;
    let what = match read.action {
        SpotAction::Terminate => "the spot instance is terminated",
        SpotAction::Stop => "the spot instance is stopped",
        SpotAction::Hibernate => "the spot instance is hibernated",
    };
    Ok(vec![Notice::new(source, Consequence::Ending, what, read.time)])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rebalance {
    notice_time: Timestamp,
}

fn rebalance(body: &str) -> Result<Vec<Notice>, UnexpectedBody> {
    let source = NoticeSource::RebalanceRecommendation;
    let read: Rebalance = serde_json::from_str(body)
        .map_err(|_| strange(source, body, "an object with `noticeTime`"))?;
    let what = "the spot instance has an elevated risk of interruption";
    Ok(vec![Notice::new(source, Consequence::Warning, what, read.notice_time)])
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Maintenance {
    not_before: String,
    code: String,
    event_id: String,
    state: String,
}

impl Maintenance {
    fn notice(&self) -> Option<Notice> {
        // Codes that end the machine. After all others (reboot, maintenance of the host) the
        // machine returns.
        let verdict = match &*self.code {
            "instance-retirement" | "instance-stop" => Consequence::Ending,
            _ => Consequence::Warning,
        };
        let what = format!("{} ({}) is scheduled", self.code, self.event_id);
        let at = DateTime::strptime("%d %b %Y %H:%M:%S GMT", &self.not_before).ok()?;
        let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
        let notice = Notice::new(NoticeSource::ScheduledMaintenance, verdict, what, at);
        Some(Notice { event: Some(self.event_id.clone()), ..notice })
    }
}

fn maintenance(body: &str, mut document: Document) -> Result<Document, UnexpectedBody> {
    const EXPECTED: &str = "a list of events with `NotBefore`, `Code`, `EventId` and `State`";
    let strange = || strange(NoticeSource::ScheduledMaintenance, body, EXPECTED);
    let read: Vec<Maintenance> = serde_json::from_str(body).map_err(|_| strange())?;
    for event in read {
        match &*event.state {
            "active" => document.notices.push(event.notice().ok_or_else(strange)?),
            "completed" | "canceled" => document.over.push(event.event_id),
            _ => document.unclear.push(event.event_id),
        }
    }
    Ok(document)
}

fn lifecycle(body: &str) -> Result<Vec<Notice>, UnexpectedBody> {
    let source = NoticeSource::LifecycleState;
    match body {
        "Terminated" | "Warmed:Terminated" => Ok(vec![Notice {
            source,
            verdict: Consequence::Ending,
            what: "the auto-scaling group terminates the instance".to_owned(),
            at: None,
            event: None,
        }]),
        "InService" | "Detached" | "Standby" | "Warmed:Hibernated" | "Warmed:Running"
        | "Warmed:Stopped" => Ok(Vec::new()),
        _ => Err(strange(source, body, "a lifecycle state, such as InService")),
    }
}

fn strange(source_of: NoticeSource, body: &str, expected: &'static str) -> UnexpectedBody {
    /// Number of characters shown.
    const SHOWN: usize = 60;
    UnexpectedBody { source_of, found: body.chars().take(SHOWN).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::NoticeSource::*;
    use super::*;

    fn only(source: NoticeSource, body: &str) -> Notice {
        let [notice] = read(source, Some(body)).unwrap().notices.try_into().unwrap();
        notice
    }

    /// Returns the number of notices in a document.
    fn count(source: NoticeSource, body: Option<&str>) -> usize {
        read(source, body).unwrap().notices.len()
    }

    #[test]
    fn what_is_not_there_announces_nothing() {
        for source in NoticeSource::ALL {
            assert_eq!(read(source, None), Ok(Document::new(source, false)));
            assert_eq!(NoticeSource::from_path(source.path()), Some(source));
        }
    }

    #[test]
    fn a_time_is_the_end_of_a_spot_instance() {
        for body in ["2015-01-05T18:02:00Z", "2015-01-05T18:02:00Z\n"] {
            let notice = only(SpotTerminationTime, body);
            assert_eq!(notice.verdict, Consequence::Ending);
            let said = "the spot instance is terminated, at 2015-01-05T18:02:00Z";
            assert_eq!(notice.to_string(), said);
        }
    }

    #[test]
    fn c63_a_body_that_is_no_time_is_no_notice() {
        for body in ["", "none", "null", "<html><h1>404</h1></html>", "2015-01-05", "18:02:00Z"] {
            let strange = read(SpotTerminationTime, Some(body)).unwrap_err();
            assert_eq!((strange.expected, &*strange.found), ("a time", body));
        }
    }

    #[test]
    fn c63_terminate_stop_and_hibernate_are_the_end() {
        for (action, said) in
            [("terminate", "terminated"), ("stop", "stopped"), ("hibernate", "hibernated")]
        {
            let body = format!(r#"{{"action": "{action}", "time": "2017-09-18T08:22:00Z"}}"#);
            let notice = only(SpotInstanceAction, &body);
            assert_eq!(notice.verdict, Consequence::Ending);
            assert!(notice.what.ends_with(said), "{notice}");
            assert_eq!(notice.at, "2017-09-18T08:22:00Z".parse().ok());
        }
    }

    #[test]
    fn c63_an_action_that_nobody_can_read_is_no_notice() {
        for body in [
            "",
            "terminate",
            "{",
            "{}",
            "[]",
            r#"{"action": "noop", "time": "2017-09-18T08:22:00Z"}"#,
            r#"{"action": "terminate"}"#,
            r#"{"action": "terminate", "time": "soon"}"#,
        ] {
            assert!(read(SpotInstanceAction, Some(body)).is_err(), "{body}");
        }
    }

    #[test]
    fn a_recommendation_is_told_and_marks_nothing() {
        let notice = only(RebalanceRecommendation, r#"{"noticeTime": "2020-10-27T08:22:00Z"}"#);
        assert_eq!(notice.verdict, Consequence::Warning);
        assert!(read(RebalanceRecommendation, Some("{}")).is_err());
    }

    fn event(code: &str, state: &str, not_before: &str) -> String {
        format!(
            r#"{{"NotBefore": "{not_before}", "NotAfter": "21 Jan 2019 09:17:23 GMT", "Code": "{code}",
                "Description": "scheduled", "EventId": "instance-event-0d59937288b749b32", "State": "{state}"}}"#
        )
    }

    const WHEN: &str = "21 Jan 2019 09:00:43 GMT";

    #[test]
    fn retirement_ends_a_machine_and_a_reboot_does_not() {
        for (code, verdict) in [
            ("instance-retirement", Consequence::Ending),
            ("instance-stop", Consequence::Ending),
            ("instance-reboot", Consequence::Warning),
            ("system-reboot", Consequence::Warning),
            ("system-maintenance", Consequence::Warning),
        ] {
            let notice = only(ScheduledMaintenance, &format!("[{}]", event(code, "active", WHEN)));
            assert_eq!(notice.verdict, verdict, "{code}");
            assert_eq!(notice.at, "2019-01-21T09:00:43Z".parse().ok());
        }
    }

    #[test]
    fn maintenance_that_is_over_or_called_off_is_none() {
        let [done, off] =
            ["completed", "canceled"].map(|state| event("instance-stop", state, WHEN));
        for (body, over) in [("[]".to_owned(), 0), (format!("[{done}, {off}]"), 2)] {
            let document = read(ScheduledMaintenance, Some(&body)).unwrap();
            assert_eq!((document.notices.len(), document.over.len()), (0, over));
        }
        let unknown = format!("[{}]", event("instance-stop", "pending", WHEN));
        let document = read(ScheduledMaintenance, Some(&unknown)).unwrap();
        let counts = (document.notices.len(), document.over.len(), document.unclear.len());
        assert_eq!(counts, (0, 0, 1));
    }

    #[test]
    fn maintenance_ends_a_machine_from_its_lead_time_and_other_notices_at_once() {
        let body = format!("[{}]", event("instance-retirement", "active", WHEN));
        let notice = only(ScheduledMaintenance, &body);
        assert_eq!(notice.event.as_deref(), Some("instance-event-0d59937288b749b32"));
        let day = Duration::from_secs(86_400);
        for (now, lead, ends) in [
            ("2019-01-20T09:00:42Z", day, false),
            ("2019-01-20T09:00:43Z", day, true),
            ("2019-01-21T09:00:42Z", Duration::ZERO, false),
            ("2019-01-21T09:00:43Z", Duration::ZERO, true),
            ("2018-01-01T00:00:00Z", Duration::MAX, true),
        ] {
            assert_eq!(notice.ends(now.parse().unwrap(), lead), ends, "{now}");
        }
        let reboot = format!("[{}]", event("system-reboot", "active", WHEN));
        assert!(!only(ScheduledMaintenance, &reboot).ends(Timestamp::MAX, day));
        let early = "2015-01-05T17:00:00Z".parse().unwrap();
        assert!(only(SpotTerminationTime, "2015-01-05T18:02:00Z").ends(early, Duration::ZERO));
    }

    #[test]
    fn maintenance_at_a_time_that_nobody_can_read_is_no_notice() {
        let body = format!("[{}]", event("instance-stop", "active", "tomorrow"));
        for body in [&*body, "", "{}", "[{}]"] {
            assert!(read(ScheduledMaintenance, Some(body)).is_err(), "{body}");
        }
    }

    #[test]
    fn a_group_that_terminates_its_machine_ends_it_and_every_other_state_does_not() {
        for body in ["Terminated", "Warmed:Terminated"] {
            assert_eq!(only(LifecycleState, body).verdict, Consequence::Ending);
        }
        for body in ["InService", "Detached", "Standby", "Warmed:Hibernated", "Warmed:Running"] {
            assert_eq!(count(LifecycleState, Some(body)), 0);
        }
        assert!(read(LifecycleState, Some("terminated")).is_err());
    }

    #[test]
    fn a_strange_body_is_shown_as_far_as_it_takes_to_know_it() {
        let strange = read(SpotTerminationTime, Some(&"x\n".repeat(1000))).unwrap_err();
        assert_eq!(strange.found.len(), 60);
        assert!(strange.to_string().starts_with(r#"spot/termination-time has "x\nx"#), "{strange}");
    }
}
