//! The cluster that `destroy` and `plan --destroy` name: recorded, or without recorded state by
//! `--infra-id` or `--metadata`. Resources of the latter carry the cluster tag, as those of
//! openshift-install do.

use std::fs;
use std::path::Path;

use groundplan_aws::configured_region;
use groundplan_engine::state::Cluster;
use groundplan_openshift::topology::{cluster_domain, identity, name_in};

use crate::cli::args::{self, CommonArgs, DestroyedArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::destruction::{DestroyedCluster, config_of};
use crate::cli::session::input_files::read_config;
use crate::cli::session::state_backend;
use crate::render::{Code, Diagnostic};

/// Returns the cluster that the arguments name, or that of the install-config.
pub(crate) async fn selected(
    arguments: &DestroyedArgs,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<DestroyedCluster> {
    if let Some((cluster, domain)) = named(arguments).await? {
        return Ok(match recorded(&cluster, common).await? {
            Some(name) => DestroyedCluster::Recorded { name, config: None },
            None => DestroyedCluster::Lost { cluster, domain },
        });
    }
    let (name, config) = match &arguments.cluster {
        Some(name) => (name.clone(), config_of(name, common, ui)?),
        None => {
            let config = read_config(common, ui)?.0;
            (config.name.clone(), Some(config))
        }
    };
    Ok(DestroyedCluster::Recorded { name, config: config.map(Box::new) })
}

/// Returns the cluster of `--metadata` or `--infra-id`, and its domain if the metadata has it. `None`
/// without these flags.
async fn named(arguments: &DestroyedArgs) -> Result<Option<(Cluster, Option<String>)>> {
    if let Some(file) = &arguments.metadata {
        return metadata(file).map(Some);
    }
    let Some(infra_id) = &arguments.infra_id else { return Ok(None) };
    let name = name_in(infra_id).expect("BUG: arguments are checked").to_owned();
    let region = match &arguments.region {
        Some(region) => Some(region.clone()),
        None => configured_region().await,
    };
    let region = region.ok_or_else(no_region)?;
    let cluster_id = uuid::Uuid::new_v4().to_string(); // only its metadata.json knew it
    Ok(Some((Cluster { name, infra_id: infra_id.clone(), cluster_id, region }, None)))
}

fn metadata(file: &Path) -> Result<(Cluster, Option<String>)> {
    let attempt = format!("read {}", file.display());
    const HINT: &str = "pass the metadata.json that openshift-install or groundplan wrote";
    let text = fs::read(file).map_err(|error| {
        let diagnostic =
            Diagnostic::could_not(Code::FileUnreadable, &attempt, &error).with_hint(HINT);
        CommandError::new(Exit::ConfigInvalid, diagnostic)
    })?;
    let cluster = identity(&text).map_err(|error| {
        let diagnostic = Diagnostic::could_not(Code::FileInvalid, &attempt, &error).with_hint(HINT);
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
            Diagnostic::error(Code::FileInvalid, summary).with_detail(expected)
        })
        .collect();
    match diagnostics.is_empty() {
        true => Ok((cluster, cluster_domain(&text))),
        false => Err(CommandError { exit: Exit::ConfigInvalid, diagnostics }),
    }
}

pub(crate) fn no_region() -> CommandError {
    let diagnostic = Diagnostic::error(Code::RegionMissing, "the region of the cluster is unknown")
        .with_hint(
            "pass --region, or set AWS_REGION, AWS_DEFAULT_REGION or the `region` of the profile",
        );
    CommandError::new(Exit::Usage, diagnostic)
}

/// Returns the name of the state if this cluster is recorded after all. Returns an error if the
/// location contains another cluster.
async fn recorded(cluster: &Cluster, common: &CommonArgs) -> Result<Option<String>> {
    let place = common.state.of(&cluster.name);
    let known = state_backend::read_unlocked(&place, common)
        .await?
        .and_then(|(state, _)| Some((state.has_nothing(), state.cluster?)));
    match known {
        None => Ok(None),
        Some((_, known)) if known.infra_id == cluster.infra_id => Ok(Some(cluster.name.clone())),
        Some((true, _)) => Ok(None), // a state without resources takes any cluster
        Some((false, other)) => {
            let summary = format!("{place} is the state of another cluster: {}", other.infra_id);
            let hint = "use another, empty --state for this cluster";
            Err(CommandError::new(
                Exit::Refused,
                Diagnostic::error(Code::StateForeign, summary).with_hint(hint),
            ))
        }
    }
}
