//! Wall-clock time that follows the clock of tokio, which a test may pause.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Source of the current time.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Timestamp,
    at: Instant,
}

impl Default for Clock {
    fn default() -> Self {
        Self { began: Timestamp::now(), at: Instant::now() }
    }
}

impl Clock {
    /// Returns the current time.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.began.saturating_add(passed).unwrap_or(self.began)
    }
}
