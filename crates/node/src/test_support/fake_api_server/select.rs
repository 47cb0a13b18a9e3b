//! Label and field selectors.

use serde_json::Value;

use super::request::{ErrorResponse, ParsedRequest};

/// The selection of a list or watch.
#[derive(Clone, Debug, Default)]
pub(super) struct ListSelectors {
    labels: Vec<Requirement>,
    fields: Vec<(String, String)>,
}

#[derive(Clone, Debug)]
enum Requirement {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Missing(String),
}

/// All fields that field selectors can use.
const FIELDS: [&str; 3] = ["metadata.name", "metadata.namespace", "spec.nodeName"];

impl ListSelectors {
    pub(super) fn of(asked: &ParsedRequest) -> Result<Self, ErrorResponse> {
        let given = |name: &str| asked.query.get(name).map(String::as_str).unwrap_or_default();
        let labels = clauses(given("labelSelector")).into_iter().map(|one| requirement(&one));
        let mut fields = Vec::new();
        for clause in given("fieldSelector").split(',').filter(|clause| !clause.is_empty()) {
            let pair = clause.split_once('=').filter(|(field, _)| FIELDS.contains(field));
            let (field, value) = pair.ok_or_else(|| {
                ErrorResponse::new(
                    400,
                    "BadRequest",
                    format!("field label not supported: {clause}"),
                )
            })?;
            fields.push((field.to_owned(), value.trim_start_matches('=').to_owned()));
        }
        Ok(Self { labels: labels.collect(), fields })
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
        let field = |(path, value): &(String, String)| {
            let pointer = format!("/{}", path.replace('.', "/"));
            object.pointer(&pointer).and_then(Value::as_str).unwrap_or_default() == value
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
        Requirement::In(owned(key), vec![owned(value.trim_start_matches('='))])
    } else if let Some(key) = clause.strip_prefix('!') {
        Requirement::Missing(owned(key))
    } else {
        Requirement::Exists(owned(clause))
    }
}
