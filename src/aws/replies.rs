//! What answers mean where that depends on the call: "no such thing" is an answer to a question, a
//! success to a delete, and "not visible yet" to what refers to something just made.

use std::time::Duration;

use super::kind::Result;
use crate::provider::{Class, ProviderError};

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
    fn only_the_named_codes_are_asked_again() {
        let class = |code| settling(refused(code), &["NoSuchEntity"]).unwrap_err().class;
        assert_eq!(class("NoSuchEntity"), Class::Again);
        assert_eq!(class("AccessDenied"), Class::Refused);
    }
}
