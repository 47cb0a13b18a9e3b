//! Termination handler: marks a Node before its machine is terminated.
//!
//! ```text
//! imds ─ a body ─▶ notice (pure) ─ Ending, Warning ─▶ handler ─▶ the Node, an Event
//! ```
//!
//! The handler reads the metadata service with IMDSv2 only. It changes only the Node that it was
//! given, and creates Events about that Node. It evicts no pod and deletes no machine: controllers
//! that watch the Node's condition do.

#[cfg(test)]
mod deployed;
#[cfg(feature = "kubernetes")]
pub mod handler;
#[cfg(feature = "kubernetes")]
pub mod health;
pub mod notice;
#[cfg(all(test, feature = "kubernetes"))]
mod tests;
