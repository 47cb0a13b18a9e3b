//! `groundplan machines recover`: rebuilds a lost state of machines. Changes nothing in AWS.

use std::collections::BTreeMap;

use groundplan_aws::Aws;
use groundplan_aws::adopt::known;
use groundplan_aws::sweep::{self, RemainingResource};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::State;
use groundplan_engine::state::fence::Fence;

use crate::cli::args::{CommonArgs, MachinesRecover as Arguments};
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::{self, ACCOUNT, AwsSession};
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::locked_state::LockedState;
use crate::cli::session::manifests_source::ManifestsSource;
use crate::cli::session::recovery::{
    RecoveredState, ensure_empty, looked_for, print_result, recorded,
};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::state_backend;

pub(super) async fn recover(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let RecoveredState { held, aws, state, recovered } =
        unless_stopped(stop, Box::pin(found(arguments, common, ui))).await?;
    let left = unless_stopped(stop, Box::pin(others(&aws, &state))).await?;
    let state = held.replace(state, ui).await?;
    print_result(&state, &recovered, &left, ui)?;
    let next = "groundplan machines plan, with the same manifests";
    ui.print_line(&format!("\nNothing in AWS was changed. Review the differences with: {next}"))?;
    Ok(Exit::Done)
}

async fn found(arguments: &Arguments, common: &CommonArgs, ui: &mut Ui) -> Result<RecoveredState> {
    let manifests = ManifestsSource::read(&arguments.manifests, ui)?;
    let name = manifests.name();
    let held = match state_backend::is_there(&common.state.of(name), common).await? {
        true => Some(ensure_empty(LockedState::take(common, name, "recover", ui).await?)?),
        false => None,
    };
    let known = held.as_ref().and_then(|held| held.state.cluster.clone());
    let cluster = manifests.cluster(known)?;
    let settings = manifests.settings(&cluster);
    let AwsSession { aws, caller } = aws_session::reach(settings, &BTreeMap::new(), ui).await?;
    aws.guard(Fence::read_only()); // recovery changes nothing in AWS
    let (compiled, mut lookup_cache) = manifests.compile_existing(&aws, ui).await?;
    lookup_cache.insert(ACCOUNT.to_owned(), caller.account.into());
    let mut recovered = looked_for(compiled.graph.nodes(), &cluster.infra_id, &aws).await?;
    let state = recorded(cluster, lookup_cache, &recovered)?;
    let others = manifests.others(&aws, &state).await?;
    recovered.missing.retain(|one| !others.contains_key(machine_of(&one.address)));
    let held = match held {
        Some(held) => held,
        None => ensure_empty(LockedState::take(common, name, "recover", ui).await?)?,
    };
    Ok(RecoveredState { held, aws, state, recovered })
}

/// Returns the machine name of an address `machine` or `machine:load-balancer`. A machine whose
/// name an untracked instance has is not reported as missing, because no apply creates it.
fn machine_of(address: &Address) -> &str {
    let name = address.name();
    name.split_once(':').map_or(name, |(machine, _)| machine)
}

/// Returns the instances of the cluster that this state does not contain.
async fn others(aws: &Aws, state: &State) -> Result<Vec<RemainingResource>> {
    let known = known(state);
    let others = retry_reads(|| sweep::other_instances(aws, &known)).await;
    others.map_err(|error| CommandError::call("search for untracked resources", &error))
}
