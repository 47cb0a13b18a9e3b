//! Field-by-field comparison of inputs. Knows no kinds: the schema names the lists that are sets.
//!
//! A list is compared by position, a set by the names of its members.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use serde_json::{Map, Value};
use similar::{Algorithm, DiffTag, capture_diff_slices};

pub use crate::drift::FieldChange;
use crate::graph::{ComparisonRules, SetInput, SetMember};

/// Returns the differences between `before` and `after`. A `null` in `after` means no opinion and
/// never differs, unless the rules give it a meaning.
pub fn diff(
    rules: ComparisonRules,
    before: Option<&Value>,
    after: Option<&Value>,
) -> Vec<FieldChange> {
    diff_where(rules, before, after, after)
}

/// Returns the differences between `before` and `after` in fields where `opinion` is not `null`.
pub fn diff_where(
    rules: ComparisonRules,
    before: Option<&Value>,
    after: Option<&Value>,
    opinion: Option<&Value>,
) -> Vec<FieldChange> {
    let mut found = Vec::new();
    let at = Walk { rules, is_new: before.is_none() };
    walk(at, &mut String::new(), before, after, opinion, &mut found);
    found
}

/// Returns the fields that have a value in `before` and no opinion in `after`.
pub fn released(rules: ComparisonRules, before: &Value, after: &Value) -> Vec<FieldChange> {
    let mut found = Vec::new();
    release(rules, &mut String::new(), before, after, &mut found);
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

/// Context of one comparison.
#[derive(Clone, Copy, Default)]
struct Walk {
    rules: ComparisonRules,
    /// True without a value before: the resource is new, and absent values are no changes of it.
    is_new: bool,
}

fn walk(
    at: Walk,
    path: &mut String,
    before: Option<&Value>,
    after: Option<&Value>,
    opinion: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    let absent = at.rules.absent.iter().find(|absent| absent.path == path);
    let meaning = absent.and_then(|absent| absent.meaning).map(Value::from);
    let is_new = at.is_new && before.is_none();
    let before = if is_new { None } else { before.filter(is_set).or(meaning.as_ref()) };
    let after = after.filter(is_set).or(meaning.as_ref());
    if before == after || (absent.is_none() && opinion == Some(&Value::Null)) {
        return;
    }
    match (Shape::of(before), Shape::of(after)) {
        (Shape::Nothing, Shape::Nothing) => {}
        (Shape::Object(b), Shape::Object(a)) => {
            walk_fields(at, path, b, a, opinion, found);
        }
        (Shape::Nothing, Shape::Object(a)) => {
            walk_fields(at, path, &Map::new(), a, opinion, found);
        }
        (Shape::Array(b), Shape::Array(a)) => walk_list(at, path, b, a, opinion, found),
        (Shape::Nothing, Shape::Array(a)) => walk_list(at, path, &[], a, opinion, found),
        _ => push(path, before, after, found),
    }
}

/// Reports a difference, unless both values are missing.
fn push(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<FieldChange>) {
    let (path, before, after) = (path.to_owned(), known(before), known(after));
    if before.is_some() || after.is_some() {
        found.push(FieldChange { path, item: None, before, after, replaces: false });
    }
}

fn walk_fields(
    at: Walk,
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
        let (before, after) = (before.get(key), after.get(key));
        within(path, &step, |path| walk(at, path, before, after, opinion, found));
    }
}

fn walk_list(
    at: Walk,
    path: &mut String,
    before: &[Value],
    after: &[Value],
    opinion: Option<&Value>,
    found: &mut Vec<FieldChange>,
) {
    match at.rules.sets.iter().find(|set| set.path == path) {
        Some(set) => walk_set(set, path, before, after, found),
        None => walk_items(at, path, before, after, opinion, found),
    }
}

