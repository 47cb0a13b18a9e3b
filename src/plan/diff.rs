//! Compares inputs field by field.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One input that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where: `routes[0].via.nat_gateway`, `tags["Name"]`.
    pub path: String,
    /// What it was; absent where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it shall be; a `$ref` in it reads as "(known after apply)", a `$secret` as a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it forces a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}
