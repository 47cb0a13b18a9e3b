//! The meaning of call results that depends on the call. "Not found" is a result of a query and a
//! success of a deletion. For a call that refers to a new resource it means "not visible yet".

use std::time::Duration;

use groundplan_engine::provider::{Cause, ErrorClass, ProviderError};

use crate::client::resource_type::Result;

/// Returns the result, or `None` if the error means "not found".
pub(crate) fn none_if<T>(result: Result<T>, absent: &[&str]) -> Result<Option<T>> {
    match result {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.is(absent) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes errors with these codes retryable. They mean that a new (or deleted) resource is not yet
/// visible (or still visible) to some server, so the call had no effect.
pub(crate) fn retry_on<T>(result: Result<T>, codes: &[&str]) -> Result<T> {
    result.map_err(|mut error| {
        if error.is(codes) {
            error.class = ErrorClass::Retryable;
            error.after.get_or_insert(Duration::from_secs(2));
        }
        error
    })
}

/// Resolves the error `exists` of a creation with the result of a search.
///
/// A resource that exists and is not found becomes visible in a moment: the error is then
/// retryable.
pub(crate) fn resolve_conflict<T>(
    preview: Result<Option<T>>,
    mut exists: ProviderError,
) -> Result<T> {
    match ambiguous_on_failure(preview)? {
        Some(found) => Ok(found),
        None => {
            exists.class = ErrorClass::Retryable;
            Err(exists)
        }
    }
}

/// Makes a failed search within a creation ambiguous: this call, or an earlier one without a
/// response, may have created the resource. Only the rejection of another owner's resource is
/// final.
pub(crate) fn ambiguous_on_failure<T>(preview: Result<T>) -> Result<T> {
    preview.map_err(|mut error| {
        if error.class == ErrorClass::Permanent && error.cause != Cause::NotOurs {
            error.class = ErrorClass::Ambiguous;
        }
        error
    })
}

/// Returns the error for a response without a mandatory part.
pub(crate) fn incomplete(call: &str) -> ProviderError {
    ProviderError::new(ErrorClass::Ambiguous, call, "the response is incomplete")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(code: &str) -> Result<()> {
        Err(ProviderError::new(ErrorClass::Permanent, "DeleteRole", "no").with_code(code))
    }

    #[test]
    fn only_the_named_codes_mean_absence() {
        assert_eq!(none_if(refused("NoSuchEntity"), &["NoSuchEntity"]), Ok(None));
        assert!(none_if(refused("AccessDenied"), &["NoSuchEntity"]).is_err());
    }

    #[test]
    fn a_failed_look_within_a_creation_leaves_open_what_was_made() {
        let class = |preview: Result<Option<()>>| {
            let exists = ProviderError::new(ErrorClass::Permanent, "CreateRole", "there is one");
            resolve_conflict(preview, exists).unwrap_err().class
        };
        assert_eq!(class(refused("AccessDenied").map(Some)), ErrorClass::Ambiguous);
        assert_eq!(class(Ok(None)), ErrorClass::Retryable);
        let not_ours =
            ProviderError::new(ErrorClass::Permanent, "GetRole", "taken by another cluster")
                .with_cause(Cause::NotOurs);
        assert_eq!(class(Err(not_ours)), ErrorClass::Permanent);
    }

    #[test]
    fn only_the_named_codes_are_asked_again() {
        let class = |code| retry_on(refused(code), &["NoSuchEntity"]).unwrap_err().class;
        assert_eq!(class("NoSuchEntity"), ErrorClass::Retryable);
        assert_eq!(class("AccessDenied"), ErrorClass::Permanent);
    }
}
