//! The resource that an EC2 dry run is about, and IDs that no resource has.

use serde_json::Value;

/// The resource that a dry run is about.
#[derive(Clone, Debug, PartialEq)]
pub struct DryRunTarget {
    /// The address of the resource, for messages.
    pub address: String,
    /// The inputs, with placeholders for unknown values.
    pub inputs: Value,
    /// The ID, or a placeholder.
    pub id: String,
}

/// The suffix of IDs of resources that do not exist.
pub(crate) const NOBODY: &str = "00000000000000000";

/// Returns true if the ID stands for a resource that does not exist yet.
#[cfg(any(feature = "sdk", test))]
pub(crate) fn is_placeholder(id: &str) -> bool {
    id.ends_with(NOBODY)
}
