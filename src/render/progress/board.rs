//! Progress of a run: steps done, steps in flight, what they wait for, and the remaining time.

use std::time::Duration;

use groundplan_engine::event::{Event, StepName};

use super::super::brief;
use super::super::screen::one_line;
use super::estimate::Estimate;
use super::words;

/// Maximum number of steps in flight that are listed.
const NAMED: usize = 8;

/// Data of the live region on the terminal.
#[derive(Debug)]
pub struct ProgressBoard {
    estimate: Estimate,
    total: usize,
    done: usize,
    in_flight: Vec<InFlight>,
    stopping: bool,
}

#[derive(Debug)]
struct InFlight {
    step: StepName,
    since: Duration,
    /// Status that the cloud reports, or the code of the last error.
    word: Option<String>,
}

impl ProgressBoard {
    /// Returns a board for a run with this estimate.
    pub fn new(estimate: Estimate) -> Self {
        Self { estimate, total: 0, done: 0, in_flight: Vec::new(), stopping: false }
    }

    /// Records an event. `now` is the time since the start of the run.
    pub fn event(&mut self, event: &Event, now: Duration) {
        match event {
            Event::Started { steps, .. } => self.total = *steps,
            Event::StepStarted { step } => {
                self.estimate.started(step, now);
                self.in_flight.push(InFlight { step: step.clone(), since: now, word: None });
            }
            Event::StepWaiting { step, word, .. } => self.wait(step, word),
            Event::StepRetrying { step, error, .. } => {
                self.wait(step, error.code.as_deref().unwrap_or("retrying"));
            }
            Event::StepFinished { step, .. } => {
                self.estimate.finished(step, now);
                self.land(step);
                self.done += 1;
            }
            Event::StepFailed { step, .. } | Event::StepAbandoned { step } => {
                self.estimate.given_up(step);
                self.land(step);
            }
            Event::StepSkipped { step, .. } => self.estimate.given_up(step),
            Event::Stopping { .. } => self.stopping = true,
            Event::Warning { .. } | Event::Finished { .. } => (),
        }
    }

    /// Returns the lines of the live region.
    pub fn region(&mut self, now: Duration) -> Vec<String> {
        let left = if self.stopping {
            "stopping".to_owned()
        } else {
            match self.estimate.left(now) {
                Some(left) => format!("about {} left", brief(left)),
                None => "nearly done".to_owned(),
            }
        };
        let elapsed = brief(now);
        let mut lines =
            vec![format!("{} of {} done, {elapsed} elapsed, {left}", self.done, self.total)];
        for one in self.in_flight.iter().take(NAMED) {
            let (going, for_) =
                (words(one.step.action).goes_on, brief(now.saturating_sub(one.since)));
            let word = one.word.as_ref().map(|word| format!(", {word}")).unwrap_or_default();
            let line = format!("  {}: {going}, {for_}{word}", one.step.address);
            lines.push(one_line(&line).into_owned());
        }
        if let Some(rest) = self.in_flight.len().checked_sub(NAMED + 1) {
            lines.push(format!("  and {} more", rest + 1));
        }
        lines
    }

    fn wait(&mut self, step: &StepName, word: &str) {
        if let Some(one) = self.in_flight.iter_mut().find(|one| one.step == *step) {
            one.word = Some(word.to_owned());
        }
    }

    fn land(&mut self, step: &StepName) {
        self.in_flight.retain(|one| one.step != *step);
    }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::event::{Operation, StepAction};

    use super::*;

    fn step(address: &str) -> StepName {
        StepName { address: address.into(), generation: 1, action: StepAction::Create }
    }

    #[test]
    fn the_region_says_how_much_is_done_and_what_is_waited_for() {
        let at = Duration::from_secs;
        let mut board = ProgressBoard::new(Estimate::default());
        let started =
            Event::Started { operation: Operation::Apply, steps: 3, critical_path_seconds: 9 };
        board.event(&started, at(0));
        board.event(&Event::StepStarted { step: step("vpc.main") }, at(0));
        board.event(
            &Event::StepFinished { step: step("vpc.main"), id: None, elapsed_ms: 1000 },
            at(1),
        );
        board.event(&Event::StepStarted { step: step("nat_gateway.a") }, at(1));
        let waiting = Event::StepWaiting {
            step: step("nat_gateway.a"),
            word: "pending".into(),
            elapsed_ms: 4000,
        };
        board.event(&waiting, at(5));
        assert_eq!(
            board.region(at(6)),
            ["1 of 3 done, 6s elapsed, nearly done", "  nat_gateway.a: creating, 5s, pending"]
        );
    }

    #[test]
    fn a_crowd_in_flight_is_counted_and_not_listed() {
        let mut board = ProgressBoard::new(Estimate::default());
        for i in 0..10 {
            let step = step(&format!("subnet.{i}"));
            board.event(&Event::StepStarted { step }, Duration::ZERO);
        }
        let region = board.region(Duration::ZERO);
        assert_eq!((region.len(), &*region[9]), (10, "  and 2 more"));
    }
}
