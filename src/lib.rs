//! The program groundplan: turns an OpenShift install-config into AWS infrastructure (plan, apply,
//! destroy).
//!
//! # Quick start
//!
//! ```text
//! cargo run -- validate --config plans/one-zone/install-config.yaml     # offline
//! make demo                                          # two clusters in a test cloud on this machine
//! ```
//!
//! # Map
//!
//! ```text
//! install-config.yaml ─ install_config ─▶ InstallConfig ─ topology ─▶ Graph ┐
//!                                                                           ▼
//!           state (snapshot + journal) ─▶ refresh (provider) ─▶ plan() ─▶ Plan ─▶ apply() ─▶ state
//!                                                                └────▶ Event ◀────┘ ─▶ render
//! ```
//!
//! Data goes one way. This crate is the program; the other crates of the workspace are below it, and
//! cargo enforces the order:
//!
//! | crate | content |
//! |---|---|
//! | `groundplan` | [`cli`]: the command line; [`plan_policy`]; [`preflight`]; [`render`]; [`prices`]; [`installation`] |
//! | `groundplan-controller` | controllers of the Machine API |
//! | `groundplan-openshift` | install-config, topology, Machine API objects; pure |
//! | `groundplan-aws` | kinds of resources, lookups, calls to AWS |
//! | `groundplan-engine` | graph, state, plan, apply, refresh, recovery; no cloud |
//! | `groundplan-node` | IMDSv2 client and termination handler; a program of its own |
//!
//! Imports inside this crate point down this list only:
//!
//! 1. [`cli`]: the command line, one file per subcommand. Wires the crates together.
//! 2. [`preflight`]: missing permissions and quotas, found before the first change.
//! 3. [`plan_policy`]: rules of the user for every plan, in CEL. Pure but for reading files.
//! 4. [`render`]: plans and events for people and programs. No other module prints.
//! 5. [`prices`]: prices of the user for the items of a plan; [`installation`]: the installation of a
//!    cluster after its infrastructure exists.
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `kubernetes` (default) | the commands `machine-controller`, `termination-handler` and `wait-for` |
//! | `whole-sdk` | compiles the published SDK crates instead of the listed operations: 12 GB of memory |
//!
//! # Invariants
//!
//! - A mutating call is sent only after its intent is durable in the journal. Its result is durable
//!   before any dependent step starts.
//! - State, plan, journal, events and errors never contain a secret, only [`Secret`](groundplan_engine::secret::Secret)
//!   digests.
//! - An omitted `authentication` sends nothing and never shows a difference.
//!   [`groundplan_aws::model::metadata_options`] is the only mapping of that field.
//!
//! Read [`groundplan_engine::graph`] first, then [`groundplan_engine::state`],
//! [`plan`](groundplan_engine::plan) and [`apply`](groundplan_engine::apply), one kind
//! ([`groundplan_aws::kinds::subnet`]), and [`groundplan_openshift::topology`]. `docs/dev/architecture.md` has all rules.

pub mod cli;
pub mod installation;
pub mod plan_policy;
pub mod preflight;
pub mod prices;
pub mod render;
