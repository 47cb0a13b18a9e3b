//! `groundplan destroy`: deletes everything that is recorded, and shows that nothing is left.

use std::sync::Arc;

use serde_json::json;

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
use super::preview::{guarded, view};
use super::screen::Screen;
use super::show::nothing_recorded;
use super::signals::unless_stopped;
use super::walk::{confirmed, must_be_confirmable, walk};
use crate::apply::Stop;
use crate::aws::ids::RoleName;
use crate::aws::{Aws, Settings, schemas, sweep};
use crate::config::InstallConfig;
use crate::observe::observe;
use crate::plan::{Plan, plan_destroy};
use crate::provider::patiently;
use crate::render::Diagnostic;
use crate::render::state::rows;
use crate::secret::Secrets;
use crate::state::{Cluster, State};

const QUESTION: &str =
    "Do you really want to destroy all of this? There is no way to bring it back.";

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    must_be_confirmable(common, screen)?;
    let deciding = async {
        let config = config(arguments, common, screen)?;
        let name = match (&arguments.cluster, &config) {
            (Some(name), _) => name.clone(),
            (None, Some(config)) => config.name.clone(),
            (None, None) => {
                unreachable!("BUG: without a name the config is read or the command ends")
            }
        };
        let settings = |cluster: &Cluster| match &config {
            Some(config) => cloud::settings(config, cluster),
            None => cloud::settings_without_config(cluster),
        };
        let wanted = Wanted { name: &name, settings: &settings, of_machines: false };
        decided(&wanted, &arguments.part, &arguments.guards, common, screen).await
    };
    let doomed = unless_stopped(stop, deciding).await?;
    if doomed.plan.selection.is_none() {
        unless_stopped(stop, without_machines(&doomed.cluster.infra_id, common)).await?;
    }
    let (cluster, aws, names) =
        (doomed.cluster.clone(), doomed.aws.clone(), names(&doomed.held.state));
    let is_part = doomed.plan.selection.is_some();
    let exit = destroyed(doomed, common, screen, stop).await?;
    if exit != Exit::Done || is_part {
        return Ok(exit); // a part that is left is no surprise
    }
    unless_stopped(stop, proven(&cluster, &names, &aws, screen)).await
}

/// Whose state it is, and how its cloud is reached.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    pub(super) settings: &'a dyn Fn(&Cluster) -> Settings,
    /// Whether machines of manifests are meant, and no cluster.
    pub(super) of_machines: bool,
}

/// What is about to be destroyed.
pub(super) struct Doomed {
    cluster: Cluster,
    held: Held,
    aws: Arc<Aws>,
    plan: Plan,
}

/// Takes what is recorded, and shows what of it goes.
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
    let Reached { aws, .. } = cloud::reach(settings(&cluster), &held.state.facts, screen).await?;
    let observed = observe(&held.state, &*aws)
        .await
        .map_err(|error| Failure::call("look up what is recorded", &error))?;
    let options = choice::of_recorded(part, &held.state)?;
    let plan = plan_destroy(&held.state, &observed, &schemas(), &options);
    let warnings = match plan.selection.is_none() && !of_machines {
        true => others(&held.state, &aws).await?,
        false => Vec::new(),
    };
    screen.plan(&view(&plan, false, &warnings))?;
    guarded(&plan, guards)?;
    Ok(Doomed { cluster, held, aws, plan })
}

/// What the cluster has made for itself stands in its network, which cannot go before it.
async fn others(state: &State, aws: &Aws) -> Result<Vec<String>> {
    let known = state.resources.values().chain(state.deposed.values().flatten());
    let known = known.filter_map(|record| record.outputs["id"].as_str()).map(str::to_owned);
    let known = known.collect();
    let others = patiently(|| sweep::other_instances(aws, &known))
        .await
        .map_err(|error| Failure::call("see what else the cluster has", &error))?;
    let told = others.iter().map(|one| match &one.name {
        Some(name) => format!("{name} ({})", one.id),
        None => one.id.clone(),
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "the cluster has machines that are not recorded here: {}; what they stand in cannot go before \
         them, so remove them first (their MachineSets, while the cluster runs; or by hand)",
        told.join(", ")
    )])
}

/// Machines stand in the network of their cluster, which cannot go before them.
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

/// Asks, and destroys it.
pub(super) async fn destroyed(
    Doomed { mut held, aws, plan, .. }: Doomed,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    if !plan.is_empty() {
        confirmed(common, QUESTION, screen, stop).await?;
        screen.say("")?;
        held.begin(screen).await?;
    }
    aws.guard(stop.shuts(held.home.fence()));
    walk(&plan, held, aws, Arc::new(Secrets::default()), common, screen, stop).await
}

/// The config, for its endpoints. A cluster that is named can go without it.
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

/// The names of what is looked for by name.
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

/// Shows what still carries the cluster's tag: nothing, unless something is wrong.
async fn proven(
    cluster: &Cluster,
    names: &sweep::Names,
    aws: &Aws,
    screen: &mut Screen,
) -> Result<Exit> {
    let left = patiently(|| sweep::leftovers(aws, names))
        .await
        .map_err(|error| Failure::call("see whether anything is left", &error))?;
    let tag = cluster.tag_key();
    screen.tell("leftovers", &json!({"tag": tag, "left": left}))?;
    if left.is_empty() {
        screen.say(&format!("Nothing tagged {tag} is left."))?;
        return Ok(Exit::Done);
    }
    let mut diagnostic = Diagnostic::error(format!("something tagged {tag} is left"));
    diagnostic.detail = left.iter().map(|one| format!("{} {}", one.kind, one.id)).collect();
    let hint = "it is not recorded, so it was not made by this state: look at it, and delete it";
    Err(Failure::new(Exit::Failed, diagnostic.with_hint(hint)))
}
