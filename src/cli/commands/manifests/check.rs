//! `groundplan manifests check`: validates manifests as the cluster's webhook does.

use std::path::Path;

use groundplan_openshift::machine_api::from_manifests::ManifestFile;
use groundplan_openshift::machine_api::validation::{CheckResult, check};
use secrecy::ExposeSecret;
use serde_json::json;

use super::folder::OPENSHIFT;
use crate::cli::args::ManifestsCheck as Arguments;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::manifest_files::{self, PathArgument};
use crate::render::{Code, Diagnostic};

pub(super) fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit> {
    let mut paths = Vec::new();
    for PathArgument { path, files } in manifest_files::read(&arguments.paths)? {
        let checked = files.iter().map(|file| check_file(file, ui));
        paths.push((path, checked.collect::<Result<Vec<_>>>()?));
    }
    let all = || paths.iter().flat_map(|(_, files)| files);
    if !all().all(CheckResult::is_valid) {
        return Ok(Exit::ConfigInvalid);
    }
    let has_machines = |files: &[CheckResult]| files.iter().any(|checked| checked.objects > 0);
    let is_anything = paths.iter().any(|(_, files)| has_machines(files));
    // Paths with other objects, such as Secrets, are common next to paths with machines.
    let is_beside = |files: &[CheckResult]| is_anything && files.iter().any(|file| file.others > 0);
    for (path, files) in &paths {
        if !has_machines(files) && !is_beside(files) {
            ui.diagnostic(&nothing(path))?;
        }
    }
    Ok(Exit::Done)
}

fn check_file(file: &ManifestFile, ui: &mut Ui) -> Result<CheckResult> {
    let (name, text) = (&file.name, file.text.expose_secret());
    let checked = check(text);
    ui.findings(&checked.findings, name, text)?;
    let objects = checked.objects;
    if checked.is_valid() && objects > 0 {
        let noun = if objects == 1 { "object" } else { "objects" };
        ui.print_line(&format!("{name} is valid: {objects} {noun}."))?;
        ui.print_json("valid", &json!({"file": name, "objects": objects}))?;
    }
    Ok(checked)
}

/// Returns a warning for a path without machines, because the user named that path.
fn nothing(path: &Path) -> Diagnostic {
    let named = path.display();
    let summary = format!("{named} has no Machine, MachineSet or ControlPlaneMachineSet");
    let inside = path.join(OPENSHIFT);
    let diagnostic = Diagnostic::warning(Code::MachinesNotFound, summary);
    if !inside.is_dir() {
        return diagnostic;
    }
    diagnostic.with_hint(format!("pass the folder that contains them: {}", inside.display()))
}
