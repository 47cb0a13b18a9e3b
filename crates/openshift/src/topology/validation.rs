//! Online checks before the first change: whether AWS has the resources that the config names, and
//! whether they are suitable. The results have no effect on the graph.
//!
//! The rules are those of openshift-install (`pkg/asset/installconfig/aws/validation.go`,
//! release-4.15). The checks are a pure function of the config and the lookup results. Lookup
//! results of checks are never kept, unlike the [lookup cache](crate::topology::lookups), because the checked
//! resources may change. Recorded resources need no lookup, so that a finished cluster costs no
//! calls.
//!
//! Two conditions are not checked. EC2 has no query for the permission of EBS to use a KMS key; the
//! creation of the volume reports it. The endpoints of `serviceEndpoints` need no check, because
//! groundplan calls all that it uses.

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::kinds::elastic_ip::ElasticIp;
use groundplan_aws::model::ids::{HostedZoneId, SecurityGroupId};
use groundplan_engine::graph::Resource;
use groundplan_engine::state::State;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::{BOUNDARY, Size};
use super::image::{self, NamedImage};
use super::placement::{self, PoolField, PoolPlacement};
use super::{CompileError, CompileErrors, PlacedConfig};
use crate::install_config::{InstallConfig, Publish};
use crate::topology::lookups::{
    HostedZoneFact, ImageFact, InstanceTypes, Lookup, Offerings, PolicyFact, SecurityGroupVpcs,
};

/// Returns the lookups that the checks need in addition to the lookup cache.
pub fn needed_lookups(
    config: &InstallConfig,
    lookup_cache: &BTreeMap<String, Value>,
    state: &State,
) -> Vec<Lookup> {
    let placed = PlacedConfig::of(config, lookup_cache);
    let nothing = BTreeMap::new();
    let lookups: BTreeSet<Lookup> = Checks::new(&placed, &nothing, state).lookups().collect();
    let is_new = |lookup: &Lookup| placed.lookup_cache.get(lookup).is_none();
    lookups.into_iter().filter(is_new).collect()
}

/// Returns all errors in the lookup results, as [`PlacedConfig::check`] does.
pub fn check(
    config: &InstallConfig,
    lookup_cache: &BTreeMap<String, Value>,
    answers: &BTreeMap<String, Value>,
    state: &State,
) -> Vec<CompileError> {
    PlacedConfig::of(config, lookup_cache).check(answers, state)
}

impl PlacedConfig<'_> {
    /// Returns all errors in the results of the lookups for checks. A missing result skips its
    /// check.
    pub fn check(&self, answers: &BTreeMap<String, Value>, state: &State) -> Vec<CompileError> {
        let checks = Checks::new(self, answers, state);
        let mut errors = CompileErrors::default();
        checks.zones(&mut errors);
        checks.types(&mut errors);
        checks.offers(&mut errors);
        checks.images(&mut errors);
        checks.owners(&mut errors);
        checks.groups(&mut errors);
        checks.roles(&mut errors);
        checks.permissions_boundary(&mut errors);
        checks.public_pool(&mut errors);
        checks.hosted_zone_role(&mut errors);
        checks.names(&mut errors);
        errors.0
    }
}

/// Minimum sizes of openshift-install, `controlPlaneReq` and `computeReq`.
const MASTER: Size = Size { vcpus: 4, memory_mib: 16_384 };
const WORKER: Size = Size { vcpus: 2, memory_mib: 8_192 };

struct Checks<'a> {
    config: &'a InstallConfig,
    placed: &'a PlacedConfig<'a>,
    answers: &'a BTreeMap<String, Value>,
    made: RecordedResources<'a>,
    /// Pools with zones and a type, and without recorded machines.
    pools: Vec<(&'a PoolField<'a>, &'a PoolPlacement)>,
}

impl<'a> Checks<'a> {
    fn new(
        placed: &'a PlacedConfig<'a>,
        answers: &'a BTreeMap<String, Value>,
        state: &'a State,
    ) -> Self {
        let (config, made) = (placed.config, RecordedResources(state));
        let pools = placed.pools.iter().filter_map(|(pool, place)| Some((pool, place.as_ref()?)));
        let pools = pools.filter(|(pool, place)| !made.has_pool(config, pool, place)).collect();
        Self { config, placed, answers, made, pools }
    }

