//! What AWS has answered.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{Refusal, Result};
use crate::aws::questions::{FilterBy, Question};
use crate::machine_api::types::Filter;

/// The answers at hand, and the region they are about.
#[derive(Clone, Copy)]
pub(super) struct Answers<'a> {
    pub(super) region: &'a str,
    pub(super) given: &'a BTreeMap<String, Value>,
}

impl Answers<'_> {
    /// The answer, in the type that the question's variant names.
    pub(super) fn to<T: DeserializeOwned>(&self, question: &Question) -> Result<T> {
        let key = question.key();
        let answer = self.given.get(&key).and_then(|answer| T::deserialize(answer).ok());
        answer.ok_or(Refusal::Unanswered { question: key })
    }
}

/// Filters as they are asked.
pub(super) fn asked(filters: &[Filter]) -> Vec<FilterBy> {
    let asked =
        |filter: &Filter| FilterBy { name: filter.name.clone(), values: filter.values.clone() };
    filters.iter().map(asked).collect()
}
