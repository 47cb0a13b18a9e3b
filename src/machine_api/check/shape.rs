//! Compares a value with the JSON Schema of its type: fields that there are not, which have no effect,
//! and values of another type, with which nothing can be read.
//!
//! Looks at nothing but fields and types: what their words mean, the rules say.

use serde_json::{Map, Value};

use super::Flaw;
use crate::config::{Rule, did_you_mean};

/// Everything about a value that is not as its type has it.
pub(super) fn flaws(value: &Value, schema: &Value) -> Vec<Flaw> {
    let mut flaws = Vec::new();
    compare(value, schema, "", &mut flaws);
    flaws
}

fn compare(value: &Value, schema: &Value, path: &str, flaws: &mut Vec<Flaw>) {
    let schema = present(schema);
    if value.is_null() {
        return; // as if it were absent
    }
    let wanted = wanted(schema);
    if !is_a(value, wanted) {
        let found = format!("found {}", type_of(value));
        flaws.push(Flaw::new(Rule::WrongType, path, found).expected(article(wanted)));
        return;
    }
    match value {
        Value::Object(fields) => compare_fields(fields, schema, path, flaws),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                compare(item, &schema["items"], &format!("{path}[{index}]"), flaws);
            }
        }
        _ => (),
    }
}

fn compare_fields(fields: &Map<String, Value>, schema: &Value, path: &str, flaws: &mut Vec<Flaw>) {
    let dot = if path.is_empty() { "" } else { "." };
    for (name, value) in fields {
        let path = format!("{path}{dot}{name}");
        match (schema["properties"].as_object(), &schema["additionalProperties"]) {
            (Some(known), _) => match known.get(name) {
                Some(schema) => compare(value, schema, &path, flaws),
                None => flaws.push(unknown(name, path, known)),
            },
            (None, Value::Object(_)) => {
                compare(value, &schema["additionalProperties"], &path, flaws);
            }
            (None, _) => (), // somebody else's to describe
        }
    }
}

fn unknown(name: &str, path: String, known: &Map<String, Value>) -> Flaw {
    let names: Vec<&str> = known.keys().map(String::as_str).collect();
    let flaw = Flaw::new(Rule::UnknownField, path, "is unknown here, and has no effect");
    match did_you_mean(name, &names) {
        Some(hint) => flaw.hint(hint),
        None => flaw,
    }
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
        "integer" => value.is_i64() || value.is_u64(),
        "boolean" => value.is_boolean(),
        _ => true,
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
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
