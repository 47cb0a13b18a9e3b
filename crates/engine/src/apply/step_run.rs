//! Where one step is: which call comes next.

use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use crate::graph::Address;
use crate::provider::{Known, Provider, ProviderError, Request};

/// A step under way.
#[derive(Debug)]
pub(super) struct Run {
    /// Which resource.
    pub(super) address: Address,
    /// Which of its lives.
    pub(super) generation: u64,
    /// What it shall be, every reference resolved; `null` for a deletion.
    pub(super) inputs: Value,
    /// When its first call left.
    pub(super) started: Instant,
    /// What comes next, or is under way.
    pub(super) phase: Phase,
    /// How often the call under way has failed in a way that passes.
    pub(super) failures: u32,
    /// How many answers to the creating call were lost: the object may exist though nobody said so.
    pub(super) lost: u32,
    /// Why its token makes nothing any more, once the cloud has said so.
    pub(super) spent: Option<ProviderError>,
    /// Until when whatever passes is repeated; then until when readiness is waited for.
    pub(super) deadline: Instant,
    /// Since when the object is looked for in vain.
    pub(super) sought: Option<Instant>,
    /// What was last said about the wait, and when.
    pub(super) said: Option<(String, Instant)>,
}

/// What a step is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Is it really gone, before another is made in its place?
    Recheck,
    /// Was it made, although nobody answered?
    Find,
    /// The creating call.
    Create,
    /// The calls after it.
    Configure,
    /// The changing call.
    Update,
    /// Waiting until it is as it should be.
    Ready,
    /// Is it there at all, before it is deleted?
    FindDoomed,
    /// The deleting call.
    Delete,
    /// Waiting until it is gone.
    Gone,
}

impl Phase {
    /// Whether it is spent waiting rather than calling.
    pub(super) fn waits(self) -> bool {
        matches!(self, Phase::Ready | Phase::Gone)
    }
}

/// One call of one step, with everything it needs.
pub(super) enum Call {
    Find(Request),
    Remains(Request),
    Create(Request),
    Configure(Request, Value),
    Update(Request, Known),
    Delete(Known),
}

impl Call {
    /// Makes it. The answer is the outputs, `null` where there are none.
    pub(super) async fn make(self, provider: &dyn Provider) -> Result<Value, ProviderError> {
        match self {
            Call::Find(request) => Ok(provider.find(request).await?.unwrap_or(Value::Null)),
            Call::Remains(request) => Ok(provider.remains(request).await?.unwrap_or(Value::Null)),
            Call::Create(request) => provider.create(request).await,
            Call::Configure(request, outputs) => provider.configure(request, outputs).await,
            Call::Update(request, before) => provider.update(request, before).await,
            Call::Delete(known) => provider.delete(known).await.map(|()| Value::Null),
        }
    }
}

/// The pause before a call is made again: doubling from one second to fifteen, spread by address so
/// that a crowd does not return at once. No randomness: the same run is the same run.
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