    fn lookups(&self) -> impl Iterator<Item = Lookup> {
        let pools = || self.pools.iter().map(|(pool, _)| pool);
        let zones = pools().filter(|pool| self.names_zones(pool));
        let zones = zones.map(|_| placement::availability_zones(self.config));
        let offers = pools().map(|pool| pool.offerings(self.config));
        let images = self.worker_images().into_iter().map(|(_, lookup)| lookup);
        let roles = self.iam().into_iter().map(|(_, lookup)| lookup);
        let names = self.zones_of_names().into_iter().map(|zone| self.records(zone));
        zones
            .chain((!self.pools.is_empty()).then(|| self.instance_types()))
            .chain(offers)
            .chain(images)
            .chain(self.security_groups())
            .chain(roles)
            .chain(self.boundary())
            .chain(self.public_ipv4_pool().map(|(lookup, _)| lookup))
            .chain(self.assumed_role())
            .chain(names)
    }

    /// Returns the lookup result from the cache or from `answers`. `None` if there is none or AWS
    /// returned no result.
    fn answer<T: DeserializeOwned>(&self, lookup: &Lookup) -> Option<T> {
        let known = self.placed.lookup_cache.get(lookup);
        let answer = known.or_else(|| self.answers.get(&lookup.key()))?;
        T::deserialize(answer).ok()
    }

    fn region(&self) -> String {
        self.config.aws.region.clone()
    }

    /// Returns true if the zones of the pool need a check. With existing subnets, the compiler
    /// checks that each zone has one. It also checks the zones of edge pools.
    fn names_zones(&self, pool: &PoolField) -> bool {
        let is_new = self.config.aws.subnets.is_empty();
        !pool.zones_are_open() && is_new && !pool.machines.is_edge()
    }

    fn available(&self) -> Option<BTreeSet<String>> {
        self.answer(&placement::availability_zones(self.config))
    }

    fn zones(&self, errors: &mut CompileErrors) {
        let Some(available) = self.available() else { return };
        for (pool, _) in self.pools.iter().filter(|(pool, _)| self.names_zones(pool)) {
            for (index, zone) in pool.machines.aws.zones.iter().enumerate() {
                if !available.contains(zone) {
                    let field = format!("{}[{index}]", pool.zones_field());
                    let (zone, region) = (zone.clone(), self.region());
                    errors.add(CompileError::ZoneUnavailable { field, zone, region });
                }
            }
        }
    }

    fn instance_types(&self) -> Lookup {
        let types = self.pools.iter().flat_map(|(_, place)| place.all_types());
        let types: BTreeSet<String> = types.map(str::to_owned).collect();
        Lookup::InstanceTypes { region: self.region(), types: types.into_iter().collect() }
    }

    fn types(&self, errors: &mut CompileErrors) {
        let Some(types) = self.answer::<InstanceTypes>(&self.instance_types()) else { return };
        let all = self.pools.iter().flat_map(|(pool, place)| {
            place.all_types().into_iter().map(move |instance_type| (pool, instance_type.to_owned()))
        });
        for (pool, instance_type) in all {
            let field = || format!("{}.platform.aws.type", pool.field);
            let Some(fact) = types.get(&instance_type) else {
                let region = self.region();
                errors.add(CompileError::TypeUnknown { field: field(), instance_type, region });
                continue;
            };
            let found = Size { vcpus: fact.vcpus, memory_mib: fact.memory_mib };
            let least = if pool.is_control_plane() { MASTER } else { WORKER };
            if found.vcpus < least.vcpus || found.memory_mib < least.memory_mib {
                let instance_type = instance_type.clone();
                errors.add(CompileError::TypeTooSmall {
                    field: field(),
                    instance_type,
                    found,
                    least,
                });
            }
            let wanted = image::called(pool.machines.architecture);
            if !fact.architectures.contains(wanted) {
                let found = fact.architectures.iter().cloned().collect::<Vec<_>>().join(", ");
                errors.add(CompileError::TypeArchitecture {
                    field: field(),
                    instance_type,
                    found,
                    wanted,
                });
            }
        }
    }

