//! Runs the controllers of sets, capacities and Node links on shared reflectors.

use std::sync::Arc;

use groundplan_openshift::machine_api::types::{Machine, MachineSet};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;

use super::capacity::driver::{CapacityController as Sizes, InstanceTypeSource};
use super::health::ControllerHealth;
use super::machine_set::driver::{MachineSetController as Sets, Reflectors};
use super::node_link::driver::NodeLinkController as Links;
use super::{capacity, machine_set, node_link};
use crate::reflector::{Reflector, WatchedKind};

/// Receiver of error messages. The failed actions are all retried.
pub type ReportLine = Arc<dyn Fn(&str) + Send + Sync>;

/// Runs the controllers until shutdown, and returns after the work in progress has ended. The
/// client decides which requests are sent: pass a client that is guarded by a leadership.
pub async fn look_after(
    client: &Client,
    namespace: &str,
    health: &Arc<ControllerHealth>,
    stop: &CancellationToken,
    tell: &ReportLine,
    types: InstanceTypeSource,
) {
    let sets = Reflector::new(Api::namespaced(client.clone(), namespace));
    let machines = Reflector::new(Api::namespaced(client.clone(), namespace));
    let nodes = Reflector::new(Api::all(client.clone()));
    let all = Reflectors { sets: &sets, machines: &machines, nodes: &nodes };
    let [by_set, by_node, by_type] = [(); 3].map(|()| Arc::clone(tell));
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
        _ = async { tokio::join!(numbers, links, sizes) } => (),
        _ = async {
            tokio::join!(
                watch::<MachineSet>(sets, tell),
                watch::<Machine>(machines, tell),
                watch(nodes, tell),
            )
        } => (),
    }
}

async fn watch<T: WatchedKind>(feed: Reflector<T>, tell: &ReportLine) {
    feed.run(|error| tell(&format!("watch {}: {}", T::PLURAL, with_causes(error)))).await;
}

/// Returns an error with all its causes.
fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}
