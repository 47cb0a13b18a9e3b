//! Requests to an API server, with the timeout and the error that all controllers use.

use std::time::Duration;

use kube::api::PatchParams;
use tokio::time::timeout;

/// Maximum wait for a response.
const PATIENCE: Duration = Duration::from_secs(10);

/// Name of the writer in managed fields and Events.
pub const WRITER: &str = "groundplan-machine-controller";

/// Error of a request to the API server.
#[derive(Debug, thiserror::Error)]
pub enum ApiServerError {
    /// The API server rejected the request, or could not be reached.
    #[error("{attempt}")]
    Api {
        /// Attempted action.
        attempt: &'static str,
        /// Error of the client.
        source: Box<kube::Error>,
    },
    /// No response arrived in time.
    #[error("{0}: no response within {PATIENCE:?}")]
    Silence(&'static str),
}

impl ApiServerError {
    fn status(&self) -> Option<u16> {
        let ApiServerError::Api { source, .. } = self else { return None };
        match &**source {
            kube::Error::Api(status) => Some(status.code),
            _ => None,
        }
    }

    /// Returns true if the API server rejected the request with this status code.
    pub fn is(&self, code: u16) -> bool {
        self.status() == Some(code)
    }

    /// Returns true if another client wrote at the same time.
    pub fn is_conflict(&self) -> bool {
        self.is(409)
    }

    /// Returns true if the request had no effect and a repetition would have none (status 4xx). A
    /// missing response and a server error allow neither conclusion.
    pub fn is_final(&self) -> bool {
        self.status().is_some_and(|code| (400..500).contains(&code))
    }

    /// Returns the delay before the next attempt. The delay is short after a conflict, when another
    /// process wrote at the same time.
    pub fn retry_after(&self) -> Duration {
        Duration::from_secs(if self.is(409) { 1 } else { 5 })
    }
}

/// Returns the response of the API server, if it arrives in time.
///
/// # Errors
/// Fails if no response arrives in time, or if the API server rejects the request.
pub async fn answer<T>(
    attempt: &'static str,
    asked: impl Future<Output = kube::Result<T>>,
) -> Result<T, ApiServerError> {
    match timeout(PATIENCE, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(ApiServerError::Api { attempt, source: Box::new(error) }),
        Err(_) => Err(ApiServerError::Silence(attempt)),
    }
}

/// Returns patch parameters that name the writer.
pub fn by() -> PatchParams {
    PatchParams { field_manager: Some(WRITER.to_owned()), ..PatchParams::default() }
}
