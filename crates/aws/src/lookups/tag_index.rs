//! Reads the EC2 tag index: creation tokens, and clusters without a recorded state. Changes
//! nothing.

use std::collections::BTreeSet;

use crate::Aws;
use crate::client::TOKEN_TAG;
use crate::client::ec2::{filter, pages};
use crate::client::resource_type::Result;
use crate::model::CLUSTER_TAG_PREFIX;

/// Returns the creation tokens on all EC2 objects. AWS keeps tags of deleted objects for a while,
/// so a token does not prove that its object exists.
///
/// # Errors
/// If the tags cannot be listed.
pub async fn tokens(aws: &Aws) -> Result<BTreeSet<String>> {
    let request = aws.ec2.describe_tags().filters(filter("key", &[TOKEN_TAG])).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let tokens = tags.filter(|tag| tag.key() == Some(TOKEN_TAG));
    Ok(tokens.filter_map(|tag| tag.value).collect())
}

/// Returns the infra IDs of the clusters that own EC2 objects in this region.
///
/// # Errors
/// If the tags cannot be listed.
pub async fn clusters(aws: &Aws) -> Result<BTreeSet<String>> {
    let all = format!("{CLUSTER_TAG_PREFIX}*");
    let owned = [filter("key", &[all]), filter("value", &["owned"])];
    let request = aws.ec2.describe_tags().set_filters(Some(owned.into())).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let named = tags.filter_map(|tag| Some(tag.key?.strip_prefix(CLUSTER_TAG_PREFIX)?.to_owned()));
    Ok(named.collect())
}

/// Returns true if EC2 objects of the cluster have the tag of Cluster API, with which
/// openshift-install 4.16 and later create them. An empty answer is no proof: call it for a cluster
/// whose resources are then searched by the layout that it selects.
///
/// # Errors
/// If the tags cannot be listed.
pub async fn uses_cluster_api(aws: &Aws) -> Result<bool> {
    let [_, tag] = aws.settings.cluster_tags();
    let request = aws.ec2.describe_tags().filters(filter("key", &[&tag])).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags);
    Ok(tags.iter().any(|one| one.key() == Some(&tag)))
}
