//! What would stop a walk half way, found before it begins: calls that are not allowed, quotas that
//! do not suffice.
//!
//! Only what the plan does is asked about: the calls of its kinds, once each, and the quotas that it
//! touches. An empty plan is asked nothing about. Changes nothing, decides nothing about the plan,
//! and never prints.
//!
//! - [`demands`]: from a plan to what it takes; pure.
//! - [`judge`]: from answers to what is wrong; pure.
//! - `ask`, behind the `sdk` feature: the answers.

#[cfg(feature = "sdk")]
mod ask;
pub mod demands;
pub mod judge;
#[cfg(test)]
mod tests;

#[cfg(feature = "sdk")]
pub use ask::preflight;

use crate::render::Diagnostic;

/// What came of a preflight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// What would stop the walk.
    pub findings: Vec<Diagnostic>,
    /// What could not be found out.
    pub notes: Vec<Diagnostic>,
}
