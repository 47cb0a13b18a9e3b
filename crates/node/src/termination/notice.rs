//! What the metadata service says of this machine's end. Pure: it is handed a body, and asks nobody.
//!
//! Documents and words: Amazon EC2 User Guide, "Spot Instance interruption notices", "EC2 instance
//! rebalance recommendations" and "Scheduled events for your instances"; Amazon EC2 Auto Scaling User
//! Guide, "Retrieve the target lifecycle state through instance metadata".

use std::fmt;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;

/// A document of the metadata service that may announce an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// When a spot instance is terminated. Not set where it is stopped or hibernated.
    SpotTerminationTime,
    /// What is done to a spot instance, and when.
    SpotInstanceAction,
    /// A spot instance is more likely than before to be interrupted.
    RebalanceRecommendation,
    /// What AWS is going to do to the machine for reasons of its own.
    ScheduledMaintenance,
    /// Where the auto-scaling group wants the machine.
    LifecycleState,
}

impl Source {
    /// Its path below `/latest/meta-data/`.
    pub fn path(self) -> &'static str {
        match self {
            Source::SpotTerminationTime => "spot/termination-time",
            Source::SpotInstanceAction => "spot/instance-action",
            Source::RebalanceRecommendation => "events/recommendations/rebalance",
            Source::ScheduledMaintenance => "events/maintenance/scheduled",
            Source::LifecycleState => "autoscaling/target-lifecycle-state",
        }
    }

    /// The reason that an Event for it has.
    pub fn reason(self) -> &'static str {
        match self {
            Source::SpotTerminationTime | Source::SpotInstanceAction => "SpotInterruption",
            Source::RebalanceRecommendation => "RebalanceRecommendation",
            Source::ScheduledMaintenance => "ScheduledMaintenance",
            Source::LifecycleState => "AutoScalingTermination",
        }
    }
}

/// What follows from a notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This machine goes: its Node is marked.
    Ending,
    /// It may go, or comes back: that is told, and the Node is left alone. Marking it would have the
    /// machine replaced, and nothing would ever take the mark away again.
    Warning,
}

/// One thing that was announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Which document said so.
    pub source: Source,
    /// What follows.
    pub verdict: Verdict,
    /// What was announced, in a few words: `the spot instance is terminated`.
    pub what: String,
    /// When, where it says.
    pub at: Option<Timestamp>,
}

impl Notice {
    fn new(source: Source, verdict: Verdict, what: impl Into<String>, at: Timestamp) -> Self {
        Self { source, verdict, what: what.into(), at: Some(at) }
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)?;
        self.at.map_or(Ok(()), |at| write!(f, ", at {at}"))
    }
}

/// A body that is not what its document holds. It announces nothing: AWS documents that
/// `spot/termination-time` may have a value that is no time while nothing is announced.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} has {found:?}: expected {expected}", path = source_of.path())]
pub struct Strange {
    /// Of which document.
    pub source_of: Source,
    /// How the body begins.
    pub found: String,
    /// What it would have been.
    pub expected: &'static str,
}

/// What a document announces; `None` is a document that is not there.
///
/// # Errors
/// When the body is not what the document holds.
pub fn read(source: Source, body: Option<&str>) -> Result<Vec<Notice>, Strange> {
    let Some(body) = body.map(str::trim) else { return Ok(Vec::new()) };
    match source {
        Source::SpotTerminationTime => termination_time(body),
        Source::SpotInstanceAction => instance_action(body),
        Source::RebalanceRecommendation => rebalance(body),
        Source::ScheduledMaintenance => maintenance(body),
        Source::LifecycleState => lifecycle(body),
    }
}

fn termination_time(body: &str) -> Result<Vec<Notice>, Strange> {
    let source = Source::SpotTerminationTime;
    let at = body.parse().map_err(|_| strange(source, body, "a time"))?;
    Ok(vec![Notice::new(source, Verdict::Ending, "the spot instance is terminated", at)])
}

