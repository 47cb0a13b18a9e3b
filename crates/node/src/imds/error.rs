//! Why there is no value, and what a person can do about it.

use std::time::Duration;

/// Why the metadata service gave no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody could be connected to.
    #[error("no connection to the metadata service: {0}")]
    Unreachable(String),
    /// The request for a token was not answered. The answer's packet may go no further than the hop
    /// limit, so that is what this looks like from a pod network.
    #[error(
        "the metadata service did not answer the request for a token within {within:?}, {tries} times"
    )]
    NoToken {
        /// How long each answer was waited for.
        within: Duration,
        /// How often it was asked.
        tries: u32,
    },
    /// A request with a token was not answered.
    #[error("the metadata service did not answer within {within:?}, {tries} times")]
    NoAnswer {
        /// How long each answer was waited for.
        within: Duration,
        /// How often it was asked.
        tries: u32,
    },
    /// It gives no tokens.
    #[error("the metadata service refuses to give a token (status {0})")]
    TokenRefused(u16),
    /// It does not take a token that it has just given.
    #[error("the metadata service does not take the token that it has just given")]
    TokenNotTaken,
    /// It answers nobody.
    #[error("the metadata service refuses to answer (status 403)")]
    Forbidden,
    /// It is asked too much, by all that run on this machine together, or it is not well.
    #[error("the metadata service was busy (status {status}), {tries} times")]
    Busy {
        /// What it answered last.
        status: u16,
        /// How often it was asked.
        tries: u32,
    },
    /// It answered what this client does not understand.
    #[error("the metadata service answered with the unexpected status {0}")]
    Unexpected(u16),
    /// It answered with more than any value has, or with what is no text.
    #[error("the metadata service answered with what is no value")]
    NoValue,
}

impl Error {
    /// What can be done about it.
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

    /// Whether it may well be otherwise in a moment.
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
