//! Completion of an installation after its apply: wait for the control plane, remove the bootstrap, wait
//! for the rest. Each step is skipped if the state or the cluster shows that it is done.

use groundplan_engine::apply::Shutdown;

use crate::cli::args::{ApplyingArgs, ClusterArg, CommonArgs, GuardArgs, WaitOptions};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::locked_state::read_unlocked;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;
use crate::cli::session::waiting::{usable_kubeconfig, wait_for};
use crate::installation::outputs::bootstrap;
use crate::installation::stages::Goal;
use crate::render::{Code, Diagnostic};

/// Rejects a wait without a usable kubeconfig, before the first change.
pub(crate) async fn can_wait(common: &CommonArgs) -> Result<()> {
    if common.assets.is_none() {
        let diagnostic = Diagnostic::error(
            Code::KubeconfigUnusable,
            "--wait needs the kubeconfig of the new cluster",
        )
        .with_hint("pass the folder of openshift-install with --assets");
        return Err(CommandError::new(Exit::Usage, diagnostic));
    }
    usable_kubeconfig(&options(None), common).await
}

/// Waits until the applied cluster is installed, and removes its bootstrap in between. The approval of
/// the apply includes the removal. After an interruption, the next apply continues.
pub(crate) async fn complete(
    cluster: &str,
    how: &ApplyingArgs,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let options = options(Some(cluster));
    let state = read_unlocked(common, cluster, ui).await?;
    if state.is_some_and(|state| bootstrap(&state).is_some()) {
        waited_for(Goal::BootstrapComplete, &options, common, ui, stop).await?;
        let exit = remove_bootstrap(how, common, ui, stop).await?;
        if exit != Exit::Done {
            return Ok(exit);
        }
    }
    waited_for(Goal::InstallComplete, &options, common, ui, stop).await?;
    Ok(Exit::Done)
}

/// Waits for a goal. A signal ends the wait; unlike other waits, this one follows changes. So does a
/// kubeconfig that has become unusable, and the exit code of an invalid input file would promise that
/// nothing was changed.
async fn waited_for(
    goal: Goal,
    options: &WaitOptions,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<()> {
    let waiting = wait_for(goal, options, false, common, ui);
    let waited = unless_stopped(stop, Box::pin(waiting)).await;
    waited.map_err(after_changes)
}

/// Returns the failure of a wait that follows changes.
fn after_changes(failure: CommandError) -> CommandError {
    match failure.exit {
        Exit::Stopped => stopped(),
        Exit::ConfigInvalid => CommandError { exit: Exit::Failed, ..failure },
        _ => failure,
    }
}

fn stopped() -> CommandError {
    let diagnostic = Diagnostic::error(
        Code::Stopped,
        "the wait was stopped by a signal; all changes before it are recorded",
    )
    .with_hint("run the same command again to continue the installation");
    CommandError::new(Exit::Stopped, diagnostic)
}

async fn remove_bootstrap(
    how: &ApplyingArgs,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let common = CommonArgs { auto_approve: true, ..common.clone() };
    let session = Session::to_change("bootstrap destroy", &common, stop);
    let source = Box::new(InstallConfigSource::read(&common, Some(false), ui)?);
    let planned = session.plan_removal(source, &GuardArgs::default(), ui).await?;
    if how.preflight {
        planned.preflight(ui).await?;
    }
    Ok(planned.approve(false, ui).await?.execute(how.waits, ui).await?.exit)
}

fn options(cluster: Option<&str>) -> WaitOptions {
    let cluster = ClusterArg { cluster: cluster.map(str::to_owned) };
    WaitOptions { kubeconfig: None, timeout: None, late_after: None, cluster }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kubeconfig_that_is_lost_after_changes_has_not_the_exit_code_of_an_unchanged_cluster() {
        let unusable = Diagnostic::error(Code::KubeconfigUnusable, "could not use it");
        let failure = after_changes(CommandError::new(Exit::ConfigInvalid, unusable.clone()));
        assert_eq!((failure.exit, &failure.diagnostics), (Exit::Failed, &vec![unusable]));
    }
}
