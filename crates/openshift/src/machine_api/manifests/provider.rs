//! Provider config of a machine (openshift-install `pkg/asset/machines/aws/machines.go`,
//! `provider`).

use super::user_data;
use crate::install_config::{Publish, RootVolume};
use crate::machine_api::types::{
    AwsMachineProviderConfig, BlockDevice, CpuOptions, EbsBlockDevice, HostPlacement,
    LoadBalancerReference, LocalReference, MetadataServiceOptions, Placement, ResourceReference,
    Tag,
};
use crate::topology::ClusterSpec;
use crate::topology::layout::{BalancerLayout, ReleaseLayout, RoleLayout};
use crate::topology::machine_pools::ResolvedPool;
use crate::topology::spec::NetworkSpec;

/// Role of a machine, which selects its security groups, profile and user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Worker,
}

impl Role {
    fn layout(self, cluster: &ClusterSpec) -> &'static RoleLayout {
        match self {
            Role::Master => &cluster.names.layout.master,
            Role::Worker => &cluster.names.layout.worker,
        }
    }
}

/// Returns the config of a machine of a pool, without a zone.
pub(super) fn anywhere(
    cluster: &ClusterSpec,
    pool: &ResolvedPool,
    role: Role,
) -> AwsMachineProviderConfig {
    let machines = pool.spec;
    let profile = machines.iam_profile.as_ref().map(|profile| profile.0.clone());
    let layout = role.layout(cluster);
    let profile = profile.unwrap_or_else(|| cluster.names.name(layout.iam.profile));
    AwsMachineProviderConfig {
        ami: image(cluster, pool),
        instance_type: machines.instance_type.clone(),
        tags: tags(cluster),
        iam_instance_profile: Some(ResourceReference::id(profile)),
        user_data_secret: Some(LocalReference { name: user_data::name(layout.role) }),
        credentials_secret: Some(LocalReference { name: "aws-cloud-credentials".into() }),
        security_groups: security_groups(cluster, pool, role),
        placement: Placement { region: cluster.region.clone(), ..Placement::default() },
        load_balancers: if role == Role::Master { balancers(cluster) } else { Vec::new() },
        block_devices: vec![root_volume(&machines.root_volume)],
        metadata_service_options: MetadataServiceOptions::of(machines.metadata_service),
        public_ip: cluster.public_only.then_some(true),
        cpu_options: machines.confidential_compute.map(CpuOptions::of),
        ..AwsMachineProviderConfig::new()
    }
}

/// Returns the config of a machine of a pool in a zone.
pub(super) fn in_zone(
    cluster: &ClusterSpec,
    pool: &ResolvedPool,
    role: Role,
    zone: &str,
) -> AwsMachineProviderConfig {
    let mut config = anywhere(cluster, pool, role);
    config.placement.availability_zone = zone.to_owned();
    config.subnet = subnet(cluster, zone);
    config.instance_type = pool.spec.type_in(zone).to_owned();
    if let NetworkSpec::Existing { subnets, .. } = &cluster.network {
        let is_public = subnets.edge.get(zone).is_some_and(|edge| edge.public);
        config.public_ip = is_public.then_some(true);
    }
    if let Some(id) = pool.spec.hosts.get(zone) {
        config.placement.tenancy = "host".into();
        config.placement.host = Some(HostPlacement::on(id.as_str()));
    }
    config
}

/// Returns the subnet for machines of a zone: the user's subnet by ID, or the cluster's subnet by name.
pub(super) fn subnet(cluster: &ClusterSpec, zone: &str) -> ResourceReference {
    match &cluster.network {
        NetworkSpec::Existing { subnets, .. } => {
            let edge = subnets.edge.get(zone).map(|edge| &edge.id);
            ResourceReference::id(edge.unwrap_or_else(|| &subnets.private[zone]).0.clone())
        }
        NetworkSpec::Own { .. } => {
            let layout = cluster.names.layout;
            let of_machines =
                if cluster.public_only { layout.public_subnet } else { layout.private_subnet };
            let name = of_machines.name.with(zone);
            ResourceReference::named(cluster.names.name(&name))
        }
    }
}

/// Returns the image by ID, or the cluster's copy of the image by name.
fn image(cluster: &ClusterSpec, pool: &ResolvedPool) -> ResourceReference {
    match pool.image {
        Some(id) => ResourceReference::id(id.0.clone()),
        None => {
            let name = cluster.names.layout.image_copy_tag.with(&cluster.region);
            ResourceReference::named(cluster.names.name(&name))
        }
    }
}

/// Returns the tags: the cluster tag first, then the user tags sorted by key.
fn tags(cluster: &ClusterSpec) -> Vec<Tag> {
    let owned = Tag { name: cluster.names.tag_key().to_owned(), value: "owned".into() };
    let user = cluster.names.user_tags().iter();
    let user = user.map(|(name, value)| Tag { name: name.clone(), value: value.clone() });
    [owned].into_iter().chain(user).collect()
}

/// Returns the security groups: the cluster's groups by name, then the user's groups by ID.
fn security_groups(
    cluster: &ClusterSpec,
    pool: &ResolvedPool,
    role: Role,
) -> Vec<ResourceReference> {
    let names = &cluster.names;
    let own = role.layout(cluster).groups.iter().map(|role| names.layout.group(role).name);
    let own = own.map(|name| ResourceReference::named(names.name(name)));
    let mut more: Vec<_> =
        pool.spec.additional_security_groups.iter().map(|id| id.0.clone()).collect();
    more.sort();
    own.chain(more.into_iter().map(ResourceReference::id)).collect()
}

fn balancers(cluster: &ClusterSpec) -> Vec<LoadBalancerReference> {
    let ReleaseLayout { internal, external, .. } = cluster.names.layout;
    let external = (cluster.publish == Publish::External).then_some(external);
    let balancer = |layout: &BalancerLayout| LoadBalancerReference {
        name: cluster.names.name(layout.name),
        kind: "network".into(),
    };
    [internal].into_iter().chain(external).map(balancer).collect()
}

/// Returns the root volume. Unset numbers and keys are written as 0 and empty text, which are not
/// sent to EC2.
fn root_volume(volume: &RootVolume) -> BlockDevice {
    let kms_key = volume.kms_key.clone().unwrap_or_default();
    let ebs = EbsBlockDevice {
        encrypted: Some(true),
        iops: Some(volume.iops.unwrap_or_default().into()),
        throughput_mib: volume.throughput,
        kms_key: ResourceReference { arn: Some(kms_key), ..ResourceReference::default() },
        volume_size: Some(volume.size.into()),
        volume_type: Some(volume.volume_type.clone()),
        ..EbsBlockDevice::default()
    };
    BlockDevice { ebs: Some(ebs), ..BlockDevice::default() }
}
