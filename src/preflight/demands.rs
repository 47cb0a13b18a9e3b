//! What a plan takes: actions, and how much of which quota.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::aws::actions::tags_only;
use crate::aws::facts::{Count, Facts};
use crate::aws::quotas::Quota;
use crate::aws::registry::{KINDS, facts};
use crate::aws::rehearsal::{Subject, placeholder};
use crate::aws::swept::Swept;
use crate::graph::{Address, Graph, Ref, Resource, as_ref, resolve};
use crate::plan::{Action, Op, Plan};
use crate::state::State;
use crate::topology::Workers;

/// What the plan is looked at with.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// What it wants.
    pub graph: &'a Graph,
    /// What there is.
    pub state: &'a State,
}

/// A step, with what it is about.
struct Planned<'a> {
    address: &'a Address,
    facts: &'static Facts,
    actions: Vec<&'static str>,
    /// References as they are in the plan.
    inputs: &'a Value,
}

/// The actions that the plan takes, each with the resources it takes them on: ARNs where a policy
/// may name them, `*` for the rest.
pub fn permissions(
    site: &Site,
    account: &str,
    partition: &str,
) -> BTreeMap<String, BTreeSet<String>> {
    let mut permissions: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for planned in site.planned() {
        let resolved = site.resolved(planned.inputs);
        for action in planned.actions {
            let arn = planned.facts.arn.of(action, &resolved, account, partition);
            permissions.entry(action.to_owned()).or_default().insert(arn);
        }
    }
    permissions
}

/// One call of each name to be rehearsed, about the first resource that it is planned for.
pub fn rehearsals(site: &Site) -> BTreeMap<&'static str, Subject> {
    let mut rehearsals = BTreeMap::new();
    for planned in site.planned() {
        let creates = !site.state.resources.contains_key(planned.address);
        for action in &planned.actions {
            // Tags at creation are part of the creating call; alone, there is nothing to tag yet.
            let is_creating_call = planned.facts.actions.create.contains(action);
            let with_it = creates && tags_only(action) && !is_creating_call;
            if planned.facts.dry_runs(action) && !with_it {
                rehearsals.entry(*action).or_insert_with(|| site.subject(&planned));
            }
        }
    }
    rehearsals
}

impl<'a> Site<'a> {
    fn planned(&self) -> Vec<Planned<'a>> {
        let nothing = &Value::Null;
        let steps = self.plan.steps.iter().filter_map(|step| {
            let address = step.op.address();
            let facts = facts(address.kind())?;
            let of = &facts.actions;
            let recorded = || self.recorded(address);
            let (actions, inputs) = match &step.op {
                Op::Create { inputs, .. } => (of.creation(), inputs),
                Op::Finish { .. } => (of.creation(), recorded().unwrap_or(nothing)),
                Op::Update { before, inputs, .. } => (changing(of.update, before, inputs), inputs),
                Op::Delete { .. } => {
                    let inputs = recorded().unwrap_or(nothing);
                    (deleting(of.delete, address, inputs), inputs)
                }
            };
            Some(Planned { address, facts, actions, inputs })
        });
        steps.collect()
    }

    fn recorded(&self, address: &Address) -> Option<&'a Value> {
        let deposed = self.state.deposed.get(address).and_then(|records| records.first());
        self.state.resources.get(address).or(deposed).map(|record| &record.inputs)
    }

    fn subject(&self, planned: &Planned) -> Subject {
        let address = planned.address;
        let known = self.state.resources.get(address);
        let id = known.and_then(|record| {
            let outputs = &record.outputs;
            outputs.get("id").or_else(|| outputs.get("allocation"))?.as_str().map(str::to_owned)
        });
        Subject {
            address: address.to_string(),
            inputs: self.resolved(planned.inputs),
            id: id.or_else(|| placeholder(address.kind())).unwrap_or_default(),
        }
    }

    /// The inputs with what is known of what they refer to: what is recorded, names that are only
    /// planned, and placeholders for ids.
    fn resolved(&self, inputs: &Value) -> Value {
        resolve(inputs, &|reference| self.value_of(reference))
    }

    fn value_of(&self, Ref { address, output }: &Ref) -> Option<Value> {
        let recorded = self.state.resources.get(address).and_then(|one| one.outputs.get(output));
        let planned = || self.graph.get(address).and_then(|node| node.inputs.get(output));
        let known = recorded.or_else(planned).filter(|value| as_ref(value).is_none());
        known.cloned().or_else(|| placeholder(address.kind()).map(|id| json!(id)))
    }
}

