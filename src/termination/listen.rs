//! What probes and Prometheus may ask over plain HTTP. Changes nothing.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::health::Health;

/// Whoever sends its request slower than this is no probe.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections at once. Further ones wait, so that nobody can have us hold more.
const CONNECTIONS: usize = 16;

/// Answers for ever.
pub async fn serve(listener: TcpListener, health: Arc<Health>) -> Infallible {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let health = Arc::clone(&health);
                tokio::spawn(async move {
                    let _permit = permit;
                    converse(stream, health).await;
                });
            }
            // Of files or memory there is too little: that may pass.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// One connection; that it breaks is of no interest to anybody here.
async fn converse(stream: TcpStream, health: Arc<Health>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &health);
        async move { Ok::<_, io::Error>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
}

fn answer(method: &Method, path: &str, health: &Health) -> Response<Full<Bytes>> {
    let (status, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, health.metrics()),
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") if health.is_ready() => {
            (StatusCode::OK, "ok\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, "/readyz") => {
            (StatusCode::SERVICE_UNAVAILABLE, "the metadata service gives no answer\n".to_owned())
        }
        (&Method::GET | &Method::HEAD, _) => {
            (StatusCode::NOT_FOUND, "/metrics, /healthz or /readyz\n".to_owned())
        }
        _ => (StatusCode::METHOD_NOT_ALLOWED, "only to be read\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let text = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, text);
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn a_probe_hears_whether_a_notice_would_be_seen() {
        let health = Health::default();
        let status = |path| answer(&Method::GET, path, &health).status().as_u16();
        assert_eq!(["/healthz", "/readyz", "/metrics", "/"].map(status), [200, 503, 200, 404]);
        health.asked(true);
        assert_eq!(status("/readyz"), 200);
        assert_eq!(answer(&Method::POST, "/metrics", &health).status(), 405);
    }

    #[tokio::test]
    async fn metrics_are_served_over_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Arc::default()));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("groundplan_termination_ready 0\n"), "{text}");
        server.abort();
    }
}
