//! What the program does to a cluster through its API server. Decides nothing about when.
//!
//! - [`own_node`]: one Node, read and written without losing what others write.

#[cfg(test)]
pub(crate) mod fake;
pub mod own_node;
