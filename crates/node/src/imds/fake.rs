//! Metadata service in memory, as strict as the real one: every read requires a token.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::{Instant, sleep};

use super::client::{Client, ImdsSettings, Route};
use super::dial::{Dial, Wire};
use super::endpoint::IpVersion;

/// Fault in the next request of a method.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ImdsFault {
    /// Response with this status and no effect.
    Status(u16),
    /// No response: the packet had no hops left.
    Silence,
    /// Response after this time.
    Slow(Duration),
    /// Connection refused.
    Refuse,
}

/// Received request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ImdsRequest {
    pub(crate) method: String,
    pub(crate) path: String,
    /// True if the request had a token.
    pub(crate) token: bool,
    /// Requested time to live.
    pub(crate) ttl: Option<String>,
    pub(crate) at: Instant,
}

#[derive(Default)]
struct Service {
    values: BTreeMap<String, Vec<u8>>,
    /// Values that appear at a given time.
    notices: Vec<(Instant, String, String)>,
    tokens: BTreeMap<String, Instant>,
    given: u64,
    /// Maximum time to live in seconds.
    longest: Option<u64>,
    /// True if token responses lack the TTL header, as those of moto do.
    without_ttl: bool,
    /// Body of token responses, instead of a token.
    strange_token: Option<String>,
    troubles: BTreeMap<&'static str, VecDeque<ImdsFault>>,
    disabled: bool,
    asked: Vec<ImdsRequest>,
}

/// Metadata service in memory.
#[derive(Clone, Default)]
pub(crate) struct FakeImds(Arc<Mutex<Service>>);

impl FakeImds {
    fn service(&self) -> MutexGuard<'_, Service> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a client that reaches only this service.
    pub(crate) fn client(&self, settings: ImdsSettings) -> Client {
        Client::routed(vec![self.route(IpVersion::Ipv4)], settings)
    }

    /// Returns the route to this service at a default endpoint.
    pub(in crate::imds) fn route(&self, version: IpVersion) -> Route {
        let fake = self.clone();
        let dial: Dial = Arc::new(move || {
            let fake = fake.clone();
            Box::pin(async move {
                match fake.next_trouble("CONNECT") {
                    Some(ImdsFault::Refuse) => {
                        return Err(std::io::ErrorKind::ConnectionRefused.into());
                    }
                    Some(ImdsFault::Silence) => sleep(Duration::from_secs(3600)).await,
                    _ => (),
                }
                let (ours, theirs) = tokio::io::duplex(256 * 1024);
                tokio::spawn(fake.serve(theirs));
                Ok(Box::new(ours) as Box<dyn Wire>)
            })
        });
        Route { endpoint: version.into(), dial }
    }

    async fn serve(self, stream: tokio::io::DuplexStream) {
        let answer = service_fn(move |request| {
            let fake = self.clone();
            async move { Ok::<_, Infallible>(fake.answer(&request).await) }
        });
        let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
    }

    /// Sets the value at a path below `/latest/meta-data/`.
    pub(crate) fn set(&self, path: &str, value: impl Into<Vec<u8>>) {
        self.service().values.insert(format!("/latest/meta-data/{path}"), value.into());
    }

    /// Removes the value at a path.
    pub(crate) fn unset(&self, path: &str) {
        self.service().values.remove(&format!("/latest/meta-data/{path}"));
    }

    /// Like `set`, but the value appears after a delay.
    pub(crate) fn set_after(&self, delay: Duration, path: &str, value: &str) {
        let path = format!("/latest/meta-data/{path}");
        self.service().notices.push((Instant::now() + delay, path, value.to_owned()));
    }

    /// Adds faults for the next requests of a method (`PUT`, `GET`, `CONNECT`), one fault for each
    /// request.
    pub(crate) fn inject_faults(&self, method: &'static str, troubles: &[ImdsFault]) {
        self.service().troubles.entry(method).or_default().extend(troubles);
    }

    /// Drops all tokens, as a stop and start of the machine does.
    pub(crate) fn forget_tokens(&self) {
        self.service().tokens.clear();
    }

