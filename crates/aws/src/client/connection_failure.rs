//! Failed connections with their peer: host and port of the endpoint, and the proxy in between. The
//! errors of the SDK name neither. Changes no request.

use std::env;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::{
    RuntimeComponents, RuntimeComponentsBuilder,
};
use aws_smithy_types::config_bag::ConfigBag;
use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::errors::links;

/// Host and port of a server, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Scheme, host and port, without a path and without credentials.
    origin: String,
    host: String,
    /// Proxy of the connection; `None` for a direct one.
    proxy: Option<UsedProxy>,
}

/// Proxy of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
struct UsedProxy {
    /// Host and port. The URL itself may have a password.
    server: String,
    /// Environment variable with the URL of the proxy.
    variable: &'static str,
}

/// A failed connection: its peer and the error of the SDK.
#[derive(Debug)]
pub(crate) struct ConnectionFailure {
    peer: Peer,
    source: BoxError,
}

impl fmt::Display for ConnectionFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.peer.server())?;
        match &self.peer.proxy {
            Some(proxy) => {
                write!(f, " through the proxy {} of {}", proxy.server, proxy.variable)
            }
            None => Ok(()),
        }
    }
}

impl Error for ConnectionFailure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.source.as_ref())
    }
}

impl ConnectionFailure {
    /// Returns the cause as the operating system reports it; `None` for a failure of another layer.
    pub(crate) fn system_error(&self) -> Option<String> {
        let source = links(self.source.as_ref()).find_map(|link| link.downcast_ref::<io::Error>());
        source.map(ToString::to_string)
    }

    /// Returns the actions of the user after a connection that could not be opened.
    pub(crate) fn hint(&self) -> String {
        let Peer { origin, host, proxy } = &self.peer;
        if self.is_of_the_certificate() {
            return format!(
                "if a proxy or an endpoint of yours signs the certificate of {host}, set AWS_CA_BUNDLE, \
                 or `ca_bundle` of the AWS profile, to the PEM file of its certificate authority; \
                 `openssl s_client -connect {} -showcerts` shows who signed it",
                self.peer.server()
            );
        }
        if let Some(proxy) = proxy {
            let (server, variable) = (&proxy.server, proxy.variable);
            return format!(
                "check that the proxy {server} runs, correct or unset {variable}, or add `{host}` to \
                 NO_PROXY for a direct connection"
            );
        }
        if self.is_of_the_name() {
            return format!(
                "check the spelling of the region and of configured endpoints (AWS_ENDPOINT_URL, \
                 `platform.aws.serviceEndpoints`), and the name server of this host (`getent hosts \
                 {host}`); for a network with a proxy, set HTTPS_PROXY"
            );
        }
        format!(
            "check the connection (`curl -sI {origin}`), the firewall, and configured endpoints \
             (AWS_ENDPOINT_URL, `platform.aws.serviceEndpoints`); for a network with a proxy, set \
             HTTPS_PROXY"
        )
    }

    /// Returns true if the certificate of the server is not trusted.
    fn is_of_the_certificate(&self) -> bool {
        // rustls' message (`Error::InvalidCertificate`).
        links(self.source.as_ref())
            .any(|link| link.to_string().starts_with("invalid peer certificate"))
    }

    /// Returns true if the name of the host has no address.
    fn is_of_the_name(&self) -> bool {
        // hyper's message; its error type is private.
        links(self.source.as_ref()).any(|link| link.to_string() == "dns error")
    }
}

impl Peer {
    fn server(&self) -> String {
        self.origin.split_once("://").map_or(self.origin.as_str(), |(_, server)| server).to_owned()
    }
}

/// Proxies by the scheme and the host of a request.
pub(super) struct Proxies {
    matcher: Matcher,
    is_set: fn(&str) -> bool,
}

impl Proxies {
    /// Returns the proxies of the environment. The SDK selects by the same rules.
    pub(super) fn of_process() -> Self {
        let is_set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        Self { matcher: Matcher::from_env(), is_set }
    }

