//! Plan context: from the desired state to a plan, for every plan and apply.
//!
//! The source, the credentials and all AWS responses are checked before the first write. The module
//! makes no mutating AWS calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::{Aws, Caller, schemas};
use groundplan_engine::plan::{self, Observations, Options, Plan};
use groundplan_engine::refresh::observe;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::topology::Compiled;
use serde_json::Value;

use crate::cli::args::Common;
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;
use crate::cli::session::aws_session::{self, Reached};
use crate::cli::session::desired_state::{Learnt, Source};
use crate::cli::session::locked_state::Held;
use crate::cli::session::state_backend;
use crate::render::{Diagnostic, Severity};

/// Inputs of a plan.
pub(crate) struct World {
    pub(crate) source: Box<dyn Source>,
    pub(crate) compiled: Compiled,
    pub(crate) aws: Arc<Aws>,
    pub(crate) caller: Caller,
    pub(crate) held: Held,
}

/// Function that can reject a source with its recorded state.
pub(crate) type Fits<'a> = &'a dyn Fn(&dyn Source, Option<&State>) -> Result<()>;

impl World {
    /// Locks the state, connects, runs lookups, compiles, and records the identity and the lookup
    /// results.
    ///
    /// `fits` can reject the source and the state before the first AWS call. A missing state is
    /// created only after all checks.
    pub(crate) async fn prepare(
        source: Box<dyn Source>,
        common: &Common,
        operation: &str,
        fits: Fits<'_>,
        screen: &mut Screen,
    ) -> Result<Self> {
        let name = source.name();
        let held = match state_backend::is_there(&common.state.of(name), common).await? {
            true => Some(Held::take(common, name, operation, screen).await?),
            false => None,
        };
        let state = held.as_ref().map(|held| &held.state);
        fits(&*source, state)?;
        let cluster = source.cluster(state.and_then(|state| state.cluster.clone()))?;
        let facts = state.map(binding).unwrap_or_default();
        let Reached { aws, caller } =
            aws_session::reach(source.settings(&cluster), &facts, screen).await?;
        let news = source.remember(&facts)?;
        let nothing = State::default();
        let state = state.unwrap_or(&nothing);
        let (compiled, mut learnt) =
            compile(&*source, &cluster, &facts, state, &aws, screen).await?;
        if !facts.contains_key(aws_session::ACCOUNT) {
            learnt.insert(aws_session::ACCOUNT.to_owned(), caller.account.clone().into());
        }
        learnt.extend(news);
        let mut held = match held {
            Some(held) => held,
            None => begin(Held::take(common, name, operation, screen).await?)?,
        };
        let news = self::news(&held, cluster, learnt);
        held.record(&news, screen).await?;
        Ok(Self { source, compiled, aws, caller, held })
    }

    /// Refreshes the recorded resources. Without `refresh`, the plan uses recorded state unchanged.
    pub(crate) async fn observe(&self, refresh: bool) -> Result<Observations> {
        if !refresh {
            return Ok(Observations::new());
        }
        observe(&self.held.state, &*self.aws)
            .await
            .map_err(|error| Failure::call("look up what is recorded", &error))
    }

    /// Returns the plan.
    pub(crate) fn plan(&self, observed: &Observations, options: &Options) -> Plan {
        let (graph, state) = (&self.compiled.graph, &self.held.state);
        plan::plan(graph, state, observed, &schemas(), options)
    }
}

/// Compiles, and checks what does not exist yet. Returns the lookup results to record, too.
async fn compile(
    source: &dyn Source,
    cluster: &Cluster,
    facts: &BTreeMap<String, Value>,
    state: &State,
    aws: &Aws,
    screen: &mut Screen,
) -> Result<(Compiled, BTreeMap<String, Value>)> {
    let answers = aws_session::answers(aws, source.questions(facts)).await;
    let mut known = facts.clone();
    known.extend(answers.given.clone());
    let checked = aws_session::answers(aws, source.checks(&known, state)).await;
    for (question, error) in &checked.missing {
        let mut unchecked = Diagnostic::call_failed(&format!("check {question}"), error);
        unchecked.severity = Severity::Warning;
        screen.diagnostic(&unchecked)?;
    }
    let learnt = Learnt { cluster, facts, answers: &answers, checked: &checked.given, state };
    Ok((source.compile(&learnt, screen)?, answers.given))
}

/// Returns the lookup results that apply. Until a resource is recorded, lookups run again, because
/// AWS may have changed.
fn binding(state: &State) -> BTreeMap<String, Value> {
    if state.has_nothing() { BTreeMap::new() } else { state.facts.clone() }
}

/// Returns an error if another run has created the state in the meantime.
fn begin(held: Held) -> Result<Held> {
    if held.state.serial == 0 {
        return Ok(held);
    }
    let diagnostic = Diagnostic::error("another run has begun this cluster meanwhile")
        .with_hint("run the same command again: it goes on from there");
    Err(Failure::new(Exit::Locked, diagnostic))
}

/// Returns the entries for identity and lookup results that the state lacks.
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
