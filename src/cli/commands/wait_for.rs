//! `groundplan wait-for`: waits until the installation of a cluster reaches a stage. Changes nothing.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, WaitForArgs as Arguments, WaitForCommand};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::waiting::wait_for;
use crate::installation::stages::Goal;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let (goal, options, console_output) = match &arguments.command {
        WaitForCommand::BootstrapComplete(wait) => {
            (Goal::BootstrapComplete, &wait.wait, wait.console_output)
        }
        WaitForCommand::InstallComplete(wait) => (Goal::InstallComplete, &wait.wait, false),
    };
    let waiting = wait_for(goal, options, console_output, common, ui);
    unless_stopped(stop, Box::pin(waiting)).await?;
    Ok(Exit::Done)
}
