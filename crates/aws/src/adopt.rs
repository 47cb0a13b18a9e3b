//! Adoption of untracked resources: state entries that record them, so that one plan deletes
//! recorded and untracked resources in a valid order.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_engine::graph::{Address, Resource};
use groundplan_engine::plan::decide::id;
use groundplan_engine::state::{Entry, RecordStatus, State};
use serde_json::{Value, json};

use crate::kinds::swept::{FoundUntracked, UntrackedOutputs, UntrackedResource};
use crate::model::untracked::UntrackedKind;
use crate::registry::facts;

/// Returns all identifiers of recorded and deposed resources: each text in their outputs, and the
/// IDs of DNS records. A found resource with one of these identifiers is recorded.
pub fn known(state: &State) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    let lives = state.deposed.iter().flat_map(|(a, lives)| lives.iter().map(move |one| (a, one)));
    for (address, record) in state.resources.iter().chain(lives) {
        known.extend(id(&record.outputs));
        texts(&record.outputs, &mut known);
        if address.kind() == "record" {
            known.extend(record_id(&record.inputs));
        }
    }
    known
}

/// Returns the ID of a DNS record as the sweep writes it. groundplan creates only aliases and
/// CNAMEs.
fn record_id(inputs: &Value) -> Option<String> {
    let kind = match inputs["data"].get("alias") {
        Some(_) => "A",
        None => "CNAME",
    };
    let (zone, name) = (inputs["zone"].as_str()?, inputs["name"].as_str()?);
    Some(format!("{zone}/{kind}/{}", name.to_ascii_lowercase()))
}

/// Returns the type of a recorded kind if untracked resources depend on it: they block its
/// deletion, or it creates them again. `None` for other kinds.
fn recorded_type(kind: &str) -> Option<UntrackedKind> {
    facts(kind)?.untracked.what().filter(|what| what.is_shared_by_untracked())
}

fn texts(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => drop(into.insert(text.clone())),
        Value::Array(items) => items.iter().for_each(|item| texts(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| texts(field, into)),
        _ => {}
    }
}

/// Returns the entries that record these untracked resources, so that a plan deletes them with the
/// recorded ones. The plan deletes recorded machines first, because they could create untracked
/// resources again, and recorded networks last, because they contain untracked resources.
pub fn adopt(state: &State, found: &[FoundUntracked]) -> Vec<Entry> {
    let found = addressed(state, found);
    let mut entries = Vec::new();
    for (address, one) in &found {
        let mut after: Vec<Address> = found
            .iter()
            .filter(|(_, other)| other.what.goes_after().contains(&one.what))
            .map(|(address, _)| address.clone())
            .chain(recorded_after(state, one.what))
            .collect();
        after.sort();
        let inputs = json!(UntrackedResource { what: one.what, name: one.name.clone() });
        entries.push(Entry::CreateStarted {
            address: address.clone(),
            generation: state.generation.max(1),
            inputs,
            after,
        });
        let outputs = json!(UntrackedOutputs { id: one.id.clone(), what: one.what });
        entries.push(Entry::Created {
            address: address.clone(),
            outputs,
            status: RecordStatus::Ready,
        });
    }
    entries.extend(machines_first(state, &found));
    entries
}

/// Assigns addresses: by name if the name is unique and unused, otherwise by ID.
fn addressed<'a>(
    state: &State,
    found: &'a [FoundUntracked],
) -> BTreeMap<Address, &'a FoundUntracked> {
    let mut named: BTreeMap<Address, Vec<&FoundUntracked>> = BTreeMap::new();
    for one in found {
        let name = one.name.as_deref().unwrap_or(&one.id);
        named.entry(address(one.what, name)).or_default().push(one);
    }
    let mut all = BTreeMap::new();
    for (by_name, some) in named {
        let is_taken =
            state.resources.contains_key(&by_name) || state.deposed.contains_key(&by_name);
        match some[..] {
            [only] if !is_taken => drop(all.insert(by_name, only)),
            _ => all.extend(some.into_iter().map(|one| (address(one.what, &one.id), one))),
        }
    }
    all
}

