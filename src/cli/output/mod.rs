//! The terminal, command errors, prompts, and JSON in files.

pub(crate) mod command_error;
pub(crate) mod json_file;
pub(crate) mod output_file;
pub(crate) mod prompt;
pub(crate) mod ui;
pub(crate) mod width;