    /// Returns the peer of a request; `None` if its address is invalid.
    fn peer(&self, address: &str) -> Option<Peer> {
        let url = Url::parse(address).ok()?;
        let (host, port) = (url.host_str()?.to_owned(), url.port_or_known_default()?);
        let origin = format!("{}://{host}:{port}", url.scheme());
        let proxy = address.parse().ok().and_then(|uri| self.matcher.intercept(&uri));
        let proxy = proxy.and_then(|proxy| {
            let uri = proxy.uri();
            let port =
                uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
            let variable = self.variable(url.scheme())?;
            Some(UsedProxy { server: format!("{}:{port}", uri.host()?), variable })
        });
        Some(Peer { origin, host, proxy })
    }

    /// Returns the variable that sets the proxy of a scheme.
    fn variable(&self, scheme: &str) -> Option<&'static str> {
        let of_scheme = match scheme {
            "https" => ["HTTPS_PROXY", "https_proxy"],
            _ => ["HTTP_PROXY", "http_proxy"],
        };
        let names = of_scheme.into_iter().chain(["ALL_PROXY", "all_proxy"]);
        names.into_iter().find(|name| (self.is_set)(name))
    }
}

/// Returns the client with errors that name the peer of the failed connection.
pub(super) fn naming_peers(client: SharedHttpClient, proxies: Proxies) -> SharedHttpClient {
    SharedHttpClient::new(NamingClient { client, proxies: Arc::new(proxies) })
}

/// A client whose errors name the peer.
struct NamingClient {
    client: SharedHttpClient,
    proxies: Arc<Proxies>,
}

impl fmt::Debug for NamingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamingClient").finish_non_exhaustive() // proxies may have passwords
    }
}

impl HttpClient for NamingClient {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        let connector = self.client.http_connector(settings, components);
        let proxies = Arc::clone(&self.proxies);
        SharedHttpConnector::new(NamingConnector { connector, proxies })
    }

    fn validate_base_client_config(
        &self,
        components: &RuntimeComponentsBuilder,
        bag: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.client.validate_base_client_config(components, bag)
    }

    fn validate_final_config(
        &self,
        components: &RuntimeComponents,
        bag: &ConfigBag,
    ) -> Result<(), BoxError> {
        self.client.validate_final_config(components, bag)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.client.connector_metadata()
    }
}

/// A connector whose errors name the peer.
struct NamingConnector {
    connector: SharedHttpConnector,
    proxies: Arc<Proxies>,
}

impl fmt::Debug for NamingConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NamingConnector").finish_non_exhaustive()
    }
}

impl HttpConnector for NamingConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let peer = self.proxies.peer(request.uri());
        let response = self.connector.call(request);
        HttpConnectorFuture::new(async move {
            response.await.map_err(|error| match peer {
                Some(peer) => named(error, peer),
                None => error,
            })
        })
    }
}

