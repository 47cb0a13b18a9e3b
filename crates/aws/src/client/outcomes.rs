//! The meaning of call results that depends on the call. "Not found" is a result of a query and a
//! success of a deletion. For a call that refers to a new resource it means "not visible yet".

use std::time::Duration;

use groundplan_engine::provider::{Class, NOT_OURS, ProviderError};

use crate::client::resource_type::Result;

/// Returns the result, or `None` if the error means "not found".
pub(crate) fn found<T>(result: Result<T>, absent: &[&str]) -> Result<Option<T>> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is(absent) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes errors with these codes retryable. They mean that a new (or deleted) resource is not yet
/// visible (or still visible) to some server, so the call had no effect.
pub(crate) fn settling<T>(result: Result<T>, codes: &[&str]) -> Result<T> {
    result.map_err(|mut error| {
        if error.is(codes) {
            error.class = Class::Again;
            error.after.get_or_insert(Duration::from_secs(2));
        }
        error
    })
}

/// Resolves the error `exists` of a creation with the result of a search.
///
/// A resource that exists and is not found becomes visible in a moment: the error is then
/// retryable.
pub(crate) fn existing<T>(looked: Result<Option<T>>, mut exists: ProviderError) -> Result<T> {
    match unproven(looked)? {
        Some(found) => Ok(found),
        None => {
            exists.class = Class::Again;
            Err(exists)
        }
    }
}

/// Makes a failed search within a creation ambiguous: this call, or an earlier one without a
/// response, may have created the resource. Only the rejection of another owner's resource is
/// final.
pub(crate) fn unproven<T>(looked: Result<T>) -> Result<T> {
    looked.map_err(|mut error| {
        if error.class == Class::Refused && !error.is(&[NOT_OURS]) {
            error.class = Class::Unknown;
        }
        error
    })
}

/// Returns the error for a response without a mandatory part.
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
