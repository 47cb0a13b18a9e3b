//! What answers mean where that depends on the call: "no such thing" is an answer to a question, a
//! success to a delete, and "not visible yet" to what refers to something just made.

use std::time::Duration;

use super::kind::Result;
use crate::provider::{Class, NOT_OURS, ProviderError};

/// The answer, or `None` when the error says that there is no such thing.
pub(crate) fn found<T>(result: Result<T>, absent: &[&str]) -> Result<Option<T>> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is(absent) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same result; these codes say that something just made (or deleted) is not visible (or gone)
/// to every server yet, so nothing was done and asking again will help.
pub(crate) fn settling<T>(result: Result<T>, codes: &[&str]) -> Result<T> {
    result.map_err(|mut error| {
        if error.is(codes) {
            error.class = Class::Again;
            error.after.get_or_insert(Duration::from_secs(2));
        }
        error
    })
}

/// What a creation answers that was told `exists` and has looked what there is.
///
/// What exists and is not seen will be seen in a moment.
pub(crate) fn existing<T>(looked: Result<Option<T>>, mut exists: ProviderError) -> Result<T> {
    match unproven(looked)? {
        Some(found) => Ok(found),
        None => {
            exists.class = Class::Again;
            Err(exists)
        }
    }
}

/// A look within a creation: when it fails, nobody knows whether something was made, by this call
/// or by one before it whose answer was lost. Only our own refusal of what is not ours is final.
pub(crate) fn unproven<T>(looked: Result<T>) -> Result<T> {
    looked.map_err(|mut error| {
        if error.class == Class::Refused && !error.is(&[NOT_OURS]) {
            error.class = Class::Unknown;
        }
        error
    })
}

/// An answer without what every such answer has.
pub(crate) fn incomplete(call: &str) -> ProviderError {
    ProviderError::new(Class::Unknown, call, "the answer lacks what was asked for")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Result<()> {
        Err(ProviderError::new(Class::Refused, "DeleteRole", "no").with_code(code))
    }

    #[test]
    fn only_the_named_codes_mean_absence() {
        assert_eq!(found(refused("NoSuchEntity"), &["NoSuchEntity"]), Ok(None));
        assert!(found(refused("AccessDenied"), &["NoSuchEntity"]).is_err());
    }

    #[test]
    fn a_failed_look_within_a_creation_leaves_open_what_was_made() {
        let class = |looked: Result<Option<()>>| {
            let exists = ProviderError::new(Class::Refused, "CreateRole", "there is one");
            existing(looked, exists).unwrap_err().class
        };
        assert_eq!(class(refused("AccessDenied").map(Some)), Class::Unknown);
        assert_eq!(class(Ok(None)), Class::Again);
        let not_ours = ProviderError::new(Class::Refused, "GetRole", "taken by another cluster")
            .with_code(NOT_OURS);
        assert_eq!(class(Err(not_ours)), Class::Refused);
    }

    #[test]
    fn only_the_named_codes_are_asked_again() {
        let class = |code| settling(refused(code), &["NoSuchEntity"]).unwrap_err().class;
        assert_eq!(class("NoSuchEntity"), Class::Again);
        assert_eq!(class("AccessDenied"), Class::Refused);
    }
}
