//! The controllers against an API server and an EC2 in memory, by a paused clock.

pub(super) mod bench;
mod fire;
mod life;
