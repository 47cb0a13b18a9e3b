//! Conditional writes whose answers may be lost.
//!
//! The same bytes are sent under the same condition until an answer comes. An earlier attempt that
//! got through makes the condition of the later ones fail; then the object is read, and if it has
//! our bytes, it is ours. Whoever writes must therefore write what nobody else would.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::object_store::{Bucket, Condition, Etag, Object, Put};
use crate::provider::{Class, ProviderError, Reply};
use crate::state::error::HomeError;
use crate::state::fence::Fence;

/// The first pause between two attempts; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);

/// How long to try.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience {
    /// How long one attempt may take.
    pub(super) attempt: Duration,
    /// How long after the first attempt another may begin.
    pub(super) overall: Duration,
}

/// One write that is to be made surely.
#[derive(Clone, Debug)]
pub(super) struct Write {
    pub(super) key: String,
    pub(super) bytes: Vec<u8>,
    pub(super) condition: Condition,
}

/// What came of it.
#[derive(Debug)]
pub(super) enum Wrote {
    /// It is there.
    Done(Etag),
    /// Something else is there, or is not there any more.
    Taken(Option<Object>),
}

/// Why nothing is known to have come of it.
#[derive(Debug)]
pub(super) enum Unwritten {
    /// The lock was lost in between; whether an attempt got through is open where `perhaps`.
    Fenced { error: HomeError, perhaps: bool },
    /// The bucket did not do it; whether an attempt got through is open where `perhaps`.
    Failed { error: ProviderError, perhaps: bool },
}

impl Unwritten {
    /// Whether it may have been written, or may still be.
    pub(super) fn perhaps(&self) -> bool {
        let (Unwritten::Fenced { perhaps, .. } | Unwritten::Failed { perhaps, .. }) = self;
        *perhaps
    }
}

impl Write {
    /// Writes it, attempt by attempt, as long as the fence is open and patience lasts.
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

    /// What stands where we may not write. Reading is harmless, whoever holds the lock.
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

/// The answer to what may be asked any number of times.
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

/// The pauses between attempts, and their end.
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

    /// Waits before the next attempt, or gives the error back where there is to be none.
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

/// The answer to a call, or the news that there is none in time. The call may be under way still.
async fn within<T>(time: Duration, call: &str, answer: Reply<'_, T>) -> Result<T, ProviderError> {
    timeout(time, answer).await.unwrap_or_else(|_| {
        let message = format!("no answer within {time:?}");
        Err(ProviderError::new(Class::Unknown, call, message))
    })
}
