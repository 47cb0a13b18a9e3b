//! Progress as one line per event, for pipes and logs.

use std::collections::{HashMap, HashSet};
use std::io::{self, Write};
use std::time::Duration;

use groundplan_aws::CAPACITY_WITHIN;
use groundplan_engine::event::{Event, StepAction, StepName};
use groundplan_engine::graph::Address;

use super::super::codes::Code;
use super::super::palette::{ERROR, FAINT, STRONG, WARNING};
use super::super::screen::one_line;
use super::super::{brief, count, painted};
use super::words;

/// Minimum interval between two lines about a waiting step, or about the same error of a step.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Writer of one line per event.
#[derive(Debug)]
pub struct ProgressLines<W> {
    out: W,
    /// Time of the last line about each waiting step, since the start of the step.
    heard: HashMap<StepKey, Duration>,
    /// Last error of each step that is retried, and the pauses since its last line.
    retried: HashMap<StepKey, (String, Duration)>,
    /// Addresses created in this run. A deletion at such an address deletes the old object.
    made: HashSet<Address>,
}

type StepKey = (Address, u64, StepAction);

impl ProgressLines<Vec<u8>> {
    /// Returns the lines written since the last call.
    pub fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.out)
    }
}

impl<W: Write> ProgressLines<W> {
    /// Returns lines that go to this writer.
    pub fn new(out: W) -> Self {
        Self { out, heard: HashMap::new(), retried: HashMap::new(), made: HashSet::new() }
    }

    /// Writes a line about the event. Some events have no line.
    ///
    /// # Errors
    /// Returns an error if the writer fails.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        match event {
            Event::StepStarted { step } => {
                self.say(step, &format!("{}...", words(step.action).begins))
            }
            Event::StepWaiting { step, word, elapsed_ms } => self.waiting(step, word, *elapsed_ms),
            Event::StepRetrying { step, error, after_ms } => {
                let after = Duration::from_millis(*after_ms);
                let pause = brief(after.max(Duration::from_secs(1)));
                let code = error.code.as_deref().unwrap_or("no response");
                let why = match step.action {
                    // Only the message names the resource that blocks the deletion.
                    StepAction::Delete => {
                        format!(" ({})", one_line(error.message.trim_end_matches('.')))
                    }
                    // Only the message names the instance type and the zone.
                    _ if Code::of_fault(error) == Code::CapacityMissing => {
                        let sentence = error.message.split(". ").next().unwrap_or_default();
                        let minutes = CAPACITY_WITHIN.as_secs() / 60;
                        let sentence = one_line(sentence.trim_end_matches('.'));
                        format!(" ({sentence}; repeated for {minutes} minutes)")
                    }
                    _ => String::new(),
                };
                let (call, code) = (one_line(&error.call), one_line(code));
                let failed = format!("{call}: {code}{why}");
                if self.is_repeated(step, &failed, after) {
                    return Ok(());
                }
                self.say(step, &format!("{failed}; retrying in {pause}"))
            }
            Event::StepFinished { step, id, elapsed_ms } => {
                self.forget(step);
                let after = brief(Duration::from_millis(*elapsed_ms));
                let id =
                    id.as_ref().map(|id| format!(" [id={}]", one_line(id))).unwrap_or_default();
                let done = words(step.action).done;
                let said = self.say(step, &format!("{done} after {after}{}", painted(FAINT, id)));
                if matches!(step.action, StepAction::Create | StepAction::Finish) {
                    self.made.insert(step.address.clone());
                }
                said
            }
            Event::StepFailed { step, elapsed_ms, .. } => {
                self.forget(step);
                let after = brief(Duration::from_millis(*elapsed_ms));
                let noun = words(step.action).noun;
                self.say(step, &painted(ERROR, format!("{noun} failed after {after}")))
            }
            Event::StepAbandoned { step } => self.say(step, "not finished; the next run continues"),
            Event::Stopping { in_flight, within_seconds } => writeln!(
                self.out,
                "{}: no new calls are sent; {} in flight, waiting at most {within_seconds}s",
                painted(WARNING, "stopping"),
                count(*in_flight, "call")
            ),
            Event::Warning { message } => {
                writeln!(self.out, "{}: {}", painted(WARNING, "warning"), one_line(message))
            }
            // Skipped steps are reported with the failure that caused them, after the end of the
            // run.
            Event::StepSkipped { .. } | Event::Started { .. } | Event::Finished { .. } => Ok(()),
        }?;
        self.out.flush()
    }

    fn waiting(&mut self, step: &StepName, word: &str, elapsed_ms: u64) -> io::Result<()> {
        let elapsed = Duration::from_millis(elapsed_ms);
        let last = self.heard.entry(key(step)).or_default();
        if elapsed < *last + HEARTBEAT {
            return Ok(());
        }
        *last = elapsed;
        let going = words(step.action).goes_on;
        self.say(
            step,
            &format!("Still {going}... [{} elapsed, {}]", brief(elapsed), one_line(word)),
        )
    }

    /// Returns true if a line about the same error of the step was written a moment ago.
    fn is_repeated(&mut self, step: &StepName, failed: &str, after: Duration) -> bool {
        match self.retried.get_mut(&key(step)) {
            Some((last, since)) if last == failed && *since + after < HEARTBEAT => {
                *since += after;
                true
            }
            _ => {
                self.retried.insert(key(step), (failed.to_owned(), after));
                false
            }
        }
    }

    fn forget(&mut self, step: &StepName) {
        self.heard.remove(&key(step));
        self.retried.remove(&key(step));
    }

    fn say(&mut self, step: &StepName, what: &str) -> io::Result<()> {
        let old = step.action == StepAction::Delete && self.made.contains(&step.address);
        let which = if old { " (old object)" } else { "" };
        writeln!(self.out, "{}{which}: {what}", painted(STRONG, one_line(step.address.as_str())))
    }
}

