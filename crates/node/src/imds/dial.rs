//! How a connection is made. A seam for tests: a client that is dialled into memory needs no port.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::endpoint::Endpoint;
use crate::BoxFuture;

/// A connection, whatever it is made of.
pub(super) trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// Makes connections.
pub(super) type Dial = Arc<dyn Fn() -> BoxFuture<'static, io::Result<Box<dyn Wire>>> + Send + Sync>;

/// Connects to the endpoint itself: there is no proxy that this could be told to use.
pub(super) fn directly(endpoint: &Endpoint) -> Dial {
    let address = endpoint.address();
    Arc::new(move || {
        let address = address.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn Wire>)
        })
    })
}
