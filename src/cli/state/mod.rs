//! `groundplan state`: reads and changes the recorded state without AWS calls. One file per
//! subcommand.

mod history;
mod list;
mod migrate;
mod mv;
mod pull;
mod push;
mod rm;
mod show;

use groundplan_engine::apply::Stop;
use groundplan_engine::graph::Address;
use groundplan_engine::state::State;

use super::args::{Common, State as Arguments, StateCommand as Command};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::{Held, glance};
use super::homes;
use super::inputs::cluster_name;
use super::screen::Screen;
use super::show::nothing_recorded;
use super::signals::unless_stopped;
use crate::render::Diagnostic;

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments, common, screen).await?,
        Command::Show(arguments) => show::run(arguments, common, screen).await?,
        Command::History(arguments) => history::run(arguments, common, screen).await?,
        Command::Mv(arguments) => mv::run(arguments, common, screen, stop).await?,
        Command::Rm(arguments) => rm::run(arguments, common, screen, stop).await?,
        Command::Pull(arguments) => pull::run(arguments, common, screen).await?,
        Command::Push(arguments) => push::run(arguments, common, screen, stop).await?,
        Command::Migrate(arguments) => migrate::run(arguments, common, screen, stop).await?,
    }
    Ok(Exit::Done)
}

/// Reads the state of the selected cluster, without the lock.
async fn seen(cluster: Option<&str>, common: &Common, screen: &mut Screen) -> Result<State> {
    let name = cluster_name(cluster, common, screen)?;
    let state = glance(common, &name, screen).await?;
    state.ok_or_else(|| nothing_recorded(&name, &common.state.of(&name)))
}

/// Locks the state of the selected cluster. Only the wait for the lock can be interrupted, because
/// later work is short and atomic.
pub(super) async fn taken(
    cluster: Option<&str>,
    common: &Common,
    operation: &str,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Held> {
    let name = cluster_name(cluster, common, screen)?;
    let place = common.state.of(&name);
    if !homes::is_there(&place, common).await? {
        return Err(nothing_recorded(&name, &place));
    }
    unless_stopped(stop, Held::take(common, &name, operation, screen)).await
}

/// Returns the error for addresses without a record.
fn unknown(addresses: &[&Address]) -> Failure {
    let names: Vec<_> = addresses.iter().map(|address| address.as_str()).collect();
    let diagnostic = Diagnostic::error(format!("nothing is recorded of {}", names.join(", ")))
        .with_hint("`groundplan state list` says what is recorded");
    Failure::new(Exit::Failed, diagnostic)
}
