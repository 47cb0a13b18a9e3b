//! Status of each stage after an observation.

use std::time::Duration;

use jiff::Timestamp;

use super::Stage;
use super::reasons::first_line;
use crate::installation::observation::{BootstrapStatus, ConsoleRoute, Observation};

/// Maximum number of names in a message.
const NAMED: usize = 8;

/// Status of a stage after an observation.
pub(super) enum StageStatus {
    Waits(String),
    Done(String),
    Failed(String),
}

pub(super) fn bootstrap(seen: &Observation) -> StageStatus {
    let nodes = seen.nodes.value().map_or(&[][..], Vec::as_slice);
    let masters = || nodes.iter().filter(|node| node.is_master);
    let (ready, all) = (masters().filter(|node| node.is_ready()).count(), masters().count());
    match seen.bootstrap.value() {
        Some(status) if status.is_complete() => {
            StageStatus::Done("complete; the bootstrap machine is no longer needed".to_owned())
        }
        Some(BootstrapStatus { status: Some(status), .. }) if status == "complete" => {
            StageStatus::Waits("etcd still has the member of the bootstrap machine".to_owned())
        }
        _ if all == 0 => StageStatus::Waits("no master has joined yet".to_owned()),
        _ => StageStatus::Waits(format!("{ready} of {all} masters that joined are ready")),
    }
}

pub(super) fn initialization(seen: &Observation) -> StageStatus {
    match seen.version.value() {
        Some(Some(version)) if version.is_complete() => {
            StageStatus::Done("all of the release is installed".to_owned())
        }
        Some(Some(version)) => {
            let message = version.message().unwrap_or("the release is not installed yet");
            StageStatus::Waits(first_line(message).to_owned())
        }
        Some(None) => StageStatus::Waits("no ClusterVersion yet".to_owned()),
        None => StageStatus::Waits("the ClusterVersion cannot be read".to_owned()),
    }
}

pub(super) fn operators(now: Timestamp, seen: &Observation) -> StageStatus {
    let Some(operators) = seen.operators.value().filter(|all| !all.is_empty()) else {
        return StageStatus::Waits("the ClusterOperators cannot be read".to_owned());
    };
    let unstable = operators.iter().filter(|one| !one.is_stable(now));
    let unstable: Vec<&str> = unstable.map(|one| one.name.as_str()).collect();
    if unstable.is_empty() {
        return StageStatus::Done(format!("all {} are stable", operators.len()));
    }
    StageStatus::Waits(format!("progress in {}", listed(&unstable)))
}

/// Judges the console after a time in the stage. Without a route, the installation may have no console:
/// the ClusterVersion says so, or the console operator removed the route, as `managementState: Removed`
/// requests. The latter is assumed after the usual time of the stage.
pub(super) fn console(in_stage: Duration, seen: &Observation) -> StageStatus {
    let version = seen.version.value().and_then(Option::as_ref);
    let is_disabled = version.is_some_and(|version| version.has_console == Some(false));
    match seen.console.value() {
        Some(ConsoleRoute::Host(host)) => StageStatus::Done(format!("https://{host}")),
        Some(ConsoleRoute::Missing) if is_disabled => {
            StageStatus::Done("not part of this installation".to_owned())
        }
        Some(ConsoleRoute::Missing) if in_stage >= Stage::Console.usual() => {
            StageStatus::Done("the cluster has no route of a console".to_owned())
        }
        Some(ConsoleRoute::NotAdmitted) => {
            StageStatus::Waits("no router has admitted the route of the console".to_owned())
        }
        Some(ConsoleRoute::Missing) | None => {
            StageStatus::Waits("no route of the console yet".to_owned())
        }
    }
}

/// Returns names as a list of limited length.
pub(super) fn listed(names: &[&str]) -> String {
    match names.len().checked_sub(NAMED + 1) {
        None => names.join(", "),
        Some(rest) => format!("{} and {} more", names[..NAMED].join(", "), rest + 1),
    }
}
