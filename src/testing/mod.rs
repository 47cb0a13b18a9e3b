//! Test doubles and examples: clouds, a bucket and an API server in memory, and example clusters.
//! For tests, benchmarks, and programs that use the engine.

#[cfg(any(test, feature = "test-support"))]
pub mod fake_ec2;
pub mod world;

#[cfg(any(test, feature = "test-support"))]
pub use fake_ec2::FakeEc2;