/// Compares two sets. A member on one side only is one difference. Fields of a member on both sides
/// are compared like the fields of any object.
fn walk_set(
    set: &SetInput,
    path: &mut String,
    before: &[Value],
    after: &[Value],
    found: &mut Vec<FieldChange>,
) {
    let (mut before, after) = (members(set, before), members(set, after));
    rename_unknown(&mut before, &after);
    let names: BTreeSet<_> = before.keys().chain(after.keys()).collect();
    for name in names {
        let (old, new) = (before.get(name), after.get(name));
        let Some(shown) = new.or(old) else { continue };
        let first = found.len();
        let (old, new) = (old.map(|one| &one.value), new.map(|one| &one.value));
        within(path, &format!("[{name:?}]"), |path| {
            match (old, new) {
                (Some(_), Some(new)) if has_reference(new) => push(path, old, Some(new), found),
                (Some(_), Some(_)) => walk(Walk::default(), path, old, new, new, found),
                _ => push(path, old, new, found),
            }
            for change in &mut found[first..] {
                let field = change.path[path.len()..].replace('.', " ");
                let label = if field.is_empty() { &shown.label } else { &shown.name };
                change.item = Some(format!("{} {label}{field}", set.noun));
            }
        });
    }
}

/// Gives old members the names of new ones with unknown references, if all known parts are equal.
/// The reference has a value later, and the name of such a member is that of its target.
fn rename_unknown(before: &mut BTreeMap<String, SetMember>, after: &BTreeMap<String, SetMember>) {
    let is_new = |name: &String| !before.contains_key(name);
    let unknown = after.iter().filter(|(name, new)| is_new(name) && has_reference(&new.value));
    for (name, new) in unknown.collect::<Vec<_>>() {
        let fits = |(old_name, old): &(&String, &SetMember)| {
            !after.contains_key(*old_name) && is_equal_where_known(&old.value, &new.value)
        };
        let old_name = before.iter().find(fits).map(|(old_name, _)| old_name.clone());
        if let Some(old) = old_name.and_then(|old_name| before.remove(&old_name)) {
            before.insert(name.clone(), old);
        }
    }
}

fn has_reference(value: &Value) -> bool {
    match value {
        Value::Object(fields) => fields.contains_key("$ref") || fields.values().any(has_reference),
        Value::Array(items) => items.iter().any(has_reference),
        _ => false,
    }
}

/// Returns true if two values are equal apart from references in the new one.
fn is_equal_where_known(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (_, Value::Object(fields)) if fields.contains_key("$ref") => true,
        (Value::Object(old), Value::Object(new)) => {
            let is_equal = |(key, new): (&String, &Value)| {
                old.get(key).is_some_and(|old| is_equal_where_known(old, new))
            };
            old.len() == new.len() && new.iter().all(is_equal)
        }
        _ => old == new,
    }
}

/// Returns the members of a set by name. Of members with one name, the first counts.
fn members(set: &SetInput, items: &[Value]) -> BTreeMap<String, SetMember> {
    let mut members = BTreeMap::new();
    for member in items.iter().flat_map(set.members) {
        members.entry(member.name.clone()).or_insert(member);
    }
    members
}

/// Compares two lists. Equal items do not differ, even at other positions, so a removed item is one
/// difference. Items between equal ones are compared in pairs of greatest likeness.
fn walk_items(
    at: Walk,
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
                push(path, before, after, found);
            }
            _ => walk(at, path, before, after, opinion, found),
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

fn is_set(value: &&Value) -> bool {
    !value.is_null()
}

fn known(value: Option<&Value>) -> Option<Value> {
    value.filter(is_set).cloned()
}

