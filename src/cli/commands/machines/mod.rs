//! `groundplan machines`: plans, applies and destroys the machines of manifests.
//!
//! - `destroy`: terminates the recorded machines, or reports similar states and instances.
//! - `recover`: rebuilds a lost state of machines.
//! - `source`: manifests as the desired state.

mod destroy;
mod recover;

use std::path::PathBuf;

use crate::cli::session::manifests_source::Manifests;
pub(crate) use crate::cli::session::manifests_source::state_of;
use groundplan_engine::apply::Stop;

use super::apply::applied;
use super::plan::planned;
use crate::cli::args::{Common, Machines as Arguments, MachinesApply, MachinesCommand};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::desired_state::Source;
use crate::cli::session::saved_plan;
use crate::cli::session::signals::unless_stopped;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    match &arguments.command {
        MachinesCommand::Plan(arguments) => {
            let planning = async {
                let source = read(&arguments.manifests, screen)?;
                planned(source, &arguments.how, common, screen).await
            };
            unless_stopped(stop, planning).await
        }
        MachinesCommand::Apply(arguments) => apply(arguments, common, screen, stop).await,
        MachinesCommand::Destroy(arguments) => {
            destroy::destroy(arguments, common, screen, stop).await
        }
        MachinesCommand::Recover(arguments) => {
            recover::recover(arguments, common, screen, stop).await
        }
    }
}

fn read(paths: &[PathBuf], screen: &mut Screen) -> Result<Box<dyn Source>> {
    Ok(Box::new(Manifests::read(paths, screen)?))
}

async fn apply(
    arguments: &MachinesApply,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    if let Some(path) = &arguments.plan {
        saved_plan::must_be(true, path)?;
    }
    // Manifests have no bootstrap machine.
    let read = |_, screen: &mut Screen| read(&arguments.manifests, screen);
    applied(&read, arguments.plan.as_deref(), &arguments.how, common, screen, stop).await
}
