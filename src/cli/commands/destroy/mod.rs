//! `groundplan destroy`: deletes all recorded and untracked resources of a cluster, and proves that
//! no resource with the cluster tag is left.
//!
//! `lost` is a cluster without recorded state, selected by its infra ID or its metadata.json.

mod lost;

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, DestroyArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::destruction::{
    self, DestroySettings, DestroyedCluster, PreviewSettings, config_of,
};
use crate::cli::session::input_files::read_config;
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
            let cluster = cluster(arguments, common, ui).await?;
            destruction::preview(session, cluster, &settings, ui).await
        };
        unless_stopped(stop, Box::pin(previewing)).await?;
        return Ok(Exit::Done);
    }
    let session = Session::to_change("destroy", common, stop);
    let planning = async {
        let cluster = cluster(arguments, common, ui).await?;
        destruction::plan(session, cluster, part, guards, ui).await
    };
    let planned = unless_stopped(stop, Box::pin(planning)).await?;
    let Arguments { preflight, waits, .. } = *arguments;
    let settings = DestroySettings { preflight, waits, is_saved: false };
    destruction::execute(planned, settings, ui).await
}

/// Returns the cluster that the arguments name, or that of the install-config.
async fn cluster(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<DestroyedCluster> {
    if let Some(cluster) = lost::named(arguments).await? {
        return Ok(match lost::recorded(&cluster, common).await? {
            Some(name) => DestroyedCluster::Recorded { name, config: None },
            None => DestroyedCluster::Lost(cluster),
        });
    }
    let (name, config) = match &arguments.cluster {
        Some(name) => (name.clone(), config_of(name, common, ui)?),
        None => {
            let config = read_config(common, ui)?.0;
            (config.name.clone(), Some(config))
        }
    };
    Ok(DestroyedCluster::Recorded { name, config: config.map(Box::new) })
}
