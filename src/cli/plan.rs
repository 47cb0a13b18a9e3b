//! `groundplan plan`: what would be done, and why?

use super::args::{Common, Plan as Arguments};
use super::choice;
use super::exit::Exit;
use super::failure::Result;
use super::preflight::preflight;
use super::preview::{cautions, guarded, view};
use super::saved_plan;
use super::screen::Screen;
use super::signals::unless_stopped;
use super::world::World;
use crate::apply::Stop;
use crate::plan::{Options, Plan};
use crate::render::drifted;

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    unless_stopped(stop, planned(arguments, common, screen)).await
}

async fn planned(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<Exit> {
    let bootstrap = !arguments.wanted.no_bootstrap;
    let world = World::prepare(common, bootstrap, "plan", &|_, _| Ok(()), screen).await?;
    let (graph, state) = (&world.compiled.graph, &world.held.state);
    let options = choice::of_wanted(&arguments.renewal, &arguments.part, graph, state)?;
    let plan = world.plan(&world.observe(arguments.refresh).await?, &options);
    let exit = match arguments.refresh_only {
        true => drift(&plan, screen)?,
        false => shown(arguments, &world, options, plan, screen).await?,
    };
    world.held.close().await?;
    Ok(match exit {
        Exit::Changes if !arguments.detailed_exitcode => Exit::Done,
        exit => exit,
    })
}

/// What somebody else changed, and nothing besides.
fn drift(plan: &Plan, screen: &mut Screen) -> Result<Exit> {
    let view = view(plan, false, &[]);
    screen.drift(&view)?;
    Ok(if drifted(&view) { Exit::Changes } else { Exit::Done })
}

async fn shown(
    arguments: &Arguments,
    world: &World,
    options: Options,
    plan: Plan,
    screen: &mut Screen,
) -> Result<Exit> {
    let warnings = cautions(&world.compiled.warnings, &plan);
    screen.plan(&view(&plan, arguments.full, &warnings))?;
    guarded(&plan, &arguments.guards)?;
    if arguments.preflight {
        preflight(world, &plan, screen).await?;
    }
    let exit = if plan.is_empty() { Exit::Done } else { Exit::Changes };
    if let Some(path) = &arguments.out {
        saved_plan::write(&saved_plan::of(world, options, warnings, plan), path)?;
        let path = path.display();
        screen.say(&format!("\nSaved to {path}. To do exactly this: groundplan apply {path}"))?;
    }
    Ok(exit)
}
