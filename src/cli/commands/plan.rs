//! `groundplan plan`: shows what an apply would change, and why.

use groundplan_engine::apply::Stop;
use groundplan_engine::plan::{Options, Plan};

use crate::cli::args::{Common, Plan as Arguments, Planning};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::desired_state::Source;
use crate::cli::session::install_config_source::Configured;
use crate::cli::session::plan_context::World;
use crate::cli::session::plan_preview::{cautions, guarded, view};
use crate::cli::session::preflight::preflight;
use crate::cli::session::saved_plan;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::targeting;
use crate::render::drifted;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let planning = async {
        let bootstrap = !arguments.wanted.no_bootstrap;
        let source = Configured::read(common, bootstrap, screen)?;
        planned(Box::new(source), &arguments.how, common, screen).await
    };
    unless_stopped(stop, planning).await
}

/// Plans, and shows the plan.
pub(crate) async fn planned(
    source: Box<dyn Source>,
    how: &Planning,
    common: &Common,
    screen: &mut Screen,
) -> Result<Exit> {
    let world = World::prepare(source, common, "plan", &|_, _| Ok(()), screen).await?;
    let (graph, state) = (&world.compiled.graph, &world.held.state);
    let options = targeting::of_wanted(&how.renewal, &how.part, graph, state)?;
    let plan = world.plan(&world.observe(how.refresh).await?, &options);
    let exit = match how.refresh_only {
        true => drift(&plan, screen)?,
        false => shown(how, &world, options, plan, screen).await?,
    };
    world.held.close().await?;
    Ok(match exit {
        Exit::Changes if !how.detailed_exitcode => Exit::Done,
        exit => exit,
    })
}

/// Shows only the drift.
fn drift(plan: &Plan, screen: &mut Screen) -> Result<Exit> {
    let view = view(plan, false, &[]);
    screen.drift(&view)?;
    Ok(if drifted(&view) { Exit::Changes } else { Exit::Done })
}

async fn shown(
    how: &Planning,
    world: &World,
    options: Options,
    plan: Plan,
    screen: &mut Screen,
) -> Result<Exit> {
    let warnings = cautions(&world.compiled.warnings, &plan);
    screen.plan(&view(&plan, how.full, &warnings))?;
    guarded(&plan, &how.guards)?;
    if how.preflight {
        preflight(world, &plan, screen).await?;
    }
    let exit = if plan.is_empty() { Exit::Done } else { Exit::Changes };
    if let Some(path) = &how.out {
        saved_plan::write(&saved_plan::of(world, options, warnings, plan), path)?;
        let (path, command) = (path.display(), world.source.command());
        screen.say(&format!("\nSaved to {path}. To do exactly this: {command} {path}"))?;
    }
    Ok(exit)
}
