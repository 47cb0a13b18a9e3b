//! The steps of every recovery: search AWS for the resources of a graph, and record what was found.
//! Changes nothing in AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::Aws;
use groundplan_aws::lookups::tag_index;
use groundplan_aws::sweep::Leftover;
use groundplan_engine::graph::Node;
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::patiently;
use groundplan_engine::recover::{Recovered, Search};
use groundplan_engine::state::{Cluster, Entry, State};
use serde_json::{Value, json};

use super::locked_state::Held;
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::render::Diagnostic;
use crate::render::state::rows;

/// Recovered state, ready to be recorded.
pub(crate) struct Found {
    pub(crate) held: Held,
    pub(crate) aws: Arc<Aws>,
    pub(crate) state: State,
    pub(crate) recovered: Recovered,
}

/// Searches AWS for the resources of the graph. Returns those found and those missing.
pub(crate) async fn looked_for(nodes: &[Node], infra_id: &str, aws: &Aws) -> Result<Recovered> {
    let tokens = patiently(|| tag_index::tokens(aws)).await;
    let tokens = &tokens.map_err(|error| Failure::call("list the tags", &error))?;
    let search = Search { nodes, infra_id, tokens, provider: aws };
    search.run().await.map_err(|error| Failure::call("look for the cluster", &error))
}

/// Returns the locked state if it is empty. Returns an error for a state with records.
pub(crate) fn blank(held: Held) -> Result<Held> {
    if held.state.has_nothing() {
        return Ok(held);
    }
    let count = rows(&held.state).count();
    let diagnostic = Diagnostic::error("the state is not lost; nothing was changed")
        .with_detail(format!("{count} resources are recorded"))
        .with_hint(format!(
            "`{}` says what differs; to look for everything anew nevertheless, give an empty home with \
             --state",
            match held.state.cluster.as_ref().is_some_and(Cluster::is_of_machines) {
                true => "groundplan machines plan",
                false => "groundplan plan",
            }
        ));
    Err(Failure::new(Exit::Refused, diagnostic))
}

/// Returns the recovered state, which equals the lost one except for its history. Returns an error
/// if no resource was found.
pub(crate) fn recorded(
    cluster: Cluster,
    facts: BTreeMap<String, Value>,
    recovered: &Recovered,
) -> Result<State> {
    if recovered.entries.is_empty() {
        let diagnostic = Diagnostic::error(format!("nothing of {} was found", cluster.infra_id))
            .with_hint("check the credentials (AWS_PROFILE), the region and the infra ID");
        return Err(Failure::new(Exit::Failed, diagnostic));
    }
    let learnt = facts.into_iter().map(|(question, answer)| Entry::Learnt { question, answer });
    let entries = std::iter::once(Entry::Identified { cluster }).chain(learnt);
    let mut state = State::new(uuid::Uuid::new_v4().to_string());
    for entry in entries.chain(recovered.entries.iter().cloned()) {
        state.record(&entry).map_err(|error| Failure::could_not("record it", &error))?;
    }
    Ok(state)
}

/// Prints the resources that were found, the missing ones, and the untracked ones.
pub(crate) fn tell(
    state: &State,
    recovered: &Recovered,
    left: &[Leftover],
    screen: &mut Screen,
) -> Result<()> {
    let infra_id = state.cluster.as_ref().map_or("", |cluster| &cluster.infra_id);
    let lives: Vec<_> = rows(state).collect();
    let wanted = state.resources.len() + recovered.missing.len();
    screen.say(&format!("Found {} of {wanted} resources of {infra_id}.", state.resources.len()))?;
    for (address, record, superseded) in lives {
        let (id, status, generation) = (id(&record.outputs), record.status, record.generation);
        let fields = json!({
            "address": address, "id": id, "status": status, "generation": generation,
            "superseded": superseded,
        });
        screen.tell("recovered", &fields)?;
    }
    if !recovered.missing.is_empty() {
        screen.say("\nNot found; an apply makes it anew:")?;
    }
    for one in &recovered.missing {
        screen.tell("missing", &json!({"address": one.address, "because": one.because}))?;
        screen.say(&format!("  {}  {}", one.address, one.because))?;
    }
    if !left.is_empty() {
        screen.say("\nTagged as the cluster's, and not recorded:")?;
    }
    for one in left {
        screen.tell("unclaimed", one)?;
        let name = one.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
        screen.say(&format!("  {} {}{name}", one.kind, one.id))?;
    }
    Ok(())
}
