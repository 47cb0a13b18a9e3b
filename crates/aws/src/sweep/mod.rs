//! The sweep: a search for all resources with the cluster tag or a name of the cluster, recorded or
//! not. A destroy deletes the resources that it finds, and repeats it as proof of completeness.
//!
//! The sweep deletes nothing. AWS keeps tags of deleted resources for a while, so the sweep
//! verifies that each tagged resource exists.

mod buckets;
mod claims;
mod dns;
mod ec2;
mod elb;
mod iam;
mod lists;
mod networks;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

pub use self::claims::{OwnershipConflict, ownership_conflicts};
pub(crate) use self::dns::cut;
pub(crate) use self::elb::classic_balancers;
use groundplan_engine::provider::{ErrorClass, ProviderError};

use crate::Aws;
use crate::client::ec2 as shared;
use crate::client::ec2::Ec2Object;
use crate::client::resource_type::Result;
use crate::model::ids::{BucketName, InstanceProfileName, RoleName};

/// Kind of a resource with the cluster tag `shared`, which the cluster uses and does not own.
pub const SHARED_TAG: &str = "shared-tag";

/// Value of the cluster tag on resources that a destroy deletes.
const OWNED: &str = "owned";

/// Pause before the second read of an answer that may be wrong. It outlasts a response from a cache.
const PAUSE: Duration = Duration::from_secs(3);

/// Names of resources that the search by cluster tag does not find. An empty field skips the search
/// by that name.
#[derive(Clone, Debug, Default)]
pub struct SweepNames {
    /// Domain of the cluster, of which the cluster may own a private zone.
    pub domain: Option<String>,
    /// IAM roles.
    pub roles: Vec<RoleName>,
    /// Instance profiles.
    pub profiles: Vec<InstanceProfileName>,
    /// S3 buckets.
    pub buckets: Vec<BucketName>,
    /// Names of recorded roles, profiles, users and buckets. They are not searched: refresh has read
    /// them.
    pub recorded: BTreeSet<String>,
}

/// A resource that exists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct RemainingResource {
    /// Type, as AWS names it (`security-group`). For a resource with the cluster tag `shared`, the
    /// type is [`SHARED_TAG`].
    pub kind: String,
    /// ID, ARN or name.
    pub id: String,
    /// Name, or value of the tag `Name`. `None` if the resource has neither.
    pub name: Option<String>,
    /// ID of the instance or image whose deletion also deletes this resource.
    #[serde(skip)]
    pub goes_with: Option<String>,
    /// True for a backup that AWS Backup manages. EC2 does not delete it.
    #[serde(skip)]
    pub is_backup: bool,
    /// ID of the VPC of the cluster that contains the resource. Only for resources without the
    /// cluster tag.
    #[serde(skip)]
    pub network: Option<String>,
}

impl RemainingResource {
    fn new(kind: &str, id: &str, name: Option<&str>) -> Self {
        Self {
            kind: kind.to_owned(),
            id: id.to_owned(),
            name: name.map(str::to_owned),
            goes_with: None,
            is_backup: false,
            network: None,
        }
    }

    /// Returns the resource with its kind adapted to the value of the cluster tag. Any value other
    /// than `owned` marks a resource of the user, of which only the tag is deleted.
    fn tagged(mut self, value: Option<&str>) -> Self {
        if value != Some(OWNED) {
            SHARED_TAG.clone_into(&mut self.kind);
        }
        self
    }
}

/// A resource of others that stands in a network of the cluster. It stays, and blocks the deletion of
/// the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NetworkBlocker {
    /// Type, as AWS names it (`instance`).
    pub kind: &'static str,
    /// ID of the resource.
    pub id: String,
    /// Name of the resource. `None` if it has no name.
    pub name: Option<String>,
    /// ID of the VPC.
    pub network: String,
    /// Reason why the resource stays.
    pub reason: String,
}

/// Result of a sweep.
#[derive(Clone, Debug, Default)]
pub struct Sweep {
    /// Resources that exist, sorted.
    pub left: Vec<RemainingResource>,
    /// Backups of the cluster that AWS Backup manages, sorted. They stay until AWS Backup deletes
    /// them.
    pub backups: Vec<RemainingResource>,
    /// Errors of searches that the credentials may not make. A cluster has such resources only if
    /// the user configures it to create them.
    pub denied: Vec<ProviderError>,
    /// Resources of others that block the deletion of a network of the cluster, sorted.
    pub blockers: Vec<NetworkBlocker>,
}

