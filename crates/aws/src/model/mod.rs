//! AWS's vocabulary as plain data: IDs, tags, limits of volumes, metadata options, launch errors.
//!
//! Never: the SDK, or the state of a cluster.

use std::collections::BTreeMap;

pub mod calls;
pub mod dry_run;
pub mod ebs;
pub mod ids;
pub mod launch_errors;
pub mod metadata_options;
pub mod quota;
pub mod untracked;

/// Tags as AWS stores them. groundplan manages only keys that it sets; other keys are never a
/// difference.
pub type Tags = BTreeMap<String, String>;
