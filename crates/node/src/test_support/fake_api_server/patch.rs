//! Merge patches and strategic merge patches. JSON patches are missing, because groundplan sends
//! none.

use serde_json::{Map, Value, json};

use super::request::ErrorResponse;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Server-side apply. With a single field manager, this is a merge that creates a missing object.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

/// Returns the object with the patch applied.
pub(super) fn patched(
    old: &Value,
    patch: Value,
    content: &str,
    is_custom: bool,
) -> Result<Value, ErrorResponse> {
    let mut new = old.clone();
    match content {
        MERGE => merge(&mut new, patch),
        APPLY => strategic(&mut new, patch, ""),
        // A real server has no merge strategy for resources defined by a CRD.
        STRATEGIC if !is_custom => strategic(&mut new, patch, ""),
        other => return Err(ErrorResponse::new(415, "UnsupportedMediaType", other)),
    }
    Ok(new)
}

/// Applies a merge patch (RFC 7386).
pub(super) fn merge(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (field, value) in patch {
        match value {
            Value::Null => drop(target.remove(&field)),
            value => merge(target.entry(&*field).or_insert(Value::Null), value),
        }
    }
}

/// Applies a strategic merge patch, which merges conditions by type. Taints have no merge key and
/// are replaced.
pub(super) fn strategic(target: &mut Value, patch: Value, field: &str) {
    match patch {
        Value::Object(patch) => merge_fields(target, patch),
        Value::Array(patch) if field == "conditions" => merge_conditions(target, patch),
        patch => *target = patch,
    }
}

fn merge_fields(target: &mut Value, patch: Map<String, Value>) {
    if !target.is_object() {
        *target = json!({});
    }
    let Value::Object(target) = target else { return };
    for (field, value) in patch {
        match value {
            Value::Null => drop(target.remove(&field)),
            value => strategic(target.entry(&*field).or_insert(Value::Null), value, &field),
        }
    }
}

fn merge_conditions(target: &mut Value, patch: Vec<Value>) {
    if !target.is_array() {
        *target = json!([]);
    }
    let Value::Array(known) = target else { return };
    for condition in patch {
        match known.iter_mut().find(|one| one["type"] == condition["type"]) {
            Some(one) => strategic(one, condition, ""),
            None => known.push(condition),
        }
    }
}
