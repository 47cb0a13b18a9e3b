//! Termination handler: marks a Node before its machine is terminated.
//!
//! ```text
//! imds ─ a body ─▶ notice (pure) ─ Ending, Warning ─▶ handler ─▶ the Node, an Event
//!                    └─ several polls ─▶ withdrawal (pure) ─▶ handler ─▶ the Node as it was
//! ```
//!
//! The handler reads the metadata service with IMDSv2 only. The handler changes only the Node that
//! it was given, and creates Events about that Node. Pods are evicted and machines deleted by the
//! controllers that watch the Node's condition, not by the handler.

#[cfg(test)]
mod deployed;
pub mod handler;
pub mod health;
pub mod notice;
#[cfg(test)]
mod tests;
pub mod withdrawal;
