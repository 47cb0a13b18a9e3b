//! Preflight of a command: permissions and quotas, checked before the first change.

use groundplan_aws::{Aws, Caller};
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::Plan;
use groundplan_engine::state::State;
use groundplan_openshift::topology::{Workers, partition};

use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;
use crate::cli::session::plan_context::PlanContext;
use crate::preflight::demands::PreflightInputs;
use crate::preflight::{PreflightReport, preflight as ask};

/// Prints all warnings of the preflight. Returns an error with all findings that would stop the
/// plan half way.
pub(crate) async fn preflight(context: &PlanContext, plan: &Plan, ui: &mut Ui) -> Result<()> {
    let state = &context.held.state;
    let site = PreflightInputs { plan, graph: &context.compiled.graph, state };
    let workers = context.source.workers(&state.lookup_cache);
    judged(&site, &workers, &context.aws, &context.caller, ui).await
}

/// Runs the preflight of a destroy plan. `state` is the state that the plan was made from.
pub(crate) async fn preflight_of_destroy(
    plan: &Plan,
    state: &State,
    aws: &Aws,
    caller: &Caller,
    ui: &mut Ui,
) -> Result<()> {
    let nothing = Graph::default();
    judged(&PreflightInputs { plan, graph: &nothing, state }, &[], aws, caller, ui).await
}

async fn judged(
    site: &PreflightInputs<'_>,
    workers: &[Workers],
    aws: &Aws,
    caller: &Caller,
    ui: &mut Ui,
) -> Result<()> {
    let region = site.state.cluster.as_ref().map_or("", |cluster| cluster.region.as_str());
    let partition = partition(region).name;
    let PreflightReport { findings, notes } = ask(aws, caller, partition, site, workers).await;
    for note in notes {
        ui.diagnostic(&note)?;
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(CommandError { exit: Exit::Refused, diagnostics: findings })
}
