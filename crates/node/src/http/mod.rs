//! The HTTP server for probes and Prometheus. Changes nothing.

pub mod metrics;
pub mod probes;
