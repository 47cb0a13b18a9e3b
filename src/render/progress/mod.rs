//! Progress of a run for people.
//!
//! [`ProgressLines`] writes one line per event, for pipes and logs. [`LiveRegion`] keeps a live region on a
//! terminal up to date. Both use Terraform's wording. [`Failures`] collects failures for a report
//! after the run. All of them know only the events and decide nothing.

mod board;
mod estimate;
mod failures;
mod lines;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::screen::on_screen;

pub use self::board::ProgressBoard;
pub use self::estimate::{CriticalPath, Estimate};
pub use self::failures::Failures;
pub use self::lines::ProgressLines;
use groundplan_engine::event::{Event, StepAction};

/// Live region on the terminal with the progress of the run. Completed steps scroll away above it.
#[derive(Debug)]
pub struct LiveRegion {
    bar: ProgressBar,
    board: Arc<Mutex<ProgressBoard>>,
    lines: ProgressLines<Vec<u8>>,
    colour: bool,
    since: Instant,
}

impl LiveRegion {
    /// Starts the live region on standard error.
    pub fn begin(estimate: Estimate, colour: bool) -> Self {
        Self::on(estimate, colour, ProgressDrawTarget::stderr())
    }

    fn on(estimate: Estimate, colour: bool, target: ProgressDrawTarget) -> Self {
        let since = Instant::now();
        let board = Arc::new(Mutex::new(ProgressBoard::new(estimate)));
        let bar = ProgressBar::with_draw_target(None, target);
        let shown = Arc::clone(&board);
        // Called at every tick, so that the seconds advance between events.
        let region = move |_: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
            let mut board = shown.lock().unwrap_or_else(PoisonError::into_inner);
            let _ = out.write_str(&board.region(since.elapsed()).join("\n")); // a String
        };
        let style = ProgressStyle::with_template("{spinner} {region}")
            .expect("BUG: the template is a constant")
            .with_key("region", region);
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(200));
        Self { bar, board, lines: ProgressLines::new(Vec::new()), colour, since }
    }

    /// Shows an event.
    ///
    /// # Errors
    /// Never fails: errors of the terminal do not stop the run.
    pub fn event(&mut self, event: &Event) -> io::Result<()> {
        let now = self.since.elapsed();
        self.board.lock().unwrap_or_else(PoisonError::into_inner).event(event, now);
        if !matches!(event, Event::StepStarted { .. } | Event::StepWaiting { .. }) {
            self.lines.event(event)?;
            let said = self.lines.take();
            for line in on_screen(&String::from_utf8_lossy(&said)).lines() {
                match self.colour {
                    true => self.bar.println(line),
                    false => self.bar.println(anstream::adapter::strip_str(line).to_string()),
                }
            }
        }
        if matches!(event, Event::Finished { .. }) {
            self.bar.finish_and_clear();
        }
        Ok(())
    }
}

impl Drop for LiveRegion {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Forms of the verb of a step.
struct VerbForms {
    begins: &'static str,
    goes_on: &'static str,
    done: &'static str,
    noun: &'static str,
}

fn words(action: StepAction) -> VerbForms {
    let (begins, goes_on, done, noun) = match action {
        StepAction::Create => ("Creating", "creating", "Creation complete", "Creation"),
        StepAction::Finish => ("Finishing", "finishing", "Finished", "Finishing"),
        StepAction::Update => ("Modifying", "modifying", "Modifications complete", "Modification"),
        StepAction::Delete => ("Destroying", "destroying", "Destruction complete", "Destruction"),
    };
    VerbForms { begins, goes_on, done, noun }
}

#[cfg(test)]
mod tests {
    use groundplan_engine::event::{Operation, StepName, Summary};

    use super::*;

    #[test]
    fn a_terminal_that_is_none_is_not_written_to_and_nothing_breaks() {
        let mut live = LiveRegion::on(Estimate::default(), true, ProgressDrawTarget::hidden());
        let step =
            StepName { address: "vpc.main".into(), generation: 1, action: StepAction::Create };
        let events = [
            Event::Started { operation: Operation::Apply, steps: 1, critical_path_seconds: 1 },
            Event::StepStarted { step: step.clone() },
            Event::StepFinished { step, id: Some("vpc-1".into()), elapsed_ms: 10 },
            Event::Finished { operation: Operation::Apply, summary: Summary::default() },
        ];
        for event in &events {
            live.event(event).unwrap();
        }
        assert!(live.bar.is_finished());
    }
}
