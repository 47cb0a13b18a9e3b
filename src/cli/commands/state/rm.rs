//! `groundplan state rm`: removes records. The resources stay in AWS.

use std::collections::BTreeSet;

use groundplan_aws::schemas;
use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::{Address, Identity};
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::Schemas as _;
use groundplan_engine::state::{Entry, Record, State};
use serde_json::json;

use super::{is_known, unknown};
use crate::cli::args::{CommonArgs, StateRm as Arguments};
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::execute::{confirmed, must_be_confirmable};
use crate::cli::session::locked_state::LockedState;
use crate::render::state::rows;
use crate::render::{Code, Diagnostic};

const QUESTION: &str = "Do you really want to remove these records? The resources stay in AWS and \
     are no longer managed.";

pub(super) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    let cluster = arguments.of.cluster.as_deref();
    let mut held = LockedState::take_existing(cluster, common, "state rm", ui, stop).await?;
    let named: BTreeSet<_> =
        arguments.addresses.iter().map(|text| Address::from(&**text)).collect();
    let strange: Vec<_> = named.iter().filter(|one| !is_known(&held.state, one)).collect();
    if !strange.is_empty() {
        return Err(unknown(&strange, &held.state));
    }
    must_be_confirmable(common, ui)?;
    let mut entries = Vec::new();
    for (address, record, _) in rows(&held.state).filter(|(address, ..)| named.contains(*address)) {
        let id = id(&record.outputs).unwrap_or_else(|| "no ID recorded".to_owned());
        ui.talk(&format!("{address} ({id}) stays in AWS and is no longer managed"))?;
        let (address, generation) = (address.clone(), record.generation);
        entries.push(Entry::Forgotten { address, generation });
    }
    let parts = parts_left(&held.state, &named);
    if !parts.is_empty() {
        ui.diagnostic(&parts_warning(&named, &parts))?;
    }
    for diagnostic in still_needed(&held.state, &named, &parts) {
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

/// Returns the recorded parts of the removed resources, and the parts of these parts. A part, such as
/// the rules of a security group, exists only within its resource.
fn parts_left(state: &State, named: &BTreeSet<Address>) -> BTreeSet<Address> {
    let schemas = schemas();
    let mut parts = BTreeSet::new();
    loop {
        let wholes = || named.iter().chain(&parts);
        let is_part = |address: &Address, record: &Record| {
            let Some(schema) = schemas.schema(address.kind()) else { return false };
            let is_within = |whole: &Address| {
                let mut inputs = schema.force_new.iter().filter_map(|it| record.inputs.get(*it));
                inputs.any(|input| input.as_str().is_some_and(|id| identifies(state, whole, id)))
            };
            schema.identity == Identity::Parent
                && wholes().any(|whole| record.after.contains(whole) && is_within(whole))
        };
        let found = rows(state).find(|(address, record, _)| {
            !named.contains(*address) && !parts.contains(*address) && is_part(address, record)
        });
        let Some((address, ..)) = found else { return parts };
        parts.insert(address.clone());
    }
}

/// Returns true if an output of the resource is this text.
fn identifies(state: &State, address: &Address, id: &str) -> bool {
    let outputs = state.resources.get(address).and_then(|record| record.outputs.as_object());
    outputs.is_some_and(|outputs| outputs.values().any(|output| output.as_str() == Some(id)))
}

fn parts_warning(named: &BTreeSet<Address>, parts: &BTreeSet<Address>) -> Diagnostic {
    let list = |addresses: &mut dyn Iterator<Item = &Address>, separator: &str| {
        addresses.map(Address::as_str).collect::<Vec<_>>().join(separator)
    };
    let all = list(&mut named.iter().chain(parts), " ");
    let summary = "parts of the removed resources stay recorded";
    Diagnostic::warning(Code::RecordNeeded, summary).with_detail(list(&mut parts.iter(), ", ")).with_hint(format!(
        "to remove them together: `groundplan state rm {all}`; otherwise the next plan replaces the \
         parts"
    ))
}

/// Returns warnings about remaining records that depend on a removed one. Such a dependent refers
/// to the old object, not to a new one at that address. groundplan can no longer order the
/// deletions of both.
fn still_needed(
    state: &State,
    named: &BTreeSet<Address>,
    parts: &BTreeSet<Address>,
) -> Vec<Diagnostic> {
    let warned = named.iter().filter_map(|one| {
        let others = rows(state).filter(|(address, record, _)| {
            !named.contains(*address) && !parts.contains(*address) && record.after.contains(one)
        });
        let others: Vec<_> = others.map(|(address, ..)| address.to_string()).collect();
        let warning = Diagnostic::warning(
            Code::RecordNeeded,
            format!("other recorded resources depend on {one}"),
        );
        (!others.is_empty()).then(|| {
            warning.with_detail(others.join(", ")).with_hint(
                "expect changes or replacements of these resources in the next plan, because they \
                 reference the removed one",
            )
        })
    });
    warned.collect()
}
