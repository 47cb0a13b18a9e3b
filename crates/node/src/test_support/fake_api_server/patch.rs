//! Merge patches and strategic merge patches. JSON patches and server-side apply are missing,
//! because groundplan sends neither.

use serde_json::{Map, Value, json};

use super::error::ErrorResponse;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Content types that the real server has and this server lacks.
const OTHERS: [&str; 2] = ["application/apply-patch+yaml", "application/json-patch+json"];

/// Returns the object with the patch applied.
pub(super) fn patched(
    old: &Value,
    patch: Value,
    content: &str,
    is_custom: bool,
) -> Result<Value, ErrorResponse> {
    if !patch.is_object() {
        return Err(ErrorResponse::bad_request("a patch must be an object"));
    }
    let mut new = old.clone();
    match content {
        MERGE => merge(&mut new, patch),
        // A real server has no merge strategy for resources defined by a CRD.
        STRATEGIC if !is_custom => strategic(&mut new, patch, ""),
        other if OTHERS.contains(&other) => {
            let message = format!("the API server in memory has no patches of type {other}");
            return Err(ErrorResponse::new(501, "NotImplemented", message));
        }
        _ => {
            let strategic = if is_custom { "" } else { ", application/strategic-merge-patch+json" };
            let message = format!(
                "the body of the request was in an unknown format - accepted media types include: \
                 application/json-patch+json, application/merge-patch+json{strategic}, \
                 application/apply-patch+yaml"
            );
            return Err(ErrorResponse::new(415, "UnsupportedMediaType", message));
        }
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