    /// Reports zones that do not offer the type. Zones that groundplan chooses in a new network
    /// always offer it.
    fn offers(&self, errors: &mut CompileErrors) {
        let exists = |zone: &String| self.available().is_none_or(|all| all.contains(zone));
        let types: Option<InstanceTypes> = self.answer(&self.instance_types());
        for (pool, place) in &self.pools {
            let offerings: Option<Offerings> = self.answer(&pool.offerings(self.config));
            let Some(offerings) = offerings else { continue };
            for (index, zone) in place.zones.iter().enumerate() {
                let instance_type = place.type_in(zone);
                if types.as_ref().is_some_and(|types| !types.contains_key(instance_type)) {
                    continue;
                }
                let offered = offerings.get(instance_type).cloned().unwrap_or_default();
                if offered.contains(zone) || self.names_zones(pool) && !exists(zone) {
                    continue;
                }
                let field = match pool.zones_are_open() {
                    true => format!("{}.platform.aws.type", pool.field),
                    false => format!("{}[{index}]", pool.zones_field()),
                };
                let (instance_type, zone) = (instance_type.to_owned(), zone.clone());
                errors.add(CompileError::NotOffered { field, instance_type, zone });
            }
        }
    }

    /// Returns the lookups of worker images. The image of the masters is in the lookup cache, and
    /// the compiler checks it.
    fn worker_images(&self) -> Vec<(&'a PoolField<'a>, Lookup)> {
        let workers = self.pools.iter().map(|(pool, _)| *pool);
        let workers = workers.filter(|pool| {
            !pool.is_control_plane() && (pool.machines.replicas > 0 || pool.machines.is_edge())
        });
        let asked = workers.filter_map(|pool| {
            let id = pool.machines.aws.ami_id.clone()?;
            Some((pool, Lookup::Image { region: self.region(), id }))
        });
        asked.collect()
    }

    fn images(&self, errors: &mut CompileErrors) {
        for (pool, lookup) in self.worker_images() {
            let Lookup::Image { id, region } = &lookup else { continue };
            let Some(fact) = self.answer::<Option<ImageFact>>(&lookup) else { continue };
            if fact.is_none() && self.config.control_plane.aws.ami_id.as_ref() == Some(id) {
                continue; // already reported for the masters
            }
            let field = format!("{}.platform.aws.amiID", pool.field);
            let image = NamedImage { id, region, field: &field };
            errors.keep(image.check(fact, pool.machines.architecture));
        }
    }

    /// Returns the additional security groups that no recorded machine uses, with the fields that
    /// name them.
    fn additional_groups(&self) -> Vec<(String, SecurityGroupId)> {
        let of_pool = |pool: &PoolField| {
            let groups = pool.machines.aws.additional_security_groups.iter().enumerate();
            let field =
                |index| format!("{}.platform.aws.additionalSecurityGroupIDs[{index}]", pool.field);
            groups.map(|(index, id)| (field(index), id.clone())).collect::<Vec<_>>()
        };
        let named = self.every_pool().flat_map(of_pool);
        named.filter(|(_, id)| !self.made.is_used("groups", id.as_str())).collect()
    }

    /// Returns the pools without recorded machines, and always the masters, whose groups, roles and
    /// profiles can change later.
    fn every_pool(&self) -> impl Iterator<Item = &'a PoolField<'a>> {
        let open = |pool: &&PoolField| {
            pool.is_control_plane() || self.pools.iter().any(|(other, _)| other.field == pool.field)
        };
        self.placed.pools.iter().map(|(pool, _)| pool).filter(open)
    }

    /// Reports subnets and VPCs that another cluster owns. A VPC is reported once, and only if its
    /// listed subnets have no other owner.
    fn owners(&self, errors: &mut CompileErrors) {
        let Some(Ok(known)) = &self.placed.lookups.subnets else { return };
        let own = self.made.0.cluster.as_ref().map(|cluster| cluster.infra_id.as_str());
        let listed = self.config.aws.subnets.iter().enumerate();
        let listed: Vec<_> =
            listed.filter_map(|(index, id)| Some((index, known.get(id)?))).collect();
        let mut told = BTreeSet::new();
        let owned = |(index, what, id, owner): (usize, &'static str, &str, &String)| {
            let (id, owner) = (id.to_owned(), owner.clone());
            CompileError::NetworkOwned { index, what, id, owner }
        };
        for (index, subnet) in &listed {
            for owner in subnet.owners.iter().filter(|owner| own != Some(owner)) {
                told.insert(owner);
                errors.add(owned((*index, "subnet", subnet.id.as_str(), owner)));
            }
        }
        for (index, subnet) in &listed {
            for owner in subnet.vpc_owners.iter().filter(|owner| own != Some(owner)) {
                if told.insert(owner) {
                    errors.add(owned((*index, "VPC", subnet.vpc.as_str(), owner)));
                }
            }
        }
    }

