//! Permission to act as leader, checked before each request.

use std::sync::Arc;
use std::time::Duration;

use groundplan_engine::state::error::StateError;
use groundplan_engine::state::fence::Fence;
use hyper::{Method, Request};
use kube::Client;
use kube::client::Body;
use tokio::sync::watch;
use tokio::time::Instant;

/// Leadership of this process. Clones share the same leadership.
#[derive(Clone, Debug)]
pub struct Leadership {
    lease: Arc<str>,
    until: Arc<watch::Sender<Instant>>,
}

/// Error of a request that was not sent, because this process does not lead.
#[derive(Debug, thiserror::Error)]
#[error("not sent: the Lease {lease} is no longer held, so another process may be the leader")]
pub struct NotLeading {
    lease: Arc<str>,
}

impl Leadership {
    pub(super) fn new(lease: &str, until: Instant) -> Self {
        Self { lease: lease.into(), until: Arc::new(watch::Sender::new(until)) }
    }

    pub(super) fn extend(&self, until: Instant) {
        self.until.send_replace(until);
    }

    pub(super) fn end(&self) {
        self.extend(Instant::now());
    }

    /// Returns the time until the leadership ends without another renewal.
    pub(super) fn remaining(&self) -> Duration {
        self.until.borrow().saturating_duration_since(Instant::now())
    }

    /// Returns true if this process leads at this moment.
    pub fn is_held(&self) -> bool {
        !self.remaining().is_zero()
    }

    /// Returns a fence that rejects calls to AWS once this process does not lead.
    pub fn fence(&self) -> Fence {
        let it = self.clone();
        Fence::new(move || match it.is_held() {
            true => Ok(()),
            false => Err(StateError::Fenced {
                place: format!("the Lease {}", it.lease),
                why: "the Lease is no longer held".to_owned(),
            }),
        })
    }

    /// Returns a client that sends a changing request only while this process leads. Read requests
    /// are always sent.
    pub fn guard(&self, client: &Client) -> Client {
        let (it, inner) = (self.clone(), client.clone());
        let send = move |request: Request<Body>| {
            let (it, inner) = (it.clone(), inner.clone());
            async move {
                if *request.method() != Method::GET && !it.is_held() {
                    return Err(kube::Error::Service(Box::new(NotLeading { lease: it.lease })));
                }
                inner.send(request).await
            }
        };
        Client::new(tower::service_fn(send), client.default_namespace().to_owned())
    }
}
