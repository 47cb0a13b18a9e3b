//! `groundplan apply`: changes AWS to match the desired state.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::saved::SavedPlan;
use groundplan_engine::plan::{Change, Plan};
use groundplan_engine::state::State;

use crate::cli::args::{ApplyArgs as Arguments, ApplyingArgs, CommonArgs};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::execute::{confirmed, must_be_confirmable, walk};
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::plan_context::PlanContext;
use crate::cli::session::plan_preview::{enforce_guards, plan_warnings, view};
use crate::cli::session::preflight::preflight;
use crate::cli::session::saved_plan::{self, stale};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::targeting;

const QUESTION: &str = "Do you want to perform these actions?";

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    if let Some(path) = &arguments.plan {
        saved_plan::must_be(false, path)?;
    }
    let read = |bootstrap: Option<bool>, ui: &mut Ui| -> Result<Box<dyn DesiredState>> {
        let bootstrap = bootstrap.unwrap_or(!arguments.wanted.no_bootstrap);
        Ok(Box::new(InstallConfigSource::read(common, bootstrap, ui)?))
    };
    applied(&read, arguments.plan.as_deref(), &arguments.how, common, ui, stop).await
}

/// Function that reads the desired state. The argument is the bootstrap setting of a saved plan;
/// `None` means the setting of the arguments.
pub(crate) type ReadPlan<'a> = &'a dyn Fn(Option<bool>, &mut Ui) -> Result<Box<dyn DesiredState>>;

/// Applies a saved plan, or a new plan if `saved` is `None`.
pub(crate) async fn applied(
    read: ReadPlan<'_>,
    saved: Option<&Path>,
    how: &ApplyingArgs,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    must_be_confirmable(common, ui)?;
    let deciding = async {
        match saved {
            Some(path) => recalled(read, path, how, common, ui).await,
            None => decided(read, how, common, ui).await,
        }
    };
    let (context, plan) = unless_stopped(stop, deciding).await?;
    if how.preflight {
        unless_stopped(stop, preflight(&context, &plan, ui)).await?;
    }
    if !plan.is_empty() {
        confirmed(common, QUESTION, ui, stop).await?;
        ui.print_line("")?;
    }
    let PlanContext { aws, mut held, compiled, .. } = context;
    if !(plan.is_empty() && plan.dependency_updates.is_empty()) {
        held.begin(ui).await?;
    }
    aws.guard(stop.or_shutdown(held.backend.fence()));
    let secrets = Arc::new(compiled.graph.into_secrets());
    walk(&plan, held, aws, secrets, common, ui, stop).await
}

/// Makes and shows a new plan.
async fn decided(
    read: ReadPlan<'_>,
    how: &ApplyingArgs,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<(PlanContext, Plan)> {
    let source = read(None, ui)?;
    let context = PlanContext::prepare(source, common, "apply", &|_, _| Ok(()), ui).await?;
    let (graph, state) = (&context.compiled.graph, &context.held.state);
    let options = targeting::resolve_against_graph(&how.renewal, &how.part, graph, state)?;
    let plan = context.plan(&context.refresh(true).await?, &options);
    let warnings = plan_warnings(&context.compiled.warnings, &plan);
    ui.plan(&view(&plan, how.full, &warnings))?;
    enforce_guards(&plan, &how.guards)?;
    Ok((context, plan))
}

/// Loads a saved plan. Returns an error if the plan is stale.
async fn recalled(
    read: ReadPlan<'_>,
    path: &Path,
    how: &ApplyingArgs,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<(PlanContext, Plan)> {
    let saved = saved_plan::read(path)?;
    let name = path.display().to_string();
    let fits =
        |source: &dyn DesiredState, state: Option<&State>| unmoved(&saved, source, state, &name);
    let source = read(Some(saved.bootstrap), ui)?;
    let context = PlanContext::prepare(source, common, "apply", &fits, ui).await?;
    let now = context.plan(&context.refresh(true).await?, &saved.options);
    undrifted(&saved.plan, &now, &name)?;
    ui.plan(&view(&saved.plan, false, &saved.warnings))?;
    enforce_guards(&saved.plan, &how.guards)?;
    Ok((context, saved.plan))
}

/// Returns an error if the desired state or the recorded state has changed since the plan.
fn unmoved(
    saved: &SavedPlan,
    source: &dyn DesiredState,
    state: Option<&State>,
    name: &str,
) -> Result<()> {
    let lineage = state.map(|state| &*state.lineage);
    let serial = state.map(|state| state.serial);
    let moved =
        source.moved(&saved.digests).or_else(|| match lineage == Some(&saved.plan.lineage) {
            false => Some("the plan was made from another state"),
            true if serial != Some(saved.plan.serial) => {
                Some("the state has changed since the plan was made")
            }
            true => None,
        });
    match moved {
        Some(because) => Err(stale(&format!("the plan {name} is stale"), because)),
        None => Ok(()),
    }
}

/// Returns an error if a new plan differs from the saved plan in a resource that the saved plan
/// touches.
fn undrifted(saved: &Plan, now: &Plan, name: &str) -> Result<()> {
    let (then, now) = (about(saved), about(now));
    let touched = saved.steps.iter().map(|step| step.op.address());
    for address in touched {
        if then.get(address) != now.get(address) {
            let because = format!(
                "{address} was changed outside groundplan since the plan was \
                 made"
            );
            return Err(stale(&format!("the plan {name} is stale"), &because));
        }
    }
    Ok(())
}

/// Returns the changes of a plan by address. An address with a deposed object has two changes.
fn about(plan: &Plan) -> HashMap<&Address, Vec<&Change>> {
    let mut about: HashMap<_, Vec<_>> = HashMap::new();
    for change in &plan.changes {
        about.entry(&change.address).or_default().push(change);
    }
    about
}
