//! `groundplan machines destroy`: terminates all recorded machines. Without a recorded state, the
//! error lists states with similar names and the instances with the cluster tag.
//!
//! Never deletes an instance without a record: OpenShift's own controllers may have created it.

use std::collections::BTreeSet;
use std::fs;

use groundplan_aws::configured_region;
use groundplan_aws::sweep::{self, RemainingResource};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::location::StateLocation;
use groundplan_engine::state::{Cluster, State};

use super::read;
use crate::cli::args::{CommonArgs, MachinesDestroy as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session;
use crate::cli::session::manifests_source::state_of;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;
use crate::cli::session::state_backend;
use crate::cli::session::teardown::TeardownTarget;
use crate::render::{Code, Diagnostic, DiagnosticSeverity};

/// Suffix of the names of machine states.
const STATE_SUFFIX: &str = "-machines";

/// Terminates the recorded machines. No sweep follows, because the other resources with the cluster
/// tag belong to the cluster and stay. If the state had no records, instances of the cluster are
/// printed as a warning.
pub(super) async fn destroy(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let session = Session::to_change("destroy", common, stop);
    let looking = Box::pin(read_recorded(arguments, common, ui));
    let RecordedMachines { name, state } = unless_stopped(stop, looking).await?;
    let planning = async {
        let settings = &aws_session::settings_without_config;
        let target = TeardownTarget { name: &name, settings, of_machines: true };
        let locked = session.lock_recorded(&target, &arguments.part, ui).await?;
        locked.plan(&arguments.part, &arguments.guards, ui).await
    };
    let planned = unless_stopped(stop, Box::pin(planning)).await?;
    if arguments.preflight {
        planned.preflight(ui).await?;
    }
    let executed = planned.approve(false, ui).await?.execute(arguments.waits, ui).await?;
    if let Some(cluster) = state.cluster.as_ref().filter(|_| state.has_nothing()) {
        let warning = Box::pin(warn_of_unrecorded(cluster, ui));
        unless_stopped(stop, warning).await?;
    }
    Ok(executed.exit)
}

/// Recorded state before the destroy.
struct RecordedMachines {
    /// Name of the state.
    name: String,
    state: State,
}

/// Reads the state of the machines without taking its lock. The error for a missing state lists the
/// instances of the cluster, if the region is known.
async fn read_recorded(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<RecordedMachines> {
    let (name, infra_id, region) = match &arguments.cluster {
        Some(infra_id) => (state_of(infra_id), infra_id.clone(), configured_region().await),
        None => {
            let source = read(&arguments.manifests, ui)?;
            let Cluster { infra_id, region, .. } = source.cluster(None, None)?;
            (source.name().to_owned(), infra_id, Some(region))
        }
    };
    if let Some((state, _)) = state_backend::read_unlocked(&common.state.of(&name), common).await? {
        return Ok(RecordedMachines { name, state });
    }
    let mut failure = missing_state(&name, &infra_id, &common.state)?;
    if let Some(region) = region {
        let cluster = Cluster { name, infra_id, cluster_id: String::new(), region };
        let detail = &mut failure.diagnostics[0].detail;
        let others = instances_of(&cluster, ui).await?;
        detail.extend(others.iter().map(|one| format!("untracked: {}", name_and_id(one))));
    }
    Err(failure)
}

/// Returns the error that these machines have no recorded state. The details list the states that
/// exist.
///
/// # Errors
/// Returns an error if the folder of the states cannot be read.
fn missing_state(name: &str, infra_id: &str, backend: &StateLocation) -> Result<CommandError> {
    let mut diagnostic =
        Diagnostic::error(Code::StateMissing, format!("no state of machines of {infra_id} found"))
            .with_detail(format!("{} does not exist", backend.of(name)));
    let states = machine_states(backend)?;
    diagnostic.detail.extend(states.iter().map(|state| format!("found {}", backend.of(state))));
    // The user may have given the name of the cluster or of the state instead of the infra ID.
    let is_meant =
        |state: &&String| state.starts_with(&format!("{infra_id}-")) || *state == infra_id;
    let meant: Vec<&str> = states
        .iter()
        .filter(is_meant)
        .filter_map(|state| state.strip_suffix(STATE_SUFFIX))
        .collect();
    let hint = match meant.as_slice() {
        [one] => {
            format!("pass the infra ID: `groundplan machines destroy --cluster {one}`")
        }
        _ => "check the infra ID and --state, or rebuild a lost state with `groundplan machines \
             recover --manifests PATH`"
            .to_owned(),
    };
    Ok(CommandError::new(Exit::Failed, diagnostic.with_hint(hint)))
}

/// Returns the names of machine states in a folder. A bucket returns none, because listing needs a
/// separate permission.
fn machine_states(backend: &StateLocation) -> Result<Vec<String>> {
    let StateLocation::Folder(folder) = backend else { return Ok(Vec::new()) };
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let attempt = format!("read {}", folder.display());
    let entries = fs::read_dir(folder).and_then(Iterator::collect::<std::io::Result<Vec<_>>>);
    let entries = entries
        .map_err(|error| CommandError::could_not(Code::StateUnreadable, &attempt, &error))?;
    let folders = entries.iter().filter(|entry| entry.path().is_dir());
    let names = folders.filter_map(|entry| entry.file_name().into_string().ok());
    let names: BTreeSet<String> = names.filter(|name| name.ends_with(STATE_SUFFIX)).collect();
    Ok(names.into_iter().collect())
}

/// Prints a warning with the instances of the cluster. The caller has found an empty state, so no
/// instance has a record.
async fn warn_of_unrecorded(cluster: &Cluster, ui: &mut Ui) -> Result<()> {
    let others = instances_of(cluster, ui).await?;
    if others.is_empty() {
        return Ok(());
    }
    let (noun, verb) = if others.len() == 1 { ("instance", "is") } else { ("instances", "are") };
    let summary = format!(
        "{} {noun} of {} {verb} not recorded in this state and not deleted",
        others.len(),
        cluster.infra_id
    );
    let mut warning = Diagnostic::warning(Code::MachinesUntracked, summary).with_hint(
        "scale down the MachineSet of unneeded instances, or terminate them by hand; a running \
         cluster manages its own machines",
    );
    warning.detail = others.iter().map(name_and_id).collect();
    Ok(ui.diagnostic(&warning)?)
}

/// Returns the instances with the cluster tag. If the query fails, prints a warning and returns an
/// empty list.
async fn instances_of(cluster: &Cluster, ui: &mut Ui) -> Result<Vec<RemainingResource>> {
    let settings = aws_session::settings_without_config(cluster);
    let session = aws_session::reach(settings, None, ui).await?;
    let recorded = BTreeSet::new();
    match retry_reads(|| sweep::other_instances(session.aws(), &recorded)).await {
        Ok(others) => Ok(others),
        Err(error) => {
            let mut warning = Diagnostic::call_failed("search for untracked resources", &error);
            warning.severity = DiagnosticSeverity::Warning;
            ui.diagnostic(&warning)?;
            Ok(Vec::new())
        }
    }
}

fn name_and_id(instance: &RemainingResource) -> String {
    match &instance.name {
        Some(name) => format!("{name} ({})", instance.id),
        None => instance.id.clone(),
    }
}
