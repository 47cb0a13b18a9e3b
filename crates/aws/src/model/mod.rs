//! AWS's vocabulary as plain data: IDs, tags, billed items, limits of volumes and user data, metadata options, launch errors.
//!
//! Never: the SDK, or the state of a cluster.

use std::collections::BTreeMap;

pub mod attachment;
pub mod billed;
pub mod calls;
pub mod dry_run;
pub mod ebs;
pub mod effective_metadata;
pub mod ids;
pub mod launch_errors;
pub mod metadata_options;
pub mod partition;
pub mod protection;
pub mod quota;
pub mod tags;
pub mod untracked;
pub mod volume;

/// Tags as AWS stores them. groundplan manages only keys that it sets; other keys are never a
/// difference.
pub type Tags = BTreeMap<String, String>;

/// Prefix of the key of the cluster tag. The rest of the key is the infra ID.
pub const CLUSTER_TAG_PREFIX: &str = "kubernetes.io/cluster/";

/// Returns the key of the cluster tag. All resources that the cluster owns have the tag with the
/// value `owned`.
pub fn cluster_tag_key(infra_id: &str) -> String {
    format!("{CLUSTER_TAG_PREFIX}{infra_id}")
}

/// Prefix of the key of the tag that Cluster API sets on the resources of a cluster (Cluster API
/// Provider AWS, `api/v1beta2/tags.go`).
pub const CLUSTER_API_TAG_PREFIX: &str = "sigs.k8s.io/cluster-api-provider-aws/cluster/";

/// Returns the key of the tag that Cluster API sets on the resources of a cluster. From release 4.16
/// on, some resources have only this tag: the cloud provider of Kubernetes rejects machines with
/// several security groups that have the cluster tag.
pub fn cluster_api_tag_key(infra_id: &str) -> String {
    format!("{CLUSTER_API_TAG_PREFIX}{infra_id}")
}

/// Returns the region whose tagging API has the tags of global services (Route 53, IAM). `None` if
/// their tags are in the region itself, or no other one is documented.
///
/// Sources: installer `pkg/destroy/aws/aws.go` (main) and openshift/installer #10544 for China; the
/// partitions of the European Sovereign Cloud and of C2S have no such region there.
pub fn global_tag_region(region: &str) -> Option<&'static str> {
    let is_in = |prefixes: &[&str]| prefixes.iter().any(|prefix| region.starts_with(prefix));
    let home = match region {
        "" => return None,
        _ if is_in(&["us-gov-"]) => "us-gov-west-1",
        _ if is_in(&["cn-"]) => "cn-northwest-1",
        _ if is_in(&["us-iso", "eu-iso", "eusc-"]) => return None,
        _ => "us-east-1",
    };
    Some(home).filter(|home| *home != region)
}

/// Returns the name of the cluster that owns a resource with this tag. `None` for other tags, such
/// as that of a cluster that only uses the resource (`shared`). openshift-install rejects subnets
/// with these tags (openshift/installer 777acfe691 and e0996bbd5f).
pub fn owner_of_tag<'tag>(key: &'tag str, value: &str) -> Option<&'tag str> {
    let owner = [CLUSTER_TAG_PREFIX, CLUSTER_API_TAG_PREFIX]
        .iter()
        .find_map(|prefix| key.strip_prefix(prefix));
    owner.filter(|owner| value == "owned" && !owner.is_empty())
}

/// Maximum size of user data in bytes, before base64 encoding (EC2 user guide, "Run commands when
/// you launch an EC2 instance with user data input").
pub const USER_DATA_LIMIT: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_global_services_are_in_one_region_of_the_partition() {
        for (region, home) in [
            ("us-west-2", Some("us-east-1")),
            ("us-east-1", None),
            ("us-gov-east-1", Some("us-gov-west-1")),
            ("us-gov-west-1", None),
            ("cn-north-1", Some("cn-northwest-1")),
            ("cn-northwest-1", None),
            ("us-isob-east-1", None),
            ("eusc-de-east-1", None),
            ("eu-central-1", Some("us-east-1")),
        ] {
            assert_eq!(global_tag_region(region), home, "{region}");
        }
    }

    #[test]
    fn a_tag_with_the_value_owned_names_the_owner() {
        for (key, value, owner) in [
            ("kubernetes.io/cluster/demo-x7k2p", "owned", Some("demo-x7k2p")),
            ("kubernetes.io/cluster/demo-x7k2p", "shared", None),
            ("sigs.k8s.io/cluster-api-provider-aws/cluster/capi", "owned", Some("capi")),
            ("sigs.k8s.io/cluster-api-provider-aws/cluster/capi", "shared", None),
            ("kubernetes.io/cluster/", "owned", None),
            ("Name", "owned", None),
        ] {
            assert_eq!(owner_of_tag(key, value), owner, "{key}={value}");
        }
    }
}
