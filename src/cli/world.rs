//! From what the user gives to a plan: the way that `plan`, `apply` and `graph` share.
//!
//! Nothing is written before the config, the credentials and every answer of AWS have been checked;
//! nothing here calls anything that changes AWS.

use std::collections::BTreeMap;
use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::Value;

use super::args::Common;
use super::cloud::{self, Answers, Reached};
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::{Held, glance};
use super::homes;
use super::inputs::Inputs;
use super::screen::Screen;
use crate::aws::{Aws, Caller, schemas};
use crate::config::{self, Finding, Located, locate};
use crate::observe::observe;
use crate::plan::{self, Observations, Options, Plan};
use crate::provider::ProviderError;
use crate::render::{Diagnostic, Severity};
use crate::state::{Cluster, Entry, State};
use crate::topology::fleet::{Fleet, fleet};
use crate::topology::{self, Compiled, Question, checks, compile, identify, questions};

/// Everything a plan is made from.
pub(super) struct World {
    pub(super) inputs: Inputs,
    pub(super) bootstrap: bool,
    pub(super) compiled: Compiled,
    pub(super) aws: Arc<Aws>,
    pub(super) caller: Caller,
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
        let Reached { aws, caller } =
            cloud::connect(&inputs.config, &cluster, &facts, screen).await?;
        remembered(&inputs, &facts)?;
        let nothing = State::default();
        let view = View { inputs: &inputs, cluster: &cluster, facts: &facts, bootstrap };
        let (compiled, mut learnt) = view.compile(&aws, state.unwrap_or(&nothing), screen).await?;
        if !facts.contains_key(cloud::ACCOUNT) {
            learnt.insert(cloud::ACCOUNT.to_owned(), caller.account.clone().into());
        }
        if inputs.assets.cluster().is_some() && !facts.contains_key(ASSETS) {
            learnt.insert(ASSETS.to_owned(), true.into());
        }
        let mut held = match held {
            Some(held) => held,
            None => begin(Held::take(common, name, operation, screen).await?)?,
        };
        let news = news(&held, cluster, learnt);
        held.record(&news, screen).await?;
        Ok(Self { inputs, bootstrap, compiled, aws, caller, held })
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
    pub(super) fn plan(&self, observed: &Observations, options: &Options) -> Plan {
        let (graph, state) = (&self.compiled.graph, &self.held.state);
        plan::plan(graph, state, observed, &schemas(), options)
    }
}

/// What was compiled without recording anything.
pub(super) struct Looked {
    pub(super) inputs: Inputs,
    pub(super) cluster: Cluster,
    /// What is known of AWS.
    pub(super) facts: BTreeMap<String, Value>,
    pub(super) compiled: Compiled,
}

/// Says who the cluster is, whom the state may know.
pub(super) type Identify<'a> = &'a dyn Fn(&Inputs, Option<Cluster>) -> Result<Cluster>;

/// Compiles without recording anything, asking AWS only what the state does not know.
pub(super) async fn look(
    common: &Common,
    bootstrap: bool,
    identify: Identify<'_>,
    screen: &mut Screen,
) -> Result<Looked> {
    let inputs = Inputs::read(common, screen)?;
    let state = glance(common, &inputs.config.name, screen).await?.unwrap_or_default();
    let cluster = identify(&inputs, state.cluster.clone())?;
    let view = View { inputs: &inputs, cluster: &cluster, facts: &state.facts, bootstrap };
    let unanswered = view.questions();
    let answers = if unanswered.is_empty() {
        Answers::default()
    } else {
        let reached = cloud::connect(&inputs.config, &cluster, &state.facts, screen).await?;
        cloud::answers(&reached.aws, unanswered).await
    };
    let compiled = view.judge(&answers, Vec::new(), screen)?;
    let facts = view.known(&answers);
    Ok(Looked { inputs, cluster, facts, compiled })
}

impl Looked {
    /// The machines, as the plan has them.
    pub(super) fn fleet(&self, screen: &mut Screen) -> Result<Fleet> {
        let options = self.inputs.options(true);
        match fleet(&self.inputs.config, &self.facts, &options) {
            Ok(fleet) => Ok(fleet),
            Err(errors) => Err(refused(&self.inputs, &errors, &[], screen)?),
        }
    }
}

/// Compiles for a cluster of which nothing is recorded although it is there, which is no flaw.
/// Answers with what was learnt, too.
pub(super) async fn look_again(
    inputs: &Inputs,
    cluster: &Cluster,
    bootstrap: bool,
    aws: &Aws,
    screen: &mut Screen,
) -> Result<(Compiled, BTreeMap<String, Value>)> {
    let view = View { inputs, cluster, facts: &BTreeMap::new(), bootstrap };
    let learnt = cloud::answers(aws, view.questions()).await;
    let compiled = view.judge(&learnt, Vec::new(), screen)?;
    Ok((compiled, learnt.given))
}

