//! Conditional writes with responses that may be lost.
//!
//! The same bytes are sent under the same condition until a response arrives. If an earlier attempt
//! succeeded, the condition of a later one fails; the object is then read and compared. Equal bytes
//! mean success, so callers must write bytes that no other process would write.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::object_store::{Bucket, Condition, Etag, Object, Put};
use crate::provider::{Class, ProviderError, Reply};
use crate::state::error::HomeError;
use crate::state::fence::Fence;

/// First pause between two attempts. Each pause is twice as long as the previous one, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Retry budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// Timeout of one attempt.
    pub(super) attempt: Duration,
    /// Time since the first attempt in which another attempt may begin.
    pub(super) overall: Duration,
}

/// Conditional write of one object.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) condition: Condition,
}

/// Result of a conditional write.
#[derive(Debug)]
pub(super) enum Wrote {
    /// The object has the bytes of this write.
    Done(Etag),
    /// The object has other bytes, or no longer exists.
    Taken(Option<Object>),
}

/// Error of a conditional write.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The lock was lost in between. If `perhaps`, an attempt may have taken effect.
    Fenced { error: HomeError, perhaps: bool },
    /// The bucket returned an error. If `perhaps`, an attempt may have taken effect.
    Failed { error: ProviderError, perhaps: bool },
}

impl Unwritten {
    /// Returns true if the write may have taken effect, now or later.
    pub(super) fn perhaps(&self) -> bool {
        let (Unwritten::Fenced { perhaps, .. } | Unwritten::Failed { perhaps, .. }) = self;
        *perhaps
    }
}

impl Write {
    /// Attempts the write while the fence is open and the retry budget lasts.
    pub(super) async fn make(
        &self,
        bucket: &dyn Bucket,
        fence: &Fence,
        patience: Patience,
    ) -> Result<Wrote, Unwritten> {
        let mut attempts = Attempts::new(patience);
        let mut perhaps = false;
        loop {
            fence.pass().map_err(|error| Unwritten::Fenced { error, perhaps })?;
            let put = bucket.put(&self.key, self.bytes.clone(), self.condition.clone());
            match within(patience.attempt, "PutObject", put).await {
                Ok(Put::Done(etag)) => return Ok(Wrote::Done(etag)),
                Ok(Put::Refused) => return self.find(bucket, patience, perhaps).await,
                Err(error) => {
                    perhaps |= error.class == Class::Unknown;
                    attempts
                        .pause(error)
                        .await
                        .map_err(|error| Unwritten::Failed { error, perhaps })?;
                }
            }
        }
    }

    /// Reads the object after a failed condition. Reading is harmless even without the lock.
    async fn find(
        &self,
        bucket: &dyn Bucket,
        patience: Patience,
        perhaps: bool,
    ) -> Result<Wrote, Unwritten> {
        let found = asked(patience, "GetObject", || bucket.get(&self.key)).await;
        match found.map_err(|error| Unwritten::Failed { error, perhaps })? {
            Some(found) if found.bytes == self.bytes => Ok(Wrote::Done(found.etag)),
            found => Ok(Wrote::Taken(found)),
        }
    }
}

/// Repeats a read-only or idempotent call until it succeeds or the retry budget is used up.
pub(super) async fn asked<'a, T>(
    patience: Patience,
    call: &str,
    ask: impl Fn() -> Reply<'a, T>,
) -> Result<T, ProviderError> {
    let mut attempts = Attempts::new(patience);
    loop {
        match within(patience.attempt, call, ask()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => attempts.pause(error).await?,
        }
    }
}

/// Pauses between attempts, and the end of the retry budget.
#[derive(Debug)]
struct Attempts {
    patience: Patience,
    began: Instant,
    next_pause: Duration,
}

impl Attempts {
    fn new(patience: Patience) -> Self {
        Self { patience, began: Instant::now(), next_pause: FIRST_PAUSE }
    }

    /// Waits before the next attempt. Returns the error if there is no next attempt.
    async fn pause(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        let pause = self.next_pause;
        if error.class == Class::Refused || self.began.elapsed() + pause > self.patience.overall {
            return Err(error);
        }
        self.next_pause = (pause * 2).min(LONGEST_PAUSE);
        sleep(pause).await;
        Ok(())
    }
}

/// Returns the response of a call, or an error after the timeout. The call may still be in flight.
async fn within<T>(time: Duration, call: &str, answer: Reply<'_, T>) -> Result<T, ProviderError> {
    timeout(time, answer).await.unwrap_or_else(|_| {
        let message = format!("no answer within {time:?}");
        Err(ProviderError::new(Class::Unknown, call, message))
    })
}
