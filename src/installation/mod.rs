//! The installation of a cluster, after its infrastructure exists: addresses, stages, and what is late.
//!
//! - [`outputs`]: values of a cluster that scripts use, from its state.
//! - [`wait`]: the loop that reads a cluster until a goal is reached; `reader`: its reads through the API
//!   server (feature `kubernetes`).
//! - [`stages`]: decisions of the wait, pure; [`observation`]: what it sees.
//! - [`redact`]: console output without secrets.
//!
//! Never prints, and changes nothing: [`render`](crate::render) has the texts.

pub mod observation;
pub mod outputs;
#[cfg(feature = "kubernetes")]
pub mod reader;
pub mod redact;
pub mod stages;
pub mod wait;
