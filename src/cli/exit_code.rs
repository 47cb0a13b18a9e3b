//! All exit codes. `docs/exit-codes.md` documents them for users.

use std::process::ExitCode;

/// Exit code of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Success, or nothing to do.
    Done = 0,
    /// Failure. Completed work is recorded.
    Failed = 1,
    /// Pending changes or drift, only with `plan --detailed-exitcode`; findings of an audit.
    Changes = 2,
    /// Missing or invalid input file: install-config, manifest, assets, stream, metadata.json,
    /// kubeconfig of a wait.
    ConfigInvalid = 3,
    /// State locked by another run.
    Locked = 4,
    /// Stale saved plan: its inputs or the state have changed.
    Stale = 5,
    /// Shutdown by a signal. Completed work is recorded.
    Stopped = 6,
    /// Rejected by a guard, for example a confirmation that was not given.
    Refused = 7,
    /// Wrong usage: an unknown flag, a missing argument.
    Usage = 64,
}

impl Exit {
    /// All exit codes.
    pub const ALL: [Exit; 9] = [
        Exit::Done,
        Exit::Failed,
        Exit::Changes,
        Exit::ConfigInvalid,
        Exit::Locked,
        Exit::Stale,
        Exit::Stopped,
        Exit::Refused,
        Exit::Usage,
    ];

    /// Returns the number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns the meaning in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done, or nothing to do",
            Exit::Failed => "failed; completed steps are recorded, run again to continue",
            Exit::Changes => "changes or drift (plan --detailed-exitcode), or findings of an audit",
            Exit::ConfigInvalid => "the install-config or another input file is missing or invalid",
            Exit::Locked => "the state is locked by another run",
            Exit::Stale => "the saved plan is stale",
            Exit::Stopped => "stopped by a signal; completed steps are recorded",
            Exit::Refused => "rejected by a guard, such as a missing confirmation",
            Exit::Usage => "wrong usage",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_codes_are_a_promise() {
        assert_eq!(Exit::ALL.map(Exit::code), [0, 1, 2, 3, 4, 5, 6, 7, 64]);
    }

    #[test]
    fn every_code_is_documented() {
        let page = include_str!("../../docs/exit-codes.md");
        for exit in Exit::ALL {
            let row = format!("| {} | {} |", exit.code(), exit.meaning());
            assert!(page.contains(&row), "docs/exit-codes.md has no row `{row}`");
        }
    }
}
