//! Health of the controllers, for probes and for Prometheus.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use super::metrics::Metrics;
use crate::in_flight::ReconcilesInFlight;
use crate::reflector::{View, ViewState};
use groundplan_node::http::probes::HealthSource;

/// Health of the process. A process that waits to lead is healthy, because it would take over from
/// the leader.
#[derive(Debug, Default)]
pub struct ControllerHealth {
    /// Metrics of the process.
    pub metrics: Metrics,
    /// Reconciles of all controllers.
    pub reconciles: ReconcilesInFlight,
    /// True if the API server responded to the last request for the Lease.
    answered: AtomicBool,
    /// Reason why a Lease cannot be held: a missing permission.
    forbidden: Mutex<Option<&'static str>>,
    /// Reason why this process waits: another provider is active.
    other_provider: Mutex<Option<&'static str>>,
    /// True while the AWS credentials belong to another account than at the start.
    wrong_account: AtomicBool,
    /// Local copies that the running controllers read.
    views: Mutex<Vec<View>>,
}

impl ControllerHealth {
    /// Records whether the API server responded to a request for the Lease.
    pub fn record_response(&self, answered: bool) {
        self.answered.store(answered, Relaxed);
    }

    /// Sets the reason why RBAC prevents this process from leading.
    pub fn forbidden(&self, reason: Option<&'static str>) {
        *self.forbidden.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Sets the reason why another provider prevents this process from leading.
    pub fn other_provider(&self, reason: Option<&'static str>) {
        *self.other_provider.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }

    /// Records whether the AWS credentials belong to another account than at the start. Returns the
    /// value before.
    pub fn wrong_account(&self, is_wrong: bool) -> bool {
        self.wrong_account.swap(is_wrong, Relaxed)
    }

    /// Sets the local copies that the running controllers read.
    pub fn watches(&self, views: Vec<View>) {
        *self.views.lock().unwrap_or_else(PoisonError::into_inner) = views;
    }
}

impl HealthSource for ControllerHealth {
    fn not_ready_reason(&self) -> Option<&'static str> {
        if !self.answered.load(Relaxed) {
            return Some("the API server does not respond");
        }
        for prevented in [&self.forbidden, &self.other_provider] {
            let reason = *prevented.lock().unwrap_or_else(PoisonError::into_inner);
            if reason.is_some() {
                return reason;
            }
        }
        if self.wrong_account.load(Relaxed) {
            return Some("the AWS credentials belong to another account than at the start");
        }
        let views = self.views.lock().unwrap_or_else(PoisonError::into_inner);
        let late = views.iter().find(|view| view.state() != ViewState::Current)?;
        Some(match (late.state(), late.plural()) {
            (ViewState::Unlisted, "machines") => "the list of machines has not succeeded",
            (ViewState::Unlisted, "machinesets") => "the list of machinesets has not succeeded",
            (ViewState::Unlisted, _) => "the list of nodes has not succeeded",
            (_, "machines") => "no watch of machines is open",
            (_, "machinesets") => "no watch of machinesets is open",
            _ => "no watch of nodes is open",
        })
    }

    fn metrics(&self) -> String {
        self.metrics.text()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use groundplan_node::test_support::fake_api_server::FakeApiServer;
    use groundplan_openshift::machine_api::types::{Machine, NAMESPACE};
    use kube::Api;
    use tokio::time::sleep;

    use super::*;
    use crate::reflector::Reflector;

    #[test]
    fn it_is_ready_while_the_api_server_answers_whether_or_not_it_leads() {
        let health = ControllerHealth::default();
        assert_eq!(health.not_ready_reason(), Some("the API server does not respond"));
        health.record_response(true);
        assert_eq!(health.not_ready_reason(), None);
        assert!(
            HealthSource::metrics(&health).contains("groundplan_machine_controller_leader 0\n")
        );
        assert!(!health.wrong_account(true));
        let reason = health.not_ready_reason().unwrap();
        assert!(reason.contains("another account"), "{reason}");
        assert!(health.wrong_account(false));
        assert_eq!(health.not_ready_reason(), None);
        health.record_response(false);
        assert!(health.not_ready_reason().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_ready_while_every_list_has_succeeded_and_every_watch_is_open() {
        let (health, cluster) = (ControllerHealth::default(), FakeApiServer::default());
        health.record_response(true);
        cluster.put(serde_json::json!({
            "apiVersion": "machine.openshift.io/v1beta1", "kind": "Machine",
            "metadata": {"name": "m", "namespace": NAMESPACE},
        }));
        let machines = Reflector::<Machine>::new(Api::namespaced(cluster.client(), NAMESPACE));
        health.watches(vec![machines.view()]);
        cluster.inject_faults(&[403, 403, 403]);
        let running = tokio::spawn(machines.run(|_| ()));
        let reason_after = async |seconds: u64| {
            sleep(Duration::from_secs(seconds)).await;
            health.not_ready_reason()
        };
        assert_eq!(reason_after(2).await, Some("the list of machines has not succeeded"));
        assert_eq!(reason_after(30).await, None);
        sleep(Duration::from_secs(600)).await;
        assert_eq!(reason_after(600).await, None, "a quiet watch is not a dead one");
        cluster.delay("WATCH", "machines", Duration::from_secs(3600));
        cluster.cut_watches();
        assert_eq!(reason_after(1).await, Some("no watch of machines is open"));
        cluster.calm();
        assert_eq!(reason_after(60).await, None);
        running.abort();
        health.watches(Vec::new());
        assert_eq!(health.not_ready_reason(), None, "a process that waits to lead");
    }
}
