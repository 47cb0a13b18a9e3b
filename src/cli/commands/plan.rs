//! `groundplan plan`: shows what an apply would change, and why.

use groundplan_engine::apply::Shutdown;
use groundplan_engine::plan::{Plan, PlanOptions};

use crate::cli::args::{CommonArgs, PlanArgs as Arguments, PlanningArgs};
use crate::cli::output::command_error::Result;
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::install_config_source::InstallConfigSource;
use crate::cli::session::plan_context::PlanContext;
use crate::cli::session::plan_preview::{enforce_guards, plan_warnings, view};
use crate::cli::session::preflight::preflight;
use crate::cli::session::saved_plan;
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::targeting;
use crate::render::drifted;

pub(crate) async fn run(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let planning = async {
        let bootstrap = !arguments.wanted.no_bootstrap;
        let source = InstallConfigSource::read(common, bootstrap, ui)?;
        planned(Box::new(source), &arguments.how, common, ui).await
    };
    unless_stopped(stop, planning).await
}

/// Plans, and shows the plan.
pub(crate) async fn planned(
    source: Box<dyn DesiredState>,
    how: &PlanningArgs,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<Exit> {
    let context = PlanContext::prepare(source, common, "plan", &|_, _| Ok(()), ui).await?;
    let (graph, state) = (&context.compiled.graph, &context.held.state);
    let options = targeting::resolve_against_graph(&how.renewal, &how.part, graph, state)?;
    let plan = context.plan(&context.refresh(how.refresh).await?, &options);
    let exit = match how.refresh_only {
        true => drift(&plan, ui)?,
        false => shown(how, &context, options, plan, ui).await?,
    };
    context.held.close().await?;
    Ok(match exit {
        Exit::Changes if !how.detailed_exitcode => Exit::Done,
        exit => exit,
    })
}

/// Shows only the drift.
fn drift(plan: &Plan, ui: &mut Ui) -> Result<Exit> {
    let view = view(plan, false, &[]);
    ui.drift(&view)?;
    Ok(if drifted(&view) { Exit::Changes } else { Exit::Done })
}

async fn shown(
    how: &PlanningArgs,
    context: &PlanContext,
    options: PlanOptions,
    plan: Plan,
    ui: &mut Ui,
) -> Result<Exit> {
    let warnings = plan_warnings(&context.compiled.warnings, &plan);
    ui.plan(&view(&plan, how.full, &warnings))?;
    enforce_guards(&plan, &how.guards)?;
    if how.preflight {
        preflight(context, &plan, ui).await?;
    }
    let exit = if plan.is_empty() { Exit::Done } else { Exit::Changes };
    if let Some(path) = &how.out {
        saved_plan::write(&saved_plan::of(context, options, warnings, plan), path)?;
        let (path, command) = (path.display(), context.source.command());
        ui.print_line(&format!("\nSaved to {path}. To apply exactly this plan: {command} {path}"))?;
    }
    Ok(exit)
}
