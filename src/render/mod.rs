//! Plans, events and findings for people and for programs.
//!
//! Every renderer consumes data and writes to the given writer, and calls no cloud. Text contains
//! colours; the owner of the writer strips them where they are not wanted. No other module prints.
//!
//! - [`plan`] and [`progress`]: plans and runs for people.
//! - [`json`]: plans and runs for programs, as JSON lines.
//! - [`markdown`]: plans as comments of a pull request.
//! - [`document`]: state and plan for programs, as one JSON document each.
//! - [`state`] and [`dot`]: recorded state and desired graph.
//! - [`installation`]: outputs of a cluster, and the stages of a wait.
//! - [`diagnostics`]: all errors and warnings, and [`codes`]: their stable names.
//! - [`table`]: lists in columns.
//! - [`screen`]: text without characters that a terminal would obey.

pub mod codes;
pub mod diagnostics;
pub mod document;
pub mod dot;
#[cfg(test)]
mod golden;
pub mod imds;
pub mod installation;
pub mod json;
pub mod markdown;
pub mod plan;
pub mod progress;
pub mod remedies;
pub mod screen;
pub mod state;
pub mod table;
mod value;

use std::fmt;
use std::time::Duration;

pub use self::codes::{Code, CodeGroup};
pub use self::diagnostics::{Diagnostic, DiagnosticSeverity};
pub use self::plan::{PlanView, drifted};

/// Colours, each with one meaning.
mod palette {
    use anstyle::{AnsiColor, Style};

    pub(super) const CREATE: Style = AnsiColor::Green.on_default();
    pub(super) const UPDATE: Style = AnsiColor::Yellow.on_default();
    pub(super) const DELETE: Style = AnsiColor::Red.on_default();
    pub(super) const ERROR: Style = AnsiColor::Red.on_default().bold();
    pub(super) const WARNING: Style = AnsiColor::Yellow.on_default().bold();
    pub(super) const HINT: Style = AnsiColor::Cyan.on_default();
    pub(super) const STRONG: Style = Style::new().bold();
    pub(super) const FAINT: Style = Style::new().dimmed();
}

/// Returns the text in a colour.
fn painted(style: anstyle::Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// Returns a number with its noun: `1 resource`, `2 resources`.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// Returns a duration in at most two units: `3s`, `2m05s`, `1h02m`.
pub(crate) fn brief(duration: Duration) -> String {
    match duration.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        seconds => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_as_long_as_a_person_needs_it() {
        let said = |seconds| brief(Duration::from_secs(seconds));
        assert_eq!([said(0), said(59), said(60), said(125)], ["0s", "59s", "1m00s", "2m05s"]);
        assert_eq!([said(3600), said(3725)], ["1h00m", "1h02m"]);
    }

    #[test]
    fn a_count_agrees_with_its_noun() {
        assert_eq!(
            [count(0, "resource"), count(1, "resource"), count(2, "resource")],
            ["0 resources", "1 resource", "2 resources"]
        );
    }
}
