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

use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::state::State;

use crate::cli::args::{CommonArgs, StateArgs as Arguments, StateCommand as Command};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::input_files::cluster_name;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::state_errors::nothing_recorded;
use crate::cli::session::targeting::meant;
use crate::render::state::rows;
use crate::render::{Code, Diagnostic};

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    match &arguments.command {
        Command::List(arguments) => list::run(arguments, common, ui).await?,
        Command::Show(arguments) => show::run(arguments, common, ui).await?,
        Command::History(arguments) => history::run(arguments, common, ui).await?,
        Command::Mv(arguments) => mv::run(arguments, common, ui, stop).await?,
        Command::Rm(arguments) => rm::run(arguments, common, ui, stop).await?,
        Command::Pull(arguments) => pull::run(arguments, common, ui).await?,
        Command::Push(arguments) => push::run(arguments, common, ui, stop).await?,
        Command::Migrate(arguments) => migrate::run(arguments, common, ui, stop).await?,
    }
    Ok(Exit::Done)
}

/// Reads the state of the selected cluster, without the lock.
async fn seen(cluster: Option<&str>, common: &CommonArgs, ui: &mut Ui) -> Result<State> {
    let name = cluster_name(cluster, common, ui)?;
    let state = read_unlocked(common, &name, ui).await?;
    state.ok_or_else(|| nothing_recorded(&name, &common.state))
}

/// Returns the error for addresses without a record.
fn unknown(addresses: &[&Address], state: &State) -> CommandError {
    let names: Vec<_> = addresses.iter().map(|address| address.as_str()).collect();
    let diagnostic =
        Diagnostic::error(Code::AddressUnknown, format!("no record of {}", names.join(", ")))
            .with_hint(hint_for(addresses[0].as_str(), state));
    CommandError::new(Exit::Usage, diagnostic)
}

/// Returns the hint for a name without a record.
fn hint_for(name: &str, state: &State) -> String {
    meant(name, rows(state).map(|(address, ..)| address))
        .unwrap_or_else(|| "list the recorded resources with `groundplan state list`".to_owned())
}

/// Returns true if the address has a record, current or deposed.
fn is_known(state: &State, address: &Address) -> bool {
    state.resources.contains_key(address) || state.deposed.contains_key(address)
}
