//! `groundplan unlock`: force-unlocks a stale state lock.

use groundplan_engine::state::location::StateLocation;
use serde_json::json;

use crate::cli::args::{CommonArgs, UnlockArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::state_backend;
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::{Code, Diagnostic};

pub(crate) async fn run(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<Exit> {
    let name = cluster_name(arguments.of.cluster.as_deref(), common, ui)?;
    let place = common.state.of(&name);
    if !state_backend::is_there(&place, common).await? {
        return Err(nothing_recorded(&name, &common.state));
    }
    let broken = state_backend::break_open(&place, &arguments.id, arguments.force, common).await?;
    let broken = broken.ok_or_else(|| not_locked(&place))?;
    let holder = broken.holder.as_deref();
    ui.print_json(
        "unlocked",
        &json!({"state": place.to_string(), "taken_away": true, "holder": holder}),
    )?;
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

/// Returns the error for a state without a lock, as of `terraform force-unlock`: the ID may be that of
/// another state.
fn not_locked(place: &StateLocation) -> CommandError {
    let summary = format!("the state {place} is not locked; nothing was changed");
    let diagnostic = Diagnostic::error(Code::UnlockRefused, summary).with_hint(
        "run the command again that was blocked; if it still reports a lock, pass the same --state and \
         --cluster to this command",
    );
    CommandError::new(Exit::Refused, diagnostic)
}
