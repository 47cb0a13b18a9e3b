//! `groundplan recover`: rebuilds a lost state from AWS. Changes nothing in AWS.

use std::collections::BTreeSet;

use groundplan_aws::Aws;
use groundplan_aws::adopt::known;
use groundplan_aws::lookups::existing_clusters::{OwnObjects, of_infra_id};
use groundplan_aws::lookups::tag_index;
use groundplan_aws::sweep::{self, RemainingResource};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::{Cluster, LookupCache, State};
use groundplan_openshift::topology::{identify, is_infra_id_of};

use crate::cli::args::{CommonArgs, RecoverArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session;
use crate::cli::session::bootstrap::{self, BootstrapChoice};
use crate::cli::session::input_files::InputFiles;
use crate::cli::session::install_config_source::compile_existing;
use crate::cli::session::recovery::{
    RecoveredState, ensure_explained, looked_for, print_result, recorded,
};
use crate::cli::session::release_choice::ReleaseChoice;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::{Session, ToRecover};
use crate::cli::session::untracked::names;
use crate::render::{Code, Diagnostic};

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let session = Session::to_recover(common, stop);
    let searching = Box::pin(search(session, arguments, common, ui));
    let RecoveredState { locked, state, recovered } = unless_stopped(stop, searching).await?;
    unless_stopped(stop, ensure_explained(locked.aws(), &state, &recovered)).await?;
    let left = unless_stopped(stop, Box::pin(not_recovered(locked.aws(), &state))).await?;
    let state = locked.replace(state, ui).await?;
    print_result(&state, &recovered, &left, ui)?;
    let options = common.repeated();
    ui.print_line(&format!(
        "\nNothing in AWS was changed. Review the differences with: groundplan plan{options}"
    ))?;
    Ok(Exit::Done)
}

async fn search<'a>(
    session: Session<'a, ToRecover>,
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<RecoveredState<'a>> {
    let inputs = InputFiles::read(common, ui)?;
    inputs.ensure_complete_assets()?;
    let claimed = session.claim_empty(&inputs.config.name, ui).await?;
    let cluster = cluster(arguments.infra_id.as_deref(), &inputs, ui).await?;
    let settings = aws_session::settings(&inputs.config, &cluster);
    let connected = claimed.connect(settings, None, ui).await?;
    let asked = arguments.wanted.bootstrap_choice();
    let bootstrap = BootstrapChoice::of(asked);
    let found = retry_reads(|| tag_index::uses_cluster_api(connected.aws()))
        .await
        .map_err(|error| CommandError::call("read the resource tags", &error))?;
    let release = ReleaseChoice::of_existing(common.release, &inputs.assets, found);
    release.note().map_or(Ok(()), |note| ui.talk(&note))?;
    let layout = release.layout();
    let (compiled, results) =
        compile_existing(&inputs, &cluster, &bootstrap, layout, connected.aws(), ui).await?;
    let has_assets = inputs.assets.cluster().is_some();
    let (recovered, token_salt) =
        looked_for(compiled.graph.nodes(), &cluster.infra_id, connected.aws()).await?;
    let account = Some(connected.account().to_owned());
    let mut lookup_cache = LookupCache {
        account,
        has_assets,
        results,
        token_salt,
        release: release.to_record(),
        ..LookupCache::default()
    };
    let is_gone = asked != Some(true) && bootstrap::is_gone(&recovered.entries, &mut lookup_cache);
    let state = recorded(cluster, lookup_cache, &recovered)?;
    let locked = connected.lock_empty(ui).await?;
    if is_gone {
        ui.diagnostic(&without_bootstrap())?;
    }
    Ok(RecoveredState { locked, state, recovered })
}

/// Returns the warning about a cluster with masters and without a bootstrap machine.
fn without_bootstrap() -> Diagnostic {
    Diagnostic::warning(
        Code::BootstrapNotFound,
        "masters were found, but no bootstrap machine: it is recorded as removed",
    )
    .with_hint(
        "if the installation is not complete, add it again with `groundplan apply --bootstrap`",
    )
}

