//! The steps of every destroy: lock, refresh, sweep, plan, show; then confirm and execute.

use std::sync::Arc;

use groundplan_aws::{Aws, AwsSettings, Caller, schemas};
use groundplan_engine::apply::Shutdown;
use groundplan_engine::plan::{LiveState, Plan, PlanOptions, plan_destroy};
use groundplan_engine::refresh::read_live_state;
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, State};

use super::aws_session::{self, AwsSession};
use super::execute::{confirmed, walk};
use super::locked_state::LockedState;
use super::plan_preview::{enforce_guards, view};
use super::state_errors::nothing_recorded;
use super::untracked::{self, UntrackedResources};
use super::{install_config_source, manifests_source, state_backend, targeting};
use crate::cli::args::{CommonArgs, GuardArgs, TargetingArgs};
use crate::cli::output::command_error::{CommandError, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Ui;

const QUESTION: &str =
    "Do you really want to destroy all of these resources? This cannot be undone.";

/// State to destroy, with its AWS settings.
pub(crate) struct TeardownTarget<'a> {
    pub(crate) name: &'a str,
    pub(crate) settings: &'a dyn Fn(&Cluster) -> AwsSettings,
    /// True for machines of manifests, false for a cluster.
    pub(crate) of_machines: bool,
}

/// Destroy plan with the data for its execution.
pub(crate) struct TeardownPlan {
    pub(crate) cluster: Cluster,
    pub(crate) held: LockedState,
    /// Entries of untracked resources, recorded before the first deletion.
    pub(crate) new_entries: Vec<Entry>,
    /// State after these entries.
    pub(crate) projected_state: State,
    pub(crate) aws: Arc<Aws>,
    pub(crate) caller: Caller,
    pub(crate) plan: Plan,
}

/// Locks the state, refreshes it, finds untracked resources, and shows the destroy plan.
pub(crate) async fn decided(
    TeardownTarget { name, settings, of_machines }: &TeardownTarget<'_>,
    part: &TargetingArgs,
    guards: &GuardArgs,
    common: &CommonArgs,
    ui: &mut Ui,
) -> Result<TeardownPlan> {
    let place = common.state.of(name);
    if !state_backend::is_there(&place, common).await? {
        return Err(nothing_recorded(name, &place));
    }
    let held = LockedState::take(common, name, "destroy", ui).await?;
    let cluster = held.state.cluster.clone().ok_or_else(|| nothing_recorded(name, &place))?;
    match (of_machines, cluster.is_of_machines()) {
        (true, false) => return Err(manifests_source::of_a_cluster(&cluster)),
        (false, true) => return Err(install_config_source::of_machines(&cluster)),
        _ => (),
    }
    let AwsSession { aws, caller } =
        aws_session::reach(settings(&cluster), &held.state.lookup_cache, ui).await?;
    let observed = read_live_state(&held.state, &*aws)
        .await
        .map_err(|error| CommandError::call("refresh the state", &error))?;
    let found = match *of_machines || !untracked::are_meant(part) {
        true => UntrackedResources::default(),
        false => UntrackedResources::sweep(&aws, &held.state).await?,
    };
    let decision = TeardownInputs { held: &held, before: &[], observed: &observed, found };
    let TeardownPreview { new_entries, projected_state, plan } =
        decision.shown(part, guards, &aws, ui).await?;
    Ok(TeardownPlan { cluster, held, new_entries, projected_state, aws, caller, plan })
}

/// Inputs of a destroy plan.
pub(crate) struct TeardownInputs<'a> {
    pub(crate) held: &'a LockedState,
    /// Entries to record before those of untracked resources.
    pub(crate) before: &'a [Entry],
    pub(crate) observed: &'a LiveState,
    pub(crate) found: UntrackedResources,
}

/// Destroy plan and the entries that precede it.
pub(crate) struct TeardownPreview {
    /// Entries to record before execution. Of the untracked resources, only those that the plan
    /// deletes.
    pub(crate) new_entries: Vec<Entry>,
    /// State after these entries.
    pub(crate) projected_state: State,
    pub(crate) plan: Plan,
}

impl TeardownInputs<'_> {
    /// Makes and shows the plan, and checks guards and ownership conflicts.
    pub(crate) async fn shown(
        mut self,
        part: &TargetingArgs,
        guards: &GuardArgs,
        aws: &Aws,
        ui: &mut Ui,
    ) -> Result<TeardownPreview> {
        let (mut new_entries, mut projected_state) = self.projected_state()?;
        let options = targeting::resolve_against_state(part, &projected_state)?;
        let mut plan = self.plan(&projected_state, &options);
        if options.selects() {
            self.found.leave_out_of(&plan, &projected_state);
            (new_entries, projected_state) = self.projected_state()?;
            plan = self.plan(&projected_state, &options);
        }
        ui.plan(&view(&plan, false, &self.found.warnings(aws)))?;
        enforce_guards(&plan, guards)?;
        untracked::ensure_unclaimed(aws, &projected_state, &plan).await?;
        Ok(TeardownPreview { new_entries, projected_state, plan })
    }

    /// Returns the entries to record, and the state after them.
    fn projected_state(&self) -> Result<(Vec<Entry>, State)> {
        let mut state = self.held.state.clone();
        let mut record = |entries: &[Entry]| -> Result<()> {
            for entry in entries {
                state.record(entry).map_err(|error| {
                    CommandError::could_not("record the untracked resources", &error)
                })?;
            }
            Ok(())
        };
        record(self.before)?;
        let found = self.found.entries(&self.held.state);
        record(&found)?;
        Ok((self.before.iter().cloned().chain(found).collect(), state))
    }

    fn plan(&self, projected_state: &State, options: &PlanOptions) -> Plan {
        plan_destroy(projected_state, self.observed, &schemas(), options)
    }
}

/// Prompts for confirmation and executes the plan.
pub(crate) async fn destroyed(
    TeardownPlan { mut held, new_entries, aws, plan, .. }: TeardownPlan,
    common: &CommonArgs,
    ui: &mut Ui,
    stop: &Shutdown,
) -> Result<Exit> {
    if !plan.is_empty() {
        confirmed(common, QUESTION, ui, stop).await?;
        ui.print_line("")?;
        held.begin(ui).await?;
        held.record(&new_entries, ui).await?;
    }
    aws.guard(stop.or_shutdown(held.backend.fence()));
    walk(&plan, held, aws, Arc::new(Secrets::default()), common, ui, stop).await
}
