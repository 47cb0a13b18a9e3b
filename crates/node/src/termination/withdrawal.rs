//! Rules for notices that are no longer in effect. Pure: the caller passes documents and time.
//!
//! An unknown answer is never taken for a withdrawal. A notice is withdrawn by a statement of AWS
//! (maintenance that is completed, cancelled or moved; another lifecycle state), or by its absence in
//! several consecutive polls in which every configured document was answered.

use std::time::Duration;

use jiff::Timestamp;

use super::notice::{Document, Notice, NoticeSource};

/// Number of consecutive polls without a notice after which it is no longer in effect.
pub const ABSENT_POLLS: u32 = 3;

/// Time after the action of a spot notice before which its absence proves nothing: until then the
/// machine cannot have been stopped or hibernated and resumed.
pub const SPOT_MARGIN: Duration = Duration::from_secs(300);

/// Returns the time from `now` until the absence of a notice begins to prove something; `None` means
/// never. The caller counts the time on the monotonic clock, so that a step of the wall clock ends
/// no wait.
pub fn wait_before_absence(notice: &Notice, now: Timestamp) -> Option<Duration> {
    match notice.source {
        NoticeSource::SpotTerminationTime | NoticeSource::SpotInstanceAction => {
            let earliest = notice.at?.checked_add(SPOT_MARGIN).ok()?;
            Some(earliest.duration_since(now).try_into().unwrap_or_default())
        }
        _ => Some(Duration::ZERO),
    }
}

/// Content of all documents that one poll read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poll {
    /// Documents with an expected content.
    pub documents: Vec<Document>,
    /// True if every configured document was answered with an expected content.
    pub complete: bool,
}

/// Sign that a notice is no longer in effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// AWS states that the notice is no longer in effect.
    Stated,
    /// The notice is absent. One absence alone proves nothing.
    Absent,
}

impl Poll {
    /// Returns true if a notice ends the machine at this time.
    pub fn ends(&self, now: Timestamp, lead: Duration) -> bool {
        self.documents.iter().flat_map(|document| &document.notices).any(|one| one.ends(now, lead))
    }

    /// Returns the sign that a notice is no longer in effect. `None` means that the notice is in
    /// effect or that the poll proves nothing: an answer is missing, or the document of the notice is
    /// not configured. An absence also proves nothing while another notice ends the machine, or if
    /// the notice is not `overdue` ([`wait_before_absence`] is not over).
    pub fn sign(
        &self,
        notice: &Notice,
        overdue: bool,
        now: Timestamp,
        lead: Duration,
    ) -> Option<Sign> {
        let document = self.documents.iter().find(|one| one.source == notice.source)?;
        if document.notices.contains(notice) || !self.complete {
            return None;
        }
        let sign = match notice.source {
            NoticeSource::SpotTerminationTime | NoticeSource::SpotInstanceAction => {
                overdue.then_some(Sign::Absent)
            }
            NoticeSource::ScheduledMaintenance => maintenance(document, notice),
            // The document is absent in an instance whose group has not changed its state lately.
            NoticeSource::LifecycleState => document.exists.then_some(Sign::Stated),
            NoticeSource::RebalanceRecommendation => Some(Sign::Absent),
        };
        sign.filter(|sign| *sign == Sign::Stated || !self.ends(now, lead))
    }
}

fn maintenance(document: &Document, notice: &Notice) -> Option<Sign> {
    let Some(event) = &notice.event else { return Some(Sign::Absent) };
    if document.unclear.contains(event) {
        return None;
    }
    let moved = document.notices.iter().any(|one| one.event.as_ref() == Some(event));
    Some(if moved || document.over.contains(event) { Sign::Stated } else { Sign::Absent })
}

#[cfg(test)]
mod tests {
    use super::super::notice::read;
    use super::NoticeSource::*;
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn poll(bodies: &[(NoticeSource, Option<&str>)]) -> Poll {
        let read = |(source, body): &(_, Option<&str>)| read(*source, *body).unwrap();
        Poll { documents: bodies.iter().map(read).collect(), complete: true }
    }

