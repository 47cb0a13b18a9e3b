//! Lookup results that a launch spec is made from.

use std::collections::BTreeMap;

use groundplan_aws::lookups::lookup::{FilterBy, Lookup};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{LaunchError, Result};
use crate::machine_api::types::Filter;

/// Lookup results at hand, and the region that they are about.
#[derive(Clone, Copy)]
pub(super) struct RegionLookups<'a> {
    pub(super) region: &'a str,
    pub(super) given: &'a BTreeMap<String, Value>,
}

impl RegionLookups<'_> {
    /// Returns the result of a lookup, in the type that the variant names.
    pub(super) fn to<T: DeserializeOwned>(&self, lookup: &Lookup) -> Result<T> {
        let key = lookup.key();
        let answer = self.given.get(&key).and_then(|answer| T::deserialize(answer).ok());
        answer.ok_or(LaunchError::Unanswered { lookup: key })
    }
}

/// Returns the filters in the form of a lookup.
pub(super) fn asked(filters: &[Filter]) -> Vec<FilterBy> {
    let asked =
        |filter: &Filter| FilterBy { name: filter.name.clone(), values: filter.values.clone() };
    filters.iter().map(asked).collect()
}

/// Returns the filters as text for people: `tag:Name=c-private-us-west-2a`.
pub(super) fn shown(filters: &[Filter]) -> String {
    asked(filters).iter().map(FilterBy::to_string).collect::<Vec<_>>().join(" and ")
}

/// Returns the message that no resource matches, with advice.
pub(super) fn nothing(what: &str, sought: &str) -> String {
    let sought = if sought.is_empty() {
        "no search criteria are set".to_owned()
    } else {
        format!("search: {sought}")
    };
    format!(
        "no {what} of the region matches ({sought}); check that the infrastructure of the \
         cluster exists"
    )
}
