//! Compares inputs field by field. Knows nothing of kinds.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One input that differs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Where: `routes[0].via.nat_gateway`, `tags["kubernetes.io/role/internal-elb"]`.
    pub path: String,
    /// What it was; absent where there was nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What it shall be; a `$ref` in it reads as "(known after apply)", a `$secret` as a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it forces a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

impl FieldChange {
    /// The input the path begins with.
    pub fn input(&self) -> &str {
        self.path.split(['.', '[']).next().unwrap_or_default()
    }
}

/// What differs between `before` and `after`. A `null` in `after` is no opinion and never differs.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    differences(before, after, after)
}

/// What differs between `before` and `after` where `opinion` has one.
pub fn diff_where(
    before: Option<&Value>,
    after: Option<&Value>,
    opinion: Option<&Value>,
) -> Vec<FieldChange> {
    differences(before, after, opinion)
}

/// Where `before` had a value on which `after` has no opinion any more.
pub fn released(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    release(&mut String::new(), before, after, &mut found);
    found
}

fn differences(
    before: Option<&Value>,
    after: Option<&Value>,
    opinion: Option<&Value>,
) -> Vec<FieldChange> {
    let mut found = Vec::new();
    walk(&mut String::new(), before, after, opinion, &mut found);
    found
}

fn walk(
    path: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    opinion: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    if before == after || opinion == Some(&Value::Null) {
        return;
    }
    match (Shape::of(before), Shape::of(after)) {
        (Shape::Nothing, Shape::Nothing) => {}
        (Shape::Object(b), Shape::Object(a)) => {
            walk_fields(path, b, a, opinion, found);
        }
        (Shape::Nothing, Shape::Object(a)) => {
            walk_fields(path, &Map::new(), a, opinion, found);
        }
        (Shape::Array(b), Shape::Array(a)) => walk_items(path, b, a, opinion, found),
        (Shape::Nothing, Shape::Array(a)) => walk_items(path, &[], a, opinion, found),
        _ => {
            let (before, after) = (known(before), known(after));
            if before.is_some() || after.is_some() {
                found.push(FieldChange { path: path.clone(), before, after, replaces: false });
            }
        }
    }
}

fn walk_fields(
    path: &mut String,
    before: &Map<String, Value>,
    after: &Map<String, Value>,
    opinion: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    let keys: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for key in keys {
        let opinion = opinion.and_then(Value::as_object).map_or(opinion, |o| o.get(key));
        let step = key_step(key, path.is_empty());
        within(path, &step, |path| walk(path, before.get(key), after.get(key), opinion, found));
    }
}

fn walk_items(
    path: &mut String,
    before: &[Value],
    after: &[Value],
    opinion: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    for index in 0..before.len().max(after.len()) {
        let opinion = opinion.and_then(Value::as_array).map_or(opinion, |list| list.get(index));
        let (before, after) = (before.get(index), after.get(index));
        within(path, &format!("[{index}]"), |path| walk(path, before, after, opinion, found));
    }
}

