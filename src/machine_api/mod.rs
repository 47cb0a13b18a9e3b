//! The Machine API: machines as the cluster itself makes and mends them.
//!
//! - [`check`]: what the cluster would say of machines in files.
//! - [`launch`]: a machine as what AWS is told to make of it.
//! - [`controller`]: machines of a cluster are made to be as they are wanted.
//! - [`crds`]: the definitions of Machine and MachineSet, where a cluster has none.
//! - [`infrastructure`]: what a cluster says of itself.
//! - [`manifests`]: a config as the manifests that openshift-install renders from it.
//! - [`offline`]: machines in files as a graph, where no cluster looks after them.
//! - [`schemas`]: their JSON Schemas, for editors.
//! - [`types`]: Machine, MachineSet, ControlPlaneMachineSet, and what AWS is told of a machine.
//! - [`yaml`]: writes them as openshift-install does.
//!
//! The drivers in [`controller`] ask a cloud and a cluster; nothing else here does.

pub mod check;
pub mod controller;
pub mod crds;
pub mod infrastructure;
pub mod launch;
pub mod manifests;
pub mod offline;
pub mod schemas;
pub mod types;
pub mod yaml;
