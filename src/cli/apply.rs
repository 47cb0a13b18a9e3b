//! `groundplan apply`: makes AWS what the install-config says.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::args::{Apply as Arguments, Common, Guards};
use super::choice;
use super::exit::Exit;
use super::failure::Result;
use super::inputs::Inputs;
use super::preflight::preflight;
use super::preview::{cautions, guarded, view};
use super::saved_plan::{self, stale};
use super::screen::Screen;
use super::signals::unless_stopped;
use super::walk::{confirmed, must_be_confirmable, walk};
use super::world::World;
use crate::apply::Stop;
use crate::graph::Address;
use crate::plan::saved::SavedPlan;
use crate::plan::{Change, Plan};
use crate::state::State;

const QUESTION: &str = "Do you want to perform these actions?";

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    must_be_confirmable(common, screen)?;
    let deciding = async {
        match &arguments.plan {
            Some(path) => recalled(path, &arguments.guards, common, screen).await,
            None => decided(arguments, common, screen).await,
        }
    };
    let (world, plan) = unless_stopped(stop, deciding).await?;
    if arguments.preflight {
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

/// Plans afresh.
async fn decided(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
) -> Result<(World, Plan)> {
    let bootstrap = !arguments.wanted.no_bootstrap;
    let world = World::prepare(common, bootstrap, "apply", &|_, _| Ok(()), screen).await?;
    let (graph, state) = (&world.compiled.graph, &world.held.state);
    let options = choice::of_wanted(&arguments.renewal, &arguments.part, graph, state)?;
    let plan = world.plan(&world.observe(true).await?, &options);
    let warnings = cautions(&world.compiled.warnings, &plan);
    screen.plan(&view(&plan, arguments.full, &warnings))?;
    guarded(&plan, &arguments.guards)?;
    Ok((world, plan))
}

/// Takes a saved plan, if the world is still what it was made from.
async fn recalled(
    path: &Path,
    guards: &Guards,
    common: &Common,
    screen: &mut Screen,
) -> Result<(World, Plan)> {
    let saved = saved_plan::read(path)?;
    let name = path.display().to_string();
    let fits = |inputs: &Inputs, state: Option<&State>| unmoved(&saved, inputs, state, &name);
    let world = World::prepare(common, saved.bootstrap, "apply", &fits, screen).await?;
    let now = world.plan(&world.observe(true).await?, &saved.options);
    undrifted(&saved.plan, &now, &name)?;
    screen.plan(&view(&saved.plan, false, &saved.warnings))?;
    guarded(&saved.plan, guards)?;
    Ok((world, saved.plan))
}

/// Whether the plan was made from this config, these assets and this state.
fn unmoved(saved: &SavedPlan, inputs: &Inputs, state: Option<&State>, name: &str) -> Result<()> {
    let (then, now) = (&saved.digests, &inputs.digests);
    let lineage = state.map(|state| &*state.lineage);
    let moved = [
        (then.config != now.config, "the install-config is not the one it was made from"),
        (then.assets != now.assets, "the assets are not the ones it was made from"),
        (then.stream != now.stream, "the RHCOS stream is not the one it was made from"),
        (lineage != Some(&saved.plan.lineage), "it was made from another state"),
        (
            state.is_some_and(|state| state.serial != saved.plan.serial),
            "the state has moved on since it was made",
        ),
    ];
    match moved.into_iter().find(|(moved, _)| *moved) {
        Some((_, because)) => Err(stale(&format!("the plan {name} is stale"), because)),
        None => Ok(()),
    }
}

/// Whether what the plan touches is still what it was: deciding again must come to the same.
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

/// What a plan says of each resource: of one that was superseded, it says two things.
fn about(plan: &Plan) -> HashMap<&Address, Vec<&Change>> {
    let mut about: HashMap<_, Vec<_>> = HashMap::new();
    for change in &plan.changes {
        about.entry(&change.address).or_default().push(change);
    }
    about
}
