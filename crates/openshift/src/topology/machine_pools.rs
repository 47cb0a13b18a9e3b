//! Resolved machine pools, shared by the plan and by the manifests of the Machine API.
//!
//! The values are part of [`ClusterSpec`]. Adds nothing to a graph.

use std::collections::BTreeMap;

use groundplan_aws::kinds::machine::ConfidentialCompute;
use groundplan_aws::model::ids::{
    DedicatedHostId, ImageId, InstanceProfileName, RoleName, SecurityGroupId,
};
use groundplan_aws::model::metadata_options::MetadataService;

use super::placement::PoolPlacement;
use super::{ClusterSpec, CompileError, CompileErrors};
use crate::install_config::{MachinePool, RootVolume};
use crate::topology::lookups::ZoneFacts;

/// A group of machines with the same settings, and its placement.
#[derive(Clone, Debug)]
pub(crate) struct PoolSpec {
    /// Name of the pool: `master`, `worker` or `edge`.
    pub(crate) name: String,
    /// Number of machines.
    pub(crate) replicas: u32,
    /// Zones in the order of the config. Without zones in the config: all zones that offer the
    /// instance type, sorted.
    pub(crate) zones: Vec<String>,
    /// Instance type, except in the zones of `types`.
    pub(crate) instance_type: String,
    /// Instance types by zone, of an edge pool.
    types: BTreeMap<String, String>,
    /// The zones of an edge pool. Empty for other pools.
    pub(crate) edge: ZoneFacts,
    /// The root volume.
    pub(crate) root_volume: RootVolume,
    /// Memory encryption by the processor.
    pub(crate) confidential_compute: Option<ConfidentialCompute>,
    /// Settings of the metadata service.
    pub(crate) metadata_service: MetadataService,
    /// Existing IAM role of the machines.
    pub(crate) iam_role: Option<RoleName>,
    /// An existing instance profile; never together with a role.
    pub(crate) iam_profile: Option<InstanceProfileName>,
    /// Existing security groups, in addition to the cluster's.
    pub(crate) additional_security_groups: Vec<SecurityGroupId>,
    /// Existing Dedicated Hosts by zone.
    pub(crate) hosts: BTreeMap<String, DedicatedHostId>,
    /// Image to boot. `None` means the copy of an image that `apply` creates. Errors concern
    /// manifests only, because the masters of the graph boot [`ClusterSpec::image`].
    image: Result<Option<ImageId>, CompileError>,
}

impl PoolSpec {
    /// Returns the pool with its placement and its image.
    pub(super) fn new(
        machines: &MachinePool,
        place: &PoolPlacement,
        image: Result<Option<ImageId>, CompileError>,
    ) -> Self {
        let aws = &machines.aws;
        Self {
            name: machines.name.clone(),
            replicas: place.replicas(machines),
            zones: place.zones.clone(),
            instance_type: place.instance_type.clone(),
            types: place.types.clone(),
            edge: place.edge.clone(),
            root_volume: aws.root_volume.clone(),
            confidential_compute: aws.confidential_compute,
            metadata_service: aws.metadata_service,
            iam_role: aws.iam_role.clone(),
            iam_profile: aws.iam_profile.clone(),
            additional_security_groups: aws.additional_security_groups.clone(),
            hosts: place.hosts.clone(),
            image,
        }
    }

    /// Returns the zone of each machine: the first machine is in the first zone, the next one in
    /// the next zone, and so on in a circle.
    pub(crate) fn zone_of_each(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().cycle().take(self.replicas as usize).map(String::as_str)
    }

    /// Returns the number of machines in each zone. The first zones get the remainder.
    pub(crate) fn replicas_by_zone(&self) -> impl Iterator<Item = (&str, u32)> {
        by_zone(&self.zones, self.replicas)
    }

    /// Returns the instance type of the machines in a zone.
    pub(crate) fn type_in(&self, zone: &str) -> &str {
        self.types.get(zone).unwrap_or(&self.instance_type)
    }
}

/// Returns the number of machines in each zone, of `total` machines. The first zones get the remainder.
pub(super) fn by_zone(zones: &[String], total: u32) -> impl Iterator<Item = (&str, u32)> {
    let count = u32::try_from(zones.len()).unwrap_or(1).max(1);
    let (each, over) = (total / count, total % count);
    let replicas = (0..count).map(move |index| each + u32::from(index < over));
    zones.iter().map(String::as_str).zip(replicas)
}

/// Workers, which the cluster itself creates as soon as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workers {
    /// Name of the machine pool.
    pub pool: String,
    /// Settings of the metadata service.
    pub metadata_service: MetadataService,
    /// Instance type.
    pub instance_type: String,
    /// Number of workers.
    pub replicas: u32,
}

/// The machine pools of a cluster with their images.
#[derive(Clone, Debug)]
pub struct MachinePools<'a> {
    /// The cluster.
    pub(crate) cluster: &'a ClusterSpec,
    /// The masters.
    pub(crate) masters: ResolvedPool<'a>,
    /// The pools of workers, in the order of the config.
    pub(crate) workers: Vec<ResolvedPool<'a>>,
}

/// A machine pool with its image.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ResolvedPool<'a> {
    /// The pool.
    pub(crate) spec: &'a PoolSpec,
    /// Image to boot. `None` means the copy of an image that `apply` creates.
    pub(crate) image: Option<&'a ImageId>,
}

impl ClusterSpec {
    /// Returns the machine pools with their images.
    ///
    /// # Errors
    /// Returns an error for each pool without an image.
    pub fn machine_pools(&self) -> Result<MachinePools<'_>, Vec<CompileError>> {
        let mut errors = CompileErrors::default();
        let mut resolved = |spec| errors.keep(ResolvedPool::of(spec));
        let masters = resolved(&self.masters);
        let workers = self.workers.iter().filter_map(resolved).collect();
        match masters {
            Some(masters) if errors.0.is_empty() => {
                Ok(MachinePools { cluster: self, masters, workers })
            }
            _ => Err(errors.0),
        }
    }
}

impl<'a> ResolvedPool<'a> {
    fn of(spec: &'a PoolSpec) -> Result<Self, CompileError> {
        let image = spec.image.as_ref().map_err(Clone::clone)?.as_ref();
        Ok(Self { spec, image })
    }
}