/// Returns all existing resources of the cluster, found by the cluster tag and by names, and
/// resources without the tag that stand in a network of the cluster.
///
/// # Errors
/// If a search fails, because a partial result proves nothing. Only searches whose permissions the
/// provisioning of the cluster does not need may be denied; they are reported in [`Sweep::denied`].
pub async fn sweep(aws: &Aws, names: &SweepNames) -> Result<Sweep> {
    if infra_id(aws).is_empty() {
        let message = "the cluster tag is missing";
        return Err(ProviderError::new(ErrorClass::Permanent, "DescribeTags", message));
    }
    // The futures are large, so they are on the heap.
    let (ec2, balancers, classic, dns, iam, buckets) = tokio::try_join!(
        Box::pin(ec2::tagged(aws, &names.recorded)),
        Box::pin(elb::balancers_and_groups(aws, &names.recorded)),
        Box::pin(elb::classic(aws)),
        Box::pin(dns::zones_and_records(aws, names)),
        Box::pin(iam::by_name(aws, names)),
        Box::pin(buckets::by_name(aws, names)),
    )?;
    let networks::Untagged { left: untagged, mut blockers } =
        Box::pin(networks::untagged(aws, &ec2)).await?;
    blockers.sort();
    let (iam, iam_denied) = iam;
    let (buckets, buckets_denied) = buckets;
    let found = [ec2, untagged, balancers, classic, dns, iam, buckets];
    let found: BTreeSet<RemainingResource> = found.into_iter().flatten().collect();
    let images: BTreeSet<String> =
        found.iter().filter(|one| one.is_backup).map(|one| one.id.clone()).collect();
    // A snapshot of an image goes with the image, which stays.
    let is_backup = |one: &RemainingResource| {
        one.is_backup || one.goes_with.as_ref().is_some_and(|with| images.contains(with))
    };
    let (backups, left) = found.into_iter().partition(is_backup);
    let denied = iam_denied.into_iter().chain(buckets_denied).collect();
    Ok(Sweep { left, backups, denied, blockers })
}

/// Returns the infra ID, with which names of the cluster begin.
fn infra_id(aws: &Aws) -> &str {
    aws.settings.infra_id()
}

/// Result of a search that the credentials may not be allowed to make: the found resources, and the
/// errors of the calls that are not allowed.
type Permitted = (Vec<RemainingResource>, Vec<ProviderError>);

/// Returns no result and the error if the credentials may not make the call.
fn permitted<T>(answer: Result<T>) -> Result<(Option<T>, Option<ProviderError>)> {
    match answer {
        Ok(answer) => Ok((Some(answer), None)),
        Err(error) if error.is(&["AccessDenied"]) => Ok((None, Some(error))),
        Err(error) => Err(error),
    }
}

/// Returns the error for an answer that lacks an object which another answer has shown.
fn incomplete(call: &str, id: &str) -> ProviderError {
    let message = format!("{id} is missing in the answer, but exists with the cluster tag");
    ProviderError::new(ErrorClass::Retryable, call, message)
        .with_hint("run the same command again in a minute")
}

/// Returns the instances of the cluster whose IDs are not in `known`. Usually the cluster itself
/// created them.
///
/// # Errors
/// If EC2 returns an error.
pub async fn other_instances(
    aws: &Aws,
    known: &BTreeSet<String>,
) -> Result<Vec<RemainingResource>> {
    use aws_sdk_ec2::types::Instance;
    let instances = Instance::describe(aws, vec![shared::by_cluster(aws)]).await?;
    let others = instances.iter().filter(|one| one.exists()).filter_map(|one| {
        let id = one.id().filter(|id| !known.contains(*id))?;
        Some(RemainingResource::new("instance", id, ec2::name_tag(one.tags())))
    });
    let others: BTreeSet<RemainingResource> = others.collect();
    Ok(others.into_iter().collect())
}

/// Returns false for an error that means that the named resource does not exist.
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
        let kind = |value| RemainingResource::new("vpc", "vpc-1", None).tagged(value).kind;
        assert_eq!(kind(Some("owned")), "vpc");
        for other in [Some("shared"), Some("true"), Some(""), None] {
            assert_eq!(kind(other), SHARED_TAG, "{other:?}");
        }
    }
}
