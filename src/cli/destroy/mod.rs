//! `groundplan destroy`: deletes all recorded and untracked resources of a cluster, and proves that
//! no resource with the cluster tag is left.
//!
//! - `found`: untracked resources and ownership conflicts.
//! - `lost`: a cluster without recorded state, selected by its infra ID or its metadata.json.

mod found;
mod lost;

use std::sync::Arc;

use groundplan_aws::model::ids::RoleName;
use groundplan_aws::sweep;
use groundplan_aws::{Aws, Caller, Settings, schemas};
use groundplan_engine::apply::Stop;
use groundplan_engine::plan::{Observations, Options, Plan, plan_destroy};
use groundplan_engine::provider::patiently;
use groundplan_engine::refresh::observe;
use groundplan_engine::secret::Secrets;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::install_config::InstallConfig;
use groundplan_openshift::topology;
use serde_json::json;

use self::found::Found;
use super::args::{Common, Destroy as Arguments, Guards, Part};
use super::choice;
use super::cloud::{self, Reached};
use super::configured;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::Held;
use super::homes;
use super::inputs::read_config;
use super::machines;
use super::preflight::preflight_of_destroy;
use super::preview::{guarded, view};
use super::screen::Screen;
use super::show::nothing_recorded;
use super::signals::unless_stopped;
use super::walk::{confirmed, must_be_confirmable, walk};
use crate::render::Diagnostic;
use crate::render::state::rows;

const QUESTION: &str =
    "Do you really want to destroy all of this? There is no way to bring it back.";

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    must_be_confirmable(common, screen)?;
    let deciding = Box::pin(decide(arguments, common, screen));
    let doomed = unless_stopped(stop, deciding).await?;
    if doomed.plan.selection.is_none() {
        unless_stopped(stop, without_machines(&doomed.cluster.infra_id, common)).await?;
    }
    if arguments.preflight {
        let Doomed { plan, imagined, aws, caller, .. } = &doomed;
        let asking = Box::pin(preflight_of_destroy(plan, imagined, aws, caller, screen));
        unless_stopped(stop, asking).await?;
    }
    let (cluster, aws, names) =
        (doomed.cluster.clone(), doomed.aws.clone(), names(&doomed.held.state));
    let is_part = doomed.plan.selection.is_some();
    let exit = destroyed(doomed, common, screen, stop).await?;
    if exit != Exit::Done || is_part {
        return Ok(exit); // a part that is left is no surprise
    }
    unless_stopped(stop, Box::pin(proven(&cluster, &names, &aws, screen))).await
}

async fn decide(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<Doomed> {
    let (part, guards) = (&arguments.part, &arguments.guards);
    let (name, config) = match lost::named(arguments)? {
        Some(cluster) => match lost::recorded(&cluster, common).await? {
            Some(name) => (name, None),
            None => {
                return Box::pin(lost::decided(cluster, part, guards, common, screen)).await;
            }
        },
        None => {
            let config = config(arguments, common, screen)?;
            let name = match (&arguments.cluster, &config) {
                (Some(name), _) => name.clone(),
                (None, Some(config)) => config.name.clone(),
                (None, None) => {
                    unreachable!("BUG: without a name the config is read or the command ends")
                }
            };
            (name, config)
        }
    };
    let settings = |cluster: &Cluster| match &config {
        Some(config) => cloud::settings(config, cluster),
        None => cloud::settings_without_config(cluster),
    };
    let wanted = Wanted { name: &name, settings: &settings, of_machines: false };
    decided(&wanted, part, guards, common, screen).await
}

/// State to destroy, with its AWS settings.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) settings: &'a dyn Fn(&Cluster) -> Settings,
    /// True for machines of manifests, false for a cluster.
    pub(super) of_machines: bool,
}

/// Destroy plan with the data for its execution.
pub(super) struct Doomed {
    cluster: Cluster,
    held: Held,
    /// Entries of untracked resources, recorded before the first deletion.
    news: Vec<Entry>,
    /// State after these entries.
    imagined: State,
    aws: Arc<Aws>,
    caller: Caller,
    plan: Plan,
}

/// Locks the state, refreshes it, finds untracked resources, and shows the destroy plan.
pub(super) async fn decided(
    Wanted { name, settings, of_machines }: &Wanted<'_>,
    part: &Part,
    guards: &Guards,
    common: &Common,
    screen: &mut Screen,
) -> Result<Doomed> {
    let place = common.state.of(name);
    if !homes::is_there(&place, common).await? {
        return Err(nothing_recorded(name, &place));
    }
    let held = Held::take(common, name, "destroy", screen).await?;
    let cluster = held.state.cluster.clone().ok_or_else(|| nothing_recorded(name, &place))?;
    match (of_machines, cluster.is_of_machines()) {
        (true, false) => return Err(machines::of_a_cluster(&cluster)),
        (false, true) => return Err(configured::of_machines(&cluster)),
        _ => (),
    }
    let Reached { aws, caller } =
        cloud::reach(settings(&cluster), &held.state.facts, screen).await?;
    let observed = observe(&held.state, &*aws)
        .await
        .map_err(|error| Failure::call("look up what is recorded", &error))?;
    let found = match *of_machines || !found::are_meant(part) {
        true => Found::default(),
        false => Found::sweep(&aws, &held.state).await?,
    };
    let decision = Decision { held: &held, before: &[], observed: &observed, found };
    let Shown { news, imagined, plan } = decision.shown(part, guards, &aws, screen).await?;
    Ok(Doomed { cluster, held, news, imagined, aws, caller, plan })
}

