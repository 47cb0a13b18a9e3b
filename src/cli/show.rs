//! `groundplan show`: prints the recorded state, or a saved plan.

use std::path::Path;

use groundplan_engine::state::location::Place;

use super::args::{Common, Show as Arguments};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::glance;
use super::inputs::cluster_name;
use super::preview::view;
use super::saved_plan;
use super::screen::Screen;
use crate::render::{Diagnostic, document, state};

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
) -> Result<Exit> {
    match &arguments.plan {
        Some(path) => show_plan(path, arguments.full, screen)?,
        None => show_state(arguments, common, screen).await?,
    }
    Ok(Exit::Done)
}

fn show_plan(path: &Path, full: bool, screen: &mut Screen) -> Result<()> {
    let saved = saved_plan::read(path)?;
    let view = view(&saved.plan, full, &saved.warnings);
    Ok(screen.show(|out| view.write(out), || document::plan(&view))?)
}

async fn show_state(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<()> {
    let name = cluster_name(arguments.cluster.as_deref(), common, screen)?;
    let known = glance(common, &name, screen).await?;
    let known = known.ok_or_else(|| nothing_recorded(&name, &common.state.of(&name)))?;
    Ok(screen.show(|out| state::human(&known, out), || document::state(&known))?)
}

/// Returns the error for a cluster without recorded state.
pub(super) fn nothing_recorded(name: &str, place: &Place) -> Failure {
    let diagnostic = Diagnostic::error(format!("nothing is recorded of a cluster called `{name}`"))
        .with_detail(format!("there is no {place}"))
        .with_hint(
            "check the name, and --state; `destroy --infra-id` takes down a cluster whose state is lost",
        );
    Failure::new(Exit::Failed, diagnostic)
}
