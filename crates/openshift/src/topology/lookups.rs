//! Lookups that compiling a config needs.
//!
//! The lookup cache in the state keeps their results by key, so that the same config compiles to
//! the same graph later. Makes no calls; the caller runs the lookups with a provider. Results that
//! [`super::compile`] rejects should not be kept.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::SubnetId;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{CompileError, CompileOptions, image, placement};
use crate::install_config::{InstallConfig, Publish};
pub use groundplan_aws::lookups::lookup::{
    HostedZoneFact, ImageFact, InstanceTypeFact, InstanceTypes, Lookup, Offerings,
    SecurityGroupVpcs, SubnetFact, SubnetReach,
};

/// Returns the lookups that compiling this config needs and that `lookup_cache` has no result for. A
/// single round suffices, because no lookup depends on the result of another one.
pub fn needed_lookups(
    config: &InstallConfig,
    lookup_cache: &BTreeMap<String, Value>,
    options: &CompileOptions,
) -> Vec<Lookup> {
    let mut lookups = BTreeSet::new();
    lookups.extend(placement::needed_lookups(config));
    lookups.extend(image::lookup(config, options));
    if !config.aws.subnets.is_empty() {
        lookups.insert(subnets(config));
    }
    if let Some(id) = &config.aws.hosted_zone {
        lookups.insert(Lookup::HostedZone { id: id.clone() });
    }
    if config.publish == Publish::External {
        lookups.insert(Lookup::PublicZone { domain: config.base_domain.clone() });
    }
    lookups.into_iter().filter(|lookup| !lookup_cache.contains_key(&lookup.key())).collect()
}

pub(crate) fn subnets(config: &InstallConfig) -> Lookup {
    let ids: BTreeSet<SubnetId> = config.aws.subnets.iter().cloned().collect();
    let region = config.aws.region.clone();
    Lookup::Subnets { region, ids: ids.into_iter().collect() }
}

/// Read access to the lookup cache.
#[derive(Clone, Copy)]
pub(crate) struct LookupCache<'a>(&'a BTreeMap<String, Value>);

impl<'a> LookupCache<'a> {
    pub(crate) fn new(lookup_cache: &'a BTreeMap<String, Value>) -> Self {
        Self(lookup_cache)
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

    #[test]
    fn a_missing_answer_and_a_wrong_one_are_told_apart() {
        let lookup = Lookup::AvailabilityZones { region: "us-west-2".into() };
        let mut lookup_cache = BTreeMap::new();
        let read = |lookup_cache: &BTreeMap<String, Value>| {
            LookupCache::new(lookup_cache).answer::<Vec<String>>(&lookup)
        };
        assert!(matches!(read(&lookup_cache), Err(CompileError::Unanswered { .. })));
        lookup_cache.insert(lookup.key(), Value::from(7));
        assert!(matches!(read(&lookup_cache), Err(CompileError::Unreadable { .. })));
        lookup_cache.insert(lookup.key(), Value::from(vec!["us-west-2a"]));
        assert_eq!(read(&lookup_cache), Ok(vec!["us-west-2a".to_owned()]));
    }
}
