//! Refresh: reads the live state of the recorded resources from a provider. Changes nothing and
//! decides nothing.
//!
//! Clouds are eventually consistent, and one answer can be empty, truncated or old. A read that
//! shows what is recorded is believed. A read that differs, because a resource seems deleted or
//! changed, is believed only when the next read, after a pause, shows the same. A plan therefore
//! never deletes, replaces or creates a resource because of a single answer. Additions to what is
//! recorded need no second read: an answer that shows more is neither empty nor truncated, and a
//! plan reverts at most the additions.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Map, Value};

use crate::graph::{Address, Schema};
use crate::plan::LiveState;
use crate::plan::decide::id;
use crate::plan::diff::{FieldChange, diff, is_leaf, limit_to_opinions};
use crate::provider::{
    ErrorClass, Observed, Provider, ProviderError, RecordedResource, retry_reads,
};
use crate::state::{Record, RecordStatus, State};

/// Pauses between the reads of a resource that differs from its record. The number of reads is one
/// more. The first pause outlasts a response from a cache, the last one a slow replica.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(3),
    Duration::from_secs(3),
    Duration::from_secs(6),
    Duration::from_secs(12),
];

/// Value of an entry of a write-only map that an unfinished update may or may not have changed. AWS
/// allows no such tag value.
const UNCERTAIN: &str = "(unknown after an unfinished update)";

/// Returns the live state of all recorded resources. All kinds are queried concurrently, with a
/// number of calls that grows with kinds and result pages, not with resources. Resources that
/// differ from their records are read again, after a pause of 3 seconds.
///
/// # Errors
/// Returns an error if one kind cannot be read, or if no two consecutive reads of a resource agree;
/// a guess would be worse than no plan.
pub async fn read_live_state(
    state: &State,
    provider: &dyn Provider,
) -> Result<LiveState, ProviderError> {
    read_live_state_of(state, provider, &|_| true).await
}

/// Like [`read_live_state`], but only for the addresses that `wanted` accepts.
///
/// # Errors
/// Same as [`read_live_state`].
pub async fn read_live_state_of(
    state: &State,
    provider: &dyn Provider,
    wanted: &(dyn Fn(&Address) -> bool + Sync),
) -> Result<LiveState, ProviderError> {
    let mut live = read(state, provider, wanted).await?;
    let differs = |address: &Address, one: &Observed| {
        has_additions_of_others(one)
            || differs(provider.schema(address.kind()), state, address, one)
    };
    let mut doubtful: BTreeSet<Address> =
        live.iter().filter(|(address, one)| differs(address, one)).map(name).collect();
    for pause in PAUSES {
        if doubtful.is_empty() {
            return without_contradiction(state, provider, live);
        }
        tokio::time::sleep(pause).await;
        let again = read(state, provider, &|address| doubtful.contains(address)).await?;
        for (address, observed) in again {
            let is_proven = !differs(&address, &observed)
                || live.get(&address).is_some_and(|last| agree(last, &observed));
            if is_proven {
                doubtful.remove(&address);
            }
            live.insert(address, observed);
        }
    }
    match doubtful.pop_first() {
        None => without_contradiction(state, provider, live),
        Some(first) => Err(contradictory(&first, doubtful.len(), &live)),
    }
}

fn name((address, _): (&Address, &Observed)) -> Address {
    address.clone()
}

/// Returns true if an observation contradicts the record: the resource seems deleted, or inputs of
/// its record are missing or other ones. A creation in doubt may be missing. A resource that is
/// being updated or deleted may have other inputs.
fn differs(schema: Option<&Schema>, state: &State, address: &Address, observed: &Observed) -> bool {
    let Some(record) = state.resources.get(address) else { return false };
    match observed {
        Observed::Missing => {
            !matches!(record.status, RecordStatus::Creating | RecordStatus::Deleting)
        }
        Observed::Present { inputs, .. } => {
            let is_settled = !matches!(
                record.status,
                RecordStatus::Creating | RecordStatus::Updating | RecordStatus::Deleting
            );
            let live = limit_to_opinions(&record.inputs, inputs);
            let rules = schema.map(Schema::comparison_rules).unwrap_or_default();
            let differences = diff(rules, Some(&live), Some(&record.inputs));
            is_settled && differences.iter().any(|field| !is_addition(schema, field))
        }
    }
}

