//! What still carries the cluster's tag or one of its names: the proof after a destroy.
//!
//! Deletes nothing. AWS remembers tags of what is gone for a while, so whatever a tag points to is
//! looked at before it is called left over.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{self, Filter, ResourceType, Tag};
use serde::Serialize;

use super::Aws;
use super::ec2::{self, Described, filter, pages};
use super::ids::{BucketName, InstanceProfileName, RoleName};
use super::kind::Result;
use super::lookups::{zone_id, zones_named};
use crate::provider::{Class, ProviderError};

/// The most resources whose tags one call tells (ELB API reference, DescribeTags).
const MOST_TAGGED: usize = 20;
const ELB: &str = "elasticloadbalancing";

/// What the tag cannot find, by name; empty parts are not looked for.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// The cluster's domain, of which it may own a private zone.
    pub domain: Option<String>,
    /// Its IAM roles.
    pub roles: Vec<RoleName>,
    /// Its instance profiles.
    pub profiles: Vec<InstanceProfileName>,
    /// Its buckets.
    pub buckets: Vec<BucketName>,
}

/// Something that is still there.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    /// What it is, as AWS names the type (`security-group`); a brought thing that still says
    /// `shared` is a `shared-tag`.
    pub kind: String,
    /// Its id, ARN or name.
    pub id: String,
    /// Its `Name` tag or name, if it has one.
    pub name: Option<String>,
}

/// Everything of the cluster's that is still there, by its tag and by these names, sorted.
///
/// # Errors
/// When something cannot be looked up: half a proof is none.
pub async fn leftovers(aws: &Aws, names: &Names) -> Result<Vec<Leftover>> {
    if aws.settings.cluster_tag.is_empty() {
        let message = "without the cluster's tag everything would be left over";
        return Err(ProviderError::new(Class::Refused, "DescribeTags", message));
    }
    let mut found = BTreeSet::new();
    found.extend(tagged_in_ec2(aws).await?);
    found.extend(load_balancers(aws).await?);
    found.extend(target_groups(aws).await?);
    found.extend(hosted_zones(aws, names.domain.as_deref()).await?);
    found.extend(iam(aws, names).await?);
    found.extend(buckets(aws, &names.buckets).await?);
    Ok(found.into_iter().collect())
}

/// The instances of the cluster that are none of these: made by the cluster itself, most likely.
///
/// # Errors
/// When EC2 does not answer.
pub async fn other_instances(aws: &Aws, known: &BTreeSet<String>) -> Result<Vec<Leftover>> {
    let instances = types::Instance::describe(aws, vec![ec2::by_cluster(aws)]).await?;
    let others = instances.iter().filter(|one| one.exists()).filter_map(|one| {
        let id = one.id().filter(|id| !known.contains(*id))?;
        let name = one.tags().iter().find(|tag| tag.key() == Some("Name")).and_then(Tag::value);
        Some(leftover("instance", id, name))
    });
    let others: BTreeSet<Leftover> = others.collect();
    Ok(others.into_iter().collect())
}

fn leftover(kind: &str, id: &str, name: Option<&str>) -> Leftover {
    Leftover { kind: kind.to_owned(), id: id.to_owned(), name: name.map(str::to_owned) }
}

/// Something in EC2 that a tag points to.
type Tagged = (ResourceType, bool);

async fn tagged_in_ec2(aws: &Aws) -> Result<Vec<Leftover>> {
    let request = aws
        .ec2
        .describe_tags()
        .filters(filter("key", &[&aws.settings.cluster_tag]))
        .max_results(1000);
    let mut tagged: BTreeMap<String, Tagged> = BTreeMap::new();
    for tag in pages!(aws, "DescribeTags", request, tags) {
        let is_ours = tag.key() == Some(&aws.settings.cluster_tag);
        if let (Some(id), Some(kind), true) = (tag.resource_id, tag.resource_type, is_ours) {
            tagged.insert(id, (kind, tag.value.as_deref() == Some("shared")));
        }
    }
    let kinds: BTreeSet<&str> = tagged.values().map(|(kind, _)| kind.as_str()).collect();
    let mut left = Vec::new();
    for kind in kinds {
        let ids: Vec<&str> = tagged
            .iter()
            .filter(|(_, (its, _))| its.as_str() == kind)
            .map(|(id, _)| id.as_str())
            .collect();
        left.extend(still_there(aws, &ResourceType::from(kind), &ids).await?);
    }
    for one in &mut left {
        if tagged.get(&one.id).is_some_and(|(_, shared)| *shared) {
            "shared-tag".clone_into(&mut one.kind);
        }
    }
    Ok(left)
}

