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

use groundplan_aws::model::ids::{HostedZoneId, SecurityGroupId};
use groundplan_engine::state::State;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::error::Size;
use super::existing::Existing;
use super::image::{self, Candidate};
use super::placement::{self, Place, Pool};
use super::{Error, Errors, existing};
use crate::install_config::{InstallConfig, Publish};
use crate::topology::lookups::{
    Facts, Groups, HostedZoneFact, ImageFact, InstanceTypes, Offerings, Question,
};

/// Returns the lookups that the checks need in addition to the lookup cache `facts`.
pub fn questions(
    config: &InstallConfig,
    facts: &BTreeMap<String, Value>,
    state: &State,
) -> Vec<Question> {
    let nothing = BTreeMap::new();
    let checks = Checks::new(config, facts, &nothing, state);
    let questions: BTreeSet<Question> = checks.questions().collect();
    questions.into_iter().filter(|question| !facts.contains_key(&question.key())).collect()
}

/// Returns all errors in the lookup results. A missing result skips its check.
pub fn check(
    config: &InstallConfig,
    facts: &BTreeMap<String, Value>,
    answers: &BTreeMap<String, Value>,
    state: &State,
) -> Vec<Error> {
    let checks = Checks::new(config, facts, answers, state);
    let mut errors = Errors::default();
    checks.zones(&mut errors);
    checks.types(&mut errors);
    checks.offers(&mut errors);
    checks.images(&mut errors);
    checks.groups(&mut errors);
    checks.roles(&mut errors);
    checks.names(&mut errors);
    errors.0
}

/// Minimum sizes of openshift-install, `controlPlaneReq` and `computeReq`.
const MASTER: Size = Size { vcpus: 4, memory_mib: 16_384 };
const WORKER: Size = Size { vcpus: 2, memory_mib: 8_192 };

struct Checks<'a> {
    config: &'a InstallConfig,
    facts: &'a BTreeMap<String, Value>,
    answers: &'a BTreeMap<String, Value>,
    made: Made<'a>,
    existing: Option<Existing>,
    /// Pools with zones and a type, and without recorded machines.
    pools: Vec<(Pool<'a>, Place)>,
}

impl<'a> Checks<'a> {
    fn new(
        config: &'a InstallConfig,
        facts: &'a BTreeMap<String, Value>,
        answers: &'a BTreeMap<String, Value>,
        state: &'a State,
    ) -> Self {
        // Errors of the network are discarded here, because the compiler reports them.
        let (mut said, mut warned) = (Errors::default(), Vec::new());
        let known = Facts::new(facts);
        let existing = existing::find(config, &known, &mut said);
        let pools = placement::places(config, &known, existing.as_ref(), &mut said, &mut warned);
        let made = Made(state);
        let open = |(pool, place): (Pool<'a>, Option<Place>)| {
            let place = place?;
            (!made.has_pool(config, &pool, &place)).then_some((pool, place))
        };
        let pools = pools.into_iter().filter_map(open).collect();
        Self { config, facts, answers, made, existing, pools }
    }

    fn questions(&self) -> impl Iterator<Item = Question> {
        let pools = || self.pools.iter().map(|(pool, _)| pool);
        let zones = pools().filter(|pool| self.names_zones(pool));
        let zones = zones.map(|_| placement::availability_zones(self.config));
        let offers = pools().map(|pool| pool.offerings(self.config));
        let images = self.worker_images().into_iter().map(|(_, question)| question);
        let roles = self.iam().into_iter().map(|(_, question)| question);
        let names = self.zones_of_names().into_iter().map(|zone| self.records(zone));
        zones
            .chain((!self.pools.is_empty()).then(|| self.instance_types()))
            .chain(offers)
            .chain(images)
            .chain(self.security_groups())
            .chain(roles)
            .chain(names)
    }

    /// Returns the lookup result from the cache or from `answers`. `None` if there is none or AWS
    /// returned no result.
    fn answer<T: DeserializeOwned>(&self, question: &Question) -> Option<T> {
        let key = question.key();
        let answer = self.facts.get(&key).or_else(|| self.answers.get(&key))?;
        T::deserialize(answer).ok()
    }

    fn region(&self) -> String {
        self.config.aws.region.clone()
    }

    /// Returns true if the zones of the pool need a check. With existing subnets, the compiler
    /// checks that each zone has one.
    fn names_zones(&self, pool: &Pool) -> bool {
        !pool.zones_are_open() && self.config.aws.subnets.is_empty()
    }

    fn available(&self) -> Option<BTreeSet<String>> {
        self.answer(&placement::availability_zones(self.config))
    }

