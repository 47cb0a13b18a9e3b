//! Patches: merge and strategic merge. A JSON patch is not known here, since nobody sends one.

use serde_json::{Map, Value, json};

use super::request::No;

const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// Server-side apply: of one owner, that is a merge, and it makes what is not there.
pub(super) const APPLY: &str = "application/apply-patch+yaml";

/// The object with the patch in it.
pub(super) fn patched(
    old: &Value,
    patch: Value,
    content: &str,
    is_custom: bool,
) -> Result<Value, No> {
    let mut new = old.clone();
    match content {
        MERGE => merge(&mut new, patch),
        APPLY => strategic(&mut new, patch, ""),
        // A real server has no strategy for what it knows by a CRD alone.
        STRATEGIC if !is_custom => strategic(&mut new, patch, ""),
        other => return Err(No::new(415, "UnsupportedMediaType", other)),
    }
    Ok(new)
}

/// RFC 7386.
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

/// A strategic merge patch: as a merge patch, but conditions are merged by their type. Taints have no
/// merge key and are replaced.
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
