//! Dispatches provider calls to the kinds, by the registry. Has no code for any single kind.

use aws_config::SdkConfig;
use groundplan_engine::graph::Schema;
use groundplan_engine::provider::{
    ErrorClass, Observed, Poll, Provider, ProviderError, ProviderFuture, RecordedResource, Request,
    Schemas,
};
use serde_json::Value;

use crate::client::resource_type::DynKind;
use crate::client::{Aws, AwsSettings, configuration};
use crate::registry::{REGISTRY, calls};

impl Aws {
    /// Makes clients with the same credentials, profile, proxy and endpoints as other AWS tools.
    pub async fn connect(settings: AwsSettings) -> Self {
        let config = configuration(&settings.region).await;
        Self::new(&config, settings)
    }

    /// Makes clients with the credentials and endpoint of an existing configuration.
    pub fn new(config: &SdkConfig, settings: AwsSettings) -> Self {
        Self::of(config, settings, REGISTRY)
    }
}

impl Schemas for Aws {
    fn schema(&self, kind: &str) -> Option<&'static Schema> {
        calls(kind).map(DynKind::schema)
    }
}

impl Provider for Aws {
    fn create(&self, request: Request) -> ProviderFuture<'_, Value> {
        of(request.kind(), |kind| kind.create(self, request.clone()))
    }

    fn find(&self, request: Request) -> ProviderFuture<'_, Option<Value>> {
        of(request.kind(), |kind| kind.find(self, request.clone()))
    }

    fn find_any_part(&self, request: Request) -> ProviderFuture<'_, Option<Value>> {
        of(request.kind(), |kind| kind.find_any_part(self, request.clone()))
    }

    fn configure(&self, request: Request, outputs: Value) -> ProviderFuture<'_, Value> {
        of(request.kind(), |kind| kind.configure(self, request.clone(), outputs))
    }

    fn ready(&self, kind: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>> {
        of(&kind, |kind| kind.ready(self, waiting))
    }

    fn update(&self, request: Request, before: RecordedResource) -> ProviderFuture<'_, Value> {
        of(request.kind(), |kind| kind.update(self, request.clone(), before))
    }

    fn delete(&self, known: RecordedResource) -> ProviderFuture<'_, ()> {
        of(known.address.kind(), |kind| kind.delete(self, known.clone()))
    }

    fn gone(&self, kind: String, waiting: Vec<RecordedResource>) -> ProviderFuture<'_, Vec<Poll>> {
        of(&kind, |kind| kind.gone(self, waiting))
    }

    fn refresh(
        &self,
        kind: String,
        known: Vec<RecordedResource>,
    ) -> ProviderFuture<'_, Vec<Observed>> {
        of(&kind, |kind| kind.refresh(self, known))
    }
}

/// Calls the kind's code. An unknown kind is an error: another version may have written the state.
fn of<'a, T: Send + 'a>(
    name: &str,
    ask: impl FnOnce(&'static dyn DynKind) -> ProviderFuture<'a, T>,
) -> ProviderFuture<'a, T> {
    match calls(name) {
        Some(kind) => ask(kind),
        None => {
            let error = ProviderError::new(
                ErrorClass::Permanent,
                "state",
                format!("unknown kind `{name}`"),
            )
            .with_hint("use the version of groundplan that wrote the state");
            Box::pin(async move { Err(error) })
        }
    }
}
