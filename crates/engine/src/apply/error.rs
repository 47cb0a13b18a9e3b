//! Errors of steps: failed calls, and refusals of the engine itself.

use std::fmt;
use std::time::Duration;

use crate::event::{FaultKind, ReportedError};
use crate::provider::{Cause, ErrorClass, ProviderError};

/// Error of a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepError {
    /// A call failed.
    Provider(ProviderError),
    /// The provider withheld a call, because the state lock is lost. An earlier attempt of the same
    /// call may have been sent: see the error class.
    Fenced(ProviderError),
    /// The provider withheld a call, because a shutdown was requested. The next run continues the
    /// step.
    Shutdown(ProviderError),
    /// The user has protected the resource from deletion and replacement.
    Protected,
    /// The plan was made from incomplete live state: a resource exists that refresh did not find,
    /// and its inputs differ from the planned ones.
    PlanOutdated,
    /// The plan was made from incomplete live state: refresh found a resource that is to be
    /// replaced, and a search does not find it.
    Disappeared,
    /// Refresh did not find the recorded resource, and its creation token finds another one. The
    /// record is damaged, or of another cluster.
    AnotherResource {
        /// ID in the record.
        recorded: String,
        /// ID of the resource with the token.
        found: String,
    },
    /// A wait has lasted too long.
    TimedOut {
        /// Last status that the cloud reported.
        status: String,
        /// Time since the start of the step.
        after: Duration,
    },
    /// The code of the provider panicked. The call may have taken effect.
    Panicked,
}

impl StepError {
    /// Returns the error class, which determines the reaction of the executor.
    pub fn class(&self) -> ErrorClass {
        match self {
            StepError::Provider(error) | StepError::Fenced(error) | StepError::Shutdown(error) => {
                error.class
            }
            StepError::Protected
            | StepError::PlanOutdated
            | StepError::Disappeared
            | StepError::AnotherResource { .. }
            | StepError::TimedOut { .. } => ErrorClass::Permanent,
            StepError::Panicked => ErrorClass::Ambiguous,
        }
    }

    /// Returns the pause before a retry; `None` if neither the cloud nor the provider suggests one.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            StepError::Provider(error) => error.after,
            _ => None,
        }
    }

    /// Returns the maximum time of retries; `None` means the retry budget of the call.
    pub fn retry_within(&self) -> Option<Duration> {
        match self {
            StepError::Provider(error) => error.within,
            _ => None,
        }
    }
}

impl From<ProviderError> for StepError {
    fn from(error: ProviderError) -> Self {
        match error.cause {
            Cause::Fenced => StepError::Fenced(error),
            Cause::Shutdown => StepError::Shutdown(error),
            Cause::Cloud | Cause::NotOurs | Cause::ReadOnly => StepError::Provider(error),
        }
    }
}

/// The event stream has one shape for failed calls and refusals. Refusals of the engine name the
/// withheld operation in place of a call.
impl From<&StepError> for ReportedError {
    fn from(error: &StepError) -> Self {
        let of_engine = |kind, call: &str, message: String| ReportedError {
            kind,
            call: call.to_owned(),
            message,
            ..ReportedError::default()
        };
        let outdated = |message: &str| ReportedError {
            hint: Some("run the same command again".to_owned()),
            ..of_engine(FaultKind::PlanOutdated, "plan", message.to_owned())
        };
        match error {
            StepError::Provider(error) | StepError::Fenced(error) | StepError::Shutdown(error) => {
                ReportedError::from(error)
            }
            StepError::Protected => ReportedError {
                code: Some("Protected".to_owned()),
                ..of_engine(FaultKind::Protected, "delete", "the resource is protected".to_owned())
            },
            StepError::PlanOutdated => outdated(
                "the resource was not visible when the plan was made, exists, and differs from the \
                 plan",
            ),
            StepError::Disappeared => {
                outdated("it was visible when the plan was made, and is not found any more")
            }
            StepError::AnotherResource { recorded, found } => {
                let message = format!(
                    "the state records {recorded}, which refresh does not find, and the creation \
                     token finds {found}"
                );
                let hint = "restore the state from a backup, or remove the wrong record with state \
                            rm and rebuild the state with recover in another location";
                ReportedError {
                    hint: Some(hint.to_owned()),
                    ..of_engine(FaultKind::PlanOutdated, "find", message)
                }
            }
            StepError::TimedOut { status, after } => {
                let message = format!("still {status} after {} s", after.as_secs());
                let hint = "run the same command again to continue waiting; the resource is \
                     recorded";
                ReportedError {
                    hint: Some(hint.to_owned()),
                    ..of_engine(FaultKind::TimedOut, "wait", message)
                }
            }
            StepError::Panicked => {
                let message = "the provider panicked (a bug)".to_owned();
                of_engine(FaultKind::Panicked, "provider", message)
            }
        }
    }
}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StepError::Provider(error) | StepError::Fenced(error) | StepError::Shutdown(error) => {
                error.fmt(f)
            }
            error => {
                let ReportedError { call, message, .. } = ReportedError::from(error);
                write!(f, "{call}: {message}")
            }
        }
    }
}

