//! groundplan turns an OpenShift install-config into AWS infrastructure: plan, apply, destroy.
//!
//! # Map
//!
//! ```text
//! install-config.yaml ─ config ─▶ InstallConfig ─ topology ─▶ Graph ┐
//!                                                                   ▼
//!   state (snapshot + journal) ─▶ refresh (provider) ─▶ plan() ─▶ Plan ─▶ apply() ─▶ state
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
//! 8. [`groundplan_node`]: IMDSv2 client and termination handler; a crate and a program of its own.
//! 9. [`groundplan_engine`]: graph, state, plan, apply, refresh and recovery, without a cloud. Its
//!    modules have their names here, too: [`apply`](mod@apply), [`observe`], [`plan`](mod@plan),
//!    [`recover`], [`event`], [`state`], [`provider`], [`graph`], [`secret`].
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

pub mod cli;
pub mod preflight;
pub mod render;
