//! What fails a Machine for good, and what does not.

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

/// What AWS says of credentials rather than of a machine. They are renewed, and it goes on.
const CREDENTIALS: &[&str] = &[
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Whether this answer to a launch fails the Machine: by its code, and by nothing else. What does
/// not exist does not come into being by waiting; to the engine it may, since it makes it.
///
/// # Errors
/// The same error, where asking again may help.
pub fn of_call(error: ProviderError) -> Result<Failure, ProviderError> {
    let absent = error.code.as_deref().is_some_and(|code| code.ends_with(".NotFound"));
    let passes = error.is(CREDENTIALS) || error.is(&[FENCED, STOPPED]);
    let is_final = match error.class {
        Class::Refused => error.code.is_some(),
        Class::Spent => true,
        Class::Again => absent,
        Class::Unknown => false,
    };
    if !is_final || passes {
        return Err(error);
    }
    Ok(Failure::invalid(match &error.hint {
        Some(hint) => format!("{error}; {hint}"),
        None => error.to_string(),
    }))
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
