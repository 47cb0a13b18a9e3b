//! Compiler: an install-config and lookup results become the graph of all resources.
//!
//! The reference is the topology of openshift-install release-4.15 (`data/data/aws`): the same
//! names, tags, address ranges, rules, records and policies. Compiling makes no cloud calls, and
//! uses no clock and no randomness, so the same inputs give the same graph.
//!
//! - [`lookups`]: lookups that compiling needs, and the lookup cache.
//! - [`validation`]: online checks without effect on the graph.
//! - [`assets`]: the Ignition configs of openshift-install; `ignition`: those of groundplan.
//! - `naming`, [`cidr`], [`stream`]: names and tags, address ranges, images.
//! - [`machine_pools`]: the resolved machine pools, for manifests.
//! - `placement`: zones and instance types; `existing`: the network of the user.
//! - `network`, `security_groups`, `iam`, `load_balancers`, `dns`, `image`, `control_plane`,
//!   `bootstrap`: one part of the graph each.

use std::collections::BTreeMap;

use groundplan_engine::graph::Graph;
use groundplan_engine::state::Cluster;
use serde_json::Value;

use crate::install_config::InstallConfig;

pub mod assets;
mod bootstrap;
pub mod cidr;
mod control_plane;
mod dns;
mod error;
mod existing;
mod iam;
mod ignition;
mod image;
mod load_balancers;
pub mod lookups;
pub mod machine_pools;
mod naming;
mod network;
mod placement;
mod security_groups;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod validation;

pub use assets::{Assets, AssetsError, identity};
pub use error::{CompileError, Size};
pub use iam::{Partition, partition};
pub use lookups::{Lookup, needed_lookups};
pub use naming::{cluster_tag_key, identify, infra_id, is_infra_id_of, name_in};
pub use placement::{Workers, workers};
pub use stream::Stream;

use cidr::Split;
use existing::Existing;
use lookups::LookupCache;
use naming::ResourceNames;
use placement::ZonePlacement;

/// Compile options that do not come from the install-config.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// True if the graph has a bootstrap machine and the resources that only it needs.
    pub bootstrap: bool,
    /// Source of the image if the install-config names none.
    pub stream: Option<Stream>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self { bootstrap: true, stream: None }
    }
}

/// A compiled install-config.
#[derive(Debug)]
pub struct Compiled {
    /// All resources of the desired state.
    pub graph: Graph,
    /// Warnings, as sentences without a full stop.
    pub warnings: Vec<String>,
}

/// Returns the resource graph of the cluster. Requires the results of all [lookups].
///
/// # Errors
/// Returns all errors. A check is skipped only if an earlier error makes its result meaningless.
pub fn compile(
    config: &InstallConfig,
    cluster: &Cluster,
    lookup_cache: &BTreeMap<String, Value>,
    assets: &Assets,
    options: &CompileOptions,
) -> Result<Compiled, Vec<CompileError>> {
    let lookup_cache = LookupCache::new(lookup_cache);
    let mut errors = CompileErrors::default();
    let mut warnings = Vec::new();
    errors.keep(refuse_unsupported(config));
    check_identity(config, cluster, assets, &mut errors);
    let names = errors.keep(ResourceNames::new(cluster, &config.aws.user_tags));
    let ground = NetworkLayout::of(config, &lookup_cache, &mut errors, &mut warnings);
    let split = ground.as_ref().and_then(|ground| errors.keep(ground.split(config)));
    let zones = dns::zones(config, &lookup_cache, &mut errors);
    let image = errors.keep(image::find(config, &lookup_cache, options));
    warn(config, assets, &mut warnings);
    let (Some(names), Some(ground), Some(split), Some(zones), Some(image)) =
        (names, ground, split, zones, image)
    else {
        return Err(errors.0);
    };
    // The code below indexes maps whose entries may be missing after an error, such as the subnet
    // of a zone.
    errors.none()?;

    let mut errors = CompileErrors::default();
    let mut graph = Graph::default();
    let network = network::add(&mut graph, config, &names, &ground, &split);
    let groups = security_groups::add(&mut graph, config, &names, &network);
    let profiles = iam::add(&mut graph, config, &names);
    let balancers = load_balancers::add(&mut graph, config, &names, &network);
    dns::add(&mut graph, config, &names, zones, &network, &balancers);
    let image = image.add(&mut graph, config, &names);
    let site = CompileContext { config, names: &names, assets, network, groups, balancers, image };
    errors.keep(control_plane::add(&mut graph, &site, &ground.placement, &profiles));
    errors.keep(bootstrap::add(&mut graph, &site, &ground.placement, options));
    errors.none().map(|()| Compiled { graph, warnings })
}

