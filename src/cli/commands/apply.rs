//! `groundplan apply`: changes AWS to match the desired state.

use groundplan_engine::apply::Shutdown;
use groundplan_engine::state::State;

use crate::cli::args::{ApplyArgs as Arguments, CommonArgs, quoted};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::Result;
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::destruction::{self, DestroySettings};
use crate::cli::session::install_config_source::InstallConfigSource;
#[cfg(feature = "kubernetes")]
use crate::cli::session::installing;
use crate::cli::session::saved_plan;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::Session;
use crate::cli::session::state_backend;
use crate::installation::outputs::bootstrap;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let how = &arguments.how;
    #[cfg(feature = "kubernetes")]
    if arguments.wait {
        installing::can_wait(common).await?;
    }
    let mut saved = saved_plan::read_argument(arguments.plan.as_deref(), false, stop).await?;
    if let Some(saved) = saved.take_if(|saved| saved.is_destroy()) {
        let session = Session::to_change("destroy", common, stop);
        let planning = destruction::plan_of_saved(session, saved, &how.guards, ui);
        let planned = unless_stopped(stop, Box::pin(planning)).await?;
        let (preflight, waits) = (how.preflight, how.waits);
        let settings = DestroySettings { preflight, waits, is_saved: true };
        return destruction::execute(planned, settings, ui).await;
    }
    let is_saved = saved.is_some();
    let session = Session::to_change("apply", common, stop);
    let read = |bootstrap: Option<bool>, ui: &mut Ui| -> Result<Box<dyn DesiredState>> {
        let bootstrap = bootstrap.or(arguments.wanted.bootstrap_choice());
        Ok(Box::new(InstallConfigSource::read(common, bootstrap, ui)?))
    };
    let planned = session.plan_or_saved(&read, saved, how, ui).await?;
    planned.gate(&how.gate, ui).await?;
    if how.preflight {
        planned.preflight(ui).await?;
    }
    let cluster = planned.cluster_name();
    let approved = planned.approve(is_saved, ui).await?;
    let exit = approved.execute(how.waits, ui).await?.exit;
    let Some(cluster) = cluster.filter(|_| exit == Exit::Done) else { return Ok(exit) };
    #[cfg(feature = "kubernetes")]
    if arguments.wait {
        return installing::complete(&cluster, how, common, ui, stop).await;
    }
    print_next_steps(&cluster, common, ui).await?;
    Ok(exit)
}

/// Prints the commands after the apply of a cluster that is still to be installed: one that has a
/// bootstrap machine with an Ignition config of openshift-install.
async fn print_next_steps(cluster: &str, common: &CommonArgs, ui: &mut Ui) -> Result<()> {
    if ui.is_json() {
        return Ok(());
    }
    let state = state_backend::read_unlocked(&common.state.of(cluster), common).await?;
    let installs = |state: &State| state.lookup_cache.has_assets && bootstrap(state).is_some();
    if !state.is_some_and(|(state, _)| installs(&state)) {
        return Ok(());
    }
    ui.talk("")?;
    ui.talk("Next:")?;
    next_steps(common).iter().try_for_each(|step| ui.talk(&format!("  {step}")))?;
    Ok(())
}

/// Returns the commands that complete an installation, in order.
fn next_steps(common: &CommonArgs) -> [String; 3] {
    // The wait needs the kubeconfig of the assets, which an apply may do without.
    let folder = if common.assets.is_none() { " --assets DIR" } else { "" };
    let options = common.repeated();
    let wait = |goal: &str| match (cfg!(feature = "kubernetes"), &common.assets) {
        (true, _) => format!("groundplan wait-for {goal}{options}{folder}"),
        (false, Some(folder)) => {
            format!("openshift-install wait-for {goal} --dir {}", quoted(folder))
        }
        (false, None) => format!("openshift-install wait-for {goal}"),
    };
    [
        wait("bootstrap-complete"),
        format!("groundplan bootstrap destroy{options}"),
        wait("install-complete"),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::CliArguments;

    #[test]
    fn the_next_steps_are_command_lines_with_the_same_files() {
        let line = ["groundplan", "apply", "--assets", "my assets", "--rhcos-stream", "s.json"];
        let common = CliArguments::parse_line(line).unwrap().common;
        let steps = next_steps(&common);
        for step in &steps {
            assert!(step.contains("'my assets'"), "{step}");
            let words = step.replace("'my assets'", "assets");
            if words.starts_with("groundplan ") {
                assert!(CliArguments::parse_line(words.split(' ')).is_ok(), "{step}");
            }
        }
        assert!(steps[1].starts_with("groundplan bootstrap destroy "), "{steps:?}");
        let without = CliArguments::parse_line(["groundplan", "apply"]).unwrap().common;
        assert!(next_steps(&without)[0].ends_with("bootstrap-complete --assets DIR"));
    }
}
