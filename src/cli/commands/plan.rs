//! `groundplan plan`: shows what an apply would change, and why.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, PlanArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::destroyed_cluster::selected;
use crate::cli::session::destruction::{self, PreviewSettings};
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    if arguments.destroy {
        return destroy(arguments, common, ui, stop).await;
    }
    let planning = async {
        let bootstrap = arguments.wanted.bootstrap_choice();
        let source = InstallConfigSource::read(common, bootstrap, ui)?;
        Session::to_plan(common, stop).plan_only(Box::new(source), &arguments.how, ui).await
    };
    unless_stopped(stop, planning).await
}

/// Shows what a destroy would delete.
async fn destroy(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let how = &arguments.how;
    let (out, part, guards) = (how.out.as_deref(), &how.part, &how.guards);
    let settings = PreviewSettings { out, preflight: how.preflight, part, guards };
    let previewing = async {
        let cluster = selected(&arguments.cluster, common, ui).await?;
        destruction::preview(Session::to_plan(common, stop), cluster, &settings, ui).await
    };
    let is_changed = unless_stopped(stop, Box::pin(previewing)).await?;
    Ok(if is_changed && how.detailed_exitcode { Exit::Changes } else { Exit::Done })
}
