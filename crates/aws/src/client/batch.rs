//! Batches: parts of calls that several steps of a run make at the same time, sent as one call.
//!
//! Knows no call. The caller of [`BatchQueue::send`] makes one call for all parts of a batch.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use groundplan_engine::provider::{ErrorClass, ProviderError};
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::client::resource_type::Result;

/// Time that a part waits for other parts. Steps of one wave start within a few milliseconds.
const GATHER: Duration = Duration::from_millis(50);

type Queued<T, A> = (T, oneshot::Sender<Result<A>>);

/// Queue that combines parts into one call.
#[derive(Debug)]
pub(crate) struct BatchQueue<T, A> {
    open: Mutex<Vec<Queued<T, A>>>,
    turn: tokio::sync::Mutex<()>,
}

impl<T, A> Default for BatchQueue<T, A> {
    fn default() -> Self {
        Self { open: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }
}

impl<T, A> BatchQueue<T, A> {
    /// Adds a part to the next batch, and returns the result of that part. `send_all` returns the
    /// results in the order of the parts. The parts that arrive now, or during the call of the
    /// previous batch, share a batch.
    pub(crate) async fn send<F>(&self, part: T, send_all: impl FnOnce(Vec<T>) -> F) -> Result<A>
    where
        F: Future<Output = Vec<Result<A>>>,
    {
        let (sender, mut result) = oneshot::channel();
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push((part, sender));
        let turn = tokio::select! {
            biased;
            answer = &mut result => return answer.unwrap_or_else(|_| Err(interrupted())),
            turn = self.turn.lock() => turn,
        };
        if let Ok(answer) = result.try_recv() {
            return answer;
        }
        sleep(GATHER).await;
        let open = std::mem::take(&mut *self.open.lock().unwrap_or_else(PoisonError::into_inner));
        let (parts, senders): (Vec<T>, Vec<_>) = open.into_iter().unzip();
        for (sender, answer) in senders.into_iter().zip(send_all(parts).await) {
            // A receiver that was dropped belongs to a step that was cancelled.
            let _ = sender.send(answer);
        }
        drop(turn);
        result.await.unwrap_or_else(|_| Err(interrupted()))
    }
}

/// Returns the error of a part whose batch was cancelled. The call may have been sent.
fn interrupted() -> ProviderError {
    ProviderError::new(ErrorClass::Ambiguous, "batch", "the call was cancelled")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use groundplan_engine::provider::all;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn parts_of_the_same_moment_are_one_call_and_each_gets_its_own_result() {
        let queue = BatchQueue::<u32, u32>::default();
        let calls = Arc::new(Mutex::new(Vec::new()));
        let send = |part| {
            let calls = Arc::clone(&calls);
            queue.send(part, async move |parts: Vec<u32>| {
                calls.lock().unwrap().push(parts.clone());
                parts.into_iter().map(|one| Ok(one * 10)).collect()
            })
        };
        let results = all(vec![send(1), send(2), send(3)]).await;
        assert_eq!(results, [Ok(10), Ok(20), Ok(30)]);
        assert_eq!(send(4).await, Ok(40));
        assert_eq!(*calls.lock().unwrap(), [vec![1, 2, 3], vec![4]]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_whose_batch_is_cancelled_may_have_taken_effect() {
        let queue = Arc::new(BatchQueue::<u32, u32>::default());
        let never = |queue: Arc<BatchQueue<u32, u32>>| async move {
            queue.send(1, async |_: Vec<u32>| std::future::pending().await).await
        };
        let leader = tokio::spawn(never(Arc::clone(&queue)));
        let other = tokio::spawn(never(Arc::clone(&queue)));
        sleep(GATHER * 2).await;
        leader.abort();
        let error = other.await.unwrap().unwrap_err();
        assert_eq!(error.class, ErrorClass::Ambiguous);
    }
}
