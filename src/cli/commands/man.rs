//! `groundplan man`: writes manual pages.

use std::path::Path;

use crate::cli::args::{ManArgs as Arguments, definition};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::render::Code;

pub(crate) fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit> {
    let attempt = format!("write manual pages to {}", arguments.out.display());
    let written = write(&arguments.out)
        .map_err(|error| CommandError::could_not(Code::OutputFailed, &attempt, &error))?;
    ui.talk(&format!("{written} manual pages in {}", arguments.out.display()))?;
    Ok(Exit::Done)
}

fn write(folder: &Path) -> std::io::Result<usize> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(definition().disable_help_subcommand(true), folder)?;
    let pages = std::fs::read_dir(folder)?.flatten().map(|entry| entry.file_name());
    Ok(pages.filter(|name| name.to_string_lossy().starts_with("groundplan")).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options_and_exit_codes() {
        let folder = tempfile::tempdir().unwrap();
        assert!(write(folder.path()).unwrap() > 25);
        let page = std::fs::read_to_string(folder.path().join("groundplan-plan.1")).unwrap();
        for part in [r"\-\-detailed\-exitcode", "Exit codes:", ".SH NAME", r"\-\-state"] {
            assert!(page.contains(part), "{part} in {page}");
        }
        assert!(folder.path().join("groundplan-state-migrate.1").exists());
    }
}
