//! Compiler: an install-config and lookup results become the graph of all resources.
//!
//! The reference is the topology of openshift-install release-4.15 (`data/data/aws`): the same
//! names, tags, address ranges, rules, records and policies. Compiling makes no cloud calls, and
//! uses no clock and no randomness, so the same inputs give the same graph.
//!
//! - [`lookups`]: lookups that compiling needs, and their parsed results.
//! - `placed`: the config with the placement of its machines; `placement`: zones and instance types;
//!   `existing`: the network of the user.
//! - `spec`: the resolved cluster, from which the graph and the manifests are made.
//! - [`validation`]: online checks without effect on the graph.
//! - [`assets`]: the Ignition configs of openshift-install; `expiry`: their certificates; `ignition`:
//!   those of groundplan.
//! - `naming`, `layout`: names and tags; names, ranges, rules and roles of a family of releases.
//! - [`cidr`], [`stream`]: address ranges, images.
//! - [`machine_pools`]: the resolved machine pools, also for manifests.
//! - `network`, `security_groups`, `iam`, `load_balancers`, `dns`, `image`, `control_plane`,
//!   `bootstrap`: one part of the graph each.

use std::collections::BTreeMap;

use groundplan_engine::graph::{Address, Graph};
use groundplan_engine::secret::Secret;
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
mod expiry;
mod iam;
mod ignition;
mod image;
pub(crate) mod layout;
mod load_balancers;
pub mod lookups;
pub mod machine_pools;
mod naming;
mod network;
mod placed;
mod placement;
mod security_groups;
pub(crate) mod spec;
pub mod stream;
#[cfg(test)]
mod tests;
pub mod validation;

pub use assets::{
    Assets, AssetsError, IgnitionFile, RecordedIgnition, cluster_domain, identity, ignition_file,
};
pub use error::{CompileError, Size};
pub use expiry::{CertificateValidity, FirstExpiry};
pub use image::RecordedImage;
pub use layout::Layout;
pub use lookups::{Lookup, PUBLIC_ONLY, needed_lookups};
pub use machine_pools::Workers;
pub use naming::{identify, infra_id, is_control_plane, is_infra_id_of, name_in};
pub use placed::PlacedConfig;
pub use spec::{ClusterSpec, date};
pub use stream::Stream;

/// Compile options that do not come from the install-config.
#[derive(Clone, Debug)]
pub struct CompileOptions {
    /// True if the graph has a bootstrap machine and the resources that only it needs.
    pub bootstrap: bool,
    /// Time (RFC 3339) since which the bootstrap is removed, for the reasons of a plan. `None` if the
    /// removal is new.
    pub bootstrap_removed_at: Option<String>,
    /// Layout of the resources.
    pub layout: Layout,
    /// Source of the image if the install-config names none.
    pub stream: Option<Stream>,
    /// Image if neither the install-config nor a stream has one.
    pub recorded_image: Option<RecordedImage>,
}

impl Default for CompileOptions {
    fn default() -> Self {
        Self {
            bootstrap: true,
            bootstrap_removed_at: None,
            layout: Layout::default(),
            stream: None,
            recorded_image: None,
        }
    }
}

/// Warning about machines without Ignition files. It matters for a plan that creates machines.
pub const WITHOUT_ASSETS: &str =
    "no --assets of openshift-install: the machines will boot, but no cluster will form";

/// A compiled install-config.
#[derive(Debug)]
pub struct Compiled {
    /// All resources of the desired state.
    pub graph: Graph,
    /// Warnings, as sentences without a full stop.
    pub warnings: Vec<String>,
}

/// Returns the resource graph of a new cluster. Requires the results of all [lookups].
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
    let spec = PlacedConfig::of(config, lookup_cache).resolve(cluster, assets, options)?;
    spec.compile(assets, &RecordedIgnition::default())
}

