//! `groundplan state rm`: removes records. The resources stay in AWS.

use std::collections::BTreeSet;

use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::decide::id;
use groundplan_engine::state::{Entry, State};
use serde_json::json;

use super::unknown;
use crate::cli::args::{CommonArgs, StateRm as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::execute::{confirmed, must_be_confirmable};
use crate::cli::session::locked_state::LockedState;
use crate::render::Diagnostic;
use crate::render::state::rows;

const QUESTION: &str = "Do you really want to remove these records? The resources stay in AWS and \
     are no longer managed.";

pub(super) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    must_be_confirmable(common, ui)?;
    let cluster = arguments.of.cluster.as_deref();
    let mut held = LockedState::take_existing(cluster, common, "state rm", ui, stop).await?;
    let named: BTreeSet<_> =
        arguments.addresses.iter().map(|text| Address::from(&**text)).collect();
    let strange: Vec<_> = named.iter().filter(|one| !is_known(&held.state, one)).collect();
    if !strange.is_empty() {
        return Err(unknown(&strange));
    }
    let mut entries = Vec::new();
    for (address, record, _) in rows(&held.state).filter(|(address, ..)| named.contains(*address)) {
        let id = id(&record.outputs).unwrap_or_else(|| "no ID recorded".to_owned());
        ui.talk(&format!("{address} ({id}) stays in AWS and is no longer managed"))?;
        let (address, generation) = (address.clone(), record.generation);
        entries.push(Entry::Forgotten { address, generation });
    }
    for diagnostic in still_needed(&held.state, &named) {
        ui.diagnostic(&diagnostic)?;
    }
    confirmed(common, QUESTION, ui, stop).await?;
    held.record(&entries, ui).await?;
    held.close().await?;
    for address in &named {
        ui.print_json("forgotten", &json!({"address": address}))?;
        ui.print_line(&format!("{address} was removed from the state."))?;
    }
    Ok(())
}

/// Returns warnings about remaining records that depend on a removed one. Such a dependent refers
/// to the old object, not to a new one at that address. groundplan can no longer order the
/// deletions of both.
fn still_needed(state: &State, named: &BTreeSet<Address>) -> Vec<Diagnostic> {
    let warned = named.iter().filter_map(|one| {
        let others = rows(state)
            .filter(|(address, record, _)| !named.contains(*address) && record.after.contains(one));
        let others: Vec<_> = others.map(|(address, ..)| address.to_string()).collect();
        let warning = Diagnostic::warning(format!("other recorded resources depend on {one}"));
        (!others.is_empty()).then(|| {
            warning.with_detail(others.join(", ")).with_hint(
                "expect changes or replacements of these resources in the next plan, because they \
                 reference the removed one",
            )
        })
    });
    warned.collect()
}

fn is_known(state: &State, address: &Address) -> bool {
    state.resources.contains_key(address) || state.deposed.contains_key(address)
}
