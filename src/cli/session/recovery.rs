//! The steps of every recovery: search AWS for the resources of a graph, and record what was found.
//! Changes nothing in AWS.

use std::collections::BTreeSet;
use std::time::Duration;

use groundplan_aws::Aws;
use groundplan_aws::lookups::existing_clusters::unrecorded_with_token;
use groundplan_aws::lookups::tag_index;
use groundplan_aws::sweep::RemainingResource;
use groundplan_engine::graph::GraphNode;
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::recover::{Recovered, Search, salts};
use groundplan_engine::state::{Cluster, Entry, LookupCache, State};
use serde_json::json;

use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::locked_state::LockedState;
use crate::cli::session::sole_owner::own_objects;
use crate::cli::session::stages::{Claimed, Connected, Locked, RECOVER, Session, ToRecover};
use crate::render::state::rows;
use crate::render::{Code, Diagnostic};

/// Recovered state in a session that can record it.
pub(crate) struct RecoveredState<'a> {
    pub(crate) locked: Locked<'a, ToRecover, ()>,
    pub(crate) state: State,
    pub(crate) recovered: Recovered,
}

impl<'a> Session<'a, ToRecover> {
    /// Takes the state lock if the state exists. Returns an error for a state with records.
    pub(crate) async fn claim_empty(
        self,
        name: &str,
        ui: &mut Ui,
    ) -> Result<Claimed<'a, ToRecover>> {
        let claimed = self.claim(name, ui).await?;
        claimed.state().map_or(Ok(()), ensure_empty)?;
        Ok(claimed)
    }
}

impl<'a> Connected<'a, ToRecover> {
    /// Takes the lock of a state that was missing. Returns an error if another run has recorded
    /// resources in the meantime.
    pub(crate) async fn lock_empty(self, ui: &mut Ui) -> Result<Locked<'a, ToRecover, ()>> {
        let accept = |held: LockedState| ensure_empty(&held.state).map(|()| held);
        self.lock(accept, (), ui).await
    }
}

impl Locked<'_, ToRecover, ()> {
    /// Replaces the state with the recovered one, and releases the lock.
    pub(crate) async fn replace(self, state: State, ui: &mut Ui) -> Result<State> {
        self.held.replace(state, ui).await
    }
}

/// Maximum number of reads of the list of tokens.
const READS: usize = 5;

/// Time between two reads of the list of tokens.
const SECOND_READ_AFTER: Duration = Duration::from_secs(3);

/// Searches AWS for the resources of the graph. Returns those found and those missing, and the salt
/// of their creation tokens.
pub(crate) async fn looked_for(
    nodes: &[GraphNode],
    infra_id: &str,
    aws: &Aws,
) -> Result<(Recovered, Option<String>)> {
    let mut tokens = read_tokens(aws).await?;
    let mut found = found_with(&tokens, nodes, infra_id, aws).await?;
    // Without its token, a resource counts as missing. So if one is missing, the list of tokens must
    // contain no further token when it is read again.
    for _ in 1..READS {
        if found.0.missing.is_empty() {
            break;
        }
        tokio::time::sleep(SECOND_READ_AFTER).await;
        let known = tokens.len();
        tokens.extend(read_tokens(aws).await?);
        if tokens.len() == known {
            break;
        }
        found = found_with(&tokens, nodes, infra_id, aws).await?;
    }
    Ok(found)
}

async fn read_tokens(aws: &Aws) -> Result<BTreeSet<String>> {
    let tokens = retry_reads(|| tag_index::tokens(aws)).await;
    tokens.map_err(|error| CommandError::call("read the resource tags", &error))
}

/// Returns the result of the search with the salt that finds the most resources, and that salt.
async fn found_with(
    tokens: &BTreeSet<String>,
    nodes: &[GraphNode],
    infra_id: &str,
    aws: &Aws,
) -> Result<(Recovered, Option<String>)> {
    let mut best: Option<(Recovered, Option<String>)> = None;
    for salt in salts(nodes, infra_id, tokens) {
        let search = Search { nodes, infra_id, salt: salt.as_deref(), tokens, provider: aws };
        let found = search.run().await;
        let found =
            found.map_err(|error| CommandError::call("search for the resources", &error))?;
        let is_better = |(best, _): &(Recovered, _)| found.missing.len() < best.missing.len();
        if best.as_ref().is_none_or(is_better) {
            best = Some((found, salt));
        }
    }
    Ok(best.expect("BUG: no salt is a salt, too"))
}

/// Kinds of which [`unrecorded_with_token`] reports objects.
const WITH_TOKEN: [&str; 3] = ["vpc", "security_group", "dhcp_options"];