/// The actions that delete a resource; of what was found, those of what it is.
fn deleting(all: &[&'static str], address: &Address, inputs: &Value) -> Vec<&'static str> {
    let found = || Swept::deserialize(inputs).ok();
    match address.kind() == Swept::SCHEMA.kind {
        true => found().map_or_else(Vec::new, |one| one.what.actions().to_vec()),
        false => all.to_vec(),
    }
}

/// Of the actions that a change in place may take, those that this one does.
fn changing(all: &[&'static str], before: &Value, inputs: &Value) -> Vec<&'static str> {
    let differs = |name: &String| before.get(name) != inputs.get(name);
    let names: Vec<&String> = inputs.as_object().into_iter().flat_map(|all| all.keys()).collect();
    let is_tags = |name: &&String| name.contains("tags");
    let tags = names.iter().any(|name| is_tags(name) && differs(name));
    let rest = names.iter().any(|name| !is_tags(name) && differs(name));
    let taken = |action: &&&str| if tags_only(action) { tags } else { rest };
    all.iter().filter(taken).copied().collect()
}

/// How much of a quota a plan takes, in a zone where it is counted by zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Need {
    /// Of which quota.
    pub quota: Quota,
    /// In which zone; empty where the region counts.
    pub zone: String,
    /// How much.
    pub amount: u64,
    /// What for.
    pub what_for: String,
}

/// The types of all machines that count.
pub fn instance_types(site: &Site, workers: &[Workers]) -> BTreeSet<String> {
    let launched = machines(site, workers).into_iter().map(|(name, _, _)| name);
    launched.chain(freed(site).into_iter().map(|(name, _)| name)).collect()
}

/// What the plan takes of each quota, with the sizes of the types that are known.
pub fn needs(site: &Site, workers: &[Workers], vcpus: &BTreeMap<String, u32>) -> Vec<Need> {
    let mut needs = vcpu_needs(&machines(site, workers), &freed(site), vcpus);
    let (mut regions, mut zones) = (BTreeMap::new(), BTreeMap::new());
    for facts in KINDS {
        match facts.quota {
            Some(Count::PerRegion(quota)) => {
                *regions.entry(quota).or_default() += site.added(facts.name()).count() as u64;
            }
            Some(Count::PerZone(quota)) => {
                for address in site.added(facts.name()) {
                    *zones.entry((quota, site.zone_of(address))).or_default() += 1;
                }
            }
            Some(Count::Vcpus) | None => {}
        }
    }
    needs.extend(regions.into_iter().map(|(quota, amount)| Need {
        quota,
        zone: String::new(),
        amount,
        what_for: "the plan makes them".to_owned(),
    }));
    needs.extend(zones.into_iter().map(|((quota, zone), amount)| Need {
        quota,
        what_for: format!("the plan makes them in {zone}"),
        zone,
        amount,
    }));
    needs.retain(|need| need.amount > 0);
    needs
}

impl<'a> Site<'a> {
    /// What there is more of afterwards, or while both are there. What is deleted first makes room
    /// for its successor; what an earlier run began is counted where it is.
    fn added(&self, kind: &'a str) -> impl Iterator<Item = &'a Address> {
        let changes = self.plan.changes.iter();
        let added = changes.filter(move |change| {
            let more = matches!(change.action, Action::Create | Action::CreateThenDelete);
            more && change.address.kind() == kind
        });
        added.map(|change| &change.address)
    }

    /// What is deleted and then made anew.
    fn renewed(&self, kind: &'a str) -> impl Iterator<Item = &'a Address> {
        let changes = self.plan.changes.iter();
        let renewed = changes.filter(move |change| {
            change.action == Action::DeleteThenCreate && change.address.kind() == kind
        });
        renewed.map(|change| &change.address)
    }

    fn inputs(&self, address: &Address) -> Option<&'a Value> {
        self.graph.get(address).map(|node| &node.inputs)
    }

    /// The zone of the subnet that something stands in.
    fn zone_of(&self, address: &Address) -> String {
        let subnet = self.inputs(address).and_then(|inputs| as_ref(&inputs["subnet"]));
        let inputs = subnet.and_then(|subnet| self.inputs(&subnet.address));
        inputs.and_then(|inputs| inputs["zone"].as_str()).unwrap_or_default().to_owned()
    }
}

/// Returns the kinds that quotas of EC2 count as running instances.
fn machine_kinds() -> impl Iterator<Item = &'static str> {
    KINDS.iter().filter(|facts| facts.quota == Some(Count::Vcpus)).map(Facts::name)
}

/// Machines by type, with what they are: those that the plan launches, and the workers if it
/// launches all masters, since a cluster that begins makes them within the hour. A machine that is
/// replaced is first one less: see [`freed`].
fn machines(site: &Site, workers: &[Workers]) -> Vec<(String, &'static str, u64)> {
    let launched: Vec<&Address> = machine_kinds().flat_map(|kind| site.added(kind)).collect();
    let wanted = site.graph.nodes().iter().map(|node| &node.address);
    let wanted =
        wanted.filter(|address| address.kind() == "instance" && is_master(address)).count();
    let begins = wanted > 0 && launched.iter().filter(|one| is_master(one)).count() == wanted;
    let renewed = machine_kinds().flat_map(|kind| site.renewed(kind));
    let of_plan = launched.into_iter().chain(renewed).filter_map(|address| {
        let instance_type = site.inputs(address)?["instance_type"].as_str()?.to_owned();
        Some((instance_type, role(address), 1))
    });
    let workers = workers.iter().filter(|_| begins);
    let workers = workers.map(|one| (one.instance_type.clone(), "workers", one.replicas.into()));
    of_plan.chain(workers).collect()
}

/// The types of the machines that go before others take their places: their room is there for those.
fn freed(site: &Site) -> Vec<(String, &'static str)> {
    let renewed = machine_kinds().flat_map(|kind| site.renewed(kind));
    let renewed = renewed.filter_map(|address| {
        let instance_type = site.recorded(address)?["instance_type"].as_str()?.to_owned();
        Some((instance_type, role(address)))
    });
    renewed.collect()
}

fn is_master(address: &Address) -> bool {
    address.name().starts_with("master-")
}

fn role(address: &Address) -> &'static str {
    match address.kind() {
        "machine" => "machines",
        _ if is_master(address) => "masters",
        _ => "bootstrap",
    }
}

fn vcpu_needs(
    machines: &[(String, &'static str, u64)],
    freed: &[(String, &'static str)],
    vcpus: &BTreeMap<String, u32>,
) -> Vec<Need> {
    let size = |instance_type: &String| {
        let size = vcpus.get(instance_type).copied().map(u64::from);
        Quota::of_type(instance_type).zip(size)
    };
    let mut by_quota: BTreeMap<Quota, BTreeMap<&str, u64>> = BTreeMap::new();
    for (instance_type, what, count) in machines {
        if let Some((quota, size)) = size(instance_type) {
            *by_quota.entry(quota).or_default().entry(what).or_default() += size * count;
        }
    }
    for (instance_type, what) in freed {
        let Some((quota, size)) = size(instance_type) else { continue };
        if let Some(taken) = by_quota.get_mut(&quota).and_then(|parts| parts.get_mut(what)) {
            *taken = taken.saturating_sub(size);
        }
    }
    let need = |(quota, parts): (Quota, BTreeMap<&str, u64>)| {
        let amount = parts.values().sum();
        let parts = parts.into_iter().filter(|(_, vcpus)| *vcpus > 0);
        let parts: Vec<String> = parts.map(|(what, vcpus)| format!("{what} {vcpus}")).collect();
        Need { quota, zone: String::new(), amount, what_for: parts.join(", ") }
    };
    by_quota.into_iter().map(need).collect()
}
