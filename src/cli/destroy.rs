//! `groundplan destroy`: deletes everything that is recorded, and shows that nothing is left.

use std::sync::Arc;

use serde_json::json;

use super::args::{Common, Destroy as Arguments};
use super::cloud;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::Held;
use super::inputs::read_config;
use super::screen::Screen;
use super::show::nothing_recorded;
use super::signals::unless_stopped;
use super::walk::{confirmed, must_be_confirmable, walk};
use super::world::folder;
use crate::apply::Stop;
use crate::aws::{Aws, attention, schemas, sweep};
use crate::config::InstallConfig;
use crate::observe::observe;
use crate::plan::{Plan, plan_destroy};
use crate::render::{Diagnostic, PlanView};
use crate::secret::Secrets;
use crate::state::Cluster;

const QUESTION: &str =
    "Do you really want to destroy all of this? There is no way to bring it back.";

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    must_be_confirmable(common, screen)?;
    let Doomed { cluster, held, aws, plan } =
        unless_stopped(stop, decided(arguments, common, screen)).await?;
    if !plan.is_empty() {
        confirmed(common, QUESTION, screen, stop).await?;
        screen.say("")?;
    }
    let secrets = Arc::new(Secrets::default());
    let exit = walk(&plan, held, aws.clone(), secrets, common, screen, stop).await?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    unless_stopped(stop, proven(&cluster, &aws, screen)).await
}

/// What is about to be destroyed.
struct Doomed {
    cluster: Cluster,
    held: Held,
    aws: Arc<Aws>,
    plan: Plan,
}

async fn decided(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<Doomed> {
    let config = config(arguments, common, screen)?;
    let name = match (&arguments.cluster, &config) {
        (Some(name), _) => name.clone(),
        (None, Some(config)) => config.name.clone(),
        (None, None) => unreachable!("BUG: without a name the config is read or the command ends"),
    };
    let dir = folder(common, &name);
    if !dir.exists() {
        return Err(nothing_recorded(&name, &dir));
    }
    let held = Held::take(&dir, "destroy", screen)?;
    let cluster = held.state.cluster.clone().ok_or_else(|| nothing_recorded(&name, &dir))?;
    let aws = match &config {
        Some(config) => cloud::connect(config, &cluster, screen).await?,
        None => cloud::connect_without_config(&cluster, screen).await?,
    };
    let observed = observe(&held.state, &*aws)
        .await
        .map_err(|error| Failure::call("look up what is recorded", &error))?;
    let plan = plan_destroy(&held.state, &observed, &schemas());
    screen.plan(&PlanView {
        plan: &plan,
        full: false,
        warnings: &[],
        classify: attention::class,
        telling: attention::telling,
    })?;
    Ok(Doomed { cluster, held, aws, plan })
}

/// The config, for its endpoints; not needed when the cluster is named.
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
    let (config, _) = read_config(&common.config, screen)?;
    Ok(Some(config).filter(|config| config.name == *name))
}

/// Shows what still carries the cluster's tag: nothing, unless something is wrong.
async fn proven(cluster: &Cluster, aws: &Aws, screen: &mut Screen) -> Result<Exit> {
    let left = sweep::leftovers(aws)
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
