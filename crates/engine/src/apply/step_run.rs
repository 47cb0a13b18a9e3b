//! Phase of one step, which determines the next call.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::graph::Address;
use crate::provider::{Provider, ProviderError, RecordedResource, Request};

/// Step in progress.
#[derive(Debug)]
pub(super) struct StepRun {
    /// Address of the resource.
    pub(super) address: Address,
    /// Generation of the object.
    pub(super) generation: u64,
    /// Inputs with all references resolved; `null` for a deletion.
    pub(super) inputs: Value,
    /// Start of the step.
    pub(super) started: Instant,
    /// Next phase, or the phase in progress.
    pub(super) phase: Phase,
    /// Number of consecutive failures of the current call.
    pub(super) failures: u32,
    /// Number of create calls with an ambiguous error: the object may exist without a response.
    pub(super) ambiguous_creates: u32,
    /// Error that reported the token as consumed.
    pub(super) token_error: Option<ProviderError>,
    /// End of the retry budget; during a wait, the time at which the wait fails.
    pub(super) deadline: Instant,
    /// Start of the search for an object that was not found so far.
    pub(super) searching_since: Option<Instant>,
    /// Last reported status of the wait, and the time of the report.
    pub(super) last_progress: Option<(String, Instant)>,
}

/// Phase of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Searches for a recorded resource that refresh did not find, before a replacement is created.
    Recheck,
    /// Searches for the result of a creation in doubt.
    Find,
    /// Sends the create call.
    Create,
    /// Sends the calls that follow the create call.
    Configure,
    /// Sends the update call.
    Update,
    /// Waits until the resource is ready.
    Ready,
    /// Searches for a resource of uncertain existence before its deletion.
    FindDoomed,
    /// Sends the delete call.
    Delete,
    /// Waits until the resource is gone.
    Gone,
}

impl Phase {
    /// Returns true if the phase consists of polls instead of a call.
    pub(super) fn waits(self) -> bool {
        matches!(self, Phase::Ready | Phase::Gone)
    }
}

/// Call of a step, with all its arguments.
pub(super) enum Call {
    Find(Request),
    Remains(Request),
    Create(Request),
    Configure(Request, Value),
    Update(Request, RecordedResource),
    Delete(RecordedResource),
}

impl Call {
    /// Makes the call. Returns the outputs; `null` if there are none.
    pub(super) async fn make(self, provider: &dyn Provider) -> Result<Value, ProviderError> {
        match self {
            Call::Find(request) => Ok(provider.find(request).await?.unwrap_or(Value::Null)),
            Call::Remains(request) => {
                Ok(provider.find_any_part(request).await?.unwrap_or(Value::Null))
            }
            Call::Create(request) => provider.create(request).await,
            Call::Configure(request, outputs) => provider.configure(request, outputs).await,
            Call::Update(request, before) => provider.update(request, before).await,
            Call::Delete(known) => provider.delete(known).await.map(|()| Value::Null),
        }
    }
}

/// Returns the pause before a retry, which doubles from one second up to fifteen. The pause also
/// varies by address, so that many failed calls are not repeated at the same moment. No randomness:
/// equal runs have equal pauses.
pub(super) fn pause(address: &Address, failures: u32) -> Duration {
    let base = 1000u64 << failures.saturating_sub(1).min(4);
    let spread = address.as_str().bytes().fold(u64::from(failures), |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(u64::from(byte))
    });
    Duration::from_millis(base.min(15_000) * 3 / 4 + spread % (base.min(15_000) / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_differ_between_steps() {
        let (a, b) = (Address::from("vpc.main"), Address::from("subnet.a"));
        assert_eq!(pause(&a, 3), pause(&a, 3));
        assert_ne!(pause(&a, 3), pause(&b, 3));
        for failures in 1..40 {
            let pause = pause(&a, failures);
            assert!(pause >= Duration::from_millis(750) && pause < Duration::from_millis(18_750));
        }
    }
}
