//! The way from the desired state to a plan, for every plan and apply.
//!
//! The source, the credentials and all AWS responses are checked before the first write. The module
//! makes no mutating AWS calls.

use std::collections::BTreeMap;
use std::path::Path;

use groundplan_aws::{Aws, schemas};
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{self, LiveState, Plan, PlanOptions};
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, LookupCache, State};
use groundplan_openshift::topology::{Compiled, Workers};
use serde_json::Value;

use crate::cli::args::{ApplyingArgs, GuardArgs, PlanningArgs, Renewal, TargetingArgs, quoted};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session;
use crate::cli::session::before_deletion::{ended_attachments, ensure_unprotected};
use crate::cli::session::desired_state::{CompileInputs, DesiredState};
use crate::cli::session::locked_state::{LockedState, now};
use crate::cli::session::ownership::ensure_owned;
use crate::cli::session::plan_preview::{enforce_guards, plan_warnings, view};
use crate::cli::session::saved_plan::{self, ReadPlan};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::sole_owner::{
    ensure_sole_owner, ensure_still_sole_owner, warn_of_neighbours,
};
use crate::cli::session::stages::{Locked, PlanInputs, Planned, Session, ToChange, ToPlan};
use crate::cli::session::targeting;
use crate::render::{Diagnostic, DiagnosticSeverity, drifted};

/// Desired state and its graph.
pub(crate) struct Desired {
    source: Box<dyn DesiredState>,
    compiled: Compiled,
    /// Warnings of the plan, as shown.
    warnings: Vec<String>,
    /// Time of the check for other owners, if the check must be repeated after the first creation.
    unproven_owner: Option<String>,
}

/// Function that reads the desired state. The argument is the bootstrap setting of a saved plan;
/// `None` means the setting of the arguments.
pub(crate) type ReadSource<'a> = &'a dyn Fn(Option<bool>, &mut Ui) -> Result<Box<dyn DesiredState>>;

/// Function that can reject a source with its recorded state.
type Fits<'a> = &'a dyn Fn(&dyn DesiredState, Option<&State>) -> Result<()>;

impl Session<'_, ToPlan> {
    /// Plans, and shows the plan or only the drift. Saves the plan if the arguments name a file.
    pub(crate) async fn plan_only(
        self,
        source: Box<dyn DesiredState>,
        how: &PlanningArgs,
        ui: &mut Ui,
    ) -> Result<Exit> {
        how.out.as_deref().map_or(Ok(()), saved_plan::must_be_writable)?;
        let locked = self.lock(source, &|_, _| Ok(()), ui).await?;
        let options = locked.options(&how.renewal, &how.part)?;
        let live = locked.refresh(how.refresh).await?;
        let is_changed = match how.refresh_only {
            true => locked.close_with_drift(&live, &options, ui).await?,
            false => {
                let planned = locked.plan(&live, &options, how.full, &how.guards, ui).await?;
                if how.preflight {
                    planned.preflight(ui).await?;
                }
                planned.close(how.out.as_deref(), options, ui).await?
            }
        };
        Ok(if is_changed && how.detailed_exitcode { Exit::Changes } else { Exit::Done })
    }
}

