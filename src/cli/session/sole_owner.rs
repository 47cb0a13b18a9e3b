//! Checks that no other state records the cluster that a plan is about to create. Reads only.
//!
//! Two states of one cluster would each create a half of it, and a destroy of either would take
//! both. The checks run while a state records no resource, which is before anything is created.

use groundplan_aws::Aws;
use groundplan_aws::lookups::existing_clusters::{ExistingCluster, of_domain, of_infra_id};
use groundplan_engine::provider::{ProviderError, retry_reads};
use groundplan_engine::state::Cluster;
use groundplan_engine::state::location::StateLocation;

use crate::cli::args::CommonArgs;
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::state_backend;
use crate::render::{Diagnostic, DiagnosticSeverity};

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
    let same = retry_reads(|| of_infra_id(aws, &cluster.infra_id)).await;
    if let Some(found) = known(same, "check whether the cluster exists already", ui)? {
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
        let warning = Diagnostic::warning(format!(
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
        Err(error) => {
            let mut unchecked = Diagnostic::call_failed(attempt, &error);
            unchecked.severity = DiagnosticSeverity::Warning;
            ui.diagnostic(&unchecked)?;
            Ok(None)
        }
    }
}

fn refusal(problem: &str, found: &ExistingCluster, common: &CommonArgs) -> CommandError {
    let created = found.created.as_ref().map_or(String::new(), |at| format!(", created {at}"));
    let more = match found.count - found.objects.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let objects = found.objects.join(", ");
    let infra_id = &found.infra_id;
    let diagnostic =
        Diagnostic::error(format!("{problem}, and {} does not record it", common.state))
            .with_detail(format!("found: {objects}{more}{created}"))
            .with_detail("nothing was planned or changed")
            .with_hint(format!(
                "select the state that records {infra_id}: --state LOCATION, or GROUNDPLAN_STATE. If \
                 that state is lost: `groundplan recover --infra-id {infra_id}`. For another cluster, \
                 set another metadata.name and use new assets"
            ));
    CommandError::new(Exit::Refused, diagnostic)
}