#[derive(Deserialize)]
struct InstanceAction {
    action: Action,
    time: Timestamp,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Action {
    Terminate,
    Stop,
    Hibernate,
}

fn instance_action(body: &str) -> Result<Vec<Notice>, Strange> {
    const EXPECTED: &str = "an object with `action` (terminate, stop or hibernate) and `time`";
    let source = Source::SpotInstanceAction;
    let read: InstanceAction =
        serde_json::from_str(body).map_err(|_| strange(source, body, EXPECTED))?;
    let what = match read.action {
        Action::Terminate => "the spot instance is terminated",
        Action::Stop => "the spot instance is stopped",
        Action::Hibernate => "the spot instance is hibernated",
    };
    Ok(vec![Notice::new(source, Verdict::Ending, what, read.time)])
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Rebalance {
    notice_time: Timestamp,
}

fn rebalance(body: &str) -> Result<Vec<Notice>, Strange> {
    let source = Source::RebalanceRecommendation;
    let read: Rebalance = serde_json::from_str(body)
        .map_err(|_| strange(source, body, "an object with `noticeTime`"))?;
    let what = "the spot instance is likelier than before to be interrupted";
    Ok(vec![Notice::new(source, Verdict::Warning, what, read.notice_time)])
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
        // What ends the machine; after reboots and maintenance of its host it is back.
        let verdict = match &*self.code {
            "instance-retirement" | "instance-stop" => Verdict::Ending,
            _ => Verdict::Warning,
        };
        let what = format!("{} ({}) is scheduled", self.code, self.event_id);
        let at = DateTime::strptime("%d %b %Y %H:%M:%S GMT", &self.not_before).ok()?;
        let at = at.to_zoned(TimeZone::UTC).ok()?.timestamp();
        Some(Notice::new(Source::ScheduledMaintenance, verdict, what, at))
    }
}

fn maintenance(body: &str) -> Result<Vec<Notice>, Strange> {
    const EXPECTED: &str = "a list of events with `NotBefore`, `Code`, `EventId` and `State`";
    let strange = || strange(Source::ScheduledMaintenance, body, EXPECTED);
    let read: Vec<Maintenance> = serde_json::from_str(body).map_err(|_| strange())?;
    let active = read.iter().filter(|event| event.state == "active");
    active.map(|event| event.notice().ok_or_else(strange)).collect()
}

fn lifecycle(body: &str) -> Result<Vec<Notice>, Strange> {
    let source = Source::LifecycleState;
    match body {
        "Terminated" | "Warmed:Terminated" => Ok(vec![Notice {
            source,
            verdict: Verdict::Ending,
            what: "the auto-scaling group terminates the instance".to_owned(),
            at: None,
        }]),
        "InService" | "Detached" | "Standby" | "Warmed:Hibernated" | "Warmed:Running"
        | "Warmed:Stopped" => Ok(Vec::new()),
        _ => Err(strange(source, body, "a lifecycle state, such as InService")),
    }
}

fn strange(source_of: Source, body: &str, expected: &'static str) -> Strange {
    /// Enough to know it by.
    const SHOWN: usize = 60;
    Strange { source_of, found: body.chars().take(SHOWN).collect(), expected }
}

#[cfg(test)]
mod tests {
    use super::Source::*;
    use super::*;

    fn only(source: Source, body: &str) -> Notice {
        let [notice] = read(source, Some(body)).unwrap().try_into().unwrap();
        notice
    }

    #[test]
    fn what_is_not_there_announces_nothing() {
        for source in [
            SpotTerminationTime,
            SpotInstanceAction,
            RebalanceRecommendation,
            ScheduledMaintenance,
            LifecycleState,
        ] {
            assert_eq!(read(source, None), Ok(Vec::new()));
        }
    }

    #[test]
    fn a_time_is_the_end_of_a_spot_instance() {
        for body in ["2015-01-05T18:02:00Z", "2015-01-05T18:02:00Z\n"] {
            let notice = only(SpotTerminationTime, body);
            assert_eq!(notice.verdict, Verdict::Ending);
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
            assert_eq!(notice.verdict, Verdict::Ending);
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
        assert_eq!(notice.verdict, Verdict::Warning);
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
            ("instance-retirement", Verdict::Ending),
            ("instance-stop", Verdict::Ending),
            ("instance-reboot", Verdict::Warning),
            ("system-reboot", Verdict::Warning),
            ("system-maintenance", Verdict::Warning),
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
        for body in ["[]".to_owned(), format!("[{done}, {off}]")] {
            assert_eq!(read(ScheduledMaintenance, Some(&body)), Ok(Vec::new()));
        }
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
            assert_eq!(only(LifecycleState, body).verdict, Verdict::Ending);
        }
        for body in ["InService", "Detached", "Standby", "Warmed:Hibernated", "Warmed:Running"] {
            assert_eq!(read(LifecycleState, Some(body)), Ok(Vec::new()));
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
