//! `groundplan protect` and `groundplan unprotect`: resources that no run may delete or replace.

use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::state::Entry;
use serde_json::json;

use crate::cli::args::{CommonArgs, ProtectArgs, UnprotectArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::locked_state::LockedState;
use crate::cli::session::targeting::recorded_by;

pub(crate) async fn protect(
    arguments: &ProtectArgs,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let cluster = arguments.of.cluster.as_deref();
    let mut held = LockedState::take_existing(cluster, common, "protect", ui, stop).await?;
    let named = recorded_by(&arguments.addresses, &held.state)?;
    let protected = &held.state.protected;
    let new: Vec<Address> = named.into_iter().filter(|one| !protected.contains(one)).collect();
    let entry = |address: &Address| Entry::Protected { address: address.clone() };
    held.record(&new.iter().map(entry).collect::<Vec<_>>(), ui).await?;
    held.close().await?;
    print_result(&new, "protected", "is protected: no run deletes or replaces it", ui)
}

pub(crate) async fn unprotect(
    arguments: &UnprotectArgs,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let cluster = arguments.of.cluster.as_deref();
    let mut held = LockedState::take_existing(cluster, common, "unprotect", ui, stop).await?;
    let mut named = recorded_by(&arguments.addresses, &held.state)?;
    named.retain(|one| held.state.protected.contains(one));
    let named: Vec<Address> = named.into_iter().collect();
    let entry = |address: &Address| Entry::Unprotected { address: address.clone() };
    held.record(&named.iter().map(entry).collect::<Vec<_>>(), ui).await?;
    held.close().await?;
    print_result(&named, "unprotected", "is no longer protected", ui)
}

fn print_result(addresses: &[Address], kind: &str, what: &str, ui: &mut Ui) -> Result<Exit> {
    for address in addresses {
        ui.print_json(kind, &json!({"address": address}))?;
        ui.print_line(&format!("{address} {what}."))?;
    }
    if addresses.is_empty() {
        ui.print_line("Nothing to change.")?;
    }
    Ok(Exit::Done)
}
