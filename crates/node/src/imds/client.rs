//! Client of the instance metadata service.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout_at};

use super::dial::{Dial, Wire, directly};
use super::endpoint::Endpoint;
use super::error::Error;
use super::token::{Token, Ttl};

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Limit of a response body in bytes. The longest value, user data, has 16 KiB.
const LONGEST_BODY: usize = 64 * 1024;

/// Settings of a client.
#[derive(Clone, Copy, Debug)]
pub struct ImdsSettings {
    /// Time to live of requested tokens.
    pub ttl: Ttl,
    /// Time before the end of a token at which the client stops using it.
    pub margin: Duration,
    /// Timeout of a request, including the connection. The service is on the machine itself, so a
    /// later response will not come.
    pub patience: Duration,
    /// Maximum number of attempts after errors that may pass.
    pub tries: u32,
    /// First pause between two attempts. Each pause is twice as long as the previous one, up to
    /// five seconds. Up to half of a pause is random, because all programs on the machine share one
    /// rate limit.
    pub pause: Duration,
}

impl Default for ImdsSettings {
    fn default() -> Self {
        Self {
            ttl: Ttl::default(),
            margin: Duration::from_secs(120),
            patience: Duration::from_secs(1),
            tries: 4,
            pause: Duration::from_millis(200),
        }
    }
}

/// Client of this machine's metadata service. Created once and shared, because it keeps a token.
pub struct Client {
    /// Endpoints to try, in this order.
    routes: Vec<Route>,
    /// Position of the route that answered last, plus one; 0 while none is known.
    kept: AtomicUsize,
    settings: ImdsSettings,
    /// Locked during the request for a token, so that concurrent callers cause one request.
    token: Mutex<CachedToken>,
}

/// Endpoint, and the function that connects to it.
pub(super) struct Route {
    pub(super) endpoint: Endpoint,
    pub(super) dial: Dial,
}

#[derive(Default)]
struct CachedToken {
    token: Option<Token>,
    /// Number of tokens requested so far.
    count: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let endpoints: Vec<_> = self.routes.iter().map(|route| &route.endpoint).collect();
        f.debug_struct("Client")
            .field("endpoints", &endpoints)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// Reason why a request to one endpoint has no response.
enum Failure {
    /// There is no connection, so that another endpoint may help.
    NotConnected(String),
    /// A server accepted the connection.
    Connected(Error),
}

/// Used parts of a response.
struct ImdsResponse {
    status: StatusCode,
    /// Seconds in the TTL header; `None` without a valid header.
    ttl: Option<u32>,
    body: Bytes,
}

impl Client {
    /// Returns a client of this endpoint. Sends no request yet.
    pub fn new(endpoint: Endpoint, settings: ImdsSettings) -> Self {
        Self::of_any(vec![endpoint], settings)
    }

    /// Returns a client that tries these endpoints in order. It keeps the endpoint that answers, and
    /// tries all again when that one cannot be connected to. A server that accepts the connection and
    /// does not respond is no reason to try the next endpoint. Sends no request yet.
    pub fn of_any(endpoints: Vec<Endpoint>, settings: ImdsSettings) -> Self {
        let route = |endpoint| Route { dial: directly(&endpoint), endpoint };
        Self::routed(endpoints.into_iter().map(route).collect(), settings)
    }

    pub(super) fn routed(routes: Vec<Route>, settings: ImdsSettings) -> Self {
        Self { routes, kept: AtomicUsize::new(0), settings, token: Mutex::default() }
    }

    /// Returns the value at a path below `/latest/meta-data/`, such as `spot/termination-time`.
    /// Returns `None` if the path does not exist.
    ///
    /// # Errors
    /// Returns an error if the service returns no value for any other reason.
    pub async fn metadata(&self, path: &str) -> Result<Option<String>, Error> {
        self.get(&format!("/latest/meta-data/{path}")).await
    }

    /// Returns the value at a path; `None` if the path does not exist.
    ///
    /// # Errors
    /// Same as [`metadata`](Self::metadata).
    pub async fn get(&self, path: &str) -> Result<Option<String>, Error> {
        let token = self.token().await?;
        let mut answer = self.get_with(path, &token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // The service drops all tokens when the machine stops. Only a new token can help.
            self.drop_token(&token).await;
            let token = self.token().await?;
            answer = self.get_with(path, &token).await?;
        }
        match answer.status {
            StatusCode::OK => value(&answer.body).map(Some),
            StatusCode::NOT_FOUND => Ok(None),
            StatusCode::UNAUTHORIZED => Err(Error::TokenNotTaken),
            StatusCode::FORBIDDEN => Err(Error::Forbidden),
            status => Err(Error::Unexpected(status.as_u16())),
        }
    }

    async fn get_with(&self, path: &str, token: &Token) -> Result<ImdsResponse, Error> {
        let (patience, tries) = (self.settings.patience, self.settings.tries);
        let silent = Error::NoAnswer { within: patience, tries };
        let header = (TOKEN_HEADER, token.value.expose_secret().to_owned());
        self.retry(Method::GET, path, header, silent).await
    }

    /// Returns a valid token, and requests one if necessary.
    async fn token(&self) -> Result<Token, Error> {
        let mut kept = self.token.lock().await;
        if let Some(token) = kept.token.as_ref().filter(|token| token.is_good(Instant::now())) {
            return Ok(token.clone());
        }
        kept.token = None;
        kept.count += 1;
        let token = self.ask_for_token(kept.count).await?;
        kept.token = Some(token.clone());
        Ok(token)
    }

