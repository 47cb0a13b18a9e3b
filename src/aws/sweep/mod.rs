//! What carries the cluster's tag or one of its names, recorded or not: what a destroy takes along, and
//! the proof after it.
//!
//! Deletes nothing. AWS remembers tags of what is gone for a while, so whatever a tag points to is
//! looked at before it is called left over.

mod buckets;
mod claims;
mod dns;
mod ec2;
mod elb;
mod iam;

use std::collections::BTreeSet;

use serde::Serialize;

pub use self::claims::{Claim, claims};
pub(super) use self::dns::cut;
pub(super) use self::elb::classic_balancers;
use super::Aws;
use super::ec2::{self as shared, Described};
use super::ids::{BucketName, InstanceProfileName, RoleName};
use super::kind::Result;
use super::ownership::CLUSTER_PREFIX;
use crate::provider::{Class, ProviderError};

/// The kind of a brought thing that still says that the cluster uses it.
pub const SHARED_TAG: &str = "shared-tag";

/// What the tag says of what goes with its cluster.
const OWNED: &str = "owned";

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
    /// What it is, as AWS names the type (`security-group`); a brought thing that still says that
    /// it is `shared` is a [`SHARED_TAG`].
    pub kind: String,
    /// Its id, ARN or name.
    pub id: String,
    /// Its `Name` tag or name, if it has one.
    pub name: Option<String>,
    /// The instance or image that takes it along when it goes.
    #[serde(skip)]
    pub goes_with: Option<String>,
}

impl Leftover {
    fn new(kind: &str, id: &str, name: Option<&str>) -> Self {
        let name = name.map(str::to_owned);
        Self { kind: kind.to_owned(), id: id.to_owned(), name, goes_with: None }
    }

    /// The same, tagged so. Whatever does not say `owned` was brought, and only its tag is left over.
    fn tagged(mut self, value: Option<&str>) -> Self {
        if value != Some(OWNED) {
            SHARED_TAG.clone_into(&mut self.kind);
        }
        self
    }
}

/// Everything that was found, and what could not be looked for.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// What is there, sorted.
    pub left: Vec<Leftover>,
    /// The questions that the credentials may not ask: what a cluster makes there only where it is
    /// told to.
    pub denied: Vec<ProviderError>,
}

/// Everything of the cluster's that is there, by its tag and by names.
///
/// # Errors
/// When something cannot be looked up: half a proof is none. Only lists that the cluster's own
/// provisioning needs no permission for may be denied.
pub async fn sweep(aws: &Aws, names: &Names) -> Result<Sweep> {
    if infra_id(aws).is_empty() {
        let message = "without the cluster's tag everything would be left over";
        return Err(ProviderError::new(Class::Refused, "DescribeTags", message));
    }
    // Each is large, and they are seven: on the heap.
    let (ec2, balancers, classic, groups, dns, iam, buckets) = tokio::try_join!(
        Box::pin(ec2::tagged(aws)),
        Box::pin(elb::load_balancers(aws)),
        Box::pin(elb::classic(aws)),
        Box::pin(elb::target_groups(aws)),
        Box::pin(dns::zones_and_records(aws, names.domain.as_deref())),
        Box::pin(iam::named(aws, names)),
        Box::pin(buckets::named(aws, &names.buckets)),
    )?;
    let (users, users_denied) = permitted(Box::pin(iam::by_prefix(aws)).await)?;
    let (others, others_denied) = permitted(Box::pin(buckets::by_prefix(aws)).await)?;
    let found = [ec2, balancers, classic, groups, dns, iam, buckets, users, others];
    let left: BTreeSet<Leftover> = found.into_iter().flatten().collect();
    Ok(Sweep {
        left: left.into_iter().collect(),
        denied: users_denied.into_iter().chain(others_denied).collect(),
    })
}

/// The infra ID, which names begin with.
fn infra_id(aws: &Aws) -> &str {
    let tag = &aws.settings.cluster_tag;
    tag.strip_prefix(CLUSTER_PREFIX).unwrap_or(tag)
}

/// Nothing, where the credentials may not ask.
fn permitted(found: Result<Vec<Leftover>>) -> Result<(Vec<Leftover>, Option<ProviderError>)> {
    match found {
        Ok(found) => Ok((found, None)),
        Err(error) if error.is(&["AccessDenied"]) => Ok((Vec::new(), Some(error))),
        Err(error) => Err(error),
    }
}

/// The instances of the cluster that are none of these: made by the cluster itself, most likely.
///
/// # Errors
/// When EC2 does not answer.
pub async fn other_instances(aws: &Aws, known: &BTreeSet<String>) -> Result<Vec<Leftover>> {
    use aws_sdk_ec2::types::Instance;
    let instances = Instance::describe(aws, vec![shared::by_cluster(aws)]).await?;
    let others = instances.iter().filter(|one| one.exists()).filter_map(|one| {
        let id = one.id().filter(|id| !known.contains(*id))?;
        Some(Leftover::new("instance", id, ec2::name_tag(one.tags())))
    });
    let others: BTreeSet<Leftover> = others.collect();
    Ok(others.into_iter().collect())
}

/// The answer to a question by name.
fn is_there<T>(answer: Result<T>) -> Result<bool> {
    match answer {
        Ok(_) => Ok(true),
        Err(error) if error.is(&["NoSuchEntity", "NoSuchBucket", "NotFound"]) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_says_owned_is_more_than_a_tag() {
        let kind = |value| Leftover::new("vpc", "vpc-1", None).tagged(value).kind;
        assert_eq!(kind(Some("owned")), "vpc");
        for other in [Some("shared"), Some("true"), Some(""), None] {
            assert_eq!(kind(other), SHARED_TAG, "{other:?}");
        }
    }
}
