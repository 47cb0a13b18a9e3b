//! The program: one file per subcommand, wired from the rooms below.

pub mod args;
pub mod exit;
mod failure;
mod prompt;
mod saved_plan;
mod screen;
mod signals;
