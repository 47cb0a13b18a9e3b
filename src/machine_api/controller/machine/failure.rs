//! What fails a Machine for good, and what does not.

use crate::aws::launch_errors::is_final;
use crate::machine_api::launch::Refusal;
use crate::provider::{Class, FENCED, ProviderError, STOPPED};

/// Why a Machine has failed: nothing is done about it any more until it is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// In one word (openshift/api `MachineStatusError`).
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

const INVALID: &str = "InvalidConfiguration";

impl Failure {
    /// The instance of a machine that was provisioned is gone.
    pub(super) fn missing() -> Self {
        // Upstream has no reason for it either.
        Self { reason: "", message: "can't find created instance".to_owned() }
    }

    pub(super) fn terminated(why: &str) -> Self {
        Self { reason: INVALID, message: why.to_owned() }
    }

    /// What is asked for cannot be had.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { reason: INVALID, message: message.into() }
    }
}

/// Whether this answer to a launch, or to a question before it, fails the Machine.
///
/// # Errors
/// The same error, where asking again may help.
pub fn of_call(error: ProviderError) -> Result<Failure, ProviderError> {
    if !is_final(&error) || is_unanswered(&error) {
        return Err(error);
    }
    Ok(Failure::invalid(match &error.hint {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }))
}

/// Whether an error leaves open what came of the launch: it may have left. A token that was sent before,
/// in other words, has launched something, which EC2 does not show yet.
pub(super) fn is_unanswered(error: &ProviderError) -> bool {
    const OTHER_WORDS: &[&str] = &["IdempotentParameterMismatch"];
    error.class == Class::Unknown || error.is(OTHER_WORDS) || error.is(&[FENCED, STOPPED])
}

/// Whether this refusal to launch fails the Machine.
///
/// # Errors
/// The refusal as text, where it may pass or waits for somebody.
pub fn of_refusal(refusal: &Refusal) -> Result<Failure, String> {
    match refusal {
        Refusal::Invalid { .. } => Ok(Failure::invalid(refusal.to_string())),
        Refusal::Conflict { .. } | Refusal::Unanswered { .. } => Err(refusal.to_string()),
    }
}
