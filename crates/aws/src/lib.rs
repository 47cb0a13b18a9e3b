//! AWS as a [`Provider`](groundplan_engine::provider::Provider): one file per kind.
//!
//! # Quick start
//!
//! Everything about a kind is data, and needs neither the SDK nor an account:
//!
//! ```
//! use groundplan_aws::kinds::subnet::Subnet;
//! use groundplan_aws::model::metadata_options::{Authentication, metadata_options};
//! use groundplan_aws::{registry, schemas};
//! use groundplan_engine::provider::Schemas as _;
//!
//! let schema = schemas().schema("subnet").expect("a kind");
//! assert_eq!(schema.force_new, ["vpc", "cidr", "zone"]);
//! let facts = registry::facts("subnet").expect("a kind");
//! assert_eq!(facts.actions.delete, ["ec2:DeleteSubnet"]);
//!
//! let json = r#"{"vpc": "vpc-1", "cidr": "10.0.0.0/20", "zone": "us-west-2a", "tags": {}}"#;
//! let subnet: Subnet = serde_json::from_str(json)?;
//! assert_eq!(subnet.vpc.get().as_str(), "vpc-1");
//!
//! let options = metadata_options(Some(Authentication::Required));
//! assert_eq!(serde_json::to_value(&options)?["http_tokens"], "required");
//! # Ok::<(), serde_json::Error>(())
//! ```
//!
//! With the feature `sdk`, `Aws::connect` returns the provider. A new kind: `docs/dev/adding-a-kind.md`.
//!
//! # Modules
//!
//! Imports point down this list only:
//!
//! 1. `provider`: the engine's provider, by the registry; [`machine_calls`]: typed calls of the machine
//!    controller; [`adopt`]: state entries for untracked resources; [`preflight`]: permissions, dry runs and quotas, before the first change;
//!    [`imds_audit`]: metadata options of running machines of any cluster;
//!    `before_deletion`: protections and attachments of resources that a plan deletes; `installation`:
//!    reads that explain why a new cluster is late.
//! 2. [`registry`]: every kind, once.
//! 3. [`kinds`]: one file or folder for each kind.
//! 4. `sweep`: finds resources of a cluster that are in no state.
//! 5. [`lookups`]: read-only lookups, and the index of tags.
//! 6. `s3_state_store`: S3 as the engine's object store.
//! 7. `client`: the clients of one run, the one path of every call, and what kinds share.
//! 8. [`facts`]: the facts that every kind must declare.
//! 9. `summary`: texts of inputs that the summaries of kinds share.
//! 10. [`model`]: AWS's vocabulary as plain data.
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `sdk` | the calls to AWS. Without it, the crate has inputs, schemas, facts and model, and no SDK |
//! | `whole-sdk` | `sdk`, with the published SDK crates instead of the listed operations: 12 GB of memory |
//! | `test-support` | `registry::normalised`, for tests of other crates |

pub mod adopt;
#[cfg(feature = "sdk")]
pub mod before_deletion;
#[cfg(feature = "sdk")]
mod client;
pub mod facts;
pub mod imds_audit;
#[cfg(feature = "sdk")]
pub mod installation;
pub mod kinds;
pub mod lookups;
pub mod machine_calls;
pub mod model;
pub mod preflight;
#[cfg(feature = "sdk")]
mod provider;
pub mod registry;
#[cfg(feature = "sdk")]
mod s3_state_store;
mod summary;
#[cfg(feature = "sdk")]
pub mod sweep;

#[cfg(feature = "sdk")]
pub use client::account::{ReportAccount, WrongAccount};
#[cfg(feature = "sdk")]
pub use client::errors::CAPACITY_WITHIN;
#[cfg(feature = "sdk")]
pub use client::hints::{FaultSituation, fails_every_call};
#[cfg(feature = "sdk")]
pub use client::interceptor::CallCounts;
#[cfg(feature = "sdk")]
pub use client::{Aws, AwsSettings, Caller, HostedZoneRole};
pub use model::Tags;
pub use registry::schemas;
#[cfg(feature = "sdk")]
pub use s3_state_store::{
    BucketProblem, Encryption, S3StateStore, S3StateStoreSettings, configured_region,
};
