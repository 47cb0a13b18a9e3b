//! `groundplan schema`: prints JSON Schemas and CRDs of input files, for editors and clusters.

use groundplan_openshift::install_config::json_schema;
use groundplan_openshift::machine_api::{crds, schemas, yaml};
use serde_json::Value;

use crate::cli::args::{Described, Schema as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;

pub(crate) fn run(arguments: &Arguments, screen: &mut Screen) -> Result<Exit> {
    match arguments.of {
        Described::InstallConfig => json(&json_schema(), screen),
        Described::Machine => json(&schemas::machine(), screen),
        Described::MachineSet => json(&schemas::machine_set(), screen),
        Described::ControlPlaneMachineSet => json(&schemas::control_plane_machine_set(), screen),
        Described::MachineCrd => manifest(&crds::machine(), screen),
        Described::MachineSetCrd => manifest(&crds::machine_set(), screen),
    }
}

fn json(schema: &Value, screen: &mut Screen) -> Result<Exit> {
    screen.document(|out| {
        serde_json::to_writer_pretty(&mut *out, schema)?;
        writeln!(out)
    })?;
    Ok(Exit::Done)
}

fn manifest(definition: &Value, screen: &mut Screen) -> Result<Exit> {
    screen.document(|out| out.write_all(yaml::write(definition).as_bytes()))?;
    Ok(Exit::Done)
}
