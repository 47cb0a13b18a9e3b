//! Test doubles: EC2 in a map and example clusters. The other doubles are in
//! `groundplan_engine::test_support` and `groundplan_node::test_support`.

#[cfg(any(test, feature = "test-support"))]
pub mod fake_ec2;
pub mod world;

#[cfg(any(test, feature = "test-support"))]
pub use fake_ec2::FakeEc2;
