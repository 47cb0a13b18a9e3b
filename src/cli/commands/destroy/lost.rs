//! Destroy of a cluster without recorded state, by its cluster tag. Clusters of openshift-install
//! carry the same tag.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use groundplan_engine::plan::LiveState;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::topology::{identity, name_in};

use crate::cli::args::{self, CommonArgs, DestroyArgs as Arguments, GuardArgs, TargetingArgs};
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::{self, ACCOUNT, AwsSession};
use crate::cli::session::locked_state::LockedState;
use crate::cli::session::state_backend;
use crate::cli::session::teardown::{TeardownInputs, TeardownPlan, TeardownPreview};
use crate::cli::session::untracked::UntrackedResources;
use crate::render::Diagnostic;

/// Returns the cluster of `--metadata` or `--infra-id`; `None` without these flags.
pub(super) fn named(arguments: &Arguments) -> Result<Option<Cluster>> {
    if let Some(file) = &arguments.metadata {
        return metadata(file).map(Some);
    }
    let Some(infra_id) = &arguments.infra_id else { return Ok(None) };
    let name = name_in(infra_id).expect("BUG: arguments are checked").to_owned();
    let region = arguments.region.clone().ok_or_else(no_region)?;
    let cluster_id = uuid::Uuid::new_v4().to_string(); // only its metadata.json knew it
    Ok(Some(Cluster { name, infra_id: infra_id.clone(), cluster_id, region }))
}

fn metadata(file: &Path) -> Result<Cluster> {
    let attempt = format!("read {}", file.display());
    let text = fs::read(file).map_err(|error| CommandError::could_not(&attempt, &error))?;
    let cluster = identity(&text).map_err(|error| {
        let diagnostic = Diagnostic::could_not(&attempt, &error)
            .with_hint("pass the metadata.json that openshift-install or groundplan wrote");
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    })?;
    // The name becomes a folder of states, and the infra ID selects the resources to delete.
    let checks = [
        ("clusterName", args::cluster(&cluster.name)),
        ("infraID", args::infra_id(&cluster.infra_id)),
    ];
    let flaws = checks.into_iter().filter_map(|(field, checked)| Some((field, checked.err()?)));
    let diagnostics: Vec<Diagnostic> = flaws
        .map(|(field, expected)| {
            let summary = format!("{}: invalid `{field}`", file.display());
            Diagnostic::error(summary).with_detail(expected)
        })
        .collect();
    match diagnostics.is_empty() {
        true => Ok(cluster),
        false => Err(CommandError { exit: Exit::ConfigInvalid, diagnostics }),
    }
}

fn no_region() -> CommandError {
    let diagnostic = Diagnostic::error("the region of the cluster is unknown")
        .with_hint("pass --region, or set AWS_REGION");
    CommandError::new(Exit::Usage, diagnostic)
}

/// Returns the name of the state if this cluster is recorded after all. Returns an error if the
/// location contains another cluster.
pub(super) async fn recorded(cluster: &Cluster, common: &CommonArgs) -> Result<Option<String>> {
    let place = common.state.of(&cluster.name);
    let known =
        state_backend::read_unlocked(&place, common).await?.and_then(|(state, _)| state.cluster);
    match known {
        None => Ok(None),
        Some(known) if known.infra_id == cluster.infra_id => Ok(Some(cluster.name.clone())),
        Some(other) => {
            let summary = format!("{place} is the state of another cluster: {}", other.infra_id);
            let hint = "use another, empty --state for this cluster";
            Err(CommandError::new(Exit::Refused, Diagnostic::error(summary).with_hint(hint)))
        }
    }
}

/// Finds all resources with the cluster tag, locks the state, and shows the plan.
pub(super) async fn decided(
    cluster: Cluster,
    part: &TargetingArgs,
    guards: &GuardArgs,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<TeardownPlan> {
    let settings = aws_session::settings_without_config(&cluster);
    let AwsSession { aws, caller } = aws_session::reach(settings, &BTreeMap::new(), ui).await?;
    let found = UntrackedResources::sweep(&aws, &State::default()).await?;
    if found.is_empty() {
        return Err(no_such_cluster(&cluster, &caller.account));
    }
    let held = LockedState::take(common, &cluster.name, "destroy", ui).await?;
    let answer = caller.account.clone().into();
    let account = Entry::LookupRecorded { lookup: ACCOUNT.to_owned(), answer };
    let before = [Entry::ClusterIdentified { cluster: cluster.clone() }, account];
    let observed = LiveState::new();
    let decision = TeardownInputs { held: &held, before: &before, observed: &observed, found };
    let TeardownPreview { new_entries, projected_state, plan } =
        decision.shown(part, guards, &aws, ui).await?;
    Ok(TeardownPlan { cluster, held, new_entries, projected_state, aws, caller, plan })
}

fn no_such_cluster(cluster: &Cluster, account: &str) -> CommandError {
    let Cluster { infra_id, region, .. } = cluster;
    let diagnostic = Diagnostic::error(format!(
        "no resources of {infra_id} found in {region} of account {account}"
    ))
    .with_hint("check the infra ID, the region and the credentials (AWS_PROFILE)");
    CommandError::new(Exit::Failed, diagnostic)
}
