//! Controllers of the Machine API: reconcile the machines of a cluster with their desired state.
//!
//! - `asking`, `drain`, `tell`: requests to the API server, drain of Nodes, Events; feature
//!   `kubernetes`.
//! - [`capacity`]: capacity of one more machine of a set, for the autoscaler.
//! - [`clock`]: time, by a clock that tests may pause; [`looks`]: batched EC2 queries.
//! - `health` and `metrics`: state of the controllers; feature `kubernetes`.
//! - `lease`: leader election; feature `kubernetes`.
//! - [`machine`]: one Machine and its instance.
//! - [`machine_set`]: number of machines of a set.
//! - [`node`]: fields that are read of a Node.
//! - `patience`: API server client with limits; feature `kubernetes`.
//! - [`node_link`]: assignment of Nodes to machines, and the fields that a Node gets from its
//!   machine.
//! - `together`: runs the controllers of sets, capacities and Node links.
//! - `watched`: reflectors that all controllers share.
//!
//! Each controller decides in plain functions, and has a driver that carries the decision out. A
//! decision has no clock and sends no request.

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

/// Returns true if the Machine API is the authority for an object, by its
/// `status.authoritativeAPI`. During and after a migration to the Cluster API, the controllers do
/// not change the object.
pub fn is_machine_api_s(authoritative: &str) -> bool {
    matches!(authoritative, "" | "MachineAPI")
}
