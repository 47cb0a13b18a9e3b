//! The steps of every destroy: lock, refresh, sweep, plan, show; then confirm and execute.

use std::sync::Arc;

use groundplan_aws::{Aws, Caller, Settings, schemas};
use groundplan_engine::apply::Stop;
use groundplan_engine::plan::{Observations, Options, Plan, plan_destroy};
use groundplan_engine::refresh::observe;
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, State};

use super::aws_session::{self, Reached};
use super::execute::{confirmed, walk};
use super::locked_state::Held;
use super::plan_preview::{guarded, view};
use super::state_errors::nothing_recorded;
use super::untracked::{self, Found};
use super::{install_config_source, manifests_source, state_backend, targeting};
use crate::cli::args::{Common, Guards, Part};
use crate::cli::output::command_error::{Failure, Result};
use crate::cli::output::exit_code::Exit;
use crate::cli::output::ui::Screen;

const QUESTION: &str =
    "Do you really want to destroy all of this? There is no way to bring it back.";

/// State to destroy, with its AWS settings.
pub(crate) struct Wanted<'a> {
    pub(crate) name: &'a str,
    pub(crate) settings: &'a dyn Fn(&Cluster) -> Settings,
    /// True for machines of manifests, false for a cluster.
    pub(crate) of_machines: bool,
}

/// Destroy plan with the data for its execution.
pub(crate) struct Doomed {
    pub(crate) cluster: Cluster,
    pub(crate) held: Held,
    /// Entries of untracked resources, recorded before the first deletion.
    pub(crate) news: Vec<Entry>,
    /// State after these entries.
    pub(crate) imagined: State,
    pub(crate) aws: Arc<Aws>,
    pub(crate) caller: Caller,
    pub(crate) plan: Plan,
}

/// Locks the state, refreshes it, finds untracked resources, and shows the destroy plan.
pub(crate) async fn decided(
    Wanted { name, settings, of_machines }: &Wanted<'_>,
    part: &Part,
    guards: &Guards,
    common: &Common,
    screen: &mut Screen,
) -> Result<Doomed> {
    let place = common.state.of(name);
    if !state_backend::is_there(&place, common).await? {
        return Err(nothing_recorded(name, &place));
    }
    let held = Held::take(common, name, "destroy", screen).await?;
    let cluster = held.state.cluster.clone().ok_or_else(|| nothing_recorded(name, &place))?;
    match (of_machines, cluster.is_of_machines()) {
        (true, false) => return Err(manifests_source::of_a_cluster(&cluster)),
        (false, true) => return Err(install_config_source::of_machines(&cluster)),
        _ => (),
    }
    let Reached { aws, caller } =
        aws_session::reach(settings(&cluster), &held.state.facts, screen).await?;
    let observed = observe(&held.state, &*aws)
        .await
        .map_err(|error| Failure::call("look up what is recorded", &error))?;
    let found = match *of_machines || !untracked::are_meant(part) {
        true => Found::default(),
        false => Found::sweep(&aws, &held.state).await?,
    };
    let decision = Decision { held: &held, before: &[], observed: &observed, found };
    let Shown { news, imagined, plan } = decision.shown(part, guards, &aws, screen).await?;
    Ok(Doomed { cluster, held, news, imagined, aws, caller, plan })
}

/// Inputs of a destroy plan.
pub(crate) struct Decision<'a> {
    pub(crate) held: &'a Held,
    /// Entries to record before those of untracked resources.
    pub(crate) before: &'a [Entry],
    pub(crate) observed: &'a Observations,
    pub(crate) found: Found,
}

/// Destroy plan and the entries that precede it.
pub(crate) struct Shown {
    /// Entries to record before execution. Of the untracked resources, only those that the plan
    /// deletes.
    pub(crate) news: Vec<Entry>,
    /// State after these entries.
    pub(crate) imagined: State,
    pub(crate) plan: Plan,
}

impl Decision<'_> {
    /// Makes and shows the plan, and checks guards and ownership conflicts.
    pub(crate) async fn shown(
        mut self,
        part: &Part,
        guards: &Guards,
        aws: &Aws,
        screen: &mut Screen,
    ) -> Result<Shown> {
        let (mut news, mut imagined) = self.imagined()?;
        let options = targeting::of_recorded(part, &imagined)?;
        let mut plan = self.plan(&imagined, &options);
        if options.selects() {
            self.found.leave_out_of(&plan, &imagined);
            (news, imagined) = self.imagined()?;
            plan = self.plan(&imagined, &options);
        }
        screen.plan(&view(&plan, false, &self.found.cautions(aws)))?;
        guarded(&plan, guards)?;
        untracked::unclaimed(aws, &imagined, &plan).await?;
        Ok(Shown { news, imagined, plan })
    }

    /// Returns the entries to record, and the state after them.
    fn imagined(&self) -> Result<(Vec<Entry>, State)> {
        let mut state = self.held.state.clone();
        let mut record = |entries: &[Entry]| -> Result<()> {
            for entry in entries {
                state.record(entry).map_err(|error| Failure::could_not("record it", &error))?;
            }
            Ok(())
        };
        record(self.before)?;
        let found = self.found.entries(&self.held.state);
        record(&found)?;
        Ok((self.before.iter().cloned().chain(found).collect(), state))
    }

    fn plan(&self, imagined: &State, options: &Options) -> Plan {
        plan_destroy(imagined, self.observed, &schemas(), options)
    }
}

/// Prompts for confirmation and executes the plan.
pub(crate) async fn destroyed(
    Doomed { mut held, news, aws, plan, .. }: Doomed,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    if !plan.is_empty() {
        confirmed(common, QUESTION, screen, stop).await?;
        screen.say("")?;
        held.begin(screen).await?;
        held.record(&news, screen).await?;
    }
    aws.guard(stop.shuts(held.home.fence()));
    walk(&plan, held, aws, Arc::new(Secrets::default()), common, screen, stop).await
}
