//! Comparison of a value with the JSON Schema of its type.
//!
//! Finds unknown fields (`unknown` decides their severity), and values of a wrong type, which
//! cannot be read. Checks only fields and types; other rules check the meaning of the words.

use serde_json::{Map, Value};

use super::ObjectFinding;
use super::unknown::unknown;
use crate::diagnostics::Rule;

/// Returns the part of a value that fits its type, and the flaws in the rest.
pub(super) fn fit(value: &Value, schema: &Value) -> (Value, Vec<ObjectFinding>) {
    let mut findings = Vec::new();
    let fitting = part(value, schema, "", &mut findings).unwrap_or_else(|| Map::new().into());
    (fitting, findings)
}

/// Returns the part of a value that fits its type, or `None` if the value has a wrong type.
fn part(
    value: &Value,
    schema: &Value,
    path: &str,
    findings: &mut Vec<ObjectFinding>,
) -> Option<Value> {
    let schema = present(schema);
    let wanted = wanted(schema);
    if !value.is_null() && !is_a(value, wanted) {
        let found = format!("found {}", type_of(value));
        findings.push(ObjectFinding::new(Rule::WrongType, path, found).expected(article(wanted)));
        return None;
    }
    if let Some(number) = value.as_i64().filter(|number| !fits(*number, schema)) {
        let finding = ObjectFinding::new(Rule::WrongType, path, format!("found `{number}`"));
        findings.push(finding.expected(format!("from {} to {}", i32::MIN, i32::MAX)));
        return None;
    }
    match value {
        Value::Object(fields) => Some(part_of_fields(fields, schema, path, findings).into()),
        Value::Array(items) => {
            let fit = |(index, item): (usize, &Value)| {
                part(item, &schema["items"], &format!("{path}[{index}]"), findings)
            };
            // An array with a missing item would shift the positions of the others.
            let items: Vec<_> = items.iter().enumerate().map(fit).collect();
            items.into_iter().collect::<Option<Vec<_>>>().map(Value::from)
        }
        other => Some(other.clone()),
    }
}

fn part_of_fields(
    fields: &Map<String, Value>,
    schema: &Value,
    path: &str,
    findings: &mut Vec<ObjectFinding>,
) -> Map<String, Value> {
    let dot = if path.is_empty() { "" } else { "." };
    let known = schema["properties"].as_object();
    let of_all = Some(&schema["additionalProperties"]).filter(|schema| schema.is_object());
    let fit = |(name, value): (&String, &Value)| {
        let path = match name.contains(['.', '[']) {
            true => format!("{path}[{name}]"), // of a label
            false => format!("{path}{dot}{name}"),
        };
        let value = match (known.map(|known| known.get(name)), of_all) {
            (Some(Some(schema)), _) | (None, Some(schema)) => part(value, schema, &path, findings)?,
            (Some(None), _) => {
                findings.push(unknown(name, value, &path, known?));
                return None;
            }
            (None, None) => value.clone(), // the schema does not describe the fields
        };
        Some((name.clone(), value))
    };
    fields.iter().filter_map(fit).collect()
}

/// Returns the schema of a present value, if absence has a separate schema.
fn present(schema: &Value) -> &Value {
    let choices = schema["anyOf"].as_array();
    choices.and_then(|all| all.iter().find(|one| one["type"] != "null")).unwrap_or(schema)
}

fn wanted(schema: &Value) -> &str {
    let several = schema["type"].as_array().and_then(|all| all.iter().find(|one| *one != "null"));
    several.unwrap_or(&schema["type"]).as_str().unwrap_or("any")
}

fn is_a(value: &Value, wanted: &str) -> bool {
    match wanted {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}

/// Returns true if a number fits into its field. Fields without the format `int32` have 64 bits.
fn fits(number: i64, schema: &Value) -> bool {
    schema["format"] != "int32" || i32::try_from(number).is_ok()
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_f64() => "a number that is too large or not whole",
        Value::Number(number) if !number.is_i64() => "a number that is too large",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a mapping",
    }
}

fn article(wanted: &str) -> &'static str {
    match wanted {
        "object" => "a mapping",
        "array" => "a list",
        "string" => "a string; put it in quotes",
        "integer" => "a whole number",
        _ => "`true` or `false`",
    }
}
