//! Where the machines of each pool are, of which type, and what they boot: what the plan and the
//! manifests of the Machine API must agree on.
//!
//! The answers are those of [`super::compile`], found in the same way. Makes nothing.

use std::collections::BTreeMap;

use serde_json::Value;

use super::facts::Facts;
use super::placement::{self, Place};
use super::{Error, Errors, Options, existing, image};
use crate::aws::ids::{ImageId, SubnetId};
use crate::config::{InstallConfig, MachinePool};

/// The machines of a cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fleet {
    /// The masters.
    pub masters: Pool,
    /// The pools of workers, in the order of the config.
    pub workers: Vec<Pool>,
    /// The subnets for machines that the user brought, by zone; `None` in a network of the cluster's
    /// own.
    pub subnets: Option<BTreeMap<String, SubnetId>>,
}

/// Machines that are alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// What the config says of them.
    pub machines: MachinePool,
    /// Their zones: as configured, or all that offer the type, sorted.
    pub zones: Vec<String>,
    /// Their type.
    pub instance_type: String,
    /// What they boot; `None` is the copy of an image that an apply makes.
    pub image: Option<ImageId>,
}

/// The machines that this config asks for. Every [question](super::questions) must be answered.
///
/// # Errors
/// Everything that stands in the way, as [`super::compile`] has it.
pub fn fleet(
    config: &InstallConfig,
    facts: &BTreeMap<String, Value>,
    options: &Options,
) -> Result<Fleet, Vec<Error>> {
    let (facts, mut errors) = (Facts::new(facts), Errors::default());
    let existing = existing::find(config, &facts, &mut errors);
    // Compiling the same config has said what there is to warn of.
    let places = placement::places(config, &facts, existing.as_ref(), &mut errors, &mut Vec::new());
    let mut pools = Vec::new();
    for (pool, place) in places {
        let image = errors.keep(image::of_pool(config, pool.machines, options));
        if let (Some(Place { zones, instance_type }), Some(image)) = (place, image) {
            pools.push(Pool { machines: pool.machines.clone(), zones, instance_type, image });
        }
    }
    errors.none()?;
    let workers = pools.split_off(1);
    let masters = pools.pop().expect("BUG: masters are a pool");
    Ok(Fleet { masters, workers, subnets: existing.map(|existing| existing.private) })
}

impl Pool {
    /// The zone of each machine, where they are spread one after the other.
    pub fn zone_of_each(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().cycle().take(self.machines.replicas as usize).map(String::as_str)
    }

    /// How many machines are in each zone; the first zones take what is left over.
    pub fn replicas_by_zone(&self) -> impl Iterator<Item = (&str, u32)> {
        let (total, zones) =
            (self.machines.replicas, u32::try_from(self.zones.len()).unwrap_or(1).max(1));
        let (each, over) = (total / zones, total % zones);
        let replicas = (0..zones).map(move |index| each + u32::from(index < over));
        self.zones.iter().map(String::as_str).zip(replicas)
    }
}
