//! `groundplan apply`: changes AWS to match the desired state.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{ApplyArgs as Arguments, CommonArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::saved_plan;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let how = &arguments.how;
    let saved = saved_plan::read_argument(arguments.plan.as_deref(), false, stop).await?;
    let session = Session::to_change("apply", common, stop, ui)?;
    let read = |bootstrap: Option<bool>, ui: &mut Ui| -> Result<Box<dyn DesiredState>> {
        let bootstrap = bootstrap.unwrap_or(!arguments.wanted.no_bootstrap);
        Ok(Box::new(InstallConfigSource::read(common, bootstrap, ui)?))
    };
    let planned = session.plan_or_saved(&read, saved, how, ui).await?;
    if how.preflight {
        planned.preflight(ui).await?;
    }
    let approved = planned.approve(ui).await?;
    Ok(approved.execute(how.waits, ui).await?.exit)
}