fn address(what: UntrackedKind, name: &str) -> Address {
    Address::new(UntrackedResource::SCHEMA.kind, &format!("{}:{name}", what.as_str()))
}

/// Returns the recorded resources that can be deleted only after untracked resources of this type.
fn recorded_after(state: &State, what: UntrackedKind) -> impl Iterator<Item = Address> {
    let recorded = state.resources.keys().filter(move |address| {
        recorded_type(address.kind()).is_some_and(|other| other.goes_after().contains(&what))
    });
    recorded.cloned()
}

/// Returns the dependency updates after which recorded machines are deleted before the untracked
/// resources that must wait for instances.
fn machines_first<'a>(
    state: &'a State,
    found: &'a BTreeMap<Address, &FoundUntracked>,
) -> impl Iterator<Item = Entry> + 'a {
    let later: Vec<&Address> = found
        .iter()
        .filter(|(_, one)| one.what.goes_after().contains(&UntrackedKind::Instance))
        .map(|(address, _)| address)
        .collect();
    let machines = state
        .resources
        .iter()
        .filter(|(address, _)| recorded_type(address.kind()) == Some(UntrackedKind::Instance));
    machines.filter_map(move |(address, record)| {
        let after: BTreeSet<&Address> = record.after.iter().chain(later.iter().copied()).collect();
        let after: Vec<Address> = after.into_iter().cloned().collect();
        (after != record.after)
            .then(|| Entry::DependenciesUpdated { address: address.clone(), after })
    })
}

#[cfg(test)]
mod tests {
    use groundplan_engine::plan::{Op, Plan, PlanOptions, plan_destroy};

    use super::*;

    fn recorded(addresses: &[(&str, &[&str])]) -> State {
        let mut state = State::new("l".into());
        for (name, after) in addresses {
            let address = Address::from(*name);
            let after = after.iter().map(|&one| one.into()).collect();
            let inputs = match address.kind() {
                "record" => {
                    json!({"zone": "Z9", "name": "api.demo.example.com", "data": {"alias": {}}})
                }
                _ => json!({}),
            };
            let (generation, outputs) = (3, json!({"id": format!("id-of-{name}")}));
            let started =
                Entry::CreateStarted { address: address.clone(), generation, inputs, after };
            state.record(&started).unwrap();
            let status = RecordStatus::Ready;
            state.record(&Entry::Created { address, outputs, status }).unwrap();
        }
        state
    }

    fn cluster() -> State {
        recorded(&[
            ("vpc.main", &[]),
            ("subnet.a", &["vpc.main"]),
            ("security_group.node", &["vpc.main"]),
            ("hosted_zone.private", &["vpc.main"]),
            ("instance.master-0", &["security_group.node", "subnet.a"]),
            ("record.api", &["hosted_zone.private"]),
        ])
    }

    fn find(what: UntrackedKind, id: &str, name: Option<&str>) -> FoundUntracked {
        FoundUntracked { what, id: id.to_owned(), name: name.map(str::to_owned), network: None }
    }

    fn everything() -> Vec<FoundUntracked> {
        vec![
            find(UntrackedKind::Instance, "i-1", Some("demo-worker-a")),
            find(UntrackedKind::ClassicLoadBalancer, "a1b2", Some("a1b2")),
            find(UntrackedKind::SecurityGroup, "sg-9", Some("k8s-elb-a1b2")),
            find(UntrackedKind::Volume, "vol-1", None),
            find(
                UntrackedKind::Record,
                "Z9/A/*.apps.demo.example.com",
                Some("*.apps.demo.example.com"),
            ),
        ]
    }

    /// Returns the plan that deletes everything, and the addresses of its deletions in order.
    fn order(state: &mut State, found: &[FoundUntracked]) -> (Plan, Vec<String>) {
        for entry in adopt(state, found) {
            state.record(&entry).unwrap();
        }
        let observed = groundplan_engine::plan::LiveState::new();
        let plan = plan_destroy(state, &observed, &crate::schemas(), &PlanOptions::default());
        let mut done: Vec<String> = Vec::new();
        let mut left: Vec<usize> = (0..plan.steps.len()).collect();
        let mut over = BTreeSet::new();
        while !left.is_empty() {
            let ready: Vec<usize> = left
                .iter()
                .copied()
                .filter(|&step| plan.steps[step].after.iter().all(|d| over.contains(&d.step)))
                .collect();
            assert!(!ready.is_empty(), "a circle");
            for step in ready {
                assert!(matches!(plan.steps[step].op, Op::Delete { .. }));
                done.push(plan.steps[step].op.address().to_string());
                over.insert(u32::try_from(step).unwrap());
                left.retain(|other| *other != step);
            }
        }
        (plan, done)
    }

