//! `groundplan show`: prints a recorded state or a saved plan. Makes no AWS calls, except to read a
//! state from S3, and takes no lock.

use std::path::Path;

use groundplan_aws::schemas;

use crate::cli::args::{CommonArgs, ShowArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::plan_preview::view;
use crate::cli::session::saved_plan;
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::{document, state};

pub(crate) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    match &arguments.plan {
        Some(path) => show_plan(path, arguments.full, common, ui)?,
        None => show_state(arguments, common, ui).await?,
    }
    Ok(Exit::Done)
}

fn show_plan(path: &Path, full: bool, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let saved = saved_plan::read(path)?;
    let view = view(common, &saved.plan, full, &saved.warnings);
    Ok(ui.show_plan(&view, || document::plan(&view, &schemas()))?)
}

async fn show_state(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    let name = cluster_name(arguments.cluster.as_deref(), common, ui)?;
    let recorded = read_unlocked(common, &name, ui).await?;
    let recorded = recorded.ok_or_else(|| nothing_recorded(&name, &common.state))?;
    Ok(ui.show(|out| state::human(&recorded, out), || document::state(&recorded, &schemas()))?)
}
