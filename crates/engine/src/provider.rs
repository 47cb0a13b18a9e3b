//! The one door to the outside world.
//!
//! [`Schemas`] is all the planner may know of a cloud, [`Provider`] all the engine may ask of one.
//! Every call of a provider may be repeated after a crash and must then end the same way.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::graph::{Address, Schema};
use crate::secret::Secrets;

/// A boxed future, so that one table can hold every kind.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
/// What every question to a provider is answered with.
pub type Reply<'a, T> = BoxFuture<'a, Result<T, ProviderError>>;

/// All the planner may know of a cloud. Nothing here can do I/O.
pub trait Schemas: Send + Sync {
    /// The facts about a kind, if it is one of ours.
    fn schema(&self, kind: &str) -> Option<&'static Schema>;
}

/// What a mutating call is about.
#[derive(Clone, Debug)]
pub struct Request {
    /// Which resource.
    pub address: Address,
    /// Identity decided before the call: sent as ClientToken where the API takes one and written
    /// as a tag at creation, so that asking twice makes one thing and a lost one can be found.
    pub token: String,
    /// The inputs, every reference resolved.
    pub inputs: Value,
    /// What the digests among the inputs stand for.
    pub secrets: Arc<Secrets>,
}

impl Request {
    /// The kind of the resource.
    pub fn kind(&self) -> &str {
        self.address.kind()
    }
}

/// Something that exists as far as the state knows: what is waited for or looked up.
#[derive(Clone, Debug)]
pub struct Known {
    /// Which resource.
    pub address: Address,
    /// The token it was created with.
    pub token: String,
    /// The inputs it was last given, resolved.
    pub inputs: Value,
    /// Its identity and outputs; `null` while the answer to its creation is still missing.
    pub outputs: Value,
}

/// What the cloud says of a known resource.
#[derive(Clone, Debug, PartialEq)]
pub enum Observed {
    /// It is there.
    Present {
        /// As the cloud has it, in the shape of the kind's inputs. What cannot be read back
        /// (secrets, what has no Describe) is as recorded.
        inputs: Value,
        /// Its outputs as they are now.
        outputs: Value,
    },
    /// It is not there.
    Missing,
}

/// The answer of one look at something that takes time.
#[derive(Clone, Debug, PartialEq)]
pub enum Look {
    /// It has come to be as wanted (or, after a delete, it is gone); with its outputs.
    Done(Value),
    /// Not yet; the word says how far it is (`pending`, `provisioning`).
    NotYet(String),
    /// It never will be: the cloud says that it failed.
    Failed(ProviderError),
}

/// All the engine may ask of a cloud.
pub trait Provider: Schemas {
    /// The call that makes it. Answers with identity and outputs, ready or not.
    fn create(&self, request: Request) -> Reply<'_, Value>;
    /// What was made with this token, if anything: asked before a creation is repeated.
    fn find(&self, request: Request) -> Reply<'_, Option<Value>>;
    /// What is left of it, if anything: asked before something is deleted that nobody has seen. Of
    /// what is made in parts, one part is enough, where [`find`](Self::find) wants all of them.
    fn remains(&self, request: Request) -> Reply<'_, Option<Value>> {
        self.find(request)
    }
    /// The calls after the creating one (attributes, attachments), each safe to repeat.
    fn configure(&self, request: Request, outputs: Value) -> Reply<'_, Value>;
    /// Looks once at everything of one kind that is waited for, in the order given.
    fn ready(&self, kind: String, waiting: Vec<Known>) -> Reply<'_, Vec<Look>>;
    /// Changes in place what differs between `before` and the request's inputs.
    fn update(&self, request: Request, before: Known) -> Reply<'_, Value>;
    /// Deletes it; what is gone already is deleted.
    fn delete(&self, known: Known) -> Reply<'_, ()>;
    /// Looks once at everything of one kind whose deletion is waited for.
    fn gone(&self, kind: String, waiting: Vec<Known>) -> Reply<'_, Vec<Look>>;
    /// Looks up everything of one kind, in a number of calls that does not grow with the number
    /// of objects but by pages; answers in the order given.
    fn observe(&self, kind: String, known: Vec<Known>) -> Reply<'_, Vec<Observed>>;
}

/// What the engine does about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The answer is final and nothing was done: wrong input, missing permission, a limit.
    Refused,
    /// Nothing was done and the same call may well go through in a moment: throttled, or something
    /// it needs is not visible yet.
    Again,
    /// It may or may not have been done: no answer, or a 5xx. Find out before asking again.
    Unknown,
    /// Nothing was done, and with this token nothing will be: it has made something before, which
    /// is gone by now or was asked for in other words.
    Spent,
}

/// Our code for: the lock of the state is lost, so this call has not left.
pub const FENCED: &str = "Fenced";
/// Our code for: a stop was asked for, so this call has not left.
pub const STOPPED: &str = "Stopped";
/// Our code for: somebody has protected it, so this call has not left.
pub const PROTECTED: &str = "Protected";
/// Our code for: what has this name was not made by this creation.
pub const NOT_OURS: &str = "NotOurs";

/// Why a call did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderError {
    /// What the engine does about it.
    pub class: Class,
    /// The call, as AWS names it (`RunInstances`).
    pub call: String,
    /// The error code, as AWS names it (`InsufficientInstanceCapacity`).
    pub code: Option<String>,
    /// What the cloud said.
    pub message: String,
    /// What to quote to AWS support.
    pub request_id: Option<String>,
    /// What a person can do about it.
    pub hint: Option<String>,
    /// How long to wait before asking again, where the cloud or we have an idea.
    pub after: Option<Duration>,
}

impl ProviderError {
    /// An error of this class in this call.
    pub fn new(class: Class, call: &str, message: impl Into<String>) -> Self {
        Self {
            class,
            call: call.to_owned(),
            code: None,
            message: message.into(),
            request_id: None,
            hint: None,
            after: None,
        }
    }

    /// The same with a code.
    #[must_use]
    pub fn with_code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// The same with something a person can do.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Whether the code is one of these.
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

/// How long a question that changes nothing is asked again when it gets no answer that counts.
const PATIENCE: Duration = Duration::from_secs(60);

/// The answer to a question that changes nothing: asked again, with growing pauses, for as long as
/// what went wrong may pass.
///
/// # Errors
/// What is final at once, and what has not passed within a minute.
pub async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, ProviderError>
where
    F: Future<Output = Result<T, ProviderError>>,
{
    let began = tokio::time::Instant::now();
    let mut pause = Duration::from_secs(1);
    loop {
        match ask().await {
            Err(error)
                if matches!(error.class, Class::Again | Class::Unknown)
                    && began.elapsed() + pause < PATIENCE =>
            {
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(Duration::from_secs(15));
            }
            answer => return answer,
        }
    }
}

/// Awaits all futures at once and answers in their order.
///
/// For a handful of futures (one per kind): every wake-up polls each of them.
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
