//! Classification of errors: permanent failures of a Machine, and retryable errors.

use groundplan_aws::model::launch_errors::is_final;
use groundplan_engine::provider::{ErrorClass, ProviderError};
use groundplan_openshift::machine_api::launch_spec::LaunchError;

/// Permanent failure of a Machine. The controller does nothing more until the Machine is deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineFailure {
    /// Reason in one word (openshift/api `MachineStatusError`).
    pub reason: &'static str,
    /// Message for people.
    pub message: String,
}

const INVALID: &str = "InvalidConfiguration";

impl MachineFailure {
    /// Returns the failure of a Machine that was provisioned and whose instance no longer exists.
    pub(super) fn missing() -> Self {
        // Upstream also sets no reason here.
        Self { reason: "", message: "can't find created instance".to_owned() }
    }

    pub(super) fn terminated(why: &str) -> Self {
        Self { reason: INVALID, message: why.to_owned() }
    }

    /// Returns the failure of a Machine whose config can never be launched.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self { reason: INVALID, message: message.into() }
    }
}

/// Returns the failure, if the error of a launch or of a lookup before it is permanent. `None` if a
/// retry may succeed.
pub fn of_call(error: &ProviderError) -> Option<MachineFailure> {
    if !is_final(error) || is_unanswered(error) {
        return None;
    }
    Some(MachineFailure::invalid(match &error.hint {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }))
}

/// Returns true if the error leaves the launch in doubt: the request may have been sent. A token
/// that was sent before with other parameters has launched an instance that EC2 does not show yet.
pub(super) fn is_unanswered(error: &ProviderError) -> bool {
    const OTHER_WORDS: &[&str] = &["IdempotentParameterMismatch"];
    error.class == ErrorClass::Ambiguous || error.is(OTHER_WORDS) || error.is_withheld()
}

/// Returns the failure, if a rejected launch spec fails the Machine permanently. `None` if the
/// rejection may be temporary or if a user must change the spec.
pub fn of_refusal(refusal: &LaunchError) -> Option<MachineFailure> {
    match refusal {
        LaunchError::Invalid { .. } => Some(MachineFailure::invalid(refusal.to_string())),
        LaunchError::Conflict { .. } | LaunchError::Unanswered { .. } => None,
    }
}
