//! EC2 in memory, for tests and benchmarks of the controllers.

mod fake_ec2;

pub use fake_ec2::FakeEc2;
