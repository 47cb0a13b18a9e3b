//! Arguments of `explain`: pages of error codes.

use clap::Args;

use super::help;
use crate::cli::exit_code::Exit;

/// Explain the code of an error, a warning or a finding.
///
/// Messages begin with their code: `error[state-locked]: ...`. The page says what happened, why, and what
/// to do. Without CODE: list all codes with their meanings.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan explain state-locked
groundplan explain          # all codes",
    &[Exit::Done, Exit::Failed, Exit::Usage],
))]
pub struct ExplainArgs {
    /// Code of a message, or the rule of a finding.
    #[arg(value_name = "CODE")]
    pub code: Option<String>,
}
