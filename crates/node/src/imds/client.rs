//! The conversation with the metadata service.

use std::fmt;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout};

use super::dial::{Dial, directly};
use super::endpoint::Endpoint;
use super::error::Error;
use super::token::{Token, Ttl};

const TOKEN_PATH: &str = "/latest/api/token";
const TOKEN_HEADER: &str = "x-aws-ec2-metadata-token";
const TTL_HEADER: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// More than any value has: user data, the longest, has 16 KiB.
const LONGEST_BODY: usize = 64 * 1024;

/// How a client goes about it.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// For how long tokens are asked.
    pub ttl: Ttl,
    /// How long before its end a token is given up.
    pub margin: Duration,
    /// How long an answer is waited for, the connection included. On the machine itself everything is
    /// near: what takes longer will not come.
    pub patience: Duration,
    /// How often anything is asked that may pass.
    pub tries: u32,
    /// The first pause between two tries; each is twice as long as the one before, and any part of it
    /// is left to chance, since everybody on the machine shares one rate.
    pub pause: Duration,
}

impl Default for Settings {
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

/// Asks the metadata service of this machine. Made once and shared: it keeps a token.
pub struct Client {
    endpoint: Endpoint,
    settings: Settings,
    dial: Dial,
    /// Held while a token is asked for, so that however many want one, one is asked for.
    token: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    token: Option<Token>,
    /// How many there have been.
    count: u64,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("endpoint", &self.endpoint)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

/// An answer, as far as anybody looks at it.
struct Answer {
    status: StatusCode,
    /// The seconds of the TTL header, where it has one that makes sense.
    ttl: Option<u32>,
    body: Bytes,
}

impl Client {
    /// A client of this endpoint. Asks nobody yet.
    pub fn new(endpoint: Endpoint, settings: Settings) -> Self {
        let dial = directly(&endpoint);
        Self::dialled(endpoint, settings, dial)
    }

    pub(super) fn dialled(endpoint: Endpoint, settings: Settings, dial: Dial) -> Self {
        Self { endpoint, settings, dial, token: Mutex::default() }
    }

    /// The value at a path below `/latest/meta-data/` (`spot/termination-time`), or `None` where there
    /// is none.
    ///
    /// # Errors
    /// When the service gives no value, and not because there is none.
    pub async fn metadata(&self, path: &str) -> Result<Option<String>, Error> {
        self.get(&format!("/latest/meta-data/{path}")).await
    }

    /// The value at a path, or `None` where there is none.
    ///
    /// # Errors
    /// As [`metadata`](Self::metadata).
    pub async fn get(&self, path: &str) -> Result<Option<String>, Error> {
        let token = self.token().await?;
        let mut answer = self.get_with(path, &token).await?;
        if answer.status == StatusCode::UNAUTHORIZED {
            // It forgets tokens when the machine stops. A new one helps, or none does.
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

    async fn get_with(&self, path: &str, token: &Token) -> Result<Answer, Error> {
        let (patience, tries) = (self.settings.patience, self.settings.tries);
        let silent = Error::NoAnswer { within: patience, tries };
        let header = (TOKEN_HEADER, token.value.expose_secret().to_owned());
        self.patiently(Method::GET, path, header, silent).await
    }

    /// A token that is good.
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
        let Settings { ttl, margin, patience, tries, .. } = self.settings;
        let silent = Error::NoToken { within: patience, tries };
        let header = (TTL_HEADER, ttl.seconds().to_string());
        let asked = Instant::now();
        let answer = self.patiently(Method::PUT, TOKEN_PATH, header, silent).await?;
        match answer.status {
            StatusCode::OK => {
                let text = value(&answer.body)?;
                // A token goes into a header: what could not is none.
                let fit = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
                let text = fit.then_some(text).ok_or(Error::NoValue)?;
                // Emulators leave the header out; then it is as was asked.
                let granted = answer.ttl.unwrap_or(ttl.seconds()).min(ttl.seconds());
                let granted = Duration::from_secs(granted.into());
                Ok(Token::new(SecretString::from(text), number, asked, granted, margin))
            }
            status => Err(Error::TokenRefused(status.as_u16())),
        }
    }

    /// Forgets a token, unless somebody has another one by now.
    async fn drop_token(&self, refused: &Token) {
        let mut kept = self.token.lock().await;
        if kept.token.as_ref().is_some_and(|token| token.number == refused.number) {
            kept.token = None;
        }
    }

    /// Asks until there is an answer that does not pass, or it has been asked often enough; `silent` is
    /// what silence comes to.
    async fn patiently(
        &self,
        method: Method,
        path: &str,
        header: (&'static str, String),
        silent: Error,
    ) -> Result<Answer, Error> {
        let mut pause = self.settings.pause;
        let mut tried = 0;
        loop {
            tried += 1;
            let asked = timeout(self.settings.patience, self.ask(&method, path, &header)).await;
            let failed = match asked {
                Ok(Ok(answer)) if !is_busy(answer.status) => return Ok(answer),
                Ok(Ok(answer)) => Error::Busy { status: answer.status.as_u16(), tries: tried },
                Ok(Err(error)) => error,
                Err(_) => silent.clone(),
            };
            if !failed.passes() || tried >= self.settings.tries.max(1) {
                return Err(failed);
            }
            sleep(pause.mul_f64(0.5 + fastrand::f64() / 2.0)).await;
            pause = (pause * 2).min(Duration::from_secs(5));
        }
    }

    /// One request on a connection of its own: they are seconds apart, and the service closes idle ones.
    async fn ask(
        &self,
        method: &Method,
        path: &str,
        (name, value): &(&'static str, String),
    ) -> Result<Answer, Error> {
        let unreachable = |error: &dyn fmt::Display| Error::Unreachable(error.to_string());
        let stream = (self.dial)().await.map_err(|error| unreachable(&error))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.endpoint.authority())
            .header(*name, value)
            .body(Empty::<Bytes>::new())
            .map_err(|_| Error::Unexpected(StatusCode::BAD_REQUEST.as_u16()))?;
        let answer = async {
            let response =
                sender.send_request(request).await.map_err(|error| unreachable(&error))?;
            let (head, body) = response.into_parts();
            let body =
                Limited::new(body, LONGEST_BODY).collect().await.map_err(|error| {
                    match error.downcast_ref::<LengthLimitError>() {
                        Some(_) => Error::NoValue,
                        None => unreachable(&error),
                    }
                })?;
            let ttl = head.headers.get(TTL_HEADER).and_then(|ttl| ttl.to_str().ok()?.parse().ok());
            Ok(Answer { status: head.status, ttl, body: body.to_bytes() })
        };
        // The connection is driven beside the answer and ends with it.
        let mut answer = std::pin::pin!(answer);
        tokio::select! {
            biased;
            answer = &mut answer => answer,
            _ = connection => answer.await,
        }
    }
}

/// Too much was asked for, or it is not well: in a moment it may answer.
fn is_busy(status: StatusCode) -> bool {
    status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error()
}

/// Values are text on one line or several; some servers end them with a line break.
fn value(body: &[u8]) -> Result<String, Error> {
    let text = std::str::from_utf8(body).map_err(|_| Error::NoValue)?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}
