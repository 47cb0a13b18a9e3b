//! `groundplan schema`: what an install-config or a manifest may say, for editors.

use super::args::{Described, Schema as Arguments};
use super::exit::Exit;
use super::failure::Result;
use super::screen::Screen;
use crate::config::json_schema;
use crate::machine_api::schemas;

pub(super) fn run(arguments: &Arguments, screen: &mut Screen) -> Result<Exit> {
    let schema = match arguments.of {
        Described::InstallConfig => json_schema(),
        Described::Machine => schemas::machine(),
        Described::MachineSet => schemas::machine_set(),
        Described::ControlPlaneMachineSet => schemas::control_plane_machine_set(),
    };
    screen.document(|out| {
        serde_json::to_writer_pretty(&mut *out, &schema)?;
        writeln!(out)
    })?;
    Ok(Exit::Done)
}