impl ClusterSpec {
    /// Returns the resource graph of the cluster with these assets. The recorded digest stands for
    /// each Ignition config that the assets lack; the graph then has no content for it.
    ///
    /// # Errors
    /// Returns an error for each Ignition config that exceeds the limit of EC2.
    pub fn compile(
        &self,
        assets: &Assets,
        recorded: &RecordedIgnition,
    ) -> Result<Compiled, Vec<CompileError>> {
        let mut graph = self.graph(assets, recorded)?;
        if let Some(because) = self.bootstrap.removal() {
            let removed: Vec<Address> = self.whole_graph_addresses();
            let removed = removed.into_iter().filter(|address| graph.get(address).is_none());
            graph.retire(removed.collect::<Vec<_>>(), because);
            graph.narrow(security_groups::with_bootstrap_rules(self.names.layout));
        }
        Ok(Compiled { graph, warnings: self.all_warnings(assets, recorded) })
    }

    /// Returns the addresses of all resources of the cluster with a bootstrap machine.
    fn whole_graph_addresses(&self) -> Vec<Address> {
        let whole = Self { bootstrap: spec::BootstrapSpec::for_addresses(), ..self.clone() };
        let graph = whole.graph(&Assets::none(), &RecordedIgnition::default());
        let graph = graph.expect("BUG: the configs of groundplan fit into user data");
        graph.nodes().iter().map(|node| node.address.clone()).collect()
    }

    fn graph(
        &self,
        assets: &Assets,
        recorded: &RecordedIgnition,
    ) -> Result<Graph, Vec<CompileError>> {
        let names = &self.names;
        let mut errors = CompileErrors::default();
        let mut graph = Graph::default();
        let network = network::add(&mut graph, self);
        let groups = security_groups::add(&mut graph, self, &network);
        let profiles = iam::add(&mut graph, self);
        let balancers = load_balancers::add(&mut graph, self, &network, &groups);
        dns::add(&mut graph, names, &self.dns, &network, &balancers);
        let image = self.image.add(&mut graph, names, &self.region);
        let site =
            CompileContext { spec: self, assets, recorded, network, groups, balancers, image };
        errors.keep(control_plane::add(&mut graph, &site, &profiles));
        errors.keep(bootstrap::add(&mut graph, &site, &profiles));
        errors.none().map(|()| graph)
    }

    fn all_warnings(&self, assets: &Assets, recorded: &RecordedIgnition) -> Vec<String> {
        let mut warnings = self.warnings.clone();
        if assets.is_none() && recorded.is_none() {
            warnings.push(WITHOUT_ASSETS.to_owned());
        }
        if iam::has_unused_boundary(self) {
            warnings.push(
                "platform.aws.permissionsBoundary: has no effect, because every machine pool has a role \
                 or an instance profile of its own"
                    .to_owned(),
            );
        }
        let tags = self.names.user_tags().len();
        if tags > naming::USER_TAGS_OF_AN_OBJECT {
            warnings.push(format!(
                "platform.aws.userTags: the bootstrap S3 object can have ten tags, so it gets only \
                 the first {} of {tags}",
                naming::USER_TAGS_OF_AN_OBJECT
            ));
        }
        warnings
    }
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

/// Compile context of the machines.
struct CompileContext<'a> {
    spec: &'a ClusterSpec,
    assets: &'a Assets,
    recorded: &'a RecordedIgnition,
    network: network::Network,
    groups: security_groups::SecurityGroups,
    balancers: load_balancers::LoadBalancers,
    image: image::BootImage,
}

impl CompileContext<'_> {
    /// Returns the digest of the Ignition config of a resource: of the file, or else the recorded
    /// one, or else, without assets, of `substitute`.
    fn ignition(
        &self,
        address: &Address,
        graph: &mut Graph,
        file: IgnitionFile,
        substitute: impl FnOnce() -> String,
    ) -> Secret {
        match (self.assets.ignition(file), self.recorded.digest(address)) {
            (Some(given), _) => graph.keep_secret(given.to_vec()),
            (None, Some(digest)) => digest,
            (None, None) => graph.keep_secret(substitute().into_bytes()),
        }
    }
}
