//! Test doubles: a Kubernetes API server in memory. Compiled for tests and with the feature
//! `test-support`, never into a release build.

pub mod fake_api_server;
