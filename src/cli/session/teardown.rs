//! The way from a recorded or lost cluster to a destroy plan, for every destroy.

use groundplan_aws::sweep::SweepNames;
use groundplan_aws::{AwsSettings, schemas};
use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::plan::{LiveState, Plan, PlanOptions, plan_destroy};
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, LookupCache, State};
use groundplan_openshift::topology::Workers;

use crate::cli::args::{GuardArgs, TargetingArgs};
use crate::cli::exit_code::Exit;
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::ui::Ui;
use crate::cli::session::aws_session::{recorded_hosted_zone_role, settings_without_config};
use crate::cli::session::before_deletion::{ended_attachments, ensure_unprotected};
use crate::cli::session::locked_state::OpenState;
use crate::cli::session::ownership::ensure_owned;
use crate::cli::session::plan_preview::{enforce_guards, view_in};
use crate::cli::session::saved_plan::{self, ReadPlan};
use crate::cli::session::stages::{Locked, PlanInputs, Planned, Purpose, Session};
use crate::cli::session::state_errors::nothing_recorded;
use crate::cli::session::untracked::{self, UntrackedResources};
use crate::cli::session::{install_config_source, manifests_source, targeting};
use crate::render::{Code, Diagnostic};

/// State to destroy, with its AWS settings.
pub(crate) struct TeardownTarget<'a> {
    pub(crate) name: &'a str,
    pub(crate) settings: &'a dyn Fn(&Cluster) -> AwsSettings,
    /// True for machines of manifests, false for a cluster.
    pub(crate) of_machines: bool,
}

/// Resources to destroy.
pub(crate) struct TeardownInputs {
    /// Entries to record before those of untracked resources.
    before: Vec<Entry>,
    live: LiveState,
    found: UntrackedResources,
}

/// Inputs of a destroy plan.
pub(crate) struct Teardown {
    /// Entries to record before execution. Of the untracked resources, only those that the plan
    /// deletes.
    new_entries: Vec<Entry>,
    /// State after these entries.
    projected_state: State,
    /// Options and warnings of the plan, for its file.
    pub(super) options: PlanOptions,
    pub(super) warnings: Vec<String>,
}

impl<'a, P: Purpose> Session<'a, P> {
    /// Locks a recorded state, connects, refreshes, and finds untracked resources.
    pub(crate) async fn lock_recorded(
        self,
        TeardownTarget { name, settings, of_machines }: &TeardownTarget<'_>,
        part: &TargetingArgs,
        ui: &mut Ui,
    ) -> Result<Locked<'a, P, TeardownInputs>> {
        let common = self.common;
        let claimed = self.claim(name, ui).await?;
        let cluster = claimed.state().and_then(|state| state.cluster.clone());
        let cluster = cluster.ok_or_else(|| nothing_recorded(name, &common.state))?;
        match (of_machines, cluster.is_of_machines()) {
            (true, false) => return Err(manifests_source::of_a_cluster(&cluster)),
            (false, true) => return Err(install_config_source::of_machines(&cluster)),
            _ => (),
        }
        let account = claimed.state().and_then(|state| state.lookup_cache.account.clone());
        let mut settings = settings(&cluster);
        let recorded = claimed.state().and_then(recorded_hosted_zone_role);
        settings.hosted_zone_role = settings.hosted_zone_role.or(recorded);
        let connected = claimed.connect(settings, account.as_deref(), ui).await?;
        let inputs = TeardownInputs {
            before: Vec::new(),
            live: LiveState::new(),
            found: UntrackedResources::default(),
        };
        let mut locked = connected.lock(Ok, inputs, ui).await?;
        locked.inputs.live = locked.live_state().await?;
        if let Some(since) = &locked.held.state().lookup_cache.unproven_owner {
            ui.diagnostic(&possibly_shared(&cluster, since))?;
        } else if !of_machines && untracked::are_meant(part) {
            let found = UntrackedResources::sweep(locked.aws(), locked.held.state()).await?;
            locked.inputs.found = found;
        }
        Ok(locked)
    }

    /// Connects, finds all resources with the tag of a cluster without recorded state, and then
    /// locks a new state.
    pub(crate) async fn lock_lost(
        self,
        cluster: &Cluster,
        domain: Option<&str>,
        ui: &mut Ui,
    ) -> Result<Locked<'a, P, TeardownInputs>> {
        let claimed = self.claim_missing(&cluster.name);
        let settings = settings_without_config(cluster);
        let connected = claimed.connect(settings, None, ui).await?;
        let found = UntrackedResources::sweep_lost(connected.aws(), domain).await?;
        if found.is_empty() {
            return Err(no_such_cluster(cluster, connected.account(), &found));
        }
        let account = Some(connected.account().to_owned());
        let learnt = LookupCache { account, ..LookupCache::default() };
        let mut before = vec![Entry::ClusterIdentified { cluster: cluster.clone() }];
        before.extend(learnt.entries_missing_in(&LookupCache::default()));
        let inputs = TeardownInputs { before, live: LiveState::new(), found };
        connected.lock(Ok, inputs, ui).await
    }
}

