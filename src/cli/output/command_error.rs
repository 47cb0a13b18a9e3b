//! Error of a command: an exit code and messages for the user.

use std::error::Error;
use std::io;

use groundplan_engine::provider::ProviderError;

use crate::cli::exit_code::Exit;
use crate::render::{Code, Diagnostic};

/// Result of commands.
pub(crate) type Result<T> = std::result::Result<T, CommandError>;

/// Early end of a command.
#[derive(Debug)]
pub(crate) struct CommandError {
    pub(crate) exit: Exit,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl CommandError {
    pub(crate) fn new(exit: Exit, diagnostic: Diagnostic) -> Self {
        Self { exit, diagnostics: vec![diagnostic] }
    }

    /// Returns a failure without messages, because all messages are printed.
    pub(crate) fn already_printed(exit: Exit) -> Self {
        Self { exit, diagnostics: Vec::new() }
    }

    /// Returns the error `could not <attempt>` with the chain of causes.
    pub(crate) fn could_not(code: Code, attempt: &str, error: &(dyn Error + 'static)) -> Self {
        Self::new(Exit::Failed, Diagnostic::could_not(code, attempt, error))
    }

    /// Returns the error `could not <attempt>` for a failed call.
    pub(crate) fn call(attempt: &str, error: &ProviderError) -> Self {
        Self::new(Exit::Failed, Diagnostic::call_failed(attempt, error))
    }

    /// Returns the failure for a signal before the first change.
    pub(crate) fn interrupted() -> Self {
        Self::new(
            Exit::Stopped,
            Diagnostic::error(Code::Stopped, "stopped by a signal; nothing was changed"),
        )
    }
}

/// Converts an error of standard output. A closed pipe is a success, because its reader has exited.
impl From<io::Error> for CommandError {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::already_printed(Exit::Done);
        }
        Self::could_not(Code::OutputFailed, "write to standard output", &error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_has_left_is_no_error() {
        let failure = CommandError::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.exit, failure.diagnostics.len()), (Exit::Done, 0));
        let failure = CommandError::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!((failure.exit, failure.diagnostics.len()), (Exit::Failed, 1));
    }
}