/// A value as far as a comparison goes into it.
enum Shape<'a> {
    Nothing,
    Object(&'a Map<String, Value>),
    Array(&'a [Value]),
    Leaf,
}

impl<'a> Shape<'a> {
    fn of(value: Option<&'a Value>) -> Self {
        match value {
            None | Some(Value::Null) => Shape::Nothing,
            Some(Value::Object(fields)) if is_leaf(fields) => Shape::Leaf,
            Some(Value::Object(fields)) => Shape::Object(fields),
            Some(Value::Array(items)) => Shape::Array(items),
            Some(_) => Shape::Leaf,
        }
    }
}

/// References and secrets are one value each, whatever they look like in JSON.
fn is_leaf(fields: &Map<String, Value>) -> bool {
    fields.contains_key("$ref") || fields.contains_key("$secret")
}

fn known(value: Option<&Value>) -> Option<Value> {
    value.filter(|value| !value.is_null()).cloned()
}

fn release(path: &mut String, before: &Value, after: &Value, found: &mut Vec<FieldChange>) {
    match (before, after) {
        (Value::Null, _) => {}
        (_, Value::Null) => found.push(FieldChange {
            path: path.clone(),
            before: Some(before.clone()),
            after: None,
            replaces: false,
        }),
        (Value::Object(before), Value::Object(after)) => {
            for (key, before) in before {
                if let Some(after) = after.get(key) {
                    let step = key_step(key, path.is_empty());
                    within(path, &step, |path| release(path, before, after, found));
                }
            }
        }
        _ => {}
    }
}

fn key_step(key: &str, first: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    match (key.chars().all(plain), first) {
        (true, true) => key.to_owned(),
        (true, false) => format!(".{key}"),
        (false, _) => format!("[{key:?}]"),
    }
}

fn within(path: &mut String, step: &str, visit: impl FnOnce(&mut String)) {
    let length = path.len();
    path.push_str(step);
    visit(path);
    path.truncate(length);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        diff(Some(before), Some(after)).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn equal_inputs_do_not_differ() {
        let inputs = json!({"a": 1, "b": [{"c": "x"}], "tags": {"k/v": "1"}});
        assert!(diff(Some(&inputs), Some(&inputs)).is_empty());
    }

    #[test]
    fn every_difference_is_named_by_its_path() {
        let before = json!({"a": 1, "routes": [{"to": "x"}], "tags": {"k/v": "1", "gone": "1"}});
        let after = json!({"a": 2, "routes": [{"to": "y"}, {"to": "z"}], "tags": {"k/v": "2"}});
        assert_eq!(
            paths(&before, &after),
            ["a", "routes[0].to", "routes[1].to", "tags.gone", "tags[\"k/v\"]"]
        );
    }

    #[test]
    fn no_opinion_never_differs() {
        let before = json!({"metadata_options": {"http_tokens": "required"}, "kms_key": "arn"});
        let after = json!({"metadata_options": {"http_tokens": null}, "kms_key": null});
        assert!(diff(Some(&before), Some(&after)).is_empty());
        let released: Vec<_> = released(&before, &after).into_iter().map(|c| c.path).collect();
        assert_eq!(released, ["kms_key", "metadata_options.http_tokens"]);
    }

    #[test]
    fn an_opinion_where_there_was_none_differs() {
        let before = json!({"http_tokens": null});
        let after = json!({"http_tokens": "required"});
        let changes = diff(Some(&before), Some(&after));
        assert_eq!(changes.len(), 1);
        assert_eq!((&changes[0].before, &changes[0].after), (&None, &Some(json!("required"))));
    }

    #[test]
    fn references_and_secrets_are_one_value_each() {
        let before = json!({"vpc": "vpc-1", "data": {"$secret": "sha256:a"}});
        let after = json!({"vpc": {"$ref": "vpc.main", "output": "id"},
                           "data": {"$secret": "sha256:b"}});
        assert_eq!(paths(&before, &after), ["data", "vpc"]);
    }

    #[test]
    fn a_new_object_differs_in_every_opinion_it_has() {
        let after = json!({"a": 1, "b": null, "c": {"d": "x"}, "e": [], "f": ["y"]});
        let changes = diff(None, Some(&after));
        let paths: Vec<_> = changes.iter().map(|change| &*change.path).collect();
        assert_eq!(paths, ["a", "c.d", "f[0]"]);
    }

    #[test]
    fn drift_counts_only_where_there_is_an_opinion() {
        let recorded = json!({"a": "1", "b": "1"});
        let observed = json!({"a": "2", "b": "2"});
        let opinion = json!({"a": "1", "b": null});
        let drift = diff_where(Some(&recorded), Some(&observed), Some(&opinion));
        assert_eq!(drift.iter().map(|change| &*change.path).collect::<Vec<_>>(), ["a"]);
    }
}
