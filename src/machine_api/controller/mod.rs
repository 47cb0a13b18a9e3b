//! The controllers of the Machine API: a cluster's machines are made to be as they are wanted.
//!
//! - `health` and `metrics`: how they are doing, behind the feature `kubernetes`.
//! - `lease`: who acts, of several that could, behind the same feature.
//! - [`machine_set`]: how many machines there are of a kind.
//! - [`node`]: what is read of a Node.
//! - [`node_link`]: which Node is which machine, and what it gets from it.
//!
//! Each decides in plain functions, and has a driver that does what was decided. A decision knows
//! no clock and asks nobody.

#[cfg(feature = "kubernetes")]
pub mod health;
#[cfg(feature = "kubernetes")]
pub mod lease;
pub mod machine_set;
#[cfg(feature = "kubernetes")]
pub mod metrics;
pub mod node;
pub mod node_link;
