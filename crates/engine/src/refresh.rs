//! Refresh: reads the live state of the recorded resources from a provider. Changes nothing and
//! decides nothing.

use std::collections::BTreeMap;

use crate::graph::Address;
use crate::plan::Observations;
use crate::provider::{Known, Observed, Provider, ProviderError, patiently};
use crate::state::{Record, State};

/// Returns the live state of all recorded resources. All kinds are queried concurrently, with a
/// number of calls that grows with kinds and result pages, not with resources.
///
/// # Errors
/// Returns an error if one kind cannot be read; a guess would be worse than no plan.
pub async fn observe(
    state: &State,
    provider: &dyn Provider,
) -> Result<Observations, ProviderError> {
    observe_only(state, provider, &|_| true).await
}

/// Like [`observe`], but only for the addresses that `wanted` accepts.
///
/// # Errors
/// Same as [`observe`].
pub async fn observe_only(
    state: &State,
    provider: &dyn Provider,
    wanted: &(dyn Fn(&Address) -> bool + Sync),
) -> Result<Observations, ProviderError> {
    let mut kinds: BTreeMap<&str, Vec<(&Address, &Record)>> = BTreeMap::new();
    for (address, record) in state.resources.iter().filter(|(address, _)| wanted(address)) {
        kinds.entry(address.kind()).or_default().push((address, record));
    }
    let questions = kinds.into_iter().map(|(kind, records)| ask(provider, kind, state, records));
    let answers = crate::provider::all(questions.collect()).await;
    let mut observations = Observations::new();
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
    let known = || records.iter().map(|(address, record)| known(state, address, record)).collect();
    let observed = patiently(|| provider.observe(kind.to_owned(), known())).await?;
    let addresses = records.iter().map(|(address, _)| (*address).clone());
    Ok(addresses.zip(observed).collect())
}

/// Returns a recorded resource in the form that providers accept.
pub fn known(state: &State, address: &Address, record: &Record) -> Known {
    Known {
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
    use crate::test_support::harness::{Lab, node};

    /// Case R1 of the reviewers' list.
    #[tokio::test(start_paused = true)]
    async fn r1_a_look_at_everything_is_one_call_for_each_kind_however_many_there_are() {
        let calls = async |machines: usize| {
            let mut graph = Graph::default();
            node(&mut graph, "node.network", json!({}), &[]);
            for index in 0..machines {
                node(&mut graph, &format!("machine.m-{index}"), json!({}), &["node.network"]);
            }
            let mut lab = Lab::default();
            assert!(lab.apply(&graph).await.summary.complete());
            lab.cloud.forget_calls();
            let observed = observe(&lab.state, &*lab.cloud).await.unwrap();
            assert_eq!(observed.len(), machines + 1);
            lab.cloud.calls()
        };
        assert_eq!(calls(33).await, ["observe machine 33", "observe node 1"]);
        assert_eq!(calls(603).await, ["observe machine 603", "observe node 1"]);
    }
}
