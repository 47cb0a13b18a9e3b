//! Tests of the controllers with an API server and an EC2 in memory, on a paused clock.

mod authority;
pub(super) mod bench;
mod fire;
mod histories;
mod life;
mod reports;