/// Returns an error if a resource was not found although AWS has one that groundplan created for the
/// cluster and that the search does not explain. The next apply would create a second one.
pub(crate) async fn ensure_explained(
    aws: &Aws,
    state: &State,
    recovered: &Recovered,
) -> Result<()> {
    let mut missing = recovered.missing.iter().map(|one| &one.address);
    let Some(missing) = missing.find(|address| WITH_TOKEN.contains(&address.kind())) else {
        return Ok(());
    };
    let infra_id = state.cluster.as_ref().map_or("", |cluster| &cluster.infra_id);
    let own = own_objects(state);
    let found = retry_reads(|| unrecorded_with_token(aws, infra_id, &own)).await;
    let found =
        found.map_err(|error| CommandError::call("search for resources of the cluster", &error))?;
    if found.is_empty() {
        return Ok(());
    }
    let ids: Vec<&str> = found.iter().map(String::as_str).collect();
    let diagnostic = Diagnostic::error(Code::RecoveryIncomplete, format!(
        "the search does not explain resources that groundplan created for {infra_id}; nothing was \
         recorded"
    ))
    .with_detail(format!("not found: {missing}"))
    .with_detail(format!("not explained, with the cluster tag and a creation token: {}", ids.join(", ")))
    .with_hint(format!(
        "run the same command again, because AWS may have returned an incomplete list of tags, and \
         pass the install-config and the assets that the cluster was created with; if another state \
         records these resources, select it with --state LOCATION; to delete the cluster without a \
         state: `groundplan destroy --infra-id {infra_id}`"
    ));
    Err(CommandError::new(Exit::Failed, diagnostic))
}

/// Returns an error for a state with records, except those of a recovery alone: a recovery that was
/// killed after its write can be repeated.
fn ensure_empty(state: &State) -> Result<()> {
    if state.has_nothing() || is_as_recovered(state) {
        return Ok(());
    }
    let count = rows(state).count();
    let diagnostic =
        Diagnostic::error(Code::StateExists, "a state already exists; nothing was changed")
            .with_detail(format!("{count} resources are recorded"))
            .with_hint(format!(
                "show the differences with `{}`; to rebuild the state anyway, use an empty --state",
                match state.cluster.as_ref().is_some_and(Cluster::is_of_machines) {
                    true => "groundplan machines plan",
                    false => "groundplan plan",
                }
            ));
    Err(CommandError::new(Exit::Refused, diagnostic))
}

/// Returns true if a recovery wrote the state and no entry was recorded since.
fn is_as_recovered(state: &State) -> bool {
    let last = state.runs.last();
    last.is_some_and(|run| run.operation == RECOVER && run.after + 1 == state.serial)
}

/// Returns the recovered state, which equals the lost one except for its history. Returns an error
/// if no resource was found.
pub(crate) fn recorded(
    cluster: Cluster,
    lookup_cache: LookupCache,
    recovered: &Recovered,
) -> Result<State> {
    if recovered.entries.is_empty() {
        let diagnostic = Diagnostic::error(
            Code::ClusterNotFound,
            format!("no resources of {} found", cluster.infra_id),
        )
        .with_hint("check the credentials (AWS_PROFILE), the region and the infra ID");
        return Err(CommandError::new(Exit::Failed, diagnostic));
    }
    let learnt = lookup_cache.entries_missing_in(&LookupCache::default());
    let entries = std::iter::once(Entry::ClusterIdentified { cluster }).chain(learnt);
    let mut state = State::new(uuid::Uuid::new_v4().to_string());
    for entry in entries.chain(recovered.entries.iter().cloned()) {
        state.record(&entry).map_err(|error| {
            CommandError::could_not(Code::InternalError, "record the found resources", &error)
        })?;
    }
    Ok(state)
}

/// Prints the resources that were found, the missing ones, and the untracked ones.
pub(crate) fn print_result(
    state: &State,
    recovered: &Recovered,
    left: &[RemainingResource],
    ui: &mut Ui,
) -> Result<()> {
    let infra_id = state.cluster.as_ref().map_or("", |cluster| &cluster.infra_id);
    let lives: Vec<_> = rows(state).collect();
    let wanted = state.resources.len() + recovered.missing.len();
    ui.print_line(&format!(
        "Found {} of {wanted} resources of {infra_id}.",
        state.resources.len()
    ))?;
    for (address, record, superseded) in lives {
        let (id, status, generation) = (id(&record.outputs), record.status, record.generation);
        let fields = json!({
            "address": address, "id": id, "status": status, "generation": generation,
            "superseded": superseded,
        });
        ui.print_json("recovered", &fields)?;
    }
    if !recovered.missing.is_empty() {
        ui.print_line("\nNot found; the next apply creates them again:")?;
    }
    for one in &recovered.missing {
        ui.print_json("missing", &json!({"address": one.address, "because": one.because}))?;
        ui.print_line(&format!("  {}  {}", one.address, one.because))?;
    }
    if !left.is_empty() {
        ui.print_line("\nUntracked resources with the tag of the cluster:")?;
    }
    for one in left {
        ui.print_json("unclaimed", one)?;
        let name = one.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
        ui.print_line(&format!("  {} {}{name}", one.kind, one.id))?;
    }
    Ok(())
}
