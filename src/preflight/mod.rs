//! Finds missing permissions, insufficient quotas, and settings of the account that reject a launch,
//! before the first change.
//!
//! The queries cover only the plan: the API actions of its kinds, once each, and the quotas that it
//! touches. An empty plan causes no queries. The module changes nothing, decides nothing about the
//! plan, and never prints.
//!
//! - [`account`]: derives findings from settings of the account; pure.
//! - [`demands`]: derives the required actions and quotas from a plan; pure.
//! - [`imds_gate`]: derives findings from the use of IMDSv1; pure.
//! - [`judge`]: derives findings from AWS's results; pure.
//! - `ask`: queries AWS.

pub mod account;
mod ask;
pub mod demands;
pub mod imds_gate;
pub mod judge;
#[cfg(test)]
mod tests;

pub use ask::{gate, preflight};

use crate::render::Diagnostic;

/// Result of a preflight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreflightReport {
    /// Errors that would stop the run half way.
    pub findings: Vec<Diagnostic>,
    /// Warnings about checks that could not be completed. They never stop a run.
    pub notes: Vec<Diagnostic>,
    /// Values that the account or the image decides, in sentences.
    pub decided: Vec<String>,
}
