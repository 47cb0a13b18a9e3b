//! Health of the controllers, for probes and for Prometheus.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use super::metrics::Metrics;
use groundplan_node::http::probes::HealthSource;

/// Health of the process. A process that waits to lead is healthy, because it would take over from
/// the leader.
#[derive(Debug, Default)]
pub struct ControllerHealth {
    /// Metrics of the process.
    pub metrics: Metrics,
    /// True if the API server responded to the last request for the Lease.
    answered: AtomicBool,
}

impl ControllerHealth {
    /// Records whether the API server responded to a request for the Lease.
    pub fn record_response(&self, answered: bool) {
        self.answered.store(answered, Relaxed);
    }
}

impl HealthSource for ControllerHealth {
    fn not_ready_reason(&self) -> Option<&'static str> {
        (!self.answered.load(Relaxed)).then_some("the API server does not respond")
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_ready_while_the_api_server_answers_whether_or_not_it_leads() {
        let health = ControllerHealth::default();
        assert_eq!(health.not_ready_reason(), Some("the API server does not respond"));
        health.record_response(true);
        assert_eq!(health.not_ready_reason(), None);
        assert!(
            HealthSource::metrics(&health).contains("groundplan_machine_controller_leader 0\n")
        );
        health.record_response(false);
        assert!(health.not_ready_reason().is_some());
    }
}
