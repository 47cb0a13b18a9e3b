//! Metrics of the controllers, for Prometheus.
//!
//! Names with the prefix `mapi_` are those of upstream, with the same labels and buckets, so that
//! existing dashboards and alerts work (openshift/machine-api-operator, `pkg/metrics`). The
//! upstream metrics are counters, although their names do not end in `_total`. Our own names begin
//! with `groundplan_machine_controller_`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use groundplan_node::http::metrics::MetricsPage;

/// Upper bounds of the upstream buckets, in seconds.
const BUCKETS: [u64; 13] = [5, 10, 20, 30, 60, 90, 120, 180, 240, 300, 360, 480, 600];

/// Failed operation on an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum InstanceOperation {
    /// Creation.
    Create,
    /// Update, or query of the state.
    Update,
    /// Termination.
    Delete,
}

impl InstanceOperation {
    const ALL: [(Self, &'static str, &'static str); 3] = [
        (
            Self::Create,
            "mapi_instance_create_failed",
            "Number of times provider instance create has failed.",
        ),
        (
            Self::Update,
            "mapi_instance_update_failed",
            "Number of times provider instance update has failed.",
        ),
        (
            Self::Delete,
            "mapi_instance_delete_failed",
            "Number of times provider instance delete has failed.",
        ),
    ];
}