impl<'a, P: Purpose> Locked<'a, P, TeardownInputs> {
    /// Makes and shows the plan, enforces the guards, and rejects ownership conflicts and the deletion
    /// of resources that AWS protects.
    pub(crate) async fn plan(
        mut self,
        part: &TargetingArgs,
        guards: &GuardArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, P, Teardown>> {
        let projected = self.projected()?.projected_state;
        let options = targeting::resolve_against_state(part, &projected)?;
        let (mut teardown, plan) = self.selected(&options)?;
        teardown.warnings.extend(self.inputs.found.warnings(self.aws()));
        let ended = ended_attachments(self.aws(), &teardown.projected_state, &plan).await?;
        teardown.warnings.extend(ended);
        self.shown(teardown, plan, guards, ui).await
    }

    /// Computes the plan again, and continues with the saved one if both are equal.
    pub(crate) async fn plan_of_saved(
        mut self,
        saved: ReadPlan,
        guards: &GuardArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, P, Teardown>> {
        saved_plan::ensure_same_state(&saved, Some(self.held.state()))?;
        let (mut teardown, now) = self.selected(&saved.plan.options)?;
        let name = saved.path.display().to_string();
        saved_plan::ensure_same_changes(&saved.plan.plan, &now, &name)?;
        saved_plan::ensure_same_changes(&now, &saved.plan.plan, &name)?; // nothing to destroy is new
        teardown.warnings = saved.plan.warnings;
        self.shown(teardown, saved.plan.plan, guards, ui).await
    }

    /// Returns the plan of this part, and what it records.
    fn selected(&mut self, options: &PlanOptions) -> Result<(Teardown, Plan)> {
        let mut teardown = self.projected()?;
        let mut plan = self.computed(&teardown, options);
        let mut needed = Vec::new();
        if options.selects() {
            needed = match options.excludes.is_empty() {
                true => Vec::new(),
                false => self.inputs.found.needed_by_others(&teardown.projected_state, &plan),
            };
            if !needed.is_empty() {
                // Resources that the needed ones depend on stay, too.
                plan = self.without(&teardown, options, &needed);
            }
            self.inputs.found.leave_out_of(&plan, &teardown.projected_state);
            let mut stays = plan.selection.map(|selection| selection.left_out).unwrap_or_default();
            stays.extend(needed.iter().cloned());
            teardown = self.projected()?;
            plan = self.without(&teardown, options, &stays);
        }
        if !needed.is_empty() {
            teardown.warnings.push(
                "machines of others run in a network that stays, so its subnets, gateways, route \
                 tables, endpoints and Elastic IP addresses stay, too"
                    .to_owned(),
            );
        }
        teardown.options = options.clone();
        Ok((teardown, plan))
    }

    /// Shows the plan and enforces the guards.
    async fn shown(
        self,
        teardown: Teardown,
        plan: Plan,
        guards: &GuardArgs,
        ui: &mut Ui,
    ) -> Result<Planned<'a, P, Teardown>> {
        let state = &teardown.projected_state;
        let shown =
            view_in(&self.connection, self.session.common, &plan, false, &teardown.warnings);
        ui.plan(&shown)?;
        enforce_guards(&shown, guards)?;
        ensure_owned(self.aws(), state, &plan, guards)?;
        self.inputs.found.ensure_unblocked(state, &plan)?;
        untracked::ensure_unclaimed(self.aws(), &self.inputs.found, state, &plan).await?;
        ensure_unprotected(self.aws(), state, &plan).await?;
        Ok(self.planned(|_| teardown, plan))
    }

    /// Returns the entries to record, and the state after them.
    fn projected(&self) -> Result<Teardown> {
        let TeardownInputs { before, found, .. } = &self.inputs;
        let new_entries = [before.clone(), found.entries(self.held.state())].concat();
        let projected_state = self.held.state().projected(&new_entries);
        let projected_state = projected_state.map_err(|error| {
            CommandError::could_not(Code::InternalError, "record the untracked resources", &error)
        })?;
        let (options, warnings) = (PlanOptions::default(), Vec::new());
        Ok(Teardown { new_entries, projected_state, options, warnings })
    }

    /// Returns the plan without these resources. They contain excluded resources, which this
    /// projected state lacks.
    fn without(&self, teardown: &Teardown, options: &PlanOptions, stays: &[Address]) -> Plan {
        let recorded = &teardown.projected_state.resources;
        let stays = stays.iter().filter(|address| recorded.contains_key(*address)).cloned();
        let mut narrowed = options.clone();
        narrowed.excludes.extend(stays);
        let mut plan = self.computed(teardown, &narrowed);
        if let Some(selection) = &mut plan.selection {
            selection.excludes.clone_from(&options.excludes);
        }
        plan
    }

    fn computed(&self, teardown: &Teardown, options: &PlanOptions) -> Plan {
        plan_destroy(&teardown.projected_state, &self.inputs.live, &schemas(), options)
    }
}

impl<P: Purpose> Planned<'_, P, Teardown> {
    /// Returns the cluster to destroy.
    pub(crate) fn cluster(&self) -> &Cluster {
        self.plan.cluster.as_ref().expect("BUG: a destroy begins with a recorded or given cluster")
    }

