//! An install-config and what the cloud answered become the graph of everything it takes.
//!
//! The reference is the topology of openshift-install release-4.15 (`data/data/aws`): the same
//! names, tags, address ranges, rules, records and policies. Never asks a cloud, never reads a
//! clock or rolls a die while it compiles: the same inputs give the same graph.
//!
//! - [`facts`]: what must be asked of AWS first, and how answers are kept.
//! - [`assets`]: the Ignition configs that openshift-install wrote; `ignition`: what we write.
//! - `naming`, [`cidr`], [`stream`]: names and tags, address ranges, images.
//! - `placement`: zones and instance types; `existing`: the network that the user brought.
//! - `network`, `security_groups`, `iam`, `load_balancers`, `dns`, `image`, `control_plane`,
//!   `bootstrap`: one subject of the graph each.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::config::InstallConfig;
use crate::graph::Graph;
use crate::state::Cluster;

pub mod assets;
mod bootstrap;
pub mod cidr;
mod control_plane;
mod dns;
mod error;
mod existing;
pub mod facts;
mod iam;
mod ignition;
mod image;
mod load_balancers;
mod naming;
mod network;
mod placement;
mod security_groups;
pub mod stream;
#[cfg(test)]
mod tests;

pub use assets::{Assets, AssetsError};
pub use error::Error;
pub use facts::{Question, questions};
pub use naming::{identify, infra_id};
pub use stream::Stream;

use facts::Facts;
use naming::Names;
use placement::Placement;

/// What is wanted besides what the install-config says.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether there is a bootstrap machine, with everything that only it needs.
    pub bootstrap: bool,
    /// Where the image comes from when the install-config names none.
    pub stream: Option<Stream>,
}

impl Default for Options {
    fn default() -> Self {
        Self { bootstrap: true, stream: None }
    }
}

/// A compiled install-config.
#[derive(Debug)]
pub struct Compiled {
    /// Everything that is wanted.
    pub graph: Graph,
    /// What is unusual about it, as sentences without a full stop.
    pub warnings: Vec<String>,
}

/// The graph of the cluster's infrastructure. Every [question](questions) must be answered.
pub fn compile(
    config: &InstallConfig,
    cluster: &Cluster,
    facts: &BTreeMap<String, Value>,
    assets: &Assets,
    options: &Options,
) -> Result<Compiled, Error> {
    let facts = Facts::new(facts);
    let mut warnings = Vec::new();
    refuse_unsupported(config)?;
    check_identity(config, cluster, assets)?;
    let names = Names::new(cluster, &config.aws.user_tags)?;
    let existing = existing::find(config, &facts)?;
    let placement = Placement::of(config, &facts, existing.as_ref(), &mut warnings)?;
    warn(config, assets, &mut warnings);

    let mut graph = Graph::default();
    let network = network::add(&mut graph, config, &names, &placement, existing.as_ref())?;
    let groups = security_groups::add(&mut graph, config, &names, &network);
    let profiles = iam::add(&mut graph, config, &names);
    let balancers = load_balancers::add(&mut graph, config, &names, &network);
    dns::add(&mut graph, config, &names, &facts, &network, &balancers)?;
    let image = image::add(&mut graph, config, &names, &facts, options)?;
    let site = Site { config, names: &names, assets, network, groups, balancers, image };
    control_plane::add(&mut graph, &site, &placement, &profiles)?;
    bootstrap::add(&mut graph, &site, &placement, options)?;
    Ok(Compiled { graph, warnings })
}

/// What machines are put into.
struct Site<'a> {
    config: &'a InstallConfig,
    names: &'a Names,
    assets: &'a Assets,
    network: network::Network,
    groups: security_groups::Groups,
    balancers: load_balancers::Balancers,
    image: image::Image,
}

/// Says no to what the config may ask for and we cannot do, rather than leaving it out in silence.
fn refuse_unsupported(config: &InstallConfig) -> Result<(), Error> {
    if config.aws.hosted_zone_role.is_some() {
        return Err(Error::unsupported(
            "platform.aws.hostedZoneRole",
            "changing a hosted zone of another account is not supported",
            "use a hosted zone of the cluster's own account and leave the role out",
        ));
    }
    Ok(())
}

/// The state, the config and the assets must speak of the same cluster.
fn check_identity(config: &InstallConfig, cluster: &Cluster, assets: &Assets) -> Result<(), Error> {
    let asked = [("metadata.name", &config.name), ("platform.aws.region", &config.aws.region)];
    for ((field, asked), known) in asked.into_iter().zip([&cluster.name, &cluster.region]) {
        if asked != known {
            return Err(Error::Renamed { field, asked: asked.clone(), known: known.clone() });
        }
    }
    match assets.cluster() {
        Some(theirs) if theirs != *cluster => {
            let called = |one: &Cluster| format!("{} ({})", one.infra_id, one.cluster_id);
            Err(Error::AssetsOfAnother { theirs: called(&theirs), ours: called(cluster) })
        }
        _ => Ok(()),
    }
}

fn warn(config: &InstallConfig, assets: &Assets, warnings: &mut Vec<String>) {
    if assets.is_none() {
        warnings.push(
            "no assets of openshift-install were given: the machines will boot, but no cluster \
             will form"
                .to_owned(),
        );
    }
    let tags = config.aws.user_tags.len();
    if tags > naming::USER_TAGS_OF_AN_OBJECT {
        warnings.push(format!(
            "platform.aws.userTags: of {tags} tags only the first {} go onto the bootstrap's S3 \
             object, which can have ten",
            naming::USER_TAGS_OF_AN_OBJECT
        ));
    }
}
