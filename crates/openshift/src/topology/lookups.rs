//! Lookups that compiling a config needs.
//!
//! The lookup cache in the state keeps their results by key, so that the same config compiles to
//! the same graph later. Makes no calls; the caller runs the lookups with a provider. Results that
//! [`super::compile`] rejects should not be kept.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::{DedicatedHostId, HostedZoneId, SubnetId};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::placement::{self, PoolField};
use super::{CompileError, CompileOptions, image};
use crate::install_config::{InstallConfig, Publish};
pub use groundplan_aws::lookups::lookup::{
    DedicatedHostFact, EdgeFact, HostedZoneFact, ImageFact, InstanceTypeFact, InstanceTypes,
    Lookup, Offerings, PolicyFact, SecurityGroupVpcs, SubnetFact, SubnetReach, WAVELENGTH_ZONE,
    ZoneFact, ZoneFacts,
};

/// Key, beside the lookup results, of the decision that the machines have public subnets (`true`). A
/// cluster keeps its subnets, so the decision is recorded as lookup results are.
pub const PUBLIC_ONLY: &str = "public_only";

/// Returns the lookups that compiling this config needs and that `lookup_cache` has no result for. A
/// single round suffices, because no lookup depends on the result of another one.
pub fn needed_lookups(
    config: &InstallConfig,
    lookup_cache: &BTreeMap<String, Value>,
    options: &CompileOptions,
) -> Vec<Lookup> {
    let mut lookups = BTreeSet::new();
    let has_edge = may_have_edge_subnets(config, &LookupView::new(lookup_cache));
    lookups.extend(placement::needed_lookups(config, has_edge));
    lookups.extend(image::lookup(config, options));
    if !config.aws.subnets.is_empty() {
        lookups.insert(subnets(config));
    }
    lookups.extend(config.aws.hosted_zone.as_ref().map(hosted_zone));
    lookups.extend(public_zone(config));
    lookups.extend(dedicated_hosts(config));
    lookups.into_iter().filter(|lookup| !lookup_cache.contains_key(&lookup.key())).collect()
}

/// Returns true if an existing subnet is in a Local or Wavelength Zone, and if the lookup of the subnets
/// has no result yet.
pub(super) fn may_have_edge_subnets(config: &InstallConfig, lookup_cache: &LookupView) -> bool {
    let known = lookup_cache.answer::<Vec<SubnetFact>>(&subnets(config));
    known.is_err() || known.is_ok_and(|all| all.iter().any(|one| one.edge.is_some()))
}

fn subnets(config: &InstallConfig) -> Lookup {
    let ids: BTreeSet<SubnetId> = config.aws.subnets.iter().cloned().collect();
    let region = config.aws.region.clone();
    Lookup::Subnets { region, ids: ids.into_iter().collect() }
}

fn hosted_zone(id: &HostedZoneId) -> Lookup {
    Lookup::HostedZone { id: id.clone() }
}

/// Returns the lookup of the public hosted zone. `None` for an internal cluster.
fn public_zone(config: &InstallConfig) -> Option<Lookup> {
    let domain = config.base_domain.clone();
    (config.publish == Publish::External).then_some(Lookup::PublicZone { domain })
}

/// Returns the lookup of the Dedicated Hosts of all pools. `None` if no pool names one.
fn dedicated_hosts(config: &InstallConfig) -> Option<Lookup> {
    let hosts = config.compute.iter().flat_map(|pool| &pool.aws.dedicated_hosts);
    let ids: BTreeSet<DedicatedHostId> = hosts.cloned().collect();
    let region = config.aws.region.clone();
    let ids: Vec<_> = ids.into_iter().collect();
    (!ids.is_empty()).then_some(Lookup::DedicatedHosts { region, ids })
}

/// A parsed lookup result. A missing or unreadable result is an error only where it is used.
pub(crate) type Parsed<T> = Result<T, CompileError>;

/// Parsed lookup results of a config, except that of the image.
pub(crate) struct ConfigLookups {
    /// True if the machines have public subnets, and the cluster has no private ones.
    pub(crate) public_only: bool,
    /// Availability zones of the region.
    pub(crate) availability_zones: Parsed<Vec<String>>,
    /// Zones that offer the candidate types of each pool, in the order of the pools.
    pub(crate) offerings: Vec<Parsed<Offerings>>,
    /// Local and Wavelength Zones of a new network. `None` if no pool has any.
    pub(crate) edge_zones: Option<Parsed<ZoneFacts>>,
    /// Existing subnets by ID. `None` if the config names no subnets.
    pub(crate) subnets: Option<Parsed<BTreeMap<SubnetId, SubnetFact>>>,
    /// Private hosted zone of the user. The outer `None` means that the config names no zone.
    pub(crate) hosted_zone: Option<Parsed<Option<HostedZoneFact>>>,
    /// Dedicated Hosts by ID. `None` if no pool names one.
    pub(crate) hosts: Option<Parsed<BTreeMap<DedicatedHostId, DedicatedHostFact>>>,
    /// Public hosted zone of the base domain. The outer `None` means an internal cluster.
    pub(crate) public_zone: Option<Parsed<Option<HostedZoneId>>>,
}

