//! AWS as a [`Provider`](groundplan_engine::provider::Provider): one file per kind.
//!
//! Imports point down this list only:
//!
//! 2. `provider`, [`schemas`](mod@schemas), [`registry`], [`sweep`], [`kinds`], [`facts`], `client`: XX
//! 3. [`model`]: XX
//!
//! # Features
//!
//! - `sdk`: the calls to AWS. Without it, the crate has inputs, schemas, facts and model, and no SDK.
//! - `whole-sdk`: compiles the published SDK crates instead of the listed operations.

#[cfg(feature = "sdk")]
mod client;
pub mod facts;
pub mod kinds;
pub mod lookups;
pub mod model;
pub mod preflight;
#[cfg(feature = "sdk")]
mod provider;
pub mod registry;
#[cfg(feature = "sdk")]
mod s3_state_store;
pub mod schemas;
#[cfg(feature = "sdk")]
pub mod sweep;

#[cfg(feature = "sdk")]
pub use client::interceptor::Calls;
#[cfg(feature = "sdk")]
pub use client::{Aws, Caller, Settings};
pub use model::Tags;
#[cfg(feature = "sdk")]
pub use s3_state_store::{Encryption, StateBucket, StateBucketSettings};
pub use schemas::schemas;
