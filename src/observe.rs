//! Looks up what the state knows. Asks a provider, changes nothing and decides nothing.

use std::collections::BTreeMap;

use crate::graph::Address;
use crate::plan::Observations;
use crate::provider::{Known, Observed, Provider, ProviderError, patiently};
use crate::state::{Record, State};

/// Asks the cloud for everything recorded, kind by kind and all kinds at once: the number of
/// calls grows with the kinds and by pages, not with the resources.
///
/// # Errors
/// When a kind cannot be looked up; a guess would be worse than no plan.
pub async fn observe(
    state: &State,
    provider: &dyn Provider,
) -> Result<Observations, ProviderError> {
    observe_only(state, provider, &|_| true).await
}

/// The same for the addresses that `wanted` picks.
///
/// # Errors
/// As [`observe`].
pub async fn observe_only(
    state: &State,
    provider: &dyn Provider,
    wanted: &(dyn Fn(&Address) -> bool + Sync),
) -> Result<Observations, ProviderError> {
    let mut kinds: BTreeMap<&str, Vec<Known>> = BTreeMap::new();
    for (address, record) in state.resources.iter().filter(|(address, _)| wanted(address)) {
        kinds.entry(address.kind()).or_default().push(known(state, address, record));
    }
    let questions = kinds.into_iter().map(|(kind, known)| ask(provider, kind, known));
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
    known: Vec<Known>,
) -> Result<Vec<(Address, Observed)>, ProviderError> {
    let addresses: Vec<_> = known.iter().map(|one| one.address.clone()).collect();
    let observed = patiently(|| provider.observe(kind.to_owned(), known.clone())).await?;
    Ok(addresses.into_iter().zip(observed).collect())
}

/// A recorded resource as providers are asked about it.
pub fn known(state: &State, address: &Address, record: &Record) -> Known {
    Known {
        address: address.clone(),
        token: state.token(address, record.generation),
        inputs: record.inputs.clone(),
        outputs: record.outputs.clone(),
    }
}