impl std::error::Error for StepError {}

#[cfg(test)]
mod tests {
    use super::*;

    fn withheld(cause: Cause) -> ProviderError {
        ProviderError::new(ErrorClass::Permanent, "CreateVpc", "not sent").with_cause(cause)
    }

    #[test]
    fn a_withheld_call_is_told_apart_from_a_failed_one_by_its_cause_and_not_by_its_code() {
        assert!(matches!(StepError::from(withheld(Cause::Fenced)), StepError::Fenced(_)));
        assert!(matches!(StepError::from(withheld(Cause::Shutdown)), StepError::Shutdown(_)));
        assert!(matches!(StepError::from(withheld(Cause::NotOurs)), StepError::Provider(_)));
        let of_the_cloud = withheld(Cause::Cloud).with_code("Fenced");
        assert!(matches!(StepError::from(of_the_cloud), StepError::Provider(_)));
    }

    #[test]
    fn only_what_may_have_taken_effect_is_ambiguous() {
        assert_eq!(StepError::Panicked.class(), ErrorClass::Ambiguous);
        let timed_out = StepError::TimedOut { status: String::new(), after: Duration::ZERO };
        for error in
            [StepError::Protected, StepError::PlanOutdated, StepError::Disappeared, timed_out]
        {
            assert_eq!(error.class(), ErrorClass::Permanent, "{error}");
        }
        let mut again = withheld(Cause::Fenced);
        again.class = ErrorClass::Ambiguous;
        assert_eq!(
            StepError::from(again).class(),
            ErrorClass::Ambiguous,
            "an earlier attempt was sent"
        );
    }

    /// Programs that read the event stream know these values.
    #[test]
    fn refusals_of_the_engine_keep_their_form_in_the_event_stream() {
        let timed_out =
            StepError::TimedOut { status: "pending".into(), after: Duration::from_millis(61_900) };
        let fenced = StepError::from(withheld(Cause::Fenced));
        for (error, json) in [
            (
                StepError::Protected,
                r#"{"call":"delete","code":"Protected","message":"the resource is protected","request_id":null,"hint":null}"#,
            ),
            (
                timed_out,
                r#"{"call":"wait","code":null,"message":"still pending after 61 s","request_id":null,"hint":"run the same command again to continue waiting; the resource is recorded"}"#,
            ),
            (
                StepError::Panicked,
                r#"{"call":"provider","code":null,"message":"the provider panicked (a bug)","request_id":null,"hint":null}"#,
            ),
            (
                fenced,
                r#"{"call":"CreateVpc","code":"Fenced","message":"not sent","request_id":null,"hint":null}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&ReportedError::from(&error)).unwrap(), json);
        }
    }

    #[test]
    fn a_fault_of_an_older_event_stream_can_be_read() {
        let text = r#"{"call":"delete","code":"Protected","message":"the resource is protected","request_id":null,"hint":null}"#;
        let fault: ReportedError = serde_json::from_str(text).unwrap();
        assert_eq!((fault.kind, fault.code.as_deref()), (FaultKind::Call, Some("Protected")));
    }
}
