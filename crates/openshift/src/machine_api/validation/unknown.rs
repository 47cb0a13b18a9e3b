//! Unknown fields: harmless ones, and ones whose setting would be lost.
//!
//! A cluster keeps an unknown field of the provider config, ignores it, and reports it in a warning
//! that few users read. In other places its API server drops the field without a message.
//! Continuing would launch machines without the requested setting. For that reason a field that was
//! plainly meant as a known one is an error.

use serde_json::{Map, Value};

use super::ObjectFinding;
use crate::diagnostics::{
    Rule, did_you_mean, is_metadata_holder, meant_among_metadata_settings, metadata_setting,
};

/// Field with the metadata options.
const OPTIONS: &str = "metadataServiceOptions";

/// Returns the flaw for the field at `path`, whose type does not have it.
pub(super) fn unknown(
    name: &str,
    value: &Value,
    path: &str,
    known: &Map<String, Value>,
) -> ObjectFinding {
    let ignored =
        ObjectFinding::new(Rule::UnknownField, path, "is an unknown field and has no effect");
    if path == "status" || path.starts_with("status.") {
        return ignored; // the user writes no field of the status
    }
    let known: Vec<&str> = known.keys().map(String::as_str).collect();
    match lost_setting_hint(name, value, path, &known) {
        Some(hint) => ObjectFinding::new(Rule::LostField, path, LOST).hint(hint),
        None => ignored,
    }
}

const LOST: &str = "is not a field: the cluster ignores it, so its setting has no effect";

/// Returns a hint if a setting is lost without this field.
fn lost_setting_hint(name: &str, value: &Value, path: &str, known: &[&str]) -> Option<String> {
    let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
    if parent.ends_with(OPTIONS) {
        return Some(meant_among_metadata_settings(name));
    }
    let meant = if is_metadata_holder(name) { Some(OPTIONS) } else { metadata_setting(name) };
    match meant {
        Some(meant) if known.contains(&meant) => Some(format!("did you mean `{meant}`?")),
        Some(OPTIONS) => Some(format!("`{OPTIONS}` belongs in `providerSpec.value`")),
        Some(meant) => Some(format!("`{meant}` belongs in `providerSpec.value.{OPTIONS}`")),
        None => did_you_mean(name, known).or_else(|| {
            asks_for_metadata(value)
                .then(|| format!("its `{OPTIONS}` would have no effect, either"))
        }),
    }
}

fn asks_for_metadata(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.iter().any(|(name, value)| is_metadata_holder(name) || asks_for_metadata(value))
        }
        Value::Array(items) => items.iter().any(asks_for_metadata),
        _ => false,
    }
}