    async fn ask_for_token(&self, number: u64) -> Result<Token, Error> {
        let ImdsSettings { ttl, margin, patience, tries, .. } = self.settings;
        let silent = Error::NoToken { within: patience, tries };
        let header = (TTL_HEADER, ttl.seconds().to_string());
        let asked = Instant::now();
        let answer = self.retry(Method::PUT, TOKEN_PATH, header, silent).await?;
        match answer.status {
            StatusCode::OK => {
                let text = value(&answer.body).map_err(|_| Error::InvalidToken)?;
                // The token is sent in a header, so it must consist of visible ASCII characters.
                let fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
                let text = fit.then_some(text).ok_or(Error::InvalidToken)?;
                // Emulators omit the header. The requested time to live applies then.
                let granted = answer.ttl.unwrap_or(ttl.seconds()).min(ttl.seconds());
                let granted = Duration::from_secs(granted.into());
                Ok(Token::new(SecretString::from(text), number, asked, granted, margin))
            }
            status => Err(Error::TokenRefused(status.as_u16())),
        }
    }

    /// Drops a rejected token, unless another caller has replaced it.
    async fn drop_token(&self, refused: &Token) {
        let mut kept = self.token.lock().await;
        if kept.token.as_ref().is_some_and(|token| token.number == refused.number) {
            kept.token = None;
        }
    }

    /// Repeats a request until it gets a response with a final status, or the attempts are used up.
    /// `silent` is the error to return after a timeout.
    async fn retry(
        &self,
        method: Method,
        path: &str,
        header: (&'static str, String),
        silent: Error,
    ) -> Result<ImdsResponse, Error> {
        let mut pause = self.settings.pause;
        let mut tried = 0;
        loop {
            tried += 1;
            let failed = match self.ask_any(&method, path, &header, &silent).await {
                Ok(answer) if !is_busy(answer.status) => return Ok(answer),
                Ok(answer) => Error::Busy { status: answer.status.as_u16(), tries: tried },
                Err(error) => error,
            };
            if !failed.passes() || tried >= self.settings.tries.max(1) {
                return Err(failed);
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// Sends one request to the endpoint that answered last, or else to each endpoint until one can
    /// be connected to.
    async fn ask_any(
        &self,
        method: &Method,
        path: &str,
        header: &(&'static str, String),
        silent: &Error,
    ) -> Result<ImdsResponse, Error> {
        let kept = self.kept.load(Relaxed);
        let mut tried = Vec::new();
        for (number, route) in (1..).zip(&self.routes) {
            if kept != 0 && kept != number {
                continue;
            }
            match self.ask(route, method, path, header, silent).await {
                Ok(answer) => {
                    self.kept.store(number, Relaxed);
                    return Ok(answer);
                }
                Err(Failure::NotConnected(why)) => tried.push(format!("{}: {why}", route.endpoint)),
                Err(Failure::Connected(error)) => return Err(error),
            }
        }
        self.kept.store(0, Relaxed);
        Err(Error::Unreachable(tried.join("; ")))
    }

    /// Sends one request on a connection of its own. Requests are seconds apart, and the service
    /// closes idle connections.
    async fn ask(
        &self,
        route: &Route,
        method: &Method,
        path: &str,
        header: &(&'static str, String),
        silent: &Error,
    ) -> Result<ImdsResponse, Failure> {
        let patience = self.settings.patience;
        let until = Instant::now() + patience;
        let stream = match timeout_at(until, (route.dial)()).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(Failure::NotConnected(error.to_string())),
            Err(_) => {
                return Err(Failure::NotConnected(format!("no connection within {patience:?}")));
            }
        };
        let exchanged = timeout_at(until, exchange(stream, route, method, path, header)).await;
        exchanged.unwrap_or_else(|_| Err(silent.clone())).map_err(Failure::Connected)
    }
}

/// Sends one request on a connection, and reads the response.
async fn exchange(
    stream: Box<dyn Wire>,
    route: &Route,
    method: &Method,
    path: &str,
    (name, value): &(&'static str, String),
) -> Result<ImdsResponse, Error> {
    let unreachable =
        |error: &dyn fmt::Display| Error::Unreachable(format!("{}: {error}", route.endpoint));
    let (mut sender, connection) =
        http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(HOST, route.endpoint.authority())
        .header(*name, value)
        .body(Empty::<Bytes>::new())
        .map_err(|_| Error::Unexpected(StatusCode::BAD_REQUEST.as_u16()))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let (head, body) = response.into_parts();
        let body =
            Limited::new(body, LONGEST_BODY).collect().await.map_err(|error| match error
                .downcast_ref::<LengthLimitError>(
            ) {
                Some(_) => Error::NoValue,
                None => unreachable(&error),
            })?;
        let ttl = head.headers.get(TTL_HEADER).and_then(|ttl| ttl.to_str().ok()?.parse().ok());
        Ok(ImdsResponse { status: head.status, ttl, body: body.to_bytes() })
    };
    // The connection is polled beside the response and ends with it.
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

/// Returns true for a rate limit or a server error, after which a retry may succeed.
fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Returns the body as text. Some servers add a line break at its end.
fn value(body: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::NoValue)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
