//! The API server in memory behind TLS, with a kubeconfig as openshift-install writes it: a certificate
//! authority of its own, and a client certificate.

use std::net::SocketAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use groundplan_node::test_support::fake_api_server::FakeApiServer;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

pub(crate) const CA: &str = include_str!("tls/ca.pem");
/// Authority that signed no certificate of the server.
pub(crate) const OTHER_CA: &str = include_str!("tls/other-ca.pem");
pub(crate) const SERVER: &str = include_str!("tls/server.pem");
pub(crate) const EXPIRED: &str = include_str!("tls/expired.pem");
const SERVER_KEY: &str = include_str!("tls/server.key");
const CLIENT: &str = include_str!("tls/client.pem");
const CLIENT_KEY: &str = include_str!("tls/client.key");

/// Serves a cluster on this listener, with this certificate. Clients must have a certificate.
pub(crate) fn serve(cluster: &FakeApiServer, listener: TcpListener, certificate: &str) {
    let acceptor = acceptor(certificate);
    let cluster = cluster.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, cluster) = (acceptor.clone(), cluster.clone());
            tokio::spawn(async move {
                // A failed handshake is part of the tests.
                if let Ok(stream) = acceptor.accept(stream).await {
                    cluster.converse(stream).await;
                }
            });
        }
    });
}

fn acceptor(certificate: &str) -> TlsAcceptor {
    let provider = Arc::new(default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(CA.as_bytes()).expect("PEM")).expect("an authority");
    let clients = WebPkiClientVerifier::builder_with_provider(roots.into(), provider.clone());
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(SERVER_KEY.as_bytes()).expect("PEM");
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_client_cert_verifier(clients.build().expect("a verifier"))
        .with_single_cert(chain, key)
        .expect("a certificate with its key");
    TlsAcceptor::from(Arc::new(config))
}

/// Returns a kubeconfig for a server at this address that trusts this authority.
pub(crate) fn kubeconfig(address: SocketAddr, authority: &str) -> String {
    let [authority, client, key] =
        [authority, CLIENT, CLIENT_KEY].map(|text| STANDARD.encode(text));
    format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- name: demo\n  cluster:\n    \
         certificate-authority-data: {authority}\n    server: https://{address}\nusers:\n- name: admin\n  \
         user:\n    client-certificate-data: {client}\n    client-key-data: {key}\ncontexts:\n- name: \
         admin\n  context:\n    cluster: demo\n    user: admin\ncurrent-context: admin\n"
    )
}

/// Returns the secret part of [`kubeconfig`], which no output may contain.
pub(crate) fn client_key() -> String {
    STANDARD.encode(CLIENT_KEY)
}
