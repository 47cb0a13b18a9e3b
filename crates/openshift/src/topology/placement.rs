//! Zones and instance types of the machine pools.
//!
//! Defaults are those of openshift-install (`pkg/asset/machines/{master,worker}.go`,
//! `pkg/types/aws/defaults/platform.go`).

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::DedicatedHostId;

use super::existing::Existing;
use super::{CompileError, CompileErrors};
use crate::install_config::{Architecture, InstallConfig, MachinePool};
use crate::topology::lookups::{ConfigLookups, Lookup, Offerings, Parsed, ZoneFacts};

/// Returns the placement of each pool. A pool without a placement does not affect the others.
pub(super) fn places(
    config: &InstallConfig,
    pools: &[PoolField],
    lookups: &ConfigLookups,
    existing: Option<&Existing>,
    errors: &mut CompileErrors,
    warnings: &mut Vec<String>,
) -> Vec<Option<PoolPlacement>> {
    let world = PlacementInputs { config, lookups, existing };
    let pools = pools.iter().zip(&lookups.offerings);
    pools.map(|(pool, offerings)| world.place(pool, offerings, errors, warnings)).collect()
}

/// Returns the lookups for the placement of this config.
///
/// `has_edge` is false if no existing subnet is in a Local or Wavelength Zone.
pub(crate) fn needed_lookups(config: &InstallConfig, has_edge: bool) -> Vec<Lookup> {
    let is_new = config.aws.subnets.is_empty();
    let open = |pool: &&PoolField| pool.zones_are_open() && is_new && !pool.machines.is_edge();
    let pools = pools(config, has_edge);
    let zones = pools.iter().find(|pool| open(pool)).map(|_| availability_zones(config));
    let offerings = pools
        .iter()
        .filter(|pool| open(pool) || pool.machines.aws.instance_type.is_none())
        .map(|pool| pool.offerings(config));
    zones.into_iter().chain(offerings).chain(edge_zones(config)).collect()
}

/// Returns the lookup of the Local and Wavelength Zones of a new network. `None` if no pool has any.
/// With existing subnets, the subnets have the zones.
pub(super) fn edge_zones(config: &InstallConfig) -> Option<Lookup> {
    let pools = config.compute.iter().filter(|pool| pool.is_edge());
    let names: BTreeSet<&String> = pools.flat_map(|pool| &pool.aws.zones).collect();
    let names: Vec<String> = names.into_iter().cloned().collect();
    let region = config.aws.region.clone();
    let is_open = names.is_empty() || !config.aws.subnets.is_empty();
    (!is_open).then_some(Lookup::Zones { region, names })
}

/// Returns the pool of the masters, followed by the pools of workers. With `has_edge`, the pool that
/// existing subnets in Local and Wavelength Zones imply comes last.
pub(super) fn pools(config: &InstallConfig, has_edge: bool) -> Vec<PoolField<'_>> {
    let masters = &config.control_plane;
    let first =
        PoolField { field: "controlPlane".into(), lone: masters.replicas == 1, machines: masters };
    let rest = config.compute.iter().enumerate().map(|(index, machines)| PoolField {
        field: format!("compute[{index}]"),
        lone: false,
        machines,
    });
    let implied = config.implied_edge.as_ref();
    let implied = implied.filter(|_| has_edge && !config.aws.subnets.is_empty());
    let implied =
        implied.map(|machines| PoolField { field: "compute".into(), lone: false, machines });
    [first].into_iter().chain(rest).chain(implied).collect()
}

pub(super) fn availability_zones(config: &InstallConfig) -> Lookup {
    Lookup::AvailabilityZones { region: config.aws.region.clone() }
}

/// A machine pool and its field in the config.
pub(super) struct PoolField<'a> {
    pub(super) field: String,
    /// True for a single master, which does the work of three and needs eight vCPU.
    lone: bool,
    pub(super) machines: &'a MachinePool,
}

