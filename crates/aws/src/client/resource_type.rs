//! The operations that a kind's file implements, and the shim that erases their types.

use std::marker::PhantomData;
use std::sync::Arc;

use groundplan_engine::graph::{Resource, Schema};
use groundplan_engine::plan::UnmanagedDrift;
use groundplan_engine::provider::{
    ErrorClass, Observed, Poll, ProviderError, ProviderFuture, RecordedResource, Request,
};
use groundplan_engine::secret::Secrets;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Aws;
use crate::client::dry_run::DryRunTarget;
use crate::facts::Kind;
use crate::facts::KindFacts;
use crate::model::attachment::Attachment;
use crate::model::protection::DeletionProtection;

/// The result of operations that may call AWS.
pub(crate) type Result<T, E = ProviderError> = std::result::Result<T, E>;

/// The protection of a resource against deletion, if it has one, or the error of its read.
pub(crate) type ReadProtection = Result<Option<DeletionProtection>>;

/// The part of a creation request besides the inputs.
#[derive(Clone, Debug)]
pub(crate) struct Creation {
    /// The creation token: `ClientToken` where the API takes one, and the value of the token tag on
    /// every resource that can have tags.
    pub(crate) token: String,
    /// The secret values that digests among the inputs stand for.
    pub(crate) secrets: Arc<Secrets>,
}

/// A recorded resource of this kind.
#[derive(Clone, Debug)]
pub(crate) struct Recorded<K: Resource> {
    /// The creation token of the resource.
    pub(crate) token: String,
    /// The inputs of the last creation or update, with references resolved.
    pub(crate) inputs: K,
    /// Identity and outputs. `None` while the creation is in doubt: the caller then searches by
    /// token tag or natural key, as [`KindOperations::find`] does.
    pub(crate) outputs: Option<K::Outputs>,
}

/// The live state of a resource of this kind.
#[derive(Clone, Debug)]
pub(crate) struct Live<K: Resource> {
    /// The live values, in the shape of the inputs. Inputs that AWS does not return are as
    /// recorded.
    pub(crate) inputs: K,
    /// The live outputs.
    pub(crate) outputs: K::Outputs,
    /// Drift outside the inputs. Most kinds report none.
    pub(crate) unmanaged: Vec<UnmanagedDrift>,
}

impl<K: Resource> Live<K> {
    /// Returns a live state without unmanaged drift.
    pub(crate) fn new(inputs: K, outputs: K::Outputs) -> Self {
        Self { inputs, outputs, unmanaged: Vec::new() }
    }
}

/// The result of one poll of a resource, typed.
pub(crate) type PollResult<O> = Poll<O>;

/// The operations of a kind, typed. Each operation is safe to repeat, with the same result.
pub(crate) trait KindOperations: Kind {
    /// Creates the resource by one call, with token and tags.
    fn create(
        &self,
        aws: &Aws,
        creation: &Creation,
    ) -> impl Future<Output = Result<Self::Outputs>> + Send;

    /// Returns the outputs of the resource that a creation with this token has made; `None` if
    /// there is none.
    fn find(
        &self,
        aws: &Aws,
        creation: &Creation,
    ) -> impl Future<Output = Result<Option<Self::Outputs>>> + Send;

    /// Returns the outputs if any part of the resource exists. Called before the deletion of a
    /// resource that refresh has not found. Only kinds that are created in several parts need their
    /// own implementation.
    fn find_any_part(
        &self,
        aws: &Aws,
        creation: &Creation,
    ) -> impl Future<Output = Result<Option<Self::Outputs>>> + Send {
        self.find(aws, creation)
    }

    /// Makes the calls that follow the creating one. Only for kinds with `configures` in their
    /// schema.
    fn configure(
        &self,
        _aws: &Aws,
        outputs: Self::Outputs,
    ) -> impl Future<Output = Result<Self::Outputs>> + Send {
        async { Ok(outputs) }
    }

