//! The part of groundplan that runs on a machine of a cluster.
//!
//! ```text
//! instance metadata service ─ imds ─▶ termination ─ own_node ─▶ the Node, an Event
//!                                          └────── http ──────▶ probes, Prometheus
//! ```
//!
//! Imports point down this list only:
//!
//! 1. [`command`]: the termination handler as a command. `groundplan-node` and `groundplan
//!    termination-handler` share it.
//! 2. [`termination`]: marks the Node of a machine before AWS takes the machine away.
//! 3. [`own_node`]: reads and writes one Node.
//! 4. [`kube_client`]: a client of the API server; [`http`]: probes and metrics; [`imds`]: a client of
//!    the instance metadata service, version 2 only.
//!
//! Never contains the AWS SDK, the engine or OpenShift's documents.

use std::pin::Pin;

pub mod command;
pub mod http;
pub mod imds;
pub mod kube_client;
pub mod own_node;
pub mod termination;
#[cfg(any(test, feature = "test-support"))]
pub mod test_support;

/// A future on the heap, so that functions with different futures fit in one field.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
