//! The Machine API: machines as the cluster itself makes and mends them.
//!
//! - [`types`]: Machine, MachineSet, ControlPlaneMachineSet, and what AWS is told of a machine.
//! - [`yaml`]: writes them as openshift-install does.
//!
//! Never asks a cloud or a cluster.

pub mod types;
pub mod yaml;
