//! Errors of the client, with hints for the user.

use std::time::Duration;

/// Reason for a missing value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection was possible.
    #[error("no connection to the metadata service: {0}")]
    Unreachable(String),
    /// The request for a token got no response. The response travels no further than the hop limit,
    /// so this error is typical in a pod network.
    #[error(
        "the metadata service did not answer the request for a token within {within:?}, {tries} times"
    )]
    NoToken {
        /// Timeout of each attempt.
        within: Duration,
        /// Number of attempts.
        tries: u32,
    },
    /// A request with a token got no response.
    #[error("the metadata service did not answer within {within:?}, {tries} times")]
    NoAnswer {
        /// Timeout of each attempt.
        within: Duration,
        /// Number of attempts.
        tries: u32,
    },
    /// The service rejects the request for a token.
    #[error("the metadata service refuses to give a token (status {0})")]
    TokenRefused(u16),
    /// The service rejects a token that it has just returned.
    #[error("the metadata service does not take the token that it has just given")]
    TokenNotTaken,
    /// The service rejects all requests.
    #[error("the metadata service refuses to answer (status 403)")]
    Forbidden,
    /// The service is overloaded: by all programs on this machine together, or by a failure of its
    /// own.
    #[error("the metadata service was busy (status {status}), {tries} times")]
    Busy {
        /// Last status.
        status: u16,
        /// Number of attempts.
        tries: u32,
    },
    /// The status of the response is unknown to this client.
    #[error("the metadata service answered with the unexpected status {0}")]
    Unexpected(u16),
    /// The response is longer than any value, or is not text.
    #[error("the metadata service answered with what is no value")]
    NoValue,
}

impl Error {
    /// Returns advice for the user.
    pub fn hint(&self) -> Option<&'static str> {
        let hint = match self {
            Error::NoToken { .. } => {
                "the hop limit is probably 1 and this runs in a pod network: use the host's network, \
                 or set HttpPutResponseHopLimit to 2 or more"
            }
            Error::TokenRefused(403) => {
                "the endpoint may be disabled (HttpEndpoint), or a proxy stands in between: a request \
                 with X-Forwarded-For gets no token"
            }
            Error::TokenRefused(_) => "whatever answers there does not speak IMDSv2",
            Error::Forbidden => "the endpoint may be disabled (HttpEndpoint)",
            Error::Unreachable(_) => {
                "is this an EC2 instance, and may it reach the link-local address?"
            }
            _ => return None,
        };
        Some(hint)
    }

    /// Returns true if a retry may succeed.
    pub(super) fn passes(&self) -> bool {
        matches!(
            self,
            Error::Unreachable(_)
                | Error::NoToken { .. }
                | Error::NoAnswer { .. }
                | Error::Busy { .. }
        )
    }
}
