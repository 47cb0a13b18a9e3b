//! Volumes of a machine, as the reader of a plan compares them with a policy.

use serde::Serialize;

/// Volume of a machine with given inputs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PlannedVolume {
    /// Device name (`/dev/xvda`).
    pub device: String,
    /// Encryption. `None` sends nothing, and the account's default applies.
    pub encrypted: Option<bool>,
    /// KMS key of an encrypted volume. `None` stands for the account's default EBS key.
    pub kms_key: Option<String>,
}
