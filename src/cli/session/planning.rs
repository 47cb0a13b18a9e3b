//! The way from the desired state to a plan, for every plan and apply.
//!
//! The source, the credentials and all AWS responses are checked before the first write. The module
//! records nothing and makes no mutating AWS calls.

use std::collections::BTreeMap;
use std::path::Path;

use groundplan_aws::{Aws, schemas};
use groundplan_engine::graph::Graph;
use groundplan_engine::plan::{self, LiveState, Plan, PlanOptions};
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, LookupCache, State};
use groundplan_openshift::machine_api::asset_manifests::{AssetFit, AssetManifestError};
use groundplan_openshift::plan_review;
use groundplan_openshift::topology::{Compiled, IgnitionFile, Workers};
use serde_json::Value;

use crate::cli::args::{ApplyingArgs, GuardArgs, PlanningArgs, Renewal, TargetingArgs, quoted};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::asset_fit;
use crate::cli::session::aws_session;
use crate::cli::session::before_deletion::{ended_attachments, ensure_unprotected};
use crate::cli::session::bootstrap;
use crate::cli::session::desired_state::{CompileInputs, CompiledSource, DesiredState};
use crate::cli::session::ignition::{IgnitionUse, MissingIgnition};
use crate::cli::session::locked_state::{OpenState, binding, now};
use crate::cli::session::ownership::ensure_owned;
use crate::cli::session::plan_preview::{enforce_guards, view, view_in};
use crate::cli::session::saved_plan::{self, ReadPlan};
use crate::cli::session::signals::unless_stopped;
use crate::cli::session::sole_owner::{
    ensure_sole_owner, ensure_still_sole_owner, warn_of_neighbours,
};
use crate::cli::session::stages::{
    Locked, PlanInputs, Planned, Purpose, Session, ToChange, ToPlan,
};
use crate::cli::session::state_errors::nothing_recorded;
use crate::cli::session::targeting;
use crate::render::{Code, Diagnostic, DiagnosticSeverity, PlanView, drifted};

