//! Subcommands, one file each: from top to bottom the user story.

pub(crate) mod apply;
pub(crate) mod bootstrap;
pub(crate) mod clusters;
pub(crate) mod completions;
pub(crate) mod config;
pub(crate) mod destroy;
pub(crate) mod graph;
#[cfg(feature = "kubernetes")]
pub(crate) mod machine_controller;
pub(crate) mod machines;
pub(crate) mod man;
pub(crate) mod manifests;
pub(crate) mod plan;
pub(crate) mod policy;
pub(crate) mod protect;
pub(crate) mod recover;
pub(crate) mod schema;
pub(crate) mod show;
pub(crate) mod state;
#[cfg(feature = "kubernetes")]
pub(crate) mod termination_handler;
pub(crate) mod unlock;
pub(crate) mod validate;