impl PoolField<'_> {
    pub(super) fn zones_are_open(&self) -> bool {
        self.machines.aws.zones.is_empty()
    }

    pub(super) fn offerings(&self, config: &InstallConfig) -> Lookup {
        Lookup::InstanceTypeOfferings { region: config.aws.region.clone(), types: self.types() }
    }

    /// Returns the candidate types, best first.
    fn types(&self) -> Vec<String> {
        if let Some(instance_type) = &self.machines.aws.instance_type {
            return vec![instance_type.clone()];
        }
        let small = if self.lone { "2xlarge" } else { "xlarge" };
        let families: &[(&str, &str)] = match self.machines.architecture {
            Architecture::Amd64 => &[
                ("m6i", small),
                ("m5", small),
                ("r5", small),
                ("c5", "2xlarge"),
                ("m5", "2xlarge"),
                ("c5d", "2xlarge"),
                ("r5", "2xlarge"),
            ],
            Architecture::Arm64 => &[("m6g", small)],
        };
        let mut types = Vec::new();
        for (family, size) in families {
            let name = format!("{family}.{size}");
            if !types.contains(&name) {
                types.push(name);
            }
        }
        types
    }
}

/// The zones and the type of one pool.
pub(super) struct PoolPlacement {
    pub(super) zones: Vec<String>,
    /// Type of the machines, except in the zones of `types`.
    pub(super) instance_type: String,
    /// Types by zone: each zone of the edge pool has its own.
    pub(super) types: BTreeMap<String, String>,
    /// The zones of the edge pool. Empty for other pools.
    pub(super) edge: ZoneFacts,
    /// Dedicated Hosts by zone.
    pub(super) hosts: BTreeMap<String, DedicatedHostId>,
}

impl PoolPlacement {
    /// Returns the type of the machines in a zone.
    pub(super) fn type_in(&self, zone: &str) -> &str {
        self.types.get(zone).unwrap_or(&self.instance_type)
    }

    /// Returns the number of machines. An edge pool without a number has one in each zone.
    pub(super) fn replicas(&self, machines: &MachinePool) -> u32 {
        match machines.replicas {
            0 if machines.is_edge() => u32::try_from(self.zones.len()).unwrap_or_default(),
            given => given,
        }
    }

    /// Returns all types, each once.
    pub(super) fn all_types(&self) -> BTreeSet<&str> {
        let without_zones = self.zones.is_empty().then_some(&*self.instance_type);
        self.zones.iter().map(|zone| self.type_in(zone)).chain(without_zones).collect()
    }
}

struct PlacementInputs<'a> {
    config: &'a InstallConfig,
    lookups: &'a ConfigLookups,
    existing: Option<&'a Existing>,
}

