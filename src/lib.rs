//! groundplan: from an OpenShift install-config to AWS infrastructure, planned, applied, destroyed.
//!
//! # The map
//!
//! ```text
//! install-config.yaml ─ config ─▶ InstallConfig ─ topology ─▶ Graph ┐
//!                                                                   ▼
//!   state (snapshot + journal) ─▶ observe (provider) ─▶ plan() ─▶ Plan ─▶ apply() ─▶ state
//!                                                        └────▶ Event ◀────┘ ─▶ render
//! ```
//!
//! Data goes one way, and imports point down this list only:
//!
//! 1. [`cli`]: one file per subcommand; wires the rooms below together. The binary.
//! 2. [`preflight`]: what would stop a walk half way, found before it begins.
//! 3. [`render`]: plans and events for people and programs. Nobody else prints.
//! 4. [`machine_api`]: an install-config becomes manifests; machines as their cluster has them.
//! 5. [`topology`]: an install-config and what the cloud answered become a graph.
//! 6. [`config`]: text becomes an install-config, or findings with places.
//! 7. [`aws`]: the kinds of resources; behind the `sdk` feature, the calls.
//! 8. `groundplan_node`: the termination handler, the IMDSv2 client and the client of an API server,
//!    behind the feature `kubernetes`.
//! 9. [`groundplan_engine`]: graph, state, plan, apply, refresh and recovery, without a cloud. Its
//!    modules have their names here too: [`apply`](mod@apply), [`observe`], [`plan`](mod@plan),
//!    [`recover`], [`event`], [`state`], [`provider`], [`graph`], [`secret`].
//!
//! # What must stay true
//!
//! - A mutating call is announced in the journal, durably, before it leaves; what it made is
//!   recorded as durably before anything that depends on it starts.
//! - No secret is ever in state, plan, journal, event or error: only [`secret::Secret`] digests.
//! - An omitted `authentication` sends nothing and never shows a difference;
//!   [`aws::metadata_options`] is the one place that maps it.
//!
//! Read [`graph`] first, then [`state`], [`plan`](mod@plan), [`apply`](mod@apply), one kind
//! ([`aws::subnet`]), and [`topology`].

pub use groundplan_engine::refresh as observe;
pub use groundplan_engine::{apply, event, graph, out, plan, provider, recover, secret, state};

pub mod aws;
#[cfg(feature = "sdk")]
pub mod cli;
pub mod config;
pub mod machine_api;
pub mod preflight;
pub mod render;
pub mod testing;
pub mod topology;
