//! The exit codes, all of them. `docs/exit-codes.md` says the same to people.

use std::process::ExitCode;

/// How the program ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or nothing to do.
    Done = 0,
    /// Something failed; what was done is recorded.
    Failed = 1,
    /// `plan --detailed-exitcode`: there are changes.
    Changes = 2,
    /// The install-config, or a manifest to check, is missing or invalid.
    ConfigInvalid = 3,
    /// Somebody else holds the state.
    Locked = 4,
    /// The saved plan does not fit the world any more.
    Stale = 5,
    /// Stopped by a signal; what was done is recorded.
    Stopped = 6,
    /// A guard said no: not confirmed, for one.
    Refused = 7,
    /// Wrong usage: an unknown flag, a missing argument.
    Usage = 64,
}

impl Exit {
    /// Every code there is.
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

    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// What it means, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Exit::Done => "done, or nothing to do",
            Exit::Failed => "something failed; what was done is recorded",
            Exit::Changes => "changes are pending (only with plan --detailed-exitcode)",
            Exit::ConfigInvalid => "the install-config, or a manifest, is missing or invalid",
            Exit::Locked => "the state is locked by another run",
            Exit::Stale => "the saved plan is stale",
            Exit::Stopped => "stopped by a signal; what was done is recorded",
            Exit::Refused => "refused by a guard, such as a confirmation not given",
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