/// Compile errors so far, without duplicates.
#[derive(Debug, Default)]
struct CompileErrors(Vec<CompileError>);

impl CompileErrors {
    /// Adds an error once. Several callers may miss the same lookup result.
    fn add(&mut self, error: CompileError) {
        if !self.0.contains(&error) {
            self.0.push(error);
        }
    }

    fn keep<T>(&mut self, result: Result<T, CompileError>) -> Option<T> {
        result.map_err(|error| self.add(error)).ok()
    }

    fn none(self) -> Result<(), Vec<CompileError>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}

/// The network layout: the existing network, if any, and the zones of the machines.
struct NetworkLayout {
    existing: Option<Existing>,
    placement: ZonePlacement,
}

impl NetworkLayout {
    fn of(
        config: &InstallConfig,
        lookup_cache: &LookupCache,
        errors: &mut CompileErrors,
        warnings: &mut Vec<String>,
    ) -> Option<Self> {
        let existing = existing::find(config, lookup_cache, errors);
        let placement =
            ZonePlacement::of(config, lookup_cache, existing.as_ref(), errors, warnings);
        if existing.is_none() && !config.aws.subnets.is_empty() {
            return None;
        }
        Some(Self { existing, placement: placement? })
    }

    /// Divides a network of the cluster's own. `None` with an existing network.
    fn split(&self, config: &InstallConfig) -> Result<Option<Split>, CompileError> {
        match self.existing {
            Some(_) => Ok(None),
            None => {
                let range = config.networking.machine_networks[0];
                cidr::split(range, self.placement.zones.len()).map(Some)
            }
        }
    }
}

/// Compile context of the machines.
struct CompileContext<'a> {
    config: &'a InstallConfig,
    names: &'a ResourceNames,
    assets: &'a Assets,
    network: network::Network,
    groups: security_groups::SecurityGroups,
    balancers: load_balancers::LoadBalancers,
    image: image::BootImage,
}

/// Rejects config values that groundplan cannot implement, instead of silently ignoring them.
fn refuse_unsupported(config: &InstallConfig) -> Result<(), CompileError> {
    if config.aws.hosted_zone_role.is_some() {
        return Err(CompileError::unsupported(
            "platform.aws.hostedZoneRole",
            "changing a hosted zone of another account is not supported",
            "use a hosted zone of the cluster's account, and remove the role",
        ));
    }
    Ok(())
}

/// Reports differences between the clusters of the state, the config and the assets.
fn check_identity(
    config: &InstallConfig,
    cluster: &Cluster,
    assets: &Assets,
    errors: &mut CompileErrors,
) {
    let asked = [("metadata.name", &config.name), ("platform.aws.region", &config.aws.region)];
    for ((field, asked), known) in asked.into_iter().zip([&cluster.name, &cluster.region]) {
        if asked != known {
            errors.add(CompileError::Renamed { field, asked: asked.clone(), known: known.clone() });
        }
    }
    if let Some(theirs) = assets.cluster().filter(|theirs| theirs != cluster) {
        let called = |one: &Cluster| format!("{} ({})", one.infra_id, one.cluster_id);
        errors
            .add(CompileError::AssetsOfAnother { theirs: called(&theirs), ours: called(cluster) });
    }
}

fn warn(config: &InstallConfig, assets: &Assets, warnings: &mut Vec<String>) {
    if assets.is_none() {
        warnings.push(
            "no --assets of openshift-install: the machines will boot, but no cluster will form"
                .to_owned(),
        );
    }
    let tags = config.aws.user_tags.len();
    if tags > naming::USER_TAGS_OF_AN_OBJECT {
        warnings.push(format!(
            "platform.aws.userTags: the bootstrap S3 object can have ten tags, so it gets only the \
             first {} of {tags}",
            naming::USER_TAGS_OF_AN_OBJECT
        ));
    }
}