    /// Returns true if the plan leaves what the state does not record, because another state may own
    /// it.
    pub(crate) fn leaves_others(&self) -> bool {
        self.held.state().lookup_cache.unproven_owner.is_some()
    }

    /// Returns the names by which the cluster is searched for after its destroy.
    pub(crate) fn names(&self) -> SweepNames {
        untracked::names(&self.inputs.projected_state)
    }
}

impl PlanInputs for Teardown {
    const QUESTION: &'static str =
        "Do you really want to destroy all of these resources? This cannot be undone.";

    fn graph(&self) -> Option<&Graph> {
        None
    }

    fn state<'s>(&'s self, _: &'s State) -> &'s State {
        &self.projected_state
    }

    fn workers(&self, _: &State) -> Vec<Workers> {
        Vec::new()
    }

    fn entries(&self) -> &[Entry] {
        &self.new_entries
    }

    fn unproven_owner(&self) -> Option<&str> {
        None
    }

    fn into_secrets(self) -> Secrets {
        Secrets::default()
    }
}

/// Returns the warning for a state whose run ended before it could prove that no other state creates the
/// cluster at the same time.
fn possibly_shared(cluster: &Cluster, since: &str) -> Diagnostic {
    Diagnostic::warning(
        Code::OwnerUnproven,
        format!(
            "another state may have created resources of {} since {since}, so only the resources that \
         this state records are destroyed",
            cluster.infra_id
        ),
    )
}

fn no_such_cluster(cluster: &Cluster, account: &str, found: &UntrackedResources) -> CommandError {
    let Cluster { infra_id, region, .. } = cluster;
    let diagnostic = Diagnostic::error(
        Code::ClusterNotFound,
        format!("no resources of {infra_id} found in {region} of account {account}"),
    )
    .with_hint("check the infra ID, the region and the credentials (AWS_PROFILE)");
    let diagnostic = match untracked::gaps(found.not_searched()) {
        gaps if gaps.is_empty() => diagnostic,
        gaps => diagnostic.with_detail(gaps),
    };
    CommandError::new(Exit::Failed, diagnostic)
}
