//! Finds clusters that exist in AWS and that a new state does not record: the same cluster in
//! another state, or a cluster of the same name and domain. Changes nothing.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{DhcpOptions, Instance, SecurityGroup, Vpc};

use crate::Aws;
use crate::client::ec2::{Ec2Object, filter, pages, token_of};
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::client::{iam, route53};
use crate::lookups::queries::{is_private, zone_id, zones_named};
use crate::model::{CLUSTER_TAG_PREFIX, cluster_api_tag_key, cluster_tag_key};

/// Maximum number of IDs in [`ExistingCluster::objects`].
const NAMED: usize = 4;

/// Cluster that exists in AWS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingCluster {
    /// Infra ID in the cluster tag.
    pub infra_id: String,
    /// IDs of some of its objects.
    pub objects: Vec<String>,
    /// Total number of the objects.
    pub count: usize,
    /// Creation time of its first resource (RFC 3339); `None` if AWS does not tell.
    pub created: Option<String>,
}

/// Objects that the selected state records.
#[derive(Clone, Debug, Default)]
pub struct OwnObjects {
    /// IDs in the outputs of the records.
    pub ids: BTreeSet<String>,
    /// Creation tokens of the records, for creations in doubt.
    pub tokens: BTreeSet<String>,
}

/// Existing objects with the cluster tag of one infra ID.
#[derive(Clone, Debug, Default)]
pub struct TaggedObjects {
    /// Cluster that the selected state does not record; `None` if all objects are recorded.
    pub others: Option<ExistingCluster>,
    /// True if an object exists that the selected state records.
    pub has_own: bool,
}

/// Kinds of resources that [`of_infra_id`] finds.
pub const FOUND_KINDS: [&str; 4] = ["vpc", "instance", "security_group", "dhcp_options"];

/// Finds the existing objects with the cluster tag of this infra ID.
///
/// Sends one call (`DescribeTags`) if the cluster does not exist. AWS keeps tags of deleted objects for a
/// while, so tagged objects are read before they count.
///
/// # Errors
/// If a call fails.
pub async fn of_infra_id(aws: &Aws, infra_id: &str, own: &OwnObjects) -> Result<TaggedObjects> {
    let owned = [filter("key", &tag_keys(infra_id)), filter("value", &["owned"])];
    let request = aws.ec2.describe_tags().set_filters(Some(owned.into())).max_results(1000);
    if pages!(aws, "DescribeTags", request, tags).is_empty() {
        return Ok(TaggedObjects::default());
    }
    let (networks, machines, groups, options) = tokio::try_join!(
        existing::<Vpc>(aws, infra_id, own),
        existing::<Instance>(aws, infra_id, own),
        existing::<SecurityGroup>(aws, infra_id, own),
        existing::<DhcpOptions>(aws, infra_id, own)
    )?;
    let found = [networks, machines, groups, options];
    let has_own = found.iter().any(|found| found.has_own);
    let all: Vec<String> = found.into_iter().flat_map(|found| found.others).collect();
    if all.is_empty() {
        return Ok(TaggedObjects { others: None, has_own });
    }
    let created = created(aws, infra_id).await?;
    let (count, objects) = (all.len(), all.into_iter().take(NAMED).collect());
    let infra_id = infra_id.to_owned();
    Ok(TaggedObjects {
        others: Some(ExistingCluster { infra_id, objects, count, created }),
        has_own,
    })
}

/// Returns the IDs of existing networks, security groups and DHCP options with the cluster tag of this
/// infra ID and a creation token that the selected state does not record: groundplan created them.
/// Machines are left out, because those of manifests have tokens of another state.
///
/// Reads the objects and not the tag index, so that one wrong answer of the index is noticed.
///
/// # Errors
/// If a call fails.
pub async fn unrecorded_with_token(
    aws: &Aws,
    infra_id: &str,
    own: &OwnObjects,
) -> Result<BTreeSet<String>> {
    let (networks, groups, options) = tokio::try_join!(
        existing::<Vpc>(aws, infra_id, own),
        existing::<SecurityGroup>(aws, infra_id, own),
        existing::<DhcpOptions>(aws, infra_id, own)
    )?;
    Ok([networks, groups, options].into_iter().flat_map(|found| found.with_token).collect())
}