impl<'a> Session<'a, ToChange> {
    /// Makes a new plan, or takes the plan `saved`, and shows it.
    ///
    /// # Errors
    /// If the saved plan is stale, or a guard rejects the plan.
    pub(crate) async fn plan_or_saved(
        self,
        read: ReadSource<'_>,
        saved: Option<ReadPlan>,
        how: &ApplyingArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, ToChange, Desired>> {
        let stop = self.stop;
        let planning = async {
            match saved {
                Some(saved) => self.saved_plan(read, saved, how, ui).await,
                None => self.new_plan(read(None, ui)?, how, ui).await,
            }
        };
        unless_stopped(stop, planning).await
    }

    async fn new_plan(
        self,
        source: Box<dyn DesiredState>,
        how: &ApplyingArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, ToChange, Desired>> {
        let locked = self.lock(source, &|_, _| Ok(()), ui).await?;
        let options = locked.options(&how.renewal, &how.part)?;
        let live = locked.refresh(true).await?;
        locked.plan(&live, &options, how.full, &how.guards, ui).await
    }

    async fn saved_plan(
        self,
        read: ReadSource<'_>,
        ReadPlan { plan: saved, path }: ReadPlan,
        how: &ApplyingArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, ToChange, Desired>> {
        let name = path.display().to_string();
        let fits = |source: &dyn DesiredState, state: Option<&State>| {
            saved_plan::ensure_same_inputs(&saved, source, state, &name)
        };
        let source = read(Some(saved.bootstrap), ui)?;
        let locked = self.lock(source, &fits, ui).await?;
        let live = locked.refresh(true).await?;
        let now = locked.computed(&live, &saved.options);
        saved_plan::ensure_same_changes(&saved.plan, &now, &name)?;
        ui.plan(&view(&saved.plan, false, &saved.warnings))?;
        enforce_guards(&saved.plan, &how.guards)?;
        ensure_owned(locked.aws(), &locked.held.state, &saved.plan, &how.guards)?;
        ensure_unprotected(locked.aws(), &locked.held.state, &saved.plan).await?;
        Ok(locked.planned(|inputs| inputs, saved.plan))
    }
}

impl<'a, P> Session<'a, P> {
    /// Locks the state, connects, runs lookups, compiles, and records the identity and the lookup
    /// results.
    ///
    /// `fits` can reject the source and the state before the first AWS call. A missing state is
    /// created only after all checks.
    async fn lock(
        self,
        source: Box<dyn DesiredState>,
        fits: Fits<'_>,
        ui: &mut Ui,
    ) -> Result<Locked<'a, P, Desired>> {
        let common = self.common;
        let claimed = self.claim(source.name(), ui).await?;
        fits(&*source, claimed.state())?;
        let cluster = source.cluster(claimed.state().and_then(|state| state.cluster.clone()))?;
        let lookup_cache = claimed.state().map(binding).unwrap_or_default();
        let settings = source.settings(&cluster);
        let connected = claimed.connect(settings, lookup_cache.account.as_deref(), ui).await?;
        let has_assets = source.has_assets(&lookup_cache)?;
        let nothing = State::default();
        let state = connected.state().unwrap_or(&nothing);
        let mut unproven_owner = state.lookup_cache.unproven_owner.clone();
        let mut is_proven = false;
        if let Some(domain) = source.sole_domain().filter(|_| state.has_nothing()) {
            warn_of_neighbours(&cluster, common, ui)?;
            unproven_owner = Some(now());
            ensure_sole_owner(connected.aws(), &cluster, &domain, common, ui).await?;
        } else if let Some(since) = &unproven_owner {
            let aws = connected.aws();
            is_proven = ensure_still_sole_owner(aws, &cluster, state, since, ui).await?;
        }
        let unproven_owner = unproven_owner.filter(|_| !is_proven);
        let (compiled, results) =
            compile(&*source, &cluster, &lookup_cache.results, state, connected.aws(), ui).await?;
        let account = Some(connected.account().to_owned());
        let learnt = LookupCache { account, has_assets, results, ..LookupCache::default() };
        let desired = Desired { source, compiled, warnings: Vec::new(), unproven_owner };
        let mut locked = connected.lock(ensure_new, desired, ui).await?;
        let mut new_entries = new_entries(&locked.held.state, cluster, learnt);
        new_entries.extend(is_proven.then(|| LookupCache::unproven_owner_entry(None)));
        locked.held.record(&new_entries, ui).await?;
        Ok(locked)
    }
}

impl<'a, P> Locked<'a, P, Desired> {
    /// Returns the plan options of the arguments, resolved to addresses.
    fn options(&self, renewal: &Renewal, part: &TargetingArgs) -> Result<PlanOptions> {
        let (graph, state) = (&self.inputs.compiled.graph, &self.held.state);
        targeting::resolve_against_graph(renewal, part, graph, state)
    }

    /// Refreshes the recorded resources. Without `refresh`, the plan uses recorded state unchanged.
    async fn refresh(&self, refresh: bool) -> Result<LiveState> {
        if refresh { self.live_state().await } else { Ok(LiveState::new()) }
    }

    /// Makes the plan, shows it, enforces the guards, and rejects the deletion of resources that
    /// AWS protects.
    async fn plan(
        self,
        live: &LiveState,
        options: &PlanOptions,
        full: bool,
        guards: &GuardArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, P, Desired>> {
        let plan = self.computed(live, options);
        let mut warnings = plan_warnings(&self.inputs.compiled.warnings, &plan);
        warnings.extend(self.not_compared());
        warnings.extend(ended_attachments(self.aws(), &self.held.state, &plan).await?);
        ui.plan(&view(&plan, full, &warnings))?;
        enforce_guards(&plan, guards)?;
        ensure_owned(self.aws(), &self.held.state, &plan, guards)?;
        ensure_unprotected(self.aws(), &self.held.state, &plan).await?;
        Ok(self.planned(|inputs| Desired { warnings, ..inputs }, plan))
    }

    fn computed(&self, live: &LiveState, options: &PlanOptions) -> Plan {
        let (graph, state) = (&self.inputs.compiled.graph, &self.held.state);
        plan::plan(graph, state, live, &schemas(), options)
    }
}

impl Locked<'_, ToPlan, Desired> {
    /// Shows only the drift, and releases the lock. Returns true if there is drift.
    async fn close_with_drift(
        self,
        live: &LiveState,
        options: &PlanOptions,
        ui: &mut Ui,
    ) -> Result<bool> {
        let plan = self.computed(live, options);
        let warnings: Vec<String> = self.not_compared().into_iter().collect();
        let view = view(&plan, false, &warnings);
        ui.drift(&view)?;
        self.held.close().await?;
        Ok(drifted(&view))
    }
}

impl Planned<'_, ToPlan, Desired> {
    /// Saves the plan to `out`, if given, and releases the lock. Returns true if the plan has
    /// changes, or if there is drift.
    async fn close(self, out: Option<&Path>, options: PlanOptions, ui: &mut Ui) -> Result<bool> {
        let Self { session, held, inputs: Desired { source, warnings, .. }, plan, .. } = self;
        let is_changed = !plan.is_empty() || drifted(&view(&plan, false, &[]));
        if let Some(path) = out {
            let saved = saved_plan::of(&*source, options, warnings, plan);
            if saved_plan::write(&saved, path).await? {
                let (path, command) = (quoted(path), source.command());
                let options = session.common.repeated();
                ui.print_line(&format!(
                    "\nSaved to {path}. To apply exactly this plan: {command}{options} {path}"
                ))?;
            }
        }
        held.close().await?;
        Ok(is_changed)
    }
}

impl PlanInputs for Desired {
    const QUESTION: &'static str = "Do you want to perform these actions?";

