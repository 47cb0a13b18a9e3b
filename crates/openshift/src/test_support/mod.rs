//! Example clusters, for tests and benchmarks.

pub mod example_cluster;
