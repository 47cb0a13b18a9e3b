//! `groundplan recover`: rebuilds a lost state from AWS. Changes nothing in AWS.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use groundplan_aws::Aws;
use groundplan_aws::adopt::known;
use groundplan_aws::lookups::tag_index;
use groundplan_aws::sweep::{self, Leftover};
use groundplan_engine::apply::Stop;
use groundplan_engine::graph::Node;
use groundplan_engine::plan::decide::id;
use groundplan_engine::provider::patiently;
use groundplan_engine::recover::{Recovered, Search};
use groundplan_engine::state::error::HomeError;
use groundplan_engine::state::fence::Fence;
use groundplan_engine::state::{Cluster, Entry, State};
use groundplan_openshift::topology::{identify, is_infra_id_of};
use serde_json::{Value, json};

use super::args::{Common, Recover as Arguments};
use super::cloud::{self, Reached};
use super::configured::{ASSETS, look_again};
use super::destroy::names;
use super::exit::Exit;
use super::failure::{Failure, Result};
use super::held::Held;
use super::homes;
use super::inputs::Inputs;
use super::screen::Screen;
use super::signals::unless_stopped;
use crate::render::Diagnostic;
use crate::render::state::rows;

pub(super) async fn run(
    arguments: &Arguments,
    common: &Common,
    screen: &mut Screen,
    stop: &Stop,
) -> Result<Exit> {
    let Found { held, aws, state, recovered } =
        unless_stopped(stop, Box::pin(found(arguments, common, screen))).await?;
    let left = unless_stopped(stop, Box::pin(unclaimed(&aws, &state))).await?;
    let state = held.replace(state, screen).await?;
    tell(&state, &recovered, &left, screen)?;
    screen.say("\nNothing in AWS was changed. Now look at what differs: groundplan plan")?;
    Ok(Exit::Done)
}

/// Recovered state, ready to be recorded.
pub(super) struct Found {
    pub(super) held: Held,
    pub(super) aws: Arc<Aws>,
    pub(super) state: State,
    pub(super) recovered: Recovered,
}

async fn found(arguments: &Arguments, common: &Common, screen: &mut Screen) -> Result<Found> {
    let inputs = Inputs::read(common, screen)?;
    let name = &inputs.config.name;
    let held = match homes::is_there(&common.state.of(name), common).await? {
        true => Some(blank(Held::take(common, name, "recover", screen).await?)?),
        false => None,
    };
    let cluster = cluster(arguments.infra_id.as_deref(), &inputs, screen).await?;
    let nothing = BTreeMap::new();
    let Reached { aws, caller } =
        cloud::connect(&inputs.config, &cluster, &nothing, screen).await?;
    aws.guard(Fence::new(|| Err(HomeError::Stopping))); // recovery changes nothing in AWS
    let bootstrap = !arguments.wanted.no_bootstrap;
    let (compiled, mut facts) = look_again(&inputs, &cluster, bootstrap, &aws, screen).await?;
    facts.insert(cloud::ACCOUNT.to_owned(), caller.account.into());
    if inputs.assets.cluster().is_some() {
        facts.insert(ASSETS.to_owned(), true.into());
    }
    let recovered = looked_for(compiled.graph.nodes(), &cluster.infra_id, &aws).await?;
    let state = recorded(cluster, facts, &recovered)?;
    let held = match held {
        Some(held) => held,
        None => blank(Held::take(common, name, "recover", screen).await?)?,
    };
    Ok(Found { held, aws, state, recovered })
}

/// Searches AWS for the resources of the graph. Returns those found and those missing.
pub(super) async fn looked_for(nodes: &[Node], infra_id: &str, aws: &Aws) -> Result<Recovered> {
    let tokens = patiently(|| tag_index::tokens(aws)).await;
    let tokens = &tokens.map_err(|error| Failure::call("list the tags", &error))?;
    let search = Search { nodes, infra_id, tokens, provider: aws };
    search.run().await.map_err(|error| Failure::call("look for the cluster", &error))
}

/// Returns the locked state if it is empty. Returns an error for a state with records.
pub(super) fn blank(held: Held) -> Result<Held> {
    if held.state.has_nothing() {
        return Ok(held);
    }
    let count = rows(&held.state).count();
    let diagnostic = Diagnostic::error("the state is not lost; nothing was changed")
        .with_detail(format!("{count} resources are recorded"))
        .with_hint(format!(
            "`{}` says what differs; to look for everything anew nevertheless, give an empty home with \
             --state",
            match held.state.cluster.as_ref().is_some_and(Cluster::is_of_machines) {
                true => "groundplan machines plan",
                false => "groundplan plan",
            }
        ));
    Err(Failure::new(Exit::Refused, diagnostic))
}

