//! `groundplan destroy`: deletes all recorded and untracked resources of a cluster, and proves that
//! no resource with the cluster tag is left.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, DestroyArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::destroyed_cluster::selected;
use crate::cli::session::destruction::{self, DestroySettings, PreviewSettings};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let (part, guards) = (&arguments.part, &arguments.guards);
    if let Some(out) = &arguments.out {
        let session = Session::to_plan(common, stop);
        let preflight = arguments.preflight;
        let settings = PreviewSettings { out: Some(out), preflight, part, guards };
        let previewing = async {
            let cluster = selected(&arguments.cluster, common, ui).await?;
            destruction::preview(session, cluster, &settings, ui).await
        };
        unless_stopped(stop, Box::pin(previewing)).await?;
        return Ok(Exit::Done);
    }
    let session = Session::to_change("destroy", common, stop);
    let planning = async {
        let cluster = selected(&arguments.cluster, common, ui).await?;
        destruction::plan(session, cluster, part, guards, ui).await
    };
    let planned = unless_stopped(stop, Box::pin(planning)).await?;
    let Arguments { preflight, waits, .. } = *arguments;
    let settings = DestroySettings { preflight, waits, is_saved: false };
    destruction::execute(planned, settings, ui).await
}
