//! Search for buckets by name, and for those with the cluster tag by the prefixes of their names. The
//! tagging API finds the others.
//!
//! - `<infra ID>-`: the image registry's bucket (cluster-image-registry-operator pkg/storage/s3).
//! - `openshift-bootstrap-data-<infra ID>`: the Ignition config of the bootstrap, with the keys of the
//!   cluster, from release 4.16 on (installer `pkg/asset/manifests/aws/cluster.go`,
//!   `GetIgnitionBucketName`).

use super::lists::{Items, List};
use super::{Permitted, RemainingResource, SweepNames, infra_id, is_there, permitted};
use crate::client::outcomes::none_if;
use crate::client::resource_type::Result;
use crate::model::ids::BucketName;
use crate::model::untracked::UntrackedKind;
use crate::{Aws, Tags};

const LIST: &str = "ListBuckets";

/// Returns the buckets in `names`, and unrecorded ones with a prefix and the cluster tag. A bucket
/// with a prefix that the list lacks is not read again: a destroy has deleted it.
///
/// # Errors
/// Returns an error if a call fails, and a retryable one if the list lacks a recorded bucket that
/// refresh has read.
pub(super) async fn by_name(aws: &Aws, names: &SweepNames) -> Result<Permitted> {
    let prefixes = prefixes(infra_id(aws));
    // The list contains only names of the cluster.
    let (kind, recorded) = (UntrackedKind::Bucket, &names.recorded);
    let list = List { kind, call: LIST, recorded, prefix: None };
    let (listed, denied) = permitted(list.read(aws, || listed(aws, &prefixes)).await)?;
    let mut left = Vec::new();
    for bucket in names.buckets.iter().map(BucketName::as_str) {
        let is_proven_absent = prefixes.iter().any(|prefix| bucket.starts_with(prefix))
            && listed.as_ref().is_some_and(|listed| !listed.contains_key(bucket));
        if is_proven_absent {
            continue;
        }
        let call = aws.s3.head_bucket().bucket(bucket).send();
        if is_there(aws.call("s3", "HeadBucket", call).await)? {
            left.push(leftover(bucket));
        }
    }
    let is_new = |name: &&String| {
        !names.recorded.contains(*name) && !names.buckets.iter().any(|one| one.as_str() == *name)
    };
    let listed: Vec<String> = listed.into_iter().flatten().map(|(name, ())| name).collect();
    for name in listed.iter().filter(is_new) {
        match permitted(tagged(aws, name).await)? {
            (Some(found), _) => left.extend(found),
            (None, denied) => return Ok((left, denied.into_iter().collect())),
        }
    }
    Ok((left, denied.into_iter().collect()))
}

/// Returns the beginnings of the names of a cluster's buckets.
fn prefixes(infra_id: &str) -> [String; 2] {
    [format!("{infra_id}-"), format!("openshift-bootstrap-data-{infra_id}")]
}

/// Returns the names of all buckets with these prefixes.
async fn listed(aws: &Aws, prefixes: &[String]) -> Result<Items<()>> {
    let mut all = Items::new();
    for prefix in prefixes {
        all.extend(with_prefix(aws, prefix).await?);
    }
    Ok(all)
}

/// Returns the names of all buckets with this prefix.
async fn with_prefix(aws: &Aws, prefix: &str) -> Result<Items<()>> {
    let (mut all, mut next) = (Items::new(), None);
    loop {
        // Without a limit, S3 returns at most 10,000 buckets and a token for the next page.
        let call = aws.s3.list_buckets().prefix(prefix).set_continuation_token(next).send();
        let page = aws.call("s3", LIST, call).await?;
        let names = page.buckets().iter().filter_map(|one| one.name());
        all.extend(names.filter(|name| name.starts_with(prefix)).map(|name| (name.to_owned(), ())));
        next = page.continuation_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return Ok(all);
        }
    }
}

/// Returns the bucket if it exists and has the tag of the cluster.
pub(super) async fn tagged(aws: &Aws, name: &str) -> Result<Option<RemainingResource>> {
    let call = aws.s3.get_bucket_tagging().bucket(name).send();
    let answer = aws.call("s3", "GetBucketTagging", call).await;
    // A bucket in another region or of another account is not of this cluster.
    let absent = ["NoSuchBucket", "NoSuchTagSet", "PermanentRedirect"];
    let tags = none_if(answer, &absent)?.map(|answer| answer.tag_set).unwrap_or_default();
    let tags: Tags = tags.into_iter().map(|tag| (tag.key, tag.value)).collect();
    Ok(leftover(name).with_fixed_tags(&aws.settings, &tags))
}

fn leftover(name: &str) -> RemainingResource {
    RemainingResource::new("bucket", name, Some(name))
}
