//! Proof that a bucket honours the conditions of writes, before the first lock of a state.
//!
//! Everything that keeps two runs apart is a conditional write. A store that accepts the write and
//! ignores the condition looks healthy: both runs take the lock, and each builds a cluster. The
//! proof writes an object of its own, which no other process knows, and demands two refusals. The
//! lock then names the store that was proved, so that later runs make no calls for it.

use uuid::Uuid;

use super::conditional_write::{ConditionalWrite, RetryBudget, WriteOutcome, retry_idempotent};
use super::layout::Layout;
use super::lease::not_written;
use super::object_store::{Etag, ObjectStore, Precondition};
use crate::state::error::StateError;
use crate::state::fence::Fence;

/// ETag of no object: it has the form of an MD5 sum.
const WRONG: &str = "\"00000000000000000000000000000000\"";

/// Proves that the bucket refuses writes whose condition does not hold, with seven calls.
///
/// # Errors
/// Returns an error if the bucket accepts such a write, or if it rejects a call.
pub(super) async fn conditions_are_honoured(
    bucket: &dyn ObjectStore,
    place: &Layout,
    patience: RetryBudget,
) -> Result<(), StateError> {
    let key = place.probe(&Uuid::new_v4().to_string());
    let proved = prove(bucket, place, &key, patience).await;
    // A probe that stays is only untidy.
    let _ = retry_idempotent(patience, "DeleteObjects", || bucket.delete(vec![key.clone()])).await;
    proved
}

async fn prove(
    bucket: &dyn ObjectStore,
    place: &Layout,
    key: &str,
    patience: RetryBudget,
) -> Result<(), StateError> {
    let attempts = [
        ("first", Precondition::Absent, Ok(())),
        ("second", Precondition::Absent, Err("If-None-Match: *")),
        ("third", Precondition::Matches(Etag(WRONG.to_owned())), Err("If-Match")),
    ];
    for (number, condition, expected) in attempts {
        let bytes = format!("the {number} write of a test of conditional writes\n").into_bytes();
        let write = ConditionalWrite { key: key.to_owned(), bytes, condition };
        let made = write.make(bucket, &Fence::open(), patience).await;
        let made = made.map_err(|error| not_written("lock", place, &place.lock(), error))?;
        match (made, expected) {
            (WriteOutcome::Done(_), Ok(())) | (WriteOutcome::Taken(_), Err(_)) => (),
            (WriteOutcome::Done(_), Err(header)) => {
                return Err(StateError::Unconditional { path: place.folder(), header });
            }
            (WriteOutcome::Taken(_), Ok(())) => {
                return Err(StateError::Unconditional {
                    path: place.folder(),
                    header: "If-None-Match: * of a new object",
                });
            }
        }
    }
    Ok(())
}
