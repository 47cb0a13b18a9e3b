//! Search for EC2 resources with the cluster tag: one call lists the tags, then one query for each
//! type of resource drops those that no longer exist.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{self, Filter, ResourceType, Tag};

use super::{PAUSE, RemainingResource, incomplete};
use crate::Aws;
use crate::client::ec2::{self, Ec2Object, copied_for, filter, pages};
use crate::client::resource_type::Result;
use crate::model::untracked::UntrackedKind;

/// Tag that AWS Backup sets on the snapshots and images that it manages. It copies the tags of the
/// volume or instance, too, and with them the cluster tag. `DeleteSnapshot` and `DeregisterImage`
/// reject these objects (EC2 user guide; openshift/installer #9964).
const BACKUP_TAG: &str = "aws:backup:source-resource";

/// Type of a resource, and the value of its cluster tag.
type Tagged = (ResourceType, Option<String>);

/// A resource that exists, and the value of its cluster tag as its Describe call returns it.
type Existing = (RemainingResource, Option<String>);

/// Returns the existing EC2 resources with the cluster tag. Of those whose tag has another value
/// than `owned`, a destroy deletes only the tag.
///
/// Recorded resources that refresh has just read with the tag are not read again. The tag index must
/// contain them.
///
/// # Errors
/// Returns an error if a call fails, and if the tag index lacks a resource that has the tag.
pub(super) async fn tagged(
    aws: &Aws,
    recorded: &BTreeSet<String>,
) -> Result<Vec<RemainingResource>> {
    let read = aws.watch.owned_of(recorded);
    let read: BTreeSet<&str> =
        read.iter().map(String::as_str).filter(|id| !id.starts_with("arn:")).collect();
    let tagged = tags_of_cluster(aws, &read).await?;
    let kinds: BTreeSet<&str> = tagged.values().map(|(kind, _)| kind.as_str()).collect();
    let mut left = Vec::new();
    for kind in kinds {
        let ids = tagged
            .iter()
            .filter(|(_, (tagged_kind, _))| tagged_kind.as_str() == kind)
            .map(|(id, _)| id.as_str());
        let (read, unread): (Vec<&str>, Vec<&str>) = ids.partition(|id| read.contains(id));
        left.extend(read.into_iter().map(|id| RemainingResource::new(kind, id, None)));
        if !unread.is_empty() {
            let there = existing(aws, &ResourceType::from(kind), &unread).await?;
            left.extend(there.into_iter().map(|(one, _)| one));
        }
    }
    let tag_value =
        |one: &RemainingResource| tagged.get(&one.id).and_then(|(_, value)| value.as_deref());
    Ok(left.into_iter().map(|one| one.clone().tagged(tag_value(&one))).collect())
}

/// Returns the ones of these resources, by ID and type, that exist and have the tag of the cluster.
/// Resources of a type that groundplan does not delete are left out: EC2's own index lists them.
///
/// # Errors
/// If a call fails.
pub(super) async fn confirmed(
    aws: &Aws,
    reported: &BTreeMap<String, String>,
) -> Result<Vec<RemainingResource>> {
    let known = |kind: &&String| UntrackedKind::of(kind).is_some();
    let kinds: BTreeSet<&String> = reported.values().filter(known).collect();
    let mut left = Vec::new();
    for kind in kinds {
        let ids = reported.iter().filter(|(_, of)| *of == kind).map(|(id, _)| id.as_str());
        let ids: Vec<&str> = ids.collect();
        let there = existing(aws, &ResourceType::from(kind.as_str()), &ids).await?;
        left.extend(there.into_iter().filter_map(|(one, value)| Some(one.tagged(Some(&value?)))));
    }
    Ok(left)
}

/// Returns the cluster tags of all EC2 resources, by ID. An empty answer, and one that lacks a
/// resource with the tag, are read a second time after a pause.
///
/// # Errors
/// Returns an error if a call fails, and a retryable one if the second answer lacks a resource, too.
async fn tags_of_cluster(aws: &Aws, read: &BTreeSet<&str>) -> Result<BTreeMap<String, Tagged>> {
    let lacking = |tagged: &BTreeMap<String, Tagged>| {
        read.iter().find(|id| !tagged.contains_key(**id)).map(|id| (*id).to_owned())
    };
    let mut tagged = tag_index(aws).await?;
    if tagged.is_empty() || lacking(&tagged).is_some() {
        tokio::time::sleep(PAUSE).await;
        tagged.extend(tag_index(aws).await?);
    }
    match lacking(&tagged) {
        Some(id) => Err(incomplete("DescribeTags", &id)),
        None => Ok(tagged),
    }
}

