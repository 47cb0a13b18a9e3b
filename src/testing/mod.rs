//! Test doubles: EC2 in a map, an API server in memory, and example clusters. Those of the engine are
//! in `groundplan_engine::test_support`.

#[cfg(feature = "kubernetes")]
pub mod cluster;
#[cfg(any(test, feature = "test-support"))]
pub mod fake_ec2;
pub mod world;

#[cfg(any(test, feature = "test-support"))]
pub use fake_ec2::FakeEc2;
