//! Client of the API server, with the credentials of a kubeconfig or a pod. Sends no request.

use std::sync::Arc;

use kube::{Client, Config};

use crate::BoxFuture;

/// Function that makes a client with the current credentials. A kubelet renews its credentials
/// every few weeks, and a client reads them once. A long-running program therefore makes a client
/// for each use.
pub type Connect =
    Arc<dyn Fn() -> BoxFuture<'static, Result<Client, KubeClientError>> + Send + Sync>;

/// Error of making a client.
#[derive(Debug, thiserror::Error)]
pub enum KubeClientError {
    /// No configuration contains the address of the API server.
    #[error(
        "expected a kubeconfig (KUBECONFIG, ~/.kube/config) or the ServiceAccount of a pod, \
         found neither"
    )]
    Unconfigured(#[source] Box<kube::config::InferConfigError>),
    /// The configuration cannot be used.
    #[error("the credentials for the API server are unusable")]
    Unusable(#[source] Box<kube::Error>),
}

/// Returns a function that connects as `kubectl` does: KUBECONFIG, `~/.kube/config`, or the
/// ServiceAccount of the pod.
pub fn inferred() -> Connect {
    Arc::new(|| {
        Box::pin(async {
            let config = Config::infer()
                .await
                .map_err(|error| KubeClientError::Unconfigured(Box::new(error)))?;
            client(config).map_err(|error| KubeClientError::Unusable(Box::new(error)))
        })
    })
}

/// Returns a client that sends each request once. The default client of kube repeats a request up to
/// 15 times after the statuses 429, 503 and 504. Then a caller does not learn that a
/// PodDisruptionBudget rejects an eviction, and a change may be sent long after the caller has lost
/// its leadership. All callers have intervals of their own.
///
/// # Errors
/// Fails if the credentials in the configuration are unusable.
pub fn client(mut config: Config) -> kube::Result<Client> {
    config.default_retry = false;
    Client::try_from(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_speaks_tls_with_the_library_that_is_there() {
        let config = Config::new("https://127.0.0.1:6443".parse().unwrap());
        assert!(client(config).is_ok());
    }
}
