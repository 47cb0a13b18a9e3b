//! Values of resources after a plan, and their summaries, for readers of the plan.
//!
//! The executor does not use these values. A summary is made by the provider's side, which knows
//! the kinds.

use std::collections::BTreeMap;
use std::ops::Bound;

use serde_json::{Map, Value};

use super::diff::is_leaf;
use super::{IgnoreReason, IgnoredDifference, Plan};
use crate::graph::{Address, ComparisonRules, as_ref};

/// Key of the value inside a reference whose target has the output already.
const KNOWN: &str = "value";

/// Returns the inputs of a resource after the plan. References keep the address of the target, with
/// its value if that is known. An input without an opinion has its live value.
pub(super) fn values_after(
    rules: ComparisonRules,
    desired: &Value,
    resolved: &Value,
    live: Option<&Value>,
) -> Value {
    merge(rules, &mut String::new(), desired, resolved, live)
}

fn merge(
    rules: ComparisonRules,
    path: &mut String,
    desired: &Value,
    resolved: &Value,
    live: Option<&Value>,
) -> Value {
    match desired {
        Value::Null => {
            let is_request = rules.absent.iter().any(|absent| absent.path == path);
            live.filter(|_| !is_request).cloned().unwrap_or_default()
        }
        Value::Object(_) if as_ref(desired).is_some() => {
            let mut reference = desired.clone();
            if as_ref(resolved).is_none() {
                reference[KNOWN] = resolved.clone();
            }
            reference
        }
        Value::Object(fields) if !is_leaf(fields) => {
            let one = |(key, field): (&String, &Value)| {
                let length = path.len();
                if length > 0 {
                    path.push('.');
                }
                path.push_str(key);
                let live = live.and_then(|live| live.get(key));
                let value = merge(rules, path, field, &resolved[key], live);
                path.truncate(length);
                (key.clone(), value)
            };
            Value::Object(fields.iter().map(one).collect())
        }
        Value::Array(items) => {
            let one = |(index, item): (usize, &Value)| {
                merge(ComparisonRules::default(), &mut String::new(), item, &resolved[index], None)
            };
            items.iter().enumerate().map(one).collect()
        }
        plain => plain.clone(),
    }
}

/// Gives inputs that the plan does not change their live values.
pub(super) fn keep_ignored(after: &mut Value, live: &Value, left: &[IgnoredDifference]) {
    for one in left.iter().filter(|one| one.because != IgnoreReason::NoOpinion) {
        let input = one.field.input();
        if let Some(value) = live.get(input) {
            after[input] = value.clone();
        }
    }
}

/// Returns the value of a reference in [`Change::after`](super::Change::after), if it is known
/// before the apply. `None` for all other values.
pub fn known_value(reference: &Value) -> Option<&Value> {
    as_ref(reference).and_then(|_| reference.get(KNOWN))
}

/// Returns inputs in the form in which their kind reads them: references without known values.
pub fn as_inputs(after: &Value) -> Value {
    match after {
        Value::Object(fields) if as_ref(after).is_some() => {
            let is_part = |(key, _): &(&String, &Value)| *key != KNOWN;
            let own = |(key, value): (&String, &Value)| (key.clone(), value.clone());
            Value::Object(fields.iter().filter(is_part).map(own).collect::<Map<_, _>>())
        }
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), as_inputs(value))).collect()
        }
        Value::Array(items) => items.iter().map(as_inputs).collect(),
        plain => plain.clone(),
    }
}

/// Values of all resources after a plan, by address.
#[derive(Debug, Default)]
pub struct ValuesAfter<'a>(BTreeMap<&'a str, &'a Value>);

impl<'a> FromIterator<(&'a str, &'a Value)> for ValuesAfter<'a> {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a Value)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl<'a> ValuesAfter<'a> {
    /// Returns the values of a plan.
    pub fn of(plan: &'a Plan) -> Self {
        let values = plan
            .changes
            .iter()
            .filter_map(|change| Some((change.address.as_str(), change.after.as_ref()?)));
        values.collect()
    }

