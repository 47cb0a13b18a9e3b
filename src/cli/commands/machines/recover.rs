//! `groundplan machines recover`: rebuilds a lost state of machines. Changes nothing in AWS.

use groundplan_aws::Aws;
use groundplan_aws::adopt::known;
use groundplan_aws::sweep::{self, RemainingResource};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::graph::Address;
use groundplan_engine::provider::retry_reads;
use groundplan_engine::state::{LookupCache, State};

use crate::cli::args::{CommonArgs, MachinesRecover as Arguments};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::desired_state::DesiredState;
use crate::cli::session::manifests_source::ManifestsSource;
use crate::cli::session::recovery::{RecoveredState, looked_for, print_result, recorded};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::stages::{Session, ToRecover};

pub(super) async fn recover(
    arguments: &Arguments,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    let searching = Box::pin(search(Session::to_recover(common, stop), arguments, ui));
    let RecoveredState { locked, state, recovered } = unless_stopped(stop, searching).await?;
    let left = unless_stopped(stop, Box::pin(others(locked.aws(), &state))).await?;
    let state = locked.replace(state, ui).await?;
    print_result(&state, &recovered, &left, ui)?;
    let next = "groundplan machines plan, with the same manifests";
    ui.print_line(&format!("\nNothing in AWS was changed. Review the differences with: {next}"))?;
    Ok(Exit::Done)
}

async fn search<'a>(
    session: Session<'a, ToRecover>,
    arguments: &Arguments,
    ui: &mut Ui,
) -> Result<RecoveredState<'a>> {
    let manifests = ManifestsSource::read(&arguments.manifests, ui)?;
    let claimed = session.claim_empty(manifests.name(), ui).await?;
    let cluster = manifests.cluster(claimed.state().and_then(State::fixed_cluster), None)?;
    let connected = claimed.connect(manifests.settings(&cluster), None, ui).await?;
    let aws = connected.aws();
    let (compiled, results) = manifests.compile_existing(aws, ui).await?;
    let account = Some(connected.account().to_owned());
    let (mut recovered, token_salt) =
        looked_for(compiled.graph.nodes(), &cluster.infra_id, aws).await?;
    let lookup_cache = LookupCache { account, results, token_salt, ..LookupCache::default() };
    let state = recorded(cluster, lookup_cache, &recovered)?;
    let others = manifests.others(aws, &state).await?;
    recovered.missing.retain(|one| !others.contains_key(machine_of(&one.address)));
    let locked = connected.lock_empty(ui).await?;
    Ok(RecoveredState { locked, state, recovered })
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
