//! Checks that no other state records the cluster that a plan is about to create. Reads only.
//!
//! Two states of one cluster would each create a half of it, and a destroy of either would take
//! both. The checks run while a state records no resource, which is before anything is created, and
//! once more after the first creation: two runs that begin at the same moment find nothing of each
//! other before it. Until the second check has passed, the state records that it is due.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use groundplan_aws::adopt;
use groundplan_aws::lookups::existing_clusters::{
    ExistingCluster, FOUND_KINDS, OwnObjects, TaggedObjects, of_domain, of_infra_id,
};
use groundplan_aws::{Aws, fails_every_call};
use groundplan_engine::apply::{Gate, GateDecision};
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::{BoxFuture, ProviderError, retry_reads};
use groundplan_engine::state::location::StateLocation;
use groundplan_engine::state::{Cluster, LookupCache, State};
use tokio::time::Instant;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::{aws_session, state_backend};
use crate::render::state::rows;
use crate::render::{Code, Diagnostic, DiagnosticSeverity};

/// Rejects a cluster whose infra ID or domain AWS already has. `domain` is empty if other clusters
/// may have the domain, too. A check that fails is a warning.
///
/// # Errors
/// If the cluster exists, or another one with the domain.
pub(super) async fn ensure_sole_owner(
    aws: &Aws,
    cluster: &Cluster,
    domain: &str,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<()> {
    let none = OwnObjects::default();
    let same = retry_reads(|| of_infra_id(aws, &cluster.infra_id, &none)).await;
    let same = known(same.map(|found| found.others), CHECK_CLUSTER, ui)?;
    if let Some(found) = same {
        return Err(refusal(&format!("cluster {} exists already", found.infra_id), &found, common));
    }
    if !domain.is_empty() {
        let named = retry_reads(|| of_domain(aws, domain)).await;
        if let Some(found) = known(named, "check whether another cluster has the domain", ui)? {
            let summary = format!("cluster {} already has the domain {domain}", found.infra_id);
            return Err(refusal(&summary, &found, common));
        }
    }
    Ok(())
}

const CHECK_CLUSTER: &str = "check whether the cluster exists already";

/// Repeats the check that is due in a state with records. Returns true if the check proves that no
/// other state records the cluster, and false if AWS shows no object of this state yet.
///
/// # Errors
/// If another state records the cluster.
pub(super) async fn ensure_still_sole_owner(
    aws: &Aws,
    cluster: &Cluster,
    state: &State,
    since: &str,
    ui: &mut Ui,
) -> Result<bool> {
    let own = own_objects(state);
    let tagged = retry_reads(|| of_infra_id(aws, &cluster.infra_id, &own)).await;
    match tagged {
        Ok(TaggedObjects { others: Some(found), .. }) => {
            let diagnostic = second_owner(&found, state, since);
            Err(CommandError::new(Exit::Refused, diagnostic))
        }
        Ok(TaggedObjects { others: None, has_own }) => Ok(has_own),
        Err(error) => {
            known(Err(error), CHECK_CLUSTER, ui)?;
            Ok(false)
        }
    }
}

/// Returns the objects that a state records.
pub(crate) fn own_objects(state: &State) -> OwnObjects {
    let tokens = rows(state).map(|(address, record, _)| state.token(address, record.generation));
    OwnObjects { ids: adopt::known(state), tokens: tokens.collect() }
}

/// Time after which the check ends if AWS does not show the first object of this run.
const VISIBLE_WITHIN: Duration = Duration::from_secs(60);

/// Pause between two attempts to find the first object of this run.
const PAUSE: Duration = Duration::from_secs(2);

/// Check after the first creation of a run.
#[derive(Debug)]
pub(super) struct SoleOwnerGate {
    aws: Arc<Aws>,
    cluster: Cluster,
    /// Time of the first check.
    since: String,
    refusal: Arc<Mutex<Option<Diagnostic>>>,
}

impl SoleOwnerGate {
    pub(super) fn new(aws: &Arc<Aws>, cluster: &Cluster, since: &str) -> Self {
        Self {
            aws: Arc::clone(aws),
            cluster: cluster.clone(),
            since: since.to_owned(),
            refusal: Arc::default(),
        }
    }

    /// Returns the reason for which the gate closed.
    pub(super) fn refusal(&self) -> Option<Diagnostic> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Gate for SoleOwnerGate {
    fn sees(&self, kind: &str) -> bool {
        FOUND_KINDS.contains(&kind)
    }

    fn check(&self, state: &State) -> BoxFuture<'static, GateDecision> {
        let (aws, state, own) = (Arc::clone(&self.aws), state.clone(), own_objects(state));
        let (cluster, since) = (self.cluster.clone(), self.since.clone());
        let refusal = Arc::clone(&self.refusal);
        Box::pin(async move {
            match second_check(&aws, &cluster, &state, &own, &since).await {
                Ok(warnings) => {
                    let entries = vec![LookupCache::unproven_owner_entry(None)];
                    GateDecision::Open { entries, warnings }
                }
                Err(diagnostic) => {
                    let mut refusal = refusal.lock().unwrap_or_else(PoisonError::into_inner);
                    *refusal = Some(*diagnostic);
                    GateDecision::Closed
                }
            }
        })
    }
}

/// Searches for objects of others until AWS shows the first object of this run. Returns warnings, or
/// the reason to end the run.
async fn second_check(
    aws: &Aws,
    cluster: &Cluster,
    state: &State,
    own: &OwnObjects,
    since: &str,
) -> std::result::Result<Vec<String>, Box<Diagnostic>> {
    let began = Instant::now();
    loop {
        match retry_reads(|| of_infra_id(aws, &cluster.infra_id, own)).await {
            Ok(TaggedObjects { others: Some(found), .. }) => {
                return Err(Box::new(second_owner(&found, state, since)));
            }
            Ok(TaggedObjects { others: None, has_own: true }) => return Ok(Vec::new()),
            Ok(_) if began.elapsed() < VISIBLE_WITHIN => tokio::time::sleep(PAUSE).await,
            Ok(_) => return Err(Box::new(unseen(cluster, state))),
            // The first check has printed a warning about such an error, too.
            Err(error) => {
                return Ok(vec![format!(
                    "could not check whether another run creates the cluster at the same time: {error}"
                )]);
            }
        }
    }
}

/// Returns the error for a cluster that another state creates at the same time.
fn second_owner(found: &ExistingCluster, state: &State, since: &str) -> Diagnostic {
    let infra_id = &found.infra_id;
    Diagnostic::error(Code::ClusterTwice, format!("another state creates cluster {infra_id}, too; this run has stopped"))
        .with_detail(format!("found: {}, not there at {since}", objects(found)))
        .with_detail(format!("created by this state: {}", recorded(state)))
        .with_hint(format!(
            "remove what this state created: `groundplan destroy`, which leaves the objects of the \
             other state. Then select the other state with --state LOCATION, or GROUNDPLAN_STATE; if \
             its run has stopped, too, repeat that run. If the other state is lost: `groundplan \
             recover --infra-id {infra_id}`. For another cluster, set another metadata.name and use \
             new assets"
        ))
}

/// Returns the error for a first object that AWS does not show in time.
fn unseen(cluster: &Cluster, state: &State) -> Diagnostic {
    let seconds = VISIBLE_WITHIN.as_secs();
    Diagnostic::error(
        Code::OwnerUnproven,
        format!(
            "could not check whether another run creates cluster {} at the same time",
            cluster.infra_id
        ),
    )
    .with_detail(format!(
        "AWS does not show the cluster tag of {} after {seconds} s",
        recorded(state)
    ))
    .with_hint("run the same command again, which repeats the check before it continues")
}

/// Returns the first recorded resources with their IDs.
fn recorded(state: &State) -> String {
    let all = state.resources.iter().map(|(address, record)| match id(&record.outputs) {
        Some(id) => format!("{address} ({id})"),
        None => address.to_string(),
    });
    listed(&all.collect::<Vec<_>>(), state.resources.len())
}

/// Returns the found objects and the time of their creation.
fn objects(found: &ExistingCluster) -> String {
    let created = found.created.as_ref().map_or(String::new(), |at| format!(", created {at}"));
    format!("{}{created}", listed(&found.objects, found.count))
}

/// Returns the first names of a list of `count` names.
fn listed(names: &[String], count: usize) -> String {
    let shown = names.len().min(LISTED);
    let more = match count - shown {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", names[..shown].join(", "))
}

/// Maximum number of names in a list.
const LISTED: usize = 4;

/// Prints a warning for each other cluster in the folder of states, because an edit of
/// `metadata.name` creates a second cluster.
pub(super) fn warn_of_neighbours(
    cluster: &Cluster,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<()> {
    let StateLocation::Folder(_) = &common.state else { return Ok(()) };
    for neighbour in state_backend::recorded_clusters(&common.state)? {
        if neighbour.cluster.region != cluster.region || neighbour.cluster.is_of_machines() {
            continue;
        }
        let warning = Diagnostic::warning(Code::ClusterNew, format!(
            "metadata.name is {}, so this plan creates a new cluster; {} already records cluster \
             {} with {} resources",
            cluster.name, common.state, neighbour.cluster.name, neighbour.resources
        ))
        .with_hint(format!(
            "to change that cluster, set metadata.name to {}; the name of a cluster cannot change",
            neighbour.cluster.name
        ));
        ui.diagnostic(&warning)?;
    }
    Ok(())
}

fn known(
    answer: std::result::Result<Option<ExistingCluster>, ProviderError>,
    attempt: &str,
    ui: &mut Ui,
) -> Result<Option<ExistingCluster>> {
    match answer {
        Ok(found) => Ok(found),
        Err(error) if fails_every_call(&error) => Err(aws_session::unreachable_aws(&error)),
        Err(error) => {
            let mut unchecked = Diagnostic::call_failed(attempt, &error);
            unchecked.severity = DiagnosticSeverity::Warning;
            ui.diagnostic(&unchecked)?;
            Ok(None)
        }
    }
}

fn refusal(problem: &str, found: &ExistingCluster, common: &CommonArgs) -> CommandError {
    let infra_id = &found.infra_id;
    let diagnostic =
        Diagnostic::error(Code::ClusterExists, format!("{problem}, and {} does not record it", common.state))
            .with_detail(format!("found: {}", objects(found)))
            .with_detail("nothing was planned or changed")
            .with_hint(format!(
                "select the state that records {infra_id}: --state LOCATION, or GROUNDPLAN_STATE. If \
                 that state is lost: `groundplan recover --infra-id {infra_id}`. For another cluster, \
                 set another metadata.name and use new assets"
            ));
    CommandError::new(Exit::Refused, diagnostic)
}
