//! Finds clusters that exist in AWS and that a new state does not record: the same cluster in
//! another state, or a cluster of the same name and domain. Changes nothing.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{Instance, SecurityGroup, Vpc};

use crate::Aws;
use crate::client::ec2::{Ec2Object, by_cluster, filter, pages};
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::client::{iam, route53};
use crate::lookups::queries::{is_private, zone_id, zones_named};
use crate::model::{CLUSTER_TAG_PREFIX, cluster_tag_key};

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

/// Returns the existing objects with the cluster tag of this infra ID; `None` if there are none.
///
/// Sends one call (`DescribeTags`) if the cluster does not exist. AWS keeps tags of deleted objects for a
/// while, so tagged objects are read before they count.
///
/// # Errors
/// If a call fails.
pub async fn of_infra_id(aws: &Aws, infra_id: &str) -> Result<Option<ExistingCluster>> {
    let owned = [filter("key", &[cluster_tag_key(infra_id)]), filter("value", &["owned"])];
    let request = aws.ec2.describe_tags().set_filters(Some(owned.into())).max_results(1000);
    if pages!(aws, "DescribeTags", request, tags).is_empty() {
        return Ok(None);
    }
    let (networks, machines, groups) = tokio::try_join!(
        existing::<Vpc>(aws, infra_id),
        existing::<Instance>(aws, infra_id),
        existing::<SecurityGroup>(aws, infra_id)
    )?;
    let all: Vec<String> = networks.into_iter().chain(machines).chain(groups).collect();
    if all.is_empty() {
        return Ok(None);
    }
    let created = created(aws, infra_id).await?;
    let (count, objects) = (all.len(), all.into_iter().take(NAMED).collect());
    Ok(Some(ExistingCluster { infra_id: infra_id.to_owned(), objects, count, created }))
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
                objects: vec![id.as_str().to_owned()],
                count: 1,
                created: created(aws, infra_id).await?,
            }));
        }
    }
    Ok(None)
}

/// Returns the IDs of the existing objects of one type that the cluster owns.
async fn existing<T: Ec2Object>(aws: &Aws, infra_id: &str) -> Result<BTreeSet<String>> {
    let key = cluster_tag_key(infra_id);
    let is_owned = |one: &T| {
        let mut tags = one.tags().iter();
        tags.any(|tag| tag.key() == Some(&key) && tag.value() == Some("owned"))
    };
    let found = T::describe(aws, vec![by_cluster(aws)]).await?;
    let owned = found.iter().filter(|one| one.exists() && is_owned(one));
    Ok(owned.filter_map(|one| one.id().map(str::to_owned)).collect())
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
