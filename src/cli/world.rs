//! From what the user gives to a plan: the way that `plan`, `apply` and `graph` share.
//!
//! Nothing is written before the config, the credentials and every answer of AWS have been checked;
//! nothing here calls anything that changes AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;

use super::args::Common;
use super::cloud::{self, Reached};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::{Held, glance};
use super::homes;
use super::inputs::Inputs;
use super::screen::Screen;
use crate::aws::{Aws, schemas};
use crate::observe::observe;
use crate::plan::{self, Observations, Plan};
use crate::render::Diagnostic;
use crate::state::{Cluster, Entry, State};
use crate::topology::{self, Compiled, compile, identify, questions};

/// Everything a plan is made from.
pub(super) struct World {
    pub(super) inputs: Inputs,
    pub(super) bootstrap: bool,
    pub(super) compiled: Compiled,
    pub(super) aws: Arc<Aws>,
    pub(super) held: Held,
}

impl World {
    /// Reads, locks, connects, asks, compiles, and then records who the cluster is and what was
    /// learnt. Before anybody is asked anything, `fits` may refuse the inputs and the state.
    pub(super) async fn prepare(
        common: &Common,
        bootstrap: bool,
        operation: &str,
        fits: &dyn Fn(&Inputs, Option<&State>) -> Result<()>,
        screen: &mut Screen,
    ) -> Result<Self> {
        let inputs = Inputs::read(common, screen)?;
        let name = &inputs.config.name;
        let held = match homes::is_there(&common.state.of(name), common).await? {
            true => Some(Held::take(common, name, operation, screen).await?),
            false => None,
        };
        let state = held.as_ref().map(|held| &held.state);
        fits(&inputs, state)?;
        let cluster = cluster(&inputs, state.and_then(|state| state.cluster.clone()))?;
        let facts = state.map(binding).unwrap_or_default();
        let Reached { aws, account } =
            cloud::connect(&inputs.config, &cluster, &facts, screen).await?;
        remembered(&inputs, &facts)?;
        let mut learnt = ask(&aws, &inputs, &facts, bootstrap).await?;
        if !facts.contains_key(cloud::ACCOUNT) {
            learnt.insert(cloud::ACCOUNT.to_owned(), account.into());
        }
        if inputs.assets.cluster().is_some() && !facts.contains_key(ASSETS) {
            learnt.insert(ASSETS.to_owned(), true.into());
        }
        let compiled = compiled(&inputs, &cluster, &facts, &learnt, bootstrap)?;
        let mut held = match held {
            Some(held) => held,
            None => begin(Held::take(common, name, operation, screen).await?)?,
        };
        let news = news(&held, cluster, learnt);
        held.record(&news, screen).await?;
        Ok(Self { inputs, bootstrap, compiled, aws, held })
    }

    /// Looks up what is recorded; with `refresh` off, what is recorded is taken to be true.
    pub(super) async fn observe(&self, refresh: bool) -> Result<Observations> {
        if !refresh {
            return Ok(Observations::new());
        }
        observe(&self.held.state, &*self.aws)
            .await
            .map_err(|error| Failure::call("look up what is recorded", &error))
    }

    /// Decides.
    pub(super) fn plan(&self, observed: &Observations) -> Plan {
        let (graph, state) = (&self.compiled.graph, &self.held.state);
        plan::plan(graph, state, observed, &schemas(), &plan::Options::default())
    }
}

/// Compiles without recording anything, asking AWS only what the state does not know.
pub(super) async fn look(
    common: &Common,
    bootstrap: bool,
    screen: &mut Screen,
) -> Result<Compiled> {
    let inputs = Inputs::read(common, screen)?;
    let state = glance(common, &inputs.config.name, screen).await?.unwrap_or_default();
    let cluster = cluster(&inputs, state.cluster.clone())?;
    let unanswered = questions(&inputs.config, &state.facts, &inputs.options(bootstrap));
    let learnt = if unanswered.is_empty() {
        BTreeMap::new()
    } else {
        let reached = cloud::connect(&inputs.config, &cluster, &state.facts, screen).await?;
        ask(&reached.aws, &inputs, &state.facts, bootstrap).await?
    };
    compiled(&inputs, &cluster, &state.facts, &learnt, bootstrap)
}

