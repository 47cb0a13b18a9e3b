//! Field-by-field comparison of inputs. Knows no kinds.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use similar::{Algorithm, DiffTag, capture_diff_slices};

/// Difference in one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Path of the field: `routes[0].via.nat_gateway`, `tags["kubernetes.io/role/internal-elb"]`.
    pub path: String,
    /// Old value; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// New value; `None` if there is none. A `$ref` in the value means "(known after apply)", a
    /// `$secret` is a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// True if the difference forces a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

impl FieldChange {
    /// Returns the input that the path begins with.
    pub fn input(&self) -> &str {
        self.path.split(['.', '[']).next().unwrap_or_default()
    }
}

/// Returns the differences between `before` and `after`. A `null` in `after` means no opinion and
/// never differs.
pub fn diff(before: Option<&Value>, after: Option<&Value>) -> Vec<FieldChange> {
    differences(before, after, after)
}

/// Returns the differences between `before` and `after` in fields where `opinion` is not `null`.
pub fn diff_where(
    before: Option<&Value>,
    after: Option<&Value>,
    opinion: Option<&Value>,
) -> Vec<FieldChange> {
    differences(before, after, opinion)
}

/// Returns the fields that have a value in `before` and no opinion in `after`.
pub fn released(before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    release(&mut String::new(), before, after, &mut found);
    found
}

/// Returns `seen`, limited to the fields that `recorded` has an opinion on. Other fields were never
/// requested, or are unknown to the version that wrote the record.
pub fn limit_to_opinions(recorded: &Value, seen: &Value) -> Value {
    match (recorded, seen) {
        (Value::Null, _) => Value::Null,
        (Value::Object(recorded), Value::Object(seen)) if !is_leaf(recorded) => {
            let both = seen.iter().filter_map(|(key, seen)| Some((key, recorded.get(key)?, seen)));
            both.map(|(key, recorded, seen)| (key.clone(), limit_to_opinions(recorded, seen)))
                .collect()
        }
        _ => seen.clone(),
    }
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

/// Compares two lists. Equal items do not differ, even at other positions, so a removed item is one
/// difference. Items between equal ones are compared in pairs of greatest likeness.
fn walk_items(
    path: &mut String,
    before: &[Value],
    after: &[Value],
    opinion: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    let opinion =
        |index: usize| opinion.and_then(Value::as_array).map_or(opinion, |list| list.get(index));
    let alone = before.is_empty() || after.is_empty();
    for (old, new) in aligned(before, after) {
        let index = new.or(old).unwrap_or_default();
        let (before, after) = (old.map(|old| &before[old]), new.map(|new| &after[new]));
        let opinion = opinion(index).or(after);
        within(path, &format!("[{index}]"), |path| match (before, after) {
            (None, Some(item)) | (Some(item), None) if !alone && is_plain(item) => {
                let (before, after) = (known(before), known(after));
                found.push(FieldChange { path: path.clone(), before, after, replaces: false });
            }
            _ => walk(path, before, after, opinion, found),
        });
    }
}

/// Returns true if a value can be shown whole: it contains no secret and no reference.
fn is_plain(value: &Value) -> bool {
    match value {
        Value::Object(fields) => !is_leaf(fields) && fields.values().all(is_plain),
        Value::Array(items) => items.iter().all(is_plain),
        _ => true,
    }
}

/// Returns the pairs of indices of items that differ; equal items are omitted.
fn aligned(before: &[Value], after: &[Value]) -> Vec<(Option<usize>, Option<usize>)> {
    let text = |values: &[Value]| values.iter().map(Value::to_string).collect::<Vec<_>>();
    let (old, new) = (text(before), text(after));
    let mut pairs = Vec::new();
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if op.tag() != DiffTag::Equal {
            pairs.extend(pair_items(before, after, op.old_range(), op.new_range()));
        }
    }
    pairs
}

