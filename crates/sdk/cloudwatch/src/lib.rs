//! The operations of [`aws-sdk-cloudwatch`](https://docs.rs/aws-sdk-cloudwatch) that groundplan calls.
//!
//! Same paths, types and behaviour as the published crate, without the operations that `operations.txt` does
//! not list. `docs/building.md` has the reason and the switch.

// Generated source, linted by its authors.
#![allow(warnings, clippy::all, clippy::pedantic, rustdoc::all)]

#[cfg(not(feature = "whole"))]
include!(concat!(env!("OUT_DIR"), "/sdk/lib.rs"));

#[cfg(feature = "whole")]
pub use aws_sdk_cloudwatch::*;