/// That a cluster was begun with assets is recorded under this.
const ASSETS: &str = "assets";

/// A cluster that was begun with assets is not gone on with without them: new machines would boot
/// and not find it.
fn remembered(inputs: &Inputs, facts: &BTreeMap<String, Value>) -> Result<()> {
    if inputs.assets.cluster().is_some() || !facts.contains_key(ASSETS) {
        return Ok(());
    }
    let diagnostic =
        Diagnostic::error("this cluster was begun with assets, and none are given now")
            .with_hint("pass --assets with the folder that it was begun with");
    Err(Failure::new(Exit::Refused, diagnostic))
}

/// The answers that bind: as long as nothing is made, AWS is asked anew, and may have changed.
fn binding(state: &State) -> BTreeMap<String, Value> {
    if state.resources.is_empty() && state.deposed.is_empty() {
        BTreeMap::new()
    } else {
        state.facts.clone()
    }
}

/// Who the cluster is: by the state, by the assets, or somebody new.
fn cluster(inputs: &Inputs, known: Option<Cluster>) -> Result<Cluster> {
    let given = inputs.assets.cluster();
    if let (Some(known), Some(given)) = (&known, &given)
        && known != given
    {
        let diagnostic = Diagnostic::error("the assets are of another cluster than the state")
            .with_detail(format!("assets: {} ({})", given.infra_id, given.cluster_id))
            .with_detail(format!("state:  {} ({})", known.infra_id, known.cluster_id))
            .with_hint("give the assets that this cluster was begun with, or use another --state");
        return Err(Failure::new(Exit::Failed, diagnostic));
    }
    Ok(known.or(given).unwrap_or_else(|| identify(&inputs.config)))
}

/// A state that was not there before must be empty now.
fn begin(held: Held) -> Result<Held> {
    if held.state.serial == 0 {
        return Ok(held);
    }
    let diagnostic = Diagnostic::error("another run has begun this cluster meanwhile")
        .with_hint("run the same command again: it goes on from there");
    Err(Failure::new(Exit::Locked, diagnostic))
}

/// Asks AWS what the compiler needs to know and nobody has recorded.
async fn ask(
    aws: &Aws,
    inputs: &Inputs,
    facts: &BTreeMap<String, Value>,
    bootstrap: bool,
) -> Result<BTreeMap<String, Value>> {
    let mut learnt = BTreeMap::new();
    for question in questions(&inputs.config, facts, &inputs.options(bootstrap)) {
        let answer = cloud::answer(aws, &question).await?;
        learnt.insert(question.key(), answer);
    }
    Ok(learnt)
}

fn compiled(
    inputs: &Inputs,
    cluster: &Cluster,
    facts: &BTreeMap<String, Value>,
    learnt: &BTreeMap<String, Value>,
    bootstrap: bool,
) -> Result<Compiled> {
    let mut facts = facts.clone();
    facts.extend(learnt.clone());
    compile(&inputs.config, cluster, &facts, &inputs.assets, &inputs.options(bootstrap))
        .map_err(|error| uncompilable(&error, &inputs.file))
}

/// What the config asks for and cannot have: the config's fault where a field is named.
fn uncompilable(error: &topology::Error, file: &str) -> Failure {
    let (exit, summary) = match error.field() {
        Some(field) => (Exit::ConfigInvalid, format!("{file}: {field}")),
        None => (Exit::Failed, "could not compile the install-config".to_owned()),
    };
    let mut diagnostic = Diagnostic::error(summary).with_detail(error.to_string());
    diagnostic.hint = error.hint();
    Failure::new(exit, diagnostic)
}

/// What the state does not know yet.
fn news(held: &Held, cluster: Cluster, learnt: BTreeMap<String, Value>) -> Vec<Entry> {
    let identified = match held.state.cluster {
        None => Some(Entry::Identified { cluster }),
        Some(_) => None,
    };
    let new = learnt
        .into_iter()
        .filter(|(question, answer)| held.state.facts.get(question) != Some(answer));
    let learnt = new.map(|(question, answer)| Entry::Learnt { question, answer });
    identified.into_iter().chain(learnt).collect()
}
