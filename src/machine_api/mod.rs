//! The Machine API: machines as the cluster itself makes and mends them.
//!
//! - [`manifests`]: a config as the manifests that openshift-install renders from it.
//! - [`types`]: Machine, MachineSet, ControlPlaneMachineSet, and what AWS is told of a machine.
//! - [`yaml`]: writes them as openshift-install does.
//!
//! Never asks a cloud or a cluster.

pub mod manifests;
pub mod types;
pub mod yaml;
