//! Counts of reconciles in flight, and of reconciles that a shutdown has dropped.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Reconciles of all controllers of a process.
#[derive(Debug, Default)]
pub struct ReconcilesInFlight {
    in_flight: AtomicUsize,
    dropped: AtomicUsize,
}

impl ReconcilesInFlight {
    /// Performs a reconcile, and counts it until its end. A future that is dropped before its end
    /// counts as dropped.
    pub async fn during<T>(&self, reconcile: impl Future<Output = T>) -> T {
        self.in_flight.fetch_add(1, Relaxed);
        let mut guard = CountGuard { counts: self, is_done: false };
        let result = reconcile.await;
        guard.is_done = true;
        result
    }

    /// Returns the number of reconciles in flight.
    pub fn count(&self) -> usize {
        self.in_flight.load(Relaxed)
    }

    /// Returns the number of reconciles that were dropped before their end.
    pub fn dropped(&self) -> usize {
        self.dropped.load(Relaxed)
    }
}

struct CountGuard<'a> {
    counts: &'a ReconcilesInFlight,
    is_done: bool,
}

impl Drop for CountGuard<'_> {
    fn drop(&mut self) {
        self.counts.in_flight.fetch_sub(1, Relaxed);
        if !self.is_done {
            self.counts.dropped.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_reconcile_counts_until_its_end_and_one_without_an_end_is_dropped() {
        let counts = ReconcilesInFlight::default();
        let seen = counts.during(async { counts.count() }).await;
        assert_eq!((seen, counts.count(), counts.dropped()), (1, 0, 0));
        {
            let mut endless = Box::pin(counts.during(std::future::pending::<()>()));
            tokio::select! { biased; () = &mut endless => (), () = std::future::ready(()) => () }
            assert_eq!((counts.count(), counts.dropped()), (1, 0));
        }
        assert_eq!((counts.count(), counts.dropped()), (0, 1));
    }
}
