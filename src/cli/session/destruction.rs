//! The destroy of a cluster, for `destroy`, `plan --destroy` and the apply of a saved destroy plan.

use std::path::Path;

use groundplan_aws::Aws;
use groundplan_aws::model::cluster_tag_key;
use groundplan_aws::sweep;
use groundplan_engine::apply::Shutdown;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::Cluster;
use groundplan_openshift::install_config::InstallConfig;
use serde_json::json;

use crate::cli::args::{CommonArgs, GuardArgs, TargetingArgs, WaitArgs, quoted};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session;
use crate::cli::session::input_files::read_config;
use crate::cli::session::manifests_source::state_of;
use crate::cli::session::saved_plan::{self, ReadPlan};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::{Planned, Purpose, Session, ToChange, ToPlan};
use crate::cli::session::teardown::{Teardown, TeardownTarget};
use crate::cli::session::{state_backend, untracked};
use crate::render::state::rows;
use crate::render::{Code, Diagnostic};

/// Cluster to destroy.
pub(crate) enum DestroyedCluster {
    /// Cluster with a recorded state of this name, and its install-config if it is known.
    Recorded { name: String, config: Option<Box<InstallConfig>> },
    /// Cluster without a recorded state, and its domain if `metadata.json` has it.
    Lost { cluster: Cluster, domain: Option<String> },
}

/// Options of a preview.
pub(crate) struct PreviewSettings<'a> {
    /// File to save the plan to.
    pub(crate) out: Option<&'a Path>,
    /// True to check permissions.
    pub(crate) preflight: bool,
    pub(crate) part: &'a TargetingArgs,
    pub(crate) guards: &'a GuardArgs,
}

/// Shows the plan of a destroy without its execution, and saves it if a file is given. Returns true
/// if the plan destroys resources.
pub(crate) async fn preview(
    session: Session<'_, ToPlan>,
    cluster: DestroyedCluster,
    settings: &PreviewSettings<'_>,
    ui: &mut Ui,
) -> Result<bool> {
    let PreviewSettings { out, preflight, part, guards } = *settings;
    out.map_or(Ok(()), saved_plan::must_be_writable)?;
    let common = session.common;
    let planned = plan(session, cluster, part, guards, ui).await?;
    if !planned.is_part() {
        without_machines(&planned.cluster().infra_id, common).await?;
    }
    if preflight {
        planned.preflight(ui).await?;
    }
    planned.close(out, ui).await
}

/// Plans the destroy of a cluster, and shows the plan.
pub(crate) async fn plan<'a, P: Purpose>(
    session: Session<'a, P>,
    cluster: DestroyedCluster,
    part: &TargetingArgs,
    guards: &GuardArgs,
    ui: &mut Ui,
) -> Result<Planned<'a, P, Teardown>> {
    let locked = match &cluster {
        DestroyedCluster::Lost { cluster, domain } => {
            Box::pin(session.lock_lost(cluster, domain.as_deref(), ui)).await?
        }
        DestroyedCluster::Recorded { name, config } => {
            let settings = |cluster: &Cluster| match config {
                Some(config) => aws_session::settings(config, cluster),
                None => aws_session::settings_without_config(cluster),
            };
            let target = TeardownTarget { name, settings: &settings, of_machines: false };
            session.lock_recorded(&target, part, ui).await?
        }
    };
    locked.plan(part, guards, ui).await
}

/// Plans the destroy of a saved plan again, rejects a stale one, and shows the saved plan.
pub(crate) async fn plan_of_saved<'a>(
    session: Session<'a, ToChange>,
    saved: ReadPlan,
    guards: &GuardArgs,
    ui: &mut Ui,
) -> Result<Planned<'a, ToChange, Teardown>> {
    let common = session.common;
    let cluster =
        saved.plan.plan.cluster.clone().ok_or_else(|| saved_plan::without_cluster(&saved))?;
    let place = common.state.of(&cluster.name);
    let recorded = state_backend::read_unlocked(&place, common).await?.map(|(state, _)| state);
    saved_plan::ensure_same_state(&saved, recorded.as_ref())?;
    let is_recorded = recorded.and_then(|state| state.cluster) == Some(cluster.clone());
    let part = saved_plan::part(&saved.plan.options);
    let locked = match is_recorded {
        false => {
            let domain = untracked::domain_in(&saved.plan.plan);
            Box::pin(session.lock_lost(&cluster, domain, ui)).await?
        }
        true => {
            let config = config_of(&cluster.name, common, ui)?;
            let settings = |cluster: &Cluster| match &config {
                Some(config) => aws_session::settings(config, cluster),
                None => aws_session::settings_without_config(cluster),
            };
            let target =
                TeardownTarget { name: &cluster.name, settings: &settings, of_machines: false };
            session.lock_recorded(&target, &part, ui).await?
        }
    };
    locked.plan_of_saved(saved, guards, ui).await
}