    fn security_groups(&self) -> Option<Lookup> {
        let ids: BTreeSet<_> = self.additional_groups().into_iter().map(|(_, id)| id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        (!ids.is_empty()).then(|| Lookup::SecurityGroups { region: self.region(), ids })
    }

    fn groups(&self, errors: &mut CompileErrors) {
        let Some(lookup) = self.security_groups() else { return };
        let Some(groups) = self.answer::<SecurityGroupVpcs>(&lookup) else { return };
        let vpc = self.placed.existing.as_ref().map(|existing| &existing.vpc);
        for (field, id) in self.additional_groups() {
            match (groups.get(&id), vpc) {
                (None, _) => {
                    errors.add(CompileError::GroupNotFound { field, id, region: self.region() });
                }
                (Some(its_vpc), Some(vpc)) if its_vpc != vpc => {
                    let (its_vpc, vpc) = (its_vpc.clone(), vpc.clone());
                    errors.add(CompileError::GroupElsewhere { field, id, its_vpc, vpc });
                }
                _ => {}
            }
        }
    }

    /// Returns the lookups of existing roles and profiles that no recorded resource uses.
    fn iam(&self) -> Vec<(String, Lookup)> {
        let of_pool = |pool: &PoolField| {
            let aws = &pool.machines.aws;
            let role =
                aws.iam_role.clone().filter(|name| !self.made.is_used("role", name.as_str()));
            let role = role.map(|name| ("iamRole", Lookup::Role { name }));
            let profile = aws.iam_profile.clone();
            let profile = profile.filter(|name| !self.made.is_used("profile", name.as_str()));
            let profile = profile.map(|name| ("iamProfile", Lookup::InstanceProfile { name }));
            let field = |name| format!("{}.platform.aws.{name}", pool.field);
            role.into_iter()
                .chain(profile)
                .map(|(name, one)| (field(name), one))
                .collect::<Vec<_>>()
        };
        self.every_pool().flat_map(of_pool).collect()
    }

    fn roles(&self, errors: &mut CompileErrors) {
        for (field, lookup) in self.iam() {
            if self.answer(&lookup) != Some(false) {
                continue;
            }
            let (what, name) = match lookup {
                Lookup::Role { name } => ("role", name.0),
                Lookup::InstanceProfile { name } => ("instance profile", name.0),
                _ => continue,
            };
            errors.add(CompileError::IamNotFound { field, what, name });
        }
    }

    /// Returns the lookup of the permissions boundary, unless a recorded role has it.
    fn boundary(&self) -> Option<Lookup> {
        let arn = self.config.aws.permissions_boundary.clone();
        let arn = arn.filter(|arn| !self.made.is_used("permissions_boundary", arn.as_str()))?;
        Some(Lookup::Policy { arn })
    }

    /// Reports a permissions boundary that no role of the account can have. A policy that the
    /// credentials may not read is not reported.
    fn permissions_boundary(&self, errors: &mut CompileErrors) {
        let Some(lookup) = self.boundary() else { return };
        let Some(fact) = self.answer::<PolicyFact>(&lookup) else { return };
        let Lookup::Policy { arn } = lookup else { return };
        let account = arn.parts().and_then(|parts| parts.account);
        if account.is_some_and(|account| account != fact.account) {
            let account = fact.account;
            errors.add(CompileError::BoundaryElsewhere { arn, account });
        } else if fact.exists == Some(false) {
            let field = BOUNDARY.to_owned();
            errors.add(CompileError::IamNotFound { field, what: "policy", name: arn.0 });
        }
    }

    /// Returns the lookup of the pool of public addresses, and the number of addresses that the cluster
    /// still needs: one for each NAT gateway, and one for each subnet of the external load balancer.
    /// `None` if the cluster has all of them.
    fn public_ipv4_pool(&self) -> Option<(Lookup, u32)> {
        let id = self.config.aws.public_ipv4_pool.clone()?;
        let of_pool = |pool: &(PoolField, Option<PoolPlacement>)| {
            let place = pool.1.as_ref();
            place.map(|place| place.zones.clone()).unwrap_or_default()
        };
        let zones: BTreeSet<String> = self.placed.pools.iter().flat_map(of_pool).collect();
        let all = match &self.placed.existing {
            Some(existing) => existing.public.len(),
            None if self.placed.lookups.public_only => zones.len(),
            None => 2 * zones.len(),
        };
        let recorded = self.made.0.resources.iter().filter(|(address, record)| {
            address.kind() == ElasticIp::SCHEMA.kind && record.inputs["pool"] == *id.as_str()
        });
        let needed = all.saturating_sub(recorded.count());
        let lookup = Lookup::PublicIpv4Pool { region: self.region(), id };
        (needed > 0).then(|| (lookup, u32::try_from(needed).unwrap_or(u32::MAX)))
    }

    /// Returns the lookup of the permission to assume the role for the hosted zone. `None` if a recorded
    /// resource uses the role, because the refresh assumes it then.
    fn assumed_role(&self) -> Option<Lookup> {
        let arn = self.config.aws.hosted_zone_role.clone()?;
        (!self.made.is_used("hosted_zone_role", &arn)).then_some(Lookup::AssumedRole { arn })
    }

    fn hosted_zone_role(&self, errors: &mut CompileErrors) {
        let Some(lookup) = self.assumed_role() else { return };
        let is_denied = self.answer(&lookup) == Some(false);
        let Lookup::AssumedRole { arn } = lookup else { return };
        if is_denied {
            errors.add(CompileError::RoleNotAssumed { arn });
        }
    }

    fn public_pool(&self, errors: &mut CompileErrors) {
        let Some((lookup, needed)) = self.public_ipv4_pool() else { return };
        let Some(free) = self.answer::<Option<u32>>(&lookup) else { return };
        let Lookup::PublicIpv4Pool { region, id } = lookup else { return };
        match free {
            None => errors.add(CompileError::PoolNotFound { id, region }),
            Some(free) if free < needed => {
                errors.add(CompileError::PoolExhausted { id, free, needed });
            }
            Some(_) => {}
        }
    }

    /// Returns the hosted zones that are not the cluster's own and have no recorded record of the
    /// cluster.
    fn zones_of_names(&self) -> Vec<HostedZoneId> {
        let private = self.config.aws.hosted_zone.clone().filter(|id| {
            self.answer::<Option<HostedZoneFact>>(&Lookup::HostedZone { id: id.clone() })
                .flatten()
                .is_some()
        });
        let domain = self.config.base_domain.clone();
        let public: Option<Option<HostedZoneId>> = match self.config.publish {
            Publish::External => self.answer(&Lookup::PublicZone { domain }),
            Publish::Internal => None,
        };
        let zones = private.into_iter().chain(public.flatten());
        zones.filter(|zone| !self.made.is_used("zone", zone.as_str())).collect()
    }

    fn records(&self, zone: HostedZoneId) -> Lookup {
        Lookup::RecordsBelow { zone, domain: self.config.cluster_domain() }
    }

    /// Reports a second cluster with the same name and base domain.
    fn names(&self, errors: &mut CompileErrors) {
        for zone in self.zones_of_names() {
            let records: Option<Vec<String>> = self.answer(&self.records(zone.clone()));
            if let Some(record) = records.unwrap_or_default().into_iter().next() {
                let domain = self.config.cluster_domain();
                errors.add(CompileError::NameTaken { zone, record, domain });
            }
        }
    }
}

/// Recorded resources, which need no checks.
struct RecordedResources<'a>(&'a State);

impl RecordedResources<'_> {
    /// Returns true if all masters are recorded. The pool of the masters also requires the recorded
    /// type to match. Workers follow the masters, because groundplan does not create workers.
    fn has_pool(&self, config: &InstallConfig, pool: &PoolField, place: &PoolPlacement) -> bool {
        let masters = (0..config.control_plane.replicas)
            .map(|index| self.0.resources.get(&*format!("instance.master-{index}")));
        let is_like = |inputs: &Value| inputs["instance_type"] == *place.instance_type;
        { masters }.all(|master| {
            master.is_some_and(|master| !pool.is_control_plane() || is_like(&master.inputs))
        })
    }

    /// Returns true if an input of a recorded resource has or contains this value.
    fn is_used(&self, input: &str, value: &str) -> bool {
        self.0.resources.values().any(|record| match &record.inputs[input] {
            Value::Array(items) => items.iter().any(|item| item == value),
            one => one == value,
        })
    }
}
