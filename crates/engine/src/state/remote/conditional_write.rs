//! Conditional writes with responses that may be lost.
//!
//! The same bytes are sent under the same condition until a response arrives. If an earlier attempt
//! succeeded, the condition of a later one fails; the object is then read and compared. Equal bytes
//! mean success, so callers must write bytes that no other process would write.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::object_store::{Etag, ObjectStore, Precondition, PutOutcome, StoredObject};
use crate::provider::{ErrorClass, ProviderError, ProviderFuture};
use crate::state::error::StateError;
use crate::state::fence::Fence;

/// First pause between two attempts. Each pause is twice as long as the previous one, up to
/// [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// Retry budget.
#[derive(Clone, Copy, Debug)]
pub(super) struct RetryBudget {
    /// Timeout of one attempt.
    pub(super) attempt: Duration,
    /// Time since the first attempt in which another attempt may begin.
    pub(super) overall: Duration,
}

/// Conditional write of one object.
#[derive(Clone, Debug)]
pub(super) struct ConditionalWrite {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) condition: Precondition,
}

/// Result of a conditional write.
#[derive(Debug)]
pub(super) enum WriteOutcome {
    /// The object has the bytes of this write.
    Done(Etag),
    /// The object has other bytes, or no longer exists.
    Taken(Option<StoredObject>),
}

/// Error of a conditional write.
#[derive(Debug)]
pub(super) enum WriteError {
    /// The lock was lost in between. If `perhaps`, an attempt may have taken effect.
    Fenced { error: StateError, perhaps: bool },
    /// The bucket returned an error. If `perhaps`, an attempt may have taken effect.
    Failed { error: ProviderError, perhaps: bool },
}

impl WriteError {
    /// Returns true if the write may have taken effect, now or later.
    pub(super) fn may_have_taken_effect(&self) -> bool {
        let (WriteError::Fenced { perhaps, .. } | WriteError::Failed { perhaps, .. }) = self;
        *perhaps
    }
}

impl ConditionalWrite {
    /// Attempts the write while the fence is open and the retry budget lasts.
    pub(super) async fn make(
        &self,
        bucket: &dyn ObjectStore,
        fence: &Fence,
        patience: RetryBudget,
    ) -> Result<WriteOutcome, WriteError> {
        let mut attempts = RetrySchedule::new(patience);
        let mut perhaps = false;
        loop {
            fence.pass().map_err(|error| WriteError::Fenced { error, perhaps })?;
            let put = bucket.put(&self.key, self.bytes.clone(), self.condition.clone());
            match within(patience.attempt, "PutObject", put).await {
                Ok(PutOutcome::Done(etag)) => return Ok(WriteOutcome::Done(etag)),
                Ok(PutOutcome::Refused) => return self.find(bucket, patience, perhaps).await,
                Err(error) => {
                    perhaps |= error.class == ErrorClass::Ambiguous;
                    attempts
                        .pause(error)
                        .await
                        .map_err(|error| WriteError::Failed { error, perhaps })?;
                }
            }
        }
    }

    /// Reads the object after a failed condition. Reading is harmless even without the lock.
    async fn find(
        &self,
        bucket: &dyn ObjectStore,
        patience: RetryBudget,
        perhaps: bool,
    ) -> Result<WriteOutcome, WriteError> {
        let found = retry_idempotent(patience, "GetObject", || bucket.get(&self.key)).await;
        match found.map_err(|error| WriteError::Failed { error, perhaps })? {
            Some(found) if found.bytes == self.bytes => Ok(WriteOutcome::Done(found.etag)),
            found => Ok(WriteOutcome::Taken(found)),
        }
    }
}

/// Repeats a read-only or idempotent call until it succeeds or the retry budget is used up.
pub(super) async fn retry_idempotent<'a, T>(
    patience: RetryBudget,
    call: &str,
    ask: impl Fn() -> ProviderFuture<'a, T>,
) -> Result<T, ProviderError> {
    let mut attempts = RetrySchedule::new(patience);
    loop {
        match within(patience.attempt, call, ask()).await {
            Ok(answer) => return Ok(answer),
            Err(error) => attempts.pause(error).await?,
        }
    }
}

/// Pauses between attempts, and the end of the retry budget.
#[derive(Debug)]
struct RetrySchedule {
    patience: RetryBudget,
    began: Instant,
    next_pause: Duration,
}

impl RetrySchedule {
    fn new(patience: RetryBudget) -> Self {
        Self { patience, began: Instant::now(), next_pause: FIRST_PAUSE }
    }

    /// Waits before the next attempt. Returns the error if there is no next attempt.
    async fn pause(&mut self, error: ProviderError) -> Result<(), ProviderError> {
        let pause = self.next_pause;
        if error.class == ErrorClass::Permanent
            || self.began.elapsed() + pause > self.patience.overall
        {
            return Err(error);
        }
        self.next_pause = (pause * 2).min(LONGEST_PAUSE);
        sleep(pause).await;
        Ok(())
    }
}

/// Returns the response of a call, or an error after the timeout. The call may still be in flight.
async fn within<T>(
    time: Duration,
    call: &str,
    answer: ProviderFuture<'_, T>,
) -> Result<T, ProviderError> {
    timeout(time, answer).await.unwrap_or_else(|_| {
        let message = format!("no response within {time:?}");
        Err(ProviderError::new(ErrorClass::Ambiguous, call, message))
    })
}
