//! An install-config with the placement of its machines: the existing network, and the zones and
//! type of each pool.
//!
//! The placement is found once for the online checks, the cluster and the preflight. Depends only
//! on the config and the lookup cache, and keeps what could be placed next to the errors.

use std::collections::BTreeMap;

use serde_json::Value;

use super::existing::{self, Existing};
use super::lookups::{ConfigLookups, LookupView, may_have_edge_subnets};
use super::machine_pools::{Workers, by_zone};
use super::placement::{self, PoolField, PoolPlacement};
use super::{CompileError, CompileErrors};
use crate::install_config::{InstallConfig, Publish};

/// An install-config with its parsed lookup results and the placement of its machines.
pub struct PlacedConfig<'a> {
    pub(super) config: &'a InstallConfig,
    pub(super) lookup_cache: LookupView<'a>,
    pub(super) lookups: ConfigLookups,
    /// The network of the user. `None` if the cluster gets its own, or after an error.
    pub(super) existing: Option<Existing>,
    /// Each pool with its placement. `None` after an error.
    pub(super) pools: Vec<(PoolField<'a>, Option<PoolPlacement>)>,
    pub(super) errors: Vec<CompileError>,
    pub(super) warnings: Vec<String>,
}

impl<'a> PlacedConfig<'a> {
    /// Parses the lookup results and places the machines. Missing lookup results are errors of
    /// [`PlacedConfig::resolve`].
    pub fn of(config: &'a InstallConfig, lookup_cache: &'a BTreeMap<String, Value>) -> Self {
        let (mut errors, mut warnings) = (CompileErrors::default(), Vec::new());
        let lookup_cache = LookupView::new(lookup_cache);
        let has_edge = may_have_edge_subnets(config, &lookup_cache);
        let pools = placement::pools(config, has_edge);
        let lookups = ConfigLookups::parse(config, &pools, &lookup_cache);
        if lookups.public_only && config.publish == Publish::Internal {
            errors.add(CompileError::PublicOnlyInternal);
        }
        let existing = existing::find(config, &lookups, &mut errors);
        warnings.extend(existing.as_ref().and_then(|network| existing::exposed(config, network)));
        let (network, errors_of) = (existing.as_ref(), &mut errors);
        let places = placement::places(config, &pools, &lookups, network, errors_of, &mut warnings);
        let pools = pools.into_iter().zip(places).collect();
        Self { config, lookup_cache, lookups, existing, pools, errors: errors.0, warnings }
    }

    /// Returns the workers. Skips pools that the lookup cache cannot place.
    pub fn workers(&self) -> Vec<Workers> {
        let workers = self.pools.iter().filter(|(pool, _)| !pool.is_control_plane());
        let workers = workers.filter_map(|(pool, place)| Some((pool, place.as_ref()?)));
        let of_pool = |(pool, place): (&PoolField, &PoolPlacement)| {
            let machines = pool.machines;
            let of_type = |instance_type: &str, replicas| Workers {
                pool: machines.name.clone(),
                metadata_service: machines.aws.metadata_service,
                instance_type: instance_type.to_owned(),
                replicas,
            };
            let replicas = place.replicas(machines);
            match place.types.is_empty() {
                true => vec![of_type(&place.instance_type, replicas)],
                false => by_zone(&place.zones, replicas)
                    .map(|(zone, replicas)| of_type(place.type_in(zone), replicas))
                    .collect(),
            }
        };
        workers.flat_map(of_pool).collect()
    }
}
