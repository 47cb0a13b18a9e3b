//! Errors of the client, with hints for the user.

use std::time::Duration;

/// Reason for a missing value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No connection was possible. The text names each endpoint that was tried.
    #[error("no connection to the metadata service: {0}")]
    Unreachable(String),
    /// The request for a token got no response. The response travels no further than the hop limit,
    /// so this error is typical in a pod network.
    #[error(
        "no response from the metadata service to a token request within {within:?}, {tries} times"
    )]
    NoToken {
        /// Timeout of each attempt.
        within: Duration,
        /// Number of attempts.
        tries: u32,
    },
    /// A request with a token got no response.
    #[error("no response from the metadata service within {within:?}, {tries} times")]
    NoAnswer {
        /// Timeout of each attempt.
        within: Duration,
        /// Number of attempts.
        tries: u32,
    },
    /// The service rejects the request for a token.
    #[error("the metadata service rejects token requests (status {0})")]
    TokenRefused(u16),
    /// The service rejects a token that it has just returned.
    #[error("the metadata service rejects the token that it has just issued")]
    TokenNotTaken,
    /// The service rejects all requests.
    #[error("the metadata service rejects requests (status 403)")]
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
    #[error("unexpected status {0} from the metadata service")]
    Unexpected(u16),
    /// The response to a token request has no token, or characters that a header cannot have.
    #[error("the metadata service returned no token: the response is empty or not a token")]
    InvalidToken,
    /// The response is longer than any value, or is not text.
    #[error("the response of the metadata service is too long or not text")]
    NoValue,
}

impl Error {
    /// Returns advice for the user.
    pub fn hint(&self) -> Option<&'static str> {
        let hint = match self {
            Error::NoToken { .. } => {
                "use the host network, or set HttpPutResponseHopLimit to 2 or more: with a hop \
                 limit of 1, tokens do not reach a pod network"
            }
            Error::TokenRefused(403) => {
                "enable HttpEndpoint: aws ec2 modify-instance-metadata-options --http-endpoint \
                 enabled --instance-id ID; remove proxies in between, because token requests with \
                 X-Forwarded-For are rejected"
            }
            Error::TokenRefused(_) | Error::InvalidToken => {
                "check the endpoint: the server at this address does not \
                 implement IMDSv2"
            }
            Error::Forbidden => {
                "enable HttpEndpoint: aws ec2 modify-instance-metadata-options \
                 --http-endpoint enabled --instance-id ID"
            }
            Error::Unreachable(_) => {
                "check that this is an EC2 instance and that it can reach the link-local address"
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
