//! What a kind's file implements, and the shim that takes its types away.

use std::marker::PhantomData;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::Aws;
use super::facts::Kind;
use super::rehearsal::Subject;
use crate::graph::{Resource, Schema};
use crate::provider::{Class, Known, Look, Observed, ProviderError, Reply, Request};
use crate::secret::Secrets;

/// The result of everything that may ask AWS.
pub(crate) type Result<T, E = ProviderError> = std::result::Result<T, E>;

/// Who a creation is for, besides its inputs.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    /// ClientToken where the API takes one; value of the token tag on everything that takes tags.
    pub(crate) token: String,
    /// What the digests among the inputs stand for.
    pub(crate) secrets: Arc<Secrets>,
}

/// A resource of this kind that the state knows.
#[derive(Clone, Debug)]
pub(crate) struct Recorded<K: Resource> {
    /// The token it was created with.
    pub(crate) token: String,
    /// The inputs it was last given, resolved.
    pub(crate) inputs: K,
    /// Identity and outputs; `None` while the answer to its creation is missing: then look for it
    /// by its token tag or natural key, as [`Manage::find`] does.
    pub(crate) outputs: Option<K::Outputs>,
}

/// What AWS has of a resource of this kind.
#[derive(Clone, Debug)]
pub(crate) struct Live<K: Resource> {
    /// In the shape of the inputs. What cannot be read back is as recorded.
    pub(crate) inputs: K,
    /// As they are now.
    pub(crate) outputs: K::Outputs,
}

/// One look at something that takes time, typed.
#[derive(Clone, Debug)]
pub(crate) enum Seen<O> {
    /// As wanted.
    Done(O),
    /// Not yet, and how far it is.
    NotYet(String),
    /// It never will be.
    Failed(ProviderError),
}

/// The verbs of a kind, typed. Each may be repeated, and must then end the same way.
pub(crate) trait Manage: Kind {
    /// The one call that makes it, with token and tags.
    fn create(
        &self,
        aws: &Aws,
        creation: &Creation,
    ) -> impl Future<Output = Result<Self::Outputs>> + Send;

    /// What a creation with this token has made, if anything.
    fn find(
        &self,
        aws: &Aws,
        creation: &Creation,
    ) -> impl Future<Output = Result<Option<Self::Outputs>>> + Send;

    /// What is left of it, if anything, before it is deleted unseen. Only kinds that are made in
    /// several parts need say anything here: one part is enough.
    fn remains(
        &self,
        aws: &Aws,
        creation: &Creation,
    ) -> impl Future<Output = Result<Option<Self::Outputs>>> + Send {
        self.find(aws, creation)
    }

    /// The calls after the creating one. Only for kinds whose schema says `configures`.
    fn configure(
        &self,
        _aws: &Aws,
        outputs: Self::Outputs,
    ) -> impl Future<Output = Result<Self::Outputs>> + Send {
        async { Ok(outputs) }
    }

    /// One look at all that are waited for. Only for kinds whose schema has `ready`.
    fn ready(
        _aws: &Aws,
        waiting: Vec<Recorded<Self>>,
    ) -> impl Future<Output = Result<Vec<Seen<Self::Outputs>>>> + Send {
        async { Ok(waiting.into_iter().filter_map(|one| one.outputs).map(Seen::Done).collect()) }
    }

    /// All of this kind as they are, in a number of calls that grows by pages only.
    fn observe(
        aws: &Aws,
        recorded: Vec<Recorded<Self>>,
    ) -> impl Future<Output = Result<Vec<Option<Live<Self>>>>> + Send;

    /// Makes the inputs true where `before` differs; `creation` has the token it was made with and
    /// what the digests among the inputs stand for. Kinds whose every input forces a replacement
    /// need not say anything here.
    fn update(
        &self,
        _aws: &Aws,
        _creation: &Creation,
        _before: Recorded<Self>,
    ) -> impl Future<Output = Result<Self::Outputs>> + Send {
        async { unreachable!("BUG: {} cannot change in place", Self::SCHEMA.kind) }
    }

    /// Deletes it; what is gone already is deleted.
    fn delete(
        aws: &Aws,
        inputs: Self,
        outputs: Self::Outputs,
    ) -> impl Future<Output = Result<()>> + Send;

    /// One look at all whose deletion is waited for. Only for kinds whose schema has `gone`.
    fn gone(
        _aws: &Aws,
        waiting: Vec<Self::Outputs>,
    ) -> impl Future<Output = Result<Vec<Seen<()>>>> + Send {
        async move { Ok(waiting.iter().map(|_| Seen::Done(())).collect()) }
    }

    /// Returns the request of an EC2 action with `DryRun`, about a subject; `None` for an action that
    /// is not sent so. A test asks for each that is not in `WITHOUT_DRY_RUN`.
    fn dry_run<'a>(
        _aws: &'a Aws,
        _action: &'static str,
        _about: &Subject,
    ) -> Option<Reply<'a, ()>> {
        None
    }
}

