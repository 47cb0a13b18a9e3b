//! Label selector of a MachineSet (k8s.io/apimachinery `pkg/labels`).

use std::fmt;

use groundplan_openshift::machine_api::types::{LabelSelector, Labels};

use super::SetError;

/// Selector whose operators are all known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector(Vec<(String, Test)>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Is(String),
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
}

impl Selector {
    /// Returns all requirements of a selector, sorted by label like in the API server.
    pub(super) fn of(selector: &LabelSelector) -> Result<Self, SetError> {
        let labels = selector.match_labels.iter();
        let mut tests: Vec<_> =
            labels.map(|(key, value)| (key.clone(), Test::Is(value.clone()))).collect();
        for one in &selector.match_expressions {
            tests.push((one.key.clone(), test(&one.key, &one.operator, &one.values)?));
        }
        if tests.is_empty() {
            return Err(SetError::EmptySelector);
        }
        tests.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(Self(tests))
    }

    pub(super) fn selects(&self, labels: &Labels) -> bool {
        self.0.iter().all(|(key, test)| test.is_held(labels.get(key)))
    }
}

fn test(key: &str, operator: &str, values: &[String]) -> Result<Test, SetError> {
    let mut values = values.to_vec();
    values.sort();
    match operator {
        "In" => Ok(Test::In(values)),
        "NotIn" => Ok(Test::NotIn(values)),
        "Exists" => Ok(Test::Exists),
        "DoesNotExist" => Ok(Test::DoesNotExist),
        other => Err(SetError::UnknownOperator { key: key.to_owned(), operator: other.to_owned() }),
    }
}

impl Test {
    fn is_held(&self, value: Option<&String>) -> bool {
        match self {
            Test::Is(wanted) => value == Some(wanted),
            Test::In(values) => value.is_some_and(|value| values.contains(value)),
            Test::NotIn(values) => !value.is_some_and(|value| values.contains(value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (key, test)) in self.0.iter().enumerate() {
            f.write_str(if place == 0 { "" } else { "," })?;
            match test {
                Test::Is(value) => write!(f, "{key}={value}")?,
                Test::In(values) => write!(f, "{key} in ({})", values.join(","))?,
                Test::NotIn(values) => write!(f, "{key} notin ({})", values.join(","))?,
                Test::Exists => f.write_str(key)?,
                Test::DoesNotExist => write!(f, "!{key}")?,
            }
        }
        Ok(())
    }
}
