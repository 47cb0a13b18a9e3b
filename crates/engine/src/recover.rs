//! Recovery of a lost state from the cloud.
//!
//! The identity of a creation is decided before its call is sent: a token in a tag, or a unique
//! name. Every desired resource can therefore be searched as after a crash, without a record of it.
//! A creation that was interrupted between its calls is recorded as one in doubt.
//! The module only reads from a provider; it creates, changes and records nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::Value;

use crate::graph::{Address, GraphNode, Identity, Schema, each_ref, resolve};
use crate::plan::diff::{diff, limit_to_opinions};
use crate::provider::{
    Cause, Observed, Poll, Provider, ProviderError, RecordedResource, Request, all, retry_reads,
};
use crate::secret::Secrets;
use crate::state::{Entry, RecordStatus, salt_of, token};

/// Highest generation that is searched. Each apply that creates resources uses one generation.
const GENERATIONS: u64 = 1000;
/// Number of generations searched beyond the highest tagged one after a name conflict, because not
/// every resource has tags.
const BEYOND: u64 = 16;

/// Input of a recovery.
pub struct Search<'a> {
    /// Desired resources in dependency order.
    pub nodes: &'a [GraphNode],
    /// Infra ID of the cluster; an input of the tokens.
    pub infra_id: &'a str,
    /// Salt of the tokens: see [`salts`].
    pub salt: Option<&'a str>,
    /// All tokens that tags contain, as far as tags can be listed.
    pub tokens: &'a BTreeSet<String>,
    /// Provider of the resources.
    pub provider: &'a dyn Provider,
}

/// Result of a recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Journal entries that rebuild the state, in a valid order: one creation per generation of a
    /// resource.
    pub entries: Vec<Entry>,
    /// Desired resources that were not found, in dependency order.
    pub missing: Vec<MissingResource>,
}

/// Desired resource that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingResource {
    /// Address of the resource.
    pub address: Address,
    /// Reason for the missing result.
    pub because: String,
}

/// Generation of a resource, as found in the cloud.
#[derive(Clone, Debug)]
struct FoundObject {
    address: Address,
    after: Vec<Address>,
    inputs: Value,
    generation: u64,
    outputs: Value,
    status: RecordStatus,
}

/// Generations of a desired resource, oldest first, or the reason for their absence.
type Sought = Result<Vec<FoundObject>, MissingResource>;

/// Returns the salts that the lost state may have had, the most probable one first: those with which
/// desired resources have a token. `None` means tokens without a salt. Clouds keep tags of deleted
/// objects for a while, so only a search tells which salt finds the most resources.
pub fn salts(
    nodes: &[GraphNode],
    infra_id: &str,
    tokens: &BTreeSet<String>,
) -> Vec<Option<String>> {
    let salts: BTreeSet<&str> = tokens.iter().filter_map(|token| salt_of(token)).collect();
    let has_token = |salt: Option<&str>, node: &&GraphNode| {
        let of = |generation| token(salt, infra_id, &node.address, generation);
        (1..=GENERATIONS).any(|generation| tokens.contains(&of(generation)))
    };
    let candidates = std::iter::once(None).chain(salts.into_iter().map(Some));
    let fitting = candidates.map(|salt| {
        let count = nodes.iter().filter(|node| has_token(salt, node)).count();
        (count, salt.map(str::to_owned))
    });
    let mut fitting: Vec<_> = fitting.filter(|(count, _)| *count > 0).collect();
    fitting.sort_by_key(|(count, _)| std::cmp::Reverse(*count));
    match fitting.is_empty() {
        true => vec![None],
        false => fitting.into_iter().map(|(_, salt)| salt).collect(),
    }
}

