//! Kinds of resources, one file or folder each: inputs, outputs and schema, every fact about the kind,
//! and with the feature `sdk` its calls.
//!
//! Never: a helper that two kinds share, which belongs in `client`.

pub mod ami_copy;
pub mod carrier_gateway;
pub mod dhcp_options;
pub mod egress_only_internet_gateway;
pub mod elastic_ip;
pub mod hosted_zone;
pub mod iam_instance_profile;
pub mod iam_role;
pub mod iam_role_policy;
pub mod instance;
pub mod internet_gateway;
pub mod listener;
pub mod load_balancer;
pub mod load_balancer_attachment;
pub mod machine;
pub mod nat_gateway;
pub mod network_interface;
pub mod record;
pub mod route_table;
pub mod s3_bucket;
pub mod s3_object;
pub mod security_group;
pub mod security_group_rules;
pub mod shared_tags;
pub mod subnet;
pub mod swept;
pub mod target;
pub mod target_group;
pub mod vpc;
pub mod vpc_endpoint;
