//! The cluster that an install-config describes, resolved once: names, network, DNS, image, pools.
//!
//! The builders of the graph and the manifests of the Machine API read their part of it, and never
//! the install-config. Makes no lookups and creates nothing.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::kinds::instance::PRESIGNED_URL;
use groundplan_aws::model::ids::{HostedZoneId, PolicyArn, PublicIpv4PoolId};
use groundplan_aws::model::partition::Partition;
use groundplan_engine::state::Cluster;
use ipnet::Ipv4Net;
use secrecy::SecretString;

use super::cidr::{self, Split, SubnetCounts};
use super::dns::{self, DnsSpec};
use super::existing::Existing;
use super::image::{self, ImageSpec};
use super::layout::Layout;
use super::machine_pools::PoolSpec;
use super::naming::ResourceNames;
use super::placed::PlacedConfig;
use super::{Assets, CompileError, CompileErrors, CompileOptions, ignition};
use crate::install_config::{CredentialsMode, InstallConfig, Publish};
use crate::topology::lookups::{WAVELENGTH_ZONE, ZoneFact};

/// A resolved cluster. Two clusters with equal specs and assets have the same graph.
#[derive(Clone, Debug)]
pub struct ClusterSpec {
    /// Names and tags of the resources.
    pub(crate) names: ResourceNames,
    /// The region.
    pub(crate) region: String,
    /// The partition of the region.
    pub(crate) partition: Partition,
    /// True if the administrator makes the credentials of the operators.
    pub(crate) has_manual_credentials: bool,
    /// ARN of the permissions boundary of all roles. `None` means no opinion.
    pub(crate) permissions_boundary: Option<PolicyArn>,
    /// Networks from which the cluster is reachable.
    pub(crate) publish: Publish,
    /// Stream of the machines' operating system; `None` means the default of the release.
    pub(crate) os_stream: Option<String>,
    /// Networks of the machines; never empty.
    pub(crate) machine_networks: Vec<Ipv4Net>,
    /// The VPC and its subnets.
    pub(crate) network: NetworkSpec,
    /// True if the machines have public subnets and addresses, and the cluster has no private subnets.
    pub(crate) public_only: bool,
    /// Pool of the account for the addresses of NAT gateways and the external load balancer.
    pub(crate) public_ipv4_pool: Option<PublicIpv4PoolId>,
    /// The domain and the existing hosted zones.
    pub(crate) dns: DnsSpec,
    /// The image that masters and bootstrap boot.
    pub(crate) image: ImageSpec,
    /// The masters.
    pub(crate) masters: PoolSpec,
    /// The pools of workers, in the order of the config.
    pub(crate) workers: Vec<PoolSpec>,
    /// The bootstrap.
    pub(crate) bootstrap: BootstrapSpec,
    /// Warnings about the placement, as sentences without a full stop.
    pub(super) warnings: Vec<String>,
}

/// A network to create, or the existing one of the user.
#[derive(Clone, Debug)]
pub(crate) enum NetworkSpec {
    /// A VPC of the cluster's own.
    Own {
        /// CIDR of the VPC.
        range: Ipv4Net,
        /// All zones that a pool uses, sorted.
        zones: Vec<String>,
        /// Local and Wavelength Zones of the edge pool, sorted.
        edge: Vec<EdgeZone>,
        /// CIDRs of the subnets, in the order of the zones.
        split: Split,
    },
    /// Subnets of the user.
    Existing {
        /// The subnets.
        subnets: Existing,
        /// The private hosted zone of the user. `None` if the cluster gets its own.
        hosted_zone: Option<HostedZoneId>,
        /// ARN of the role for the hosted zone of another account.
        hosted_zone_role: Option<String>,
    },
}

/// A Local or Wavelength Zone of a new network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EdgeZone {
    /// Name of the zone.
    pub(crate) name: String,
    /// True for a Wavelength Zone, whose public subnet routes to the carrier gateway.
    pub(crate) is_wavelength: bool,
    /// Availability zone with the NAT gateway for the private subnet: the parent of the zone, or else
    /// the first zone.
    pub(crate) parent: String,
}

/// Resources for the bootstrap.
#[derive(Clone, Debug)]
pub(crate) enum BootstrapSpec {
    /// The machine and all resources that only it needs.
    Machine {
        /// Ignition config that points to the bucket. Contains the proxy's password, if any.
        stub: SecretString,
    },
    /// The machine is removed.
    Removed {
        /// True if the bucket with the Ignition config stays, because the config preserves it.
        keeps_bucket: bool,
        /// Reason of the deletions, in words.
        because: String,
    },
}

impl BootstrapSpec {
    fn of(config: &InstallConfig, options: &CompileOptions) -> Self {
        if options.bootstrap {
            Self::Machine { stub: ignition::stub(config, PRESIGNED_URL).into() }
        } else {
            let because = match &options.bootstrap_removed_at {
                Some(at) => format!("bootstrap removal requested on {}", date(at)),
                None => "bootstrap removal requested".to_owned(),
            };
            Self::Removed { keeps_bucket: config.aws.preserve_bootstrap_ignition, because }
        }
    }

    /// Returns a machine without a config. Its graph has the addresses of every bootstrap machine.
    pub(super) fn for_addresses() -> Self {
        Self::Machine { stub: PRESIGNED_URL.to_owned().into() }
    }

