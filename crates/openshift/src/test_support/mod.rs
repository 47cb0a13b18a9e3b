//! Example clusters and assets, for tests and benchmarks.

pub mod example_cluster;
pub mod installer_assets;
