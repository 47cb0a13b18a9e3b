//! `groundplan plan`: what would be done, and why?

use super::args::{Common, Plan as Arguments};
use super::exit::Exit;
use super::failure::Result;
use super::saved_plan::SavedPlan;
use super::screen::Screen;
use super::signals::unless_stopped;
use super::world::World;
use crate::apply::Stop;
use crate::aws::attention;
use crate::render::PlanView;

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
    let plan = world.plan(&world.observe(arguments.refresh).await?);
    let warnings = &world.compiled.warnings;
    screen.plan(&PlanView {
        plan: &plan,
        full: arguments.full,
        warnings,
        classify: attention::class,
        telling: attention::telling,
    })?;
    let exit = match plan.is_empty() {
        false if arguments.detailed_exitcode => Exit::Changes,
        _ => Exit::Done,
    };
    if let Some(path) = &arguments.out {
        SavedPlan::of(&world, plan).write(path)?;
        let path = path.display();
        screen.say(&format!("\nSaved to {path}. To do exactly this: groundplan apply {path}"))?;
    }
    world.held.close().await?;
    Ok(exit)
}
