//! The HTTPS client that all AWS clients and credential providers share.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

use super::ca_bundle::{CaBundle, CaBundleError};
use super::connection_failure::{Proxies, naming_peers};

/// Returns an HTTPS client that trusts the CA bundle of the user, or else the system's certificates, and
/// obeys `HTTPS_PROXY` and `NO_PROXY`. The errors of its connections name host, port and proxy. A
/// bundle that cannot be used is the error of every call.
pub(crate) fn client() -> SharedHttpClient {
    let trusted = match CaBundle::of_process().transpose() {
        Ok(bundle) => trust_store(bundle.as_ref()),
        Err(error) => return SharedHttpClient::new(Refusing(error)),
    };
    naming_peers(through(ProxyConfig::from_env(), trusted), Proxies::of_process())
}

/// Returns the certificates of a bundle, or else those of the system.
pub(super) fn trust_store(bundle: Option<&CaBundle>) -> TrustStore {
    match bundle {
        Some(bundle) => TrustStore::empty().with_pem_certificate(bundle.pem()),
        None => TrustStore::default(),
    }
}

/// A client without a usable CA bundle: it sends nothing.
#[derive(Clone, Debug)]
struct Refusing(CaBundleError);

impl HttpConnector for Refusing {
    fn call(&self, _request: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(ConnectorError::user(self.0.clone().into())))
    }
}

impl HttpClient for Refusing {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// Returns an HTTPS client with these proxies and trusted certificates.
///
/// Differs from the SDK's default client in one point: rustls uses ring instead of aws-lc, a C
/// library whose build takes longer than that of the SDK.
pub(super) fn through(proxies: ProxyConfig, trusted: TrustStore) -> SharedHttpClient {
    let context = TlsContext::builder().with_trust_store(trusted).build();
    let context = context.expect("BUG: a trust store is all that is set");
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(proxies.clone()));
        connector.set_tls_context(context.clone());
        connector.build()
    })
}
