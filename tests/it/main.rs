//! The one integration test binary: each links the AWS SDK, so there is one.

mod support;

mod cases;
mod cli;
mod cloud;
mod kinds_compute;
mod kinds_network;
mod kinds_services;
mod state_in_s3;
