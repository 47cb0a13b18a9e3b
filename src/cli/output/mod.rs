//! The terminal, command errors, exit codes, prompts, and JSON in files.

pub(crate) mod command_error;
pub mod exit_code;
pub(crate) mod json_file;
pub(crate) mod prompt;
pub(crate) mod ui;
