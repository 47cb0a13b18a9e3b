//! `groundplan destroy`: deletes all recorded and untracked resources of a cluster, and proves that
//! no resource with the cluster tag is left.
//!
//! `lost` is a cluster without recorded state, selected by its infra ID or its metadata.json.

mod lost;

use groundplan_aws::Aws;
use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::sweep;
use groundplan_engine::apply::Shutdown;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::Cluster;
use groundplan_openshift::install_config::InstallConfig;
use serde_json::json;

use crate::cli::args::{CommonArgs, DestroyArgs as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session;
use crate::cli::session::input_files::read_config;
use crate::cli::session::manifests_source::state_of;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::{Planned, Session, ToChange};
use crate::cli::session::teardown::{Teardown, TeardownTarget};
use crate::cli::session::{state_backend, untracked};
use crate::render::Diagnostic;
use crate::render::state::rows;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let session = Session::to_change("destroy", common, stop, ui)?;
    let planning = Box::pin(plan(session, arguments, common, ui));
    let planned = unless_stopped(stop, planning).await?;
    let (cluster, names) = (planned.cluster().clone(), planned.names());
    let is_part = planned.is_part() || planned.leaves_others();
    if !planned.is_part() {
        unless_stopped(stop, without_machines(&cluster.infra_id, common)).await?;
    }
    if arguments.preflight {
        planned.preflight(ui).await?;
    }
    let executed = planned.approve(ui).await?.execute(arguments.waits, ui).await?;
    if executed.exit != Exit::Done || is_part {
        return Ok(executed.exit); // a part that is left is no surprise
    }
    unless_stopped(stop, Box::pin(proven(&cluster, &names, executed.aws(), ui))).await
}

async fn plan<'a>(
    session: Session<'a, ToChange>,
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Planned<'a, ToChange, Teardown>> {
    let (part, guards) = (&arguments.part, &arguments.guards);
    let (name, config) = match lost::named(arguments)? {
        Some(cluster) => match lost::recorded(&cluster, common).await? {
            Some(name) => (name, None),
            None => {
                let locked = Box::pin(session.lock_lost(&cluster, ui)).await?;
                return locked.plan(part, guards, ui).await;
            }
        },
        None => {
            let config = config(arguments, common, ui)?;
            let name = match (&arguments.cluster, &config) {
                (Some(name), _) => name.clone(),
                (None, Some(config)) => config.name.clone(),
                (None, None) => {
                    unreachable!("BUG: without a name the config is read or the command ends")
                }
            };
            (name, config)
        }
    };
    let settings = |cluster: &Cluster| match &config {
        Some(config) => aws_session::settings(config, cluster),
        None => aws_session::settings_without_config(cluster),
    };
    let target = TeardownTarget { name: &name, settings: &settings, of_machines: false };
    let locked = session.lock_recorded(&target, part, ui).await?;
    locked.plan(part, guards, ui).await
}

/// Returns an error if machines of manifests are recorded. AWS rejects the deletion of their
/// network.
async fn without_machines(infra_id: &str, common: &CommonArgs) -> Result<()> {
    let place = common.state.of(&state_of(infra_id));
    let recorded = state_backend::read_unlocked(&place, common)
        .await?
        .map_or(0, |(state, _)| rows(&state).count());
    if recorded == 0 {
        return Ok(());
    }
    let (noun, verb) = if recorded == 1 { ("resource", "is") } else { ("resources", "are") };
    let summary = format!(
        "{recorded} {noun} of the cluster's machines {verb} still recorded in \
         {place}"
    );
    let hint = format!("run `groundplan machines destroy --cluster {infra_id}` first");
    Err(CommandError::new(Exit::Refused, Diagnostic::error(summary).with_hint(hint)))
}

/// Reads the install-config, for its endpoints. With `--cluster` the install-config is optional: a
/// missing, invalid or unrelated one results in `None`.
fn config(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Option<InstallConfig>> {
    let Some(name) = &arguments.cluster else {
        return Ok(Some(read_config(&common.config, ui)?.0));
    };
    if !common.config.exists() {
        return Ok(None);
    }
    match read_config(&common.config, ui) {
        Ok((config, _)) => Ok(Some(config).filter(|config| config.name == *name)),
        Err(failure) if failure.exit == Exit::ConfigInvalid => {
            let file = common.config.display();
            let warning = format!("{file} is invalid; `{name}` is destroyed without it");
            ui.diagnostic(&Diagnostic::warning(warning))?;
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Sweeps again and prints the resources that still carry the cluster tag. Fails if there is one.
async fn proven(
    cluster: &Cluster,
    names: &sweep::SweepNames,
    aws: &Aws,
    ui: &mut Ui,
) -> Result<Exit> {
    let swept = retry_reads(|| Box::pin(sweep::sweep(aws, names)))
        .await
        .map_err(|error| CommandError::call("check for remaining resources", &error))?;
    let (tag, left) = (cluster_tag_key(&cluster.infra_id), swept.left);
    ui.print_json("leftovers", &json!({"tag": tag, "left": left}))?;
    for denied in &swept.denied {
        ui.diagnostic(&untracked::not_looked_for(denied))?;
    }
    if let Some(warning) = untracked::kept_backups(&swept.backups) {
        ui.diagnostic(&Diagnostic::warning(warning))?;
    }
    if left.is_empty() {
        ui.print_line(&format!("No resources with the tag {tag} remain."))?;
        return Ok(Exit::Done);
    }
    let mut diagnostic = Diagnostic::error(format!("resources with the tag {tag} remain"));
    diagnostic.detail = left.iter().map(|one| format!("{} {}", one.kind, one.id)).collect();
    let hint = "run the same command again: the cluster may have created them during the destroy; \
         delete by hand what the new plan does not show";
    Err(CommandError::new(Exit::Failed, diagnostic.with_hint(hint)))
}
