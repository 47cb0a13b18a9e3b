//! `groundplan graph`: draws the graph of the desired state.

use groundplan_engine::apply::Stop;

use crate::cli::args::{Common, Format, Graph as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::install_config_source::{cluster, look};
use crate::cli::session::signals::unless_stopped;
use crate::render::dot;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let looking = look(common, !arguments.wanted.no_bootstrap, &cluster, screen);
    let graph = unless_stopped(stop, looking).await?.compiled.graph;
    match arguments.format {
        Format::Dot => screen.document(|out| dot::dot(&graph, out)),
        Format::Mermaid => screen.document(|out| dot::mermaid(&graph, out)),
    }?;
    Ok(Exit::Done)
}
