//! Worlds to try the engine in: a cloud in a map, an API server in memory, and example clusters. Used by our tests and
//! benchmarks, and by anyone who builds on the engine.

pub mod bucket;
#[cfg(feature = "kubernetes")]
pub mod cluster;
pub mod fake_cloud;
pub mod fake_ec2;
pub mod lab;
pub mod world;

pub use bucket::FakeBucket;
pub use fake_cloud::{FakeCloud, Fault, Tape, When};
pub use fake_ec2::FakeEc2;
