//! Causes of a late stage, as an observation shows them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Stage;
use super::status::listed;
use crate::installation::observation::{
    ApiStatus, NodeStatus, Observation, OperatorStatus, PendingRequest, VersionStatus,
};

/// Age after which a pending certificate signing request is reported. The cluster approves those of its
/// own machines within seconds.
const REQUEST_IS_OLD: i64 = 180;

/// Returns the causes that an observation shows for a late stage.
pub(super) fn reasons(stage: Stage, now: Timestamp, seen: &Observation) -> Vec<String> {
    if let ApiStatus::Down(problem) = &seen.api {
        let advice = problem.advice().map(str::to_owned);
        return [format!("API server: {}", problem.message())].into_iter().chain(advice).collect();
    }
    let mut reasons = Vec::new();
    if stage == Stage::Bootstrap && seen.bootstrap.value().is_none_or(|one| one.status.is_none()) {
        reasons.push("the bootstrap machine has not reported its end to the cluster".to_owned());
    }
    if let Some(Some(VersionStatus { failing: Some(failing), .. })) = seen.version.value()
        && failing.status == "True"
    {
        reasons.push(format!("ClusterVersion is failing: {}", first_line(&failing.message)));
    }
    reasons.extend(failed_launches(seen));
    let nodes = seen.nodes.value().map_or(&[][..], Vec::as_slice);
    let nodes = nodes.iter().filter_map(NodeStatus::problem);
    let operators = seen.operators.value().map_or(&[][..], Vec::as_slice);
    let operators = operators.iter().filter_map(OperatorStatus::problem);
    reasons.extend(nodes.chain(operators).map(|line| first_line(&line).to_owned()));
    let requests = old_requests(now, seen);
    if !requests.is_empty() {
        reasons.push(format!("certificate signing requests are pending: {}", approval(&requests)));
    }
    if reasons.is_empty() {
        reasons.push("nothing is reported as broken".to_owned());
    }
    reasons
}

/// Returns one line for each message of Machines without an instance. Workers that are missing are often
/// the cause of operators that are not available.
fn failed_launches(seen: &Observation) -> Vec<String> {
    let machines = seen.failed_machines.value().map_or(&[][..], Vec::as_slice);
    let mut by_message: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for machine in machines {
        by_message.entry(first_line(&machine.message)).or_default().push(&machine.name);
    }
    let line = |(message, names): (&str, Vec<&str>)| {
        let subject = match names.as_slice() {
            [one] => format!("Machine {one} has no instance"),
            names => format!("{} Machines have no instance ({})", names.len(), listed(names)),
        };
        let is_capacity = message.contains("Insufficient") && message.contains("Capacity");
        let advice = if is_capacity { CAPACITY } else { "" };
        format!("{subject}: {message}{advice}")
    };
    by_message.into_iter().map(line).collect()
}

/// Advice for a launch for which AWS has no capacity.
const CAPACITY: &str =
    "; AWS has no capacity: wait, or choose another instance type or zone in the MachineSet";

/// Returns the names of requests that are pending for a long time.
pub(super) fn old_requests(now: Timestamp, seen: &Observation) -> Vec<&str> {
    let requests = seen.pending_requests.value().map_or(&[][..], Vec::as_slice);
    let is_old = |one: &&PendingRequest| {
        one.since.is_some_and(|since| now.as_second() - since.as_second() >= REQUEST_IS_OLD)
    };
    requests.iter().filter(is_old).map(|one| one.name.as_str()).collect()
}

pub(super) fn approval(names: &[&str]) -> String {
    format!("oc adm certificate approve {}", names.join(" "))
}

/// Returns a text up to its first line break. Messages of operators can have many lines.
pub(super) fn first_line(text: &str) -> &str {
    text.trim().lines().next().unwrap_or_default()
}