    fn sign(poll: &Poll, was: (NoticeSource, &str), now: &str) -> Option<Sign> {
        let notice = read(was.0, Some(was.1)).unwrap().notices.remove(0);
        let now = now.parse().unwrap();
        let overdue = wait_before_absence(&notice, now) == Some(Duration::ZERO);
        poll.sign(&notice, overdue, now, DAY)
    }

    const STOP: (NoticeSource, &str) =
        (SpotInstanceAction, r#"{"action": "stop", "time": "2026-01-05T18:02:00Z"}"#);
    const LATER: &str = "2026-01-05T18:07:00Z";

    #[test]
    fn the_absence_of_a_spot_notice_counts_only_minutes_after_its_time() {
        let poll = poll(&[(SpotInstanceAction, None), (SpotTerminationTime, None)]);
        for (now, expected) in [
            ("2026-01-05T18:00:00Z", None),
            ("2026-01-05T18:06:59Z", None),
            (LATER, Some(Sign::Absent)),
        ] {
            assert_eq!(sign(&poll, STOP, now), expected, "{now}");
        }
    }

    #[test]
    fn a_poll_without_every_answer_proves_nothing() {
        let mut poll = poll(&[(SpotInstanceAction, None)]);
        poll.complete = false;
        assert_eq!(sign(&poll, STOP, LATER), None);
    }

    #[test]
    fn a_document_that_is_not_configured_proves_nothing() {
        let poll = poll(&[(SpotTerminationTime, None), (LifecycleState, Some("InService"))]);
        assert_eq!(sign(&poll, STOP, LATER), None);
    }

    #[test]
    fn another_notice_that_ends_the_machine_keeps_the_first_in_effect() {
        let other = poll(&[
            (SpotInstanceAction, None),
            (SpotTerminationTime, Some("2026-01-05T19:00:00Z")),
        ]);
        assert_eq!(sign(&other, STOP, LATER), None);
        let same = poll(&[(SpotInstanceAction, Some(STOP.1))]);
        assert_eq!(sign(&same, STOP, LATER), None);
    }

    fn event(state: &str, not_before: &str) -> String {
        format!(
            r#"[{{"NotBefore": "{not_before}", "Code": "instance-retirement", "EventId": "e-1",
                  "State": "{state}"}}]"#
        )
    }

    #[test]
    fn maintenance_is_over_when_aws_says_so_and_absent_when_the_list_lacks_it() {
        let (soon, late) = ("06 Jan 2026 09:00:00 GMT", "20 Jan 2026 09:00:00 GMT");
        let was = event("active", soon);
        for (body, expected) in [
            (Some(event("completed", soon)), Some(Sign::Stated)),
            (Some(event("canceled", soon)), Some(Sign::Stated)),
            (Some(event("active", late)), Some(Sign::Stated)),
            (Some(event("active", soon)), None),
            (Some(event("active", "06 Jan 2026 08:00:00 GMT")), Some(Sign::Stated)),
            (Some(event("postponed", soon)), None),
            (Some("[]".to_owned()), Some(Sign::Absent)),
            (None, Some(Sign::Absent)),
        ] {
            let poll = poll(&[(ScheduledMaintenance, body.as_deref())]);
            assert_eq!(sign(&poll, (ScheduledMaintenance, &was), LATER), expected, "{body:?}");
        }
    }

    #[test]
    fn a_lifecycle_state_is_taken_back_by_another_state_and_not_by_its_absence() {
        let was = (LifecycleState, "Terminated");
        for (body, expected) in [
            (Some("InService"), Some(Sign::Stated)),
            (Some("Standby"), Some(Sign::Stated)),
            (Some("Warmed:Terminated"), None),
            (None, None),
        ] {
            assert_eq!(sign(&poll(&[(LifecycleState, body)]), was, LATER), expected, "{body:?}");
        }
    }
}