    /// Polls all resources of the kind that are waited for. Only for kinds with `ready` in their
    /// schema.
    fn ready(
        _aws: &Aws,
        waiting: Vec<Recorded<Self>>,
    ) -> impl Future<Output = Result<Vec<PollResult<Self::Outputs>>>> + Send {
        async {
            Ok(waiting.into_iter().filter_map(|one| one.outputs).map(PollResult::Ready).collect())
        }
    }

    /// Refreshes all recorded resources of the kind. The number of calls grows only with result
    /// pages.
    fn refresh(
        aws: &Aws,
        recorded: Vec<Recorded<Self>>,
    ) -> impl Future<Output = Result<Vec<Option<Live<Self>>>>> + Send;

    /// Updates the resource where the inputs differ from `before`. `creation` has the original
    /// token and the secret values behind digests. Kinds whose inputs are all force-new do not need
    /// an implementation.
    fn update(
        &self,
        _aws: &Aws,
        _creation: &Creation,
        _before: Recorded<Self>,
    ) -> impl Future<Output = Result<Self::Outputs>> + Send {
        async { unreachable!("BUG: {} cannot change in place", Self::SCHEMA.kind) }
    }

    /// Reverts unmanaged drift that refresh has reported. Drift that no longer exists counts as
    /// reverted. Only for kinds that report unmanaged drift.
    fn revert(
        &self,
        _aws: &Aws,
        _outputs: &Self::Outputs,
        _drift: &[UnmanagedDrift],
    ) -> impl Future<Output = Result<()>> + Send {
        async { unreachable!("BUG: {} reports no unmanaged drift", Self::SCHEMA.kind) }
    }

    /// Deletes the resource. A resource that no longer exists counts as deleted.
    fn delete(
        aws: &Aws,
        inputs: Self,
        outputs: Self::Outputs,
    ) -> impl Future<Output = Result<()>> + Send;

    /// Polls all resources of the kind whose deletion is waited for. Only for kinds with `gone` in
    /// their schema.
    fn gone(
        _aws: &Aws,
        waiting: Vec<Self::Outputs>,
    ) -> impl Future<Output = Result<Vec<PollResult<()>>>> + Send {
        async move { Ok(waiting.iter().map(|_| PollResult::Ready(())).collect()) }
    }

    /// Returns the protection of each of these resources against deletion, in the given order.
    /// Called before a plan deletes them. Only for kinds that AWS can protect.
    fn protections(
        _aws: &Aws,
        doomed: Vec<Self::Outputs>,
    ) -> impl Future<Output = Vec<ReadProtection>> + Send {
        async move { doomed.iter().map(|_| Ok(None)).collect() }
    }

    /// Returns the attachments that the deletion of each of these resources ends, in the given order.
    /// Called before a plan deletes them. Only for kinds to which others can attach something that
    /// the deletion ends.
    fn attachments(
        _aws: &Aws,
        doomed: Vec<Self::Outputs>,
    ) -> impl Future<Output = Result<Vec<Vec<Attachment>>>> + Send {
        async move { Ok(doomed.iter().map(|_| Vec::new()).collect()) }
    }

    /// Returns the dry-run request of an EC2 action about a subject. `None` if the action is not
    /// sent as a dry run; a test checks that each such action is in `WITHOUT_DRY_RUN`.
    fn dry_run<'a>(
        _aws: &'a Aws,
        _action: &'static str,
        _about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        None
    }
}

