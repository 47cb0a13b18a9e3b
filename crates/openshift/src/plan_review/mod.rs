//! The drift class of each input, the summary and the billed items of each resource, warnings about masters, and dangers
//! for installed clusters.

mod danger;
mod machines;

use std::collections::BTreeSet;

use groundplan_aws::kinds::instance::Instance;
use groundplan_aws::model::volume::PlannedVolume;
use groundplan_aws::registry::facts;
use groundplan_engine::event::Operation;
use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::plan::billing::BilledAmount;
use groundplan_engine::plan::values::{Subject, Summary, Surroundings};
use groundplan_engine::plan::{Action, Change, DriftClass, Plan, Reason, Step};
use serde_json::Value;

pub use self::danger::danger;
use crate::topology::{WITHOUT_ASSETS, is_control_plane};

/// Returns the drift class of a path in a kind's inputs. Unknown kinds may grant access: the class
/// of their differences is security.
pub fn class(kind: &str, path: &str) -> DriftClass {
    facts(kind).map_or(DriftClass::Security, |facts| facts.drift.class(path))
}

/// Returns the heading under which a plan shows a kind. Unknown kinds come last.
pub fn subject(kind: &str) -> Subject {
    let unknown = Subject { order: u8::MAX, title: "Other" };
    facts(kind).map_or(unknown, |facts| facts.subject.subject())
}

/// Returns the summary of a resource with these inputs after a plan. Unknown kinds have none.
pub fn summary(after: &Value, around: &Surroundings<'_>) -> Summary {
    let facts = facts(around.address.kind());
    facts.and_then(|facts| (facts.summary)(after, around)).unwrap_or_default()
}

/// Returns true for a kind whose resources are parts of other recorded ones, such as the rules of a
/// group.
pub fn is_part(kind: &str) -> bool {
    facts(kind).is_some_and(|facts| facts.part_of.is_some())
}

/// Returns the billed items of a resource with these inputs. Unknown kinds have none.
pub fn billed(kind: &str, inputs: &Value) -> Vec<BilledAmount> {
    facts(kind).and_then(|facts| (facts.billed)(inputs)).unwrap_or_default()
}

/// Returns the volumes of a machine with these inputs. `None` for a kind without volumes.
pub fn volumes(kind: &str, inputs: &Value) -> Option<Vec<PlannedVolume>> {
    facts(kind).and_then(|facts| (facts.volumes)(inputs))
}

/// Returns the warnings of a compiled config that matter for its plan, then those of the plan.
pub fn warnings(of_config: &[String], plan: &Plan) -> Vec<String> {
    let creates = |change: &Change| {
        let is_new = matches!(change.action, Action::Create | Action::Finish);
        change.address.kind() == Instance::SCHEMA.kind && (is_new || change.action.replaces())
    };
    let creates_machines = plan.changes.iter().any(creates);
    let matters = |warning: &&String| creates_machines || *warning != WITHOUT_ASSETS;
    of_config.iter().filter(matters).cloned().chain(plan_warnings(plan)).collect()
}

