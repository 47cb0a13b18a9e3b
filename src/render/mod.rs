//! Plans, events and findings for people and for programs.
//!
//! Every renderer is an ordinary consumer that writes to the writer it is given, and knows no
//! cloud. Text is written with colours; whoever owns the writer takes them out where they are not
//! wanted. Nobody else prints.
//!
//! - [`plan`] and [`progress`] are what people see of a run, [`json`] what programs see of it;
//!   [`document`] is for programs what is and what is planned; [`state`] and [`dot`] show what is and what is wanted; [`diagnostics`] is the one edge that
//!   everything which goes wrong passes; [`remedies`] has the commands that help.

pub mod diagnostics;
pub mod document;
pub mod dot;
#[cfg(test)]
mod golden;
pub mod json;
pub mod plan;
pub mod progress;
pub mod remedies;
pub mod state;
mod value;

use std::fmt;
use std::time::Duration;

pub use self::diagnostics::{Diagnostic, Severity};
pub use self::plan::{PlanView, drifted};

/// The colours, each with one meaning.
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

/// A text in a colour.
fn painted(style: anstyle::Style, text: impl fmt::Display) -> String {
    format!("{style}{text}{style:#}")
}

/// `1 resource`, `2 resources`: a count agrees with its noun.
fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `3s`, `2m05s`, `1h02m`: as long as a person needs it.
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
