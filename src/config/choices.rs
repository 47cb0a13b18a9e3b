//! Fields that take one of a few words. They are read as strings and checked here, so that every
//! wrong one is reported and not only the first.

use super::document::{At, Given};
use super::finding::{Report, did_you_mean, one_of, shown};
use super::rules::Rule;

/// The words of a field and what they mean. Case matters.
pub(crate) type Choices<T> = [(&'static str, T)];

/// The words alone.
pub(super) fn words<T>(choices: &Choices<T>) -> Vec<&'static str> {
    choices.iter().map(|(word, _)| *word).collect()
}

/// What was chosen. `None` if nothing was (an empty string is nothing), or nothing that exists.
pub(super) fn choose<T: Copy>(
    rule: Rule,
    given: &Given<String>,
    choices: &Choices<T>,
    report: &mut Report,
) -> Option<T> {
    choose_word(rule, given.get()?, choices, report)
}

/// What one word means.
pub(super) fn choose_word<T: Copy>(
    rule: Rule,
    at: &At<String>,
    choices: &Choices<T>,
    report: &mut Report,
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