/// Returns the cluster to recover: of `--infra-id`, of the assets, or the only tagged one of that
/// name.
async fn cluster(given: Option<&str>, inputs: &Inputs, screen: &mut Screen) -> Result<Cluster> {
    let (config, assets) = (&inputs.config, inputs.assets.cluster());
    let known = |infra_id: String| Cluster { infra_id, ..identify(config) };
    match (given, assets) {
        (None, Some(assets)) => Ok(assets),
        (Some(id), Some(assets)) if assets.infra_id == id => Ok(assets),
        (Some(id), Some(assets)) => {
            let because = format!("the assets are of {}, and {id} is asked for", assets.infra_id);
            Err(which(&because, "give the assets that the cluster was begun with", Exit::Usage))
        }
        (Some(id), None) if is_infra_id_of(&config.name, id) => Ok(known(id.to_owned())),
        (Some(id), None) => {
            let because = format!("{id} is no infra ID of a cluster called {}", config.name);
            let hint = "it is the name with a hyphen and five letters or digits";
            Err(which(&because, hint, Exit::Usage))
        }
        (None, None) => {
            let nobody = identify(config);
            let reached = cloud::connect(config, &nobody, &BTreeMap::new(), screen).await?;
            only(&config.name, patiently(|| tag_index::clusters(&reached.aws)).await).map(known)
        }
    }
}

/// Returns the only infra ID of that name among the cluster tags of owned resources.
fn only(
    name: &str,
    tagged: std::result::Result<BTreeSet<String>, groundplan_engine::provider::ProviderError>,
) -> Result<String> {
    let tagged = tagged.map_err(|error| Failure::call("list the tags", &error))?;
    let mut ours: Vec<_> = tagged.into_iter().filter(|id| is_infra_id_of(name, id)).collect();
    match (ours.pop(), ours.is_empty()) {
        (Some(id), true) => Ok(id),
        (Some(last), false) => {
            let all = ours.join(", ");
            let because = format!("there are several of that name: {all}, {last}");
            Err(which(&because, "say which with --infra-id", Exit::Usage))
        }
        (None, _) => {
            let because =
                format!("nothing in this account and region is tagged as owned by a `{name}`");
            let hint = "check the credentials (AWS_PROFILE), the region and the name; --infra-id \
                        looks for one of which no tag tells";
            Err(which(&because, hint, Exit::Failed))
        }
    }
}

fn which(because: &str, hint: &str, exit: Exit) -> Failure {
    let diagnostic = Diagnostic::error("could not tell which cluster is meant")
        .with_detail(because)
        .with_hint(hint);
    Failure::new(exit, diagnostic)
}

/// Returns the recovered state, which equals the lost one except for its history. Returns an error
/// if no resource was found.
pub(super) fn recorded(
    cluster: Cluster,
    facts: BTreeMap<String, Value>,
    recovered: &Recovered,
) -> Result<State> {
    if recovered.entries.is_empty() {
        let diagnostic = Diagnostic::error(format!("nothing of {} was found", cluster.infra_id))
            .with_hint("check the credentials (AWS_PROFILE), the region and the infra ID");
        return Err(Failure::new(Exit::Failed, diagnostic));
    }
    let learnt = facts.into_iter().map(|(question, answer)| Entry::Learnt { question, answer });
    let entries = std::iter::once(Entry::Identified { cluster }).chain(learnt);
    let mut state = State::new(uuid::Uuid::new_v4().to_string());
    for entry in entries.chain(recovered.entries.iter().cloned()) {
        state.record(&entry).map_err(|error| Failure::could_not("record it", &error))?;
    }
    Ok(state)
}

/// Returns the resources with the cluster tag that recovery did not find. Volumes are left out: AWS
/// deletes volumes of machines with their machines, and the cluster created all others.
async fn unclaimed(aws: &Aws, state: &State) -> Result<Vec<Leftover>> {
    let names = names(state);
    let swept = patiently(|| Box::pin(sweep::sweep(aws, &names))).await;
    let swept = swept.map_err(|error| Failure::call("see what else there is", &error))?;
    let ours = known(state);
    let unclaimed = swept.left.into_iter();
    Ok(unclaimed.filter(|one| one.kind != "volume" && !ours.contains(&one.id)).collect())
}

/// Prints the resources that were found, the missing ones, and the untracked ones.
pub(super) fn tell(
    state: &State,
    recovered: &Recovered,
    left: &[Leftover],
    screen: &mut Screen,
) -> Result<()> {
    let infra_id = state.cluster.as_ref().map_or("", |cluster| &cluster.infra_id);
    let lives: Vec<_> = rows(state).collect();
    let wanted = state.resources.len() + recovered.missing.len();
    screen.say(&format!("Found {} of {wanted} resources of {infra_id}.", state.resources.len()))?;
    for (address, record, superseded) in lives {
        let (id, status, generation) = (id(&record.outputs), record.status, record.generation);
        let fields = json!({
            "address": address, "id": id, "status": status, "generation": generation,
            "superseded": superseded,
        });
        screen.tell("recovered", &fields)?;
    }
    if !recovered.missing.is_empty() {
        screen.say("\nNot found; an apply makes it anew:")?;
    }
    for one in &recovered.missing {
        screen.tell("missing", &json!({"address": one.address, "because": one.because}))?;
        screen.say(&format!("  {}  {}", one.address, one.because))?;
    }
    if !left.is_empty() {
        screen.say("\nTagged as the cluster's, and not recorded:")?;
    }
    for one in left {
        screen.tell("unclaimed", one)?;
        let name = one.name.as_deref().map(|name| format!("  {name}")).unwrap_or_default();
        screen.say(&format!("  {} {}{name}", one.kind, one.id))?;
    }
    Ok(())
}
