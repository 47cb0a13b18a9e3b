//! Calls of a step to the provider, with all their arguments.

use serde_json::Value;

use crate::provider::{Provider, ProviderError, RecordedResource, Request};

/// Call of a step, with all its arguments.
#[derive(Clone, Debug)]
pub(super) enum Call {
    Find(Request),
    Remains(Request),
    Create(Request),
    Configure(Request, Value),
    Update(Request, RecordedResource),
    Delete(RecordedResource),
}

/// Result of a successful call.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Reply {
    /// Result of a search; `None` if there is no such resource.
    Found(Option<Value>),
    /// Outputs after a creation, a configuration or an update.
    Outputs(Value),
    /// The deletion was accepted.
    Deleted,
}

impl Call {
    /// Sends the call.
    pub(super) async fn send(self, provider: &dyn Provider) -> Result<Reply, ProviderError> {
        match self {
            Call::Find(request) => provider.find(request).await.map(Reply::Found),
            Call::Remains(request) => provider.find_any_part(request).await.map(Reply::Found),
            Call::Create(request) => provider.create(request).await.map(Reply::Outputs),
            Call::Configure(request, outputs) => {
                provider.configure(request, outputs).await.map(Reply::Outputs)
            }
            Call::Update(request, before) => {
                provider.update(request, before).await.map(Reply::Outputs)
            }
            Call::Delete(known) => provider.delete(known).await.map(|()| Reply::Deleted),
        }
    }
}
