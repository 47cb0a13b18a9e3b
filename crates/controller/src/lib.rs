//! Controllers of the Machine API: reconcile the machines of a cluster with their desired state.
//!
//! # Quick start
//!
//! The program runs the controllers: `groundplan machine-controller`. A driver gets EC2 as a
//! [`Provider`](groundplan_engine::provider::Provider) and as read-only
//! [`Ec2`](groundplan_aws::machine_calls::Ec2), so tests run the controllers with an API server and an EC2 in
//! memory:
//!
//! ```text
//! cargo test -p groundplan-controller
//! cargo bench -p groundplan-controller --features test-support     # a thousand Machines
//! ```
//!
//! # Modules
//!
//! Imports point down this list only:
//!
//! 1. [`manager`]: runs the controllers of machines, sets, capacities and Node links.
//! 2. [`machine`]: one Machine and its instance; [`machine_set`]: the number of Machines of a set;
//!    [`capacity`]: capacity of one more Machine of a set, for the autoscaler; [`node_link`]:
//!    assignment of Nodes to Machines, and the fields that a Node gets from its Machine.
//! 3. [`ec2_batcher`]: batched EC2 queries; [`drain`]: drain of Nodes; [`event_recorder`]: Events;
//!    [`lease`]: leader election; [`client_timeout`]: API server client with limits;
//!    [`api_server`]: requests to it.
//! 4. [`health`]: state of the controllers.
//! 5. [`reflector`]: watches that all controllers share, and the state of their copies; [`node`]:
//!    fields that are read of a Node; [`clock`]: time, by a clock that tests may pause.
//! 6. [`authority`]: authority over an object during a migration to the Cluster API.
//! 7. [`conditions`]: conditions in a status; [`in_flight`]: count of reconciles in flight;
//!    [`metrics`]: counters for Prometheus; [`report`]: log lines.
//!
//! # Features
//!
//! | feature | effect |
//! |---|---|
//! | `test-support` | EC2 in memory, for benchmarks and tests of other crates |
//!
//! # Invariants
//!
//! Each controller decides in plain functions, and has a driver that carries the decision out. A
//! decision has no clock and sends no request.

pub mod api_server;
pub mod authority;
pub mod capacity;
pub mod client_timeout;
pub mod clock;
pub mod conditions;
#[cfg(test)]
mod deployed;
pub mod drain;
pub mod ec2_batcher;
pub mod event_recorder;
pub mod health;
pub mod in_flight;
pub mod lease;
pub mod machine;
pub mod machine_set;
pub mod manager;
pub mod metrics;
pub mod node;
pub mod node_link;
pub mod reflector;
pub mod report;

#[cfg(any(test, feature = "test-support"))]
pub mod test_support;
#[cfg(test)]
mod tests;
