//! Asks the instance metadata service, and speaks version 2 of it alone.
//!
//! ```text
//! PUT /latest/api/token ─▶ a token, kept until shortly before it expires
//! GET /latest/meta-data/… with the token ─▶ a value, or nothing is there (404)
//! ```
//!
//! There is no request without a token, whatever goes wrong (Amazon EC2 User Guide, "Use the Instance
//! Metadata Service to access instance metadata"). Nothing goes through a proxy, no redirect is
//! followed, every wait has an end. What an answer means is for who asks.
//!
//! - [`Client`]: the conversation; [`Endpoint`]: with whom; [`Error`]: why there is no value.

mod client;
mod dial;
mod endpoint;
mod error;
#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;
mod token;

pub use self::client::{Client, Settings};
pub use self::endpoint::{Endpoint, Mode, NoEndpoint};
pub use self::error::Error;
pub use self::token::{LONGEST_TTL, NoTtl, Ttl};
