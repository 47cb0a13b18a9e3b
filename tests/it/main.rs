//! The only integration test binary. Each binary links the AWS SDK, so there is one for all tests.

mod support;

mod cases;
mod cli;
mod cloud;
mod kinds_compute;
mod kinds_network;
mod kinds_services;
mod state_in_s3;