/// [`KindOperations`] with erased types, so that one table can hold every kind.
pub(crate) trait DynKind: Send + Sync {
    fn schema(&self) -> &'static Schema;
    fn create<'a>(&self, aws: &'a Aws, request: Request) -> ProviderFuture<'a, Value>;
    fn find<'a>(&self, aws: &'a Aws, request: Request) -> ProviderFuture<'a, Option<Value>>;
    fn find_any_part<'a>(
        &self,
        aws: &'a Aws,
        request: Request,
    ) -> ProviderFuture<'a, Option<Value>>;
    fn configure<'a>(
        &self,
        aws: &'a Aws,
        request: Request,
        outputs: Value,
    ) -> ProviderFuture<'a, Value>;
    fn ready<'a>(
        &self,
        aws: &'a Aws,
        waiting: Vec<RecordedResource>,
    ) -> ProviderFuture<'a, Vec<Poll>>;
    fn refresh<'a>(
        &self,
        aws: &'a Aws,
        known: Vec<RecordedResource>,
    ) -> ProviderFuture<'a, Vec<Observed>>;
    fn update<'a>(
        &self,
        aws: &'a Aws,
        request: Request,
        before: RecordedResource,
    ) -> ProviderFuture<'a, Value>;
    fn delete<'a>(&self, aws: &'a Aws, known: RecordedResource) -> ProviderFuture<'a, ()>;
    fn gone<'a>(
        &self,
        aws: &'a Aws,
        waiting: Vec<RecordedResource>,
    ) -> ProviderFuture<'a, Vec<Poll>>;
    fn protections<'a>(
        &self,
        aws: &'a Aws,
        doomed: Vec<Value>,
    ) -> ProviderFuture<'a, Vec<ReadProtection>>;
    fn attachments<'a>(
        &self,
        aws: &'a Aws,
        doomed: Vec<Value>,
    ) -> ProviderFuture<'a, Vec<Vec<Attachment>>>;
    fn dry_run<'a>(
        &self,
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>>;
}

/// A kind as a value.
pub(crate) struct ErasedKind<K>(PhantomData<fn() -> K>);

impl<K> ErasedKind<K> {
    pub(crate) const NEW: Self = Self(PhantomData);
}

impl<K: KindOperations> DynKind for ErasedKind<K> {
    fn schema(&self) -> &'static Schema {
        const { &K::SCHEMA }
    }

    fn create<'a>(&self, aws: &'a Aws, request: Request) -> ProviderFuture<'a, Value> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            untyped(&inputs.create(aws, &creation).await?)
        })
    }

    fn find<'a>(&self, aws: &'a Aws, request: Request) -> ProviderFuture<'a, Option<Value>> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            inputs.find(aws, &creation).await?.as_ref().map(untyped).transpose()
        })
    }

    fn find_any_part<'a>(
        &self,
        aws: &'a Aws,
        request: Request,
    ) -> ProviderFuture<'a, Option<Value>> {
        Box::pin(async move {
            let (inputs, creation) = split::<K>(request)?;
            inputs.find_any_part(aws, &creation).await?.as_ref().map(untyped).transpose()
        })
    }

    fn configure<'a>(
        &self,
        aws: &'a Aws,
        request: Request,
        outputs: Value,
    ) -> ProviderFuture<'a, Value> {
        Box::pin(async move {
            let (inputs, _) = split::<K>(request)?;
            untyped(&inputs.configure(aws, typed(outputs)?).await?)
        })
    }

    fn ready<'a>(
        &self,
        aws: &'a Aws,
        waiting: Vec<RecordedResource>,
    ) -> ProviderFuture<'a, Vec<Poll>> {
        Box::pin(async move {
            let waiting = waiting.into_iter().map(to_recorded).collect::<Result<Vec<_>>>()?;
            let seen = <K as KindOperations>::ready(aws, waiting).await?;
            seen.into_iter().map(|one| to_poll(one, |outputs| untyped(&outputs))).collect()
        })
    }

    fn refresh<'a>(
        &self,
        aws: &'a Aws,
        known: Vec<RecordedResource>,
    ) -> ProviderFuture<'a, Vec<Observed>> {
        Box::pin(async move {
            let known = known.into_iter().map(to_recorded).collect::<Result<Vec<_>>>()?;
            let live = <K as KindOperations>::refresh(aws, known).await?;
            live.into_iter().map(to_observed).collect()
        })
    }

    fn update<'a>(
        &self,
        aws: &'a Aws,
        request: Request,
        before: RecordedResource,
    ) -> ProviderFuture<'a, Value> {
        Box::pin(async move {
            let drift = request.revert.clone();
            let (inputs, creation) = split::<K>(request)?;
            let outputs = inputs.update(aws, &creation, to_recorded(before)?).await?;
            if !drift.is_empty() {
                inputs.revert(aws, &outputs, &drift).await?;
            }
            untyped(&outputs)
        })
    }

    fn delete<'a>(&self, aws: &'a Aws, known: RecordedResource) -> ProviderFuture<'a, ()> {
        Box::pin(async move {
            <K as KindOperations>::delete(aws, typed(known.inputs)?, typed(known.outputs)?).await
        })
    }

    fn gone<'a>(
        &self,
        aws: &'a Aws,
        waiting: Vec<RecordedResource>,
    ) -> ProviderFuture<'a, Vec<Poll>> {
        Box::pin(async move {
            let outputs: Vec<K::Outputs> =
                waiting.into_iter().map(|one| typed(one.outputs)).collect::<Result<_>>()?;
            let seen = <K as KindOperations>::gone(aws, outputs).await?;
            seen.into_iter().map(|one| to_poll(one, |()| Ok(Value::Null))).collect()
        })
    }

    fn protections<'a>(
        &self,
        aws: &'a Aws,
        doomed: Vec<Value>,
    ) -> ProviderFuture<'a, Vec<ReadProtection>> {
        Box::pin(async move {
            let doomed = doomed.into_iter().map(typed).collect::<Result<Vec<K::Outputs>>>()?;
            Ok(<K as KindOperations>::protections(aws, doomed).await)
        })
    }

    fn attachments<'a>(
        &self,
        aws: &'a Aws,
        doomed: Vec<Value>,
    ) -> ProviderFuture<'a, Vec<Vec<Attachment>>> {
        Box::pin(async move {
            let doomed = doomed.into_iter().map(typed).collect::<Result<Vec<K::Outputs>>>()?;
            <K as KindOperations>::attachments(aws, doomed).await
        })
    }

    fn dry_run<'a>(
        &self,
        aws: &'a Aws,
        action: &'static str,
        about: &DryRunTarget,
    ) -> Option<ProviderFuture<'a, ()>> {
        <K as KindOperations>::dry_run(aws, action, about)
    }
}

