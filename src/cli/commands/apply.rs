//! `groundplan apply`: changes AWS to match the desired state.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{ApplyArgs as Arguments, CommonArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::destruction::{self, DestroySettings};
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::saved_plan;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let how = &arguments.how;
    let mut saved = saved_plan::read_argument(arguments.plan.as_deref(), false, stop).await?;
    if let Some(saved) = saved.take_if(|saved| saved.is_destroy()) {
        let session = Session::to_change("destroy", common, stop);
        let planning = destruction::plan_of_saved(session, saved, &how.guards, ui);
        let planned = unless_stopped(stop, Box::pin(planning)).await?;
        let (preflight, waits) = (how.preflight, how.waits);
        let settings = DestroySettings { preflight, waits, is_saved: true };
        return destruction::execute(planned, settings, ui).await;
    }
    let is_saved = saved.is_some();
    let session = Session::to_change("apply", common, stop);
    let read = |bootstrap: Option<bool>, ui: &mut Ui| -> Result<Box<dyn DesiredState>> {
        let bootstrap = bootstrap.or(arguments.wanted.bootstrap_choice());
        Ok(Box::new(InstallConfigSource::read(common, bootstrap, ui)?))
    };
    let planned = session.plan_or_saved(&read, saved, how, ui).await?;
    if how.preflight {
        planned.preflight(ui).await?;
    }
    let approved = if is_saved { planned.approve_saved() } else { planned.approve(ui).await? };
    Ok(approved.execute(how.waits, ui).await?.exit)
}
