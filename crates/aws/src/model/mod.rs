//! AWS's vocabulary as plain data: IDs, tags, limits of volumes and user data, metadata options, launch errors.
//!
//! Never: the SDK, or the state of a cluster.

use std::collections::BTreeMap;

pub mod attachment;
pub mod calls;
pub mod dry_run;
pub mod ebs;
pub mod ids;
pub mod launch_errors;
pub mod metadata_options;
pub mod protection;
pub mod quota;
pub mod untracked;

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

/// Maximum size of user data in bytes, before base64 encoding (EC2 user guide, "Run commands when
/// you launch an EC2 instance with user data input").
pub const USER_DATA_LIMIT: usize = 16 * 1024;
