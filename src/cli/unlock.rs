//! `groundplan unlock`: force-unlocks a stale state lock.

use serde_json::json;

use super::args::{Common, Unlock as Arguments};
use super::exit::Exit;
use super::failure::Result;
use super::homes;
use super::inputs::cluster_name;
use super::screen::Screen;
use super::show::nothing_recorded;

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
) -> Result<Exit> {
    let name = cluster_name(arguments.of.cluster.as_deref(), common, screen)?;
    let place = common.state.of(&name);
    if !homes::is_there(&place, common).await? {
        return Err(nothing_recorded(&name, &place));
    }
    let broken = homes::break_open(&place, &arguments.id, arguments.force, common).await?;
    let holder = broken.as_ref().and_then(|broken| broken.holder.as_deref());
    screen.tell(
        "unlocked",
        &json!({"state": place.to_string(), "taken_away": broken.is_some(), "holder": holder}),
    )?;
    if broken.is_none() {
        screen.say(&format!("Nobody holds the lock of {place}."))?;
        return Ok(Exit::Done);
    }
    let whose = holder.map_or_else(
        || "The run that had it".to_owned(),
        |holder| format!("The {} of {} (process {})", holder.operation, holder.who(), holder.pid),
    );
    screen.say(&format!(
        "The lock of {place} is free. {whose} ends when it notices, in S3 within a quarter of its \
         lease; what it had asked AWS for by then is found by the next run."
    ))?;
    Ok(Exit::Done)
}
