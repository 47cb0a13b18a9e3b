//! AWS as a [`Provider`](groundplan_engine::provider::Provider): one file per kind.
//!
//! Imports point down this list only:
//!
//! 1. `provider`: the engine's provider, by the registry; [`adopt`]: state entries for untracked
//!    resources; [`preflight`]: permissions, dry runs and quotas, before the first change.
//! 2. [`registry`]: every kind, once.
//! 3. [`kinds`]: one file or folder for each kind.
//! 4. `sweep`: finds resources of a cluster that are in no state.
//! 5. [`lookups`]: read-only lookups, and the index of tags.
//! 6. `s3_state_store`: S3 as the engine's object store.
//! 7. `client`: the clients of one run, the one path of every call, and what kinds share.
//! 8. [`facts`]: the facts that every kind must declare.
//! 9. [`model`]: AWS's vocabulary as plain data.
//!
//! # Features
//!
//! - `sdk`: the calls to AWS. Without it, the crate has inputs, schemas, facts and model, and no SDK.
//! - `whole-sdk`: compiles the published SDK crates instead of the listed operations.

pub mod adopt;
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
#[cfg(feature = "sdk")]
pub mod sweep;

#[cfg(feature = "sdk")]
pub use client::interceptor::CallCounts;
#[cfg(feature = "sdk")]
pub use client::{Aws, AwsSettings, Caller};
pub use model::Tags;
pub use registry::schemas;
#[cfg(feature = "sdk")]
pub use s3_state_store::{Encryption, S3StateStore, S3StateStoreSettings};
