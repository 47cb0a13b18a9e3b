//! The engine of groundplan: plans and applies a graph of resources of any cloud.
//!
//! ```text
//!   Graph (desired) ────────────────────────┐
//!                                           ▼
//!   state (snapshot + journal) ─▶ refresh ─▶ plan() ─▶ Plan ─▶ apply() ─▶ state
//!                                  provider             Event ◀────┘ provider
//! ```
//!
//! Imports point down this list only:
//!
//! 1. [`recover`]: finds the resources of a lost state by creation token and name.
//! 2. [`apply`](mod@apply): executes a plan. Never decides, never prints.
//! 3. [`refresh`]: reads the live state of recorded resources.
//! 4. [`plan`](mod@plan): decides. Has no provider and no clock.
//! 5. [`event`], [`state`], [`provider`], [`graph`], [`secret`]: the types that all of them share.
//!
//! Never contains a cloud, Kubernetes, a command line or a renderer. A provider implements
//! [`provider::Provider`]; a journal and a reader of events implement [`apply::Observer`].
//!
//! # Invariants
//!
//! - A mutating call is announced in the journal, durably, before the provider gets it. The result
//!   is recorded as durably before a dependent starts.
//! - State, plan, journal, events and errors contain digests of secrets, never a [`secret::Secret`]'s
//!   content.

pub mod apply;
pub mod event;
pub mod graph;
pub mod plan;
pub mod provider;
pub mod recover;
pub mod refresh;
pub mod secret;
pub mod state;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