/// Returns true if others seem to have added something. A separate lookup decides whose an addition
/// is, and its answer can be wrong, too.
fn has_additions_of_others(observed: &Observed) -> bool {
    matches!(observed, Observed::Present { unmanaged, .. } if !unmanaged.is_empty())
}

/// Returns true if the live state has a member of a set that the record lacks. A force-new input is
/// excluded: an addition to it would replace the resource.
fn is_addition(schema: Option<&Schema>, from_live: &FieldChange) -> bool {
    let forces = schema.is_none_or(|schema| schema.force_new.contains(&from_live.input()));
    from_live.item.is_some() && from_live.after.is_none() && !forces
}

/// Returns true if two observations show the same. Outputs such as a status may change between two
/// reads.
fn agree(one: &Observed, other: &Observed) -> bool {
    match (one, other) {
        (Observed::Missing, Observed::Missing) => true,
        (
            Observed::Present { inputs: one, unmanaged: additions, .. },
            Observed::Present { inputs: other, unmanaged: others, .. },
        ) => one == other && additions == others,
        _ => false,
    }
}

/// Returns the live state unless it contradicts itself: one resource is missing, and another one is
/// present with a reference that only an existing target can have.
///
/// Two reads of one kind come from one service and can be wrong together, so their agreement alone
/// is no proof of a deletion.
fn without_contradiction(
    state: &State,
    provider: &dyn Provider,
    live: LiveState,
) -> Result<LiveState, ProviderError> {
    let missing: BTreeMap<String, &Address> = live
        .iter()
        .filter(|(_, one)| **one == Observed::Missing)
        .filter_map(|(address, _)| Some((id(&state.resources.get(address)?.outputs)?, address)))
        .collect();
    if missing.is_empty() {
        return Ok(live);
    }
    for (witness, observed) in &live {
        let Observed::Present { inputs, .. } = observed else { continue };
        let Some(schema) = provider.schema(witness.kind()) else { continue };
        for name in schema.proves {
            if let Some((id, address)) = inputs.get(*name).and_then(|value| named(value, &missing))
            {
                return Err(disproved(address, &id, witness, name));
            }
        }
    }
    Ok(live)
}

/// Returns the first missing resource whose ID is in the value.
fn named<'a>(
    value: &Value,
    missing: &BTreeMap<String, &'a Address>,
) -> Option<(String, &'a Address)> {
    match value {
        Value::String(text) => missing.get(text).map(|address| (text.clone(), *address)),
        Value::Array(items) => items.iter().find_map(|item| named(item, missing)),
        Value::Object(fields) => fields.values().find_map(|field| named(field, missing)),
        _ => None,
    }
}

fn disproved(address: &Address, id: &str, witness: &Address, input: &str) -> ProviderError {
    let message = format!(
        "{address} ({id}) is missing, but {witness} exists and has it as `{input}`; one of the \
         answers is wrong"
    );
    unproven(message)
}

/// Returns the error of a refresh whose answers contradict each other.
fn unproven(message: String) -> ProviderError {
    ProviderError::new(ErrorClass::Ambiguous, "refresh", message).with_hint(
        "nothing was planned or changed; run the same command again in a minute. If the reads still \
         contradict each other, check the resource in the console of the cloud",
    )
}

fn contradictory(address: &Address, others: usize, live: &LiveState) -> ProviderError {
    let last = match live.get(address) {
        Some(Observed::Missing) | None => "missing",
        Some(Observed::Present { .. }) => "present, with other values than before",
    };
    let others = match others {
        0 => String::new(),
        1 => " (and 1 other resource)".to_owned(),
        count => format!(" (and {count} other resources)"),
    };
    let reads = PAUSES.len() + 1;
    let message = format!(
        "{reads} reads of {address}{others} contradict each other; in the last one it is {last}"
    );
    unproven(message)
}

