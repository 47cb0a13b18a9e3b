//! Machine API: the machines that an OpenShift cluster creates and replaces itself.
//!
//! - [`asset_manifests`]: machines inside the assets of openshift-install, compared with a plan.
//! - [`validation`]: offline validation of machines in files.
//! - [`launch_spec`]: launch spec of a machine.
//! - [`crds`]: definitions of Machine and MachineSet, for clusters without them.
//! - [`infrastructure`]: facts about a cluster.
//! - [`manifests`]: Machine API manifests that openshift-install renders from a config.
//! - [`from_manifests`]: graph of machines in files, without a cluster.
//! - [`schemas`]: JSON Schemas of machines, for editors.
//! - [`types`]: Machine, MachineSet, ControlPlaneMachineSet, and the provider config of a machine.
//! - [`yaml`]: YAML writer with the format of openshift-install.

pub mod asset_manifests;
pub mod crds;
pub mod from_manifests;
pub mod infrastructure;

pub mod launch_spec;
pub mod manifests;

pub mod schemas;
pub mod types;
pub mod validation;
pub mod yaml;
