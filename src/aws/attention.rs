//! Which inputs people look at: how much each matters when somebody else changes it, and which are
//! shown in every plan.

use std::collections::BTreeSet;

use super::machine;
use super::registry::facts;
use crate::event::Operation;
use crate::graph::Address;
use crate::plan::{Action, DriftClass, Plan, Step};

/// Returns the class of a difference at this path of a kind's inputs. A kind that this version does
/// not know may grant anything: its differences are about security.
pub fn class(kind: &str, path: &str) -> DriftClass {
    facts(kind).map_or(DriftClass::Security, |facts| facts.drift.class(path))
}

/// Returns true if every plan shows this path of what it creates.
pub fn telling(kind: &str, path: &str) -> bool {
    facts(kind).is_some_and(|facts| facts.drift.always_shows(path))
}

/// What a reader must know of a plan beyond its lines: with a master a member of etcd goes away, and
/// only as long as most members are there the cluster answers. And of how many other machines go.
pub fn cautions(plan: &Plan) -> Vec<String> {
    if plan.operation == Operation::Destroy {
        return Vec::new();
    }
    let masters = |goes: fn(Action) -> bool| -> Vec<&Address> {
        let going = plan.changes.iter().filter(|change| goes(change.action));
        going.map(|change| &change.address).filter(|address| is_master(address)).collect()
    };
    let (replaced, removed) =
        (masters(Action::replaces), masters(|action| action == Action::Delete));
    let mut cautions = Vec::new();
    if let Some(first) = replaced.first() {
        cautions.push(format!(
            "with each master that is replaced a member of etcd goes ({}), and groundplan does not see \
             etcd: in an installed cluster, replace one at a time (--target {first}) and wait until \
             its member is healthy",
            names(&replaced),
        ));
    }
    if let Some(first) = removed.first() {
        cautions.push(format!(
            "with each master that is removed a member of etcd goes ({}), and groundplan does not see \
             etcd: in an installed cluster, remove its member first, and one at a time (--target {first})",
            names(&removed),
        ));
    }
    if !in_turns(plan, &replaced) {
        cautions.push(
            "what the masters stand on is replaced, too, so they are all gone at the same time: an \
             installed cluster does not survive that"
                .to_owned(),
        );
    }
    cautions.extend(machine::cautions::cautions(plan, is_master));
    cautions
}

fn names(addresses: &[&Address]) -> String {
    let names: Vec<&str> = addresses.iter().map(|address| address.as_str()).collect();
    names.join(", ")
}

fn is_master(address: &Address) -> bool {
    match address.kind() {
        "instance" => address.name().starts_with("master-"),
        // `<infraID>-master-0`: as openshift-install calls them.
        "machine" => address.name().contains("-master-"),
        _ => false,
    }
}

/// Whether each of these is made before the next one is deleted.
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

/// Whether a step waits for another one, directly or not.
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
