//! Search for buckets by name, and by the prefix `<infra ID>-` with the cluster tag (the image
//! registry's bucket, cluster-image-registry-operator pkg/storage/s3).

use std::collections::BTreeSet;

use super::{OWNED, RemainingResource, infra_id, is_there};
use crate::Aws;
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::model::ids::BucketName;

pub(super) async fn find_by_name(
    aws: &Aws,
    buckets: &[BucketName],
) -> Result<Vec<RemainingResource>> {
    let mut left = Vec::new();
    for bucket in buckets {
        let call = aws.s3.head_bucket().bucket(bucket.as_str()).send();
        if is_there(aws.call("s3", "HeadBucket", call).await)? {
            left.push(leftover(bucket.as_str()));
        }
    }
    Ok(left)
}

pub(super) async fn by_prefix(
    aws: &Aws,
    recorded: &BTreeSet<String>,
) -> Result<Vec<RemainingResource>> {
    let prefix = format!("{}-", infra_id(aws));
    let (mut left, mut next) = (Vec::new(), None);
    loop {
        // Without a limit, S3 returns at most 10,000 buckets and a token for the next page.
        let call = aws.s3.list_buckets().prefix(&prefix).set_continuation_token(next).send();
        let page = aws.call("s3", "ListBuckets", call).await?;
        let names = page.buckets().iter().filter_map(|one| one.name());
        for name in names.filter(|name| name.starts_with(&prefix)) {
            if !recorded.contains(name) && is_ours(aws, name).await? {
                left.push(leftover(name));
            }
        }
        next = page.continuation_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(left);
        }
    }
}

async fn is_ours(aws: &Aws, name: &str) -> Result<bool> {
    let call = aws.s3.get_bucket_tagging().bucket(name).send();
    let answer = aws.call("s3", "GetBucketTagging", call).await;
    // A bucket in another region or of another account is not of this cluster.
    let absent = ["NoSuchBucket", "NoSuchTagSet", "PermanentRedirect"];
    let tags = none_if(answer, &absent)?.map(|answer| answer.tag_set).unwrap_or_default();
    Ok(tags.iter().any(|tag| tag.key() == aws.settings.cluster_tag && tag.value() == OWNED))
}

fn leftover(name: &str) -> RemainingResource {
    RemainingResource::new("bucket", name, Some(name))
}