/// Of these, those that are more than a memory; of types we never make, all.
async fn still_there(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Leftover>> {
    match kind {
        ResourceType::DhcpOptions => seen::<types::DhcpOptions>(aws, kind, ids).await,
        ResourceType::ElasticIp => seen::<types::Address>(aws, kind, ids).await,
        ResourceType::Image => seen::<types::Image>(aws, kind, ids).await,
        ResourceType::Instance => instances(aws, kind, ids).await,
        ResourceType::InternetGateway => seen::<types::InternetGateway>(aws, kind, ids).await,
        ResourceType::Natgateway => seen::<types::NatGateway>(aws, kind, ids).await,
        ResourceType::NetworkInterface => seen::<types::NetworkInterface>(aws, kind, ids).await,
        ResourceType::RouteTable => seen::<types::RouteTable>(aws, kind, ids).await,
        ResourceType::SecurityGroup => seen::<types::SecurityGroup>(aws, kind, ids).await,
        ResourceType::Subnet => seen::<types::Subnet>(aws, kind, ids).await,
        ResourceType::Volume => seen::<types::Volume>(aws, kind, ids).await,
        ResourceType::Vpc => seen::<types::Vpc>(aws, kind, ids).await,
        ResourceType::VpcEndpoint => seen::<types::VpcEndpoint>(aws, kind, ids).await,
        _ => Ok(ids.iter().map(|id| leftover(kind.as_str(), id, None)).collect()),
    }
}

async fn seen<T: Described>(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Leftover>> {
    let found = ec2::by_ids::<T>(aws, ids.iter().copied()).await?;
    let left = found.iter().filter(|(_, one)| one.exists());
    Ok(left.map(|(id, one)| leftover(kind.as_str(), id, name_tag(one.tags()))).collect())
}

/// One that is shutting down still holds its network: gone is what is terminated.
async fn instances(aws: &Aws, kind: &ResourceType, ids: &[&str]) -> Result<Vec<Leftover>> {
    let terminated = Some(&types::InstanceStateName::Terminated);
    let found = ec2::by_ids::<types::Instance>(aws, ids.iter().copied()).await?;
    let left = found.iter().filter(|(_, one)| one.state().and_then(|s| s.name()) != terminated);
    Ok(left.map(|(id, one)| leftover(kind.as_str(), id, name_tag(one.tags()))).collect())
}

fn name_tag(tags: &[Tag]) -> Option<&str> {
    tags.iter().find(|tag| tag.key() == Some("Name")).and_then(Tag::value)
}

impl Described for types::Volume {
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

async fn load_balancers(aws: &Aws) -> Result<Vec<Leftover>> {
    let (mut arns, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.elb.describe_load_balancers().set_marker(marker).send();
        let page = aws.call(ELB, "DescribeLoadBalancers", call).await?;
        let found = page.load_balancers.unwrap_or_default().into_iter();
        arns.extend(found.filter_map(|one| Some((one.load_balancer_arn?, one.load_balancer_name))));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return with_our_tag(aws, "load-balancer", arns).await;
        }
    }
}

async fn target_groups(aws: &Aws) -> Result<Vec<Leftover>> {
    let (mut arns, mut marker) = (Vec::new(), None);
    loop {
        let call = aws.elb.describe_target_groups().set_marker(marker).send();
        let page = aws.call(ELB, "DescribeTargetGroups", call).await?;
        let found = page.target_groups.unwrap_or_default().into_iter();
        arns.extend(found.filter_map(|one| Some((one.target_group_arn?, one.target_group_name))));
        marker = page.next_marker.filter(|marker| !marker.is_empty());
        if marker.is_none() {
            return with_our_tag(aws, "target-group", arns).await;
        }
    }
}

/// Balancers have no filter by tag: all are listed, and asked for their tags twenty at a time.
async fn with_our_tag(
    aws: &Aws,
    kind: &str,
    named: Vec<(String, Option<String>)>,
) -> Result<Vec<Leftover>> {
    let mut left = Vec::new();
    for some in named.chunks(MOST_TAGGED) {
        let arns = some.iter().map(|(arn, _)| arn.clone()).collect();
        let call = aws.elb.describe_tags().set_resource_arns(Some(arns)).send();
        let answer = match aws.call(ELB, "DescribeTags", call).await {
            // One of them went while we looked; what it was is not for us to guess.
            Err(error) if error.is(&["LoadBalancerNotFound", "TargetGroupNotFound"]) => {
                return Err(ProviderError { class: Class::Again, ..error });
            }
            answer => answer?,
        };
        for one in answer.tag_descriptions() {
            let ours = one.tags().iter().any(|tag| tag.key() == Some(&aws.settings.cluster_tag));
            if let (Some(arn), true) = (one.resource_arn(), ours) {
                let name = some.iter().find(|(its, _)| its == arn).and_then(|(_, n)| n.as_deref());
                left.push(leftover(kind, arn, name));
            }
        }
    }
    Ok(left)
}

/// The zones of the domain that carry the tag: one that the user brought need not be ours.
async fn hosted_zones(aws: &Aws, domain: Option<&str>) -> Result<Vec<Leftover>> {
    use aws_sdk_route53::types::TagResourceType::Hostedzone;
    let Some(domain) = domain else { return Ok(Vec::new()) };
    let mut left = Vec::new();
    for zone in zones_named(aws, domain).await? {
        let id = zone_id(&zone.id);
        let call = aws.route53.list_tags_for_resource().resource_type(Hostedzone);
        let call = call.resource_id(id.as_str()).send();
        let answer = match aws.call("route53", "ListTagsForResource", call).await {
            Err(error) if error.is(&["NoSuchHostedZone"]) => continue,
            answer => answer?,
        };
        let tags = answer.resource_tag_set.map(|set| set.tags.unwrap_or_default());
        let tags = tags.unwrap_or_default();
        let ours = tags.iter().find(|tag| tag.key() == Some(&aws.settings.cluster_tag));
        if let Some(tag) = ours {
            let kind = if tag.value() == Some("shared") { "shared-tag" } else { "hosted-zone" };
            left.push(leftover(kind, id.as_str(), Some(domain)));
        }
    }
    Ok(left)
}

async fn iam(aws: &Aws, names: &Names) -> Result<Vec<Leftover>> {
    let mut left = Vec::new();
    for role in &names.roles {
        let call = aws.iam.get_role().role_name(role.as_str()).send();
        if is_there(aws.call("iam", "GetRole", call).await)? {
            left.push(leftover("role", role.as_str(), Some(role.as_str())));
        }
    }
    for profile in &names.profiles {
        let call = aws.iam.get_instance_profile().instance_profile_name(profile.as_str()).send();
        if is_there(aws.call("iam", "GetInstanceProfile", call).await)? {
            left.push(leftover("instance-profile", profile.as_str(), Some(profile.as_str())));
        }
    }
    Ok(left)
}

async fn buckets(aws: &Aws, buckets: &[BucketName]) -> Result<Vec<Leftover>> {
    let mut left = Vec::new();
    for bucket in buckets {
        let call = aws.s3.head_bucket().bucket(bucket.as_str()).send();
        if is_there(aws.call("s3", "HeadBucket", call).await)? {
            left.push(leftover("bucket", bucket.as_str(), Some(bucket.as_str())));
        }
    }
    Ok(left)
}

/// The answer to a question by name.
fn is_there<T>(answer: Result<T>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.is(&["NoSuchEntity", "NoSuchBucket", "NotFound"]) => Ok(false),
        Err(error) => Err(error),
    }
}
