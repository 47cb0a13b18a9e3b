//! Zones and instance types of the machine pools.
//!
//! Defaults are those of openshift-install (`pkg/asset/machines/{master,worker}.go`,
//! `pkg/types/aws/defaults/platform.go`).

use std::collections::{BTreeMap, BTreeSet};

use groundplan_aws::model::ids::DedicatedHostId;

use super::existing::Existing;
use super::{CompileError, CompileErrors};
use crate::install_config::{Architecture, InstallConfig, MachinePool};
use crate::topology::lookups::{ConfigLookups, Lookup, Offerings, Parsed};

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
pub(crate) fn needed_lookups(config: &InstallConfig) -> Vec<Lookup> {
    let open = |pool: &&PoolField| pool.zones_are_open() && config.aws.subnets.is_empty();
    let pools = pools(config);
    let zones = pools.iter().find(|pool| open(pool)).map(|_| availability_zones(config));
    let offerings = pools
        .iter()
        .filter(|pool| open(pool) || pool.machines.aws.instance_type.is_none())
        .map(|pool| pool.offerings(config));
    zones.into_iter().chain(offerings).collect()
}

/// Returns the pool of the masters, followed by the pools of workers.
pub(super) fn pools(config: &InstallConfig) -> Vec<PoolField<'_>> {
    let masters = &config.control_plane;
    let first =
        PoolField { field: "controlPlane".into(), lone: masters.replicas == 1, machines: masters };
    let rest = config.compute.iter().enumerate().map(|(index, machines)| PoolField {
        field: format!("compute[{index}]"),
        lone: false,
        machines,
    });
    [first].into_iter().chain(rest).collect()
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
    pub(super) instance_type: String,
    /// Dedicated Hosts by zone.
    pub(super) hosts: BTreeMap<String, DedicatedHostId>,
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
        let instance_type = errors.keep(self.instance_type(pool, offerings, &zones, warnings))?;
        let zones = errors.keep(self.offering(pool, offerings, zones, &instance_type))?;
        for (index, zone) in zones.iter().enumerate() {
            if self.existing.is_some_and(|existing| !existing.private.contains_key(zone)) {
                let field = format!("{}[{index}]", pool.zones_field());
                errors.add(CompileError::NoSubnetInZone { field, zone: zone.clone() });
            }
        }
        let hosts = self.hosts(pool, &zones, errors);
        Some(PoolPlacement { zones, instance_type, hosts })
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

    fn candidates(&self, pool: &PoolField) -> Result<Vec<String>, CompileError> {
        match self.existing {
            _ if !pool.zones_are_open() => Ok(pool.machines.aws.zones.clone()),
            Some(existing) => Ok(existing.private.keys().cloned().collect()),
            // A finding about the unsuitable subnets already exists.
            None if !self.config.aws.subnets.is_empty() => Ok(Vec::new()),
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