impl ConfigLookups {
    /// Parses the results for this config and its pools, each once.
    pub(super) fn parse<'a>(
        config: &'a InstallConfig,
        pools: &[PoolField<'a>],
        lookup_cache: &LookupView,
    ) -> Self {
        let by_id = |subnets: Vec<SubnetFact>| {
            subnets.into_iter().map(|subnet| (subnet.id.clone(), subnet)).collect()
        };
        let has_subnets = !config.aws.subnets.is_empty();
        let offerings = pools.iter().map(|pool| lookup_cache.answer(&pool.offerings(config)));
        Self {
            public_only: lookup_cache.0.get(PUBLIC_ONLY) == Some(&Value::Bool(true)),
            availability_zones: lookup_cache.answer(&placement::availability_zones(config)),
            offerings: offerings.collect(),
            edge_zones: placement::edge_zones(config).map(|lookup| lookup_cache.answer(&lookup)),
            subnets: has_subnets.then(|| lookup_cache.answer(&subnets(config)).map(by_id)),
            hosted_zone: config
                .aws
                .hosted_zone
                .as_ref()
                .map(|id| lookup_cache.answer(&hosted_zone(id))),
            hosts: dedicated_hosts(config).map(|lookup| {
                let facts: Parsed<Vec<DedicatedHostFact>> = lookup_cache.answer(&lookup);
                facts.map(|facts| facts.into_iter().map(|host| (host.id.clone(), host)).collect())
            }),
            public_zone: public_zone(config).map(|lookup| lookup_cache.answer(&lookup)),
        }
    }
}

/// Read access to the lookup cache.
#[derive(Clone, Copy)]
pub(crate) struct LookupView<'a>(&'a BTreeMap<String, Value>);

impl<'a> LookupView<'a> {
    pub(crate) fn new(lookup_cache: &'a BTreeMap<String, Value>) -> Self {
        Self(lookup_cache)
    }

    /// Returns the lookup result as JSON. `None` if the lookup has no result yet.
    pub(crate) fn get(&self, lookup: &Lookup) -> Option<&'a Value> {
        self.0.get(&lookup.key())
    }

    /// Returns the lookup result in the type that the variant of [`Lookup`] documents.
    pub(crate) fn answer<T: DeserializeOwned>(&self, lookup: &Lookup) -> Result<T, CompileError> {
        let key = lookup.key();
        let Some(answer) = self.0.get(&key) else {
            return Err(CompileError::Unanswered { lookup: key });
        };
        T::deserialize(answer)
            .map_err(|error| CompileError::Unreadable { lookup: key, why: error.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::example_cluster::ExampleCluster;
    use crate::topology::PlacedConfig;

    #[test]
    fn a_missing_answer_and_a_wrong_one_are_told_apart() {
        let lookup = Lookup::AvailabilityZones { region: "us-west-2".into() };
        let mut lookup_cache = BTreeMap::new();
        let read = |lookup_cache: &BTreeMap<String, Value>| {
            LookupView::new(lookup_cache).answer::<Vec<String>>(&lookup)
        };
        assert!(matches!(read(&lookup_cache), Err(CompileError::Unanswered { .. })));
        lookup_cache.insert(lookup.key(), Value::from(7));
        assert!(matches!(read(&lookup_cache), Err(CompileError::Unreadable { .. })));
        lookup_cache.insert(lookup.key(), Value::from(vec!["us-west-2a"]));
        assert_eq!(read(&lookup_cache), Ok(vec!["us-west-2a".to_owned()]));
    }

    #[test]
    fn an_unreadable_answer_is_an_error_only_where_it_is_used() {
        let world = ExampleCluster::existing_network();
        let mut lookup_cache = world.lookup_cache();
        let unused = Lookup::AvailabilityZones { region: "us-west-2".into() };
        assert!(lookup_cache.insert(unused.key(), Value::from(7)).is_none());
        let resolve = |lookup_cache: &BTreeMap<String, Value>| {
            let placed = PlacedConfig::of(&world.config, lookup_cache);
            placed.resolve(&world.cluster, &world.assets, &world.options)
        };
        resolve(&lookup_cache).unwrap();
        lookup_cache.insert(subnets(&world.config).key(), Value::from(7));
        let errors = resolve(&lookup_cache).unwrap_err();
        assert!(matches!(errors[..], [CompileError::Unreadable { .. }, ..]), "{errors:?}");
    }
}
