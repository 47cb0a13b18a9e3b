//! Gate of an execution: a check after the first creation, before anything else is created.
//!
//! Two runs that begin at the same moment, with two states, find nothing of each other before their
//! first creations. Each run therefore checks again after a creation that the check can see. The
//! later of two such checks sees the creations of both runs, so at least one of the runs ends. Both
//! may end, and never do both continue.

use std::fmt;
use std::sync::Arc;

use crate::graph::Address;
use crate::plan::{Op, Plan};
use crate::provider::BoxFuture;
use crate::state::{Entry, State};

/// Check that the caller supplies in [`ApplySettings::gate`](super::ApplySettings::gate).
pub trait Gate: fmt::Debug + Send + Sync {
    /// Returns true if the check can see resources of this kind.
    fn sees(&self, kind: &str) -> bool;
    /// Decides on the rest of the plan. `state` contains the first creation that the check can see.
    fn check(&self, state: &State) -> BoxFuture<'static, GateDecision>;
}

/// Result of the check.
#[derive(Clone, Debug, PartialEq)]
pub enum GateDecision {
    /// The execution continues.
    Open {
        /// Entries to record, such as the result of the check.
        entries: Vec<Entry>,
        /// Warnings for the user.
        warnings: Vec<String>,
    },
    /// No further step starts. Steps in progress end.
    Closed,
}

/// Progress of the gate in one execution.
#[derive(Clone, Debug)]
pub(super) enum GateStatus {
    /// All steps can start.
    Open,
    /// The run has created no resource that the check can see. Steps run one at a time, and a creation that
    /// the check can see is preferred.
    Ahead(Arc<dyn Gate>),
    /// The check is in progress.
    Checking,
    /// No step starts any more.
    Closed,
}

impl GateStatus {
    /// Returns the status at the start of a plan. A plan without a creation that the check can see
    /// needs no check.
    pub(super) fn of(gate: Option<&Arc<dyn Gate>>, plan: &Plan) -> Self {
        let is_seen = |gate: &&Arc<dyn Gate>| {
            plan.steps.iter().any(|step| created(&step.op).is_some_and(|it| gate.sees(it.kind())))
        };
        gate.filter(is_seen).map_or(GateStatus::Open, |gate| GateStatus::Ahead(Arc::clone(gate)))
    }

    /// Returns the gate if the execution is ahead of it and the operation is a creation that its
    /// check can see.
    pub(super) fn due_after(&self, op: &Op) -> Option<&Arc<dyn Gate>> {
        match self {
            GateStatus::Ahead(gate) => {
                created(op).filter(|address| gate.sees(address.kind())).map(|_| gate)
            }
            _ => None,
        }
    }
}

/// Returns the address that an operation creates.
fn created(op: &Op) -> Option<&Address> {
    match op {
        Op::Create { address, .. } => Some(address),
        _ => None,
    }
}
