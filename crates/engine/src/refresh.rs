//! Refresh: reads the live state of the recorded resources from a provider. Changes nothing and
//! decides nothing.

use std::collections::BTreeMap;

use crate::graph::Address;
use crate::plan::LiveState;
use crate::provider::{Observed, Provider, ProviderError, RecordedResource, retry_reads};
use crate::state::{Record, State};

/// Returns the live state of all recorded resources. All kinds are queried concurrently, with a
/// number of calls that grows with kinds and result pages, not with resources.
///
/// # Errors
/// Returns an error if one kind cannot be read; a guess would be worse than no plan.
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
    let mut kinds: BTreeMap<&str, Vec<(&Address, &Record)>> = BTreeMap::new();
    for (address, record) in state.resources.iter().filter(|(address, _)| wanted(address)) {
        kinds.entry(address.kind()).or_default().push((address, record));
    }
    let questions = kinds.into_iter().map(|(kind, records)| ask(provider, kind, state, records));
    let answers = crate::provider::all(questions.collect()).await;
    let mut observations = LiveState::new();
    for answer in answers {
        observations.extend(answer?);
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
        records.iter().map(|(address, record)| recorded_resource(state, address, record)).collect()
    };
    let observed = retry_reads(|| provider.refresh(kind.to_owned(), known())).await?;
    let addresses = records.iter().map(|(address, _)| (*address).clone());
    Ok(addresses.zip(observed).collect())
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

    use super::*;
    use crate::graph::Graph;
    use crate::test_support::harness::{Harness, node};

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
}