    fn graph(&self) -> Option<&Graph> {
        Some(&self.compiled.graph)
    }

    fn state<'s>(&'s self, recorded: &'s State) -> &'s State {
        recorded
    }

    fn workers(&self, recorded: &State) -> Vec<Workers> {
        self.source.workers(&recorded.lookup_cache.results)
    }

    fn entries(&self) -> &[Entry] {
        &[]
    }

    fn unproven_owner(&self) -> Option<&str> {
        self.unproven_owner.as_deref()
    }

    fn into_secrets(self) -> Secrets {
        self.compiled.graph.into_secrets()
    }
}

/// Compiles, and checks what does not exist yet. Returns the lookup results to record, too.
async fn compile(
    source: &dyn DesiredState,
    cluster: &Cluster,
    recorded: &BTreeMap<String, Value>,
    state: &State,
    aws: &Aws,
    ui: &mut Ui,
) -> Result<(Compiled, BTreeMap<String, Value>)> {
    let answers = aws_session::answers(aws, source.lookups(recorded)).await;
    let mut known = recorded.clone();
    known.extend(answers.given.clone());
    let checked = aws_session::answers(aws, source.checks(&known, state)).await;
    for (lookup, error) in &checked.missing {
        let mut unchecked = Diagnostic::call_failed(&format!("check {lookup}"), error);
        unchecked.severity = DiagnosticSeverity::Warning;
        ui.diagnostic(&unchecked)?;
    }
    let learnt =
        CompileInputs { cluster, recorded, answers: &answers, checked: &checked.given, state };
    Ok((source.compile(&learnt, ui)?, answers.given))
}

/// Returns the lookup results that apply. Until a resource is recorded, lookups run again, because
/// AWS may have changed.
fn binding(state: &State) -> LookupCache {
    if state.has_nothing() { LookupCache::default() } else { state.lookup_cache.clone() }
}

/// Returns an error if another run has created the state in the meantime.
fn ensure_new(held: LockedState) -> Result<LockedState> {
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

/// Returns the entries for identity and lookup results that the state lacks. A state without records
/// gets a salt of its creation tokens.
fn new_entries(state: &State, cluster: Cluster, mut learnt: LookupCache) -> Vec<Entry> {
    let recorded = state.lookup_cache.token_salt.clone();
    learnt.token_salt = recorded.or_else(|| state.has_nothing().then(|| state.new_token_salt()));
    let identified = match state.cluster {
        None => Some(Entry::ClusterIdentified { cluster }),
        Some(_) => None,
    };
    identified.into_iter().chain(learnt.entries_missing_in(&state.lookup_cache)).collect()
}
