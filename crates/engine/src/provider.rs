//! Interface between the engine and a cloud.
//!
//! [`Schemas`] is all that the planner knows of a cloud. [`Provider`] is all that the engine can
//! request from a cloud. Every call of a provider can be repeated after a crash, with the same
//! result.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::drift::UnmanagedDrift;
use crate::graph::{Address, Schema};
use crate::secret::Secrets;

/// Boxed future, so that a table can hold every kind.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// Result of every call of a provider.
pub type ProviderFuture<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// Schemas of the kinds: all that the planner knows of a cloud. Implementations perform no I/O.
pub trait Schemas: Send + Sync {
    /// Returns the schema of a kind; `None` for an unknown kind.
    fn schema(&self, kind: &str) -> Option<&'static Schema>;
}

/// Arguments of a mutating call.
#[derive(Clone, Debug)]
pub struct Request {
    /// Address of the resource.
    pub address: Address,
    /// Creation token, decided before the call. Sent as client token where the API accepts one, and
    /// written as a tag at creation. A repeated call then creates one resource, and a lost result
    /// can be found.
    pub token: String,
    /// Inputs with all references resolved.
    pub inputs: Value,
    /// Secrets behind the digests among the inputs.
    pub secrets: Arc<Secrets>,
    /// Unmanaged drift that an update reverts. Empty in other calls.
    pub revert: Vec<UnmanagedDrift>,
}

impl Request {
    /// Returns the kind of the resource.
    pub fn kind(&self) -> &str {
        self.address.kind()
    }
}

/// Recorded resource that is waited for or looked up.
#[derive(Clone, Debug)]
pub struct RecordedResource {
    /// Address of the resource.
    pub address: Address,
    /// Token of the creation.
    pub token: String,
    /// Last recorded inputs, resolved.
    pub inputs: Value,
    /// Identity and outputs; `null` while the creation is in doubt.
    pub outputs: Value,
}

/// Live state of a recorded resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// The resource exists.
    Present {
        /// Live inputs, in the shape of the kind's inputs. Attributes that cannot be read back
        /// (secrets, attributes without a describe call) are as recorded.
        inputs: Value,
        /// Live outputs.
        outputs: Value,
        /// Drift outside the inputs: additions by others, and states that no input configures.
        unmanaged: Vec<UnmanagedDrift>,
    },
    /// The resource does not exist.
    Missing,
}

/// Result of a poll for one resource. `T` is the type of the outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Poll<T = Value> {
    /// The resource is ready or, after a delete, gone. Contains the outputs.
    Ready(T),
    /// The wait continues. Contains the status that the cloud reports, such as `pending`.
    Pending(String),
    /// The cloud reports a final failure.
    Failed(ProviderError),
}

/// Operations on resources: all that the engine can request from a cloud.
pub trait Provider: Schemas {
    /// Sends the create call. Returns identity and outputs, although the resource may not be ready
    /// yet.
    fn create(&self, request: Request) -> ProviderFuture<'_, Value>;
    /// Returns the outputs of the resource that was created with this token; `None` if there is
    /// none. Called before a creation is repeated.
    fn find(&self, request: Request) -> ProviderFuture<'_, Option<Value>>;
    /// Like [`find`](Self::find), but one part suffices if a resource consists of several parts.
    /// Called before the deletion of a resource whose creation was never confirmed.
    fn find_any_part(&self, request: Request) -> ProviderFuture<'_, Option<Value>> {
        self.find(request)
    }
    /// Sends the calls that follow the create call (attributes, attachments). Each is safe to
    /// repeat.
    fn configure(&self, request: Request, outputs: Value) -> ProviderFuture<'_, Value>;
    /// Polls all resources of a kind that are waited for, and returns the results in the given
    /// order.
    fn ready(&self, kind: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>>;
    /// Changes in place the inputs that differ between `before` and `request`, and reverts the
    /// unmanaged drift that the request names.
    fn update(&self, request: Request, before: RecordedResource) -> ProviderFuture<'_, Value>;
    /// Deletes the resource. A resource that is already gone counts as deleted.
    fn delete(&self, known: RecordedResource) -> ProviderFuture<'_, ()>;
    /// Polls all resources of a kind whose deletion is waited for, and returns the results in the
    /// given order.
    fn gone(&self, kind: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>>;
    /// Reads the live state of all recorded resources of a kind, in the given order. The number of
    /// calls grows with result pages, not with resources.
    fn refresh(
        &self,
        kind: String,
        known: Vec<RecordedResource>,
    ) -> ProviderFuture<'_, Vec<Observed>>;
}

/// Error class: the reaction of the engine to a failed call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// Permanent, and the call had no effect: wrong input, missing permission, a limit.
    Permanent,
    /// Retryable, and the call had no effect: throttled, or a dependency is not visible yet. The
    /// same call may succeed in a moment.
    Retryable,
    /// Ambiguous: no response, or a 5xx. The call may have taken effect, so the engine searches for
    /// the result before a retry.
    Ambiguous,
    /// Token consumed, and this call had no effect. An earlier call with the token created a
    /// resource that is gone, or had other parameters; a retry with this token cannot succeed.
    TokenConsumed,
}

