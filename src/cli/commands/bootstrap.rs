//! `groundplan bootstrap destroy`: removes the bootstrap of an installed cluster, and records that.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{BootstrapArgs as Arguments, BootstrapCommand, CommonArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let BootstrapCommand::Destroy(arguments) = &arguments.command;
    let session = Session::to_change("bootstrap destroy", common, stop);
    let source = Box::new(InstallConfigSource::read(common, Some(false), ui)?);
    let planned = session.plan_removal(source, &arguments.guards, ui).await?;
    if arguments.preflight {
        planned.preflight(ui).await?;
    }
    Ok(planned.approve(false, ui).await?.execute(arguments.waits, ui).await?.exit)
}
