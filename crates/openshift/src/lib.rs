//! OpenShift's own documents: the install-config, the topology of its cluster on AWS, and the objects
//! of the Machine API. Pure: no network, no clock, no SDK, no command line.
//!
//! Imports point down this list only:
//!
//! 1. [`plan_review`]: warnings about masters and machines in a plan, and drift classes.
//! 2. [`machine_api`]: Machine API objects: types, validation, launch specs, manifests.
//! 3. [`topology`]: compiles an install-config and lookup results to a graph.
//! 4. [`install_config`]: parses an install-config, or reports findings with their positions.
//! 5. [`diagnostics`]: findings and rules, shared by install-configs and manifests.
//!
//! # Features
//!
//! - `test-support`: example clusters with the lookup results of a cloud.

pub mod diagnostics;
pub mod install_config;
pub mod machine_api;
pub mod plan_review;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
pub mod topology;
