//! How much it matters that somebody else changed something.
//!
//! Only names the classes: which input of which kind is in which class is the cloud's to say.

use serde::{Deserialize, Serialize};

/// How much it matters that somebody else changed an input; the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftClass {
    /// Who may reach or do what.
    Security,
    /// How it works.
    Functional,
    /// What it is called.
    Cosmetic,
}

/// Says which class an input (a path) of a kind is in.
pub type Classify = fn(kind: &str, path: &str) -> DriftClass;
