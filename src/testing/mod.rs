//! Test doubles and examples: clouds, a bucket and an API server in memory, and example clusters.
//! For tests, benchmarks, and programs that use the engine.

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