/// Desired state and its graph.
pub(crate) struct Desired {
    source: Box<dyn DesiredState>,
    compiled: Compiled,
    asset_fit: std::result::Result<AssetFit, AssetManifestError>,
    /// Identity and lookup results that the state lacks. A plan only projects them; the execution
    /// records them.
    new_entries: Vec<Entry>,
    /// Recorded state after these entries.
    projected_state: State,
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
        let locked = self.lock(source, None, &|_, _| Ok(()), ui).await?;
        let options = locked.options(&how.renewal, &how.part)?;
        locked.note_of_identity(how.out.is_some(), ui)?;
        let live = locked.refresh(how.refresh).await?;
        let is_changed = match how.refresh_only {
            true => locked.close_with_drift(&live, &options, ui).await?,
            false => {
                let planned = locked.plan(&live, &options, how.full, &how.guards, ui).await?;
                planned.gate(&how.gate, ui).await?;
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
        let locked = self.lock(source, None, &|_, _| Ok(()), ui).await?;
        let options = locked.options(&how.renewal, &how.part)?;
        let live = locked.refresh(true).await?;
        let planned = locked.plan(&live, &options, how.full, &how.guards, ui).await?;
        planned.inputs.ignition(&planned.plan).ensure_usable()?;
        Ok(planned)
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
        let mut source = read(Some(saved.bootstrap), ui)?;
        source.set_release(saved.release.as_deref());
        let locked = self.lock(source, saved.plan.cluster.as_ref(), &fits, ui).await?;
        let live = locked.refresh(true).await?;
        let now = locked.computed(&live, &saved.options);
        saved_plan::ensure_same_changes(&saved.plan, &now, &name)?;
        let shown =
            view_in(&locked.connection, locked.session.common, &saved.plan, false, &saved.warnings);
        ui.plan(&shown)?;
        let ignition = locked.inputs.ignition(&saved.plan);
        ignition.old.iter().try_for_each(|old| ui.diagnostic(old))?;
        asset_fit::ensure_fit(locked.inputs.asset_fit(&ignition)?)?;
        enforce_guards(&shown, &how.guards)?;
        let state = &locked.inputs.projected_state;
        ensure_owned(locked.aws(), state, &saved.plan, &how.guards)?;
        ensure_unprotected(locked.aws(), state, &saved.plan).await?;
        ignition.ensure_usable()?;
        let entry = locked.bootstrap_entry(&saved.plan);
        Ok(locked.planned(|inputs| inputs.with(entry), saved.plan))
    }

    /// Plans the removal of the bootstrap, and nothing else, and shows the plan. The source must not
    /// have the bootstrap.
    pub(crate) async fn plan_removal(
        self,
        source: Box<dyn DesiredState>,
        guards: &GuardArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, ToChange, Desired>> {
        let (stop, states) = (self.stop, &self.common.state);
        let must_exist = |source: &dyn DesiredState, state: Option<&State>| match state {
            Some(state) if !state.has_nothing() => Ok(()),
            _ => Err(nothing_recorded(source.name(), states)),
        };
        let planning = async {
            let locked = self.lock(source, None, &must_exist, ui).await?;
            let targets = bootstrap::removed(&locked.inputs.compiled.graph, locked.held.state());
            let options = PlanOptions { targets, ..PlanOptions::default() };
            let live = locked.refresh(true).await?;
            locked.plan(&live, &options, false, guards, ui).await
        };
        unless_stopped(stop, planning).await
    }
}

impl<'a, P: Purpose> Session<'a, P> {
    /// Opens the state, connects, runs lookups, compiles, and projects the identity and the lookup
    /// results.
    ///
    /// `planned` is the cluster of a saved plan. `fits` can reject the source and the state before the first AWS call. A missing state is
    /// created only after all checks.
    async fn lock(
        self,
        mut source: Box<dyn DesiredState>,
        planned: Option<&Cluster>,
        fits: Fits<'_>,
        ui: &mut Ui,
    ) -> Result<Locked<'a, P, Desired>> {
        let common = self.common;
        let claimed = self.claim(source.name(), ui).await?;
        fits(&*source, claimed.state())?;
        let nothing = State::default();
        let state = claimed.state().unwrap_or(&nothing);
        source.remember(state)?;
        let cluster = source.cluster(state.fixed_cluster(), planned.or(state.cluster.as_ref()))?;
        let lookup_cache = claimed.state().map(binding).unwrap_or_default();
        let settings = source.settings(&cluster);
        let connected = claimed.connect(settings, lookup_cache.account.as_deref(), ui).await?;
        let has_assets = source.has_assets();
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
        let (CompiledSource { compiled, asset_fit }, results) =
            compile(&*source, &cluster, &lookup_cache.results, state, connected.aws(), ui).await?;
        let account = Some(connected.account().to_owned());
        let release = source.release();
        let learnt =
            LookupCache { account, has_assets, release, results, ..LookupCache::default() };
        let desired = Desired {
            source,
            compiled,
            asset_fit,
            new_entries: Vec::new(),
            projected_state: State::default(),
            warnings: Vec::new(),
            unproven_owner,
        };
        let mut locked = connected.lock(ensure_new, desired, ui).await?;
        let mut new_entries = new_entries(locked.held.state(), cluster, learnt);
        new_entries.extend(is_proven.then(|| LookupCache::unproven_owner_entry(None)));
        let projected = locked.held.state().projected(&new_entries);
        locked.inputs.projected_state = projected.map_err(|error| {
            CommandError::could_not(Code::InternalError, "use the state", &error)
        })?;
        locked.inputs.new_entries = new_entries;
        locked.inputs.source.notes().iter().try_for_each(|note| ui.talk(note))?;
        Ok(locked)
    }
}

impl Desired {
    /// Adds an entry to record before the first change.
    fn with(mut self, entry: Option<Entry>) -> Self {
        self.new_entries.extend(entry);
        self
    }

