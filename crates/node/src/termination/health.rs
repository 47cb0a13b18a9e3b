//! Health of the handler, for probes and Prometheus.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};

use crate::http::metrics::MetricsPage;
use crate::http::probes::HealthSource;
use crate::own_node::NodeChange;

/// Counters of the handler. The loop writes them; other tasks read them.
#[derive(Debug, Default)]
pub struct HandlerHealth {
    rounds: AtomicU64,
    imds_errors: AtomicU64,
    strange: AtomicU64,
    notices: AtomicU64,
    node_writes: AtomicU64,
    node_errors: AtomicU64,
    cleared: AtomicU64,
    marked: AtomicBool,
    /// Result of the last round: 0 before the first, [`NO`] or [`YES`].
    answers: AtomicU8,
}

const NO: u8 = 1;
const YES: u8 = 2;

impl HandlerHealth {
    pub(super) fn record_response(&self, answered: bool) {
        self.rounds.fetch_add(1, Relaxed);
        self.imds_errors.fetch_add(u64::from(!answered), Relaxed);
        self.answers.store(if answered { YES } else { NO }, Relaxed);
    }

    pub(super) fn strange(&self) {
        self.strange.fetch_add(1, Relaxed);
    }

    pub(super) fn announced(&self) {
        self.notices.fetch_add(1, Relaxed);
    }

    pub(super) fn did(&self, change: NodeChange) {
        self.node_writes.fetch_add(u64::from(change == NodeChange::Made), Relaxed);
    }

    pub(super) fn failed(&self) {
        self.node_errors.fetch_add(1, Relaxed);
    }

    pub(super) fn set_marked(&self, marked: bool) {
        self.marked.store(marked, Relaxed);
    }

    pub(super) fn cleared(&self) {
        self.cleared.fetch_add(1, Relaxed);
    }

    /// Returns true if the metadata service responded in the last round; `None` before the first.
    pub fn answers(&self) -> Option<bool> {
        match self.answers.load(Relaxed) {
            NO => Some(false),
            YES => Some(true),
            _ => None,
        }
    }

    /// Returns true if the handler would receive a notice.
    pub fn is_ready(&self) -> bool {
        self.answers() == Some(true)
    }
}

impl HealthSource for HandlerHealth {
    fn not_ready_reason(&self) -> Option<&'static str> {
        (!self.is_ready()).then_some("the metadata service does not respond")
    }

    fn metrics(&self) -> String {
        let counters = [
            ("rounds", "Polls of the metadata service.", &self.rounds),
            ("imds_errors", "Polls without a response.", &self.imds_errors),
            ("strange_answers", "Documents with unexpected content.", &self.strange),
            ("notices", "Notices that were received.", &self.notices),
            ("writes", "Changes of the Node, and Events, that were written.", &self.node_writes),
            ("cleared", "Marks of the Node that were cleared.", &self.cleared),
            ("api_errors", "Requests that the API server did not complete.", &self.node_errors),
        ];
        let mut page = MetricsPage::default();
        for (name, help, value) in counters {
            let name = format!("groundplan_termination_{name}_total");
            page.single(&name, "counter", help, value.load(Relaxed));
        }
        let (ready, marked) = (self.is_ready(), self.marked.load(Relaxed));
        let gauges = [
            (
                "groundplan_termination_ready",
                "1 if the last poll had a response, otherwise 0.",
                ready,
            ),
            (
                "groundplan_termination_marked",
                "1 while a notice that ends the machine is in effect, otherwise 0.",
                marked,
            ),
        ];
        for (name, help, value) in gauges {
            page.single(name, "gauge", help, value.into());
        }
        page.text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handler_is_ready_while_it_is_answered() {
        let health = HandlerHealth::default();
        assert_eq!(health.not_ready_reason(), Some("the metadata service does not respond"));
        health.record_response(true);
        assert_eq!(health.not_ready_reason(), None);
        health.record_response(false);
        assert!(health.not_ready_reason().is_some());
    }

    #[test]
    fn every_metric_has_its_help_its_type_and_its_value() {
        let health = HandlerHealth::default();
        health.record_response(false);
        health.set_marked(true);
        health.cleared();
        let text = health.metrics();
        for line in [
            "groundplan_termination_rounds_total 1",
            "groundplan_termination_imds_errors_total 1",
            "# TYPE groundplan_termination_imds_errors_total counter",
            "groundplan_termination_ready 0",
            "groundplan_termination_marked 1",
            "groundplan_termination_cleared_total 1",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
        assert_eq!(text.lines().count() % 3, 0);
        health.set_marked(false);
        assert!(health.metrics().contains("groundplan_termination_marked 0\n"));
    }

    #[test]
    fn every_metric_is_documented() {
        let page = include_str!("../../../../docs/termination.md");
        for line in HandlerHealth::default().metrics().lines().filter(|line| !line.starts_with('#'))
        {
            let (name, _) = line.split_once(' ').unwrap();
            assert!(page.contains(&format!("`{name}`")), "docs/termination.md has no `{name}`");
        }
    }
}