/// Returns the cluster that owns a private hosted zone of exactly this domain; `None` if there is
/// no such zone, or none that a cluster owns.
///
/// # Errors
/// If a call fails.
pub async fn of_domain(aws: &Aws, domain: &str) -> Result<Option<ExistingCluster>> {
    for zone in zones_named(aws, domain).await?.iter().filter(|zone| is_private(zone)) {
        let id = zone_id(&zone.id);
        let tags = route53::live_tags(aws, id.as_str()).await?.unwrap_or_default();
        let owner = tags.iter().find_map(|(key, value)| {
            (value == "owned").then(|| key.strip_prefix(CLUSTER_TAG_PREFIX)).flatten()
        });
        if let Some(infra_id) = owner {
            return Ok(Some(ExistingCluster {
                infra_id: infra_id.to_owned(),
                objects: vec![format!("hosted zone {domain} ({})", id.as_str())],
                count: 1,
                created: created(aws, infra_id).await?,
            }));
        }
    }
    Ok(None)
}

/// Existing objects of one type that the cluster owns.
struct Existing {
    /// IDs of the objects that the selected state does not record.
    others: BTreeSet<String>,
    /// IDs of those of them that have a creation token.
    with_token: BTreeSet<String>,
    /// True if there is a recorded object.
    has_own: bool,
}

/// Returns the keys of the tags of a cluster. In an existing network, the first resource of a cluster of
/// release 4.16 or later can be a security group with the tag of Cluster API only.
fn tag_keys(infra_id: &str) -> [String; 2] {
    [cluster_tag_key(infra_id), cluster_api_tag_key(infra_id)]
}

async fn existing<T: Ec2Object>(aws: &Aws, infra_id: &str, own: &OwnObjects) -> Result<Existing> {
    let keys = tag_keys(infra_id);
    let is_owned = |one: &T| {
        let mut tags = one.tags().iter();
        let is_key = |key: &str| keys.iter().any(|one| one == key);
        tags.any(|tag| tag.key().is_some_and(is_key) && tag.value() == Some("owned"))
    };
    let found = T::describe(aws, vec![filter("tag-key", &keys)]).await?;
    let is_own = |one: &&T| {
        let token = token_of(one.tags());
        one.id().is_some_and(|id| own.ids.contains(id))
            || token.is_some_and(|token| own.tokens.contains(token))
    };
    let owned = found.iter().filter(|one| one.exists() && is_owned(one));
    let (recorded, others): (Vec<&T>, Vec<&T>) = owned.partition(is_own);
    let ids = |all: &mut dyn Iterator<Item = &T>| {
        all.filter_map(|one| one.id().map(str::to_owned)).collect::<BTreeSet<_>>()
    };
    let with_token = ids(&mut others.iter().copied().filter(|one| token_of(one.tags()).is_some()));
    let others = ids(&mut others.into_iter());
    Ok(Existing { others, with_token, has_own: !recorded.is_empty() })
}

/// Returns the creation time of the masters' role, which every installer creates first. `None` if
/// the role does not exist or must not be read.
async fn created(aws: &Aws, infra_id: &str) -> Result<Option<String>> {
    let call = aws.iam.get_role().role_name(format!("{infra_id}-master-role"));
    let answer = match aws.call("iam", "GetRole", call.send()).await {
        Err(error) if error.is(&["AccessDenied", "AccessDeniedException"]) => return Ok(None),
        answer => none_if(answer, iam::ABSENT)?,
    };
    let role = answer.and_then(|answer| answer.role);
    Ok(role.map(|role| role.create_date.to_string()))
}