    /// Returns the Ignition configs that the plan sends.
    fn ignition(&self, plan: &Plan) -> IgnitionUse {
        IgnitionUse::of(plan, self.compiled.graph.secrets(), &*self.source)
    }

    /// Returns the comparison of the assets with the plan. `None` if the plan does not install the
    /// cluster: its machines then no longer depend on the assets.
    fn asset_fit(&self, ignition: &IgnitionUse) -> Result<Option<&AssetFit>> {
        let sends = |file| ignition.sent.contains(&file);
        let installs = sends(IgnitionFile::Bootstrap)
            || self.source.bootstrap() && sends(IgnitionFile::Master);
        installs.then_some(&self.asset_fit).map(asset_fit::readable).transpose()
    }
}

impl<'a, P: Purpose> Locked<'a, P, Desired> {
    /// Returns the plan options of the arguments, resolved to addresses.
    fn options(&self, renewal: &Renewal, part: &TargetingArgs) -> Result<PlanOptions> {
        let (graph, state) = (&self.inputs.compiled.graph, &self.inputs.projected_state);
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
        let mut warnings = plan_review::warnings(&self.inputs.compiled.warnings, &plan);
        warnings.extend(self.not_compared());
        let ignition = self.inputs.ignition(&plan);
        warnings.extend(ignition.missing.values().map(MissingIgnition::warning));
        let fit = self.inputs.asset_fit(&ignition)?;
        warnings.extend(fit.into_iter().flat_map(|fit| fit.warnings.clone()));
        let state = &self.inputs.projected_state;
        warnings.extend(ended_attachments(self.aws(), state, &plan).await?);
        let of_source = self.inputs.source.notes().into_iter();
        let of_source = of_source.map(|note| note.trim_start_matches("note: ").to_owned());
        let notes: Vec<_> =
            of_source.chain(ignition.old.iter().map(Diagnostic::sentence)).collect();
        let shown = view_in(&self.connection, self.session.common, &plan, full, &warnings);
        let shown = PlanView { notes: &notes, ..shown };
        ui.plan(&shown)?;
        ignition.old.iter().try_for_each(|old| ui.diagnostic(old))?;
        asset_fit::ensure_fit(fit)?;
        enforce_guards(&shown, guards)?;
        ensure_owned(self.aws(), state, &plan, guards)?;
        ensure_unprotected(self.aws(), state, &plan).await?;
        let entry = self.bootstrap_entry(&plan);
        Ok(self.planned(|inputs| Desired { warnings, ..inputs.with(entry) }, plan))
    }

    /// Returns the entry about the bootstrap to record before the first change of this plan.
    fn bootstrap_entry(&self, plan: &Plan) -> Option<Entry> {
        let Desired { source, compiled, .. } = &self.inputs;
        source.bootstrap_entry(plan, &compiled.graph, self.held.state())
    }

    fn computed(&self, live: &LiveState, options: &PlanOptions) -> Plan {
        let (graph, state) = (&self.inputs.compiled.graph, &self.inputs.projected_state);
        plan::plan(graph, state, live, &schemas(), options)
    }
}

impl Locked<'_, ToPlan, Desired> {
    /// Prints a note if the plan has chosen an infra ID that neither the state nor the source has.
    fn note_of_identity(&self, is_saved: bool, ui: &mut Ui) -> Result<()> {
        let chosen = self.inputs.projected_state.cluster.as_ref();
        let is_known = self.held.state().cluster.as_ref() == chosen;
        let Some(cluster) = chosen.filter(|_| !is_known && !self.inputs.source.has_identity())
        else {
            return Ok(());
        };
        let infra_id = &cluster.infra_id;
        let note = match is_saved {
            true => format!(
                "note: the infra ID {infra_id} is not recorded yet; the apply of this saved plan records it"
            ),
            false => format!(
                "note: the infra ID {infra_id} is not recorded yet, and the next plan chooses another \
                 one; --assets sets it"
            ),
        };
        Ok(ui.talk(&note)?)
    }

