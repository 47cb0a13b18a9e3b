//! The engine of groundplan: plans and applies a graph of resources of any cloud, and records in a
//! durable state what exists.
//!
//! ```text
//!   Graph (desired) ────────────────────────┐
//!                                           ▼
//!   state (snapshot + journal) ─▶ refresh ─▶ plan() ─▶ Plan ─▶ apply() ─▶ state
//!                                  provider             Event ◀────┘ provider
//! ```
//!
//! # Quick start
//!
//! A *kind* is a serde struct with a schema. A graph has resources of kinds, and references between
//! them are dependencies. [`plan`](mod@plan) compares the graph with the state and the live state:
//!
//! ```
//! use groundplan_engine::graph::{Graph, Identity, Input, Resource, Schema};
//! use groundplan_engine::out;
//! use groundplan_engine::plan::{LiveState, PlanOptions, plan};
//! use groundplan_engine::provider::Schemas;
//! use groundplan_engine::state::State;
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! struct File {
//!     path: String,
//!     content: Input<String>,
//! }
//!
//! #[derive(Clone, Serialize, Deserialize)]
//! struct FileOutputs {
//!     path: String,
//! }
//!
//! impl Resource for File {
//!     const SCHEMA: Schema =
//!         Schema { force_new: &["path"], ..Schema::of("file", Identity::Name) };
//!     type Outputs = FileOutputs;
//! }
//!
//! struct Kinds;
//!
//! impl Schemas for Kinds {
//!     fn schema(&self, kind: &str) -> Option<&'static Schema> {
//!         const FILE: &Schema = &File::SCHEMA;
//!         (kind == FILE.kind).then_some(FILE)
//!     }
//! }
//!
//! let mut graph = Graph::default();
//! let content = Input::from("hello".to_owned());
//! let greeting = graph.add("greeting", &File { path: "greeting.txt".into(), content });
//! graph.add("index", &File { path: "index.txt".into(), content: out!(greeting.path) });
//!
//! let (state, live) = (State::new("lineage".into()), LiveState::new());
//! let plan = plan(&graph, &state, &live, &Kinds, &PlanOptions::default());
//! assert_eq!(plan.counts().add, 2);
//! assert_eq!(plan.steps[1].after.len(), 1, "the index waits for the greeting");
//! ```
//!
//! A [`Provider`](provider::Provider) makes the calls of a cloud, and [`apply`](mod@apply) executes the
//! plan with it. `examples/files.rs` has both, with a state in a folder: `cargo run -p groundplan-engine
//! --example files`.
//!
//! # Modules
//!
//! Imports point down this list only:
//!
//! 1. [`recover`]: finds the resources of a lost state by creation token and name.
//! 2. [`apply`](mod@apply): executes a plan. Never decides, never prints.
//! 3. [`refresh`]: reads the live state of recorded resources.
//! 4. [`plan`](mod@plan): decides. Has no provider and no clock.
//! 5. [`event`], [`state`], [`provider`], [`drift`], [`graph`], [`secret`]: the types that all of them share.
//!
//! Never contains a cloud, Kubernetes, a command line or a renderer. A provider implements
//! [`provider::Provider`]; a journal and a reader of events implement [`apply::Observer`].
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `test-support` | test doubles for other crates: a provider and an object store in memory, and a harness around them |
//!
//! # Invariants
//!
//! - A mutating call is announced in the journal, durably, before the provider gets it. The result
//!   is recorded as durably before a dependent starts.
//! - State, plan, journal, events and errors contain digests of secrets, never a [`secret::Secret`]'s
//!   content.

pub mod apply;
pub mod drift;
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
