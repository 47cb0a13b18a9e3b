//! Plan context: from the desired state to a plan, for every plan and apply.
//!
//! The source, the credentials and all AWS responses are checked before the first write. The module
//! makes no mutating AWS calls.

use std::collections::BTreeMap;
use std::sync::Arc;

use groundplan_aws::{Aws, Caller, schemas};
use groundplan_engine::plan::{self, LiveState, Plan, PlanOptions};
use groundplan_engine::refresh::read_live_state;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::topology::Compiled;
use serde_json::Value;

use crate::cli::args::CommonArgs;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::{self, AwsSession};
use crate::cli::session::desired_state::{CompileInputs, DesiredState};
use crate::cli::session::locked_state::LockedState;
use crate::cli::session::state_backend;
use crate::render::{Diagnostic, DiagnosticSeverity};

/// Inputs of a plan.
pub(crate) struct PlanContext {
    pub(crate) source: Box<dyn DesiredState>,
    pub(crate) compiled: Compiled,
    pub(crate) aws: Arc<Aws>,
    pub(crate) caller: Caller,
    pub(crate) held: LockedState,
}

/// Function that can reject a source with its recorded state.
pub(crate) type Fits<'a> = &'a dyn Fn(&dyn DesiredState, Option<&State>) -> Result<()>;

impl PlanContext {
    /// Locks the state, connects, runs lookups, compiles, and records the identity and the lookup
    /// results.
    ///
    /// `fits` can reject the source and the state before the first AWS call. A missing state is
    /// created only after all checks.
    pub(crate) async fn prepare(
        source: Box<dyn DesiredState>,
        common: &CommonArgs,
        operation: &str,
        fits: Fits<'_>,
        ui: &mut Ui,
    ) -> Result<Self> {
        let name = source.name();
        let held = match state_backend::is_there(&common.state.of(name), common).await? {
            true => Some(LockedState::take(common, name, operation, ui).await?),
            false => None,
        };
        let state = held.as_ref().map(|held| &held.state);
        fits(&*source, state)?;
        let cluster = source.cluster(state.and_then(|state| state.cluster.clone()))?;
        let lookup_cache = state.map(binding).unwrap_or_default();
        let AwsSession { aws, caller } =
            aws_session::reach(source.settings(&cluster), &lookup_cache, ui).await?;
        let new_entries = source.remember(&lookup_cache)?;
        let nothing = State::default();
        let state = state.unwrap_or(&nothing);
        let (compiled, mut learnt) =
            compile(&*source, &cluster, &lookup_cache, state, &aws, ui).await?;
        if !lookup_cache.contains_key(aws_session::ACCOUNT) {
            learnt.insert(aws_session::ACCOUNT.to_owned(), caller.account.clone().into());
        }
        learnt.extend(new_entries);
        let mut held = match held {
            Some(held) => held,
            None => begin(LockedState::take(common, name, operation, ui).await?)?,
        };
        let new_entries = self::new_entries(&held, cluster, learnt);
        held.record(&new_entries, ui).await?;
        Ok(Self { source, compiled, aws, caller, held })
    }

    /// Refreshes the recorded resources. Without `refresh`, the plan uses recorded state unchanged.
    pub(crate) async fn refresh(&self, refresh: bool) -> Result<LiveState> {
        if !refresh {
            return Ok(LiveState::new());
        }
        read_live_state(&self.held.state, &*self.aws)
            .await
            .map_err(|error| CommandError::call("refresh the state", &error))
    }

    /// Returns the plan.
    pub(crate) fn plan(&self, observed: &LiveState, options: &PlanOptions) -> Plan {
        let (graph, state) = (&self.compiled.graph, &self.held.state);
        plan::plan(graph, state, observed, &schemas(), options)
    }
}

/// Compiles, and checks what does not exist yet. Returns the lookup results to record, too.
async fn compile(
    source: &dyn DesiredState,
    cluster: &Cluster,
    lookup_cache: &BTreeMap<String, Value>,
    state: &State,
    aws: &Aws,
    ui: &mut Ui,
) -> Result<(Compiled, BTreeMap<String, Value>)> {
    let answers = aws_session::answers(aws, source.lookups(lookup_cache)).await;
    let mut known = lookup_cache.clone();
    known.extend(answers.given.clone());
    let checked = aws_session::answers(aws, source.checks(&known, state)).await;
    for (lookup, error) in &checked.missing {
        let mut unchecked = Diagnostic::call_failed(&format!("check {lookup}"), error);
        unchecked.severity = DiagnosticSeverity::Warning;
        ui.diagnostic(&unchecked)?;
    }
    let learnt =
        CompileInputs { cluster, lookup_cache, answers: &answers, checked: &checked.given, state };
    Ok((source.compile(&learnt, ui)?, answers.given))
}

/// Returns the lookup results that apply. Until a resource is recorded, lookups run again, because
/// AWS may have changed.
fn binding(state: &State) -> BTreeMap<String, Value> {
    if state.has_nothing() { BTreeMap::new() } else { state.lookup_cache.clone() }
}

/// Returns an error if another run has created the state in the meantime.
fn begin(held: LockedState) -> Result<LockedState> {
    if held.state.serial == 0 {
        return Ok(held);
    }
    let diagnostic = Diagnostic::error(
        "another run has created the state of this cluster in the \
         meantime",
    )
    .with_hint("run the same command again");
    Err(CommandError::new(Exit::Locked, diagnostic))
}

/// Returns the entries for identity and lookup results that the state lacks.
fn new_entries(
    held: &LockedState,
    cluster: Cluster,
    learnt: BTreeMap<String, Value>,
) -> Vec<Entry> {
    let identified = match held.state.cluster {
        None => Some(Entry::ClusterIdentified { cluster }),
        Some(_) => None,
    };
    let new = learnt
        .into_iter()
        .filter(|(lookup, answer)| held.state.lookup_cache.get(lookup) != Some(answer));
    let learnt = new.map(|(lookup, answer)| Entry::LookupRecorded { lookup, answer });
    identified.into_iter().chain(learnt).collect()
}
