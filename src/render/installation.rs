//! Installation of a cluster for people and for programs: outputs, and the stages of a wait.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::brief;
use crate::installation::outputs::OutputValue;
use crate::installation::stages::{Goal, StageEvent, StageMessage};

/// Width of the column with the time.
const CLOCK: usize = 6;

/// Writes the outputs of a cluster, one per line. Absent values are left out; the items of a list are
/// below each other.
///
/// # Errors
/// Returns an error if the writer fails.
pub fn write_outputs(
    outputs: &BTreeMap<&'static str, OutputValue>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let width = outputs.keys().map(|name| name.len()).max().unwrap_or(0);
    for (name, value) in outputs {
        for (number, line) in value.lines().iter().enumerate() {
            let name = if number == 0 { *name } else { "" };
            writeln!(out, "{name:<width$}  {line}")?;
        }
    }
    Ok(())
}

/// Returns a message of a wait for people: its time, its stage and its text, with causes below it.
pub fn stage_lines(event: &StageEvent) -> Vec<String> {
    let clock = brief(event.at);
    let line = |text: &str| format!("{clock:>CLOCK$}  {}: {text}", event.stage.title());
    let below = |text: &str| format!("{:CLOCK$}    {text}", "");
    match &event.what {
        StageMessage::Started => Vec::new(), // the next message says what it waits for
        StageMessage::Waiting(message) => vec![line(message)],
        StageMessage::Finished(message) => {
            vec![line(&format!("{message} (after {})", brief(event.in_stage)))]
        }
        StageMessage::Attention { summary, command } => vec![line(summary), below(command)],
        StageMessage::Late { usual, reasons } => {
            let first =
                format!("late: {} so far, usually {}", brief(event.in_stage), brief(*usual));
            [line(&first)].into_iter().chain(reasons.iter().map(|reason| below(reason))).collect()
        }
    }
}

/// Returns a message of a wait for programs.
pub fn stage_fields(goal: Goal, event: &StageEvent) -> Value {
    let (status, message, reasons, command) = match &event.what {
        StageMessage::Started => ("started", None, &[][..], None),
        StageMessage::Waiting(message) => ("waiting", Some(message), &[][..], None),
        StageMessage::Finished(message) => ("finished", Some(message), &[][..], None),
        StageMessage::Late { reasons, .. } => ("late", None, reasons.as_slice(), None),
        StageMessage::Attention { summary, command } => {
            ("attention", Some(summary), &[][..], Some(command))
        }
    };
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    json!({
        "goal": goal.name(),
        "stage": event.stage.name(),
        "status": status,
        "message": message,
        "reasons": reasons,
        "command": command,
        "elapsed_ms": milliseconds(event.at),
        "stage_elapsed_ms": milliseconds(event.in_stage),
    })
}

/// Live line on the terminal, below the messages of a wait: the current stage and its time.
#[derive(Debug)]
pub struct WaitLine(ProgressBar);

impl WaitLine {
    /// Starts the line on standard error.
    pub fn begin() -> Self {
        Self::on(ProgressDrawTarget::stderr())
    }

    fn on(target: ProgressDrawTarget) -> Self {
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("{spinner} {msg}: waiting, {elapsed}");
        bar.set_style(style.expect("BUG: the template is a constant"));
        bar.enable_steady_tick(Duration::from_millis(200));
        Self(bar)
    }

    /// Shows the stage of a message. The time begins anew with each stage.
    pub fn show(&self, event: &StageEvent) {
        if event.what == StageMessage::Started {
            self.0.reset_elapsed();
        }
        self.0.set_message(event.stage.title());
    }

    /// Prints above the line.
    pub fn above<T>(&self, print: impl FnOnce() -> T) -> T {
        self.0.suspend(print)
    }
}

impl Drop for WaitLine {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::installation::stages::Stage;

    fn event(what: StageMessage) -> StageEvent {
        let (at, in_stage) = (Duration::from_secs(905), Duration::from_secs(900));
        StageEvent { stage: Stage::Bootstrap, at, in_stage, what }
    }

    #[test]
    fn a_message_of_a_wait_has_its_time_and_its_stage() {
        let lines = |what| stage_lines(&event(what));
        assert_eq!(lines(StageMessage::Started), [""; 0]);
        let waiting = StageMessage::Waiting("no master has joined yet".into());
        assert_eq!(lines(waiting), ["15m05s  bootstrap: no master has joined yet"]);
        let finished = StageMessage::Finished("complete".into());
        assert_eq!(lines(finished), ["15m05s  bootstrap: complete (after 15m00s)"]);
        let late = StageMessage::Late {
            usual: Duration::from_secs(600),
            reasons: vec!["Node m-1 is not ready".into()],
        };
        assert_eq!(
            lines(late),
            [
                "15m05s  bootstrap: late: 15m00s so far, usually 10m00s",
                "          Node m-1 is not ready",
            ]
        );
    }

    #[test]
    fn the_live_line_names_the_stage() {
        let line = WaitLine::on(ProgressDrawTarget::hidden());
        line.show(&event(StageMessage::Started));
        assert_eq!(line.0.message(), "bootstrap");
        assert_eq!(line.above(|| 7), 7);
    }

    #[test]
    fn every_key_of_a_wait_is_documented() {
        let page = include_str!("../../docs/formats.md");
        let row = page.lines().find(|line| line.starts_with("| `wait_stage` |")).unwrap();
        let attention = StageMessage::Attention { summary: "s".into(), command: "oc".into() };
        let fields = stage_fields(Goal::BootstrapComplete, &event(attention));
        for key in fields.as_object().unwrap().keys() {
            assert!(row.contains(&format!("`{key}`")), "docs/formats.md does not explain `{key}`");
        }
        assert_eq!((&fields["status"], &fields["command"]), (&json!("attention"), &json!("oc")));
        for status in ["started", "waiting", "late", "attention", "finished"] {
            assert!(row.contains(&format!("`{status}`")), "{status}");
        }
    }

    #[test]
    fn outputs_are_in_columns_and_absent_ones_are_left_out() {
        let outputs = BTreeMap::from([
            ("api_url", OutputValue::Text(Some("https://api".into()))),
            ("master_ips", OutputValue::List(vec!["10.0.0.1".into(), "10.0.0.2".into()])),
            ("vpc_id", OutputValue::Text(None)),
        ]);
        let mut text = Vec::new();
        write_outputs(&outputs, &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "api_url     https://api\nmaster_ips  10.0.0.1\n            10.0.0.2\n"
        );
    }
}