/// Returns the cluster to recover: of `--infra-id`, of the assets, or the only tagged one of that
/// name.
async fn cluster(given: Option<&str>, inputs: &InputFiles, ui: &mut Ui) -> Result<Cluster> {
    let (config, assets) = (&inputs.config, inputs.assets.cluster());
    let known = |infra_id: String| Cluster { infra_id, ..identify(config) };
    match (given, assets) {
        (None, Some(assets)) => Ok(assets),
        (Some(id), Some(assets)) if assets.infra_id == id => Ok(assets),
        (Some(id), Some(assets)) => {
            let because =
                format!("the assets belong to {}, but --infra-id is {id}", assets.infra_id);
            Err(which(&because, "pass the assets that the cluster was created with", Exit::Usage))
        }
        (Some(id), None) if is_infra_id_of(&config.name, id) => Ok(known(id.to_owned())),
        (Some(id), None) => {
            let because = format!("{id} is not an infra ID of a cluster named {}", config.name);
            let hint = "use the cluster name, a hyphen and five letters or digits";
            Err(which(&because, hint, Exit::Usage))
        }
        (None, None) => {
            let nobody = identify(config);
            let session = aws_session::connect(config, &nobody, None, ui).await?;
            let tagged = retry_reads(|| tag_index::clusters(session.aws())).await;
            only(&config.name, session.aws(), tagged).await.map(known)
        }
    }
}

/// Returns the only infra ID of that name among the cluster tags of owned resources. AWS keeps tags of
/// deleted objects for a while, so of several clusters, only those with existing objects count.
async fn only(
    name: &str,
    aws: &Aws,
    tagged: std::result::Result<BTreeSet<String>, groundplan_engine::provider::ProviderError>,
) -> Result<String> {
    let tagged = tagged.map_err(|error| CommandError::call("read the resource tags", &error))?;
    let mut ours: Vec<_> = tagged.into_iter().filter(|id| is_infra_id_of(name, id)).collect();
    if ours.len() > 1 {
        ours = existing(aws, ours).await?;
    }
    match (ours.pop(), ours.is_empty()) {
        (Some(id), true) => Ok(id),
        (Some(last), false) => {
            let all = ours.join(", ");
            let because = format!("several clusters have this name: {all}, {last}");
            Err(which(&because, "select one with --infra-id", Exit::Usage))
        }
        (None, _) => {
            let because = format!(
                "no resource in this account and region has the owner tag of a cluster \
                     `{name}`"
            );
            let hint = "check the credentials (AWS_PROFILE), the region and the name, or pass \
                 --infra-id";
            Err(which(&because, hint, Exit::Failed))
        }
    }
}

/// Returns the clusters that have a network, a machine or a security group.
async fn existing(aws: &Aws, infra_ids: Vec<String>) -> Result<Vec<String>> {
    let none = OwnObjects::default();
    let mut existing = Vec::new();
    for infra_id in infra_ids {
        let found = retry_reads(|| of_infra_id(aws, &infra_id, &none)).await;
        let found = found.map_err(|error| {
            CommandError::call(&format!("check whether cluster {infra_id} exists"), &error)
        })?;
        existing.extend(found.others.map(|_| infra_id));
    }
    Ok(existing)
}

fn which(because: &str, hint: &str, exit: Exit) -> CommandError {
    let diagnostic =
        Diagnostic::error(Code::InfraIdUnknown, "could not determine the infra ID of the cluster")
            .with_detail(because)
            .with_hint(hint);
    CommandError::new(exit, diagnostic)
}

/// Returns the resources with the cluster tag that recovery did not find. Volumes are left out: AWS
/// deletes volumes of machines with their machines, and the cluster created all others.
async fn not_recovered(aws: &Aws, state: &State) -> Result<Vec<RemainingResource>> {
    let names = names(state);
    let swept = retry_reads(|| Box::pin(sweep::sweep(aws, &names))).await;
    let swept =
        swept.map_err(|error| CommandError::call("search for untracked resources", &error))?;
    let ours = known(state);
    let unclaimed = swept.left.into_iter();
    Ok(unclaimed.filter(|one| one.kind != "volume" && !ours.contains(&one.id)).collect())
}
