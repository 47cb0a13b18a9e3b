//! The time of day by tokio's clock, which a test may pause.

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// Tells the time.
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
    /// Now.
    pub fn now(&self) -> Timestamp {
        let passed = SignedDuration::try_from(self.at.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.began.saturating_add(passed).unwrap_or(self.began)
    }
}
