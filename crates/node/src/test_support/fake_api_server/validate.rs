//! Validation of metadata and of built-in kinds.

use serde_json::Value;

use super::error::{ErrorResponse, FieldError};
use super::request::ApiResource;
use super::schema;

/// Rejects metadata whose values have the wrong JSON type. The real server cannot decode them.
pub(super) fn decodable(object: &Value, resource: &ApiResource) -> Result<(), ErrorResponse> {
    let no = |what: &str| {
        let (kind, version) = (resource.kind, resource.version);
        let message =
            format!("{kind} in version \"{version}\" cannot be handled as a {kind}: {what}");
        Err(ErrorResponse::bad_request(message))
    };
    if !object.is_object() {
        return no("json: cannot unmarshal into Go value: expected an object");
    }
    for field in ["labels", "annotations"] {
        let map = &object["metadata"][field];
        let texts = map.as_object().is_some_and(|map| map.values().all(Value::is_string));
        if !texts && !map.is_null() {
            return no(&format!("json: cannot unmarshal metadata.{field} into a map of strings"));
        }
    }
    if resource.kind == "Lease" {
        for field in ["acquireTime", "renewTime"] {
            let time = &object["spec"][field];
            let parsed = time.as_str().map(str::parse::<jiff::Timestamp>);
            if !time.is_null() && !matches!(parsed, Some(Ok(_))) {
                return no(&format!("parsing time {time} of spec.{field}"));
            }
        }
    }
    Ok(())
}

/// Returns the violations in an object. `part` is the subresource of the write.
pub(super) fn errors(object: &Value, resource: &ApiResource, part: &str) -> Vec<FieldError> {
    if part == "status" {
        return schema::errors_in(object, resource, &["status"]);
    }
    let mut errors = metadata(&object["metadata"]);
    if object["kind"] != resource.kind {
        let kind = object["kind"].as_str().unwrap_or_default();
        errors.push(FieldError::invalid("kind", kind, &format!("must be {}", resource.kind)));
    }
    errors.extend(schema::errors_in(object, resource, &["spec"]));
    match resource.kind {
        "Event" => errors.extend(event(object)),
        "Lease" => errors.extend(lease(&object["spec"])),
        _ => (),
    }
    errors
}

fn metadata(meta: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let name = meta["name"].as_str().unwrap_or_default();
    if !is_subdomain(name) {
        let rule = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
                    characters, '-' or '.', and must start and end with an alphanumeric character";
        errors.push(FieldError::invalid("metadata.name", name, rule));
    }
    for value in meta["labels"].as_object().into_iter().flatten().filter_map(|(_, v)| v.as_str()) {
        if !value.is_empty() && !is_name(value) {
            let rule = "a valid label must be an empty string or consist of alphanumeric \
                        characters, '-', '_' or '.'";
            errors.push(FieldError::invalid("metadata.labels", value, rule));
        }
    }
    for finalizer in meta["finalizers"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        let name = finalizer.rsplit('/').next().unwrap_or_default();
        if !is_name(name) {
            let rule = "name part must consist of alphanumeric characters, '-', '_' or '.'";
            errors.push(FieldError::invalid("metadata.finalizers", finalizer, rule));
        }
    }
    errors.extend(owners(&meta["ownerReferences"]));
    errors
}

fn owners(owners: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let all = owners.as_array().map(Vec::as_slice).unwrap_or_default();
    for owner in all {
        for field in ["apiVersion", "kind", "name", "uid"] {
            let text = owner[field].as_str().unwrap_or_default();
            if text.is_empty() {
                let path = format!("metadata.ownerReferences.{field}");
                errors.push(FieldError::invalid(path, text, "must not be empty"));
            }
        }
    }
    if all.iter().filter(|owner| owner["controller"] == true).count() > 1 {
        let rule = "Only one reference can have Controller set to true.";
        errors.push(FieldError::invalid("metadata.ownerReferences", "", rule));
    }
    errors
}

/// Events about cluster-scoped objects are in the namespace `default`.
fn event(event: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let involved = event["involvedObject"]["namespace"].as_str().unwrap_or_default();
    let namespace = event["metadata"]["namespace"].as_str().unwrap_or_default();
    if involved != namespace && !(involved.is_empty() && namespace == "default") {
        let rule = "does not match event.namespace";
        errors.push(FieldError::invalid("involvedObject.namespace", involved, rule));
    }
    if !event["eventTime"].is_null() {
        for field in ["reportingController", "reportingInstance", "action", "reason"] {
            let key = if field == "reportingController" { "reportingComponent" } else { field };
            if event[key].as_str().unwrap_or_default().is_empty() {
                let message = "Required value".to_owned();
                errors.push(FieldError::new(field, "FieldValueRequired", message));
            }
        }
    }
    errors
}

fn lease(spec: &Value) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let rule = [
        ("leaseDurationSeconds", 1, "greater than 0"),
        ("leaseTransitions", 0, "greater than or equal to 0"),
    ];
    for (field, least, rule) in rule {
        if let Some(value) = spec[field].as_i64().filter(|value| *value < least) {
            let message = format!("Invalid value: {value}: must be {rule}");
            errors.push(FieldError::new(format!("spec.{field}"), "FieldValueInvalid", message));
        }
    }
    errors
}

fn is_subdomain(name: &str) -> bool {
    let ends = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.starts_with(ends)
        && name.ends_with(ends)
        && name.chars().all(|c| ends(c) || c == '-' || c == '.' || c == ':')
}

fn is_name(name: &str) -> bool {
    let ends = |c: char| c.is_ascii_alphanumeric();
    name.starts_with(ends)
        && name.ends_with(ends)
        && name.len() <= 63
        && name.chars().all(|c| ends(c) || matches!(c, '-' | '_' | '.'))
}
