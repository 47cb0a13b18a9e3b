//! `groundplan unlock`: force-unlocks a stale state lock.

use serde_json::json;

use crate::cli::args::{CommonArgs, UnlockArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::state_backend;
use crate::cli::session::state_errors::nothing_recorded;

pub(crate) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let name = cluster_name(arguments.of.cluster.as_deref(), common, ui)?;
    let place = common.state.of(&name);
    if !state_backend::is_there(&place, common).await? {
        return Err(nothing_recorded(&name, &common.state));
    }
    let broken = state_backend::break_open(&place, &arguments.id, arguments.force, common).await?;
    let holder = broken.as_ref().and_then(|broken| broken.holder.as_deref());
    ui.print_json(
        "unlocked",
        &json!({"state": place.to_string(), "taken_away": broken.is_some(), "holder": holder}),
    )?;
    if broken.is_none() {
        ui.print_line(&format!("The state {place} is not locked."))?;
        return Ok(Exit::Done);
    }
    let whose = holder.map_or_else(
        || "The run that had the lock".to_owned(),
        |holder| format!("The {} of {} (process {})", holder.operation, holder.who(), holder.pid),
    );
    ui.print_line(&format!(
        "The lock of {place} is released. {whose} ends before its next call, with a state in S3 \
         within a quarter of its lease. The next run finds the results of the calls it has sent."
    ))?;
    Ok(Exit::Done)
}