/// Returns the warnings of a plan; none for a destroy. An etcd member goes with each replaced, deleted
/// or missing master, and the cluster needs the majority of the members. Another warning counts the
/// other machines that go.
pub fn plan_warnings(plan: &Plan) -> Vec<String> {
    if plan.operation == Operation::Destroy {
        return Vec::new();
    }
    let masters = |goes: fn(Action) -> bool| -> Vec<&Address> {
        let going = plan.changes.iter().filter(|change| goes(change.action));
        going.map(|change| &change.address).filter(|address| is_control_plane(address)).collect()
    };
    let (replaced, removed) =
        (masters(Action::replaces), masters(|action| action == Action::Delete));
    let mut cautions = Vec::new();
    if let Some(first) = replaced.first() {
        cautions.push(format!(
            "each replaced master removes an etcd member ({}): in an installed cluster, replace \
             one master at a time (--target {first}) and wait until the new member is healthy; \
             groundplan does not check etcd",
            names(&replaced),
        ));
    }
    if let Some(first) = removed.first() {
        cautions.push(format!(
            "each deleted master removes an etcd member ({}): in an installed cluster, remove the \
             member first, and delete one master at a time (--target {first}); groundplan does not \
             check etcd",
            names(&removed),
        ));
    }
    let lost = plan.changes.iter().filter(|change| change.reason == Reason::Missing);
    let lost: Vec<&Address> =
        lost.map(|change| &change.address).filter(|address| is_control_plane(address)).collect();
    if !lost.is_empty() {
        cautions.push(format!(
            "each master that was deleted outside groundplan leaves a failed etcd member ({}): in an \
             installed cluster, remove the member before the new master joins (`etcdctl member list`, \
             `etcdctl member remove ID`); groundplan does not check etcd",
            names(&lost),
        ));
    }
    cautions.extend(late_bootstrap(plan));
    cautions.extend(machines::plan_warnings(plan));
    cautions
}

/// Returns the warning about a new bootstrap machine beside masters that exist.
fn late_bootstrap(plan: &Plan) -> Option<String> {
    let is_made = |action: Action| action == Action::Create || action.replaces();
    let mut changes = plan.changes.iter();
    let bootstrap = changes.find(|change| change.address.as_str() == "instance.bootstrap")?;
    let exists = |change: &&Change| {
        is_control_plane(&change.address)
            && !matches!(change.action, Action::Create | Action::Finish | Action::Delete)
    };
    let master = plan.changes.iter().find(exists).filter(|_| is_made(bootstrap.action))?;
    Some(format!(
        "a new bootstrap machine starts a second control plane behind the API of the cluster, and {} \
         exists: if the cluster is installed, leave it out with --no-bootstrap, or record its removal \
         with `groundplan bootstrap destroy`",
        master.address
    ))
}

fn names(addresses: &[&Address]) -> String {
    let names: Vec<&str> = addresses.iter().map(|address| address.as_str()).collect();
    names.join(", ")
}

/// Returns true if each of these is created before the next one is deleted.
fn in_turns(plan: &Plan, replaced: &[&Address]) -> bool {
    let step = |address: &Address, deletes: bool| {
        let found = |step: &Step| step.op.address() == address && step.op.deletes() == deletes;
        plan.steps.iter().position(found)
    };
    replaced.windows(2).all(|pair| match (step(pair[0], false), step(pair[1], true)) {
        (Some(made), Some(deleted)) => waits(plan, deleted, made),
        _ => true,
    })
}

/// Returns true if a step depends on another one, directly or indirectly.
fn waits(plan: &Plan, step: usize, other: usize) -> bool {
    let mut seen = BTreeSet::from([step]);
    let mut open = vec![step];
    while let Some(next) = open.pop() {
        let needed = plan.steps[next].after.iter().map(|dependency| dependency.step as usize);
        open.extend(needed.filter(|needed| seen.insert(*needed)));
    }
    seen.contains(&other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_guards_is_security_and_what_names_is_cosmetic() {
        for option in ["http_tokens", "http_endpoint", "instance_metadata_tags"] {
            let path = format!("metadata_options.{option}");
            assert_eq!(class("instance", &path), DriftClass::Security, "{path}");
            assert_eq!(class("machine", &path), DriftClass::Security, "{path}");
        }
        assert_eq!(class("instance", "network.subnet.groups[0]"), DriftClass::Security);
        assert_eq!(class("security_group_rules", "ingress[3].ports.to"), DriftClass::Security);
        assert_eq!(class("iam_role_policy", "document"), DriftClass::Security);
        assert_eq!(class("iam_role", "tags.Name"), DriftClass::Cosmetic);
        assert_eq!(class("instance", "tags[\"a/b\"]"), DriftClass::Cosmetic);
        assert_eq!(class("target_group", "health_check.path"), DriftClass::Functional);
    }
}
