//! Schemas of the CRDs in `deploy/`: pruning, defaults and validation.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::error::FieldError;
use super::request::ApiResource;

const CRDS: [&str; 2] = [
    include_str!("../../../../../deploy/machine-controller/crds/machine.yaml"),
    include_str!("../../../../../deploy/machine-controller/crds/machine-set.yaml"),
];

/// Schemas by plural name of the resource.
static SCHEMAS: LazyLock<Vec<(String, Value)>> = LazyLock::new(|| {
    let schema = |mut crd: Value| {
        let plural = crd["spec"]["names"]["plural"].as_str().unwrap_or_default().to_owned();
        (plural, crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take())
    };
    CRDS.iter().flat_map(|text| documents(text)).map(schema).collect()
});

/// All fields of `ObjectMeta`.
const META: [&str; 16] = [
    "annotations",
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "finalizers",
    "generateName",
    "generation",
    "labels",
    "managedFields",
    "name",
    "namespace",
    "ownerReferences",
    "resourceVersion",
    "selfLink",
    "uid",
    "clusterName",
];

/// Returns the documents of a YAML file.
pub(super) fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).expect("YAML")
}

/// Returns the schema of a resource, if it has one.
pub(super) fn of(resource: &ApiResource) -> Option<&'static Value> {
    SCHEMAS.iter().find(|(plural, _)| plural == resource.plural).map(|(_, schema)| schema)
}

/// Drops unknown fields and fills in defaults. Returns the paths of the dropped fields.
pub(super) fn prune(object: &mut Value, resource: &ApiResource) -> Vec<String> {
    let mut dropped = Vec::new();
    if let Some(meta) = object["metadata"].as_object_mut() {
        meta.retain(|field, _| META.contains(&field.as_str()));
    }
    if let Some(schema) = of(resource) {
        let meta = object["metadata"].take();
        walk(object, schema, "", &mut dropped);
        object["metadata"] = meta;
    }
    dropped
}

fn walk(value: &mut Value, schema: &Value, path: &str, dropped: &mut Vec<String>) {
    match value {
        Value::Object(fields) => walk_fields(fields, schema, path, dropped),
        Value::Array(items) => {
            for (number, item) in items.iter_mut().enumerate() {
                walk(item, &schema["items"], &format!("{path}[{number}]"), dropped);
            }
        }
        _ => (),
    }
}

fn walk_fields(
    fields: &mut Map<String, Value>,
    schema: &Value,
    path: &str,
    dropped: &mut Vec<String>,
) {
    let keeps = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let (known, others) = (&schema["properties"], &schema["additionalProperties"]);
    let child =
        |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    fields.retain(|name, value| {
        if let Some(property) = known.get(name) {
            // A null where the schema has a default and allows no null is absent.
            let absent = value.is_null() && property.get("default").is_some();
            if !absent {
                walk(value, property, &child(name), dropped);
            }
            return !absent;
        }
        if others.is_object() {
            walk(value, others, &child(name), dropped);
        } else if !keeps {
            dropped.push(child(name));
        }
        keeps || others.is_object()
    });
    for (name, property) in known.as_object().into_iter().flatten() {
        if let Some(default) = property.get("default").filter(|_| !fields.contains_key(name)) {
            fields.insert(name.clone(), default.clone());
        }
    }
}

/// Returns the violations of the schema in one part of an object: `spec` or `status`.
pub(super) fn errors_in(object: &Value, resource: &ApiResource, parts: &[&str]) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let Some(schema) = of(resource) else { return errors };
    for part in parts {
        if let Some(value) = object.get(part) {
            check(value, &schema["properties"][part], part, &mut errors);
        }
    }
    errors
}

fn check(value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let expected = schema["type"].as_str().unwrap_or_default();
    if !expected.is_empty() && !is_of(value, expected) {
        let found = type_of(value);
        // Responses name fields of the status without `status.` here.
        let name = path.strip_prefix("status.").unwrap_or(path);
        let message = format!(
            "Invalid value: \"{found}\": {name} in body must be of type {expected}: \"{found}\""
        );
        errors.push(FieldError::new(path, "FieldValueTypeInvalid", message));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array().filter(|allowed| !allowed.contains(value)) {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        let message =
            format!("Unsupported value: {value}: supported values: {}", allowed.join(", "));
        errors.push(FieldError::new(path, "FieldValueNotSupported", message));
    }
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let property = schema["properties"].get(name);
                let property = property.unwrap_or(&schema["additionalProperties"]);
                check(value, property, &format!("{path}.{name}"), errors);
            }
        }
        Value::Array(items) => {
            for (number, item) in items.iter().enumerate() {
                check(item, &schema["items"], &format!("{path}[{number}]"), errors);
            }
        }
        _ => (),
    }
}

fn is_of(value: &Value, expected: &str) -> bool {
    match expected {
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        expected => type_of(value) == expected,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Fills in defaults of built-in kinds.
pub(super) fn complete(object: &mut Value, resource: &ApiResource) {
    let default = |object: &mut Value, field: &str, value: Value| {
        if object[field].is_null() {
            object[field] = value;
        }
    };
    match resource.kind {
        "Secret" => complete_secret(object),
        "Event" => {
            default(object, "reportingComponent", json!(""));
            default(object, "reportingInstance", json!(""));
            default(object, "eventTime", Value::Null);
        }
        "Pod" => {
            default(&mut object["spec"], "terminationGracePeriodSeconds", json!(30));
            default(object, "status", json!({"phase": "Pending"}));
        }
        _ => (),
    }
}

/// Merges `stringData` into `data`.
fn complete_secret(secret: &mut Value) {
    use base64::Engine;
    if secret["type"].is_null() {
        secret["type"] = json!("Opaque");
    }
    let texts = secret["stringData"].take();
    if let Some(secret) = secret.as_object_mut() {
        secret.remove("stringData");
    }
    for (name, text) in texts.as_object().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        secret["data"][name] = json!(base64::engine::general_purpose::STANDARD.encode(text));
    }
}