/// That a cluster was begun with assets is recorded under this.
pub(super) const ASSETS: &str = "assets";

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
    if state.has_nothing() { BTreeMap::new() } else { state.facts.clone() }
}

/// Who the cluster is: by the state, by the assets, or somebody new.
pub(super) fn cluster(inputs: &Inputs, known: Option<Cluster>) -> Result<Cluster> {
    Ok(known_cluster(inputs, known)?.unwrap_or_else(|| identify(&inputs.config)))
}

/// Who the cluster is, if the state or the assets know it.
pub(super) fn known_cluster(inputs: &Inputs, known: Option<Cluster>) -> Result<Option<Cluster>> {
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
    Ok(known.or(given))
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

/// What a config is compiled from.
struct View<'a> {
    inputs: &'a Inputs,
    cluster: &'a Cluster,
    /// The answers that bind.
    facts: &'a BTreeMap<String, Value>,
    bootstrap: bool,
}

impl View<'_> {
    /// Compiles, and checks what is not made yet; the answers that were learnt are to be kept.
    async fn compile(
        &self,
        aws: &Aws,
        state: &State,
        screen: &mut Screen,
    ) -> Result<(Compiled, BTreeMap<String, Value>)> {
        let learnt = cloud::answers(aws, self.questions()).await;
        let known = self.known(&learnt);
        let config = &self.inputs.config;
        let checked = cloud::answers(aws, checks::questions(config, &known, state)).await;
        for (question, error) in &checked.missing {
            let mut unchecked = Diagnostic::call_failed(&format!("check {question}"), error);
            unchecked.severity = Severity::Warning;
            screen.diagnostic(&unchecked)?;
        }
        let flaws = checks::check(config, &known, &checked.given, state);
        Ok((self.judge(&learnt, flaws, screen)?, learnt.given))
    }

    /// What AWS must be asked and nobody has recorded.
    fn questions(&self) -> Vec<Question> {
        let options = self.inputs.options(self.bootstrap);
        questions(&self.inputs.config, self.facts, &options)
    }

    fn known(&self, learnt: &Answers) -> BTreeMap<String, Value> {
        let mut known = self.facts.clone();
        known.extend(learnt.given.clone());
        known
    }

    /// The graph, or everything that stands in its way: what the checks found, what the compiler
    /// refuses, and what could not be found out.
    fn judge(
        &self,
        learnt: &Answers,
        mut flaws: Vec<topology::Error>,
        screen: &mut Screen,
    ) -> Result<Compiled> {
        let (inputs, options) = (self.inputs, self.inputs.options(self.bootstrap));
        let known = self.known(learnt);
        let compiled = compile(&inputs.config, self.cluster, &known, &inputs.assets, &options);
        let compiled = match compiled {
            Ok(compiled) if flaws.is_empty() => return Ok(compiled),
            Ok(_) => Vec::new(),
            Err(errors) => errors,
        };
        let is_missing = |key: &String| learnt.missing.iter().any(|(one, _)| one.key() == *key);
        let told_below = |error: &topology::Error| matches!(error, topology::Error::Unanswered { question } if is_missing(question));
        flaws.extend(compiled.into_iter().filter(|error| !told_below(error)));
        Err(refused(inputs, &flaws, &learnt.missing, screen)?)
    }
}

/// Shows what was found in the config as what is found without AWS is shown; the rest is left to be
/// said.
fn refused(
    inputs: &Inputs,
    flaws: &[topology::Error],
    missing: &[(Question, ProviderError)],
    screen: &mut Screen,
) -> Result<Failure> {
    let text = inputs.text.expose_secret();
    let mut findings: Vec<Finding> = flaws.iter().filter_map(|flaw| finding(flaw, text)).collect();
    findings.sort_by_key(|finding| finding.place.map(|place| place.start));
    screen.findings(&findings, &inputs.file, text)?;
    let nowhere = flaws.iter().filter(|flaw| flaw.field().is_none()).map(|flaw| {
        let summary = "could not compile the install-config";
        let diagnostic = Diagnostic::error(summary).with_detail(flaw.to_string());
        Diagnostic { hint: flaw.hint(), ..diagnostic }
    });
    let missing = missing
        .iter()
        .map(|(question, error)| Diagnostic::call_failed(&format!("find out {question}"), error));
    let diagnostics = nowhere.chain(missing).collect();
    let exit = if findings.is_empty() { Exit::Failed } else { Exit::ConfigInvalid };
    Ok(Failure { exit, diagnostics })
}

/// What the config asks for and cannot have, where it asks for it.
fn finding(flaw: &topology::Error, text: &str) -> Option<Finding> {
    let Located { path, place } = locate(text, &flaw.field()?);
    Some(Finding {
        rule: config::Rule::AtAws,
        path,
        place,
        message: flaw.to_string(),
        expected: flaw.expected(),
        hint: flaw.hint(),
    })
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