async fn tag_index(aws: &Aws) -> Result<BTreeMap<String, Tagged>> {
    let request = aws
        .ec2
        .describe_tags()
        .filters(filter("key", &aws.settings.cluster_tags()))
        .max_results(1000);
    let mut tagged = BTreeMap::new();
    for tag in pages!(aws, "DescribeTags", request, tags) {
        let key = tag.key.unwrap_or_default();
        let is_ours = aws.settings.is_cluster_tag(&key);
        let (Some(id), Some(kind), true) = (tag.resource_id, tag.resource_type, is_ours) else {
            continue;
        };
        // The value of the cluster tag counts, if a resource has both.
        if key == aws.settings.cluster_tag || !tagged.contains_key(&id) {
            tagged.insert(id, (kind, tag.value));
        }
    }
    Ok(tagged)
}

/// Returns the resources that exist: EC2 keeps the tags of a deleted resource for a while.
/// Resources of a type that groundplan neither creates nor deletes are all returned, without a
/// check.
async fn existing(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Existing>> {
    let one = |id: &&str| (RemainingResource::new(kind.as_str(), id, None), None);
    let all = || ids.iter().map(one).collect();
    let Some(what) = UntrackedKind::of(kind.as_str()) else { return Ok(all()) };
    match what {
        UntrackedKind::DhcpOptions => remaining_of::<types::DhcpOptions>(aws, kind, ids).await,
        UntrackedKind::ElasticIp => remaining_of::<types::Address>(aws, kind, ids).await,
        UntrackedKind::Image => remaining_of::<types::Image>(aws, kind, ids).await,
        UntrackedKind::Instance => instances(aws, kind, ids).await,
        UntrackedKind::InternetGateway => {
            remaining_of::<types::InternetGateway>(aws, kind, ids).await
        }
        UntrackedKind::EgressOnlyInternetGateway => {
            remaining_of::<types::EgressOnlyInternetGateway>(aws, kind, ids).await
        }
        UntrackedKind::CarrierGateway => {
            remaining_of::<types::CarrierGateway>(aws, kind, ids).await
        }
        UntrackedKind::NatGateway => remaining_of::<types::NatGateway>(aws, kind, ids).await,
        UntrackedKind::NetworkInterface => interfaces(aws, kind, ids).await,
        UntrackedKind::RouteTable => remaining_of::<types::RouteTable>(aws, kind, ids).await,
        UntrackedKind::SecurityGroup => groups(aws, kind, ids).await,
        UntrackedKind::Snapshot => snapshots(aws, kind, ids).await,
        UntrackedKind::Subnet => remaining_of::<types::Subnet>(aws, kind, ids).await,
        UntrackedKind::Volume => volumes(aws, kind, ids).await,
        UntrackedKind::Vpc => remaining_of::<types::Vpc>(aws, kind, ids).await,
        UntrackedKind::VpcEndpoint => remaining_of::<types::VpcEndpoint>(aws, kind, ids).await,
        // EC2's tag index does not contain resources of other services.
        UntrackedKind::LoadBalancer
        | UntrackedKind::ClassicLoadBalancer
        | UntrackedKind::TargetGroup
        | UntrackedKind::Record
        | UntrackedKind::HostedZone
        | UntrackedKind::Bucket
        | UntrackedKind::User
        | UntrackedKind::InstanceProfile
        | UntrackedKind::Role
        | UntrackedKind::SharedTag => Ok(all()),
    }
}

/// Returns the objects with these IDs that exist.
async fn existing_objects<T: Ec2Object>(aws: &Aws, ids: &[&str]) -> Result<Vec<(String, T)>> {
    let found = ec2::by_ids::<T>(aws, ids.iter().copied()).await?;
    Ok(found.into_iter().filter(|(_, one)| one.exists()).collect())
}

fn remaining<T: Ec2Object>(aws: &Aws, kind: &ResourceType, id: &str, one: &T) -> Existing {
    let is_backup = one.tags().iter().any(|tag| tag.key() == Some(BACKUP_TAG));
    let name = name_tag(one.tags());
    let resource =
        RemainingResource { is_backup, ..RemainingResource::new(kind.as_str(), id, name) };
    let pairs = one.tags().iter().filter_map(|tag| Some((tag.key()?, tag.value()?)));
    (resource, aws.settings.cluster_tag_value(pairs).map(str::to_owned))
}

async fn remaining_of<T: Ec2Object>(
    aws: &Aws,
    kind: &ResourceType,
    ids: &[&str],
) -> Result<Vec<Existing>> {
    let found = existing_objects::<T>(aws, ids).await?;
    Ok(found.iter().map(|(id, one)| remaining(aws, kind, id, one)).collect())
}

/// Returns the instances that are not terminated. An instance that is shutting down still uses its
/// network, so it counts as existing.
async fn instances(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Existing>> {
    let terminated = Some(&types::InstanceStateName::Terminated);
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let left = found.iter().filter(|(_, one)| one.state().and_then(|s| s.name()) != terminated);
    Ok(left.map(|(id, one)| remaining(aws, kind, id, one)).collect())
}

/// Returns the security groups. The name of a group is its `Name` tag or, as for groups of
/// Kubernetes, its group name.
async fn groups(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Existing>> {
    let found = existing_objects::<types::SecurityGroup>(aws, ids).await?;
    let named = |(id, group): &(String, types::SecurityGroup)| {
        let (mut one, value) = remaining(aws, kind, id, group);
        one.name = one.name.or_else(|| group.group_name().map(str::to_owned));
        (one, value)
    };
    Ok(found.iter().map(named).collect())
}

/// Returns the volumes. A volume with `DeleteOnTermination` is deleted with its instance.
async fn volumes(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Existing>> {
    let found = existing_objects::<types::Volume>(aws, ids).await?;
    let named = |(id, volume): &(String, types::Volume)| {
        let with =
            volume.attachments().iter().find(|one| one.delete_on_termination() == Some(true));
        let goes_with = with.and_then(|one| one.instance_id()).map(str::to_owned);
        let (one, value) = remaining(aws, kind, id, volume);
        (RemainingResource { goes_with, ..one }, value)
    };
    Ok(found.iter().map(named).collect())
}

/// Returns the snapshots. A snapshot that was copied for an image is deleted with the image.
async fn snapshots(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Existing>> {
    let found = existing_objects::<types::Snapshot>(aws, ids).await?;
    let named = |(id, snapshot): &(String, types::Snapshot)| {
        let goes_with = copied_for(snapshot).map(str::to_owned);
        let (one, value) = remaining(aws, kind, id, snapshot);
        (RemainingResource { goes_with, ..one }, value)
    };
    Ok(found.iter().map(named).collect())
}

/// Returns the network interfaces. An interface with `DeleteOnTermination` is deleted with its
/// instance.
async fn interfaces(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Existing>> {
    let found = existing_objects::<types::NetworkInterface>(aws, ids).await?;
    let named = |(id, interface): &(String, types::NetworkInterface)| {
        let with = interface.attachment().filter(|one| one.delete_on_termination() == Some(true));
        let goes_with = with.and_then(|one| one.instance_id()).map(str::to_owned);
        let (one, value) = remaining(aws, kind, id, interface);
        (RemainingResource { goes_with, ..one }, value)
    };
    Ok(found.iter().map(named).collect())
}

/// Returns the value of the tag `Name`. `None` if the resource has no such tag.
pub(super) fn name_tag(tags: &[Tag]) -> Option<&str> {
    tags.iter().find(|tag| tag.key() == Some("Name")).and_then(Tag::value)
}

impl Ec2Object for types::Volume {
    const ID_FILTER: &'static str = "volume-id";

    fn id(&self) -> Option<&str> {
        self.volume_id()
    }

    fn tags(&self) -> &[Tag] {
        types::Volume::tags(self)
    }

    fn exists(&self) -> bool {
        !matches!(self.state(), Some(types::VolumeState::Deleting | types::VolumeState::Deleted))
    }

    async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let request = aws.ec2.describe_volumes().set_filters(Some(filters)).max_results(1000);
        Ok(pages!(aws, "DescribeVolumes", request, volumes))
    }
}

impl Ec2Object for types::Snapshot {
    const ID_FILTER: &'static str = "snapshot-id";

    fn id(&self) -> Option<&str> {
        self.snapshot_id()
    }

    fn tags(&self) -> &[Tag] {
        types::Snapshot::tags(self)
    }

    async fn describe(aws: &Aws, filters: Vec<Filter>) -> Result<Vec<Self>> {
        let request = aws.ec2.describe_snapshots().set_filters(Some(filters)).max_results(1000);
        Ok(pages!(aws, "DescribeSnapshots", request, snapshots))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::SweepMethod;
    use crate::registry::KINDS;

    #[test]
    fn kinds_that_are_found_by_tag_have_the_word_that_ec2_has_for_their_type() {
        for facts in KINDS {
            let SweepMethod::ByTag(what) = facts.untracked else { continue };
            let is_known = ResourceType::values().contains(&what.as_str());
            let kind = facts.name();
            assert!(is_known, "{kind}: `{}` is no resource type of EC2", what.as_str());
        }
    }
}