    /// Shows only the drift. Returns true if there is drift.
    async fn close_with_drift(
        self,
        live: &LiveState,
        options: &PlanOptions,
        ui: &mut Ui,
    ) -> Result<bool> {
        let plan = self.computed(live, options);
        let warnings: Vec<String> = self.not_compared().into_iter().collect();
        let view = view_in(&self.connection, self.session.common, &plan, false, &warnings);
        ui.drift(&view)?;
        self.held.close(self.session.common, ui).await?;
        Ok(drifted(&view))
    }
}

impl Planned<'_, ToPlan, Desired> {
    /// Saves the plan to `out`, if given. Returns true if the plan has changes, or if there is drift.
    async fn close(self, out: Option<&Path>, options: PlanOptions, ui: &mut Ui) -> Result<bool> {
        let Self { session, held, inputs: Desired { source, warnings, .. }, plan, .. } = self;
        let is_changed = !plan.is_empty() || drifted(&view(session.common, &plan, false, &[]));
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
        held.close(session.common, ui).await?;
        Ok(is_changed)
    }
}

impl PlanInputs for Desired {
    const QUESTION: &'static str = "Do you want to perform these actions?";

    fn graph(&self) -> Option<&Graph> {
        Some(&self.compiled.graph)
    }

    fn state<'s>(&'s self, _: &'s State) -> &'s State {
        &self.projected_state
    }

    fn workers(&self, state: &State) -> Vec<Workers> {
        self.source.workers(&state.lookup_cache.results)
    }

    fn entries(&self) -> &[Entry] {
        &self.new_entries
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
) -> Result<(CompiledSource, BTreeMap<String, Value>)> {
    let mut answers = aws_session::answers(aws, source.lookups(recorded)).await?;
    if state.has_nothing() {
        answers.given.extend(source.decisions());
    }
    let mut known = recorded.clone();
    known.extend(answers.given.clone());
    let checked = aws_session::answers(aws, source.checks(&known, state)).await?;
    // A failure that ends the compilation is reported there.
    let unchecked = checked.missing.iter().filter(|(_, error)| {
        !answers.missing.iter().any(|(_, fatal)| aws_session::is_same(fatal, error))
    });
    for mut unchecked in aws_session::failed_lookups("check", unchecked) {
        unchecked.severity = DiagnosticSeverity::Warning;
        ui.diagnostic(&unchecked)?;
    }
    let learnt =
        CompileInputs { cluster, recorded, answers: &answers, checked: &checked.given, state };
    Ok((source.compile(&learnt, ui)?, answers.given))
}

/// Returns an error if another run has created the state in the meantime.
fn ensure_new<H: OpenState>(held: H) -> Result<H> {
    if held.state().serial == 0 {
        return Ok(held);
    }
    let diagnostic = Diagnostic::error(
        Code::StateChanged,
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
    learnt.token_salt =
        recorded.clone().or_else(|| state.has_nothing().then(|| state.new_token_salt()));
    let is_new = state.cluster.as_ref() != Some(&cluster);
    // The results of a previous cluster are no results of this one.
    let nothing = LookupCache { token_salt: recorded, ..LookupCache::default() };
    let known = if is_new { &nothing } else { &state.lookup_cache };
    let without_assets = known.has_assets && !learnt.has_assets && state.has_nothing();
    let without_assets = without_assets.then(LookupCache::no_assets_entry);
    let identified = is_new.then_some(Entry::ClusterIdentified { cluster });
    let results = learnt.entries_missing_in(known);
    identified.into_iter().chain(without_assets).chain(results).collect()
}