/// Reads the kinds of the wanted resources, and returns the wanted ones. A kind is always read as a
/// whole: what others added to a resource is what no resource of the kind has recorded.
async fn read(
    state: &State,
    provider: &dyn Provider,
    wanted: &(dyn Fn(&Address) -> bool + Sync),
) -> Result<LiveState, ProviderError> {
    let mut kinds: BTreeMap<&str, Vec<(&Address, &Record)>> = BTreeMap::new();
    for (address, record) in &state.resources {
        kinds.entry(address.kind()).or_default().push((address, record));
    }
    kinds.retain(|_, records| records.iter().any(|(address, _)| wanted(address)));
    let questions = kinds.into_iter().map(|(kind, records)| ask(provider, kind, state, records));
    let answers = crate::provider::all(questions.collect()).await;
    let mut observations = LiveState::new();
    for answer in answers {
        observations.extend(answer?.into_iter().filter(|(address, _)| wanted(address)));
    }
    Ok(observations)
}

async fn ask(
    provider: &dyn Provider,
    kind: &str,
    state: &State,
    records: Vec<(&Address, &Record)>,
) -> Result<Vec<(Address, Observed)>, ProviderError> {
    // Built again for each attempt: retries are rare, and a copy of everything is large.
    let known = || {
        records
            .iter()
            .map(|(address, record)| RecordedResource {
                inputs: possible_inputs(record),
                ..recorded_resource(state, address, record)
            })
            .collect()
    };
    let observed = retry_reads(|| provider.refresh(kind.to_owned(), known())).await?;
    let observed = records.iter().zip(observed).map(|((address, record), observed)| {
        let observed = match observed {
            Observed::Present { mut inputs, outputs, unmanaged }
                if !record.prior_inputs.is_empty() =>
            {
                drop_repetitions(&mut inputs);
                let schema = provider.schema(kind);
                for name in schema.map_or(&[][..], |schema| schema.write_only) {
                    inputs[*name] = uncertain_map(record, name);
                }
                Observed::Present { inputs, outputs, unmanaged }
            }
            observed => observed,
        };
        ((*address).clone(), observed)
    });
    Ok(observed.collect())
}

/// Returns the inputs that a resource may have: the recorded ones and, while an update is not
/// finished, those from before it.
///
/// Providers report only what groundplan configured, such as tags and rules of these inputs. With
/// the inputs from before an interrupted update, what the update was to remove is still reported.
fn possible_inputs(record: &Record) -> Value {
    let prior = record.prior_inputs.iter().rev();
    prior.fold(record.inputs.clone(), with_prior)
}

fn with_prior(current: Value, prior: &Value) -> Value {
    match (current, prior) {
        (Value::Object(mut current), Value::Object(prior))
            if !is_leaf(&current) && !is_leaf(prior) =>
        {
            for (name, prior) in prior {
                let value = match current.remove(name) {
                    Some(current) => with_prior(current, prior),
                    None => prior.clone(),
                };
                current.insert(name.clone(), value);
            }
            Value::Object(current)
        }
        (Value::Array(mut current), Value::Array(prior)) => {
            for item in prior {
                if !current.contains(item) {
                    current.push(item.clone());
                }
            }
            Value::Array(current)
        }
        (current, Value::Null) => current,
        (_, prior) => prior.clone(),
    }
}

/// Returns the possible entries of a write-only map. An entry that an unfinished update may or may
/// not have changed has the value [`UNCERTAIN`].
fn uncertain_map(record: &Record, name: &str) -> Value {
    let candidates: Vec<&Map<String, Value>> = std::iter::once(&record.inputs)
        .chain(&record.prior_inputs)
        .filter_map(|inputs| inputs.get(name)?.as_object())
        .collect();
    let keys: BTreeSet<&String> = candidates.iter().flat_map(|map| map.keys()).collect();
    let entries = keys.into_iter().map(|key| {
        let mut values = candidates.iter().map(|map| map.get(key));
        let first = values.next().flatten();
        let is_certain = values.all(|value| value == first);
        let value = first.filter(|_| is_certain).cloned();
        (key.clone(), value.unwrap_or_else(|| UNCERTAIN.into()))
    });
    Value::Object(entries.collect())
}

/// Removes equal items of lists. One live item can stand for a current and for an earlier one.
fn drop_repetitions(value: &mut Value) {
    match value {
        Value::Object(fields) => fields.values_mut().for_each(drop_repetitions),
        Value::Array(items) => {
            let mut kept: Vec<Value> = Vec::with_capacity(items.len());
            for item in items.drain(..) {
                if !kept.contains(&item) {
                    kept.push(item);
                }
            }
            *items = kept;
        }
        _ => {}
    }
}

