//! `groundplan apply`: changes AWS to match the desired state.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use groundplan_engine::apply::Stop;
use groundplan_engine::graph::Address;
use groundplan_engine::plan::saved::SavedPlan;
use groundplan_engine::plan::{Change, Plan};
use groundplan_engine::state::State;

use crate::cli::args::{Apply as Arguments, Applying, Common};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::desired_state::Source;
use crate::cli::session::execute::{confirmed, must_be_confirmable, walk};
use crate::cli::session::install_config_source::Configured;
use crate::cli::session::plan_context::World;
use crate::cli::session::plan_preview::{cautions, guarded, view};
use crate::cli::session::preflight::preflight;
use crate::cli::session::saved_plan::{self, stale};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::targeting;

const QUESTION: &str = "Do you want to perform these actions?";

pub(crate) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    if let Some(path) = &arguments.plan {
        saved_plan::must_be(false, path)?;
    }
    let read = |bootstrap: Option<bool>, screen: &mut Screen| -> Result<Box<dyn Source>> {
        let bootstrap = bootstrap.unwrap_or(!arguments.wanted.no_bootstrap);
        Ok(Box::new(Configured::read(common, bootstrap, screen)?))
    };
    applied(&read, arguments.plan.as_deref(), &arguments.how, common, screen, stop).await
}

/// Function that reads the desired state. The argument is the bootstrap setting of a saved plan;
/// `None` means the setting of the arguments.
pub(crate) type Read<'a> = &'a dyn Fn(Option<bool>, &mut Screen) -> Result<Box<dyn Source>>;

/// Applies a saved plan, or a new plan if `saved` is `None`.
pub(crate) async fn applied(
    read: Read<'_>,
    saved: Option<&Path>,
    how: &Applying,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    must_be_confirmable(common, screen)?;
    let deciding = async {
        match saved {
            Some(path) => recalled(read, path, how, common, screen).await,
            None => decided(read, how, common, screen).await,
        }
    };
    let (world, plan) = unless_stopped(stop, deciding).await?;
    if how.preflight {
        unless_stopped(stop, preflight(&world, &plan, screen)).await?;
    }
    if !plan.is_empty() {
        confirmed(common, QUESTION, screen, stop).await?;
        screen.say("")?;
    }
    let World { aws, mut held, compiled, .. } = world;
    if !(plan.is_empty() && plan.relinks.is_empty()) {
        held.begin(screen).await?;
    }
    aws.guard(stop.shuts(held.home.fence()));
    let secrets = Arc::new(compiled.graph.into_secrets());
    walk(&plan, held, aws, secrets, common, screen, stop).await
}

/// Makes and shows a new plan.
async fn decided(
    read: Read<'_>,
    how: &Applying,
    common: &Common,
    screen: &mut Screen,
) -> Result<(World, Plan)> {
    let source = read(None, screen)?;
    let world = World::prepare(source, common, "apply", &|_, _| Ok(()), screen).await?;
    let (graph, state) = (&world.compiled.graph, &world.held.state);
    let options = targeting::of_wanted(&how.renewal, &how.part, graph, state)?;
    let plan = world.plan(&world.observe(true).await?, &options);
    let warnings = cautions(&world.compiled.warnings, &plan);
    screen.plan(&view(&plan, how.full, &warnings))?;
    guarded(&plan, &how.guards)?;
    Ok((world, plan))
}

/// Loads a saved plan. Returns an error if the plan is stale.
async fn recalled(
    read: Read<'_>,
    path: &Path,
    how: &Applying,
    common: &Common,
    screen: &mut Screen,
) -> Result<(World, Plan)> {
    let saved = saved_plan::read(path)?;
    let name = path.display().to_string();
    let fits = |source: &dyn Source, state: Option<&State>| unmoved(&saved, source, state, &name);
    let source = read(Some(saved.bootstrap), screen)?;
    let world = World::prepare(source, common, "apply", &fits, screen).await?;
    let now = world.plan(&world.observe(true).await?, &saved.options);
    undrifted(&saved.plan, &now, &name)?;
    screen.plan(&view(&saved.plan, false, &saved.warnings))?;
    guarded(&saved.plan, &how.guards)?;
    Ok((world, saved.plan))
}

/// Returns an error if the desired state or the recorded state has changed since the plan.
fn unmoved(
    saved: &SavedPlan,
    source: &dyn Source,
    state: Option<&State>,
    name: &str,
) -> Result<()> {
    let lineage = state.map(|state| &*state.lineage);
    let serial = state.map(|state| state.serial);
    let moved =
        source.moved(&saved.digests).or_else(|| match lineage == Some(&saved.plan.lineage) {
            false => Some("it was made from another state"),
            true if serial != Some(saved.plan.serial) => {
                Some("the state has moved on since it was made")
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
            let because = format!("{address} has been changed by somebody else since it was made");
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