fn split<K: Resource>(request: Request) -> Result<(K, Creation)> {
    let Request { token, inputs, secrets, .. } = request;
    Ok((typed(inputs)?, Creation { token, secrets }))
}

fn to_recorded<K: Resource>(known: RecordedResource) -> Result<Recorded<K>> {
    let outputs = match known.outputs {
        Value::Null => None,
        outputs => Some(typed(outputs)?),
    };
    Ok(Recorded { token: known.token, inputs: typed(known.inputs)?, outputs })
}

fn to_observed<K: Resource>(live: Option<Live<K>>) -> Result<Observed> {
    Ok(match live {
        Some(Live { inputs, outputs, unmanaged }) => {
            let (inputs, outputs) = (untyped(&inputs)?, untyped(&outputs)?);
            Observed::Present { inputs, outputs, unmanaged }
        }
        None => Observed::Missing,
    })
}

fn to_poll<O>(seen: PollResult<O>, done: impl FnOnce(O) -> Result<Value>) -> Result<Poll> {
    Ok(match seen {
        PollResult::Ready(outputs) => Poll::Ready(done(outputs)?),
        PollResult::Pending(word) => Poll::Pending(word),
        PollResult::Failed(error) => Poll::Failed(error),
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
        ErrorClass::Permanent,
        "state",
        format!("a record has an unexpected format: {error}"),
    )
    .with_hint("use the version of groundplan that wrote the state")
}

/// All kinds, for the parts of the client that need every one of them.
#[derive(Clone, Copy)]
pub(crate) struct Registry {
    /// The facts of every kind.
    pub(crate) facts: &'static [KindFacts],
    /// The operations of every kind.
    pub(crate) calls: &'static [&'static dyn DynKind],
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry").field("facts", &self.facts.len()).finish_non_exhaustive()
    }
}
