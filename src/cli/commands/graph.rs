//! `groundplan graph`: draws the graph of the desired state.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{CommonArgs, GraphArgs as Arguments, GraphFormat};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::install_config_source::{cluster, compile_preview};
use crate::cli::session::signals::unless_stopped;
use crate::render::dot;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let looking = compile_preview(common, arguments.wanted.bootstrap_choice(), &cluster, ui);
    let graph = unless_stopped(stop, looking).await?.compiled.graph;
    match arguments.format {
        GraphFormat::Dot => ui.document(|out| dot::dot(&graph, out)),
        GraphFormat::Mermaid => ui.document(|out| dot::mermaid(&graph, out)),
    }?;
    Ok(Exit::Done)
}
