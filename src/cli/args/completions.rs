//! Arguments of `completions` and `man`: files for shells and manual page readers.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::help;
use crate::cli::exit_code::Exit;

const EXITS: &[Exit] = &[Exit::Done, Exit::Failed, Exit::Usage];

/// Print the completion script of a shell.
///
/// The script asks the program for each completion: commands, options and their values, and from states
/// in a folder also the names of clusters and the addresses of resources. It makes no AWS calls.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "source <(groundplan completions bash)
groundplan completions zsh > ~/.zfunc/_groundplan
groundplan completions fish > ~/.config/fish/completions/groundplan.fish",
    EXITS,
))]
pub struct CompletionsArgs {
    /// Shell.
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

/// Shell with completions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// Bash
    Bash,
    /// Z shell
    Zsh,
    /// fish
    Fish,
}

impl Shell {
    /// Returns the name of the shell.
    pub fn name(self) -> &'static str {
        match self {
            Shell::Bash => "bash",
            Shell::Zsh => "zsh",
            Shell::Fish => "fish",
        }
    }
}

/// Write manual pages, one for each command.
///
/// The files are `groundplan.1`, `groundplan-plan.1` and so on.
#[derive(Debug, Args)]
#[command(after_long_help = help::after(
    "groundplan man --out ~/.local/share/man/man1",
    EXITS,
))]
pub struct ManArgs {
    /// Folder for the pages. It is created if it is missing.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
}
