//! Label and field selectors.

use serde_json::Value;

use super::error::ErrorResponse;
use super::request::{ApiResource, ParsedRequest};

/// The selection of a list or watch.
#[derive(Clone, Debug, Default)]
pub(super) struct ListSelectors {
    labels: Vec<Requirement>,
    fields: Vec<FieldTerm>,
}

/// A field, and the value that it has or does not have.
#[derive(Clone, Debug)]
struct FieldTerm {
    field: String,
    value: String,
    is_equal: bool,
}

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// Fields that field selectors of all kinds can use.
const FIELDS: [&str; 2] = ["metadata.name", "metadata.namespace"];
/// Further fields of built-in kinds.
const FIELDS_OF: [(&str, &str); 7] = [
    ("Pod", "spec.nodeName"),
    ("Pod", "status.phase"),
    ("Node", "spec.unschedulable"),
    ("Secret", "type"),
    ("Event", "involvedObject.name"),
    ("Event", "involvedObject.kind"),
    ("Event", "reason"),
];

impl ListSelectors {
    pub(super) fn of(asked: &ParsedRequest, resource: &ApiResource) -> Result<Self, ErrorResponse> {
        let given = |name: &str| asked.query.get(name).map(String::as_str).unwrap_or_default();
        let labels: Result<_, _> =
            clauses(given("labelSelector")).into_iter().map(|one| checked(&one)).collect();
        let clauses = given("fieldSelector").split(',').filter(|clause| !clause.is_empty());
        let fields: Result<_, _> = clauses.map(|clause| field(clause, resource)).collect();
        Ok(Self { labels: labels?, fields: fields? })
    }

    /// Selects the object with this name.
    pub(super) fn add_name(&mut self, name: &str) {
        let (field, value) = ("metadata.name".to_owned(), name.to_owned());
        self.fields.push(FieldTerm { field, value, is_equal: true });
    }

    /// Returns true if all objects are selected.
    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }

    pub(super) fn fits(&self, object: &Value) -> bool {
        let label = |key: &String| object["metadata"]["labels"][key].as_str();
        let labels = self.labels.iter().all(|requirement| match requirement {
            Requirement::In(key, values) => {
                label(key).is_some_and(|found| values.iter().any(|value| value == found))
            }
            Requirement::NotIn(key, values) => {
                label(key).is_none_or(|found| values.iter().all(|value| value != found))
            }
            Requirement::Exists(key) => label(key).is_some(),
            Requirement::Missing(key) => label(key).is_none(),
        });
        let field = |term: &FieldTerm| {
            let pointer = format!("/{}", term.field.replace('.', "/"));
            let found = object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default();
            (found == term.value) == term.is_equal
        };
        labels && self.fields.iter().all(field)
    }
}

/// Splits a selector into clauses. Commas inside parentheses do not separate clauses.
fn clauses(selector: &str) -> Vec<String> {
    let (mut clauses, mut clause, mut depth) = (Vec::new(), String::new(), 0);
    for c in selector.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                clauses.push(std::mem::take(&mut clause));
                continue;
            }
            _ => (),
        }
        clause.push(c);
    }
    clauses.push(clause);
    clauses.into_iter().filter(|clause| !clause.trim().is_empty()).collect()
}

fn field(clause: &str, resource: &ApiResource) -> Result<FieldTerm, ErrorResponse> {
    let (field, value, is_equal) = match (clause.split_once("!="), clause.split_once('=')) {
        (Some((field, value)), _) => (field, value, false),
        (None, Some((field, value))) => (field, value.trim_start_matches('='), true),
        (None, None) => {
            let message = format!("invalid selector: '{clause}'; can't understand '{clause}'");
            return Err(ErrorResponse::bad_request(message));
        }
    };
    if !FIELDS.contains(&field) && !FIELDS_OF.contains(&(resource.kind, field)) {
        let message = format!("field label not supported: {field}");
        return Err(ErrorResponse::bad_request(message));
    }
    Ok(FieldTerm { field: field.to_owned(), value: value.to_owned(), is_equal })
}

/// Returns the requirement of a clause, if its key and values are valid.
fn checked(clause: &str) -> Result<Requirement, ErrorResponse> {
    let is_text = |text: &String| {
        text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/'))
    };
    let requirement = requirement(clause);
    let (key, values) = match &requirement {
        Requirement::In(key, values) | Requirement::NotIn(key, values) => (key, values.as_slice()),
        Requirement::Exists(key) | Requirement::Missing(key) => (key, &[][..]),
    };
    if !key.is_empty() && is_text(key) && values.iter().all(is_text) {
        return Ok(requirement);
    }
    Err(ErrorResponse::bad_request(format!("unable to parse requirement: {clause}")))
}

fn requirement(clause: &str) -> Requirement {
    let clause = clause.trim();
    let values = |list: &str| {
        let list = list.trim().trim_start_matches('(').trim_end_matches(')');
        list.split(',').map(|value| value.trim().to_owned()).collect()
    };
    let owned = |key: &str| key.trim().to_owned();
    if let Some((key, list)) = clause.split_once(" notin ") {
        Requirement::NotIn(owned(key), values(list))
    } else if let Some((key, list)) = clause.split_once(" in ") {
        Requirement::In(owned(key), values(list))
    } else if let Some((key, value)) = clause.split_once("!=") {
        Requirement::NotIn(owned(key), vec![owned(value)])
    } else if let Some((key, value)) = clause.split_once('=') {
        Requirement::In(owned(key), vec![owned(value.strip_prefix('=').unwrap_or(value))])
    } else if let Some(key) = clause.strip_prefix('!') {
        Requirement::Missing(owned(key))
    } else {
        Requirement::Exists(owned(clause))
    }
}