/// Number of AWS calls by service and name, from the AWS client.
pub type CallCounts = BTreeMap<(&'static str, String), u64>;

/// Counters of the process, shared by all controllers.
#[derive(Default)]
pub struct Metrics {
    counts: Mutex<MetricCounts>,
    calls: OnceLock<Box<dyn Fn() -> CallCounts + Send + Sync>>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").field("counts", &self.counts).finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct MetricCounts {
    failures: BTreeMap<FailureKey, u64>,
    phases: BTreeMap<String, Histogram>,
    reconciles: BTreeMap<(&'static str, &'static str), u64>,
    leads: bool,
    /// Leases of other providers that prevent this process from acting.
    blocking: Vec<&'static str>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct FailureKey {
    attempt: InstanceOperation,
    namespace: String,
    name: String,
    reason: String,
}

#[derive(Clone, Copy, Debug, Default)]
struct Histogram {
    /// Number of values in each bucket and in all smaller ones.
    buckets: [u64; BUCKETS.len()],
    count: u64,
    seconds: f64,
}

impl Metrics {
    /// Counts a failed operation on the instance of a machine.
    pub fn failed(&self, attempt: InstanceOperation, namespace: &str, name: &str, reason: &str) {
        let [namespace, name, reason] = [namespace, name, reason].map(str::to_owned);
        let failure = FailureKey { attempt, namespace, name, reason };
        *self.counts().failures.entry(failure).or_default() += 1;
    }

    /// Removes the counters of a deleted machine. Without the removal their number would grow
    /// without limit.
    pub fn forget(&self, namespace: &str, name: &str) {
        let is_other = |one: &FailureKey| one.namespace != namespace || one.name != name;
        self.counts().failures.retain(|failure, _| is_other(failure));
    }

    /// Counts the entry of a machine into a phase. `after` is the time since its creation.
    pub fn entered(&self, phase: &str, after: Duration) {
        self.counts().phases.entry(phase.to_owned()).or_default().refresh(after.as_secs_f64());
    }

    /// Sets the source of the AWS call counts. Later calls have no effect.
    pub fn count_calls_by(&self, calls: impl Fn() -> CallCounts + Send + Sync + 'static) {
        let _ = self.calls.set(Box::new(calls));
    }

    /// Counts a reconcile of an object.
    pub fn reconciled(&self, controller: &'static str, went_well: bool) {
        let result = if went_well { "ok" } else { "error" };
        *self.counts().reconciles.entry((controller, result)).or_default() += 1;
    }

    /// Records whether this process leads.
    pub fn leads(&self, leads: bool) {
        self.counts().leads = leads;
    }

    /// Sets the Leases of other providers that prevent this process from acting.
    pub fn blocked_by(&self, leases: Vec<&'static str>) {
        self.counts().blocking = leases;
    }

    /// Returns all metrics in the text format of Prometheus.
    pub fn text(&self) -> String {
        let counts = self.counts();
        let mut page = MetricsPage::default();
        counts.write_failures(&mut page);
        counts.write_phases(&mut page);
        counts.write_ours(&mut page);
        self.write_calls(&mut page);
        page.text()
    }

    fn write_calls(&self, page: &mut MetricsPage) {
        let calls = self.calls.get().map(|calls| calls()).unwrap_or_default();
        let name = "groundplan_machine_controller_aws_calls_total";
        let mut family = page.family(name, "counter", "Calls to AWS, including retries.");
        for ((service, call), count) in &calls {
            family.sample(&[("service", service), ("call", call)], count);
        }
    }

    fn counts(&self) -> MutexGuard<'_, MetricCounts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MetricCounts {
    fn write_failures(&self, page: &mut MetricsPage) {
        for (attempt, name, help) in InstanceOperation::ALL {
            let mut family = page.family(name, "counter", help);
            for (one, count) in self.failures.iter().filter(|(one, _)| one.attempt == attempt) {
                let labels =
                    [("name", &*one.name), ("namespace", &one.namespace), ("reason", &one.reason)];
                family.sample(&labels, count);
            }
        }
    }

    fn write_phases(&self, page: &mut MetricsPage) {
        let help = "Number of seconds between Machine creation and Machine transition to a phase.";
        let mut family = page.family("mapi_machine_phase_transition_seconds", "histogram", help);
        for (phase, histogram) in &self.phases {
            let phase = ("phase", phase.as_str());
            for (least, count) in BUCKETS.iter().zip(histogram.buckets) {
                family.part("_bucket", &[phase, ("le", &least.to_string())], count);
            }
            family.part("_bucket", &[phase, ("le", "+Inf")], histogram.count);
            family.part("_sum", &[phase], histogram.seconds);
            family.part("_count", &[phase], histogram.count);
        }
    }

    fn write_ours(&self, page: &mut MetricsPage) {
        let help = "Number of reconciles.";
        let mut family =
            page.family("groundplan_machine_controller_reconciles_total", "counter", help);
        for ((controller, result), count) in &self.reconciles {
            family.sample(&[("controller", controller), ("result", result)], count);
        }
        let help = "1 if this process is the leader, otherwise 0.";
        page.single("groundplan_machine_controller_leader", "gauge", help, self.leads.into());
        let help = "1 for each Lease of another provider that prevents this process from acting.";
        let name = "groundplan_machine_controller_blocking_lease";
        let mut family = page.family(name, "gauge", help);
        for lease in &self.blocking {
            family.sample(&[("lease", lease)], 1);
        }
    }
}

impl Histogram {
    fn refresh(&mut self, seconds: f64) {
        self.count += 1;
        self.seconds += seconds;
        for (most, count) in BUCKETS.iter().zip(&mut self.buckets) {
            #[expect(clippy::cast_precision_loss, reason = "no bucket is near 2^53")]
            let within = seconds <= *most as f64;
            *count += u64::from(within);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn has(metrics: &Metrics, line: &str) -> bool {
        metrics.text().lines().any(|one| one == line)
    }

    #[test]
    fn failures_are_counted_by_machine_and_reason_and_go_with_the_machine() {
        let metrics = Metrics::default();
        metrics.failed(InstanceOperation::Create, "ns", "a", "InsufficientInstanceCapacity");
        metrics.failed(InstanceOperation::Create, "ns", "a", "InsufficientInstanceCapacity");
        metrics.failed(InstanceOperation::Delete, "ns", "b", "UnauthorizedOperation");
        let a = "mapi_instance_create_failed\
                 {name=\"a\",namespace=\"ns\",reason=\"InsufficientInstanceCapacity\"} 2";
        let b = "mapi_instance_delete_failed\
                 {name=\"b\",namespace=\"ns\",reason=\"UnauthorizedOperation\"} 1";
        assert!(has(&metrics, a) && has(&metrics, b), "{}", metrics.text());
        metrics.forget("ns", "a");
        assert!(!has(&metrics, a) && has(&metrics, b), "{}", metrics.text());
    }

    #[test]
    fn a_phase_is_in_every_bucket_that_is_long_enough() {
        let metrics = Metrics::default();
        metrics.entered("Running", Duration::from_secs(180));
        metrics.entered("Running", Duration::from_millis(700_500));
        for (part, value) in [
            ("_bucket{phase=\"Running\",le=\"120\"}", "0"),
            ("_bucket{phase=\"Running\",le=\"180\"}", "1"),
            ("_bucket{phase=\"Running\",le=\"600\"}", "1"),
            ("_bucket{phase=\"Running\",le=\"+Inf\"}", "2"),
            ("_sum{phase=\"Running\"}", "880.5"),
            ("_count{phase=\"Running\"}", "2"),
        ] {
            let line = format!("mapi_machine_phase_transition_seconds{part} {value}");
            assert!(has(&metrics, &line), "{line}\n{}", metrics.text());
        }
    }

    #[test]
    fn calls_reconciles_and_leadership_are_counted() {
        let metrics = Metrics::default();
        metrics.count_calls_by(|| CallCounts::from([(("EC2", "RunInstances".to_owned()), 3)]));
        metrics.reconciled("machine_set", true);
        metrics.reconciled("machine_set", false);
        metrics.leads(true);
        for line in [
            "aws_calls_total{service=\"EC2\",call=\"RunInstances\"} 3",
            "reconciles_total{controller=\"machine_set\",result=\"error\"} 1",
            "leader 1",
        ] {
            let line = format!("groundplan_machine_controller_{line}");
            assert!(has(&metrics, &line), "{line}\n{}", metrics.text());
        }
    }

    #[test]
    fn every_metric_is_documented() {
        let page = include_str!("../../../docs/machine-controller.md");
        let text = Metrics::default().text();
        let types = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let names: Vec<&str> = types.filter_map(|line| line.split(' ').next()).collect();
        assert_eq!(names.len(), 8);
        for name in names {
            assert!(page.contains(&format!("`{name}`")), "docs/machine-controller.md: `{name}`");
        }
    }
}