    /// Sets `HttpEndpoint=disabled`.
    pub(crate) fn disable(&self) {
        self.service().disabled = true;
    }

    /// Limits the time to live of all tokens.
    pub(crate) fn grant_at_most(&self, seconds: u64) {
        self.service().longest = Some(seconds);
    }

    /// Omits the TTL header from token responses.
    pub(crate) fn leave_out_the_ttl(&self) {
        self.service().without_ttl = true;
    }

    /// Sets the body of token responses.
    pub(crate) fn give_instead_of_a_token(&self, body: &str) {
        self.service().strange_token = Some(body.to_owned());
    }

    /// Returns all requests so far.
    pub(crate) fn requests(&self) -> Vec<ImdsRequest> {
        self.service().asked.clone()
    }

    /// Returns the number of requests with this method.
    pub(crate) fn count(&self, method: &str) -> usize {
        self.service().asked.iter().filter(|one| one.method == method).count()
    }

    fn next_trouble(&self, method: &str) -> Option<ImdsFault> {
        self.service().troubles.get_mut(method)?.pop_front()
    }

    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let header = |name: &str| request.headers().get(name)?.to_str().ok().map(str::to_owned);
        let token = header("x-aws-ec2-metadata-token");
        let ttl = header("x-aws-ec2-metadata-token-ttl-seconds");
        let path = request.uri().path().to_owned();
        self.service().asked.push(ImdsRequest {
            method: request.method().to_string(),
            path: path.clone(),
            token: token.is_some(),
            ttl: ttl.clone(),
            at: Instant::now(),
        });
        match self.next_trouble(request.method().as_str()) {
            Some(ImdsFault::Status(status)) => return reply(status, "trouble"),
            Some(ImdsFault::Silence) => sleep(Duration::from_secs(3600)).await,
            Some(ImdsFault::Slow(time)) => sleep(time).await,
            Some(ImdsFault::Refuse) | None => (),
        }
        if self.service().disabled || header("x-forwarded-for").is_some() {
            return reply(403, "forbidden");
        }
        match (request.method(), &*path) {
            (&Method::PUT, "/latest/api/token") => self.give_token(ttl.as_deref()),
            (&Method::GET, path) => self.give_value(path, token.as_deref()),
            _ => reply(405, "method not allowed"),
        }
    }

    fn give_token(&self, ttl: Option<&str>) -> Response<Full<Bytes>> {
        let Some(ttl @ 1..=21_600) = ttl.and_then(|ttl| ttl.parse::<u64>().ok()) else {
            return reply(400, "bad request");
        };
        let mut service = self.service();
        if let Some(body) = &service.strange_token {
            return reply(200, body);
        }
        let granted = ttl.min(service.longest.unwrap_or(ttl));
        service.given += 1;
        let token = format!("token-{}==", service.given);
        service.tokens.insert(token.clone(), Instant::now() + Duration::from_secs(granted));
        let mut reply = reply(200, &token);
        if !service.without_ttl {
            let name = "x-aws-ec2-metadata-token-ttl-seconds";
            reply.headers_mut().insert(name, granted.into());
        }
        reply
    }

    fn give_value(&self, path: &str, token: Option<&str>) -> Response<Full<Bytes>> {
        let service = self.service();
        let good = token.and_then(|token| service.tokens.get(token));
        if good.is_none_or(|until| *until <= Instant::now()) {
            return reply(401, "<html>unauthorized</html>");
        }
        let begun =
            |(at, known, _): &&(Instant, String, String)| *at <= Instant::now() && known == path;
        let notice = service.notices.iter().find(begun).map(|(_, _, value)| value.as_bytes());
        match notice.or_else(|| service.values.get(path).map(Vec::as_slice)) {
            Some(value) => Response::new(Full::new(Bytes::copy_from_slice(value))),
            None => reply(404, "<html>not found</html>"),
        }
    }
}

fn reply(status: u16, body: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::copy_from_slice(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}
