//! Client of an API server with a limit of concurrent requests and a timeout.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use hyper::{Request, Response};
use kube::Client;
use kube::client::Body;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// Maximum number of concurrent requests.
const AT_A_TIME: usize = 32;
/// Maximum wait for a complete response. The default of kube is five minutes.
const PATIENCE: Duration = Duration::from_secs(10);

/// Returns a client with these limits. Unsuitable for watches, which have no end.
pub fn patient(client: &Client) -> Client {
    let (inner, room) = (client.clone(), Arc::new(Semaphore::new(AT_A_TIME)));
    let send = move |request: Request<Body>| {
        let (inner, room) = (inner.clone(), Arc::clone(&room));
        async move {
            let _permit = room.acquire().await;
            let answered = timeout(PATIENCE, whole(&inner, request)).await;
            answered.unwrap_or_else(|_| Err(silence()))
        }
    };
    Client::new(tower::service_fn(send), client.default_namespace().to_owned())
}

async fn whole(client: &Client, request: Request<Body>) -> kube::Result<Response<Body>> {
    let (head, body) = client.send(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Response::from_parts(head, Body::from(body.to_vec())))
}

fn silence() -> kube::Error {
    let message = format!("no response within {PATIENCE:?}");
    kube::Error::Service(Box::new(io::Error::new(io::ErrorKind::TimedOut, message)))
}