/// Checks and options of the execution of a destroy plan.
#[derive(Clone, Copy, Debug)]
pub(crate) struct DestroySettings {
    /// True to check permissions before the first change.
    pub(crate) preflight: bool,
    pub(crate) waits: WaitArgs,
    /// True for a saved plan, which needs a confirmation only for a danger.
    pub(crate) is_saved: bool,
}

/// Executes a destroy plan after the user's approval, and searches for remaining resources.
pub(crate) async fn execute(
    planned: Planned<'_, ToChange, Teardown>,
    settings: DestroySettings,
    ui: &mut Ui,
) -> Result<Exit> {
    let (common, stop): (&CommonArgs, &Shutdown) = (planned.session.common, planned.session.stop);
    let (cluster, names) = (planned.cluster().clone(), planned.names());
    let is_part = planned.is_part() || planned.leaves_others();
    if !planned.is_part() {
        unless_stopped(stop, without_machines(&cluster.infra_id, common)).await?;
    }
    if settings.preflight {
        planned.preflight(ui).await?;
    }
    let approved = planned.approve(settings.is_saved, ui).await?;
    let executed = approved.execute(settings.waits, ui).await?;
    if executed.exit != Exit::Done || is_part {
        return Ok(executed.exit); // a part that is left is no surprise
    }
    unless_stopped(stop, Box::pin(proven(&cluster, &names, executed.aws(), ui))).await
}

impl Planned<'_, ToPlan, Teardown> {
    /// Saves the plan to `out`, if given. Returns true if the plan destroys resources.
    async fn close(self, out: Option<&Path>, ui: &mut Ui) -> Result<bool> {
        let Self { session, held, inputs, plan, .. } = self;
        let is_changed = !plan.is_empty();
        if let Some(path) = out {
            let saved = saved_plan::of_destroy(inputs.options, inputs.warnings, plan);
            if saved_plan::write(&saved, path).await? {
                let (path, options) = (quoted(path), session.common.repeated());
                ui.print_line(&format!(
                    "\nSaved to {path}. To destroy exactly this: groundplan apply{options} {path}"
                ))?;
            }
        }
        held.close(session.common, ui).await?;
        Ok(is_changed)
    }
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
    Err(CommandError::new(
        Exit::Refused,
        Diagnostic::error(Code::MachinesRecorded, summary).with_hint(hint),
    ))
}

/// Reads the install-config of a cluster with this name, for its endpoints. A missing, invalid or
/// unrelated one results in `None`.
pub(crate) fn config_of(
    name: &str,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Option<InstallConfig>> {
    if !common.config.exists() {
        return Ok(None);
    }
    match read_config(common, ui) {
        Ok((config, _)) => Ok(Some(config).filter(|config| config.name == name)),
        Err(failure) if failure.exit == Exit::ConfigInvalid => {
            let file = common.config.display();
            let warning = format!("{file} is invalid; `{name}` is destroyed without it");
            ui.diagnostic(&Diagnostic::warning(Code::ConfigIgnored, warning))?;
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Sweeps again and prints the resources that still carry the cluster tag. Fails if there is one.
/// Searches that the credentials do not allow prove nothing: their calls are printed.
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
    let not_searched: Vec<&str> = swept.not_searched.iter().map(|one| one.call.as_ref()).collect();
    ui.print_json("leftovers", &json!({"tag": tag, "left": left, "not_searched": not_searched}))?;
    for error in &swept.not_searched {
        ui.diagnostic(&untracked::not_looked_for(error))?;
    }
    if let Some(warning) = untracked::kept_backups(&swept.backups) {
        ui.diagnostic(&Diagnostic::warning(Code::BackupsKept, warning))?;
    }
    if left.is_empty() {
        ui.print_line(&match not_searched.is_empty() {
            true => format!("No resources with the tag {tag} remain."),
            false => {
                let gaps = untracked::gaps(&swept.not_searched);
                format!("No resources with the tag {tag} found. {gaps}")
            }
        })?;
        return Ok(Exit::Done);
    }
    let mut diagnostic =
        Diagnostic::error(Code::ResourcesRemain, format!("resources with the tag {tag} remain"));
    diagnostic.detail = left.iter().map(untracked::remaining).collect();
    let hint = match left.iter().all(|one| one.reported) {
        true => {
            "delete them by hand, with the tools of their services; the tagging API reports a deleted \
             resource for a while"
        }
        false => {
            "run the same command again: the cluster may have created them during the destroy; \
             delete by hand what the new plan does not show"
        }
    };
    Err(CommandError::new(Exit::Failed, diagnostic.with_hint(hint)))
}
