//! The API server on a socket, for clients in other processes.

use std::convert::Infallible;
use std::time::Duration;

use http_body_util::{BodyExt, Collected};
use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::FakeApiServer;
use super::request::ParsedRequest;

impl FakeApiServer {
    /// Serves plain HTTP forever.
    pub async fn serve(self, listener: TcpListener) -> Infallible {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(self.clone().converse(stream))),
                Err(_) => sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// Serves one connection, such as one that a TLS handshake has opened. Errors are ignored, because
    /// broken connections are part of the tests.
    pub async fn converse(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        let answer = service_fn(move |request: Request<Incoming>| {
            let fake = self.clone();
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect().await.map(Collected::to_bytes).unwrap_or_default();
                fake.answer(ParsedRequest::of(&head, body.to_vec())).await
            }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }

    /// Returns a kubeconfig for a server at this address.
    pub fn kubeconfig(address: std::net::SocketAddr) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters: [{{name: c, cluster: {{server: 'http://{address}'}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n\
             contexts: [{{name: x, context: {{cluster: c, user: u}}}}]\ncurrent-context: x\n"
        )
    }
}