fn release(
    rules: ComparisonRules,
    path: &mut String,
    before: &Value,
    after: &Value,
    found: &mut Vec<FieldChange>,
) {
    match (before, after) {
        (Value::Null, _) => {}
        (_, Value::Null) if rules.absent.iter().any(|absent| absent.path == path) => {}
        (_, Value::Null) => found.push(FieldChange {
            path: path.clone(),
            item: None,
            before: Some(before.clone()),
            after: None,
            replaces: false,
        }),
        (Value::Object(before), Value::Object(after)) => {
            for (key, before) in before {
                if let Some(after) = after.get(key) {
                    let step = key_step(key, path.is_empty());
                    within(path, &step, |path| release(rules, path, before, after, found));
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
    use crate::graph::{AbsentInput, member_name};

    const PLAIN: ComparisonRules = ComparisonRules { sets: &[], absent: &[] };

    fn paths(before: &Value, after: &Value) -> Vec<String> {
        diff(PLAIN, Some(before), Some(after)).into_iter().map(|change| change.path).collect()
    }

    #[test]
    fn equal_inputs_do_not_differ() {
        let inputs = json!({"a": 1, "b": [{"c": "x"}], "tags": {"k/v": "1"}});
        assert!(diff(PLAIN, Some(&inputs), Some(&inputs)).is_empty());
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
        let changes = diff(PLAIN, Some(&before), Some(&after));
        assert_eq!(changes.len(), 1, "whole, and under the place it had");
        assert_eq!((&*changes[0].path, &changes[0].before), ("rules[1]", &Some(rule(80))));
        let changes = diff(PLAIN, Some(&after), Some(&before));
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
        let changes = diff(PLAIN, Some(&before), Some(&after));
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
        assert!(diff(PLAIN, Some(&before), Some(&after)).is_empty());
        let released: Vec<_> =
            released(PLAIN, &before, &after).into_iter().map(|c| c.path).collect();
        assert_eq!(released, ["kms_key", "metadata_options.http_tokens"]);
    }

    #[test]
    fn an_opinion_where_there_was_none_differs() {
        let before = json!({"http_tokens": null});
        let after = json!({"http_tokens": "required"});
        let changes = diff(PLAIN, Some(&before), Some(&after));
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
        let changes = diff(PLAIN, None, Some(&after));
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
        let drift = diff_where(PLAIN, Some(&recorded), Some(&promised), Some(&wanted));
        let paths: Vec<_> = drift.iter().map(|change| &*change.path).collect();
        assert_eq!(paths, ["options.tokens", "tags.a"]);
    }

    #[test]
    fn drift_counts_only_where_there_is_an_opinion() {
        let recorded = json!({"a": "1", "b": "1"});
        let observed = json!({"a": "2", "b": "2"});
        let opinion = json!({"a": "1", "b": null});
        let drift = diff_where(PLAIN, Some(&recorded), Some(&observed), Some(&opinion));
        assert_eq!(drift.iter().map(|change| &*change.path).collect::<Vec<_>>(), ["a"]);
    }

    /// Returns a route: its destination identifies it.
    fn route(value: &Value) -> Vec<SetMember> {
        let name = member_name(&value["to"]);
        let label = format!("{name} via {}", member_name(&value["via"]));
        vec![SetMember { name, label, value: value.clone() }]
    }

    const SETS: ComparisonRules = ComparisonRules {
        absent: &[],
        sets: &[
            SetInput { path: "table.routes", noun: "route", members: route },
            SetInput::of_values("subnets", "subnet"),
        ],
    };

    fn in_sets(before: &Value, after: &Value) -> Vec<(String, String)> {
        let changes = diff(SETS, Some(before), Some(after)).into_iter();
        changes.map(|change| (change.path, change.item.unwrap_or_default())).collect()
    }

    fn named(path: &str, item: &str) -> (String, String) {
        (path.to_owned(), item.to_owned())
    }

    #[test]
    fn the_order_of_a_set_and_a_double_member_are_no_difference() {
        let before = json!({"subnets": ["a", "b"], "list": ["a", "b"]});
        let after = json!({"subnets": ["b", "a", "b"], "list": ["b", "a"]});
        let paths: Vec<_> = in_sets(&before, &after).into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["list[0]", "list[1]"]);
    }

    #[test]
    fn members_of_a_set_are_compared_by_name_and_shown_by_label() {
        let routes = |routes: Value| json!({"table": {"routes": routes}});
        let before = routes(json!([{"to": "0/0", "via": "nat-1"}, {"to": "1/8", "via": "nat-1"}]));
        let after = routes(json!([{"to": "2/8", "via": "nat-2"}, {"to": "0/0", "via": "nat-2"}]));
        assert_eq!(
            in_sets(&before, &after),
            [
                named("table.routes[\"0/0\"].via", "route 0/0 via"),
                named("table.routes[\"1/8\"]", "route 1/8 via nat-1"),
                named("table.routes[\"2/8\"]", "route 2/8 via nat-2"),
            ]
        );
        let change = &diff(SETS, Some(&before), Some(&after))[1];
        assert_eq!(change.before, Some(json!({"to": "1/8", "via": "nat-1"})));
        assert_eq!((&change.after, change.input()), (&None, "table"));
    }

    #[test]
    fn an_unknown_reference_takes_the_place_of_an_old_member() {
        let reference = json!({"$ref": "nat.a", "output": "id"});
        let before = json!({"subnets": ["s-1", "s-2"], "table": {"routes": [
            {"to": "0/0", "via": "nat-1"}, {"to": "1/8", "via": "nat-1"}]}});
        let after = json!({"subnets": [reference, "s-2"], "table": {"routes": [
            {"to": "0/0", "via": reference}]}});
        assert_eq!(
            in_sets(&before, &after),
            [
                named("subnets[\"nat.a\"]", "subnet nat.a"),
                named("table.routes[\"0/0\"]", "route 0/0 via nat.a"),
                named("table.routes[\"1/8\"]", "route 1/8 via nat-1"),
            ]
        );
        let changes = diff(SETS, Some(&before), Some(&after));
        assert_eq!(
            (&changes[0].before, &changes[0].after),
            (&Some(json!("s-1")), &Some(reference))
        );
        assert_eq!((changes[0].place(), changes[1].place()), ("subnets", "table.routes"));
    }

    #[test]
    fn every_member_of_a_new_set_is_one_difference_and_no_opinion_is_none() {
        let reference = json!({"$ref": "subnet.a", "output": "id"});
        let after = json!({"subnets": [reference, "b"], "table": {"routes": null}});
        assert_eq!(
            in_sets(&json!({"table": {"routes": [{"to": "0/0"}]}}), &after),
            [
                named("subnets[\"b\"]", "subnet b"),
                named("subnets[\"subnet.a\"]", "subnet subnet.a")
            ]
        );
    }

    const ABSENT: ComparisonRules = ComparisonRules {
        sets: &[],
        absent: &[
            AbsentInput { path: "market", meaning: Some("on_demand") },
            AbsentInput { path: "market.spot.price", meaning: Some("on_demand_price") },
            AbsentInput { path: "key", meaning: None },
        ],
    };

    fn changes(before: &Value, after: &Value) -> Vec<(String, Option<Value>, Option<Value>)> {
        let changes = diff(ABSENT, Some(before), Some(after)).into_iter();
        changes.map(|change| (change.path, change.before, change.after)).collect()
    }

    #[test]
    fn absence_with_a_meaning_differs_like_a_value() {
        let spot = json!({"market": {"spot": {"price": null}}, "key": "k1", "other": 1});
        let plain = json!({"market": null, "key": null, "other": null});
        let market = Some(json!({"spot": {"price": null}}));
        let on_demand = Some(json!("on_demand"));
        assert_eq!(
            changes(&spot, &plain),
            [
                ("key".into(), Some(json!("k1")), None),
                ("market".into(), market.clone(), on_demand.clone()),
            ]
        );
        assert_eq!(
            changes(&plain, &spot),
            [
                ("key".into(), None, Some(json!("k1"))),
                ("market".into(), on_demand, market),
                ("other".into(), None, Some(json!(1))),
            ]
        );
        let released: Vec<_> =
            released(ABSENT, &spot, &plain).into_iter().map(|change| change.path).collect();
        assert_eq!(released, ["other"], "only an absence without a meaning is no opinion");
    }

    /// A record of an older version lacks inputs that it did not know.
    #[test]
    fn absence_with_a_meaning_equals_a_missing_field_and_itself() {
        let plain = json!({"market": null, "key": null});
        assert_eq!(changes(&plain, &plain), []);
        assert_eq!(changes(&json!({}), &plain), []);
        assert_eq!(changes(&plain, &json!({})), []);
        let dear = json!({"market": {"spot": {"price": "0.2"}}, "key": null});
        let cheap = json!({"market": {"spot": {"price": null}}, "key": null});
        let price =
            ("market.spot.price".into(), Some(json!("0.2")), Some(json!("on_demand_price")));
        assert_eq!(changes(&dear, &cheap), [price]);
    }

    #[test]
    fn new_resource_shows_what_an_absence_means() {
        let shown = |after: Value| {
            let changes = diff(ABSENT, None, Some(&after)).into_iter();
            changes.map(|c| (c.path, c.before, c.after.unwrap())).collect::<Vec<_>>()
        };
        let on_demand = ("market".into(), None, json!("on_demand"));
        assert_eq!(shown(json!({"market": null, "key": null})), [on_demand]);
        let spot = ("market.spot.price".into(), None, json!("on_demand_price"));
        assert_eq!(shown(json!({"market": {"spot": {"price": null}}, "key": null})), [spot]);
    }
}
