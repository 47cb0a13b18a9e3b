//! groundplan turns an OpenShift install-config into AWS infrastructure: plan, apply, destroy.
//!
//! # Map
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
//! 1. [`cli`]: the command line, one file per subcommand. Wires the modules below together.
//! 2. [`preflight`]: missing permissions and quotas, found before the first change.
//! 3. [`render`]: plans and events for people and programs. No other module prints.
//! 4. [`machine_api`]: Machine API manifests of an install-config; the machine controller.
//! 5. [`topology`]: compiles an install-config and lookup results to a graph.
//! 6. [`config`]: parses an install-config, or reports findings with their positions.
//! 7. [`aws`]: the kinds of resources; with the feature `sdk`, the calls to AWS.
//! 8. [`apply`](mod@apply): executes a plan. Never decides, never prints.
//! 9. [`observe`]: refresh, the live state of recorded resources; [`recover`]: rebuilds a lost
//!    state.
//! 10. [`plan`](mod@plan): decides. Makes no calls to a cloud and has no clock.
//! 11. [`termination`]: reports the end of its own instance to the cluster in advance.
//! 12. `kubernetes`: the objects of a cluster; requires the feature `kubernetes`.
//! 13. [`imds`]: reads the instance metadata service of its own instance, IMDSv2 only.
//! 14. [`event`], [`state`], [`provider`], [`graph`], [`secret`]: the types that all modules share.
//!
//! # Invariants
//!
//! - A mutating call is sent only after its intent is durable in the journal. Its result is durable
//!   before any dependent step starts.
//! - State, plan, journal, events and errors never contain a secret, only [`secret::Secret`]
//!   digests.
//! - An omitted `authentication` sends nothing and never shows a difference.
//!   [`aws::metadata_options`] is the only mapping of that field.
//!
//! Read [`graph`] first, then [`state`], [`plan`](mod@plan), [`apply`](mod@apply), one kind
//! ([`aws::subnet`]), and [`topology`].

pub mod apply;
pub mod aws;
#[cfg(feature = "sdk")]
pub mod cli;
pub mod config;
pub mod event;
pub mod graph;
pub mod imds;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
pub mod machine_api;
pub mod observe;
pub mod plan;
pub mod preflight;
pub mod provider;
pub mod recover;
pub mod render;
pub mod secret;
pub mod state;
pub mod termination;
pub mod testing;
pub mod topology;
