//! `groundplan plan`: shows what an apply would change, and why.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, PlanArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let planning = async {
        let bootstrap = !arguments.wanted.no_bootstrap;
        let source = InstallConfigSource::read(common, bootstrap, ui)?;
        Session::to_plan(common, stop).plan_only(Box::new(source), &arguments.how, ui).await
    };
    unless_stopped(stop, planning).await
}