/// Cause of an error, as far as the engine or its caller reacts to it. Codes of the cloud are only
/// quoted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cause {
    /// The cloud rejected the call, or no response arrived.
    #[default]
    Cloud,
    /// Another creation made the resource that has this name.
    NotOurs,
    /// The call was not sent, because the state lock is lost.
    Fenced,
    /// The call was not sent, because a shutdown was requested.
    Shutdown,
    /// The call was not sent, because the command only reads.
    ReadOnly,
}

impl Cause {
    /// Returns the code that stands in messages and in the event stream; `None` for errors of the
    /// cloud, which have codes of their own.
    fn code(self) -> Option<&'static str> {
        match self {
            Cause::Cloud => None,
            Cause::NotOurs => Some("NotOurs"),
            Cause::Fenced => Some("Fenced"),
            Cause::Shutdown => Some("Stopped"),
            Cause::ReadOnly => Some("ReadOnly"),
        }
    }
}

/// Error of a provider call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// Reaction of the engine to the error.
    pub class: ErrorClass,
    /// Cause, if the error is not the cloud's.
    pub cause: Cause,
    /// Name of the call in the cloud's API, such as `RunInstances`.
    pub call: String,
    /// Error code in the cloud's API, such as `InsufficientInstanceCapacity`.
    pub code: Option<String>,
    /// Message of the cloud.
    pub message: String,
    /// Request ID for the support of the cloud.
    pub request_id: Option<String>,
    /// Advice for the user.
    pub hint: Option<String>,
    /// Pause before a retry, if the cloud or the provider suggests one.
    pub after: Option<Duration>,
    /// Maximum time of retries, from the first of consecutive errors with a limit. `None` means the
    /// retry budget of the call. For errors that retries probably do not end.
    pub within: Option<Duration>,
}

impl ProviderError {
    /// Returns an error of this class in the call `call`.
    pub fn new(class: ErrorClass, call: &str, message: impl Into<String>) -> Self {
        Self {
            class,
            cause: Cause::Cloud,
            call: call.to_owned(),
            code: None,
            message: message.into(),
            request_id: None,
            hint: None,
            after: None,
            within: None,
        }
    }

    /// Returns the error with this limit of its retries.
    #[must_use]
    pub fn with_limit(mut self, within: Duration) -> Self {
        self.within = Some(within);
        self
    }

    /// Returns the error with this code.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// Returns the error with this cause, and with its code.
    #[must_use]
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.cause = cause;
        self.code = cause.code().map(str::to_owned).or(self.code);
        self
    }

    /// Returns true if the call was not sent: the provider withheld this attempt.
    pub fn is_withheld(&self) -> bool {
        matches!(self.cause, Cause::Fenced | Cause::Shutdown | Cause::ReadOnly)
    }

    /// Returns the error with this hint for the user.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns true if the code is one of `codes`.
    pub fn is(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.contains(&code))
    }
}

impl fmt::Display for ProviderError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call)?;
        if let Some(code) = &self.code {
            write!(f, "{code}: ")?;
        }
        write!(f, "{}", self.message)?;
        if let Some(id) = &self.request_id {
            write!(f, " (request id {id})")?;
        }
        Ok(())
    }
}

impl std::error::Error for ProviderError {}

/// Retry budget of a read-only call.
const PATIENCE: Duration = Duration::from_secs(60);

/// Repeats a read-only call, with growing pauses, until it succeeds or the retry budget is used up.
///
/// # Errors
/// Returns a permanent error at once, and the last other error after the retry budget of one
/// minute.
pub async fn retry_reads<T, F>(ask: impl Fn() -> F) -> Result<T, ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let began = tokio::time::Instant::now();
    let mut pause = Duration::from_secs(1);
    loop {
        match ask().await {
            Err(error)
                if matches!(error.class, ErrorClass::Retryable | ErrorClass::Ambiguous)
                    && began.elapsed() + pause < PATIENCE =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(15));
            }
            answer => return answer,
        }
    }
}

/// Awaits all futures concurrently and returns their outputs in the given order.
///
/// Intended for a few futures (one per kind): every wake-up polls each of them.
pub async fn all<F: Future>(futures: Vec<F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.into_iter().map(Box::pin).collect();
    let mut answers: Vec<Option<F::Output>> = futures.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        for (future, answer) in futures.iter_mut().zip(&mut answers) {
            if answer.is_none()
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                *answer = Some(output);
            }
        }
        if answers.iter().all(Option::is_some) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    answers.into_iter().flatten().collect()
}
