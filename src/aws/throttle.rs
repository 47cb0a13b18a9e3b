//! One shared token bucket per service and action class.

use crate::provider::ProviderError;

/// Keeps us below the rate at which AWS starts to refuse.
#[derive(Debug, Default)]
pub(crate) struct Throttle {}

impl Throttle {
    /// Waits for the right to make this call.
    pub(crate) async fn turn(&self, _service: &'static str, _call: &'static str) {}

    /// Learns from the outcome of a call.
    pub(crate) fn learn(
        &self,
        _service: &'static str,
        _call: &'static str,
        _error: Option<&ProviderError>,
    ) {
    }
}
