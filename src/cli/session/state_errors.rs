//! Errors about states that several commands report.

use groundplan_engine::state::location::StateLocation;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::CommandError;
use crate::render::Diagnostic;

/// Returns the error for a cluster without recorded state.
pub(crate) fn nothing_recorded(name: &str, place: &StateLocation) -> CommandError {
    let diagnostic = Diagnostic::error(format!("no state of a cluster named `{name}` found"))
        .with_detail(format!("{place} does not exist"))
        .with_hint(
            "check the name and --state; `groundplan recover` rebuilds a lost state, and `groundplan \
             destroy --infra-id ID` deletes a cluster that has none",
        );
    CommandError::new(Exit::Failed, diagnostic)
}
