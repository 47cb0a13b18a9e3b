//! `groundplan machines recover`: rebuilds a lost state of machines. Changes nothing in AWS.

use std::collections::BTreeMap;

use groundplan_aws::Aws;
use groundplan_aws::adopt::known;
use groundplan_aws::sweep::{self, Leftover};
use groundplan_engine::apply::Stop;
use groundplan_engine::graph::Address;
use groundplan_engine::provider::patiently;
use groundplan_engine::state::State;
use groundplan_engine::state::error::HomeError;
use groundplan_engine::state::fence::Fence;

use crate::cli::args::{Common, MachinesRecover as Arguments};
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::aws_session::{self, ACCOUNT, Reached};
use crate::cli::session::desired_state::Source;
use crate::cli::session::locked_state::Held;
use crate::cli::session::manifests_source::Manifests;
use crate::cli::session::recovery::{Found, blank, looked_for, recorded, tell};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_backend;

pub(super) async fn recover(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let Found { held, aws, state, recovered } =
        unless_stopped(stop, Box::pin(found(arguments, common, screen))).await?;
    let left = unless_stopped(stop, Box::pin(others(&aws, &state))).await?;
    let state = held.replace(state, screen).await?;
    tell(&state, &recovered, &left, screen)?;
    let next = "groundplan machines plan, with the same manifests";
    screen.say(&format!("\nNothing in AWS was changed. Now look at what differs: {next}"))?;
    Ok(Exit::Done)
}

async fn found(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<Found> {
    let manifests = Manifests::read(&arguments.manifests, screen)?;
    let name = manifests.name();
    let held = match state_backend::is_there(&common.state.of(name), common).await? {
        true => Some(blank(Held::take(common, name, "recover", screen).await?)?),
        false => None,
    };
    let known = held.as_ref().and_then(|held| held.state.cluster.clone());
    let cluster = manifests.cluster(known)?;
    let settings = manifests.settings(&cluster);
    let Reached { aws, caller } = aws_session::reach(settings, &BTreeMap::new(), screen).await?;
    aws.guard(Fence::new(|| Err(HomeError::Stopping))); // recovery changes nothing in AWS
    let (compiled, mut facts) = manifests.look_again(&aws, screen).await?;
    facts.insert(ACCOUNT.to_owned(), caller.account.into());
    let mut recovered = looked_for(compiled.graph.nodes(), &cluster.infra_id, &aws).await?;
    let state = recorded(cluster, facts, &recovered)?;
    let others = manifests.others(&aws, &state).await?;
    recovered.missing.retain(|one| !others.contains_key(machine_of(&one.address)));
    let held = match held {
        Some(held) => held,
        None => blank(Held::take(common, name, "recover", screen).await?)?,
    };
    Ok(Found { held, aws, state, recovered })
}

/// Returns the machine name of an address `machine` or `machine:load-balancer`. A machine whose
/// name an untracked instance has is not reported as missing, because no apply creates it.
fn machine_of(address: &Address) -> &str {
    let name = address.name();
    name.split_once(':').map_or(name, |(machine, _)| machine)
}

/// Returns the instances of the cluster that this state does not contain.
async fn others(aws: &Aws, state: &State) -> Result<Vec<Leftover>> {
    let known = known(state);
    let others = patiently(|| sweep::other_instances(aws, &known)).await;
    others.map_err(|error| Failure::call("see what else the cluster has", &error))
}
