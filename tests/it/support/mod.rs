//! Helpers that all tests share.

pub(crate) mod api_server;
pub(crate) mod cloud;
pub(crate) mod kinds;
pub(crate) mod tls_proxy;
