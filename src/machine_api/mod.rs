//! Machine API: the machines that an OpenShift cluster creates and replaces itself.
//!
//! - [`check`]: offline validation of machines in files.
//! - [`launch`]: launch spec of a machine.
//! - [`controller`]: controllers that reconcile the machines of a cluster.
//! - [`crds`]: definitions of Machine and MachineSet, for clusters without them.
//! - [`infrastructure`]: facts about a cluster.
//! - [`manifests`]: Machine API manifests that openshift-install renders from a config.
//! - [`offline`]: graph of machines in files, without a cluster.
//! - [`schemas`]: JSON Schemas of machines, for editors.
//! - [`types`]: Machine, MachineSet, ControlPlaneMachineSet, and the provider config of a machine.
//! - [`yaml`]: YAML writer with the format of openshift-install.
//!
//! Only the drivers in [`controller`] call AWS and the API server.

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
