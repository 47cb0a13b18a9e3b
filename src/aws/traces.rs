//! What tags tell of clusters that nothing is recorded of. Changes nothing.

use std::collections::BTreeSet;

use super::Aws;
use super::client::TOKEN_TAG;
use super::ec2::{filter, pages};
use super::kind::Result;
use super::ownership::CLUSTER_PREFIX;

/// The token of everything in EC2 that one was ever written on. AWS remembers the tags of what is
/// gone for a while: that a token is here does not mean that anything is.
///
/// # Errors
/// When tags cannot be listed.
pub async fn tokens(aws: &Aws) -> Result<BTreeSet<String>> {
    let request = aws.ec2.describe_tags().filters(filter("key", &[TOKEN_TAG])).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let tokens = tags.filter(|tag| tag.key() == Some(TOKEN_TAG));
    Ok(tokens.filter_map(|tag| tag.value).collect())
}

/// The infra IDs of the clusters that own something in EC2 in this region.
///
/// # Errors
/// When tags cannot be listed.
pub async fn clusters(aws: &Aws) -> Result<BTreeSet<String>> {
    let all = format!("{CLUSTER_PREFIX}*");
    let owned = [filter("key", &[all]), filter("value", &["owned"])];
    let request = aws.ec2.describe_tags().set_filters(Some(owned.into())).max_results(1000);
    let tags = pages!(aws, "DescribeTags", request, tags).into_iter();
    let named = tags.filter_map(|tag| Some(tag.key?.strip_prefix(CLUSTER_PREFIX)?.to_owned()));
    Ok(named.collect())
}
