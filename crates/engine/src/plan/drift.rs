//! Severity of drift.
//!
//! The module only names the classes. The provider's side decides on the class of each input.

use serde::{Deserialize, Serialize};

/// Class of a drift, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftClass {
    /// Access and permissions.
    Security,
    /// Behaviour.
    Functional,
    /// Names and labels.
    Cosmetic,
}

/// Function that returns the class of an input (a path) of a kind.
pub type Classify = fn(kind: &str, path: &str) -> DriftClass;
