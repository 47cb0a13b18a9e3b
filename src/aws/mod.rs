//! AWS as a [`Provider`](crate::provider::Provider): one file per kind.
//!
//! A kind's file contains its inputs, outputs and schema, and its calls behind the `sdk` feature.
//! The one mapping of `authentication` to EC2 metadata options is in [`metadata_options`].

use std::collections::BTreeMap;

#[cfg(feature = "sdk")]
mod client;
#[cfg(feature = "sdk")]
mod ec2;
#[cfg(feature = "sdk")]
mod elb;
#[cfg(feature = "sdk")]
mod errors;
#[cfg(feature = "sdk")]
mod hints;
#[cfg(feature = "sdk")]
mod holders;
#[cfg(feature = "sdk")]
mod https;
#[cfg(feature = "sdk")]
mod iam;
#[cfg(feature = "sdk")]
mod kind;
#[cfg(feature = "sdk")]
mod ownership;
#[cfg(feature = "sdk")]
pub mod permissions;
#[cfg(feature = "sdk")]
mod provider;
#[cfg(feature = "sdk")]
mod replies;
#[cfg(feature = "sdk")]
mod route53;
#[cfg(feature = "sdk")]
mod state_bucket;
#[cfg(feature = "sdk")]
mod throttle;
#[cfg(feature = "sdk")]
mod watch;

pub mod actions;
pub mod ami_copy;
pub mod attention;
pub mod dhcp_options;
pub mod ebs;
pub mod elastic_ip;
pub mod facts;
pub mod hosted_zone;
pub mod iam_instance_profile;
pub mod iam_role;
pub mod iam_role_policy;
pub mod ids;
pub mod instance;
pub mod internet_gateway;
pub mod launch_errors;
pub mod listener;
pub mod load_balancer;
pub mod load_balancer_attachment;
#[cfg(feature = "sdk")]
pub mod lookups;
pub mod machine;
pub mod metadata_options;
pub mod nat_gateway;
pub mod network_interface;
pub mod questions;
pub mod quotas;
pub mod record;
pub mod registry;
pub mod rehearsal;
pub mod route_table;
pub mod s3_bucket;
pub mod s3_object;
pub mod schemas;
pub mod security_group;
pub mod security_group_rules;
pub mod shared_tags;
pub mod subnet;
#[cfg(feature = "sdk")]
pub mod sweep;
pub mod swept;
pub mod target;
pub mod target_group;
#[cfg(feature = "sdk")]
pub mod traces;
pub mod vpc;
pub mod vpc_endpoint;

/// Tags as AWS stores them. groundplan manages only keys that it sets; other keys are never a
/// difference.
pub type Tags = BTreeMap<String, String>;

#[cfg(feature = "sdk")]
pub use client::{Aws, Caller, Settings};
pub use schemas::schemas;
#[cfg(feature = "sdk")]
pub use state_bucket::{Encryption, StateBucket, StateBucketSettings};
#[cfg(feature = "sdk")]
pub use watch::Calls;
