//! Fields that accept a fixed set of words. The words are read as strings and validated here, so
//! that every wrong word is reported, not only the first.

use super::document::{FieldValue, Spanned};
use crate::diagnostics::finding::{FindingCollector, did_you_mean, one_of, shown};
use crate::diagnostics::rules::Rule;
use crate::release::ReleaseRange;

/// The accepted words of a field, with their values. Words are case-sensitive.
pub(crate) type Choices<T> = [(&'static str, T)];

/// Returns the words without their values.
pub(super) fn words<T>(choices: &Choices<T>) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// Returns the value of the chosen word. `None` if the field is missing or empty, or if its word is
/// unknown. An unknown word is reported.
pub(super) fn choose<T: Copy>(
    rule: Rule,
    given: &FieldValue<String>,
    choices: &Choices<T>,
    report: &mut FindingCollector,
) -> Option<T> {
    choose_word(rule, given.get()?, choices, report)
}

/// Reports a word that only these releases know, for the others.
pub(super) fn check_release(
    rule: Rule,
    at: &Spanned<String>,
    releases: ReleaseRange,
    report: &mut FindingCollector,
) {
    if let Some(others) = releases.complement() {
        report.breach_in(others, rule, &at.spot, format!("found {}", shown(&at.value))).expected(
            format!("a word of the release; openshift-install {releases} knows this one"),
        );
    }
}

/// Returns the value of one word, as [`choose`] does.
pub(super) fn choose_word<T: Copy>(
    rule: Rule,
    at: &Spanned<String>,
    choices: &Choices<T>,
    report: &mut FindingCollector,
) -> Option<T> {
    let found = choices.iter().find(|(word, _)| *word == at.value);
    if found.is_none() && !at.value.is_empty() {
        let words = words(choices);
        report
            .breach(rule, &at.spot, format!("found {}", shown(&at.value)))
            .expected(one_of(&words))
            .hint_if(did_you_mean(&at.value, &words));
    }
    found.map(|(_, meaning)| *meaning)
}