/// Returns a recorded resource in the form that providers accept.
pub fn recorded_resource(state: &State, address: &Address, record: &Record) -> RecordedResource {
    RecordedResource {
        address: address.clone(),
        token: state.token(address, record.generation),
        inputs: record.inputs.clone(),
        outputs: record.outputs.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tokio::time::Instant;

    use super::*;
    use crate::graph::Graph;
    use crate::plan::{DriftClass, UnmanagedDrift};
    use crate::test_support::fake_provider::Lie;
    use crate::test_support::harness::{Harness, KINDS, node};

    /// Case R1 of the reviewers' list.
    #[tokio::test(start_paused = true)]
    async fn r1_a_look_at_everything_is_one_call_for_each_kind_however_many_there_are() {
        let calls = async |machines: usize| {
            let mut graph = Graph::default();
            node(&mut graph, "node.network", json!({}), &[]);
            for index in 0..machines {
                node(&mut graph, &format!("machine.m-{index}"), json!({}), &["node.network"]);
            }
            let mut harness = Harness::default();
            assert!(harness.apply(&graph).await.summary.complete());
            harness.cloud.forget_calls();
            let observed = read_live_state(&harness.state, &*harness.cloud).await.unwrap();
            assert_eq!(observed.len(), machines + 1);
            harness.cloud.calls()
        };
        assert_eq!(calls(33).await, ["observe machine 33", "observe node 1"]);
        assert_eq!(calls(603).await, ["observe machine 603", "observe node 1"]);
    }

    /// Returns a harness with a network and two machines, and their graph.
    async fn harness() -> (Harness, Graph) {
        let mut graph = Graph::default();
        node(&mut graph, "node.network", json!({"cidr": "10.0.0.0/16"}), &[]);
        for name in ["machine.a", "machine.b"] {
            node(&mut graph, name, json!({"size": "large", "tokens": null}), &["node.network"]);
        }
        let mut harness = Harness::default();
        assert!(harness.apply(&graph).await.summary.complete());
        harness.cloud.forget_calls();
        (harness, graph)
    }

    #[tokio::test(start_paused = true)]
    async fn what_one_read_does_not_find_is_read_again_and_changes_no_plan() {
        let (harness, graph) = harness().await;
        let lies = [
            ("machine.a", Lie::Missing),
            ("machine.b", Lie::Input("size")),
            ("node.network", Lie::Missing),
            ("node.network", Lie::Input("cidr")),
        ];
        for (address, lie) in lies {
            harness.cloud.lie(address, 1, lie);
            let began = Instant::now();
            let plan = harness.plan(&graph).await;
            assert!(plan.is_empty(), "{lie:?} {address}: {plan:#?}");
            assert!(began.elapsed() >= PAUSES[0], "{lie:?} {address}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn only_the_kind_of_what_differs_is_read_again() {
        let (harness, _) = harness().await;
        harness.cloud.lie("machine.b", 1, Lie::Missing);
        read_live_state(&harness.state, &*harness.cloud).await.unwrap();
        assert_eq!(
            harness.cloud.calls(),
            ["observe machine 2", "observe node 1", "observe machine 2"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_member_more_needs_no_second_read_and_one_less_or_an_addition_of_others_does() {
        let mut harness = Harness::with_kinds(KINDS);
        let mut graph = Graph::default();
        node(&mut graph, "node.a", json!({"rules": ["ssh", "https"]}), &[]);
        assert!(harness.apply(&graph).await.summary.complete());
        let rules = ["https", "ssh", "telnet"];
        harness.cloud.change_outside("node.a", "rules", &json!(rules));
        let began = Instant::now();
        let plan = harness.plan(&graph).await;
        assert!(began.elapsed() < PAUSES[0]);
        assert_eq!(plan.changes[0].fields[0].item.as_deref(), Some("rule telnet"));

        harness.cloud.add_outside("node.a", telnet());
        let began = Instant::now();
        let plan = harness.plan(&graph).await;
        assert!(began.elapsed() >= PAUSES[0]);
        assert_eq!(plan.changes[0].unmanaged, [telnet()]);

        harness.cloud.change_outside("node.a", "rules", &json!(["ssh", "telnet"]));
        let began = Instant::now();
        harness.plan(&graph).await;
        assert!(began.elapsed() >= PAUSES[0]);
    }

    fn telnet() -> UnmanagedDrift {
        UnmanagedDrift::addition(DriftClass::Security, "doors", "23", "door 23", json!(23))
    }

    #[tokio::test(start_paused = true)]
    async fn what_two_reads_do_not_find_is_gone() {
        let (harness, _) = harness().await;
        harness.cloud.lose("machine.b");
        let live = read_live_state(&harness.state, &*harness.cloud).await.unwrap();
        assert_eq!(live[&Address::from("machine.b")], Observed::Missing);
        assert_eq!(
            harness.cloud.calls(),
            ["observe machine 2", "observe node 1", "observe machine 2"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn reads_that_go_on_contradicting_each_other_are_an_error() {
        let (harness, _) = harness().await;
        harness.cloud.lie("machine.b", 5, Lie::Unsteady("size"));
        let error = read_live_state(&harness.state, &*harness.cloud).await.unwrap_err();
        assert!(error.message.contains("5 reads of machine.b contradict each other"), "{error}");
        assert_eq!(error.class, ErrorClass::Ambiguous);
    }

    #[tokio::test(start_paused = true)]
    async fn a_creation_in_doubt_and_a_deletion_under_way_need_no_second_read() {
        let (mut harness, _) = harness().await;
        for (address, status) in
            [("machine.a", RecordStatus::Creating), ("machine.b", RecordStatus::Deleting)]
        {
            harness.state.resources.get_mut(&Address::from(address)).unwrap().status = status;
            harness.cloud.lose(address);
        }
        let began = Instant::now();
        let live = read_live_state(&harness.state, &*harness.cloud).await.unwrap();
        assert_eq!(live[&Address::from("machine.a")], Observed::Missing);
        assert!(began.elapsed() < PAUSES[0]);
    }

    #[test]
    fn an_unfinished_update_may_have_left_what_it_was_to_remove() {
        let record = |inputs: Value, prior_inputs: Vec<Value>| Record {
            generation: 1,
            status: RecordStatus::Updating,
            inputs,
            outputs: Value::Null,
            after: Vec::new(),
            prior_inputs,
            revert: Vec::new(),
            unknown: BTreeMap::new(),
        };
        let current = json!({"tags": {"a": "2"}, "rules": [1, 2], "key": null, "size": 3});
        let first =
            json!({"tags": {"a": "1", "b": "1"}, "rules": [2, 3], "key": "k", "size": null});
        let second = json!({"tags": {"c": "1"}, "rules": [2], "key": null, "size": 2});
        assert_eq!(possible_inputs(&record(current.clone(), Vec::new())), current);
        assert_eq!(
            possible_inputs(&record(current, vec![first, second])),
            json!({"tags": {"a": "1", "b": "1", "c": "1"}, "rules": [1, 2, 3], "key": "k", "size": 2})
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_value_without_an_opinion_needs_no_second_read() {
        let (harness, _) = harness().await;
        harness.cloud.change_outside("machine.a", "tokens", &json!("optional"));
        let began = Instant::now();
        read_live_state(&harness.state, &*harness.cloud).await.unwrap();
        assert!(began.elapsed() < PAUSES[0]);
    }

    /// Kinds of which one proves the other: a network is not deleted before its subnets.
    const NETWORK: &[Schema] = &[
        Schema::of("network", crate::graph::Identity::Name),
        Schema { proves: &["needs"], ..Schema::of("subnet", crate::graph::Identity::Name) },
    ];

    #[tokio::test(start_paused = true)]
    async fn a_missing_resource_that_another_one_refers_to_is_an_error() {
        let mut graph = Graph::default();
        node(&mut graph, "network.a", json!({}), &[]);
        node(&mut graph, "subnet.b", json!({}), &["network.a"]);
        let mut harness = Harness::with_kinds(NETWORK);
        assert!(harness.apply(&graph).await.summary.complete());
        // All reads of one kind are wrong together.
        harness.cloud.lie("network.a", 9, Lie::Missing);
        let error = read_live_state(&harness.state, &*harness.cloud).await.unwrap_err();
        let said = "is missing, but subnet.b exists and has it as `needs`";
        assert!(error.message.contains(said), "{error}");
        // Both are gone.
        harness.cloud.lie("subnet.b", 9, Lie::Missing);
        let live = read_live_state(&harness.state, &*harness.cloud).await.unwrap();
        assert_eq!(live[&Address::from("network.a")], Observed::Missing);
    }
}
