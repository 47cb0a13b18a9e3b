//! Compares a value with the JSON Schema of its type: fields that there are not (`unknown` says what
//! they come to), and values of another type, with which nothing can be read.
//!
//! Looks at nothing but fields and types: what their words mean, the rules say.

use serde_json::{Map, Value};

use super::Flaw;
use super::unknown::unknown;
use crate::config::Rule;

/// A value as far as it is of its type, and everything about it that is not.
pub(super) fn fit(value: &Value, schema: &Value) -> (Value, Vec<Flaw>) {
    let mut flaws = Vec::new();
    let fitting = part(value, schema, "", &mut flaws).unwrap_or_else(|| Map::new().into());
    (fitting, flaws)
}

/// What of a value is of its type; nothing if it is of another one altogether.
fn part(value: &Value, schema: &Value, path: &str, flaws: &mut Vec<Flaw>) -> Option<Value> {
    let schema = present(schema);
    let wanted = wanted(schema);
    if !value.is_null() && !is_a(value, wanted) {
        let found = format!("found {}", type_of(value));
        flaws.push(Flaw::new(Rule::WrongType, path, found).expected(article(wanted)));
        return None;
    }
    if let Some(number) = value.as_i64().filter(|number| !fits(*number, schema)) {
        let flaw = Flaw::new(Rule::WrongType, path, format!("found `{number}`"));
        flaws.push(flaw.expected(format!("from {} to {}", i32::MIN, i32::MAX)));
        return None;
    }
    match value {
        Value::Object(fields) => Some(part_of_fields(fields, schema, path, flaws).into()),
        Value::Array(items) => {
            let fit = |(index, item): (usize, &Value)| {
                part(item, &schema["items"], &format!("{path}[{index}]"), flaws)
            };
            // Without one of its items the others would have other places.
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
    flaws: &mut Vec<Flaw>,
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
            (Some(Some(schema)), _) | (None, Some(schema)) => part(value, schema, &path, flaws)?,
            (Some(None), _) => {
                flaws.push(unknown(name, value, &path, known?));
                return None;
            }
            (None, None) => value.clone(), // somebody else's to describe
        };
        Some((name.clone(), value))
    };
    fields.iter().filter_map(fit).collect()
}

/// The schema of a value that is there, where absence has one of its own.
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

/// Whether a number has room in its field; the larger ones are of 64 bits, as all that are read.
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
