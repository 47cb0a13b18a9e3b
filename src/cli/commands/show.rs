//! `groundplan show`: prints the recorded state, or a saved plan.

use std::path::Path;

use crate::cli::args::{Common, Show as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::glance;
use crate::cli::session::plan_preview::view;
use crate::cli::session::saved_plan;
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::{document, state};

pub(crate) async fn run(
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
