//! `groundplan machines`: plans, applies and destroys the machines of manifests.
//!
//! - `destroy`: terminates the recorded machines, or reports similar states and instances.
//! - `recover`: rebuilds a lost state of machines.
//! - `source`: manifests as the desired state.

mod destroy;
mod recover;

use std::path::PathBuf;

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, MachinesApply, MachinesArgs as Arguments, MachinesCommand};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::manifests_source::ManifestsSource;
use crate::cli::session::saved_plan;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    match &arguments.command {
        MachinesCommand::Plan(arguments) => {
            let planning = async {
                let source = read(&arguments.manifests, ui)?;
                Session::to_plan(common, stop).plan_only(source, &arguments.how, ui).await
            };
            unless_stopped(stop, planning).await
        }
        MachinesCommand::Apply(arguments) => apply(arguments, common, ui, stop).await,
        MachinesCommand::Destroy(arguments) => destroy::destroy(arguments, common, ui, stop).await,
        MachinesCommand::Recover(arguments) => recover::recover(arguments, common, ui, stop).await,
    }
}

fn read(paths: &[PathBuf], ui: &mut Ui) -> Result<Box<dyn DesiredState>> {
    Ok(Box::new(ManifestsSource::read(paths, ui)?))
}

async fn apply(
    arguments: &MachinesApply,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let how = &arguments.how;
    let saved = saved_plan::read_argument(arguments.plan.as_deref(), true, stop).await?;
    let is_saved = saved.is_some();
    let session = Session::to_change("apply", common, stop);
    // Manifests have no bootstrap machine.
    let read = |_, ui: &mut Ui| read(&arguments.manifests, ui);
    let planned = session.plan_or_saved(&read, saved, how, ui).await?;
    planned.gate(&how.gate, ui).await?;
    if how.preflight {
        planned.preflight(ui).await?;
    }
    let approved = planned.approve(is_saved, ui).await?;
    Ok(approved.execute(arguments.how.waits, ui).await?.exit)
}
