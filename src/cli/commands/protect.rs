//! `groundplan protect` and `groundplan unprotect`: resources that no run may delete or replace.

use groundplan_engine::apply::Stop;
use groundplan_engine::graph::Address;
use groundplan_engine::state::Entry;
use serde_json::json;

use super::state::taken;
use crate::cli::args::{Common, Protect, Unprotect};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::targeting::recorded_by;

pub(crate) async fn protect(
    arguments: &Protect,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let cluster = arguments.of.cluster.as_deref();
    let mut held = taken(cluster, common, "protect", screen, stop).await?;
    let named = recorded_by(&arguments.addresses, &held.state)?;
    let protected = &held.state.protected;
    let new: Vec<Address> = named.into_iter().filter(|one| !protected.contains(one)).collect();
    let entry = |address: &Address| Entry::Protected { address: address.clone() };
    held.record(&new.iter().map(entry).collect::<Vec<_>>(), screen).await?;
    held.close().await?;
    told(&new, "protected", "is protected: no run deletes or replaces it", screen)
}

pub(crate) async fn unprotect(
    arguments: &Unprotect,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let cluster = arguments.of.cluster.as_deref();
    let mut held = taken(cluster, common, "unprotect", screen, stop).await?;
    let mut named = recorded_by(&arguments.addresses, &held.state)?;
    named.retain(|one| held.state.protected.contains(one));
    let named: Vec<Address> = named.into_iter().collect();
    let entry = |address: &Address| Entry::Unprotected { address: address.clone() };
    held.record(&named.iter().map(entry).collect::<Vec<_>>(), screen).await?;
    held.close().await?;
    told(&named, "unprotected", "is not protected any more", screen)
}

fn told(addresses: &[Address], kind: &str, what: &str, screen: &mut Screen) -> Result<Exit> {
    for address in addresses {
        screen.tell(kind, &json!({"address": address}))?;
        screen.say(&format!("{address} {what}."))?;
    }
    if addresses.is_empty() {
        screen.say("Nothing to change.")?;
    }
    Ok(Exit::Done)
}