/// Pairs old and new items, the most similar pairs first. Items that remain on either side have no
/// counterpart.
fn pair_items(
    before: &[Value],
    after: &[Value],
    old: Range<usize>,
    new: Range<usize>,
) -> Vec<(Option<usize>, Option<usize>)> {
    let mut couples: Vec<_> = old
        .clone()
        .flat_map(|old| new.clone().map(move |new| (old, new)))
        .map(|(old, new)| (Reverse(similarity(&before[old], &after[new])), new, old))
        .collect();
    couples.sort_unstable();
    let (mut of_old, mut of_new) = (BTreeMap::new(), BTreeMap::new());
    for (_, new, old) in couples {
        if !of_old.contains_key(&old) && !of_new.contains_key(&new) {
            of_old.insert(old, new);
            of_new.insert(new, old);
        }
    }
    let gone = old.filter(|old| !of_old.contains_key(old)).map(|old| (Some(old), None));
    let there = new.map(|new| (of_new.get(&new).copied(), Some(new)));
    gone.chain(there).collect()
}

/// Returns the number of equal fields of two items.
fn similarity(one: &Value, other: &Value) -> usize {
    match (one, other) {
        (Value::Object(one), Value::Object(other)) if !is_leaf(one) && !is_leaf(other) => {
            one.iter().filter(|(key, value)| other.get(*key) == Some(value)).count()
        }
        _ => 0,
    }
}

/// Form of a value, as far as the comparison descends into it.
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

/// Returns true for a reference or a secret, which is compared as one value.
pub(crate) fn is_leaf(fields: &Map<String, Value>) -> bool {
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
            ["a", "routes[0].to", "routes[1]", "tags.gone", "tags[\"k/v\"]"]
        );
    }

    #[test]
    fn an_item_that_is_missing_is_one_difference() {
        let rule = |port: u16| json!({"from": port, "to": port, "peer": "10.0.0.0/16"});
        let before = json!({"rules": [rule(22), rule(80), rule(443), rule(6443)]});
        let after = json!({"rules": [rule(22), rule(443), rule(6443)]});
        let changes = diff(Some(&before), Some(&after));
        assert_eq!(changes.len(), 1, "whole, and under the place it had");
        assert_eq!((&*changes[0].path, &changes[0].before), ("rules[1]", &Some(rule(80))));
        let changes = diff(Some(&after), Some(&before));
        assert_eq!((&*changes[0].path, &changes[0].after), ("rules[1]", &Some(rule(80))));
    }

    #[test]
    fn an_item_that_comes_or_goes_shows_no_secret_and_nothing_unknown_as_a_whole() {
        let item = |name: &str| json!({"name": name, "key": {"$secret": "sha256:a"}});
        let before = json!({"keys": [item("a")]});
        let after = json!({"keys": [item("a"), item("b")]});
        assert_eq!(paths(&before, &after), ["keys[1].key", "keys[1].name"]);
    }

    #[test]
    fn an_item_that_changes_is_compared_with_the_one_it_is_most_like() {
        let rule = |port: u16, peer: &str| json!({"port": port, "peer": peer});
        let before = json!({"rules": [rule(22, "a"), rule(80, "b"), rule(443, "c")]});
        let after = json!({"rules": [rule(80, "x"), rule(443, "y")]});
        let changes = diff(Some(&before), Some(&after));
        let changes: Vec<_> = changes.iter().map(|c| (&*c.path, &c.before, &c.after)).collect();
        assert!(changes.contains(&("rules[0].peer", &Some(json!("b")), &Some(json!("x")))));
        assert!(changes.contains(&("rules[1].peer", &Some(json!("c")), &Some(json!("y")))));
        assert!(changes.contains(&("rules[0]", &Some(rule(22, "a")), &None)));
        assert_eq!(changes.len(), 3);
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
    fn what_was_never_promised_is_nobodys_doing() {
        let recorded = json!({"options": {"tokens": "required", "hops": null}, "tags": {"a": "1"}});
        let seen = json!({"options": {"tokens": "optional", "hops": 1, "endpoint": "enabled"},
            "tags": {"a": "2"}});
        let wanted = json!({"options": {"tokens": "required", "hops": 2, "endpoint": "enabled"},
            "tags": {"a": "1"}});
        let promised = limit_to_opinions(&recorded, &seen);
        let drift = diff_where(Some(&recorded), Some(&promised), Some(&wanted));
        let paths: Vec<_> = drift.iter().map(|change| &*change.path).collect();
        assert_eq!(paths, ["options.tokens", "tags.a"]);
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
