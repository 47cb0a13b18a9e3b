//! `groundplan schema`: prints JSON Schemas and CRDs of input files, for editors and clusters.

use groundplan_openshift::install_config::json_schema;
use groundplan_openshift::machine_api::{crds, schemas, yaml};
use serde_json::Value;

use crate::cli::args::{DocumentKind, SchemaArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;

pub(crate) fn run(arguments: &Arguments, ui: &mut Ui) -> Result<Exit> {
    match arguments.of {
        DocumentKind::InstallConfig => json(&json_schema(), ui),
        DocumentKind::Machine => json(&schemas::machine(), ui),
        DocumentKind::MachineSet => json(&schemas::machine_set(), ui),
        DocumentKind::ControlPlaneMachineSet => json(&schemas::control_plane_machine_set(), ui),
        DocumentKind::MachineCrd => manifest(&crds::machine(), ui),
        DocumentKind::MachineSetCrd => manifest(&crds::machine_set(), ui),
    }
}

fn json(schema: &Value, ui: &mut Ui) -> Result<Exit> {
    ui.document(|out| {
        serde_json::to_writer_pretty(&mut *out, schema)?;
        writeln!(out)
    })?;
    Ok(Exit::Done)
}

fn manifest(definition: &Value, ui: &mut Ui) -> Result<Exit> {
    ui.document(|out| out.write_all(yaml::write(definition).as_bytes()))?;
    Ok(Exit::Done)
}
