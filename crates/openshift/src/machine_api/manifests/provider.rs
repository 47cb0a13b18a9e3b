//! Provider config of a machine (openshift-install `pkg/asset/machines/aws/machines.go`,
//! `provider`).

use super::{ManifestInputs, user_data};
use crate::install_config::{Publish, RootVolume};
use crate::machine_api::types::{
    AwsMachineProviderConfig, BlockDevice, EbsBlockDevice, LoadBalancerReference, LocalReference,
    MetadataServiceOptions, Placement, ResourceReference, Tag,
};
use crate::topology::machine_pools::ResolvedPool;

/// Role of a machine, which selects its security groups, profile and user data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Master,
    Worker,
}

impl Role {
    pub(super) fn name(self) -> &'static str {
        match self {
            Role::Master => "master",
            Role::Worker => "worker",
        }
    }
}

/// Returns the config of a machine of a pool, without a zone.
pub(super) fn anywhere(
    site: &ManifestInputs,
    pool: &ResolvedPool,
    role: Role,
) -> AwsMachineProviderConfig {
    let machines = &pool.machines.aws;
    let profile = machines.iam_profile.as_ref().map(|profile| profile.0.clone());
    let profile = profile.unwrap_or_else(|| site.name(&format!("{}-profile", role.name())));
    AwsMachineProviderConfig {
        ami: image(site, pool),
        instance_type: pool.instance_type.clone(),
        tags: tags(site),
        iam_instance_profile: Some(ResourceReference::id(profile)),
        user_data_secret: Some(LocalReference { name: user_data::name(role.name()) }),
        credentials_secret: Some(LocalReference { name: "aws-cloud-credentials".into() }),
        security_groups: security_groups(site, pool, role),
        placement: Placement { region: site.config.aws.region.clone(), ..Placement::default() },
        load_balancers: if role == Role::Master { balancers(site) } else { Vec::new() },
        block_devices: vec![root_volume(&machines.root_volume)],
        metadata_service_options: MetadataServiceOptions::of(machines.metadata_service),
        ..AwsMachineProviderConfig::new()
    }
}

/// Returns the config of a machine of a pool in a zone.
pub(super) fn in_zone(
    site: &ManifestInputs,
    pool: &ResolvedPool,
    role: Role,
    zone: &str,
) -> AwsMachineProviderConfig {
    let mut config = anywhere(site, pool, role);
    config.placement.availability_zone = zone.to_owned();
    config.subnet = subnet(site, zone);
    config
}

/// Returns the private subnet of a zone: the user's subnet by ID, or the cluster's subnet by name.
pub(super) fn subnet(site: &ManifestInputs, zone: &str) -> ResourceReference {
    match &site.fleet.subnets {
        Some(subnets) => ResourceReference::id(subnets[zone].0.clone()),
        None => ResourceReference::named(site.name(&format!("private-{zone}"))),
    }
}

/// Returns the image by ID, or the cluster's copy of the image by name.
fn image(site: &ManifestInputs, pool: &ResolvedPool) -> ResourceReference {
    match &pool.image {
        Some(id) => ResourceReference::id(id.0.clone()),
        None => ResourceReference::named(site.name(&format!("ami-{}", site.config.aws.region))),
    }
}

/// Returns the tags: the cluster tag first, then the user tags sorted by key.
fn tags(site: &ManifestInputs) -> Vec<Tag> {
    let owned =
        Tag { name: format!("kubernetes.io/cluster/{}", site.infra_id), value: "owned".into() };
    let user = site.config.aws.user_tags.iter();
    let user = user.map(|(name, value)| Tag { name: name.clone(), value: value.clone() });
    [owned].into_iter().chain(user).collect()
}

/// Returns the security groups: the cluster's group by name, then the user's groups by ID.
fn security_groups(
    site: &ManifestInputs,
    pool: &ResolvedPool,
    role: Role,
) -> Vec<ResourceReference> {
    let own = ResourceReference::named(site.name(&format!("{}-sg", role.name())));
    let mut more: Vec<_> =
        pool.machines.aws.additional_security_groups.iter().map(|id| id.0.clone()).collect();
    more.sort();
    [own].into_iter().chain(more.into_iter().map(ResourceReference::id)).collect()
}

fn balancers(site: &ManifestInputs) -> Vec<LoadBalancerReference> {
    let suffixes: &[&str] = match site.config.publish {
        Publish::External => &["int", "ext"],
        Publish::Internal => &["int"],
    };
    let balancer =
        |suffix: &&str| LoadBalancerReference { name: site.name(suffix), kind: "network".into() };
    suffixes.iter().map(balancer).collect()
}

/// Returns the root volume. Unset numbers and keys are written as 0 and empty text, which are not
/// sent to EC2.
fn root_volume(volume: &RootVolume) -> BlockDevice {
    let kms_key = volume.kms_key.clone().unwrap_or_default();
    let ebs = EbsBlockDevice {
        encrypted: Some(true),
        iops: Some(volume.iops.unwrap_or_default().into()),
        kms_key: ResourceReference { arn: Some(kms_key), ..ResourceReference::default() },
        volume_size: Some(volume.size.into()),
        volume_type: Some(volume.volume_type.clone()),
        ..EbsBlockDevice::default()
    };
    BlockDevice { ebs: Some(ebs), ..BlockDevice::default() }
}

impl ManifestInputs<'_> {
    /// Returns the name `<infraID>-<suffix>`.
    pub(super) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.infra_id)
    }
}
