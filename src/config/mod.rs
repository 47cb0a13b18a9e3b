//! The text of an `install-config.yaml` becomes an [`InstallConfig`], or findings with places.
//!
//! Knows the v1 schema of platform aws. Never asks a cloud, never prints, and never quotes a secret.

mod install_config;

pub use install_config::*;