impl Search<'_> {
    /// Searches for all desired resources, dependencies first.
    ///
    /// # Errors
    /// Returns an error if one resource cannot be searched. With half a state, the next apply would
    /// create the other half a second time.
    pub async fn run(&self) -> Result<Recovered, ProviderError> {
        let latest = self.latest();
        let mut known: BTreeMap<Address, Sought> = BTreeMap::new();
        let mut waiting: Vec<&GraphNode> = self.nodes.iter().collect();
        while !waiting.is_empty() {
            let is_next = |node: &&GraphNode| node.after.iter().all(|one| known.contains_key(one));
            let (now, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_next);
            let sought =
                all(now.iter().map(|node| self.seek(node, latest, &known)).collect()).await;
            for (node, sought) in now.into_iter().zip(sought) {
                known.insert(node.address.clone(), sought?);
            }
            waiting = later;
        }
        Ok(self.in_order(known))
    }

    fn token(&self, address: &Address, generation: u64) -> String {
        token(self.salt, self.infra_id, address, generation)
    }

    fn tagged(&self, address: &Address, generation: u64) -> bool {
        self.tokens.contains(&self.token(address, generation))
    }

    /// Returns the highest generation that appears in a tag.
    fn latest(&self) -> u64 {
        let tagged = |generation: &u64| {
            self.nodes.iter().any(|node| self.tagged(&node.address, *generation))
        };
        (1..=GENERATIONS).rev().find(tagged).unwrap_or(1)
    }

    async fn seek(
        &self,
        node: &GraphNode,
        latest: u64,
        known: &BTreeMap<Address, Sought>,
    ) -> Result<Sought, ProviderError> {
        let missing = |because| Err(MissingResource { address: node.address.clone(), because });
        let inputs = resolve(&node.inputs, &|r| {
            current(known.get(&r.address)?)?.outputs.get(&r.output).cloned()
        });
        let mut unresolved = None;
        each_ref(&inputs, &mut |r| unresolved = Some(r.address.clone()));
        if let Some(other) = unresolved {
            return Ok(missing(format!("{other}, which the resource references, was not found")));
        }
        let mut lives = Vec::new();
        let (found, because) = self.find(&node.address, &inputs, latest).await?;
        for FoundLife { generation, outputs, is_part } in found {
            let (status, outputs) = match is_part {
                true => (RecordStatus::Creating, outputs),
                false => self.status(&node.address, generation, &inputs, outputs).await?,
            };
            let (address, after) = (node.address.clone(), node.after.clone());
            let inputs = inputs.clone();
            lives.push(FoundObject { address, after, inputs, generation, outputs, status });
        }
        Ok(if lives.is_empty() { missing(because) } else { Ok(lives) })
    }

    /// Returns the generations found at an address with their outputs, oldest first, and the reason
    /// to report if there are none.
    async fn find(
        &self,
        address: &Address,
        inputs: &Value,
        latest: u64,
    ) -> Result<(Vec<FoundLife>, String), ProviderError> {
        let mut because = "no resource with this name or token".to_owned();
        let tagged: Vec<u64> = (1..=latest).filter(|one| self.tagged(address, *one)).collect();
        let mut found = Vec::new();
        for generation in tagged {
            if let SearchResult::Found(outputs) = self.ask(address, generation, inputs).await? {
                found.push(FoundLife { generation, outputs, is_part: false });
            }
        }
        if !found.is_empty() {
            return Ok((found, because));
        }
        let (mut generation, mut last) = (latest, 1);
        loop {
            match self.ask(address, generation, inputs).await? {
                SearchResult::Found(outputs) => {
                    let life = FoundLife { generation, outputs, is_part: false };
                    return Ok((vec![life], because));
                }
                // Another generation made the resource with this name, and its token is in no
                // listed tag.
                SearchResult::OfAnother(by) => (because, last) = (by, latest + BEYOND),
                SearchResult::Nothing => (),
            }
            generation = match generation {
                1 => latest + 1,
                past if past > latest => past + 1,
                one => one - 1,
            };
            if generation > latest && generation > last {
                return Ok((self.part(address, inputs, latest).await?, because));
            }
        }
    }

    /// Returns a part or a setting of another resource if any piece of it exists. Its creation was
    /// interrupted: it is recorded as in doubt, so that the next apply repeats the whole creation.
    /// An update would only add what the live state lacks, and leave what AWS itself put there, such
    /// as the rule with which every new security group begins.
    async fn part(
        &self,
        address: &Address,
        inputs: &Value,
        generation: u64,
    ) -> Result<Vec<FoundLife>, ProviderError> {
        let schema = self.provider.schema(address.kind());
        if schema.is_none_or(|schema| schema.identity != Identity::Parent) {
            return Ok(Vec::new());
        }
        let request = self.request(address, generation, inputs);
        let remains = retry_reads(|| self.provider.find_any_part(request.clone())).await?;
        let life = |outputs| FoundLife { generation, outputs, is_part: true };
        Ok(remains.into_iter().map(life).collect())
    }

    async fn ask(
        &self,
        address: &Address,
        generation: u64,
        inputs: &Value,
    ) -> Result<SearchResult, ProviderError> {
        let request = self.request(address, generation, inputs);
        match retry_reads(|| self.provider.find(request.clone())).await {
            Ok(Some(outputs)) => Ok(SearchResult::Found(outputs)),
            Ok(None) => Ok(SearchResult::Nothing),
            Err(error) if error.cause == Cause::NotOurs => {
                Ok(SearchResult::OfAnother(error.message))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns a request without secrets, because the recovery creates nothing.
    fn request(&self, address: &Address, generation: u64, inputs: &Value) -> Request {
        Request {
            address: address.clone(),
            token: self.token(address, generation),
            inputs: inputs.clone(),
            secrets: Arc::new(Secrets::default()),
            revert: Vec::new(),
        }
    }

    /// Returns the status that the resource has reached. A resource that is not ready yet is
    /// recorded as configured, and the next apply waits for it.
    async fn status(
        &self,
        address: &Address,
        generation: u64,
        inputs: &Value,
        outputs: Value,
    ) -> Result<(RecordStatus, Value), ProviderError> {
        let kind = address.kind();
        let Some(schema) = self.provider.schema(kind) else {
            return Ok((RecordStatus::Ready, outputs));
        };
        let known = RecordedResource {
            address: address.clone(),
            token: self.token(address, generation),
            inputs: inputs.clone(),
            outputs: outputs.clone(),
        };
        if schema.configures && self.is_unconfigured(schema, &known).await? {
            return Ok((RecordStatus::Created, outputs));
        }
        if schema.ready.is_none() {
            return Ok((RecordStatus::Ready, outputs));
        }
        let looks =
            retry_reads(|| self.provider.ready(kind.to_owned(), vec![known.clone()])).await?;
        Ok(match looks.into_iter().next() {
            Some(Poll::Ready(outputs)) => (RecordStatus::Ready, outputs),
            _ => (RecordStatus::Configured, outputs),
        })
    }

    /// Returns true if the live inputs differ from the desired ones. The creation was then
    /// interrupted before its further calls, which the next apply sends again.
    async fn is_unconfigured(
        &self,
        schema: &Schema,
        known: &RecordedResource,
    ) -> Result<bool, ProviderError> {
        let kind = known.address.kind();
        let seen =
            retry_reads(|| self.provider.refresh(kind.to_owned(), vec![known.clone()])).await?;
        Ok(seen.iter().any(|observed| match observed {
            Observed::Present { inputs, .. } => {
                let live = limit_to_opinions(&known.inputs, inputs);
                !diff(schema.comparison_rules(), Some(&live), Some(&known.inputs)).is_empty()
            }
            Observed::Missing => false,
        }))
    }

    /// Orders the entries as a state accepts them: by generation, and each deposed object before
    /// its successor.
    fn in_order(&self, mut known: BTreeMap<Address, Sought>) -> Recovered {
        let (mut lives, mut recovered) = (Vec::new(), Recovered::default());
        for node in self.nodes {
            match known.remove(&node.address) {
                Some(Ok(its)) => lives.extend(its),
                Some(Err(missing)) => recovered.missing.push(missing),
                None => unreachable!("BUG: {} was not looked for", node.address),
            }
        }
        lives.sort_by_key(|life| life.generation);
        let mut taken = BTreeSet::new();
        for life in lives {
            if !taken.insert(life.address.clone()) {
                recovered.entries.push(Entry::Deposed { address: life.address.clone() });
            }
            recovered.entries.extend(life.entries());
        }
        recovered
    }
}

/// Returns the generation that dependents refer to.
fn current(sought: &Sought) -> Option<&FoundObject> {
    sought.as_ref().ok()?.last()
}

/// Generation of a resource that was found.
struct FoundLife {
    generation: u64,
    outputs: Value,
    /// True if only a piece of the resource exists.
    is_part: bool,
}

/// Result of one search.
enum SearchResult {
    Found(Value),
    Nothing,
    OfAnother(String),
}

impl FoundObject {
    /// Returns the entries of the creation, without a result if the creation is in doubt.
    fn entries(self) -> Vec<Entry> {
        let FoundObject { address, after, inputs, generation, outputs, status } = self;
        let started = Entry::CreateStarted { address: address.clone(), generation, inputs, after };
        match status {
            RecordStatus::Creating => vec![started],
            _ => vec![started, Entry::Created { address, outputs, status }],
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graph::Graph;
    use crate::plan::PlanOptions;
    use crate::provider::ErrorClass;
    use crate::state::State;
    use crate::test_support::harness::{Harness, node};

    /// Returns a graph in which resources reference earlier ones.
    fn chain(fixed: u8) -> Graph {
        let mut graph = Graph::default();
        node(&mut graph, "node.a", json!({ "fixed": 1 }), &[]);
        node(&mut graph, "tagged.b", json!({ "fixed": 1 }), &["node.a"]);
        node(&mut graph, "slow.c", json!({ "fixed": 1 }), &["tagged.b"]);
        node(&mut graph, "first.d", json!({ "fixed": fixed }), &["node.a"]);
        node(&mut graph, "tagged.e", json!({ "fixed": fixed }), &["node.a"]);
        graph
    }

    async fn recovered(harness: &Harness, graph: &Graph) -> (State, Vec<MissingResource>) {
        let tokens = harness.cloud.tokens().into_iter().map(|(_, token)| token).collect();
        let infra_id = &harness.state.lineage;
        let salt = salts(graph.nodes(), infra_id, &tokens).swap_remove(0);
        let search = Search {
            nodes: graph.nodes(),
            infra_id,
            salt: salt.as_deref(),
            tokens: &tokens,
            provider: &*harness.cloud,
        };
        let found = search.run().await.unwrap();
        let mut state = State::new(harness.state.lineage.clone());
        state.lookup_cache.token_salt = salt;
        for entry in &found.entries {
            state.record(entry).unwrap();
        }
        (state, found.missing)
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_made_in_several_runs_is_found_as_it_was_recorded() {
        let mut harness = Harness::default();
        harness.apply(&chain(1)).await;
        harness.apply(&chain(2)).await; // two of them live their second life
        let (state, missing) = recovered(&harness, &chain(2)).await;
        assert_eq!(missing, []);
        assert_eq!(state.resources, harness.state.resources);
        assert_eq!(state.generation, harness.state.generation);
        let harness = Harness { state, ..harness };
        assert!(harness.plan_with(&chain(2), &PlanOptions::default()).await.is_empty());
    }

    /// Objects of the earlier state remain visible for a while, and other clusters have tokens, too.
    #[tokio::test(start_paused = true)]
    async fn tokens_with_the_salt_of_the_lost_state_are_found_among_others() {
        let salted = |salt: &str| {
            let mut harness = Harness::default();
            harness.state.lookup_cache.token_salt = Some(salt.to_owned());
            harness
        };
        let mut earlier = Graph::default();
        node(&mut earlier, "node.x", json!({ "fixed": 1 }), &[]);
        node(&mut earlier, "node.a", json!({ "fixed": 7 }), &[]);
        let mut old = salted("ffffffff");
        old.apply(&earlier).await;
        let mut harness = Harness { cloud: old.cloud, ..salted("0a1b2c3d") };
        harness.apply(&chain(1)).await;
        let (state, missing) = recovered(&harness, &chain(1)).await;
        assert_eq!((missing, state.lookup_cache.token_salt.as_deref()), (vec![], Some("0a1b2c3d")));
        assert_eq!(state.resources, harness.state.resources);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_there_is_missing_and_so_is_what_refers_to_it() {
        let mut harness = Harness::default();
        let mut graph = Graph::default();
        node(&mut graph, "node.a", json!({ "fixed": 1 }), &[]);
        harness.apply(&graph).await;
        let (state, missing) = recovered(&harness, &chain(1)).await;
        assert_eq!(state.resources, harness.state.resources);
        let missing: Vec<_> =
            missing.iter().map(|one| (one.address.as_str(), &*one.because)).collect();
        let nothing = "no resource with this name or token";
        assert_eq!(
            missing,
            [
                ("tagged.b", nothing),
                ("slow.c", "tagged.b, which the resource references, was not found"),
                ("first.d", nothing),
                ("tagged.e", nothing),
            ]
        );
    }

    /// A bucket without its tags, for example: its creation was interrupted after the first call.
    #[tokio::test(start_paused = true)]
    async fn what_was_made_and_not_configured_is_configured_by_the_next_apply() {
        let mut harness = Harness::default();
        let mut graph = Graph::default();
        node(&mut graph, "stepped.a", json!({ "fixed": 1, "name": "n" }), &[]);
        node(&mut graph, "stepped.b", json!({ "fixed": 1, "name": "n" }), &[]);
        harness.apply(&graph).await;
        harness.cloud.change_outside("stepped.a", "name", &json!("not configured"));
        let (state, missing) = recovered(&harness, &graph).await;
        let status = |address: &str| state.resources[&Address::from(address)].status;
        assert_eq!(missing, []);
        assert_eq!(
            (status("stepped.a"), status("stepped.b")),
            (RecordStatus::Created, RecordStatus::Ready)
        );
        let mut harness = Harness { state, ..harness };
        harness.cloud.forget_calls();
        harness.apply(&graph).await;
        assert_eq!(harness.cloud.calls_of(&["configure"]), ["configure stepped.a"]);
    }

    #[tokio::test(start_paused = true)]
    async fn an_old_life_that_was_not_deleted_yet_is_recorded_as_superseded() {
        let mut harness = Harness::default();
        harness.apply(&chain(1)).await;
        harness.cloud.fail_with("delete first.d", ErrorClass::Permanent, "InUse");
        harness.apply(&chain(2)).await;
        assert!(!harness.state.deposed.is_empty(), "the deletion of the old one was refused");
        let (state, _) = recovered(&harness, &chain(2)).await;
        // The inputs of the old generation are unknown, and a deletion does not need them.
        let lives = |state: &State| -> Vec<_> {
            let lives =
                state.deposed.iter().flat_map(|(a, lives)| lives.iter().map(move |l| (a, l)));
            let all = state.resources.iter().chain(lives);
            all.map(|(a, life)| (a.to_string(), life.generation, life.outputs.clone())).collect()
        };
        assert_eq!(lives(&state), lives(&harness.state));
        let harness = Harness { state, ..harness };
        let steps = harness.plan(&chain(2)).await.steps;
        assert!(
            matches!(&steps[..], [step] if step.op.address().as_str() == "first.d"),
            "{steps:?}"
        );
    }
}
