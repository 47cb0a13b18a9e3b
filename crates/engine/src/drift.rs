//! Differences, their severity, and drift outside the inputs.
//!
//! The module has types only. The provider's side decides on the class of each input.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Difference in one field.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldChange {
    /// Path of the field: `metadata_options.http_tokens`, `tags["kubernetes.io/role/internal-elb"]`,
    /// `routes["0.0.0.0/0"].via.nat_gateway`.
    pub path: String,
    /// Text of the member for people, if the path leads to or into a member of a set: `route
    /// 0.0.0.0/0 via nat-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub item: Option<String>,
    /// Old value; `None` if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// New value; `None` if there is none. A `$ref` in the value is known only after the apply, a
    /// `$secret` is a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// True if the difference forces a replacement.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replaces: bool,
}

impl FieldChange {
    /// Returns the path of the field. Of a member of a set, returns the path of the set.
    pub fn place(&self) -> &str {
        match &self.item {
            Some(_) => self.path.split("[\"").next().unwrap_or_default(),
            None => &self.path,
        }
    }

    /// Returns the input that the path begins with.
    pub fn input(&self) -> &str {
        self.path.split(['.', '[']).next().unwrap_or_default()
    }
}

/// Class of a drift, most severe first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftClass {
    /// Access and permissions.
    Security,
    /// Behaviour.
    Functional,
    /// Names and labels.
    Cosmetic,
}

/// Function that returns the class of an input (a path) of a kind.
pub type Classify = fn(kind: &str, path: &str) -> DriftClass;

/// Unmanaged drift: a difference in a part of a resource that no input configures, such as a rule
/// that another person added, or a machine that is stopped.
///
/// A plan reports unmanaged drift. It reverts it only with [`revert_drift`](crate::plan::PlanOptions::revert_drift).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UnmanagedDrift {
    /// Difference: `before` as groundplan left the resource, `after` as it is now.
    #[serde(flatten)]
    pub field: FieldChange,
    /// Class of the drift.
    pub class: DriftClass,
}

impl UnmanagedDrift {
    /// Returns the addition of a member `name` to the set at `path`.
    pub fn addition(class: DriftClass, path: &str, name: &str, item: &str, value: Value) -> Self {
        let field = FieldChange {
            path: format!("{path}[{name:?}]"),
            item: Some(item.to_owned()),
            before: None,
            after: Some(value),
            replaces: false,
        };
        Self { field, class }
    }

    /// Returns the change of the attribute `path`.
    pub fn change(class: DriftClass, path: &str, before: Value, after: Value) -> Self {
        let (path, before, after) = (path.to_owned(), Some(before), Some(after));
        let field = FieldChange { path, item: None, before, after, replaces: false };
        Self { field, class }
    }

    /// Returns the change that reverts the drift.
    pub fn reverted(&self) -> FieldChange {
        let FieldChange { before, after, .. } = self.field.clone();
        FieldChange { before: after, after: before, ..self.field.clone() }
    }

    /// Returns the name of the added member, if the drift is an addition to the set at `path`.
    pub fn added_to(&self, path: &str) -> Option<String> {
        let name = self.field.path.strip_prefix(path)?.strip_prefix('[')?.strip_suffix(']')?;
        serde_json::from_str(name).ok()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_addition_knows_its_set_and_its_name() {
        let rule = "tcp 22 from \"0.0.0.0/0\"";
        let added = UnmanagedDrift::addition(
            DriftClass::Security,
            "ingress",
            rule,
            "ingress tcp",
            json!(1),
        );
        assert_eq!(added.added_to("ingress").as_deref(), Some(rule));
        assert_eq!(added.added_to("egress"), None);
        let reverted = added.reverted();
        assert_eq!((reverted.before, reverted.after), (Some(json!(1)), None));
        let stopped =
            UnmanagedDrift::change(DriftClass::Functional, "state", json!("up"), json!("down"));
        assert_eq!(stopped.added_to("state"), None);
        let text = serde_json::to_string(&stopped).unwrap();
        assert_eq!(serde_json::from_str::<UnmanagedDrift>(&text).unwrap(), stopped);
    }
}
