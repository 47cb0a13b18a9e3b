//! Runs the controllers of machines, sets, capacities and Node links on shared reflectors.

use std::sync::Arc;
use std::time::Duration;

use groundplan_openshift::machine_api::types::{Machine, MachineSet};
use kube::{Api, Client};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::capacity::driver::{CapacityController as Sizes, InstanceTypeSource};
use super::health::ControllerHealth;
use super::machine::driver::MachineController;
use super::machine_set::driver::{MachineSetController as Sets, Reflectors};
use super::node_link::driver::NodeLinkController as Links;
use crate::reflector::{ListWatchError, Reflector, WatchedKind, forget_deleted};
use crate::report::{Log, LogLevel};

/// Maximum time for work in progress after a shutdown request. A controller whose first list has
/// never succeeded would otherwise wait for ever.
const GRACE: Duration = Duration::from_secs(6);
/// Name in log lines about lists and watches.
const LOGGED_AS: &str = "watch";

/// Controllers with dependencies on AWS.
pub struct AwsControllers {
    /// Controller of the machines.
    pub machines: MachineController,
    /// Source of instance type data.
    pub types: InstanceTypeSource,
}

/// Runs the controllers until shutdown, and returns after the work in progress has ended. The
/// client decides which requests are sent: pass a client that is guarded by a leadership.
pub async fn look_after(
    client: &Client,
    namespace: &str,
    health: &Arc<ControllerHealth>,
    stop: &CancellationToken,
    log: &Log,
    of_aws: AwsControllers,
) {
    let AwsControllers { machines: machine_controller, types } = of_aws;
    let sets = Reflector::new(Api::namespaced(client.clone(), namespace));
    let machines = Reflector::new(Api::namespaced(client.clone(), namespace));
    let nodes = Reflector::new(Api::all(client.clone()));
    health.watches(vec![sets.view(), machines.view(), nodes.view()]);
    let all = Reflectors { sets: &sets, machines: &machines, nodes: &nodes };
    let [by_set, by_node, by_type] = [(); 3].map(|()| (Arc::clone(health), log.clone()));
    let instances = machine_controller.run_on(&machines, stop.clone(), log.clone());
    let numbers = Sets::run(client, namespace, &all, by_set, stop.clone());
    let links = Links::run(client, namespace, (&machines, &nodes), by_node, stop.clone());
    let sizes = Sizes::run(client, namespace, &sets, types, by_type, stop.clone());
    tokio::select! {
        biased;
        _ = async { tokio::join!(instances, numbers, links, sizes) } => (),
        () = async { stop.cancelled().await; sleep(GRACE).await } => (),
        _ = async {
            tokio::join!(
                watch::<MachineSet>(sets, log),
                watch::<Machine>(machines, log),
                watch(nodes, log),
            )
        } => (),
    }
    health.watches(Vec::new());
}

async fn watch<T: WatchedKind>(feed: Reflector<T>, log: &Log) {
    let forget = forget_deleted(feed.events(), feed.store(), log);
    tokio::join!(feed.run(|state| log_watch::<T>(log, state)), forget);
}

/// Logs an error of a list or a watch once, and that the copy is current again.
fn log_watch<T: WatchedKind>(log: &Log, state: Result<(), &ListWatchError>) {
    match state {
        Err(error) => log.error(LOGGED_AS, T::PLURAL, error),
        Ok(()) if log.solved(LOGGED_AS, T::PLURAL) => {
            log.line(LogLevel::Info, LOGGED_AS, T::PLURAL, "listed and watched again");
        }
        Ok(()) => (),
    }
}
