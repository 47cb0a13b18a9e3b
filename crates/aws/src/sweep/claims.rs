//! Search for ownership conflicts: resources that also have the tag of another cluster.

use std::collections::BTreeSet;

use crate::Aws;
use crate::Tags;
use crate::client::AwsSettings;
use crate::client::ec2::{filter, pages};
use crate::client::resource_type::Result;
use crate::model::{CLUSTER_API_TAG_PREFIX, CLUSTER_TAG_PREFIX};

/// Prefixes of the keys of the tags of clusters.
const PREFIXES: [&str; 2] = [CLUSTER_TAG_PREFIX, CLUSTER_API_TAG_PREFIX];

/// The tag of another cluster on a resource.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct OwnershipConflict {
    /// ID of the resource.
    pub id: String,
    /// Infra ID of the other cluster.
    pub cluster: String,
    /// Value of the tag: `owned` or `shared`.
    pub value: String,
}

/// Returns the tags of other clusters among these tags of a resource.
pub(super) fn of_tags(settings: &AwsSettings, id: &str, tags: &Tags) -> Vec<OwnershipConflict> {
    let others = tags.iter().filter(|(key, _)| !settings.is_cluster_tag(key));
    let claim = |(key, value): (&String, &String)| {
        let cluster = other_cluster(key)?.to_owned();
        Some(OwnershipConflict { id: id.to_owned(), cluster, value: value.clone() })
    };
    others.filter_map(claim).collect()
}

/// Returns the infra ID in the key of the tag of a cluster.
pub(super) fn other_cluster(key: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| key.strip_prefix(prefix))
}

/// Returns the tags of other clusters on these EC2 resources. Makes one request, with pages.
///
/// # Errors
/// If the tags cannot be listed.
pub async fn ownership_conflicts(
    aws: &Aws,
    ids: &BTreeSet<String>,
) -> Result<BTreeSet<OwnershipConflict>> {
    let all = PREFIXES.map(|prefix| format!("{prefix}*"));
    let request = aws.ec2.describe_tags().filters(filter("key", &all)).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let others = tags.filter(|tag| !tag.key().is_some_and(|key| aws.settings.is_cluster_tag(key)));
    let claim = |tag: aws_sdk_ec2::types::TagDescription| {
        let key = tag.key?;
        let cluster = other_cluster(&key)?.to_owned();
        let id = tag.resource_id.filter(|id| ids.contains(id))?;
        Some(OwnershipConflict { id, cluster, value: tag.value.unwrap_or_default() })
    };
    Ok(others.filter_map(claim).collect())
}
