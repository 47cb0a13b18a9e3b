//! Tells a cluster that the machine under one of its Nodes goes, before it goes.
//!
//! ```text
//! imds ─ a body ─▶ notice (pure) ─ Ending, Warning ─▶ handler ─▶ the Node, an Event
//! ```
//!
//! It asks the metadata service by IMDSv2 alone, and changes nothing but the Node it was given. It
//! evicts no pod and deletes no machine: whoever watches the Node's condition does.

#[cfg(test)]
mod deployed;
pub mod handler;
pub mod health;
pub mod notice;
#[cfg(test)]
mod tests;