fn key(step: &StepName) -> StepKey {
    (step.address.clone(), step.generation, step.action)
}

#[cfg(test)]
mod tests {
    use groundplan_engine::event::ReportedError;

    use super::*;

    fn step(address: &str, action: StepAction) -> StepName {
        StepName { address: address.into(), generation: 1, action }
    }

    fn said(events: &[Event]) -> String {
        let mut written = Vec::new();
        let mut lines = ProgressLines::new(anstream::StripStream::new(&mut written));
        for event in events {
            lines.event(event).unwrap();
        }
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn a_step_is_told_as_terraform_tells_it() {
        let master = step("instance.master-0", StepAction::Create);
        let zone = step("record.api", StepAction::Update);
        let text = said(&[
            Event::StepStarted { step: master.clone() },
            Event::StepFinished { step: master, id: Some("i-1".into()), elapsed_ms: 3200 },
            Event::StepStarted { step: zone.clone() },
            Event::StepFinished { step: zone, id: None, elapsed_ms: 400 },
        ]);
        assert_eq!(
            text,
            "instance.master-0: Creating...\n\
             instance.master-0: Creation complete after 3s [id=i-1]\n\
             record.api: Modifying...\n\
             record.api: Modifications complete after 0s\n"
        );
    }

    #[test]
    fn u1_a_wait_is_heard_of_every_ten_seconds_however_often_it_is_looked_at() {
        let step = step("nat_gateway.a", StepAction::Create);
        let waits: Vec<_> = (1..=15)
            .map(|look| Event::StepWaiting {
                step: step.clone(),
                word: "pending".into(),
                elapsed_ms: look * 3000,
            })
            .collect();
        assert_eq!(
            said(&waits),
            "nat_gateway.a: Still creating... [12s elapsed, pending]\n\
             nat_gateway.a: Still creating... [24s elapsed, pending]\n\
             nat_gateway.a: Still creating... [36s elapsed, pending]\n"
        );
    }

    #[test]
    fn what_a_replacement_deletes_is_called_the_old_object() {
        let create = step("subnet.a", StepAction::Create);
        let delete = step("subnet.a", StepAction::Delete);
        let text = said(&[
            Event::StepFinished { step: create, id: None, elapsed_ms: 0 },
            Event::StepStarted { step: delete },
        ]);
        assert!(text.ends_with("subnet.a (old object): Destroying...\n"), "{text}");
    }

    #[test]
    fn what_holds_a_deletion_up_is_told_in_the_words_of_aws() {
        let error = ReportedError {
            call: "DeleteSubnet".into(),
            code: Some("DependencyViolation".into()),
            message: "The subnet 'subnet-1' has dependencies and cannot be deleted.".into(),
            request_id: None,
            hint: None,
            ..ReportedError::default()
        };
        let step = step("subnet.a", StepAction::Delete);
        assert_eq!(
            said(&[Event::StepRetrying { step, error, after_ms: 2000 }]),
            "subnet.a: DeleteSubnet: DependencyViolation (The subnet 'subnet-1' has dependencies \
             and cannot be deleted); retrying in 2s\n"
        );
    }

    #[test]
    fn a_launch_without_capacity_names_type_and_zone_and_the_end_of_the_retries() {
        let error = ReportedError {
            call: "RunInstances".into(),
            code: Some("InsufficientInstanceCapacity".into()),
            message:
                "We currently do not have sufficient m6i.xlarge capacity in the Availability Zone \
                      you requested (us-west-2a). Our system will be working on it."
                    .into(),
            ..ReportedError::default()
        };
        let step = step("instance.master-0", StepAction::Create);
        assert_eq!(
            said(&[Event::StepRetrying { step, error, after_ms: 20_000 }]),
            "instance.master-0: RunInstances: InsufficientInstanceCapacity (We currently do not have \
             sufficient m6i.xlarge capacity in the Availability Zone you requested (us-west-2a); \
             repeated for 3 minutes); retrying in 20s\n"
        );
    }

    /// A new instance profile is unknown to EC2 for a while: many retries, a few lines.
    #[test]
    fn the_same_error_is_told_every_ten_seconds_and_another_one_at_once() {
        let retrying = |code: &str| Event::StepRetrying {
            step: step("instance.a", StepAction::Create),
            error: ReportedError {
                call: "RunInstances".into(),
                code: Some(code.into()),
                ..ReportedError::default()
            },
            after_ms: 3000,
        };
        let mut events = vec![retrying("InvalidParameterValue"); 5];
        events.push(retrying("Throttling"));
        let lines = said(&events);
        let codes = lines.lines().map(|line| line.split(": ").nth(2).unwrap());
        assert_eq!(
            codes.collect::<Vec<_>>(),
            [
                "InvalidParameterValue; retrying in 3s",
                "InvalidParameterValue; retrying in 3s",
                "Throttling; retrying in 3s",
            ],
            "{lines}"
        );
    }

    #[test]
    fn a_failure_is_one_line_and_what_it_skips_is_none() {
        let error = ReportedError {
            call: "CreateSubnet".into(),
            code: Some("SubnetLimitExceeded".into()),
            message: "no".into(),
            request_id: None,
            hint: None,
            ..ReportedError::default()
        };
        let retrying = ReportedError { code: Some("Throttling".into()), ..error.clone() };
        let failed = step("subnet.a", StepAction::Create);
        let text = said(&[
            Event::StepRetrying { step: failed.clone(), error: retrying, after_ms: 2500 },
            Event::StepFailed { step: failed, error, elapsed_ms: 61_000 },
            Event::StepSkipped {
                step: step("instance.a", StepAction::Create),
                because: "subnet.a".into(),
            },
            Event::Stopping { in_flight: 1, within_seconds: 8 },
        ]);
        assert_eq!(
            text,
            "subnet.a: CreateSubnet: Throttling; retrying in 2s\n\
             subnet.a: Creation failed after 1m01s\n\
             stopping: no new calls are sent; 1 call in flight, waiting at most 8s\n"
        );
    }
}
