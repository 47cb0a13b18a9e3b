//! The steps that commands share: open and lock the state, connect, look up, plan, confirm, execute.
//! [`stages`] has their order as types; `planning`, `teardown` and `recovery` are the ways through
//! them.
//!
//! Never: an argument of one command.

mod approval;
pub(crate) mod asset_fit;
pub(crate) mod aws_session;
pub(crate) mod before_deletion;
pub(crate) mod bootstrap;
pub(crate) mod desired_state;
pub(crate) mod destroyed_cluster;
pub(crate) mod destruction;
pub(crate) mod execute;
mod ignition;
pub(crate) mod input_files;
pub(crate) mod install_config_source;
#[cfg(feature = "kubernetes")]
pub(crate) mod installing;
#[cfg(feature = "kubernetes")]
pub(crate) mod late_causes;
pub(crate) mod locked_state;
pub(crate) mod manifest_files;
pub(crate) mod manifests_source;
pub(crate) mod ownership;
pub(crate) mod plan_preview;
pub(crate) mod planning;
pub(crate) mod preflight;
pub(crate) mod recovery;
pub(crate) mod release_choice;
pub(crate) mod saved_plan;
pub(crate) mod signals;
mod sole_owner;
pub(crate) mod stages;
pub(crate) mod state_backend;
pub(crate) mod state_errors;
pub(crate) mod targeting;
pub(crate) mod teardown;
pub(crate) mod untracked;
#[cfg(feature = "kubernetes")]
pub(crate) mod waiting;
