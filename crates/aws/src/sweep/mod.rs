//! The sweep: a search for all resources with the cluster tag or a name of the cluster, recorded or
//! not. Both tags count: the cluster tag, and that of Cluster API. A destroy deletes the resources that it finds, and repeats it as proof of completeness.
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
mod tagging;

use std::collections::BTreeSet;
use std::time::Duration;

use serde::Serialize;

pub use self::claims::{OwnershipConflict, ownership_conflicts};
pub(crate) use self::dns::cut;
pub(crate) use self::elb::classic_balancers;
use groundplan_engine::provider::{ErrorClass, ProviderError};

use crate::Aws;
use crate::Tags;
use crate::client::AwsSettings;
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
    /// True for a resource of the user with the cluster tag, from which groundplan does not remove
    /// the tag.
    #[serde(skip)]
    pub keeps_tag: bool,
    /// True for a resource that only the tagging API reports. Nothing confirms that it still exists.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reported: bool,
    /// Tags of other clusters on the resource. Empty for EC2: [`ownership_conflicts`] reads them.
    #[serde(skip)]
    pub claims: Vec<OwnershipConflict>,
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
            keeps_tag: false,
            reported: false,
            claims: Vec::new(),
            network: None,
        }
    }

    /// Returns the resource with what its tags say: its owner, and other clusters that use it. `None`
    /// without the tag of the cluster.
    fn with_tags(self, settings: &AwsSettings, tags: &Tags) -> Option<Self> {
        let pairs = tags.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let value = settings.cluster_tag_value(pairs)?;
        let claims = claims::of_tags(settings, &self.id, tags);
        Some(Self { claims, ..self.tagged(Some(value)) })
    }

    /// Returns the resource as one that keeps a tag with another value than `owned`: its service has
    /// no call that removes one tag, or groundplan does not make it.
    fn with_fixed_tags(self, settings: &AwsSettings, tags: &Tags) -> Option<Self> {
        let kind = self.kind.clone();
        let one = self.with_tags(settings, tags)?;
        Some(match one.kind == SHARED_TAG {
            true => Self { kind, keeps_tag: true, ..one },
            false => one,
        })
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
    /// Resources of the user that keep a cluster tag with another value than `owned`, sorted.
    pub kept: Vec<RemainingResource>,
    /// Errors of searches that the credentials may not make, or that fail and are not needed. A
    /// cluster has such resources only if the user configures it to create them.
    pub not_searched: Vec<ProviderError>,
    /// Resources of others that block the deletion of a network of the cluster, sorted.
    pub blockers: Vec<NetworkBlocker>,
}

