//! Errors about states that several commands report.

use groundplan_engine::state::location::StateLocation;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::CommandError;
use crate::render::Diagnostic;

/// Returns the error for a cluster without recorded state.
pub(crate) fn nothing_recorded(name: &str, place: &StateLocation) -> CommandError {
    let diagnostic = Diagnostic::error(format!("nothing is recorded of a cluster called `{name}`"))
        .with_detail(format!("there is no {place}"))
        .with_hint(
            "check the name, and --state; `destroy --infra-id` takes down a cluster whose state is lost",
        );
    CommandError::new(Exit::Failed, diagnostic)
}
