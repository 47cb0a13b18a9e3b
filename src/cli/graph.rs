//! `groundplan graph`: draws the graph of the desired state.

use groundplan_engine::apply::Stop;

use super::args::{Common, Format, Graph as Arguments};
use super::configured::{cluster, look};
use super::exit::Exit;
use super::failure::Result;
use super::screen::Screen;
use super::signals::unless_stopped;
use crate::render::dot;

pub(super) async fn run(
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