/// Returns all existing resources of the cluster, found by the cluster tag and by names, and
/// resources without the tag that stand in a network of the cluster.
///
/// # Errors
/// If a search fails, because a partial result proves nothing. Only searches whose permissions the
/// provisioning of the cluster does not need may be denied, and only that of the tagging API may fail;
/// they are reported in [`Sweep::not_searched`].
pub async fn sweep(aws: &Aws, names: &SweepNames) -> Result<Sweep> {
    if infra_id(aws).is_empty() {
        let message = "the cluster tag is missing";
        return Err(ProviderError::new(ErrorClass::Permanent, "DescribeTags", message));
    }
    // The futures are large, so they are on the heap.
    let (reported, ec2, balancers, classic, dns, iam, buckets) = tokio::try_join!(
        async { Ok(Box::pin(tagging::reported(aws)).await) },
        Box::pin(ec2::tagged(aws, &names.recorded)),
        Box::pin(elb::balancers_and_groups(aws, &names.recorded)),
        Box::pin(elb::classic(aws)),
        Box::pin(dns::zones_and_records(aws, names)),
        Box::pin(iam::by_name(aws, names)),
        Box::pin(buckets::by_name(aws, names)),
    )?;
    let (iam, iam_denied) = iam;
    let (buckets, buckets_denied) = buckets;
    let mut found: BTreeSet<RemainingResource> =
        [balancers, classic, dns, iam, buckets].into_iter().flatten().collect();
    let tagging::Besides { ec2: more, elsewhere, not_searched } =
        Box::pin(tagging::besides(aws, names, reported, &ec2, &found)).await?;
    let ec2 = [ec2, more].concat();
    let networks::Untagged { left: untagged, mut blockers, denied: networks_denied } =
        Box::pin(networks::untagged(aws, &ec2)).await?;
    blockers.sort();
    found.extend([ec2, untagged, elsewhere].into_iter().flatten());
    let images: BTreeSet<String> =
        found.iter().filter(|one| one.is_backup).map(|one| one.id.clone()).collect();
    // A snapshot of an image goes with the image, which stays.
    let is_backup = |one: &RemainingResource| {
        one.is_backup || one.goes_with.as_ref().is_some_and(|with| images.contains(with))
    };
    let (backups, left): (Vec<_>, Vec<_>) = found.into_iter().partition(is_backup);
    let (kept, left) = left.into_iter().partition(|one| one.keeps_tag);
    let denied = iam_denied.into_iter().chain(buckets_denied).chain(networks_denied);
    let not_searched = denied.chain(not_searched).collect();
    Ok(Sweep { left, backups, kept, not_searched, blockers })
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
        Err(error) if is_denied(&error) => Ok((None, Some(error))),
        Err(error) => Err(error),
    }
}

/// Returns true for the error of a search that the credentials do not allow.
pub fn is_denied(error: &ProviderError) -> bool {
    error.is(&["AccessDenied", "AccessDeniedException", "UnauthorizedOperation"])
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

    fn tags(pairs: &[(&str, &str)]) -> Tags {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn either_tag_makes_a_resource_the_clusters_and_the_cluster_tag_decides_about_its_owner() {
        const API: &str = "sigs.k8s.io/cluster-api-provider-aws/cluster/demo-x7k2p";
        const TAG: &str = "kubernetes.io/cluster/demo-x7k2p";
        let cluster_tag = TAG.to_owned();
        let settings = AwsSettings { cluster_tag, ..AwsSettings::default() };
        let kind = |pairs: &[(&str, &str)]| {
            let one = RemainingResource::new("target-group", "arn:1", None);
            Some(one.with_tags(&settings, &tags(pairs))?.kind)
        };
        for (pairs, expected) in [
            (&[(TAG, "owned")][..], Some("target-group")),
            (&[(API, "owned")], Some("target-group")),
            (&[(API, "owned"), (TAG, "shared")], Some(SHARED_TAG)),
            (&[(API, "shared"), (TAG, "owned")], Some("target-group")),
            (&[(API, "shared")], Some(SHARED_TAG)),
            (&[("kubernetes.io/cluster/demo-x7k2", "owned")], None),
            (&[("Name", "demo-x7k2p")], None),
        ] {
            assert_eq!(kind(pairs).as_deref(), expected, "{pairs:?}");
        }
        let shared = tags(&[(TAG, "shared"), ("kubernetes.io/cluster/prod-abcde", "owned")]);
        let bucket = RemainingResource::new("bucket", "b", None);
        let bucket = bucket.with_fixed_tags(&settings, &shared).unwrap();
        assert_eq!((bucket.kind.as_str(), bucket.keeps_tag), ("bucket", true));
        let claim = OwnershipConflict {
            id: "b".to_owned(),
            cluster: "prod-abcde".to_owned(),
            value: "owned".to_owned(),
        };
        assert_eq!(bucket.claims, [claim]);
    }

    #[test]
    fn only_what_says_owned_is_more_than_a_tag() {
        let kind = |value| RemainingResource::new("vpc", "vpc-1", None).tagged(value).kind;
        assert_eq!(kind(Some("owned")), "vpc");
        for other in [Some("shared"), Some("true"), Some(""), None] {
            assert_eq!(kind(other), SHARED_TAG, "{other:?}");
        }
    }
}