    fn place(order: &[String], name: &str) -> usize {
        order.iter().position(|one| one == name).unwrap_or_else(|| panic!("{name}: {order:?}"))
    }

    #[test]
    fn what_is_recorded_is_named_by_kinds_that_there_are() {
        let kinds = crate::registry::KINDS.iter().map(crate::facts::KindFacts::name);
        assert_eq!(kinds.filter(|kind| recorded_type(kind).is_some()).count(), 8);
    }

    #[test]
    fn d3_machines_go_first_and_networks_last_whoever_made_them() {
        let (_, order) = order(&mut cluster(), &everything());
        for (first, then) in [
            ("instance.master-0", "swept.classic-load-balancer:a1b2"),
            ("instance.master-0", "swept.volume:vol-1"),
            ("swept.instance:demo-worker-a", "swept.volume:vol-1"),
            ("swept.instance:demo-worker-a", "subnet.a"),
            ("swept.classic-load-balancer:a1b2", "swept.security-group:k8s-elb-a1b2"),
            ("swept.classic-load-balancer:a1b2", "security_group.node"),
            ("swept.security-group:k8s-elb-a1b2", "vpc.main"),
            ("swept.record:*.apps.demo.example.com", "hosted_zone.private"),
        ] {
            assert!(place(&order, first) < place(&order, then), "{first}, then {then}: {order:?}");
        }
    }

    #[test]
    fn what_is_recorded_is_found_by_whatever_it_is_known_by() {
        let mut state = cluster();
        let known_before = known(&state);
        assert!(known_before.contains("id-of-vpc.main"));
        assert!(known_before.contains("Z9/A/api.demo.example.com"), "{known_before:?}");
        let _ = order(&mut state, &everything());
        assert!(everything().iter().all(|one| known(&state).contains(&one.id)));
    }

    #[test]
    fn of_one_name_each_is_called_by_its_id() {
        let twins = [
            find(UntrackedKind::Volume, "vol-1", Some("data")),
            find(UntrackedKind::Volume, "vol-2", Some("data")),
            find(UntrackedKind::Snapshot, "snap-1", Some("data")),
        ];
        let (_, order) = order(&mut recorded(&[]), &twins);
        let mut order = order;
        order.sort();
        assert_eq!(order, ["swept.snapshot:data", "swept.volume:vol-1", "swept.volume:vol-2"]);
    }

    #[test]
    fn a_whole_cluster_without_a_state_is_in_an_order_without_circles() {
        let one = |&what: &UntrackedKind| find(what, &format!("id-{}", what.as_str()), None);
        let all: Vec<_> = UntrackedKind::ALL.iter().map(one).collect();
        let (plan, order) = order(&mut recorded(&[]), &all);
        assert_eq!(plan.counts().destroy, UntrackedKind::ALL.len());
        let at = |what: UntrackedKind| place(&order, &format!("swept.{0}:id-{0}", what.as_str()));
        for &what in UntrackedKind::ALL {
            assert!(what.goes_after().iter().all(|&first| at(first) < at(what)), "{what:?}");
        }
    }

    #[test]
    fn what_an_earlier_run_recorded_as_found_is_not_found_again() {
        let mut state = cluster();
        let _ = order(&mut state, &everything());
        let another = [find(UntrackedKind::Instance, "i-2", Some("demo-worker-a"))];
        let entries = adopt(&state, &another);
        let Some(Entry::CreateStarted { address, .. }) = entries.first() else { panic!() };
        assert_eq!(address.as_str(), "swept.instance:i-2", "the name is taken by the first");
    }
}
