//! Client of the instance metadata service (IMDS), version 2 only.
//!
//! ```text
//! PUT /latest/api/token ─▶ a token, kept until shortly before it expires
//! GET /latest/meta-data/… with the token ─▶ a value, or nothing is there (404)
//! ```
//!
//! No request for a value is ever sent without a token (Amazon EC2 User Guide, "Use the Instance
//! Metadata Service to access instance metadata"). The client uses no proxy and follows no
//! redirect, and every wait has a timeout. The caller interprets the values.
//!
//! - [`Client`]: requests. [`Endpoint`]: address of the service. [`Error`]: reason for a missing
//!   value.

mod client;
mod dial;
mod endpoint;
mod error;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
mod token;

pub use self::client::{Client, ImdsSettings};
pub use self::endpoint::{Endpoint, InvalidEndpoint, IpVersion};
pub use self::error::Error;
pub use self::token::{InvalidTtl, LONGEST_TTL, Ttl};
