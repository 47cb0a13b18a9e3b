//! Helpers that all tests share.

pub(crate) mod cloud;
pub(crate) mod kinds;
