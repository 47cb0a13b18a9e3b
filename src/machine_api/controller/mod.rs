//! The controllers of the Machine API: a cluster's machines are made to be as they are wanted.
//!
//! - `asking`, `drain`, `tell`: the API server asked, Nodes emptied, Events told, behind the feature
//!   `kubernetes`.
//! - [`capacity`]: what one more machine of a set would bring, for the autoscaler.
//! - [`clock`]: the time, by a clock that tests may pause; [`looks`]: what EC2 is asked for all at once.
//! - `health` and `metrics`: how they are doing, behind the feature `kubernetes`.
//! - `lease`: who acts, of several that could, behind the same feature.
//! - [`machine`]: one Machine and its instance.
//! - [`machine_set`]: how many machines there are of a kind.
//! - [`node`]: what is read of a Node.
//! - `patience`: an API server asked within bounds, behind the same feature.
//! - [`node_link`]: which Node is which machine, and what it gets from it.
//! - `together`: sets and the links of Nodes, looked after at once.
//! - `watched`: what a cluster has, kept up to date for all of them.
//!
//! Each decides in plain functions, and has a driver that does what was decided. A decision knows
//! no clock and asks nobody.

#[cfg(feature = "kubernetes")]
pub mod asking;
pub mod capacity;
pub mod clock;
#[cfg(all(test, feature = "kubernetes"))]
mod deployed;
#[cfg(feature = "kubernetes")]
pub mod drain;
#[cfg(feature = "kubernetes")]
pub mod health;
#[cfg(feature = "kubernetes")]
pub mod lease;
pub mod looks;
pub mod machine;
pub mod machine_set;
#[cfg(feature = "kubernetes")]
pub mod metrics;
pub mod node;
pub mod node_link;
#[cfg(feature = "kubernetes")]
pub mod patience;
#[cfg(feature = "kubernetes")]
pub mod tell;
#[cfg(feature = "kubernetes")]
pub mod together;
#[cfg(feature = "kubernetes")]
pub mod watched;

#[cfg(all(test, feature = "kubernetes"))]
mod tests;

/// Whether an object is the Machine API's to look after, by its `status.authoritativeAPI`. While it moves
/// to the Cluster API, or has, nobody here touches it.
pub fn is_machine_api_s(authoritative: &str) -> bool {
    matches!(authoritative, "" | "MachineAPI")
}