    /// Returns the reason of the removal; `None` if the machine is desired.
    pub(super) fn removal(&self) -> Option<&str> {
        match self {
            Self::Machine { .. } => None,
            Self::Removed { because, .. } => Some(because),
        }
    }
}

/// Returns the date of a time (RFC 3339).
pub fn date(time: &str) -> &str {
    time.split_once('T').map_or(time, |(date, _)| date)
}

impl PlacedConfig<'_> {
    /// Returns the cluster. Requires the results of all [lookups](super::needed_lookups). The
    /// assets are only compared with the identity of the cluster.
    ///
    /// # Errors
    /// Returns all errors. A check is skipped only if an earlier error makes its result
    /// meaningless.
    pub fn resolve(
        &self,
        cluster: &Cluster,
        assets: &Assets,
        options: &CompileOptions,
    ) -> Result<ClusterSpec, Vec<CompileError>> {
        let config = self.config;
        let mut errors = CompileErrors::default();
        check_identity(config, cluster, assets, &mut errors);
        let names =
            errors.keep(ResourceNames::new(cluster, &config.aws.user_tags, options.layout.0));
        self.errors.iter().cloned().for_each(|error| errors.add(error));
        let pools = self.pools(options);
        let network =
            pools.as_ref().and_then(|pools| self.network(pools, options.layout, &mut errors));
        let dns = dns::resolve(config, &self.lookups, &mut errors);
        let image = errors.keep(image::find(config, &self.lookup_cache, options));
        let (Some(names), Some(mut pools), Some(network), Some(dns), Some(image)) =
            (names, pools, network, dns, image)
        else {
            return Err(errors.0);
        };
        // The builders index maps whose entries may be missing after an error, such as the subnet
        // of a zone.
        errors.none()?;
        let workers = pools.split_off(1);
        Ok(ClusterSpec {
            names,
            region: config.aws.region.clone(),
            partition: Partition::of_region(&config.aws.region),
            has_manual_credentials: config.credentials_mode == Some(CredentialsMode::Manual),
            permissions_boundary: config.aws.permissions_boundary.clone(),
            publish: config.publish,
            os_stream: config.os_image_stream.clone(),
            machine_networks: config.networking.machine_networks.clone(),
            network,
            public_only: self.lookups.public_only,
            public_ipv4_pool: config.aws.public_ipv4_pool.clone(),
            dns,
            image,
            masters: pools.pop().expect("BUG: masters are a pool"),
            workers,
            bootstrap: BootstrapSpec::of(config, options),
            warnings: self.warnings.clone(),
        })
    }

    /// Returns the masters, followed by the pools of workers. `None` if a pool has no placement.
    fn pools(&self, options: &CompileOptions) -> Option<Vec<PoolSpec>> {
        let resolved = self.pools.iter().map(|(pool, place)| {
            let image = image::of_pool(self.config, pool.machines, options);
            Some(PoolSpec::new(pool.machines, place.as_ref()?, image))
        });
        resolved.collect()
    }

    /// Returns the network. `None` after an error.
    fn network(
        &self,
        pools: &[PoolSpec],
        layout: Layout,
        errors: &mut CompileErrors,
    ) -> Option<NetworkSpec> {
        if let Some(subnets) = self.existing.clone() {
            let hosted_zone = self.config.aws.hosted_zone.clone();
            let hosted_zone_role = self.config.aws.hosted_zone_role.clone();
            return Some(NetworkSpec::Existing { subnets, hosted_zone, hosted_zone_role });
        }
        if !self.config.aws.subnets.is_empty() {
            return None;
        }
        let range = self.config.networking.machine_networks[0];
        let zones = zones(pools);
        let edge = edge_zones(pools, &zones);
        let public = self.config.publish == Publish::External;
        let counts = SubnetCounts { zones: zones.len(), edge: edge.len(), public };
        let split = errors.keep(cidr::split(layout.0.split, range, counts))?;
        Some(NetworkSpec::Own { range, zones, edge, split })
    }
}

/// Returns the zones of the edge pools, sorted. `zones` are the availability zones of the network.
fn edge_zones(pools: &[PoolSpec], zones: &[String]) -> Vec<EdgeZone> {
    let facts: BTreeMap<&String, &ZoneFact> = pools.iter().flat_map(|pool| &pool.edge).collect();
    let edge = |(name, fact): (&String, &ZoneFact)| {
        let parent = fact.parent.as_ref().filter(|parent| zones.contains(parent));
        EdgeZone {
            name: name.clone(),
            is_wavelength: fact.zone_type == WAVELENGTH_ZONE,
            parent: parent.unwrap_or(&zones[0]).clone(),
        }
    };
    facts.into_iter().map(edge).collect()
}

/// Returns all availability zones that a pool uses, sorted. Zones beyond the number of masters are unused,
/// unlike those of workers, whose number may change.
fn zones(pools: &[PoolSpec]) -> Vec<String> {
    let (masters, workers) = pools.split_at(1);
    let masters = masters.iter().flat_map(PoolSpec::zone_of_each);
    let workers = workers.iter().filter(|pool| pool.edge.is_empty());
    let workers = workers.flat_map(|pool| &pool.zones).map(String::as_str);
    let zones: BTreeSet<&str> = masters.chain(workers).collect();
    zones.into_iter().map(str::to_owned).collect()
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