impl PlacementInputs<'_> {
    fn place(
        &self,
        pool: &PoolField,
        offerings: &Parsed<Offerings>,
        errors: &mut CompileErrors,
        warnings: &mut Vec<String>,
    ) -> Option<PoolPlacement> {
        let zones = errors.keep(self.candidates(pool))?;
        if pool.machines.is_edge() {
            return self.place_edge(pool, offerings, zones, errors, warnings);
        }
        let instance_type = errors.keep(self.instance_type(pool, offerings, &zones, warnings))?;
        let zones = errors.keep(self.offering(pool, offerings, zones, &instance_type))?;
        for (index, zone) in zones.iter().enumerate() {
            if self.existing.is_some_and(|existing| !existing.private.contains_key(zone)) {
                let field = format!("{}[{index}]", pool.zones_field());
                let (zone, sort) = (zone.clone(), "private");
                errors.add(CompileError::NoSubnetInZone { field, zone, sort });
            }
        }
        let hosts = self.hosts(pool, &zones, errors);
        Some(PoolPlacement {
            zones,
            instance_type,
            types: BTreeMap::new(),
            edge: ZoneFacts::new(),
            hosts,
        })
    }

    /// Returns the Dedicated Hosts of the pool by zone. Reports missing ones, hosts outside the zones of
    /// the pool, and a second host of a zone.
    fn hosts(
        &self,
        pool: &PoolField,
        zones: &[String],
        errors: &mut CompileErrors,
    ) -> BTreeMap<String, DedicatedHostId> {
        let mut by_zone = BTreeMap::new();
        let Some(known) = &self.lookups.hosts else { return by_zone };
        let Some(known) = errors.keep(known.as_ref().map_err(Clone::clone)) else { return by_zone };
        for (index, id) in pool.machines.aws.dedicated_hosts.iter().enumerate() {
            let field =
                format!("{}.platform.aws.hostPlacement.dedicatedHost[{index}].id", pool.field);
            let id = id.clone();
            let Some(host) = known.get(&id) else {
                let region = self.config.aws.region.clone();
                errors.add(CompileError::HostNotFound { field, id, region });
                continue;
            };
            let zone = host.zone.clone();
            if let Some(owner) = host.owners.first() {
                let (field, owner) = (field.clone(), owner.clone());
                errors.add(CompileError::HostOwned { field, id: id.clone(), owner });
            }
            if !zones.contains(&zone) {
                errors.add(CompileError::HostElsewhere { field, id, zone });
            } else if let Some(first) = by_zone.get(&zone).cloned() {
                errors.add(CompileError::SecondHost { field, first, second: id, zone });
            } else {
                by_zone.insert(zone, id);
            }
        }
        by_zone
    }

    /// Returns the placement of the edge pool. Without a type in the config, each zone has the first
    /// candidate that the zone offers.
    fn place_edge(
        &self,
        pool: &PoolField,
        offerings: &Parsed<Offerings>,
        zones: Vec<String>,
        errors: &mut CompileErrors,
        warnings: &mut Vec<String>,
    ) -> Option<PoolPlacement> {
        if self.lookups.public_only {
            errors.add(CompileError::unsupported(
                pool.field.clone(),
                "an edge pool needs private subnets, and the machines of the cluster have public ones",
                "remove the pool, or `--machine-subnets public`",
            ));
            return None;
        }
        let edge = self.edge_facts(pool, &zones, errors)?;
        let candidates = pool.types();
        let (mut types, mut instance_type) = (BTreeMap::new(), candidates[0].clone());
        if pool.machines.aws.instance_type.is_none() {
            let offerings = errors.keep(offerings.as_ref().map_err(Clone::clone))?;
            for zone in &zones {
                let offers = |name: &&String| {
                    offerings.get(*name).is_some_and(|offering| offering.contains(zone))
                };
                match candidates.iter().find(offers) {
                    Some(found) => {
                        types.insert(zone.clone(), found.clone());
                    }
                    None => warnings.push(format!(
                        "{}.platform.aws.type: {zone} offers none of {}; {instance_type} is used",
                        pool.field,
                        candidates.join(", ")
                    )),
                }
            }
            // A pool with one type in all zones has it as its type.
            let distinct: BTreeSet<&String> = types.values().collect();
            if let (Some(only), true) =
                (distinct.first(), distinct.len() == 1 && types.len() == zones.len())
            {
                instance_type = (*only).clone();
            }
        }
        let hosts = BTreeMap::new(); // only pools in Availability Zones have them
        Some(PoolPlacement { zones, instance_type, types, edge, hosts })
    }

    /// Returns facts about the zones of the edge pool. `None` after an error.
    fn edge_facts(
        &self,
        pool: &PoolField,
        zones: &[String],
        errors: &mut CompileErrors,
    ) -> Option<ZoneFacts> {
        let field = |index: usize| format!("{}[{index}]", pool.zones_field());
        let known: ZoneFacts = match self.existing {
            Some(existing) => {
                let facts = existing.edge.iter();
                facts.map(|(zone, subnet)| (zone.clone(), subnet.zone.clone())).collect()
            }
            // A finding about the unsuitable subnets already exists.
            None if !self.config.aws.subnets.is_empty() => return None,
            None => errors.keep(self.lookups.edge_zones.clone()?)?,
        };
        if zones.is_empty() {
            errors.add(CompileError::NoEdgeZone { field: pool.zones_field() });
            return None;
        }
        let mut fit = true;
        for (index, zone) in zones.iter().enumerate() {
            let (field, zone) = (field(index), zone.clone());
            let error = match known.get(&zone) {
                None if self.existing.is_some() => {
                    CompileError::NoSubnetInZone { field, zone, sort: "edge" }
                }
                None => {
                    let region = self.config.aws.region.clone();
                    CompileError::EdgeZoneUnknown { field, zone, region }
                }
                Some(fact) if !fact.is_edge() => {
                    let zone_type = fact.zone_type.clone();
                    CompileError::NotEdgeZone { field, zone, zone_type }
                }
                Some(fact) if !fact.enabled => {
                    let group = fact.group.clone();
                    let region = self.config.aws.region.clone();
                    CompileError::ZoneNotEnabled { field, zone, group, region }
                }
                Some(_) => continue,
            };
            errors.add(error);
            fit = false;
        }
        fit.then(|| known.into_iter().filter(|(zone, _)| zones.contains(zone)).collect())
    }

    fn candidates(&self, pool: &PoolField) -> Result<Vec<String>, CompileError> {
        match self.existing {
            _ if !pool.zones_are_open() => Ok(pool.machines.aws.zones.clone()),
            Some(existing) if pool.machines.is_edge() => {
                Ok(existing.edge.keys().cloned().collect())
            }
            Some(existing) => Ok(existing.private.keys().cloned().collect()),
            // A finding about the unsuitable subnets already exists.
            None if !self.config.aws.subnets.is_empty() || pool.machines.is_edge() => {
                Ok(Vec::new())
            }
            None => self.lookups.availability_zones.clone(),
        }
    }

    /// Returns the configured type, or else the first that all zones offer.
    fn instance_type(
        &self,
        pool: &PoolField,
        offerings: &Parsed<Offerings>,
        zones: &[String],
        warnings: &mut Vec<String>,
    ) -> Result<String, CompileError> {
        if let Some(instance_type) = &pool.machines.aws.instance_type {
            return Ok(instance_type.clone());
        }
        let offerings = offerings.as_ref().map_err(Clone::clone)?;
        let everywhere = |name: &&String| {
            offerings.get(*name).is_some_and(|offering| {
                !zones.is_empty() && zones.iter().all(|zone| offering.contains(zone))
            })
        };
        let types = pool.types();
        if let Some(found) = types.iter().find(everywhere) {
            return Ok(found.clone());
        }
        warnings.push(format!(
            "{}.platform.aws.type: none of {} is offered in all of its zones; {} is used",
            pool.field,
            types.join(", "),
            types[0]
        ));
        Ok(types[0].clone())
    }

    /// Reduces zones that the user did not choose to those that offer the type, sorted.
    fn offering(
        &self,
        pool: &PoolField,
        offerings: &Parsed<Offerings>,
        zones: Vec<String>,
        instance_type: &str,
    ) -> Result<Vec<String>, CompileError> {
        if !pool.zones_are_open() || !self.config.aws.subnets.is_empty() {
            return Ok(zones);
        }
        let offerings = offerings.as_ref().map_err(Clone::clone)?;
        let offered = offerings.get(instance_type).cloned().unwrap_or_default();
        let zones: BTreeSet<String> =
            zones.into_iter().filter(|zone| offered.contains(zone)).collect();
        if zones.is_empty() {
            return Err(CompileError::NoZone {
                field: pool.zones_field(),
                region: self.config.aws.region.clone(),
                instance_type: instance_type.to_owned(),
            });
        }
        Ok(zones.into_iter().collect())
    }
}

impl PoolField<'_> {
    pub(super) fn is_control_plane(&self) -> bool {
        self.field == "controlPlane"
    }

    pub(super) fn zones_field(&self) -> String {
        format!("{}.platform.aws.zones", self.field)
    }
}
