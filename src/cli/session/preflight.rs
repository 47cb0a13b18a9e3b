//! Preflight of a command: permissions and quotas, checked before the first change.

use groundplan_aws::{Aws, Caller};
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::Plan;
use groundplan_engine::state::State;
use groundplan_openshift::topology::{Workers, partition};

use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::plan_context::World;
use crate::preflight::demands::Site;
use crate::preflight::{Report, preflight as ask};

/// Prints all warnings of the preflight. Returns an error with all findings that would stop the
/// plan half way.
pub(crate) async fn preflight(world: &World, plan: &Plan, screen: &mut Screen) -> Result<()> {
    let state = &world.held.state;
    let site = Site { plan, graph: &world.compiled.graph, state };
    let workers = world.source.workers(&state.facts);
    judged(&site, &workers, &world.aws, &world.caller, screen).await
}

/// Runs the preflight of a destroy plan. `state` is the state that the plan was made from.
pub(crate) async fn preflight_of_destroy(
    plan: &Plan,
    state: &State,
    aws: &Aws,
    caller: &Caller,
    screen: &mut Screen,
) -> Result<()> {
    let nothing = Graph::default();
    judged(&Site { plan, graph: &nothing, state }, &[], aws, caller, screen).await
}

async fn judged(
    site: &Site<'_>,
    workers: &[Workers],
    aws: &Aws,
    caller: &Caller,
    screen: &mut Screen,
) -> Result<()> {
    let region = site.state.cluster.as_ref().map_or("", |cluster| cluster.region.as_str());
    let partition = partition(region).name;
    let Report { findings, notes } = ask(aws, caller, partition, site, workers).await;
    for note in notes {
        screen.diagnostic(&note)?;
    }
    if findings.is_empty() {
        return Ok(());
    }
    Err(Failure { exit: Exit::Refused, diagnostics: findings })
}