    /// Returns the inputs of one resource. `None` if it does not exist after the plan.
    pub fn get(&self, address: &Address) -> Option<&'a Value> {
        self.0.get(address.as_str()).copied()
    }

    /// Returns the name and the inputs of each resource of a kind, by name.
    pub fn of_kind(&self, kind: &str) -> Vec<(&'a str, &'a Value)> {
        let prefix = format!("{kind}.");
        let from = (Bound::Included(prefix.as_str()), Bound::Unbounded);
        let from = self.0.range::<str, _>(from);
        from.map_while(|(address, value)| Some((address.strip_prefix(&prefix)?, *value))).collect()
    }
}

/// Resource whose summary is made, and the resources beside it.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// Address of the resource.
    pub address: &'a Address,
    /// Values of all resources after the plan.
    pub values: &'a ValuesAfter<'a>,
}

/// Summary of one resource: the values that matter for its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Short values, for one line.
    pub facts: Vec<String>,
    /// Sentences, each on a line of its own.
    pub sentences: Vec<String>,
}

impl Summary {
    /// Returns a summary of short values only; empty ones are left out.
    pub fn of<const N: usize>(facts: [String; N]) -> Self {
        let facts = facts.into_iter().filter(|fact| !fact.is_empty()).collect();
        Self { facts, sentences: Vec::new() }
    }
}

/// Subject of a kind: the heading under which a plan shows resources.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject {
    /// Place among the headings.
    pub order: u8,
    /// Text of the heading.
    pub title: &'static str,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::graph::AbsentInput;
    use crate::plan::FieldChange;

    const RULES: ComparisonRules = ComparisonRules {
        sets: &[],
        absent: &[AbsentInput { path: "place.market", meaning: None }],
    };

    #[test]
    fn an_input_without_an_opinion_has_its_live_value_and_a_requested_absence_has_none() {
        let desired = json!({"tokens": null, "size": 2, "place": {"market": null, "zone": null}});
        let live =
            json!({"tokens": "optional", "size": 1, "place": {"market": "spot", "zone": "a"}});
        let after = values_after(RULES, &desired, &desired, Some(&live));
        assert_eq!(
            after,
            json!({"tokens": "optional", "size": 2, "place": {"market": null, "zone": "a"}})
        );
        assert_eq!(values_after(RULES, &desired, &desired, None), desired);
    }

    #[test]
    fn a_reference_keeps_its_address_and_has_the_value_that_is_known() {
        let reference = json!({"$ref": "subnet.a", "output": "id"});
        let desired = json!({"subnet": reference, "groups": [reference]});
        let resolved = json!({"subnet": "subnet-1", "groups": [reference]});
        let after = values_after(RULES, &desired, &resolved, None);
        assert_eq!(known_value(&after["subnet"]), Some(&json!("subnet-1")));
        assert_eq!(known_value(&after["groups"][0]), None);
        assert_eq!(known_value(&json!({"value": 1})), None);
        assert_eq!(as_inputs(&after), desired);
    }

    #[test]
    fn an_ignored_difference_leaves_the_live_value() {
        let field = FieldChange {
            path: "image".into(),
            item: None,
            before: Some(json!("ami-1")),
            after: Some(json!("ami-2")),
            replaces: false,
        };
        let left = [IgnoredDifference { field, because: IgnoreReason::CreateOnly }];
        let mut after = json!({"image": "ami-2", "type": "t"});
        keep_ignored(&mut after, &json!({"image": "ami-1", "type": "u"}), &left);
        assert_eq!(after, json!({"image": "ami-1", "type": "t"}));
    }

    #[test]
    fn the_resources_of_a_kind_are_those_with_its_name_alone() {
        let (one, two) = (json!(1), json!(2));
        let all =
            [("subnet.b", &one), ("subnet.a", &two), ("subnet_group.c", &one), ("vpc.m", &one)];
        let values: ValuesAfter<'_> = all.into_iter().collect();
        assert_eq!(values.of_kind("subnet"), [("a", &two), ("b", &one)]);
        assert_eq!(values.get(&"vpc.m".into()), Some(&one));
    }
}
