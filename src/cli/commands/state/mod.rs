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

use crate::cli::args::{Common, State as Arguments, StateCommand as Command};
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::{Held, glance};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_backend;
use crate::cli::session::state_errors::nothing_recorded;
use crate::render::Diagnostic;

pub(crate) async fn run(
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
pub(crate) async fn taken(
    cluster: Option<&str>,
    common: &Common,
    operation: &str,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Held> {
    let name = cluster_name(cluster, common, screen)?;
    let place = common.state.of(&name);
    if !state_backend::is_there(&place, common).await? {
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