/// [`Manage`] without its types, so that one table can hold every kind.
pub(crate) trait AnyKind: Send + Sync {
    fn schema(&self) -> &'static Schema;
    fn create<'a>(&self, aws: &'a Aws, request: Request) -> Reply<'a, Value>;
    fn find<'a>(&self, aws: &'a Aws, request: Request) -> Reply<'a, Option<Value>>;
    fn remains<'a>(&self, aws: &'a Aws, request: Request) -> Reply<'a, Option<Value>>;
    fn configure<'a>(&self, aws: &'a Aws, request: Request, outputs: Value) -> Reply<'a, Value>;
    fn ready<'a>(&self, aws: &'a Aws, waiting: Vec<Known>) -> Reply<'a, Vec<Look>>;
    fn observe<'a>(&self, aws: &'a Aws, known: Vec<Known>) -> Reply<'a, Vec<Observed>>;
    fn update<'a>(&self, aws: &'a Aws, request: Request, before: Known) -> Reply<'a, Value>;
    fn delete<'a>(&self, aws: &'a Aws, known: Known) -> Reply<'a, ()>;
    fn gone<'a>(&self, aws: &'a Aws, waiting: Vec<Known>) -> Reply<'a, Vec<Look>>;
    fn dry_run<'a>(
        &self,
        aws: &'a Aws,
        action: &'static str,
        about: &Subject,
    ) -> Option<Reply<'a, ()>>;
}

/// A kind as a value.
pub(crate) struct Of<K>(PhantomData<fn() -> K>);

impl<K> Of<K> {
    pub(crate) const NEW: Self = Self(PhantomData);
}

impl<K: Manage> AnyKind for Of<K> {
    fn schema(&self) -> &'static Schema {
        const { &K::SCHEMA }
    }

    fn create<'a>(&self, aws: &'a Aws, request: Request) -> Reply<'a, Value> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            untyped(&inputs.create(aws, &creation).await?)
        })
    }

    fn find<'a>(&self, aws: &'a Aws, request: Request) -> Reply<'a, Option<Value>> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            inputs.find(aws, &creation).await?.as_ref().map(untyped).transpose()
        })
    }

    fn remains<'a>(&self, aws: &'a Aws, request: Request) -> Reply<'a, Option<Value>> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            inputs.remains(aws, &creation).await?.as_ref().map(untyped).transpose()
        })
    }

    fn configure<'a>(&self, aws: &'a Aws, request: Request, outputs: Value) -> Reply<'a, Value> {
        Box::pin(async move {
            let (inputs, _) = split::<K>(request)?;
            untyped(&inputs.configure(aws, typed(outputs)?).await?)
        })
    }

    fn ready<'a>(&self, aws: &'a Aws, waiting: Vec<Known>) -> Reply<'a, Vec<Look>> {
        Box::pin(async move {
            let waiting = waiting.into_iter().map(recorded).collect::<Result<Vec<_>>>()?;
            let seen = <K as Manage>::ready(aws, waiting).await?;
            seen.into_iter().map(|one| look(one, |outputs| untyped(&outputs))).collect()
        })
    }

    fn observe<'a>(&self, aws: &'a Aws, known: Vec<Known>) -> Reply<'a, Vec<Observed>> {
        Box::pin(async move {
            let known = known.into_iter().map(recorded).collect::<Result<Vec<_>>>()?;
            let live = <K as Manage>::observe(aws, known).await?;
            live.into_iter().map(observed).collect()
        })
    }

    fn update<'a>(&self, aws: &'a Aws, request: Request, before: Known) -> Reply<'a, Value> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            untyped(&inputs.update(aws, &creation, recorded(before)?).await?)
        })
    }

    fn delete<'a>(&self, aws: &'a Aws, known: Known) -> Reply<'a, ()> {
        Box::pin(async move {
            <K as Manage>::delete(aws, typed(known.inputs)?, typed(known.outputs)?).await
        })
    }

    fn gone<'a>(&self, aws: &'a Aws, waiting: Vec<Known>) -> Reply<'a, Vec<Look>> {
        Box::pin(async move {
            let outputs: Vec<K::Outputs> =
                waiting.into_iter().map(|one| typed(one.outputs)).collect::<Result<_>>()?;
            let seen = <K as Manage>::gone(aws, outputs).await?;
            seen.into_iter().map(|one| look(one, |()| Ok(Value::Null))).collect()
        })
    }

    fn dry_run<'a>(
        &self,
        aws: &'a Aws,
        action: &'static str,
        about: &Subject,
    ) -> Option<Reply<'a, ()>> {
        <K as Manage>::dry_run(aws, action, about)
    }
}

fn split<K: Resource>(request: Request) -> Result<(K, Creation)> {
    let Request { token, inputs, secrets, .. } = request;
    Ok((typed(inputs)?, Creation { token, secrets }))
}

fn recorded<K: Resource>(known: Known) -> Result<Recorded<K>> {
    let outputs = match known.outputs {
        Value::Null => None,
        outputs => Some(typed(outputs)?),
    };
    Ok(Recorded { token: known.token, inputs: typed(known.inputs)?, outputs })
}

fn observed<K: Resource>(live: Option<Live<K>>) -> Result<Observed> {
    Ok(match live {
        Some(Live { inputs, outputs }) => {
            Observed::Present { inputs: untyped(&inputs)?, outputs: untyped(&outputs)? }
        }
        None => Observed::Missing,
    })
}

fn look<O>(seen: Seen<O>, done: impl FnOnce(O) -> Result<Value>) -> Result<Look> {
    Ok(match seen {
        Seen::Done(outputs) => Look::Done(done(outputs)?),
        Seen::NotYet(word) => Look::NotYet(word),
        Seen::Failed(error) => Look::Failed(error),
    })
}

fn typed<T: DeserializeOwned>(value: Value) -> Result<T> {
    serde_json::from_value(value).map_err(|error| shape(&error))
}

fn untyped<T: Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|error| shape(&error))
}

fn shape(error: &serde_json::Error) -> ProviderError {
    ProviderError::new(
        Class::Refused,
        "state",
        format!("a record has an unexpected shape: {error}"),
    )
    .with_hint("the state was written by another version of groundplan; use that one")
}
