//! The HTTPS client that all AWS clients and credential providers share.

use aws_smithy_http_client::proxy::ProxyConfig;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_http_client::{Builder, ConnectorBuilder};
use aws_smithy_runtime_api::client::http::SharedHttpClient;

use super::connection_failure::{Proxies, naming_peers};

/// Returns an HTTPS client that trusts the system's certificates and obeys `HTTPS_PROXY` and
/// `NO_PROXY`. The errors of its connections name host, port and proxy.
pub(crate) fn client() -> SharedHttpClient {
    naming_peers(through(ProxyConfig::from_env()), Proxies::of_process())
}

/// Returns an HTTPS client with these proxies.
///
/// Differs from the SDK's default client in one point: rustls uses ring instead of aws-lc, a C
/// library whose build takes longer than that of the SDK.
pub(super) fn through(proxies: ProxyConfig) -> SharedHttpClient {
    Builder::new().build_with_connector_fn(move |settings, components| {
        let mut connector =
            ConnectorBuilder::default().tls_provider(Provider::Rustls(CryptoMode::Ring));
        connector.set_connector_settings(settings.cloned());
        if let Some(components) = components {
            connector.set_sleep_impl(components.sleep_impl());
        }
        connector.set_proxy_config(Some(proxies.clone()));
        connector.build()
    })
}
