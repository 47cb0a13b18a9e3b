//! HTTP server for probes and Prometheus. Read-only.

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

/// Timeout of a request's headers. Real probes are faster.
const PATIENCE: Duration = Duration::from_secs(5);

/// Maximum number of concurrent connections. Others wait, which limits the open connections.
const CONNECTIONS: usize = 16;

/// Program that reports its health.
pub trait HealthSource: Send + Sync + 'static {
    /// Returns a short reason for not being ready; `None` if the program is ready.
    fn not_ready_reason(&self) -> Option<&'static str>;
    /// Returns all metrics in Prometheus' text format, version 0.0.4.
    fn metrics(&self) -> String;
}

/// Serves requests forever.
pub async fn serve<T: HealthSource>(listener: TcpListener, probed: Arc<T>) -> Infallible {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let permit = Arc::clone(&room).acquire_owned().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                let probed = Arc::clone(&probed);
                tokio::spawn(async move {
                    let _permit = permit;
                    converse(stream, probed).await;
                });
            }
            // Too few file descriptors or too little memory; both may pass.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Serves one connection, and ignores errors of the connection.
async fn converse<T: HealthSource>(stream: TcpStream, probed: Arc<T>) {
    let answer = service_fn(move |request: Request<Incoming>| {
        let response = answer(request.method(), request.uri().path(), &*probed);
        async move { Ok::<_, io::Error>(response) }
    });
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(PATIENCE).keep_alive(false);
    let _ = server.serve_connection(TokioIo::new(stream), answer).await;
}

fn answer(method: &Method, path: &str, probed: &impl HealthSource) -> Response<Full<Bytes>> {
    let (status, body) = match (method, path) {
        (&Method::GET | &Method::HEAD, "/metrics") => (StatusCode::OK, probed.metrics()),
        (&Method::GET | &Method::HEAD, "/healthz") => (StatusCode::OK, "ok\n".to_owned()),
        (&Method::GET | &Method::HEAD, "/readyz") => match probed.not_ready_reason() {
            None => (StatusCode::OK, "ok\n".to_owned()),
            Some(trouble) => (StatusCode::SERVICE_UNAVAILABLE, format!("{trouble}\n")),
        },
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

    /// Program for tests; true if it is ready.
    struct Program(bool);

    impl HealthSource for Program {
        fn not_ready_reason(&self) -> Option<&'static str> {
            (!self.0).then_some("it sleeps")
        }

        fn metrics(&self) -> String {
            "ready 0\n".to_owned()
        }
    }

    #[test]
    fn a_probe_hears_whether_the_program_is_ready() {
        let status = |path, ready| answer(&Method::GET, path, &Program(ready)).status().as_u16();
        let of = |ready| ["/healthz", "/readyz", "/metrics", "/"].map(|path| status(path, ready));
        assert_eq!((of(false), of(true)), ([200, 503, 200, 404], [200, 200, 200, 404]));
        assert_eq!(answer(&Method::POST, "/metrics", &Program(true)).status(), 405);
    }

    #[tokio::test]
    async fn metrics_are_served_over_http() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(serve(listener, Arc::new(Program(false))));
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
        assert!(text.contains("\r\n\r\nready 0\n"), "{text}");
        server.abort();
    }
}
