//! Before anything is made: is every call of the plan allowed, and do the quotas suffice?

use super::exit::Exit;
use super::failure::{Failure, Result};
use super::screen::Screen;
use super::world::World;
use crate::aws::{Aws, Caller};
use crate::graph::Graph;
use crate::plan::Plan;
use crate::preflight::demands::Site;
use crate::preflight::{Report, preflight as ask};
use crate::state::State;
use crate::topology::{Workers, partition};

/// Says everything that would stop the plan half way, and refuses it then. What could not be found
/// out stops nothing.
pub(super) async fn preflight(world: &World, plan: &Plan, screen: &mut Screen) -> Result<()> {
    let state = &world.held.state;
    let site = Site { plan, graph: &world.compiled.graph, state };
    let workers = world.source.workers(&state.facts);
    judged(&site, &workers, &world.aws, &world.caller, screen).await
}

/// The same of a plan that makes nothing, with the state that it is made from.
pub(super) async fn preflight_of_destroy(
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