/// Inputs of a destroy plan.
struct Decision<'a> {
    held: &'a Held,
    /// Entries to record before those of untracked resources.
    before: &'a [Entry],
    observed: &'a Observations,
    found: Found,
}

/// Destroy plan and the entries that precede it.
struct Shown {
    /// Entries to record before execution. Of the untracked resources, only those that the plan
    /// deletes.
    news: Vec<Entry>,
    /// State after these entries.
    imagined: State,
    plan: Plan,
}

impl Decision<'_> {
    /// Makes and shows the plan, and checks guards and ownership conflicts.
    async fn shown(
        mut self,
        part: &Part,
        guards: &Guards,
        aws: &Aws,
        screen: &mut Screen,
    ) -> Result<Shown> {
        let (mut news, mut imagined) = self.imagined()?;
        let options = choice::of_recorded(part, &imagined)?;
        let mut plan = self.plan(&imagined, &options);
        if options.selects() {
            self.found.leave_out_of(&plan, &imagined);
            (news, imagined) = self.imagined()?;
            plan = self.plan(&imagined, &options);
        }
        screen.plan(&view(&plan, false, &self.found.cautions(aws)))?;
        guarded(&plan, guards)?;
        found::unclaimed(aws, &imagined, &plan).await?;
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

/// Returns an error if machines of manifests are recorded. AWS rejects the deletion of their
/// network.
async fn without_machines(infra_id: &str, common: &Common) -> Result<()> {
    let place = common.state.of(&machines::state_of(infra_id));
    let recorded = homes::look(&place, common).await?.map_or(0, |(state, _)| rows(&state).count());
    if recorded == 0 {
        return Ok(());
    }
    let (noun, verb) = if recorded == 1 { ("resource", "is") } else { ("resources", "are") };
    let summary = format!("{recorded} {noun} of its machines {verb} recorded in {place}");
    let hint = format!("first `groundplan machines destroy --cluster {infra_id}`");
    Err(Failure::new(Exit::Refused, Diagnostic::error(summary).with_hint(hint)))
}

/// Prompts for confirmation and executes the plan.
pub(super) async fn destroyed(
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

/// Reads the install-config, for its endpoints. With `--cluster` the install-config is optional: a
/// missing, invalid or unrelated one results in `None`.
fn config(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
) -> Result<Option<InstallConfig>> {
    let Some(name) = &arguments.cluster else {
        return Ok(Some(read_config(&common.config, screen)?.0));
    };
    if !common.config.exists() {
        return Ok(None);
    }
    match read_config(&common.config, screen) {
        Ok((config, _)) => Ok(Some(config).filter(|config| config.name == *name)),
        Err(failure) if failure.exit == Exit::ConfigInvalid => {
            let file = common.config.display();
            let warning = format!("{file} is not valid; `{name}` is destroyed without it");
            screen.diagnostic(&Diagnostic::warning(warning))?;
            Ok(None)
        }
        Err(failure) => Err(failure),
    }
}

/// Returns the names of resources that AWS cannot find by tag.
pub(super) fn names(state: &State) -> sweep::Names {
    let named = |kind: &str| -> Vec<&str> {
        let of_kind = state.resources.iter().filter(|(address, _)| address.kind() == kind);
        of_kind.filter_map(|(_, record)| record.inputs.get("name")?.as_str()).collect()
    };
    sweep::Names {
        domain: named("hosted_zone").first().map(|name| (*name).to_owned()),
        roles: named("iam_role").into_iter().map(RoleName::from).collect(),
        profiles: named("iam_instance_profile").into_iter().map(Into::into).collect(),
        buckets: named("s3_bucket").into_iter().map(Into::into).collect(),
    }
}

/// Sweeps again and prints the resources that still carry the cluster tag. Fails if there is one.
async fn proven(
    cluster: &Cluster,
    names: &sweep::Names,
    aws: &Aws,
    screen: &mut Screen,
) -> Result<Exit> {
    let swept = patiently(|| Box::pin(sweep::sweep(aws, names)))
        .await
        .map_err(|error| Failure::call("see whether anything is left", &error))?;
    let (tag, left) = (topology::cluster_tag_key(&cluster.infra_id), swept.left);
    screen.tell("leftovers", &json!({"tag": tag, "left": left}))?;
    for denied in &swept.denied {
        screen.diagnostic(&found::not_looked_for(denied))?;
    }
    if left.is_empty() {
        screen.say(&format!("Nothing tagged {tag} is left."))?;
        return Ok(Exit::Done);
    }
    let mut diagnostic = Diagnostic::error(format!("something tagged {tag} is left"));
    diagnostic.detail = left.iter().map(|one| format!("{} {}", one.kind, one.id)).collect();
    let hint = "most likely the cluster made it while it went: run the same command again, which takes \
                it along; of what it does not show in its plan, look what it is and delete it by hand";
    Err(Failure::new(Exit::Failed, diagnostic.with_hint(hint)))
}