    fn zones(&self, errors: &mut Errors) {
        let Some(available) = self.available() else { return };
        for (pool, _) in self.pools.iter().filter(|(pool, _)| self.names_zones(pool)) {
            for (index, zone) in pool.machines.aws.zones.iter().enumerate() {
                if !available.contains(zone) {
                    let field = format!("{}[{index}]", pool.zones_field());
                    let (zone, region) = (zone.clone(), self.region());
                    errors.add(Error::ZoneUnavailable { field, zone, region });
                }
            }
        }
    }

    fn instance_types(&self) -> Question {
        let types = self.pools.iter().map(|(_, place)| place.instance_type.clone());
        let types: BTreeSet<String> = types.collect();
        Question::InstanceTypes { region: self.region(), types: types.into_iter().collect() }
    }

    fn types(&self, errors: &mut Errors) {
        let Some(types) = self.answer::<InstanceTypes>(&self.instance_types()) else { return };
        for (pool, place) in &self.pools {
            let field = || format!("{}.platform.aws.type", pool.field);
            let instance_type = place.instance_type.clone();
            let Some(fact) = types.get(&instance_type) else {
                let region = self.region();
                errors.add(Error::TypeUnknown { field: field(), instance_type, region });
                continue;
            };
            let found = Size { vcpus: fact.vcpus, memory_mib: fact.memory_mib };
            let least = if pool.is_control_plane() { MASTER } else { WORKER };
            if found.vcpus < least.vcpus || found.memory_mib < least.memory_mib {
                let instance_type = instance_type.clone();
                errors.add(Error::TypeTooSmall { field: field(), instance_type, found, least });
            }
            let wanted = image::called(pool.machines.architecture);
            if !fact.architectures.contains(wanted) {
                let found = fact.architectures.iter().cloned().collect::<Vec<_>>().join(", ");
                errors.add(Error::TypeArchitecture {
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
    fn offers(&self, errors: &mut Errors) {
        let exists = |zone: &String| self.available().is_none_or(|all| all.contains(zone));
        let types: Option<InstanceTypes> = self.answer(&self.instance_types());
        for (pool, Place { zones, instance_type }) in &self.pools {
            let known = types.as_ref().is_none_or(|types| types.contains_key(instance_type));
            let offerings: Option<Offerings> = self.answer(&pool.offerings(self.config));
            let Some(offerings) = offerings.filter(|_| known) else { continue };
            let offered = offerings.get(instance_type).cloned().unwrap_or_default();
            for (index, zone) in zones.iter().enumerate() {
                if offered.contains(zone) || self.names_zones(pool) && !exists(zone) {
                    continue;
                }
                let field = match pool.zones_are_open() {
                    true => format!("{}.platform.aws.type", pool.field),
                    false => format!("{}[{index}]", pool.zones_field()),
                };
                let (instance_type, zone) = (instance_type.clone(), zone.clone());
                errors.add(Error::NotOffered { field, instance_type, zone });
            }
        }
    }

    /// Returns the lookups of worker images. The image of the masters is in the lookup cache, and
    /// the compiler checks it.
    fn worker_images(&self) -> Vec<(&Pool<'a>, Question)> {
        let workers = self.pools.iter().map(|(pool, _)| pool);
        let workers = workers.filter(|pool| !pool.is_control_plane() && pool.machines.replicas > 0);
        let asked = workers.filter_map(|pool| {
            let id = pool.machines.aws.ami_id.clone()?;
            Some((pool, Question::Image { region: self.region(), id }))
        });
        asked.collect()
    }

    fn images(&self, errors: &mut Errors) {
        for (pool, question) in self.worker_images() {
            let Question::Image { id, region } = &question else { continue };
            let Some(fact) = self.answer::<Option<ImageFact>>(&question) else { continue };
            if fact.is_none() && self.config.control_plane.aws.ami_id.as_ref() == Some(id) {
                continue; // already reported for the masters
            }
            let field = format!("{}.platform.aws.amiID", pool.field);
            let image = Candidate { id, region, field: &field };
            errors.keep(image.check(fact, pool.machines.architecture));
        }
    }

    /// Returns the additional security groups that no recorded machine uses, with the fields that
    /// name them.
    fn additional_groups(&self) -> Vec<(String, SecurityGroupId)> {
        let of_pool = |(pool, _): &(Pool, _)| {
            let groups = pool.machines.aws.additional_security_groups.iter().enumerate();
            let field =
                |index| format!("{}.platform.aws.additionalSecurityGroupIDs[{index}]", pool.field);
            groups.map(|(index, id)| (field(index), id.clone())).collect::<Vec<_>>()
        };
        let named = self.every_pool();
        let named = named.iter().flat_map(of_pool);
        named.filter(|(_, id)| !self.made.is_used("groups", id.as_str())).collect()
    }

    /// Returns the pools without recorded machines, and always the masters, whose groups, roles and
    /// profiles can change later.
    fn every_pool(&self) -> Vec<(Pool<'a>, ())> {
        let open = |pool: &Pool| {
            pool.is_control_plane() || self.pools.iter().any(|(other, _)| other.field == pool.field)
        };
        let pools = placement::pools(self.config).into_iter();
        pools.filter(open).map(|pool| (pool, ())).collect()
    }

    fn security_groups(&self) -> Option<Question> {
        let ids: BTreeSet<_> = self.additional_groups().into_iter().map(|(_, id)| id).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        (!ids.is_empty()).then(|| Question::SecurityGroups { region: self.region(), ids })
    }

    fn groups(&self, errors: &mut Errors) {
        let Some(question) = self.security_groups() else { return };
        let Some(groups) = self.answer::<Groups>(&question) else { return };
        let vpc = self.existing.as_ref().map(|existing| &existing.vpc);
        for (field, id) in self.additional_groups() {
            match (groups.get(&id), vpc) {
                (None, _) => {
                    errors.add(Error::GroupNotFound { field, id, region: self.region() });
                }
                (Some(its_vpc), Some(vpc)) if its_vpc != vpc => {
                    let (its_vpc, vpc) = (its_vpc.clone(), vpc.clone());
                    errors.add(Error::GroupElsewhere { field, id, its_vpc, vpc });
                }
                _ => {}
            }
        }
    }

    /// Returns the lookups of existing roles and profiles that no recorded resource uses.
    fn iam(&self) -> Vec<(String, Question)> {
        let of_pool = |(pool, ()): &(Pool, ())| {
            let aws = &pool.machines.aws;
            let role =
                aws.iam_role.clone().filter(|name| !self.made.is_used("role", name.as_str()));
            let role = role.map(|name| ("iamRole", Question::Role { name }));
            let profile = aws.iam_profile.clone();
            let profile = profile.filter(|name| !self.made.is_used("profile", name.as_str()));
            let profile = profile.map(|name| ("iamProfile", Question::InstanceProfile { name }));
            let field = |name| format!("{}.platform.aws.{name}", pool.field);
            role.into_iter()
                .chain(profile)
                .map(|(name, one)| (field(name), one))
                .collect::<Vec<_>>()
        };
        self.every_pool().iter().flat_map(of_pool).collect()
    }

    fn roles(&self, errors: &mut Errors) {
        for (field, question) in self.iam() {
            if self.answer(&question) != Some(false) {
                continue;
            }
            let (what, name) = match question {
                Question::Role { name } => ("role", name.0),
                Question::InstanceProfile { name } => ("instance profile", name.0),
                _ => continue,
            };
            errors.add(Error::IamNotFound { field, what, name });
        }
    }

    /// Returns the hosted zones that are not the cluster's own and have no recorded record of the
    /// cluster.
    fn zones_of_names(&self) -> Vec<HostedZoneId> {
        let private = self.config.aws.hosted_zone.clone().filter(|id| {
            self.answer::<Option<HostedZoneFact>>(&Question::HostedZone { id: id.clone() })
                .flatten()
                .is_some()
        });
        let domain = self.config.base_domain.clone();
        let public: Option<Option<HostedZoneId>> = match self.config.publish {
            Publish::External => self.answer(&Question::PublicZone { domain }),
            Publish::Internal => None,
        };
        let zones = private.into_iter().chain(public.flatten());
        zones.filter(|zone| !self.made.is_used("zone", zone.as_str())).collect()
    }

    fn records(&self, zone: HostedZoneId) -> Question {
        Question::RecordsBelow { zone, domain: self.config.cluster_domain() }
    }

    /// Reports a second cluster with the same name and base domain.
    fn names(&self, errors: &mut Errors) {
        for zone in self.zones_of_names() {
            let records: Option<Vec<String>> = self.answer(&self.records(zone.clone()));
            if let Some(record) = records.unwrap_or_default().into_iter().next() {
                let domain = self.config.cluster_domain();
                errors.add(Error::NameTaken { zone, record, domain });
            }
        }
    }
}

/// Recorded resources, which need no checks.
struct Made<'a>(&'a State);

impl Made<'_> {
    /// Returns true if all masters are recorded. The pool of the masters also requires the recorded
    /// type to match. Workers follow the masters, because groundplan does not create workers.
    fn has_pool(&self, config: &InstallConfig, pool: &Pool, place: &Place) -> bool {
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
