//! Zones, instance type and image of each machine pool, for the manifests of the Machine API.
//!
//! The values agree with the graph that [`super::compile`] returns for the same config. Adds
//! nothing to a graph.

use std::collections::BTreeMap;

use groundplan_aws::model::ids::{ImageId, SubnetId};
use serde_json::Value;

use super::placement::{self, PoolPlacement};
use super::{CompileError, CompileErrors, CompileOptions, existing, image};
use crate::install_config::{InstallConfig, MachinePool};
use crate::topology::lookups::LookupCache;

/// The resolved machine pools of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachinePools {
    /// The masters.
    pub masters: ResolvedPool,
    /// The pools of workers, in the order of the config.
    pub workers: Vec<ResolvedPool>,
    /// Existing subnets for machines, by zone. `None` if the cluster has its own network.
    pub subnets: Option<BTreeMap<String, SubnetId>>,
}

/// A group of machines with the same settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedPool {
    /// Settings of the pool in the config.
    pub machines: MachinePool,
    /// Zones in the order of the config. Without zones in the config: all zones that offer the
    /// instance type, sorted.
    pub zones: Vec<String>,
    /// Instance type.
    pub instance_type: String,
    /// Image to boot. `None` means the copy of an image that `apply` creates in the cluster's
    /// region, so its ID is not known yet.
    pub image: Option<ImageId>,
}

/// Returns the resolved machine pools of this config. Requires the results of all
/// [lookups](super::needed_lookups).
///
/// # Errors
/// Returns the compile errors about existing subnets, zones, instance types and images.
pub fn resolve(
    config: &InstallConfig,
    lookup_cache: &BTreeMap<String, Value>,
    options: &CompileOptions,
) -> Result<MachinePools, Vec<CompileError>> {
    let (lookup_cache, mut errors) = (LookupCache::new(lookup_cache), CompileErrors::default());
    let existing = existing::find(config, &lookup_cache, &mut errors);
    // Warnings are dropped, because compiling the same config has already reported them.
    let places =
        placement::places(config, &lookup_cache, existing.as_ref(), &mut errors, &mut Vec::new());
    let mut pools = Vec::new();
    for (pool, place) in places {
        let image = errors.keep(image::of_pool(config, pool.machines, options));
        if let (Some(PoolPlacement { zones, instance_type }), Some(image)) = (place, image) {
            pools.push(ResolvedPool {
                machines: pool.machines.clone(),
                zones,
                instance_type,
                image,
            });
        }
    }
    errors.none()?;
    let workers = pools.split_off(1);
    let masters = pools.pop().expect("BUG: masters are a pool");
    Ok(MachinePools { masters, workers, subnets: existing.map(|existing| existing.private) })
}

impl ResolvedPool {
    /// Returns the zone of each machine: the first machine is in the first zone, the next one in
    /// the next zone, and so on in a circle.
    pub fn zone_of_each(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().cycle().take(self.machines.replicas as usize).map(String::as_str)
    }

    /// Returns the number of machines in each zone. The first zones get the remainder.
    pub fn replicas_by_zone(&self) -> impl Iterator<Item = (&str, u32)> {
        let (total, zones) =
            (self.machines.replicas, u32::try_from(self.zones.len()).unwrap_or(1).max(1));
        let (each, over) = (total / zones, total % zones);
        let replicas = (0..zones).map(move |index| each + u32::from(index < over));
        self.zones.iter().map(String::as_str).zip(replicas)
    }
}
