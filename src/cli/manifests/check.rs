//! `groundplan manifests check`: would the cluster take these machines?

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::cli::args::ManifestsCheck as Arguments;
use crate::cli::exit::Exit;
use crate::cli::failure::{Failure, Result};
use crate::cli::screen::Screen;
use crate::machine_api::check::{Checked, check};
use crate::render::Diagnostic;

pub(super) fn run(arguments: &Arguments, screen: &mut Screen) -> Result<Exit> {
    let mut exit = Exit::Done;
    for path in &arguments.files {
        if !check_file(path, screen)?.is_valid() {
            exit = Exit::ConfigInvalid;
        }
    }
    Ok(exit)
}

fn check_file(path: &Path, screen: &mut Screen) -> Result<Checked> {
    let file = path.display().to_string();
    let text = fs::read_to_string(path).map_err(|error| {
        let diagnostic = Diagnostic::could_not(&format!("read {file}"), &error);
        Failure::new(Exit::ConfigInvalid, diagnostic.with_hint("give files in YAML"))
    })?;
    let checked = check(&text);
    screen.findings(&checked.findings, &file, &text)?;
    if !checked.is_valid() {
        return Ok(checked);
    }
    if checked.objects == 0 {
        let summary = format!("{file} has no Machine, MachineSet or ControlPlaneMachineSet");
        screen.diagnostic(&Diagnostic::warning(summary))?;
        return Ok(checked);
    }
    let objects = checked.objects;
    let noun = if objects == 1 { "object" } else { "objects" };
    screen.say(&format!("{file} is valid: {objects} {noun}."))?;
    screen.tell("valid", &json!({"file": file, "objects": objects}))?;
    Ok(checked)
}
