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
use super::{capacity, machine_set, node_link};
use crate::reflector::{Reflector, WatchedKind};
pub use crate::report::ReportLine;
use crate::report::with_causes;

/// Maximum time for work in progress after a shutdown request. A controller whose first list has
/// never succeeded would otherwise wait for ever.
const GRACE: Duration = Duration::from_secs(6);

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
    tell: &ReportLine,
    of_aws: AwsControllers,
) {
    let AwsControllers { machines: machine_controller, types } = of_aws;
    let sets = Reflector::new(Api::namespaced(client.clone(), namespace));
    let machines = Reflector::new(Api::namespaced(client.clone(), namespace));
    let nodes = Reflector::new(Api::all(client.clone()));
    health.watches(vec![sets.view(), machines.view(), nodes.view()]);
    let all = Reflectors { sets: &sets, machines: &machines, nodes: &nodes };
    let [by_set, by_node, by_type] = [(); 3].map(|()| Arc::clone(tell));
    let instances = machine_controller.run_on(&machines, stop.clone(), Arc::clone(tell));
    let told = move |set: &str, error: &machine_set::driver::Error| {
        by_set(&format!("MachineSet {set}: {}", with_causes(error)));
    };
    let numbers = Sets::run(client, namespace, &all, Arc::clone(health), stop.clone(), told);
    let told = move |node: &str, error: &node_link::driver::Error| {
        by_node(&format!("Node {node}: {}", with_causes(error)));
    };
    let both = (&machines, &nodes);
    let links = Links::run(client, namespace, both, Arc::clone(health), stop.clone(), told);
    let told = move |set: &str, error: &capacity::driver::Error| {
        by_type(&format!("MachineSet {set}: {}", with_causes(error)));
    };
    let (metrics, until) = (Arc::clone(health), stop.clone());
    let sizes = Sizes::run(client, namespace, &sets, types, metrics, until, told);
    tokio::select! {
        biased;
        _ = async { tokio::join!(instances, numbers, links, sizes) } => (),
        () = async { stop.cancelled().await; sleep(GRACE).await } => (),
        _ = async {
            tokio::join!(
                watch::<MachineSet>(sets, tell),
                watch::<Machine>(machines, tell),
                watch(nodes, tell),
            )
        } => (),
    }
    health.watches(Vec::new());
}

async fn watch<T: WatchedKind>(feed: Reflector<T>, tell: &ReportLine) {
    feed.run(|error| tell(&format!("watch {}: {}", T::PLURAL, with_causes(error)))).await;
}