/// Adds the peer to an error. The kind stays, because it decides about retries.
fn named(error: ConnectorError, peer: Peer) -> ConnectorError {
    type Make = fn(BoxError) -> ConnectorError;
    let make: Make = match () {
        () if error.is_timeout() => ConnectorError::timeout,
        () if error.is_user() => ConnectorError::user,
        () if error.is_io() => ConnectorError::io,
        () => {
            let kind = error.as_other();
            let source = error.into_source();
            return ConnectorError::other(ConnectionFailure { peer, source }.into(), kind);
        }
    };
    let connection = error.connection_metadata().cloned();
    let failure = make(ConnectionFailure { peer, source: error.into_source() }.into());
    match connection {
        Some(connection) => failure.with_connection(connection),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use aws_smithy_http_client::proxy::ProxyConfig;
    use groundplan_engine::provider::{ErrorClass, ProviderError};

    use super::super::https::{through, trust_store};
    use super::*;
    use crate::AwsSettings;
    use crate::client::hints::UNREACHABLE;
    use crate::client::tests::over;

    /// Returns the address of a port that no server listens on.
    fn closed() -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    }

    fn proxies(https: &str) -> Proxies {
        let matcher = Matcher::builder().https(https.to_owned()).no("direct.test".to_owned());
        Proxies { matcher: matcher.build(), is_set: |name| name == "https_proxy" }
    }

    async fn failed(endpoint: &str, proxy: Option<&str>) -> ProviderError {
        let config = match proxy {
            Some(proxy) => ProxyConfig::https(proxy).unwrap(),
            None => ProxyConfig::disabled(),
        };
        let client =
            naming_peers(through(config, trust_store(None)), proxies(proxy.unwrap_or_default()));
        let endpoints = [("ec2".to_owned(), endpoint.to_owned())].into();
        let aws = over(client, AwsSettings { endpoints, ..AwsSettings::default() });
        let call = aws.ec2.create_vpc().cidr_block("10.0.0.0/16").send();
        aws.call("ec2", "CreateVpc", call).await.unwrap_err()
    }

    #[tokio::test]
    async fn a_refused_connection_names_host_and_port() {
        let server = closed();
        let error = failed(&format!("http://{server}"), None).await;
        assert!(error.is(&[UNREACHABLE]) && error.class == ErrorClass::Permanent, "{error:?}");
        let text = format!("could not connect to {server}: Connection refused (os error 111)");
        assert_eq!(error.message, text);
        let hint = error.hint.unwrap();
        assert!(hint.contains(&format!("`curl -sI http://{server}`")), "{hint}");
    }

    #[tokio::test]
    async fn a_dead_proxy_is_named_with_its_variable_and_without_its_password() {
        let server = closed();
        let proxy = format!("http://user:canary@{server}");
        let error = failed("https://ec2.us-west-2.amazonaws.com", Some(&proxy)).await;
        assert!(error.is(&[UNREACHABLE]), "{error:?}");
        let named = format!(
            "could not connect to ec2.us-west-2.amazonaws.com:443 through the proxy {server} of \
             https_proxy: Connection refused"
        );
        assert!(error.message.starts_with(&named), "{error}");
        let hint = error.hint.clone().unwrap();
        for part in [&*server, "unset https_proxy", "add `ec2.us-west-2.amazonaws.com` to NO_PROXY"]
        {
            assert!(hint.contains(part), "{hint}");
        }
        assert!(!format!("{error} {error:?}").contains("canary"), "{error:?}");
    }

    #[test]
    fn a_request_has_the_proxy_of_its_scheme_and_host() {
        let proxies = proxies("http://proxy.test:3128");
        let proxy = |address: &str| proxies.peer(address).unwrap().proxy.map(|one| one.server);
        assert_eq!(proxy("https://ec2.test/path?q"), Some("proxy.test:3128".to_owned()));
        assert_eq!(proxy("http://ec2.test"), None);
        assert_eq!(proxy("https://direct.test"), None);
        let peer = proxies.peer("https://user:canary@ec2.test/path").unwrap();
        assert_eq!((peer.server().as_str(), peer.host.as_str()), ("ec2.test:443", "ec2.test"));
    }

    #[test]
    fn a_name_without_an_address_has_a_hint_of_its_own() {
        #[derive(Debug, thiserror::Error)]
        #[error("dns error")]
        struct Dns(#[source] io::Error);
        let unknown = io::Error::other("failed to lookup address information");
        let peer = proxies("").peer("https://ec2.us-wset-2.amazonaws.com").unwrap();
        let failure = ConnectionFailure { peer, source: Dns(unknown).into() };
        assert!(failure.hint().contains("getent hosts ec2.us-wset-2.amazonaws.com"), "{failure}");
        let said = failure.system_error();
        assert_eq!(said.as_deref(), Some("failed to lookup address information"));
    }
}
